//! A log that outlives servers in one process, and that tests can slow down and break.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use fanfare_core::{Done, Log, LogBatch, LogError, Message, Offset, Record, RecordTable, RecoveredSpace, TopicName};
use parking_lot::Mutex;

/// A durable log in memory. Start one server over it after another to see what a restart finds.
#[derive(Default)]
pub struct TestLog {
    kept: Mutex<Kept>,
    queued: Mutex<VecDeque<LogBatch>>,
    is_held: AtomicBool,
    is_failing: AtomicBool,
    loses: AtomicBool,
    before_read: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

#[derive(Default)]
struct Kept {
    spaces: BTreeMap<Arc<str>, KeptSpace>,
    records: BTreeMap<(u8, Bytes), Bytes>,
}

#[derive(Default)]
struct KeptSpace {
    next_offset: Offset,
    trimmed_through: Offset,
    messages: BTreeMap<Offset, Message>,
    retained: BTreeMap<TopicName, Message>,
}

impl TestLog {
    /// From now on nothing is committed until [`TestLog::let_go`].
    pub fn hold(&self) {
        self.is_held.store(true, Ordering::SeqCst);
    }

    /// Commits what waits, and whatever comes.
    pub fn let_go(&self) {
        self.is_held.store(false, Ordering::SeqCst);
        self.commit_queued();
    }

    /// Batches and records that wait.
    pub fn queued(&self) -> usize {
        self.queued.lock().len()
    }

    /// Forgets what waits, as a crash does.
    pub fn crash(&self) {
        self.queued.lock().clear();
        self.is_held.store(false, Ordering::SeqCst);
    }

    /// Whether appends are refused.
    pub fn set_failing(&self, is_failing: bool) {
        self.is_failing.store(is_failing, Ordering::SeqCst);
    }

    /// Whether what is appended is taken and then cannot be written.
    pub fn set_losing(&self, loses: bool) {
        self.loses.store(loses, Ordering::SeqCst);
    }

    /// Called at the next read, on its thread.
    pub fn before_next_read(&self, call: impl FnOnce() + Send + 'static) {
        *self.before_read.lock() = Some(Box::new(call));
    }

    /// All records of a table.
    pub fn table(&self, table: RecordTable) -> Vec<(Bytes, Bytes)> {
        let kept = self.kept.lock();
        let of_table = kept.records.iter().filter(|((of, _), _)| *of == table as u8);
        of_table.map(|((_, key), value)| (key.clone(), value.clone())).collect()
    }

    /// Writes a record as it is, also one that nobody would write.
    pub fn set_record(&self, table: RecordTable, key: &[u8], value: &[u8]) {
        let key = (table as u8, Bytes::copy_from_slice(key));
        self.kept.lock().records.insert(key, Bytes::copy_from_slice(value));
    }

    fn take(&self, batch: LogBatch) -> Result<(), LogError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        self.queued.lock().push_back(batch);
        if !self.is_held.load(Ordering::SeqCst) {
            self.commit_queued();
        }
        Ok(())
    }

    fn commit_queued(&self) {
        loop {
            let Some(batch) = self.queued.lock().pop_front() else { return };
            if self.loses.load(Ordering::SeqCst) {
                batch.done.into_iter().for_each(|done| done(Err(failing())));
                continue;
            }
            let done = self.kept.lock().commit(batch);
            done.into_iter().for_each(|done| done(Ok(())));
        }
    }
}

impl Kept {
    fn commit(&mut self, batch: LogBatch) -> Option<Done> {
        for record in batch.records {
            let key = (record.table as u8, record.key);
            match record.value {
                Some(value) => drop(self.records.insert(key, value)),
                None => drop(self.records.remove(&key)),
            }
        }
        let is_about_space = batch.head > 0 || !batch.messages.is_empty();
        if is_about_space || !batch.trimmed.is_empty() || !batch.retained.is_empty() {
            let space = self.spaces.entry(batch.space).or_default();
            space.next_offset = space.next_offset.max(batch.head + 1);
            for message in batch.messages {
                space.next_offset = space.next_offset.max(message.offset + 1);
                space.messages.insert(message.offset, (*message).clone());
            }
            for offset in batch.trimmed {
                space.messages.remove(&offset);
                space.trimmed_through = space.trimmed_through.max(offset);
            }
            for (topic, message) in batch.retained {
                match message {
                    Some(message) => drop(space.retained.insert(topic, (*message).clone())),
                    None => drop(space.retained.remove(&topic)),
                }
            }
        }
        batch.done
    }
}

fn failing() -> LogError {
    LogError::Failing("no space left on device".into())
}

impl Log for TestLog {
    fn is_durable(&self) -> bool {
        true
    }

    fn failure(&self) -> Option<LogError> {
        self.is_failing.load(Ordering::SeqCst).then(failing)
    }

    fn open_space(&self, name: &Arc<str>) -> Result<RecoveredSpace, LogError> {
        let mut kept = self.kept.lock();
        let space = kept.spaces.entry(name.clone()).or_default();
        let next_offset = space.next_offset.max(1);
        Ok(RecoveredSpace { name: name.clone(), epoch: 0xfa, next_offset, trimmed_through: space.trimmed_through })
    }

    fn spaces(&self) -> Result<Vec<Arc<str>>, LogError> {
        Ok(self.kept.lock().spaces.keys().cloned().collect())
    }

    fn replay(&self, space: &str, visit: &mut dyn FnMut(Message, bool)) -> Result<(), LogError> {
        let kept = self.kept.lock();
        let Some(space) = kept.spaces.get(space) else { return Ok(()) };
        space.messages.values().for_each(|message| visit(message.clone(), false));
        space.retained.values().for_each(|message| visit(message.clone(), true));
        Ok(())
    }

    fn append(&self, batch: LogBatch) -> Result<(), LogError> {
        self.take(batch)
    }

    fn read(&self, space: &str, offsets: &[Offset]) -> Result<Vec<Arc<Message>>, LogError> {
        let before = self.before_read.lock().take();
        before.into_iter().for_each(|before| before());
        let kept = self.kept.lock();
        let Some(space) = kept.spaces.get(space) else { return Ok(Vec::new()) };
        Ok(offsets.iter().filter_map(|offset| space.messages.get(offset).cloned().map(Arc::new)).collect())
    }

    fn put_record(
        &self,
        table: RecordTable,
        key: &[u8],
        value: Option<Bytes>,
        done: Option<Done>,
    ) -> Result<(), LogError> {
        let records = vec![Record { table, key: Bytes::copy_from_slice(key), value }];
        self.take(LogBatch { records, done, ..LogBatch::default() })
    }

    fn records(&self, table: RecordTable) -> Result<Vec<(Bytes, Bytes)>, LogError> {
        Ok(self.table(table))
    }

    fn flush(&self) -> Result<(), LogError> {
        self.commit_queued();
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}
