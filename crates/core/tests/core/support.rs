//! A log in memory that outlives a core, inboxes that tests read, and short names.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use fanfare_core::{
    Core, CoreLimits, Delivery, Done, Filter, Grant, Inbox, Kind, Log, LogBatch, LogError, Message, Millis, Offset,
    Principal, Publication, Published, Record, RecordTable, RecoveredSpace, Refusal, SpaceSettings, TopicName,
};
use parking_lot::Mutex;

/// A durable log that keeps everything in memory. Batches are committed at once, or with
/// [`Shelf::is_lazy`] when somebody flushes.
#[derive(Default)]
pub(crate) struct Shelf {
    spaces: Mutex<BTreeMap<Arc<str>, ShelfSpace>>,
    queued: Mutex<VecDeque<LogBatch>>,
    /// Records of batches, as they were committed.
    pub(crate) records: Mutex<Vec<Record>>,
    pub(crate) is_lazy: AtomicBool,
    pub(crate) is_full: AtomicBool,
    pub(crate) is_failing: AtomicBool,
    /// Called at the next read, before anything is looked up.
    pub(crate) before_read: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

#[derive(Default)]
struct ShelfSpace {
    next_offset: Offset,
    trimmed_through: Offset,
    messages: BTreeMap<Offset, Message>,
    retained: BTreeMap<TopicName, Message>,
}

pub(crate) const EPOCH: u64 = 0xfa;

impl Shelf {
    /// Offsets that it keeps of a space.
    pub(crate) fn offsets(&self, space: &str) -> Vec<Offset> {
        self.spaces.lock().get(space).map_or(Vec::new(), |space| space.messages.keys().copied().collect())
    }

    fn commit(&self, batch: LogBatch) {
        let mut spaces = self.spaces.lock();
        let space = spaces.entry(batch.space).or_default();
        for message in batch.messages {
            assert!(message.offset >= space.next_offset, "offset {} was appended before", message.offset);
            space.next_offset = message.offset + 1;
            space.messages.insert(message.offset, (*message).clone());
        }
        for offset in batch.trimmed {
            assert!(space.messages.remove(&offset).is_some(), "offset {offset} was trimmed twice, or never kept");
            space.trimmed_through = space.trimmed_through.max(offset);
        }
        for (topic, message) in batch.retained {
            match message {
                Some(message) => drop(space.retained.insert(topic, (*message).clone())),
                None => drop(space.retained.remove(&topic)),
            }
        }
        drop(spaces);
        self.records.lock().extend(batch.records);
        if let Some(done) = batch.done {
            done(Ok(()));
        }
    }
}

impl Log for Shelf {
    fn is_durable(&self) -> bool {
        true
    }

    fn failure(&self) -> Option<LogError> {
        self.is_failing.load(SeqCst).then(|| LogError::Failing("no space left on device".into()))
    }

    fn open_space(&self, name: &Arc<str>) -> Result<RecoveredSpace, LogError> {
        let mut spaces = self.spaces.lock();
        let space = spaces.entry(name.clone()).or_default();
        let next_offset = space.next_offset.max(1);
        Ok(RecoveredSpace { name: name.clone(), epoch: EPOCH, next_offset, trimmed_through: space.trimmed_through })
    }

    fn spaces(&self) -> Result<Vec<Arc<str>>, LogError> {
        Ok(self.spaces.lock().keys().cloned().collect())
    }

    fn replay(&self, space: &str, visit: &mut dyn FnMut(Message, bool)) -> Result<(), LogError> {
        let spaces = self.spaces.lock();
        let Some(space) = spaces.get(space) else { return Ok(()) };
        space.messages.values().for_each(|message| visit(message.clone(), false));
        space.retained.values().for_each(|message| visit(message.clone(), true));
        Ok(())
    }

    fn append(&self, batch: LogBatch) -> Result<(), LogError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        if self.is_full.load(SeqCst) {
            return Err(LogError::QueueFull);
        }
        if self.is_lazy.load(SeqCst) {
            self.queued.lock().push_back(batch);
        } else {
            self.commit(batch);
        }
        Ok(())
    }

    fn read(&self, space: &str, offsets: &[Offset]) -> Result<Vec<Arc<Message>>, LogError> {
        let before = self.before_read.lock().take();
        before.into_iter().for_each(|before| before());
        let spaces = self.spaces.lock();
        let Some(space) = spaces.get(space) else { return Ok(Vec::new()) };
        Ok(offsets.iter().filter_map(|offset| space.messages.get(offset).cloned().map(Arc::new)).collect())
    }

    fn put_record(&self, _: RecordTable, _: &[u8], _: Option<Bytes>, _: Option<Done>) -> Result<(), LogError> {
        Ok(())
    }

    fn records(&self, _: RecordTable) -> Result<Vec<(Bytes, Bytes)>, LogError> {
        Ok(Vec::new())
    }

    fn flush(&self) -> Result<(), LogError> {
        loop {
            let Some(batch) = self.queued.lock().pop_front() else { return Ok(()) };
            self.commit(batch);
        }
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}

/// The queue of one shard.
#[derive(Default)]
pub(crate) struct TestInbox {
    queue: Mutex<VecDeque<Delivery>>,
    /// Deliveries that were taken out and are still being handed on.
    in_hand: AtomicUsize,
    pub(crate) is_full: AtomicBool,
}

impl TestInbox {
    /// Hands everything that waits to `hand`, as a shard does in its turn.
    pub(crate) fn drain(&self, mut hand: impl FnMut(Delivery)) {
        let batch = {
            let mut queue = self.queue.lock();
            self.in_hand.store(queue.len(), SeqCst);
            std::mem::take(&mut *queue)
        };
        for delivery in batch {
            hand(delivery);
            self.in_hand.fetch_sub(1, SeqCst);
        }
    }

    pub(crate) fn messages(&self) -> Vec<Arc<Message>> {
        let mut messages = Vec::new();
        self.drain(|delivery| match delivery {
            Delivery::Message(message) => messages.push(message),
            Delivery::Presence(_) => {}
        });
        messages
    }
}

impl Inbox for TestInbox {
    fn deliver(&self, delivery: Delivery) {
        self.queue.lock().push_back(delivery);
    }

    fn is_quiet(&self) -> bool {
        let queue = self.queue.lock();
        queue.is_empty() && self.in_hand.load(SeqCst) == 0
    }

    fn is_full(&self) -> bool {
        self.is_full.load(SeqCst)
    }
}

/// A core with its inboxes, and `default` as the space that short names speak of.
pub(crate) struct Bench {
    pub(crate) core: Core,
    pub(crate) inboxes: Vec<Arc<TestInbox>>,
    pub(crate) ann: Principal,
}

impl Bench {
    pub(crate) fn open(log: Arc<dyn Log>, shards: usize, settings: SpaceSettings) -> Self {
        let inboxes: Vec<_> = (0..shards).map(|_| Arc::new(TestInbox::default())).collect();
        let towards = inboxes.iter().map(|inbox| inbox.clone() as Arc<dyn Inbox>).collect();
        let core = Core::open(log, towards, CoreLimits::default(), [], settings).unwrap();
        Self { core, inboxes, ann: user("ann") }
    }

    /// Publishes `text` as ann.
    pub(crate) fn publish(&self, topic: &str, text: &str, now: Millis) -> Result<Published, Refusal> {
        self.core.publish(&self.ann, publication(topic, text), None, now, None)
    }

    /// Publishes with a key.
    pub(crate) fn publish_once(&self, who: &Principal, topic: &str, key: &str, now: Millis) -> Published {
        self.core.publish(who, keyed(topic, key), None, now, None).unwrap()
    }

    /// Everything that history holds for a filter, through pages.
    pub(crate) fn kept(&self, filter: &str) -> Vec<Arc<Message>> {
        let filter = Filter::new(filter).unwrap();
        let (mut messages, mut after) = (Vec::new(), 0);
        loop {
            let page = self.core.page("default", &filter, after, 7, 1 << 20, false).unwrap().unwrap();
            messages.extend(page.messages);
            if page.is_head {
                return messages;
            }
            assert!(page.next > after, "a page that is not the last goes on");
            after = page.next;
        }
    }
}

pub(crate) fn space() -> Arc<str> {
    "default".into()
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

pub(crate) fn filter(text: &str) -> Filter {
    Filter::new(text).unwrap()
}

/// Somebody who may do everything.
pub(crate) fn user(name: &str) -> Principal {
    Principal { subject: Some(name.into()), grant: Grant::everything(), ..Principal::default() }
}

pub(crate) fn publication(name: &str, text: &str) -> Publication {
    Publication::new(space(), topic(name), Kind::Text, Bytes::copy_from_slice(text.as_bytes()))
}

pub(crate) fn keyed(name: &str, key: &str) -> Publication {
    Publication { idempotency_key: Some(key.into()), ..publication(name, "once") }
}

pub(crate) fn retained(name: &str, text: &str) -> Publication {
    Publication { retain: true, ..publication(name, text) }
}

/// Settings under which nothing is kept.
pub(crate) fn without_history() -> SpaceSettings {
    let mut settings = SpaceSettings::default();
    settings.history.count = 0;
    settings
}

pub(crate) fn offsets(messages: &[Arc<Message>]) -> Vec<Offset> {
    messages.iter().map(|message| message.offset).collect()
}

pub(crate) fn texts(messages: &[Arc<Message>]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8(message.payload.to_vec()).unwrap()).collect()
}
