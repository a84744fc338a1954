//! SIGKILL while messages are committed. The test starts itself as the process that dies.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use fanfare_core::{Log, Offset};
use fanfare_store::StoreOptions;
use parking_lot::Mutex;

use crate::support::*;

const DIR: &str = "FANFARE_STORE_CRASH_DIR";
const IN_FLIGHT_MAX: usize = 500;

/// Tables and rotations within a second of messages.
fn options() -> StoreOptions {
    StoreOptions { memtable_bytes: 512 << 10, ..StoreOptions::default() }
}

/// Not a test of its own: appends until killed, printing what it hands out and what is told done.
#[test]
fn victim() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let (log, _) = open_with(Path::new(&dir), options());
    let space = enter(&log, "a");
    let say = |word: &str, offset: Offset| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{word} {offset}").and_then(|()| out.flush()).unwrap();
    };
    let (tx, rx) = sync_channel(IN_FLIGHT_MAX);
    let rx = Arc::new(Mutex::new(rx));
    for offset in space.next_offset.. {
        say("handed", offset);
        let size = 200 + (offset as usize * 37) % 3_000;
        let mut batch = batch(vec![message(&space, offset, size)]);
        // Some are published without waiting for the disk.
        if offset % 4 != 0 {
            tx.send(()).unwrap();
            let rx = rx.clone();
            batch.done = Some(Box::new(move |answer| {
                answer.unwrap();
                say("done", offset);
                rx.lock().recv().unwrap();
            }));
        }
        log.append(batch).unwrap();
    }
}

fn run_and_kill(dir: &Path, after: Duration) -> (Vec<Offset>, Vec<Offset>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::victim", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut handed, mut done) = (Vec::new(), Vec::new());
    let mut kill_at = None;
    while let Some(Ok(line)) = lines.next() {
        let words = line.split_once(' ');
        match words.and_then(|(word, offset)| Some((word, offset.parse().ok()?))) {
            Some(("handed", offset)) => handed.push(offset),
            Some(("done", offset)) => done.push(offset),
            _ => continue,
        }
        let at = *kill_at.get_or_insert_with(|| Instant::now() + after);
        if Instant::now() >= at && !done.is_empty() {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    (handed, done)
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    let mut highest = 0;
    for round in 0..6 {
        let chance = RandomState::new().build_hasher().finish() % 200;
        let after = Duration::from_millis(20 + chance + round * 100);
        let (handed, done) = run_and_kill(dir.path(), after);
        assert!(!done.is_empty() && handed[0] > highest, "round {round}");
        highest = *handed.iter().max().unwrap();
        assert!(done.is_sorted());
        acknowledged.extend(done);
        let (log, report) = open_with(dir.path(), options());
        let (messages, _) = replay(&log, "a");
        let found = offsets(&messages);
        assert!(found.is_sorted_by(|a, b| a < b));
        let lost = acknowledged.iter().find(|offset| found.binary_search(offset).is_err());
        assert_eq!(lost, None, "round {round}: {report:?}");
        for message in &messages {
            let expected = format!("{}:", message.offset);
            assert!(message.payload.starts_with(expected.as_bytes()));
        }
        println!("round {round}: {} acknowledged, {report:?}", acknowledged.len());
        // What closing writes would hide a crash from the next round.
        let crashed = tempfile::tempdir().unwrap();
        copy(dir.path(), crashed.path());
        drop(log);
        assert!(enter(&open_with(crashed.path(), options()).0, "a").next_offset > highest);
    }
}
