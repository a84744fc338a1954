//! What waits towards a connection that does not take it at once.

use std::collections::VecDeque;
use std::io;

use fanfare_core::{Millis, SlowConsumer};

use crate::link::Link;

/// Frames that the socket had no room for, oldest first.
#[derive(Default)]
pub(crate) struct Backlog {
    frames: VecDeque<Waiting>,
    bytes: usize,
    /// Since when nothing has moved.
    stuck_since: Millis,
    /// The connection is ended for it when the turn is over; nothing more is put here until then.
    pub(crate) is_given_up: bool,
}

struct Waiting {
    bytes: Box<[u8]>,
    /// How much of it the socket has already. A frame that has begun must be finished.
    written: usize,
    /// Hash of the topic for messages that may be dropped; 0 for everything else.
    topic: u64,
}

/// How much is offered to the socket at once.
const WRITE_BYTES: usize = 64 << 10;

impl Backlog {
    pub(crate) fn new(now: Millis) -> Self {
        Self { stuck_since: now, ..Self::default() }
    }

    pub(crate) fn push(&mut self, bytes: &[u8], written: usize, topic: u64) {
        self.bytes += bytes.len() - written;
        self.frames.push_back(Waiting { bytes: bytes.into(), written, topic });
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn stuck_ms(&self, now: Millis) -> u64 {
        now.saturating_sub(self.stuck_since)
    }

    /// Writes as much as the socket takes. `Ok(true)` when nothing waits any more.
    pub(crate) fn write_to(&mut self, link: &mut Link, scratch: &mut Vec<u8>, now: Millis) -> io::Result<bool> {
        while !self.frames.is_empty() {
            scratch.clear();
            for frame in &self.frames {
                scratch.extend_from_slice(&frame.bytes[frame.written..]);
                if scratch.len() >= WRITE_BYTES {
                    break;
                }
            }
            let written = match link.write(scratch) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            self.stuck_since = now;
            let is_short = written < scratch.len();
            self.advance(written);
            if is_short {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(front) = self.frames.front_mut() {
            let left = front.bytes.len() - front.written;
            if written < left {
                front.written += written;
                return;
            }
            written -= left;
            self.frames.pop_front();
        }
    }

    /// Applies a space's rule until at most `bytes_max` wait. Says how many messages were dropped;
    /// `None` when the rule is to disconnect, or dropping does not suffice.
    pub(crate) fn relieve(&mut self, rule: SlowConsumer, bytes_max: usize) -> Option<u64> {
        let dropped = match rule {
            SlowConsumer::Disconnect => return None,
            SlowConsumer::DropOldest => self.drop_oldest(bytes_max),
            SlowConsumer::KeepLatest => self.keep_latest(),
        };
        (self.bytes <= bytes_max).then_some(dropped)
    }

    fn drop_oldest(&mut self, bytes_max: usize) -> u64 {
        let mut over = self.bytes.saturating_sub(bytes_max);
        self.retain(|frame| {
            let goes = over > 0 && frame.topic != 0 && frame.written == 0;
            over = over.saturating_sub(if goes { frame.bytes.len() } else { 0 });
            !goes
        })
    }

    fn keep_latest(&mut self) -> u64 {
        let mut seen = hashbrown::HashSet::<u64, foldhash::fast::RandomState>::default();
        let mut is_latest: Vec<bool> = self.frames.iter().rev().map(|f| f.topic == 0 || seen.insert(f.topic)).collect();
        self.retain(|frame| is_latest.pop().unwrap_or(true) || frame.written > 0)
    }

    /// Drops every message that has not begun, so that a goodbye can follow.
    pub(crate) fn drop_messages(&mut self) -> u64 {
        self.retain(|frame| frame.topic == 0 || frame.written > 0)
    }

    fn retain(&mut self, mut keeps: impl FnMut(&Waiting) -> bool) -> u64 {
        let before = self.frames.len();
        let mut bytes = 0;
        self.frames.retain(|frame| {
            let stays = keeps(frame);
            bytes += if stays { frame.bytes.len() - frame.written } else { 0 };
            stays
        });
        self.bytes = bytes;
        (before - self.frames.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backlog(frames: &[(&str, usize, u64)]) -> Backlog {
        let mut backlog = Backlog::new(0);
        for (bytes, written, topic) in frames {
            backlog.push(bytes.as_bytes(), *written, *topic);
        }
        backlog
    }

    fn texts(backlog: &Backlog) -> Vec<&str> {
        backlog.frames.iter().map(|f| std::str::from_utf8(&f.bytes).unwrap()).collect()
    }

    #[test]
    fn dropping_the_oldest_spares_replies_and_what_has_begun() {
        let mut backlog = backlog(&[("begun", 2, 1), ("reply", 0, 0), ("old", 0, 1), ("new", 0, 2)]);
        assert_eq!(backlog.bytes(), 14);
        assert_eq!(backlog.relieve(SlowConsumer::DropOldest, 11), Some(1));
        assert_eq!(texts(&backlog), ["begun", "reply", "new"]);
        assert_eq!(backlog.bytes(), 11);
        assert_eq!(backlog.relieve(SlowConsumer::DropOldest, 2), None);
    }

    #[test]
    fn keeping_the_latest_keeps_one_message_of_each_topic() {
        let mut backlog =
            backlog(&[("a1", 0, 1), ("b1", 0, 2), ("reply", 0, 0), ("a2", 0, 1), ("b2", 0, 2), ("a3", 0, 1)]);
        assert_eq!(backlog.relieve(SlowConsumer::KeepLatest, 100), Some(3));
        assert_eq!(texts(&backlog), ["reply", "b2", "a3"]);
    }

    #[test]
    fn disconnecting_relieves_nothing() {
        assert_eq!(backlog(&[("a", 0, 1)]).relieve(SlowConsumer::Disconnect, 0), None);
    }
}
