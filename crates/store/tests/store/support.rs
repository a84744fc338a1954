//! The vocabulary of these tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use fanfare_core::{Guarantee, Kind, Log, LogBatch, LogError, Message, Offset, RecoveredSpace, TopicName};
use fanfare_store::{EmbeddedLog, OpenReport, StoreOptions};

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn open(dir: &Path) -> (Arc<EmbeddedLog>, OpenReport) {
    open_with(dir, StoreOptions::default())
}

pub(crate) fn open_with(dir: &Path, options: StoreOptions) -> (Arc<EmbeddedLog>, OpenReport) {
    EmbeddedLog::open(dir, options).expect("the store opens")
}

pub(crate) fn enter(log: &EmbeddedLog, space: &str) -> RecoveredSpace {
    log.open_space(&space.into()).expect("the space opens")
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("a topic")
}

/// A message whose contents follow from its offset.
pub(crate) fn message(space: &RecoveredSpace, offset: Offset, bytes: usize) -> Arc<Message> {
    let mut payload = format!("{offset}:").into_bytes();
    payload.resize(bytes.max(payload.len()), b'x');
    Arc::new(Message {
        space: space.name.clone(),
        topic: topic(&format!("t/{}", offset % 7)),
        payload: payload.into(),
        kind: Kind::Text,
        publisher: Some("somebody".into()),
        properties: vec![("a".into(), "b".into())],
        origin: None,
        headers: None,
        guarantee: Guarantee::default(),
        expires_at: None,
        idempotency_key: offset.is_multiple_of(2).then(|| offset.to_string().into()),
        time: 1_700_000_000_000 + offset,
        epoch: space.epoch,
        offset,
        previous: offset.saturating_sub(7),
        is_retained: false,
    })
}

pub(crate) fn batch(messages: Vec<Arc<Message>>) -> LogBatch {
    LogBatch { space: messages[0].space.clone(), messages, ..LogBatch::default() }
}

/// Sets `done`; the receiver hears of it.
pub(crate) fn awaited(mut batch: LogBatch) -> (LogBatch, Receiver<Result<(), LogError>>) {
    let (tx, rx) = sync_channel(1);
    batch.done = Some(Box::new(move |answer| tx.send(answer).expect("somebody waits")));
    (batch, rx)
}

pub(crate) fn append_and_wait(log: &EmbeddedLog, batch: LogBatch) -> Result<(), LogError> {
    let (batch, rx) = awaited(batch);
    log.append(batch)?;
    rx.recv_timeout(DEADLINE).expect("done is called in time")
}

/// Messages and retained messages of a space.
pub(crate) fn replay(log: &EmbeddedLog, space: &str) -> (Vec<Message>, Vec<Message>) {
    let (mut messages, mut retained) = (Vec::new(), Vec::new());
    log.replay(space, &mut |message, is_retained| {
        if is_retained { &mut retained } else { &mut messages }.push(message);
    })
    .expect("replay");
    (messages, retained)
}

pub(crate) fn offsets(messages: &[Message]) -> Vec<Offset> {
    messages.iter().map(|message| message.offset).collect()
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Copies files and folders, but no lock.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The journal that is written to.
pub(crate) fn journal(dir: &Path) -> PathBuf {
    let entries = fs::read_dir(dir.join("store")).unwrap();
    let journals = entries.map(|entry| entry.unwrap().path());
    journals.filter(|path| path.extension().is_some_and(|end| end == "jnl")).max().unwrap()
}
