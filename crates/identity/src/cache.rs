//! Tokens that were verified lately, so that a herd of reconnecting clients costs a lookup each.

use std::sync::Arc;

use fanfare_core::{Millis, Principal};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;

/// SHA-256 over the whole token. A collision would let one token pass for another, so the key is
/// a cryptographic hash; the tokens themselves, up to 16 KiB each, are not kept.
pub(crate) type Digest = [u8; 32];

pub(crate) fn digest_of(token: &str) -> Digest {
    let mut bytes = [0; 32];
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) principal: Arc<Principal>,
    pub(crate) valid_from: Millis,
}

type Entries = HashMap<Digest, Entry, RandomState>;

/// Two halves stand in for an order of use: what is used moves to the young half, and when that is
/// full the old half is dropped. Nothing that was used within the last `entries_max / 2` different
/// tokens is lost, at the price of one map operation instead of a list.
pub(crate) struct Cache {
    half_max: usize,
    halves: Mutex<(Entries, Entries)>,
}

impl Cache {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { half_max: entries_max / 2, halves: Mutex::default() }
    }

    pub(crate) fn get(&self, digest: &Digest) -> Option<Entry> {
        let mut halves = self.halves.lock();
        if let Some(entry) = halves.0.get(digest) {
            return Some(entry.clone());
        }
        let entry = halves.1.remove(digest)?;
        let dropped = self.put_young(&mut halves, *digest, entry.clone());
        drop(halves);
        drop(dropped);
        Some(entry)
    }

    pub(crate) fn put(&self, digest: Digest, entry: Entry) {
        let mut halves = self.halves.lock();
        halves.1.remove(&digest);
        let dropped = self.put_young(&mut halves, digest, entry);
        drop(halves);
        // Freed outside the lock: thousands of grants, while every shard may be waiting.
        drop(dropped);
    }

    pub(crate) fn remove(&self, digest: &Digest) {
        let mut halves = self.halves.lock();
        halves.0.remove(digest);
        halves.1.remove(digest);
    }

    pub(crate) fn len(&self) -> usize {
        let halves = self.halves.lock();
        halves.0.len() + halves.1.len()
    }

    fn put_young(&self, halves: &mut (Entries, Entries), digest: Digest, entry: Entry) -> Option<Entries> {
        if self.half_max == 0 {
            return None;
        }
        let mut dropped = None;
        if halves.0.len() >= self.half_max && !halves.0.contains_key(&digest) {
            let old = std::mem::take(&mut halves.0);
            dropped = Some(std::mem::replace(&mut halves.1, old));
        }
        halves.0.insert(digest, entry);
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry { principal: Arc::default(), valid_from: 0 }
    }

    #[test]
    fn it_stays_bounded_and_keeps_what_is_used() {
        let cache = Cache::new(100);
        let used = digest_of("used");
        cache.put(used, entry());
        for number in 0..10_000 {
            cache.put(digest_of(&number.to_string()), entry());
            assert!(cache.len() <= 100);
            assert!(cache.get(&used).is_some());
        }
        assert!(cache.get(&digest_of("1")).is_none());
        cache.remove(&used);
        assert!(cache.get(&used).is_none());
    }
}
