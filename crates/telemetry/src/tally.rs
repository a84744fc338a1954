//! What is counted: messages, bytes, connections, in the units that vendors bill by.

use serde::{Deserialize, Serialize};

/// Chunk sizes a vendor bills by, in KiB. A message of `n` bytes is `max(1, ceil(n / size))` chunks.
pub const CHUNK_KIB: [u64; 5] = [1, 2, 5, 10, 32];

/// Usage of one space through one door, in plain integers that only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Messages that were published through the door.
    pub messages_in: u64,
    /// Payload bytes of those.
    pub bytes_in: u64,
    /// The same in chunks of each of the sizes in [`CHUNK_KIB`].
    pub chunks_in: [u64; 5],
    /// Messages delivered through the door, one per receiver.
    pub messages_out: u64,
    /// Payload bytes of those.
    pub bytes_out: u64,
    /// The same in chunks of each of the sizes in [`CHUNK_KIB`].
    pub chunks_out: [u64; 5],
    /// Connections that came up.
    pub connections_opened: u64,
    /// Connections that ended.
    pub connections_closed: u64,
    /// How long the connections that ended had been up, in milliseconds.
    pub connection_ms: u64,
    /// Control operations: subscribing, listing, asking who is there.
    pub operations: u64,
    /// Messages that a slow receiver did not get.
    pub dropped: u64,
    /// Operations that were refused.
    pub refused: u64,
}

impl Tally {
    /// A message of `bytes` was published.
    pub fn published(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.messages_in += 1;
        self.bytes_in += bytes;
        add_chunks(&mut self.chunks_in, bytes, 1);
    }

    /// A message of `bytes` was queued towards `copies` receivers.
    pub fn delivered(&mut self, bytes: usize, copies: u64) {
        let bytes = bytes as u64;
        self.messages_out += copies;
        self.bytes_out += bytes * copies;
        add_chunks(&mut self.chunks_out, bytes, copies);
    }

    /// A connection came up.
    pub fn opened(&mut self) {
        self.connections_opened += 1;
    }

    /// A connection ended that had been up for `ms`.
    pub fn closed(&mut self, ms: u64) {
        self.connections_closed += 1;
        self.connection_ms += ms;
    }

    /// Connections that are up.
    pub fn connections(&self) -> u64 {
        self.connections_opened.saturating_sub(self.connections_closed)
    }

    /// Nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what another counted.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, u64::saturating_add);
    }

    /// What was counted since `earlier`, an older state of the same tally.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut more = self.clone();
        more.combine(earlier, u64::saturating_sub);
        more
    }

    fn combine(&mut self, other: &Self, with: fn(u64, u64) -> u64) {
        let numbers = self.numbers_mut();
        for (number, other) in numbers.into_iter().zip(other.clone().numbers_mut()) {
            *number = with(*number, *other);
        }
    }

    fn numbers_mut(&mut self) -> [&mut u64; 20] {
        let Self {
            messages_in,
            bytes_in,
            chunks_in: [in_1, in_2, in_5, in_10, in_32],
            messages_out,
            bytes_out,
            chunks_out: [out_1, out_2, out_5, out_10, out_32],
            connections_opened,
            connections_closed,
            connection_ms,
            operations,
            dropped,
            refused,
        } = self;
        [
            messages_in,
            bytes_in,
            in_1,
            in_2,
            in_5,
            in_10,
            in_32,
            messages_out,
            bytes_out,
            out_1,
            out_2,
            out_5,
            out_10,
            out_32,
            connections_opened,
            connections_closed,
            connection_ms,
            operations,
            dropped,
            refused,
        ]
    }
}

fn add_chunks(chunks: &mut [u64; 5], bytes: u64, copies: u64) {
    // Most messages fit the smallest chunk; five divisions per delivery are not free.
    if bytes <= CHUNK_KIB[0] * 1_024 {
        chunks.iter_mut().for_each(|count| *count += copies);
        return;
    }
    for (count, kib) in chunks.iter_mut().zip(CHUNK_KIB) {
        *count += bytes.div_ceil(kib * 1_024) * copies;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_billed_by_started_chunks() {
        let chunks = |bytes| {
            let mut tally = Tally::default();
            tally.published(bytes);
            tally.chunks_in
        };
        assert_eq!(chunks(0), [1, 1, 1, 1, 1]);
        assert_eq!(chunks(1_024), [1, 1, 1, 1, 1]);
        assert_eq!(chunks(1_025), [2, 1, 1, 1, 1]);
        assert_eq!(chunks(5 * 1_024 + 1), [6, 3, 2, 1, 1]);
        assert_eq!(chunks(32 * 1_024 + 1), [33, 17, 7, 4, 2]);
    }

    #[test]
    fn copies_count_as_often_as_they_are_sent() {
        let mut tally = Tally::default();
        tally.delivered(3_000, 7);
        assert_eq!((tally.messages_out, tally.bytes_out), (7, 21_000));
        assert_eq!(tally.chunks_out, [21, 14, 7, 7, 7]);
    }

    #[test]
    fn what_came_since_and_what_was_before_make_the_whole() {
        let mut before = Tally::default();
        before.published(10);
        before.opened();
        let mut after = before.clone();
        after.delivered(5_000, 3);
        after.closed(40);
        let mut sum = before.clone();
        sum.add(&after.since(&before));
        assert_eq!(sum, after);
        assert_eq!((before.connections(), after.connections()), (1, 0));
    }
}
