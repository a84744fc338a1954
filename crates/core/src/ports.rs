//! What the core needs of the world around it.

use std::sync::Arc;

use bytes::Bytes;

use crate::filter::TopicName;
use crate::message::{Message, Offset};
use crate::presence::PresenceEvent;

/// Number of a shard: at most 63 event loops and one for streams served by tasks.
pub type ShardId = u8;

/// What a shard is told to hand to its subscribers.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A message was published.
    Message(Arc<Message>),
    /// Somebody came to or left a topic.
    Presence(Arc<PresenceEvent>),
}

/// The queue towards one shard.
pub trait Inbox: Send + Sync {
    /// Adds to the queue and wakes the shard. Called while a space is locked: it must not block
    /// for long, and it keeps the order of calls.
    fn deliver(&self, delivery: Delivery);

    /// Nothing waits in the queue and nothing taken from it is still being handed out.
    fn is_quiet(&self) -> bool;

    /// The queue holds as much as its bound allows; publishers are refused until it empties.
    fn is_full(&self) -> bool;
}

/// The log cannot take or give messages.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LogError {
    /// Writing fails: the disk is full or broken. Holds what the system said.
    #[error("storage is failing: {0}")]
    Failing(Arc<str>),
    /// More waits for the disk than the queue's bound allows.
    #[error("storage is too slow; its queue is full")]
    QueueFull,
    /// What was read back is not what was written.
    #[error("stored data is damaged: {0}")]
    Damaged(Arc<str>),
}

/// Tells whoever waits that a batch is on disk, or why it is not.
pub type Done = Box<dyn FnOnce(Result<(), LogError>) + Send>;

/// One atomic step of a space's log: everything in it is kept, or nothing.
#[derive(Default)]
pub struct LogBatch {
    /// Which space.
    pub space: Arc<str>,
    /// Messages in ascending order of offset, without gaps towards earlier batches of the space
    /// other than those left by a restart.
    pub messages: Vec<Arc<Message>>,
    /// Highest offset that was handed out so far, also to messages that are not kept; 0 says
    /// nothing. Told about twice a second.
    pub head: Offset,
    /// Offsets that history no longer keeps.
    pub trimmed: Vec<Offset>,
    /// Retained last messages to set, or to clear where `None`.
    pub retained: Vec<(TopicName, Option<Arc<Message>>)>,
    /// Small records of the same step.
    pub records: Vec<Record>,
    /// Called once when the batch is durable, or has failed.
    pub done: Option<Done>,
}

/// Kinds of small durable records beside the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordTable {
    /// Revoked subjects, tokens and times.
    Revocations,
    /// What this node remembers of itself: signing key of development mode, names.
    Node,
    /// Usage counted so far, by day.
    Usage,
    /// Durable sessions of doors.
    Sessions,
    /// Documents that doors keep for devices.
    Shadows,
    /// How far rules have come.
    Rules,
    /// Event buses with their rules.
    Events,
    /// Calls of functions that nobody waits for, until they are made.
    Calls,
    /// Events on their way to whom rules send them, until they are there.
    Deliveries,
    /// Connections whose end somebody must be told of, also after a crash.
    Connections,
    /// Caches that clients have made by name.
    Caches,
    /// Webhooks of clients, and how far each has read.
    Webhooks,
    /// What webhooks are to be told, until they are.
    WebhookDeliveries,
}

/// A small durable record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Of which kind.
    pub table: RecordTable,
    /// Its key in the table.
    pub key: Bytes,
    /// What it holds; `None` removes it.
    pub value: Option<Bytes>,
}

/// What a restart finds of a space.
#[derive(Debug, Default)]
pub struct RecoveredSpace {
    /// Its name.
    pub name: Arc<str>,
    /// The numbering it has used so far and goes on with.
    pub epoch: u64,
    /// No offset at or above this was ever handed out, not even for a message that a crash lost.
    pub next_offset: Offset,
    /// Highest offset that was ever trimmed; 0 when none was.
    pub trimmed_through: Offset,
}

/// The ordered record of every space, and small records beside it.
///
/// `append` and `put_record` queue and return at once; the order of calls is the order on disk.
/// Everything else may block on the disk and is called off the shards.
pub trait Log: Send + Sync {
    /// Whether what is appended outlives the process.
    fn is_durable(&self) -> bool;

    /// Whether appends are failing now, and why. Cheap: read on every publish.
    fn failure(&self) -> Option<LogError>;

    /// Creates the space in the log, or tells what it holds. Idempotent.
    fn open_space(&self, name: &Arc<str>) -> Result<RecoveredSpace, LogError>;

    /// Names of all spaces in the log.
    fn spaces(&self) -> Result<Vec<Arc<str>>, LogError>;

    /// Hands every kept message of a space to `visit` in ascending order of offset, then every
    /// retained message with `is_retained` set to `true` in the second argument.
    fn replay(&self, space: &str, visit: &mut dyn FnMut(Message, bool)) -> Result<(), LogError>;

    /// Queues a batch. On an error nothing was queued and `done` is not called.
    fn append(&self, batch: LogBatch) -> Result<(), LogError>;

    /// Reads messages by offset, in the order asked for. One that is no longer kept is left out of
    /// the answer; so may be one that was appended and not yet flushed.
    fn read(&self, space: &str, offsets: &[Offset]) -> Result<Vec<Arc<Message>>, LogError>;

    /// Queues a small record; `None` removes it.
    fn put_record(
        &self,
        table: RecordTable,
        key: &[u8],
        value: Option<Bytes>,
        done: Option<Done>,
    ) -> Result<(), LogError>;

    /// All records of a table in ascending order of key.
    fn records(&self, table: RecordTable) -> Result<Vec<(Bytes, Bytes)>, LogError>;

    /// Blocks until everything queued so far is on disk.
    fn flush(&self) -> Result<(), LogError>;

    /// Bytes on disk, for metrics.
    fn disk_bytes(&self) -> u64;
}

/// The log of a server that keeps nothing: history lives in the core's memory alone.
#[derive(Debug)]
pub struct MemoryLog {
    epoch: u64,
}

impl MemoryLog {
    /// `epoch` must differ from that of earlier runs, so that a position of an earlier run is
    /// recognised as gone.
    pub fn new(epoch: u64) -> Self {
        Self { epoch }
    }
}

impl Log for MemoryLog {
    fn is_durable(&self) -> bool {
        false
    }

    fn failure(&self) -> Option<LogError> {
        None
    }

    fn open_space(&self, name: &Arc<str>) -> Result<RecoveredSpace, LogError> {
        Ok(RecoveredSpace { name: name.clone(), epoch: self.epoch, next_offset: 1, trimmed_through: 0 })
    }

    fn spaces(&self) -> Result<Vec<Arc<str>>, LogError> {
        Ok(Vec::new())
    }

    fn replay(&self, _space: &str, _visit: &mut dyn FnMut(Message, bool)) -> Result<(), LogError> {
        Ok(())
    }

    fn append(&self, batch: LogBatch) -> Result<(), LogError> {
        if let Some(done) = batch.done {
            done(Ok(()));
        }
        Ok(())
    }

    fn read(&self, _space: &str, _offsets: &[Offset]) -> Result<Vec<Arc<Message>>, LogError> {
        Ok(Vec::new())
    }

    fn put_record(
        &self,
        _table: RecordTable,
        _key: &[u8],
        _value: Option<Bytes>,
        done: Option<Done>,
    ) -> Result<(), LogError> {
        if let Some(done) = done {
            done(Ok(()));
        }
        Ok(())
    }

    fn records(&self, _table: RecordTable) -> Result<Vec<(Bytes, Bytes)>, LogError> {
        Ok(Vec::new())
    }

    fn flush(&self) -> Result<(), LogError> {
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}
