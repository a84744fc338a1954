//! How far a subscription has read.
//!
//! Positions count the messages of a whole space, and a message that several subscriptions of a
//! connection match arrives once for all of them. So while one subscription still catches up,
//! messages from behind its catch-up may arrive that are meant for another one too. They are shown
//! at once but do not move the cursor past what is still to come.

use std::collections::BTreeSet;

/// Messages shown ahead of a catch-up; beyond it the catch-up is taken for finished.
const AHEAD_MAX: usize = 4_096;

/// Where a reader stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor {
    /// Everything up to here was seen.
    done: Option<Place>,
    /// Where the log ended when the catch-up began; absent when there is none.
    head: Option<Place>,
    /// Offsets behind `head` that were seen during the catch-up.
    ahead: BTreeSet<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    epoch: String,
    offset: u64,
}

impl Place {
    fn parse(position: &str) -> Option<Self> {
        let (epoch, offset) = position.split_once('-')?;
        Some(Self { epoch: epoch.to_owned(), offset: offset.parse().ok()? })
    }

    fn is_at_or_behind(&self, other: &Self) -> bool {
        self.epoch == other.epoch && self.offset <= other.offset
    }
}

impl Cursor {
    /// A reader that has seen everything up to `position`.
    pub(crate) fn at(position: &str) -> Self {
        Self { done: Place::parse(position), ..Self::default() }
    }

    /// Where to resume.
    pub(crate) fn position(&self) -> Option<String> {
        let done = self.done.as_ref()?;
        Some(format!("{}-{}", done.epoch, done.offset))
    }

    /// The server began to send everything since the cursor; its log ends at `head` now.
    pub(crate) fn catch_up_to(&mut self, head: &str) {
        self.head = Place::parse(head).filter(|head| match &self.done {
            Some(done) => !head.is_at_or_behind(done),
            None => true,
        });
    }

    /// Whether the message at `position` is new. `is_shared` says that it is meant for another
    /// subscription as well.
    pub(crate) fn admit(&mut self, position: &str, is_shared: bool) -> bool {
        let Some(place) = Place::parse(position) else {
            return true;
        };
        if self.done.as_ref().is_some_and(|done| place.is_at_or_behind(done)) {
            return false;
        }
        let is_known_epoch = match &self.done {
            Some(done) => done.epoch == place.epoch,
            None => true,
        };
        if !is_known_epoch {
            self.head = None;
            self.ahead.clear();
        }
        if self.ahead.contains(&place.offset) {
            return false;
        }
        let is_behind_head = match &self.head {
            Some(head) => !place.is_at_or_behind(head),
            None => false,
        };
        if is_behind_head && is_shared && self.ahead.len() < AHEAD_MAX {
            self.ahead.insert(place.offset);
            return true;
        }
        self.advance(place);
        true
    }

    fn advance(&mut self, mut place: Place) {
        let is_caught_up = match &self.head {
            Some(head) => head.epoch != place.epoch || head.offset <= place.offset,
            None => true,
        };
        if is_caught_up {
            self.head = None;
            if let Some(last) = std::mem::take(&mut self.ahead).last() {
                place.offset = place.offset.max(*last);
            }
        }
        self.done = Some(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(cursor: &mut Cursor, positions: &[&str], is_shared: bool) -> Vec<bool> {
        positions.iter().map(|p| cursor.admit(p, is_shared)).collect()
    }

    #[test]
    fn repetitions_are_not_new() {
        let mut cursor = Cursor::at("a-5");
        let positions = ["a-5", "a-4", "a-6", "a-6", "a-9"];
        assert_eq!(admitted(&mut cursor, &positions, false), [false, false, true, false, true]);
        assert_eq!(cursor.position().as_deref(), Some("a-9"));
    }

    #[test]
    fn a_new_epoch_starts_over() {
        let mut cursor = Cursor::at("a-5");
        assert_eq!(admitted(&mut cursor, &["b-1", "b-1"], false), [true, false]);
        assert_eq!(cursor.position().as_deref(), Some("b-1"));
    }

    #[test]
    fn a_shared_message_does_not_end_a_catch_up() {
        let mut cursor = Cursor::at("a-5");
        cursor.catch_up_to("a-10");
        assert!(cursor.admit("a-11", true));
        assert_eq!(cursor.position().as_deref(), Some("a-5"));
        assert_eq!(admitted(&mut cursor, &["a-7", "a-11"], true), [true, false]);
        assert_eq!(cursor.position().as_deref(), Some("a-7"));
        assert!(cursor.admit("a-10", false));
        assert_eq!(cursor.position().as_deref(), Some("a-11"));
        assert!(cursor.admit("a-12", true));
        assert_eq!(cursor.position().as_deref(), Some("a-12"));
    }

    #[test]
    fn a_message_of_its_own_ends_a_catch_up() {
        let mut cursor = Cursor::default();
        cursor.catch_up_to("a-10");
        assert_eq!(admitted(&mut cursor, &["a-3", "a-12"], false), [true, true]);
        assert_eq!(cursor.position().as_deref(), Some("a-12"));
    }

    #[test]
    fn a_position_of_another_kind_is_always_new() {
        let mut cursor = Cursor::at("a-5");
        assert_eq!(admitted(&mut cursor, &["?", "?"], false), [true, true]);
    }
}
