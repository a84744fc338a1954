//! What the port promises, on a healthy disk.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use bytes::Bytes;
use fanfare_core::{Log, LogBatch, LogError, RecordTable};
use fanfare_store::{EmbeddedLog, StoreOptions};

use crate::support::*;

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (log, report) = open(dir.path());
    assert!(report.is_new && log.is_durable());
    let space = enter(&log, "a");
    assert_eq!((space.next_offset, space.trimmed_through), (1, 0));
    let messages: Vec<_> = (1..=20).map(|offset| message(&space, offset, 50)).collect();
    for message in &messages {
        log.append(batch(vec![message.clone()])).unwrap();
    }
    log.close().unwrap();
    let (log, report) = open(dir.path());
    assert_eq!((report.is_new, report.spaces, report.cut_bytes), (false, 1, 0));
    let again = enter(&log, "a");
    assert_eq!((again.epoch, again.next_offset), (space.epoch, 21));
    let (found, retained) = replay(&log, "a");
    assert_eq!(found.iter().collect::<Vec<_>>(), messages.iter().map(|m| &**m).collect::<Vec<_>>());
    assert!(retained.is_empty());
    let read = log.read("a", &[7, 3, 99, 3]).unwrap();
    assert_eq!(read, [messages[2].clone(), messages[6].clone()]);
}

#[test]
fn spaces_are_apart_and_keep_their_epochs() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let (a, b) = (enter(&log, "a"), enter(&log, "b"));
    assert_ne!(a.epoch, b.epoch);
    append_and_wait(&log, batch(vec![message(&a, 1, 9)])).unwrap();
    assert_eq!(enter(&log, "a").next_offset, 2);
    append_and_wait(&log, batch(vec![message(&b, 1, 9), message(&b, 2, 9)])).unwrap();
    drop(log);
    let (log, _) = open(dir.path());
    assert_eq!(log.spaces().unwrap(), ["a".into(), "b".into()]);
    assert_eq!(offsets(&replay(&log, "a").0), [1]);
    assert_eq!(offsets(&replay(&log, "b").0), [1, 2]);
    assert_eq!(enter(&log, "b").epoch, b.epoch);
    assert!(replay(&log, "c").0.is_empty());
}

#[test]
fn a_batch_trims_and_retains_with_its_messages() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let space = enter(&log, "a");
    let first = message(&space, 1, 9);
    let mut one = batch(vec![first.clone(), message(&space, 2, 9)]);
    one.retained = vec![(topic("x"), Some(first.clone())), (topic("y"), Some(first.clone()))];
    log.append(one).unwrap();
    // In the same commit: trims what it has just added, clears and sets what is retained.
    let second = message(&space, 3, 9);
    let mut two = batch(vec![second.clone()]);
    two.trimmed = vec![2, 1];
    two.retained = vec![(topic("x"), None), (topic("y"), Some(second.clone()))];
    append_and_wait(&log, two).unwrap();
    let check = |log: &EmbeddedLog| {
        let (messages, retained) = replay(log, "a");
        assert_eq!(offsets(&messages), [3]);
        assert_eq!(retained, [(*second).clone()]);
        assert_eq!(enter(log, "a").trimmed_through, 2);
        assert!(log.read("a", &[1, 2]).unwrap().is_empty());
    };
    check(&log);
    drop(log);
    check(&open(dir.path()).0);
}

#[test]
fn records_are_set_removed_and_listed_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let put = |key: &[u8], value: Option<&'static [u8]>| {
        let value = value.map(Bytes::from_static);
        log.put_record(RecordTable::Node, key, value, None).unwrap();
    };
    put(b"b", Some(b"2"));
    put(b"a", Some(b"1"));
    put(b"c", Some(b"3"));
    put(b"b", None);
    let (tx, rx) = sync_channel(1);
    let done = Box::new(move |answer| tx.send(answer).unwrap());
    log.put_record(RecordTable::Usage, b"b", Some(Bytes::from_static(b"9")), Some(done)).unwrap();
    assert_eq!(rx.recv_timeout(DEADLINE).unwrap(), Ok(()));
    let expected = [("a".into(), "1".into()), ("c".into(), "3".into())];
    assert_eq!(log.records(RecordTable::Node).unwrap(), expected);
    assert!(log.records(RecordTable::Revocations).unwrap().is_empty());
    let too_long = log.put_record(RecordTable::Node, &[0; 70_000], None, None);
    assert!(matches!(too_long, Err(LogError::Failing(_))));
}

#[test]
fn whoever_waits_is_told_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let space = enter(&log, "a");
    let (tx, rx) = sync_channel(1_000);
    for offset in 1..=1_000 {
        let tx = tx.clone();
        let mut batch = batch(vec![message(&space, offset, 100)]);
        batch.done = Some(Box::new(move |answer| {
            tx.send((offset, answer)).unwrap();
        }));
        log.append(batch).unwrap();
    }
    for offset in 1..=1_000 {
        assert_eq!(rx.recv_timeout(DEADLINE).unwrap(), (offset, Ok(())));
    }
}

#[test]
fn a_full_queue_refuses_and_keeps_what_it_took() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        StoreOptions { queue_count_max: 10, gather_interval: Duration::from_secs(3_600), ..StoreOptions::default() };
    let (log, _) = open_with(dir.path(), options);
    let space = enter(&log, "a");
    for offset in 1..=10 {
        log.append(batch(vec![message(&space, offset, 9)])).unwrap();
    }
    let refused = log.append(batch(vec![message(&space, 11, 9)]));
    assert_eq!(refused, Err(LogError::QueueFull));
    log.flush().unwrap();
    assert_eq!(replay(&log, "a").0.len(), 10);
    assert_eq!(enter(&log, "a").next_offset, 11);
}

#[test]
fn a_batch_nobody_waits_for_is_committed_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let space = enter(&log, "a");
    log.append(batch(vec![message(&space, 1, 9)])).unwrap();
    wait_until("it can be read", || !log.read("a", &[1]).unwrap().is_empty());
}

#[test]
fn a_reservation_is_renewed_long_before_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let space = enter(&log, "a");
    let half = 1 << 19;
    let mut offset = 1;
    for _ in 0..6 {
        offset += half - 1;
        append_and_wait(&log, batch(vec![message(&space, offset, 9)])).unwrap();
    }
    // A copy of an open store is what a crash leaves.
    let copied = tempfile::tempdir().unwrap();
    copy(dir.path(), copied.path());
    let (log, _) = open(copied.path());
    let next = enter(&log, "a").next_offset;
    assert!(next > offset + half / 2, "{next} after {offset}");
}

#[test]
fn a_closed_store_and_an_unopened_space_refuse() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let space = enter(&log, "a");
    let stray = LogBatch { space: "b".into(), ..LogBatch::default() };
    assert!(matches!(log.append(stray), Err(LogError::Failing(_))));
    log.close().unwrap();
    log.close().unwrap();
    let late = log.append(batch(vec![message(&space, 1, 9)]));
    assert!(matches!(late, Err(LogError::Failing(_))));
    assert!(matches!(log.flush(), Err(LogError::Failing(_))));
    assert!(matches!(log.read("a", &[1]), Err(LogError::Failing(_))));
}

#[test]
fn a_visitor_of_replay_may_read() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let space = enter(&log, "a");
    append_and_wait(&log, batch(vec![message(&space, 1, 9)])).unwrap();
    log.replay("a", &mut |message, _| {
        assert_eq!(log.read("a", &[message.offset]).unwrap().len(), 1);
    })
    .unwrap();
    assert!(log.disk_bytes() > 0);
}

#[test]
fn offsets_of_messages_that_are_not_kept_are_not_handed_out_again() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let space = enter(&log, "a");
    let far = 3 << 20;
    append_and_wait(&log, LogBatch { space: space.name.clone(), head: far, ..LogBatch::default() }).unwrap();
    append_and_wait(&log, batch(vec![message(&space, far + 1, 9)])).unwrap();
    log.close().unwrap();
    assert_eq!(enter(&open(dir.path()).0, "a").next_offset, far + 2);
}
