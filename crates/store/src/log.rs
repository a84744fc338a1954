//! The log as the core sees it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use fanfare_core::{Done, Log, LogBatch, LogError, Message, Offset, RecordTable, RecoveredSpace};
use parking_lot::{Mutex, RwLock};

use crate::directory::random;
use crate::engine::Engine;
use crate::error::StoreError;
use crate::layout::{self, RESERVE};
use crate::options::{OpenReport, StoreOptions};
use crate::queue::{Entry, Queue, Work};
use crate::reading;
use crate::space::{Space, Spaces};

/// What the commit thread and everybody else have in common.
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    /// `None` while a failed one is being replaced, and after closing.
    pub(crate) engine: RwLock<Option<Engine>>,
    pub(crate) spaces: Spaces,
    is_failing: AtomicBool,
    failure: Mutex<Option<LogError>>,
    disk_bytes: AtomicU64,
}

impl Shared {
    pub(crate) fn new(engine: Engine, spaces: Spaces, options: &StoreOptions) -> Self {
        Self {
            queue: Queue::new(options),
            disk_bytes: AtomicU64::new(engine.disk_bytes()),
            engine: RwLock::new(Some(engine)),
            spaces,
            is_failing: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// Refuses everything with `error` from now on; the answer is what was still queued.
    pub(crate) fn fail(&self, error: LogError) -> Vec<Entry> {
        *self.failure.lock() = Some(error.clone());
        self.is_failing.store(true, Ordering::Release);
        self.queue.refuse(error)
    }

    pub(crate) fn recovered(&self) {
        self.queue.accept();
        self.is_failing.store(false, Ordering::Release);
        *self.failure.lock() = None;
    }

    pub(crate) fn set_disk_bytes(&self, bytes: u64) {
        self.disk_bytes.store(bytes, Ordering::Relaxed);
    }
}

/// A durable log in a directory of the local disk.
///
/// Appends and records are queued and committed in order by one thread. A batch somebody waits for
/// is synced at once, together with everything queued beside it; others at latest after
/// [`StoreOptions::sync_interval`]. Reads see what was committed, not what is still queued.
///
/// While storage fails, everything is refused with the system's reason and the store tries to
/// reopen itself; what was acknowledged stays. Dropping the log closes it.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    /// One opening at a time, so that two never take the same number.
    opening: Mutex<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedLog {
    /// Opens the store in `dir`, creating both if they do not exist.
    ///
    /// The journal is checked first: an unfinished last commit is cut and reported. A second
    /// opening of the same directory is refused, by whatever process.
    ///
    /// # Errors
    /// [`StoreError`] for a directory that is in use, foreign, of another format version, damaged,
    /// or that the system does not let us read and write.
    pub fn open(dir: &Path, options: StoreOptions) -> Result<(Arc<Self>, OpenReport), StoreError> {
        crate::open::open(dir, options)
    }

    pub(crate) fn new(shared: Arc<Shared>, thread: JoinHandle<()>) -> Self {
        Self { shared, opening: Mutex::new(()), thread: Mutex::new(Some(thread)) }
    }

    /// Commits what is queued, notes where each space's numbering ended, and releases the
    /// directory. Everything is refused afterwards. Blocks; closing twice is harmless.
    ///
    /// # Errors
    /// [`LogError::Failing`] when storage was failing or failed now: then offsets skip ahead at
    /// the next opening, as after a crash.
    pub fn close(&self) -> Result<(), LogError> {
        self.shared.queue.close();
        let thread = self.thread.lock().take();
        // The last handle may go inside a callback of the commit thread, which cannot wait for
        // itself.
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic in it was logged and recorded as failure.
            let _ = thread.join();
        }
        self.failure().map_or(Ok(()), Err)
    }

    fn space(&self, name: &str) -> Result<Arc<Space>, LogError> {
        let space = self.shared.spaces.get(name);
        space
            .filter(|space| space.is_open())
            .ok_or_else(|| LogError::Failing(format!("space {name:?} was used before it was opened").into()))
    }

    /// The lock is taken recursively: a visitor of [`Log::replay`] may read.
    fn with_engine<T>(&self, work: impl FnOnce(&Engine) -> Result<T, LogError>) -> Result<T, LogError> {
        match &*self.shared.engine.read_recursive() {
            Some(engine) => work(engine),
            None => Err(self.failure().unwrap_or_else(|| LogError::Failing("the store is closed".into()))),
        }
    }

    /// Queues `work` and waits until it is on disk.
    fn wait_for(&self, work: Work) -> Result<(), LogError> {
        let (tx, rx) = std::sync::mpsc::sync_channel(1);
        let done: Done = Box::new(move |answer| {
            // Nobody waits any more only if this thread is gone.
            let _ = tx.send(answer);
        });
        self.shared.queue.push(Entry { work, done: Some(done), count: 1, bytes: 0 })?;
        rx.recv().unwrap_or_else(|_| Err(LogError::Failing("the store was closed".into())))
    }
}

impl Log for EmbeddedLog {
    fn is_durable(&self) -> bool {
        true
    }

    fn failure(&self) -> Option<LogError> {
        if !self.shared.is_failing.load(Ordering::Acquire) {
            return None;
        }
        self.shared.failure.lock().clone()
    }

    fn open_space(&self, name: &Arc<str>) -> Result<RecoveredSpace, LogError> {
        let _one_at_a_time = self.opening.lock();
        let known = self.shared.spaces.get(name);
        let space = match known {
            Some(space) if space.is_open() => return Ok(space.recovered()),
            Some(space) => space,
            None => {
                let id = self.shared.spaces.next_id();
                Arc::new(Space::new(name.clone(), id, epoch(), 1, 0))
            }
        };
        let recovered = space.recovered();
        let reserve = recovered.next_offset.saturating_add(RESERVE);
        self.wait_for(Work::Open(space.clone(), reserve))?;
        self.shared.spaces.insert(space);
        Ok(recovered)
    }

    fn spaces(&self) -> Result<Vec<Arc<str>>, LogError> {
        let all = self.shared.spaces.all();
        Ok(all.iter().map(|space| space.name.clone()).collect())
    }

    fn replay(&self, space: &str, visit: &mut dyn FnMut(Message, bool)) -> Result<(), LogError> {
        let Some(space) = self.shared.spaces.get(space) else {
            return Ok(());
        };
        self.with_engine(|engine| reading::replay(engine, &space, visit))
    }

    fn append(&self, mut batch: LogBatch) -> Result<(), LogError> {
        let space = self.space(&batch.space)?;
        if batch.records.iter().any(|record| record.key.len() > layout::RECORD_KEY_BYTES_MAX) {
            return Err(LogError::Failing("the record's key is too long".into()));
        }
        // Only reached when offsets are handed out that never come here.
        if let Some(last) = batch.messages.last()
            && last.offset >= space.reserved()
        {
            return Err(LogError::QueueFull);
        }
        let retained = batch.retained.iter().filter_map(|(_, message)| message.as_ref());
        let messages = batch.messages.iter().chain(retained);
        let bytes: usize = messages.map(|message| message.weight()).sum();
        let records: usize = batch.records.iter().map(|r| r.key.len() + r.value.as_ref().map_or(0, Bytes::len)).sum();
        let bytes = bytes + records;
        let count = batch.messages.len() + batch.retained.len() + batch.records.len();
        self.shared.queue.push(Entry {
            done: batch.done.take(),
            count: count.max(1),
            bytes: bytes + batch.trimmed.len() * size_of::<Offset>(),
            work: Work::Batch(space, batch),
        })
    }

    fn read(&self, space: &str, offsets: &[Offset]) -> Result<Vec<Arc<Message>>, LogError> {
        let Some(space) = self.shared.spaces.get(space) else {
            return Ok(Vec::new());
        };
        self.with_engine(|engine| reading::read(engine, &space, offsets))
    }

    fn put_record(
        &self,
        table: RecordTable,
        key: &[u8],
        value: Option<Bytes>,
        done: Option<Done>,
    ) -> Result<(), LogError> {
        if key.len() > layout::RECORD_KEY_BYTES_MAX {
            return Err(LogError::Failing("the record's key is too long".into()));
        }
        let bytes = key.len() + value.as_ref().map_or(0, Bytes::len);
        self.shared.queue.push(Entry {
            work: Work::Record(layout::record_key(table, key), value),
            done,
            count: 1,
            bytes,
        })
    }

    fn records(&self, table: RecordTable) -> Result<Vec<(Bytes, Bytes)>, LogError> {
        self.with_engine(|engine| reading::records(engine, table))
    }

    fn flush(&self) -> Result<(), LogError> {
        self.wait_for(Work::Barrier)
    }

    fn disk_bytes(&self) -> u64 {
        self.shared.disk_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        // A failure was logged where it happened.
        let _ = self.close();
    }
}

/// A new numbering. Half of the bits, because every message carries it in text to every reader.
fn epoch() -> u64 {
    (random() >> 32).max(1)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};
    use std::time::{Duration, Instant};

    use fanfare_core::{Guarantee, Kind, TopicName};

    use super::*;

    fn append(log: &EmbeddedLog, space: &RecoveredSpace, offset: Offset) -> Receiver<Result<(), LogError>> {
        let (tx, rx) = sync_channel(1);
        let batch = LogBatch {
            space: space.name.clone(),
            messages: vec![Arc::new(message(space, offset))],
            done: Some(Box::new(move |answer| tx.send(answer).unwrap())),
            ..LogBatch::default()
        };
        log.append(batch).unwrap();
        rx
    }

    fn message(space: &RecoveredSpace, offset: Offset) -> Message {
        Message {
            space: space.name.clone(),
            topic: TopicName::new("t").unwrap(),
            payload: Bytes::from_static(b"x"),
            kind: Kind::Binary,
            publisher: None,
            properties: Vec::new(),
            origin: None,
            headers: None,
            guarantee: Guarantee::default(),
            expires_at: None,
            idempotency_key: None,
            time: 1,
            epoch: space.epoch,
            offset,
            previous: offset - 1,
            is_retained: false,
        }
    }

    /// After a failed sync, pages that never reached the disk still read back well.
    #[test]
    fn a_failed_sync_keeps_what_was_synced_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            sync_interval: Duration::from_secs(3_600),
            retry_interval: Duration::from_millis(10),
            ..StoreOptions::default()
        };
        let (log, _) = EmbeddedLog::open(dir.path(), options).unwrap();
        let space = log.open_space(&"a".into()).unwrap();
        for offset in 1..=3 {
            append(&log, &space, offset).recv().unwrap().unwrap();
        }
        let plain =
            LogBatch { space: space.name.clone(), messages: vec![Arc::new(message(&space, 4))], ..LogBatch::default() };
        log.append(plain).unwrap();
        let break_disk = |engine: &Engine| {
            engine.has_broken_disk.store(true, Ordering::Release);
            Ok(())
        };
        log.with_engine(break_disk).unwrap();
        let answer = append(&log, &space, 5).recv().unwrap();
        assert_eq!(answer, Err(LogError::Failing("the disk is broken".into())));
        let until = Instant::now() + Duration::from_secs(30);
        while log.failure().is_some() {
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(1));
        }
        append(&log, &space, 6).recv().unwrap().unwrap();
        let mut found = Vec::new();
        log.replay("a", &mut |message, _| found.push(message.offset)).unwrap();
        assert_eq!(found, [1, 2, 3, 6]);
        drop(log);
        let (log, report) = EmbeddedLog::open(dir.path(), StoreOptions::default()).unwrap();
        assert_eq!(report.cut_bytes, 0);
        assert_eq!(log.read("a", &[3, 4, 5, 6]).unwrap().len(), 2);
        assert_eq!(log.open_space(&"a".into()).unwrap().next_offset, 7);
    }
}
