//! An item in bytes: a record that never changes, and a small one beside it that does.
//!
//! | record   | key               | value                                                                |
//! |----------|-------------------|----------------------------------------------------------------------|
//! | item     | id, 8 bytes       | version 1, since (8 bytes), length of the head (4 bytes), head, body  |
//! | progress | id, 8 bytes, `p`  | version 1, tries (4 bytes), failures (4 bytes), due (8 bytes)         |
//!
//! Numbers are big-endian, so that the order of keys is that of ids. The head is JSON.

use bytes::{BufMut, Bytes, BytesMut};
use fanfare_core::Millis;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Version of both values.
const VERSION: u8 = 1;
/// What the key of a progress record ends with.
const PROGRESS: u8 = b'p';
/// Bytes before the head.
const PREFIX_BYTES: usize = 13;

/// How far the work on an item has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How often it was tried.
    pub tries: u32,
    /// How many of those tries count as failures, in the words of whoever works on it.
    pub failures: u32,
    /// When to try next, in milliseconds since 1970; 0 means at once.
    pub due: Millis,
}

/// Of which record a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Item(u64),
    Progress(u64),
}

impl Key {
    pub(crate) fn read(key: &[u8]) -> Option<Self> {
        let (id, rest) = key.split_first_chunk::<8>()?;
        match rest {
            [] => Some(Self::Item(u64::from_be_bytes(*id))),
            [PROGRESS] => Some(Self::Progress(u64::from_be_bytes(*id))),
            _ => None,
        }
    }

    pub(crate) fn write(self) -> Vec<u8> {
        match self {
            Self::Item(id) => id.to_be_bytes().to_vec(),
            Self::Progress(id) => [&id.to_be_bytes()[..], &[PROGRESS]].concat(),
        }
    }
}

/// The value of an item's record. `None` when the head has no JSON form, or 4 GiB of it.
pub(crate) fn write_item(head: &impl Serialize, body: &[u8], since: Millis) -> Option<Bytes> {
    let head = serde_json::to_vec(head).ok()?;
    let mut value = BytesMut::with_capacity(PREFIX_BYTES + head.len() + body.len());
    value.put_u8(VERSION);
    value.put_u64(since);
    value.put_u32(u32::try_from(head.len()).ok()?);
    value.put_slice(&head);
    value.put_slice(body);
    Some(value.freeze())
}

/// Head, body and time of an item's record.
pub(crate) fn read_item<H: DeserializeOwned>(value: &Bytes) -> Option<(H, Bytes, Millis)> {
    let (version, rest) = value.split_first()?;
    let (since, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let head = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let body = value.slice(PREFIX_BYTES + head.len()..);
    let head = (*version == VERSION).then(|| serde_json::from_slice(head).ok())??;
    Some((head, body, u64::from_be_bytes(*since)))
}

impl Progress {
    pub(crate) fn write(self) -> Bytes {
        let mut value = BytesMut::with_capacity(17);
        value.put_u8(VERSION);
        value.put_u32(self.tries);
        value.put_u32(self.failures);
        value.put_u64(self.due);
        value.freeze()
    }

    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let (version, rest) = value.split_first()?;
        let (tries, rest) = rest.split_first_chunk::<4>()?;
        let (failures, due) = rest.split_first_chunk::<4>()?;
        let due = u64::from_be_bytes(due.try_into().ok()?);
        let (tries, failures) = (u32::from_be_bytes(*tries), u32::from_be_bytes(*failures));
        (*version == VERSION).then_some(Self { tries, failures, due })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn items_come_back_as_they_were(head in ".{0,40}", body in proptest::collection::vec(any::<u8>(), 0..60), since: u64) {
            let value = write_item(&head, &body, since).unwrap();
            prop_assert_eq!(read_item::<String>(&value), Some((head, Bytes::from(body), since)));
        }

        #[test]
        fn progress_comes_back_as_it_was(tries: u32, failures: u32, due: u64) {
            let progress = Progress { tries, failures, due };
            prop_assert_eq!(Progress::read(&progress.write()), Some(progress));
        }

        #[test]
        fn whatever_is_read_does_no_harm(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (Progress::read(&value), Key::read(&value), read_item::<String>(&Bytes::from(value)));
        }

        #[test]
        fn keys_are_in_the_order_of_ids(first: u64, second: u64) {
            for id in [first, second] {
                prop_assert_eq!(Key::read(&Key::Item(id).write()), Some(Key::Item(id)));
                prop_assert_eq!(Key::read(&Key::Progress(id).write()), Some(Key::Progress(id)));
            }
            prop_assert_eq!(first.cmp(&second), Key::Item(first).write().cmp(&Key::Item(second).write()));
        }
    }
}
