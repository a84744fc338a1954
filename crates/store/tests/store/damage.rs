//! A journal that ends early or reads back wrong.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::LazyLock;

use fanfare_core::Offset;
use fanfare_store::{EmbeddedLog, StoreError, StoreOptions};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::*;

const SPACE: &str = "a";

/// A store of acknowledged batches, with where each ends in the journal.
struct Written {
    dir: TempDir,
    batches: Vec<(u64, Vec<Offset>)>,
}

static WRITTEN: LazyLock<Written> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    enter(&log, SPACE);
    drop(log);
    // Opened anew, the journal has no room allocated ahead: its length is its end.
    let (log, _) = open(dir.path());
    let space = enter(&log, SPACE);
    let mut offset = space.next_offset;
    let mut batches = Vec::new();
    for number in 0..12_u64 {
        let last = offset + number % 3;
        let offsets: Vec<_> = (offset..=last).collect();
        let size = if number % 4 == 3 { 3_000 } else { 150 };
        let messages: Vec<_> = offsets.iter().map(|o| message(&space, *o, size)).collect();
        let mut batch = batch(messages.clone());
        batch.retained = vec![(topic("last"), messages.last().cloned())];
        append_and_wait(&log, batch).unwrap();
        batches.push((fs::metadata(journal(dir.path())).unwrap().len(), offsets));
        offset = last + 1;
    }
    // The directory as a crash would leave it, before closing writes more.
    let copied = tempfile::tempdir().unwrap();
    copy(dir.path(), copied.path());
    Written { dir: copied, batches }
});

impl Written {
    fn len(&self) -> u64 {
        self.batches.last().unwrap().0
    }

    fn copy(&self) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        copy(self.dir.path(), dir.path());
        dir
    }

    /// Bytes up to the last that is not zero: a zero cannot be told from room allocated ahead.
    fn weight(&self, begin: u64, end: u64) -> u64 {
        let bytes = fs::read(journal(self.dir.path())).unwrap();
        let range = usize::try_from(begin).unwrap()..usize::try_from(end).unwrap();
        let last = bytes[range].iter().rposition(|byte| *byte != 0);
        last.map_or(0, |at| at as u64 + 1)
    }

    fn before(&self, cut: u64) -> Vec<Offset> {
        let whole = self.batches.iter().filter(|(end, _)| *end <= cut);
        whole.flat_map(|(_, offsets)| offsets.clone()).collect()
    }
}

fn edit(dir: &Path) -> File {
    File::options().read(true).write(true).open(journal(dir)).unwrap()
}

/// Exactly the batches before the cut are there, the rest is reported, and the store goes on.
fn check_cut(cut: u64, zeros: u64) {
    let dir = WRITTEN.copy();
    let file = edit(dir.path());
    file.set_len(cut).unwrap();
    file.set_len(cut + zeros).unwrap();
    let (log, report) = open(dir.path());
    let expected = WRITTEN.before(cut);
    let (messages, retained) = replay(&log, SPACE);
    assert_eq!(offsets(&messages), expected, "cut at {cut}");
    assert_eq!(offsets(&retained).first(), expected.last(), "cut at {cut}");
    let end = WRITTEN.batches.iter().map(|(end, _)| *end).filter(|end| *end <= cut).max();
    if let Some(end) = end {
        assert!(report.cut_bytes <= cut - end, "cut at {cut}");
        assert_eq!(report.cut_bytes > 0, report.cut_file.is_some());
        if zeros == 0 {
            assert_eq!(report.cut_bytes, WRITTEN.weight(end, cut), "cut at {cut}");
        }
    }
    let space = enter(&log, SPACE);
    append_and_wait(&log, batch(vec![message(&space, space.next_offset, 9)])).unwrap();
    drop(log);
    let (log, report) = open(dir.path());
    assert_eq!(report.cut_bytes, 0);
    assert_eq!(replay(&log, SPACE).0.len(), expected.len() + 1);
}

/// The store refuses to open and changes nothing, or nothing is lost.
fn check_flip(at: u64, bit: u8) {
    let dir = WRITTEN.copy();
    let path = journal(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(at).unwrap()] ^= 1 << bit;
    fs::write(&path, &bytes).unwrap();
    match EmbeddedLog::open(dir.path(), StoreOptions::default()) {
        Err(error @ StoreError::Damaged { .. }) => {
            let text = error.to_string();
            assert!(text.contains(dir.path().to_str().unwrap()), "{text}");
            assert_eq!(fs::read(&path).unwrap(), bytes, "bit {bit} of byte {at}");
        }
        Err(error) => panic!("bit {bit} of byte {at}: {error}"),
        Ok((log, report)) => {
            assert_eq!(report.cut_bytes, 0, "bit {bit} of byte {at}");
            let expected = WRITTEN.before(u64::MAX);
            assert_eq!(offsets(&replay(&log, SPACE).0), expected, "bit {bit} of byte {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn a_journal_cut_anywhere_keeps_every_whole_batch(
        place in 0.0..1.0_f64,
        zeros in prop::sample::select(vec![0, 1, 700, 100_000]),
    ) {
        check_cut((place * WRITTEN.len() as f64) as u64, zeros);
    }

    #[test]
    fn a_flipped_bit_is_refused_or_harmless(place in 0.0..1.0_f64, bit in 0..8_u8) {
        check_flip((place * WRITTEN.len() as f64) as u64, bit);
    }
}

#[test]
fn every_cut_around_the_last_seal_keeps_the_batches_before() {
    for cut in WRITTEN.len() - 90..=WRITTEN.len() {
        check_cut(cut, if cut % 2 == 0 { 0 } else { 4_096 });
    }
}

#[test]
fn every_flip_at_both_ends_of_the_last_commit_is_refused_or_harmless() {
    let (begin, end) = (WRITTEN.batches[10].0, WRITTEN.len());
    for at in (begin..begin + 60).chain(end - 90..end) {
        check_flip(at, (at % 8) as u8);
    }
}

fn zero_sector_in(batch: usize) -> TempDir {
    let dir = WRITTEN.copy();
    let begin = WRITTEN.batches[batch - 1].0.next_multiple_of(512) + 512;
    assert!(begin + 512 < WRITTEN.batches[batch].0);
    let mut file = edit(dir.path());
    file.seek(SeekFrom::Start(begin)).unwrap();
    file.write_all(&[0; 512]).unwrap();
    dir
}

#[test]
fn a_hole_below_something_synced_is_damage() {
    let dir = zero_sector_in(7);
    let Err(error) = EmbeddedLog::open(dir.path(), StoreOptions::default()) else {
        panic!("a store with a hole was opened");
    };
    let text = error.to_string();
    assert!(text.contains(journal(dir.path()).to_str().unwrap()), "{text}");
    assert!(text.contains("on disk before"), "{text}");
}

#[test]
fn a_hole_in_the_last_commit_is_a_torn_write() {
    let dir = zero_sector_in(11);
    let (log, report) = open(dir.path());
    assert_eq!(offsets(&replay(&log, SPACE).0), WRITTEN.before(WRITTEN.batches[10].0));
    assert_eq!(report.cut_bytes, WRITTEN.len() - WRITTEN.batches[10].0);
}

#[test]
fn a_missing_journal_between_two_is_damage() {
    let dir = WRITTEN.copy();
    // What comes after the cut stands in the next journal, as if it had been rotated there.
    let path = journal(dir.path());
    let bytes = fs::read(&path).unwrap();
    let cut = |batch: usize| usize::try_from(WRITTEN.batches[batch].0).unwrap();
    fs::write(&path, &bytes[..cut(4)]).unwrap();
    fs::write(path.with_file_name("77.jnl"), &bytes[cut(6)..]).unwrap();
    let Err(error) = EmbeddedLog::open(dir.path(), StoreOptions::default()) else {
        panic!("a store with a gap was opened");
    };
    assert!(error.to_string().contains("follows on"), "{error}");
}
