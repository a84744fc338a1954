//! A disk that fills up, and is emptied again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fanfare_core::{Log, LogError};
use fanfare_store::StoreOptions;

use crate::support::*;

/// A small disk that exists as long as this does.
struct Disk(tempfile::TempDir);

/// Why a test cannot run here.
#[derive(Debug)]
struct Skipped(&'static str);

impl Disk {
    fn mount(size: &str) -> Result<Self, Skipped> {
        if !is_root() {
            return Err(Skipped("mounting a small disk needs root"));
        }
        let dir = tempfile::tempdir().unwrap();
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", size, "fanfare-test"]).arg(dir.path()).status();
        match status {
            Ok(status) if status.success() => Ok(Self(dir)),
            _ => Err(Skipped("this system does not let us mount")),
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all room but about `left` bytes.
    fn fill(&self, left: usize) -> PathBuf {
        let ballast = self.path().join("ballast");
        let reserve = self.path().join("reserve");
        fs::write(&reserve, vec![1; left]).unwrap();
        let mut size = 0;
        let chunk = vec![1; 64 << 10];
        let mut file = fs::File::create(&ballast).unwrap();
        while std::io::Write::write_all(&mut file, &chunk).is_ok() {
            size += chunk.len();
        }
        assert!(size > 0);
        fs::remove_file(reserve).unwrap();
        ballast
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        let is_gone = unmounted.is_ok_and(|status| status.success());
        assert!(is_gone || std::thread::panicking());
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n")
}

fn check(left: usize, options: StoreOptions) -> Result<(), Skipped> {
    let disk = Disk::mount("size=24m")?;
    let dir = disk.path().join("data");
    let (log, _) = open_with(&dir, options.clone());
    let space = enter(&log, "a");
    let mut acknowledged = Vec::new();
    let mut offset = space.next_offset;
    for round in 0..3 {
        let ballast = disk.fill(left);
        let failure = loop {
            match append_and_wait(&log, batch(vec![message(&space, offset, 3_000)])) {
                Ok(()) => acknowledged.push(offset),
                Err(error) => break error,
            }
            offset += 1;
        };
        offset += 1;
        let is_full = |error: &LogError| matches!(error, LogError::Failing(why) if why.contains("No space left"));
        assert!(matches!(failure, LogError::Failing(_)), "{failure}");
        wait_until("the reason is known", || log.failure().as_ref().is_some_and(is_full));
        let refused = log.append(batch(vec![message(&space, offset, 9)]));
        assert!(is_full(&refused.unwrap_err()) && log.flush().is_err());
        fs::remove_file(ballast).unwrap();
        wait_until("storage works again", || log.failure().is_none());
        append_and_wait(&log, batch(vec![message(&space, offset, 9)])).unwrap();
        acknowledged.push(offset);
        offset += 1;
        println!("round {round}: {} acknowledged", acknowledged.len());
    }
    log.close().unwrap();
    let (log, report) = open_with(&dir, options);
    let found = offsets(&replay(&log, "a").0);
    assert_eq!(report.cut_bytes, 0);
    let lost: Vec<_> = acknowledged.iter().filter(|offset| !found.contains(offset)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(enter(&log, "a").next_offset >= offset);
    Ok(())
}

fn report(outcome: Result<(), Skipped>) {
    if let Err(Skipped(why)) = outcome {
        println!("skipped: {why}");
    }
}

fn options(memtable_bytes: u64) -> StoreOptions {
    StoreOptions { memtable_bytes, retry_interval: Duration::from_millis(50), ..StoreOptions::default() }
}

#[test]
fn a_full_disk_refuses_and_recovers_when_the_journal_meets_it() {
    report(check(700 << 10, options(8 << 20)));
}

#[test]
fn a_full_disk_refuses_and_recovers_when_a_table_meets_it() {
    report(check(2 << 20, options(128 << 10)));
}
