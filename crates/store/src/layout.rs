//! Keys and small values on disk, and the seal that ends every commit.
//!
//! | keyspace | key | value |
//! | --- | --- | --- |
//! | `log` | space id u32, offset u64 | record |
//! | `retained` | space id u32, topic | offset u64, record |
//! | `records` | table u8, key | value |
//! | `meta` | `s` name | space id u32, epoch u64 |
//! | `meta` | `r` space id | reserved offset u64: none at or above it was handed out |
//! | `meta` | `t` space id | highest trimmed offset u64 |
//! | `meta` | `m` | seal of the newest commit |
//!
//! Numbers are big endian, so keys sort as numbers do. The format's own version stands in a text
//! file of the directory, where it can be read before anything is touched.

use fanfare_core::{Offset, RecordTable};

/// The version of everything in this file, in `record` and in `journal`.
pub(crate) const FORMAT: u32 = 1;

/// Number of a space in keys.
pub(crate) type SpaceId = u32;

/// How many offsets are reserved at a time. A power cut costs this much of the numbering, and
/// nothing else.
pub(crate) const RESERVE: u64 = 1 << 20;

/// Longest key of a small record, in bytes; the engine's own limit is 65,535.
pub(crate) const RECORD_KEY_BYTES_MAX: usize = 60_000;

pub(crate) const SEAL_KEY: &[u8] = b"m";
pub(crate) const NAME_PREFIX: u8 = b's';

pub(crate) fn log_key(space: SpaceId, offset: Offset) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&space.to_be_bytes());
    key[4..].copy_from_slice(&offset.to_be_bytes());
    key
}

/// The offset in a key of `log`.
pub(crate) fn offset_of(key: &[u8]) -> Option<Offset> {
    let (_, offset) = key.split_first_chunk::<4>()?;
    Some(u64::from_be_bytes(offset.try_into().ok()?))
}

pub(crate) fn retained_key(space: SpaceId, topic: &str) -> Vec<u8> {
    [&space.to_be_bytes(), topic.as_bytes()].concat()
}

pub(crate) fn record_key(table: RecordTable, key: &[u8]) -> Vec<u8> {
    [&[table_code(table)], key].concat()
}

/// A stable number for each table.
pub(crate) fn table_code(table: RecordTable) -> u8 {
    match table {
        RecordTable::Revocations => 1,
        RecordTable::Node => 2,
        RecordTable::Usage => 3,
        RecordTable::Sessions => 4,
        RecordTable::Shadows => 5,
        RecordTable::Rules => 6,
        RecordTable::Events => 7,
        RecordTable::Calls => 8,
        RecordTable::Deliveries => 9,
        RecordTable::Connections => 10,
        RecordTable::Caches => 11,
        RecordTable::Webhooks => 12,
        RecordTable::WebhookDeliveries => 13,
    }
}

pub(crate) fn name_key(name: &str) -> Vec<u8> {
    [&[NAME_PREFIX], name.as_bytes()].concat()
}

pub(crate) fn name_value(id: SpaceId, epoch: u64) -> [u8; 12] {
    log_key(id, epoch)
}

/// Space id and epoch.
pub(crate) fn parse_name_value(value: &[u8]) -> Option<(SpaceId, u64)> {
    let (id, epoch) = value.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*id), u64::from_be_bytes(epoch.try_into().ok()?)))
}

pub(crate) fn reserved_key(space: SpaceId) -> [u8; 5] {
    number_key(b'r', space)
}

pub(crate) fn trimmed_key(space: SpaceId) -> [u8; 5] {
    number_key(b't', space)
}

fn number_key(prefix: u8, space: SpaceId) -> [u8; 5] {
    let [a, b, c, d] = space.to_be_bytes();
    [prefix, a, b, c, d]
}

/// The last item of every commit. The secret is random, stands nowhere but in the directory, and
/// so no published payload can look like a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) secret: [u8; 16],
    /// Number of this commit: one more than that of the commit before.
    pub(crate) commit: u64,
    /// Highest commit that was synced when this one was written. What is damaged at or below it
    /// had been acknowledged; what is torn above it had not.
    pub(crate) synced: u64,
    /// [`Sum`] of the other items.
    pub(crate) sum: u64,
}

pub(crate) const SEAL_BYTES: usize = 48;

impl Seal {
    pub(crate) fn encode(&self) -> [u8; SEAL_BYTES] {
        let mut out = [0; SEAL_BYTES];
        out[..16].copy_from_slice(&self.secret);
        out[16..24].copy_from_slice(&self.commit.to_be_bytes());
        out[24..32].copy_from_slice(&self.synced.to_be_bytes());
        out[32..40].copy_from_slice(&self.sum.to_be_bytes());
        out[40..].copy_from_slice(&self.check().to_be_bytes());
        out
    }

    /// The seal, if `bytes` are one of the directory with this `secret`.
    pub(crate) fn decode(bytes: &[u8], secret: &[u8; 16]) -> Option<Self> {
        let (found, rest) = bytes.split_first_chunk::<16>()?;
        let (numbers, rest) = rest.as_chunks::<8>();
        let &[commit, synced, sum, check] = numbers else {
            return None;
        };
        let seal = Self {
            secret: *found,
            commit: u64::from_be_bytes(commit),
            synced: u64::from_be_bytes(synced),
            sum: u64::from_be_bytes(sum),
        };
        let is_ours = found == secret && rest.is_empty() && u64::from_be_bytes(check) == seal.check();
        is_ours.then_some(seal)
    }

    fn check(&self) -> u64 {
        let mut sum = Sum::default();
        for number in [self.commit, self.synced, self.sum] {
            sum.add_number(number);
        }
        sum.add(&self.secret);
        sum.finish()
    }
}

/// A checksum against torn writes and flipped bits, not against forgery. Every step is a
/// bijection of the state, so one changed word always changes the sum. About 3 GB/s.
#[derive(Clone, Copy)]
pub(crate) struct Sum(u64);

impl Default for Sum {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Sum {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.add_number(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add_number(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        self.add_number(u64::from_le_bytes(last));
    }

    pub(crate) fn add_number(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0xd6e8_feb8_6659_fd93);
        self.0 = mixed ^ (mixed >> 32);
    }

    pub(crate) fn finish(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAL: Seal = Seal { secret: [7; 16], commit: 12, synced: 9, sum: 77 };

    #[test]
    fn a_seal_survives_its_bytes_and_no_flipped_bit() {
        let bytes = SEAL.encode();
        assert_eq!(Seal::decode(&bytes, &SEAL.secret), Some(SEAL));
        assert_eq!(Seal::decode(&bytes, &[8; 16]), None);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Seal::decode(&flipped, &SEAL.secret), None, "bit {bit}");
        }
    }

    #[test]
    fn keys_sort_as_their_numbers_do() {
        assert!(log_key(1, u64::MAX) < log_key(2, 0));
        assert!(log_key(1, 255) < log_key(1, 256));
        assert_eq!(offset_of(&log_key(3, 77)), Some(77));
        assert_eq!(parse_name_value(&name_value(3, 77)), Some((3, 77)));
    }

    #[test]
    fn the_sum_tells_where_one_item_ends() {
        let sum = |parts: &[&[u8]]| {
            let mut sum = Sum::default();
            parts.iter().for_each(|part| sum.add(part));
            sum.finish()
        };
        assert_ne!(sum(&[b"ab", b"c"]), sum(&[b"a", b"bc"]));
        assert_ne!(sum(&[b"a"]), sum(&[b"a\0"]));
    }
}
