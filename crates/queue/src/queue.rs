//! The queue: bounds, ids, what a restart finds.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use fanfare_core::{Done, Log, LogError, RecordTable};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::form::{self, Key, Progress};
use crate::item::{Item, Place};

/// How much a queue may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Items.
    pub items: usize,
    /// Bytes of their bodies together.
    pub bytes: usize,
}

/// How much a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Items.
    pub items: usize,
    /// Bytes of their bodies together.
    pub bytes: usize,
}

/// Why an item is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// The queue holds as much as it may.
    #[error("the queue has no room")]
    Full,
    /// The log does not take it.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Items of one kind; `H` is what they say beside their bodies. Cheap to clone.
pub struct Queue<H> {
    shared: Arc<Shared>,
    kind: PhantomData<fn() -> H>,
}

impl<H> Clone for Queue<H> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), kind: PhantomData }
    }
}

/// What items and their queue share.
pub(crate) struct Shared {
    /// `None`: in memory alone.
    log: Option<(Arc<dyn Log>, RecordTable)>,
    bounds: Bounds,
    used: Mutex<Room>,
    next_id: AtomicU64,
    pub(crate) clock: Clock,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("bounds", &self.bounds).field("used", &*self.used.lock()).finish_non_exhaustive()
    }
}

impl<H: Serialize + DeserializeOwned> Queue<H> {
    /// A queue that a restart empties.
    #[must_use]
    pub fn in_memory(bounds: Bounds) -> Self {
        Self::new(None, bounds, 0)
    }

    /// A queue with its records in `table` of `log`, and what they hold, in the order in which it was
    /// put. That may be more than `bounds` allow. Where the log keeps nothing it is in memory.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn open(log: Arc<dyn Log>, table: RecordTable, bounds: Bounds) -> Result<(Self, Vec<Item<H>>), LogError> {
        if !log.is_durable() {
            return Ok((Self::in_memory(bounds), Vec::new()));
        }
        let damaged = |key: &[u8]| LogError::Damaged(format!("an item of {table:?} with the key {key:02x?}").into());
        let (mut found, mut progress) = (Vec::new(), HashMap::new());
        for (key, value) in log.records(table)? {
            match Key::read(&key).ok_or_else(|| damaged(&key))? {
                Key::Item(id) => found.push((id, form::read_item::<H>(&value).ok_or_else(|| damaged(&key))?)),
                Key::Progress(id) => {
                    progress.insert(id, Progress::read(&value).ok_or_else(|| damaged(&key))?);
                }
            }
        }
        let last = found.iter().map(|(id, _)| *id).chain(progress.keys().copied()).max();
        let queue = Self::new(Some((log, table)), bounds, last.map_or(0, |last| last + 1));
        let items = found.into_iter().map(|(id, (head, body, since))| {
            let progress = progress.remove(&id);
            let place = queue.shared.take(id, body.len(), progress.is_some());
            Item { head, body, since, progress: progress.unwrap_or_default(), place }
        });
        let items = items.collect();
        progress.keys().for_each(|id| queue.shared.write(Key::Progress(*id), None));
        Ok((queue, items))
    }

    fn new(log: Option<(Arc<dyn Log>, RecordTable)>, bounds: Bounds, next_id: u64) -> Self {
        let (used, next_id, clock) = (Mutex::default(), AtomicU64::new(next_id), Clock::start());
        Self { shared: Arc::new(Shared { log, bounds, used, next_id, clock }), kind: PhantomData }
    }

    /// Takes an item in. It is on disk when [`Committed`] says so; should that fail, the item was
    /// not kept.
    ///
    /// # Errors
    /// [`PutError`]; then nothing was taken.
    pub fn put(&self, head: H, body: Bytes) -> Result<(Item<H>, Committed), PutError> {
        let shared = &self.shared;
        let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
        let place = shared.claim(id, body.len()).ok_or(PutError::Full)?;
        let since = shared.clock.now();
        let (tx, committed) = oneshot::channel();
        match &shared.log {
            None => drop(tx.send(Ok(()))),
            Some((log, table)) => {
                let no_form = || LogError::Failing("the item has no form on disk".into());
                let value = form::write_item(&head, &body, since).ok_or_else(no_form)?;
                let done: Done = Box::new(move |result| drop(tx.send(result)));
                log.put_record(*table, &Key::Item(id).write(), Some(value), Some(done))?;
            }
        }
        Ok((Item { head, body, since, progress: Progress::default(), place }, Committed(committed)))
    }
}

impl<H> Queue<H> {
    /// How much it holds.
    #[must_use]
    pub fn used(&self) -> Room {
        *self.shared.used.lock()
    }

    /// Whether one more item of no size would be taken.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let (used, bounds) = (self.used(), self.shared.bounds);
        used.items < bounds.items && used.bytes < bounds.bytes
    }

    /// Whether items outlive the process.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.shared.log.is_some()
    }
}

impl Shared {
    /// Room for an item, if there is any.
    fn claim(self: &Arc<Self>, id: u64, bytes: usize) -> Option<Place> {
        let mut used = self.used.lock();
        if used.items >= self.bounds.items || bytes > self.bounds.bytes.saturating_sub(used.bytes) {
            return None;
        }
        *used = Room { items: used.items + 1, bytes: used.bytes + bytes };
        Some(Place { shared: self.clone(), id, bytes, has_progress: false })
    }

    /// Room for an item that is there already.
    fn take(self: &Arc<Self>, id: u64, bytes: usize, has_progress: bool) -> Place {
        let mut used = self.used.lock();
        *used = Room { items: used.items + 1, bytes: used.bytes + bytes };
        Place { shared: self.clone(), id, bytes, has_progress }
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        let mut used = self.used.lock();
        *used = Room { items: used.items - 1, bytes: used.bytes - bytes };
    }

    /// Queues a record that nobody waits for.
    pub(crate) fn write(&self, key: Key, value: Option<Bytes>) {
        let Some((log, table)) = &self.log else { return };
        if let Err(error) = log.put_record(*table, &key.write(), value, None) {
            tracing::warn!(?table, ?key, %error, "what was done could not be written down; a restart does it again");
        }
    }
}

/// Is over when an item is on disk, or could not be written.
#[derive(Debug)]
pub struct Committed(oneshot::Receiver<Result<(), LogError>>);

impl Future for Committed {
    type Output = Result<(), LogError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let stopping = || Err(LogError::Failing("the server is stopping".into()));
        Pin::new(&mut self.0).poll(context).map(|told| told.unwrap_or_else(|_| stopping()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fanfare_core::MemoryLog;
    use fanfare_testkit::TestLog;

    use super::*;

    const BOUNDS: Bounds = Bounds { items: 3, bytes: 100 };
    const TABLE: RecordTable = RecordTable::Calls;

    fn open(log: &Arc<TestLog>) -> (Queue<String>, Vec<Item<String>>) {
        Queue::open(log.clone(), TABLE, BOUNDS).unwrap()
    }

    fn body(size: usize) -> Bytes {
        vec![b'x'; size].into()
    }

    #[tokio::test]
    async fn what_is_committed_and_not_finished_comes_back_in_order() {
        let log = Arc::new(TestLog::default());
        let (queue, found) = open(&log);
        assert!(found.is_empty() && queue.is_durable());
        for name in ["a", "b", "c"] {
            let (item, committed) = queue.put(name.to_owned(), body(1)).unwrap();
            committed.await.unwrap();
            if name == "b" {
                item.finish();
            }
        }
        let (queue, found) = open(&log);
        let heads: Vec<_> = found.iter().map(|item| item.head.as_str()).collect();
        assert_eq!((heads, queue.used()), (vec!["a", "c"], Room { items: 2, bytes: 2 }));
        let (later, _) = queue.put("d".to_owned(), body(1)).unwrap();
        assert!(later.place.id > found[1].place.id, "ids go on");
        found.into_iter().for_each(Item::finish);
        assert_eq!((open(&log).1.len(), queue.used()), (1, Room { items: 1, bytes: 1 }));
    }

    #[tokio::test]
    async fn what_is_not_committed_is_not_acknowledged_and_not_there_after_a_crash() {
        let log = Arc::new(TestLog::default());
        let (queue, _) = open(&log);
        log.hold();
        let (_item, mut committed) = queue.put("a".to_owned(), body(1)).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut committed).await.is_err());
        log.crash();
        assert!(matches!(committed.await, Err(LogError::Failing(_))));
        assert!(open(&log).1.is_empty());
    }

    #[tokio::test]
    async fn a_log_that_fails_is_told() {
        let log = Arc::new(TestLog::default());
        let (queue, _) = open(&log);
        log.set_failing(true);
        assert!(matches!(queue.put("a".to_owned(), body(1)), Err(PutError::Log(LogError::Failing(_)))));
        log.set_failing(false);
        log.set_losing(true);
        let (item, committed) = queue.put("a".to_owned(), body(1)).unwrap();
        assert!(committed.await.is_err());
        drop(item);
        assert_eq!(queue.used(), Room::default());
    }

    #[tokio::test(start_paused = true)]
    async fn progress_and_age_outlive_a_restart() {
        let log = Arc::new(TestLog::default());
        let (queue, _) = open(&log);
        let (mut item, _) = queue.put("a".to_owned(), body(1)).unwrap();
        let since = item.since();
        item.put_off(true, Duration::from_secs(60));
        item.put_off(false, Duration::from_secs(120));
        drop(item);
        let mut found = open(&log).1;
        let item = found.pop().unwrap();
        assert_eq!((item.progress().tries, item.progress().failures, item.since()), (2, 1, since));
        let before = tokio::time::Instant::now();
        item.due(Duration::from_secs(600)).await;
        let waited = before.elapsed();
        // The time of day of the second queue was read a little later.
        assert!((Duration::from_secs(115)..=Duration::from_secs(121)).contains(&waited), "{waited:?}");
        assert!(item.age() >= Duration::from_secs(115));
        item.finish();
        assert!(log.table(TABLE).is_empty(), "nothing stays behind");
    }

    #[tokio::test]
    async fn bounds_of_number_and_size_hold_and_room_is_given_back() {
        let queue = Queue::<String>::in_memory(BOUNDS);
        let put = |size| queue.put(String::new(), body(size)).map(|(item, _)| item);
        let items: Vec<_> = (0..3).map(|_| put(0).unwrap()).collect();
        assert!(matches!(put(0), Err(PutError::Full)) && !queue.has_room());
        drop(items);
        let large = put(99).unwrap();
        assert!(matches!(put(2), Err(PutError::Full)));
        let last = put(1).unwrap();
        assert!(!queue.has_room());
        drop((large, last));
        assert_eq!((queue.used(), queue.has_room()), (Room::default(), true));
    }

    #[tokio::test]
    async fn more_than_the_bounds_may_come_back_and_nothing_new_is_taken_then() {
        let log = Arc::new(TestLog::default());
        let wide = Bounds { items: 10, bytes: 1_000 };
        let (queue, _) = Queue::<String>::open(log.clone(), TABLE, wide).unwrap();
        let kept: Vec<_> = (0..5).map(|_| queue.put(String::new(), body(50)).unwrap()).collect();
        drop(kept);
        let (queue, found) = open(&log);
        assert_eq!((found.len(), queue.used()), (5, Room { items: 5, bytes: 250 }));
        assert!(matches!(queue.put(String::new(), Bytes::new()), Err(PutError::Full)));
    }

    #[tokio::test]
    async fn damage_is_named_and_leftovers_are_cleared() {
        let log = Arc::new(TestLog::default());
        log.set_record(TABLE, &Key::Progress(7).write(), &Progress::default().write());
        assert!(open(&log).1.is_empty() && log.table(TABLE).is_empty());
        log.set_record(TABLE, &Key::Item(7).write(), b"\x01");
        assert!(matches!(Queue::<String>::open(log, TABLE, BOUNDS), Err(LogError::Damaged(_))));
    }

    #[tokio::test]
    async fn where_nothing_is_kept_it_works_in_memory() {
        let (queue, found) = Queue::<String>::open(Arc::new(MemoryLog::new(1)), TABLE, BOUNDS).unwrap();
        assert!(found.is_empty() && !queue.is_durable());
        let (item, committed) = queue.put("a".to_owned(), body(3)).unwrap();
        committed.await.unwrap();
        item.finish();
        assert_eq!(queue.used(), Room::default());
    }
}
