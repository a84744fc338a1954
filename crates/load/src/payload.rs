//! The payload of a message: which one it is, when it was sent, and filling to the wanted size.
//!
//! A subscriber knows the exact bytes of the message that comes next, so comparing is all the checking
//! there is: loss, repetition, reordering and damage all show as a difference.

/// `~`, 12 digits of sequence, `.`, 17 digits of nanoseconds: characters that no JSON escapes.
pub(crate) const HEAD_BYTES: usize = 31;

/// The start of a payload.
pub(crate) type Head = [u8; HEAD_BYTES];

/// The head of message `sequence`, sent at `stamp` nanoseconds after the run began.
pub(crate) fn head(sequence: u64, stamp: u64) -> Head {
    let mut head = [b'~'; HEAD_BYTES];
    put_digits(&mut head[1..13], sequence);
    head[13] = b'.';
    put_digits(&mut head[14..], stamp);
    head
}

/// The sequence and stamp of a payload, for saying what came instead of the expected one.
pub(crate) fn read_head(payload: &[u8]) -> Option<(u64, u64)> {
    let head = std::str::from_utf8(payload.get(..HEAD_BYTES)?).ok()?;
    let (sequence, stamp) = head.strip_prefix('~')?.split_once('.')?;
    Some((sequence.parse().ok()?, stamp.parse().ok()?))
}

fn put_digits(out: &mut [u8], mut number: u64) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// What follows the head, the same in every message of a run.
pub(crate) struct Filling(Vec<u8>);

impl Filling {
    /// For payloads of `size` bytes in all.
    pub(crate) fn new(size: u32) -> Self {
        let len = (size as usize).saturating_sub(HEAD_BYTES);
        let letters = (b'a'..=b'z').chain(b'A'..=b'Z').chain(b'0'..=b'9');
        Self(letters.cycle().take(len).collect())
    }

    /// Writes a whole payload to `out`, in place of what was there.
    pub(crate) fn write(&self, head: &Head, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(head);
        out.extend_from_slice(&self.0);
    }

    /// Whether `payload` is exactly this head and this filling.
    #[inline]
    pub(crate) fn matches(&self, head: &Head, payload: &[u8]) -> bool {
        payload.split_at_checked(HEAD_BYTES).is_some_and(|(start, rest)| start == head && rest == self.0)
    }

    /// Payload bytes of a message.
    pub(crate) fn size(&self) -> usize {
        HEAD_BYTES + self.0.len()
    }
}

/// The heads of the messages that are under way, in a ring, and the order in which they come.
///
/// That is the order of their sequences, or, where the server may choose, the order in which the first
/// subscriber got them: the others have to get them in the same.
pub(crate) struct Ledger {
    ring: Vec<(Head, u64)>,
    published: u64,
    /// The sequences by their places in the order; empty where that is the order.
    order: Vec<u64>,
    /// Places that are taken.
    ordered: u64,
    /// By sequence: whether the message has a place.
    has_place: Vec<bool>,
}

impl Ledger {
    /// Remembers the last `capacity` messages.
    pub(crate) fn new(capacity: usize, is_ordered: bool) -> Self {
        let capacity = capacity.next_power_of_two();
        let free = if is_ordered { 0 } else { capacity };
        Self {
            ring: vec![([0; HEAD_BYTES], 0); capacity],
            published: 0,
            order: vec![0; free],
            ordered: 0,
            has_place: vec![true; free],
        }
    }

    /// Messages that have a place in the order.
    pub(crate) fn ordered(&self) -> u64 {
        if self.order.is_empty() { self.published } else { self.ordered }
    }

    /// Gives the next place to a message that came first of all, if it is one that may have it.
    pub(crate) fn order(&mut self, head: Option<(u64, u64)>) {
        let is_known = |sequence: &u64| *sequence < self.published && sequence + self.capacity() >= self.published;
        let Some(sequence) = head.map(|(sequence, _)| sequence).filter(is_known) else {
            return;
        };
        let slot = self.slot(sequence);
        if let Some(has_place @ false) = self.has_place.get_mut(slot) {
            *has_place = true;
            let place = self.slot(self.ordered);
            self.order[place] = sequence;
            self.ordered += 1;
        }
    }

    /// Messages published so far, which is also the sequence of the next one.
    pub(crate) fn published(&self) -> u64 {
        self.published
    }

    /// How far a subscriber may be behind.
    pub(crate) fn capacity(&self) -> u64 {
        self.ring.len() as u64
    }

    /// Notes the next message and gives its head.
    pub(crate) fn publish(&mut self, stamp: u64) -> Head {
        let head = head(self.published, stamp);
        let slot = self.slot(self.published);
        self.ring[slot] = (head, stamp);
        if let Some(has_place) = self.has_place.get_mut(slot) {
            *has_place = false;
        }
        self.published += 1;
        head
    }

    /// Head and stamp of the message at a place of the order, while it is remembered.
    #[inline]
    pub(crate) fn get(&self, place: u64) -> Option<&(Head, u64)> {
        let is_known = place < self.ordered() && place + self.capacity() >= self.published;
        let sequence = || self.order.get(self.slot(place)).copied().unwrap_or(place);
        is_known.then(|| &self.ring[self.slot(sequence())])
    }

    fn slot(&self, sequence: u64) -> usize {
        sequence as usize & (self.ring.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_written() {
        for (sequence, stamp) in [(0, 0), (42, 1_234_567_890), (999_999_999_999, 99_999_999_999_999_999)] {
            assert_eq!(read_head(&head(sequence, stamp)), Some((sequence, stamp)));
        }
        assert_eq!(read_head(b"~12"), None);
        assert_eq!(read_head(&[0xff; 40]), None);
    }

    #[test]
    fn any_difference_is_seen() {
        let filling = Filling::new(100);
        assert_eq!(filling.size(), 100);
        let mut payload = Vec::new();
        filling.write(&head(7, 8), &mut payload);
        assert!(filling.matches(&head(7, 8), &payload));
        assert!(!filling.matches(&head(8, 8), &payload));
        assert!(!filling.matches(&head(7, 8), &payload[..99]));
        for place in 0..payload.len() {
            payload[place] ^= 1;
            assert!(!filling.matches(&head(7, 8), &payload), "byte {place}");
            payload[place] ^= 1;
        }
    }

    #[test]
    fn the_ledger_forgets_what_is_older_than_its_ring() {
        let mut ledger = Ledger::new(3, true);
        assert_eq!(ledger.capacity(), 4);
        assert!(ledger.get(0).is_none());
        for stamp in 10..16 {
            ledger.publish(stamp);
        }
        assert_eq!(ledger.published(), 6);
        assert!(ledger.get(1).is_none());
        assert_eq!(ledger.get(2).map(|(_, stamp)| *stamp), Some(12));
        assert_eq!(ledger.get(5).map(|(head, _)| *head), Some(head(5, 15)));
        assert!(ledger.get(6).is_none());
    }

    #[test]
    fn where_the_server_chooses_the_order_it_chooses_once() {
        let mut ledger = Ledger::new(4, false);
        for stamp in 10..13 {
            ledger.publish(stamp);
        }
        assert!(ledger.get(0).is_none());
        for sequence in [2, 2, 0, 7, 1] {
            ledger.order(Some((sequence, 0)));
        }
        ledger.order(None);
        let stamps: Vec<_> = (0..4).map(|place| ledger.get(place).map(|(_, stamp)| *stamp)).collect();
        assert_eq!(stamps, [Some(12), Some(10), Some(11), None]);
        ledger.publish(13);
        ledger.order(Some((3, 0)));
        assert_eq!((ledger.ordered(), ledger.get(3).map(|(_, stamp)| *stamp)), (4, Some(13)));
    }
}
