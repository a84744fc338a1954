//! Checking the engine's journal before the engine opens it.
//!
//! On its own the engine cuts its journal at the first byte that it cannot parse, without a word,
//! even when acknowledged commits stand behind it; and it refuses to open at all when a power cut
//! left a hole in the last commit. So we walk the journal first. Every commit ends with a
//! [`Seal`] which says how many commits were synced before it, and that tells the two apart:
//!
//! - **torn**: an end that was never synced, so never acknowledged. It is cut, and said.
//! - **damaged**: bytes changed below something that was synced, or in a commit that was written
//!   to its end. The store does not open and nothing is changed.
//!
//! The layout walked here is that of fjall 3 (its magic number is part of what is checked):
//! `start = 1u8, items u32, sequence u64`, `item = 2u8, type u8, compression u8, keyspace u64,
//! key length u16, length u32, length on disk u32, key, value`, `end = 3u8, checksum u64, "FJL\x03"`,
//! little endian.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::StoreError;
use crate::layout::{SEAL_BYTES, Seal, Sum};

const MAGIC: [u8; 4] = *b"FJL\x03";
const END_BYTES: usize = 13;
/// Devices write at least this much as one.
const SECTOR: usize = 512;
/// Sequence numbers are consumed one by each commit; a larger step is a flipped bit.
const SEQUENCE_STEP_MAX: u64 = 1 << 32;

/// What the journal holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Bytes of whole commits.
    pub(crate) bytes: u64,
    /// Number of the last whole commit, if the journal holds one.
    pub(crate) last_commit: Option<u64>,
    /// Where a torn end was cut, and how many bytes it had.
    pub(crate) cut: Option<(PathBuf, u64)>,
}

/// Walks all journals of the engine in `dir` and cuts what is torn.
///
/// With `keep_max`, commits above it are cut as well: after a failed sync nobody knows which of
/// them are on disk, whatever reading them back says.
pub(crate) fn check(dir: &Path, secret: &[u8; 16], keep_max: Option<u64>) -> Result<Survey, StoreError> {
    let mut walk = Walk { secret, keep_max, sequence: None, survey: Survey::default() };
    for path in files(dir)? {
        walk.file(&path)?;
    }
    Ok(walk.survey)
}

/// Journal files in the order they were written.
fn files(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let path = entry.map_err(StoreError::io("list", dir))?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse::<u64>().ok());
        if let Some(number) = number {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

struct Walk<'a> {
    secret: &'a [u8; 16],
    keep_max: Option<u64>,
    sequence: Option<u64>,
    survey: Survey,
}

impl Walk<'_> {
    fn file(&mut self, path: &Path) -> Result<(), StoreError> {
        let data = fs::read(path).map_err(StoreError::io("read", path))?;
        let data = without_zeros(&data);
        let mut at = 0;
        while at < data.len() {
            if let Some((cut, _)) = &self.survey.cut {
                return Err(damaged(cut, "it ends early, and a later journal goes on"));
            }
            match self.commit(data, at) {
                Ok(end) => at = end,
                Err(Stop::Torn) => {
                    cut(path, at)?;
                    let bytes = (data.len() - at) as u64;
                    self.survey.cut = Some((path.to_path_buf(), bytes));
                    break;
                }
                Err(Stop::Damaged(what)) => {
                    return Err(damaged(path, &format!("at byte {at}: {what}")));
                }
            }
        }
        self.survey.bytes += at as u64;
        Ok(())
    }

    /// Checks the commit at `at`; the answer is where it ends.
    fn commit(&mut self, data: &[u8], at: usize) -> Result<usize, Stop> {
        let found = match parse(data, at, self.secret) {
            Ok(found) => found,
            Err(broken) => return Err(self.judge(data, at, broken)),
        };
        if self.keep_max.is_some_and(|max| found.seal.commit > max) {
            return Err(Stop::Torn);
        }
        if let Some(last) = self.survey.last_commit
            && found.seal.commit != last + 1
        {
            let next = found.seal.commit;
            return Err(Stop::Damaged(format!("commit {next} follows on {last}")));
        }
        let is_in_step = match self.sequence {
            Some(last) => found.sequence > last && found.sequence - last < SEQUENCE_STEP_MAX,
            None => found.sequence < 1 << 62,
        };
        if !is_in_step {
            return Err(Stop::Damaged("sequence number out of step".into()));
        }
        self.sequence = Some(found.sequence);
        self.survey.last_commit = Some(found.seal.commit);
        Ok(found.end)
    }

    /// Torn or damaged? `data` has no zeros at its end.
    fn judge(&self, data: &[u8], at: usize, broken: Broken) -> Stop {
        let tail = &data[at..];
        let seals = seals(tail, self.secret);
        let expected = match (self.survey.last_commit, seals.first()) {
            (Some(last), _) => last + 1,
            (None, Some((_, seal))) => seal.commit,
            (None, None) => 0,
        };
        if self.keep_max.is_some_and(|max| expected > max) {
            return Stop::Torn;
        }
        if let Some((_, seal)) = seals.iter().find(|(_, seal)| seal.synced >= expected) {
            let later = seal.commit;
            return Stop::Damaged(format!(
                "commit {expected} does not read back, though it was on disk before commit {later}"
            ));
        }
        let written = match broken {
            Broken::End(from) if is_end_cut(&data[from..]) => return Stop::Torn,
            Broken::End(_) => tail.len(),
            Broken::Contents(end) => end - at,
            Broken::Structure => match seals.last() {
                Some((end, _)) => *end,
                None => return Stop::Torn,
            },
        };
        // Written beyond its end, and yet broken: only a sector that never reached the disk
        // excuses that, and such a sector reads as zeros.
        if has_hole(tail, at, written) {
            return Stop::Torn;
        }
        Stop::Damaged(format!("commit {expected} does not read back"))
    }
}

enum Stop {
    Torn,
    Damaged(String),
}

/// Where a commit fails to be one.
enum Broken {
    /// It does not parse.
    Structure,
    /// It parses up to its seal, and the items are as sealed; the end record from here on is not.
    End(usize),
    /// It parses to this end, but holds something else than what was sealed.
    Contents(usize),
}

struct Commit {
    sequence: u64,
    seal: Seal,
    end: usize,
}

fn parse(data: &[u8], at: usize, secret: &[u8; 16]) -> Result<Commit, Broken> {
    let mut input = Input { data, at };
    let (sequence, seal) = items(&mut input, secret).ok_or(Broken::Structure)?;
    let from = input.at;
    let is_ended = end_record(&mut input).is_some();
    match (seal, is_ended) {
        (Some(seal), true) => Ok(Commit { sequence, seal, end: input.at }),
        (Some(_), false) => Err(Broken::End(from)),
        (None, true) => Err(Broken::Contents(input.at)),
        (None, false) => Err(Broken::Structure),
    }
}

/// Sequence number, and the seal if it fits the items before it. `None` when they do not parse.
fn items(input: &mut Input<'_>, secret: &[u8; 16]) -> Option<(u64, Option<Seal>)> {
    if input.byte()? != 1 {
        return None;
    }
    let count = u32::from_le_bytes(input.array()?);
    let sequence = u64::from_le_bytes(input.array()?);
    let mut sum = Sum::default();
    for _ in 1..count {
        let item = input.item()?;
        add_item(&mut sum, item.keyspace, item.kind, item.key, item.value);
    }
    let last = input.item()?;
    let seal = Seal::decode(last.value, secret).filter(|seal| seal.sum == sum.finish());
    Some((sequence, seal))
}

/// What the seal's sum takes of an item. `kind` is 0 for a value and 1 for a removal.
pub(crate) fn add_item(sum: &mut Sum, keyspace: u64, kind: u8, key: &[u8], value: &[u8]) {
    sum.add_number(keyspace << 8 | u64::from(kind));
    sum.add(key);
    sum.add(value);
}

fn end_record(input: &mut Input<'_>) -> Option<()> {
    let is_end = input.byte()? == 3;
    input.take(8)?;
    (is_end && input.array()? == MAGIC).then_some(())
}

/// Whether the bytes are an end record of which only a part was written.
fn is_end_cut(rest: &[u8]) -> bool {
    let rest = rest.get(..END_BYTES).unwrap_or(rest);
    let written = without_zeros(rest);
    let is_begun = written.first().is_none_or(|tag| *tag == 3);
    let magic = written.get(9..).unwrap_or_default();
    is_begun && magic.len() < MAGIC.len() && MAGIC.starts_with(magic)
}

struct Item<'a> {
    keyspace: u64,
    kind: u8,
    key: &'a [u8],
    value: &'a [u8],
}

struct Input<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.data.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn item(&mut self) -> Option<Item<'a>> {
        let [2, kind @ (0 | 1), 0] = self.array()? else {
            return None;
        };
        let keyspace = u64::from_le_bytes(self.array()?);
        let key_len = u16::from_le_bytes(self.array()?);
        let value_len = u32::from_le_bytes(self.array()?);
        // Nothing is compressed in our journal.
        if u32::from_le_bytes(self.array()?) != value_len {
            return None;
        }
        let key = self.take(usize::from(key_len))?;
        let value = self.take(usize::try_from(value_len).ok()?)?;
        Some(Item { keyspace, kind, key, value })
    }
}

/// Every seal in `data`, with where it ends.
fn seals(data: &[u8], secret: &[u8; 16]) -> Vec<(usize, Seal)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(step) = data.get(from..).and_then(|rest| rest.iter().position(|byte| *byte == secret[0])) {
        let at = from + step;
        let bytes = data.get(at..at + SEAL_BYTES).unwrap_or_default();
        if let Some(seal) = Seal::decode(bytes, secret) {
            found.push((at + SEAL_BYTES, seal));
        }
        from = at + 1;
    }
    found
}

/// Whether a whole sector below `len` is zeros. `tail` begins at byte `at` of its file.
fn has_hole(tail: &[u8], at: usize, len: usize) -> bool {
    let to_boundary = at.next_multiple_of(SECTOR) - at;
    let written = tail.get(..len).unwrap_or(tail);
    let sectors = written.get(to_boundary..).unwrap_or_default();
    sectors.chunks_exact(SECTOR).any(|s| *s == [0; SECTOR])
}

/// The engine allocates 64 MiB of zeros ahead; they are no part of the journal.
fn without_zeros(data: &[u8]) -> &[u8] {
    let mut end = data.len();
    while end >= SECTOR && data[end - SECTOR..end] == [0; SECTOR] {
        end -= SECTOR;
    }
    let last = data[..end].iter().rposition(|byte| *byte != 0);
    &data[..last.map_or(0, |at| at + 1)]
}

fn cut(path: &Path, at: usize) -> Result<(), StoreError> {
    let cut = |file: File| {
        file.set_len(at as u64)?;
        file.sync_all()
    };
    let file = File::options().write(true).open(path);
    file.and_then(cut).map_err(StoreError::io("cut", path))
}

fn damaged(path: &Path, what: &str) -> StoreError {
    StoreError::Damaged { path: path.to_path_buf(), what: what.to_owned() }
}
