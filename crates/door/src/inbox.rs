//! The queue of one shard: what others want it to do.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use fanfare_core::{Delivery, HistoryPage, Inbox, Message, Principal, Refusal};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::address::ConnectionId;
use crate::contract::{Goodbye, Reply, Ticket};
use crate::link::Link;
use crate::shard::ConnectionSummary;

/// Most deliveries that may wait; publishers are refused beyond.
const DELIVERIES_MAX: usize = 65_536;
/// Most payload bytes that may wait.
const DELIVERY_BYTES_MAX: usize = 64 << 20;

/// What a shard is asked to do, beside delivering.
pub(crate) enum Command {
    /// Take over a new connection. The bytes were read from it already.
    Adopt { link: Link, peer: SocketAddr, prefix: Vec<u8>, is_secure: bool },
    /// Tell a session that something it asked for is there.
    Answer { connection: ConnectionId, ticket: Ticket, reply: Reply },
    /// Tell a session something that only its door understands.
    Tell { connection: ConnectionId, what: Box<dyn std::any::Any + Send> },
    /// Close one connection; answers whether it existed.
    Close { connection: ConnectionId, goodbye: Goodbye, found: Option<oneshot::Sender<bool>> },
    /// Close every connection of a subject; answers how many.
    CloseSubject { subject: Arc<str>, goodbye: Goodbye, count: oneshot::Sender<usize> },
    /// Send something outside of any topic's history; answers to how many connections.
    SendTo { target: Target, message: Arc<Message>, count: Option<oneshot::Sender<usize>> },
    /// A page of history that was read for a connection.
    Page { connection: ConnectionId, subscription: u16, page: Result<Option<HistoryPage>, Refusal> },
    /// Limits were replaced.
    Reload,
    /// Close every connection whose principal the predicate names.
    Revoke { is_revoked: Arc<dyn Fn(&Principal) -> bool + Send + Sync> },
    /// List connections after this one, at most so many.
    List { after: Option<ConnectionId>, limit: usize, answer: oneshot::Sender<Vec<ConnectionSummary>> },
    /// Describe one connection, if it is open.
    Show { connection: ConnectionId, answer: oneshot::Sender<Option<ConnectionSummary>> },
    /// Say goodbye to everybody within so many milliseconds, then stop.
    Drain { within_ms: u64 },
    /// Stop at once.
    Stop,
}

/// To whom something is sent.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// One connection.
    Connection(ConnectionId),
    /// Every connection of a subject.
    Subject(Arc<str>),
    /// Every connection that subscribes to something in a space.
    Space(Arc<str>),
    /// Every connection that its door has put in this group, or those of one subject among them.
    Group { door: u8, group: u16, subject: Option<Arc<str>> },
}

/// Shared half of a shard: where others put what it shall do.
pub(crate) struct ShardInbox {
    deliveries: Mutex<VecDeque<Delivery>>,
    commands: Mutex<VecDeque<Command>>,
    /// Deliveries that wait or are being handed out.
    open: AtomicUsize,
    bytes: AtomicUsize,
    is_awake: AtomicBool,
    waker: mio::Waker,
    /// Connections the shard holds, for whoever deals out new ones.
    pub(crate) connections: AtomicUsize,
}

impl ShardInbox {
    pub(crate) fn new(waker: mio::Waker) -> Self {
        Self {
            deliveries: Mutex::default(),
            commands: Mutex::default(),
            open: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            is_awake: AtomicBool::new(false),
            waker,
            connections: AtomicUsize::new(0),
        }
    }

    pub(crate) fn command(&self, command: Command) {
        self.commands.lock().push_back(command);
        self.wake();
    }

    fn wake(&self) {
        if !self.is_awake.swap(true, Ordering::AcqRel) {
            // A failing eventfd would mean a broken kernel object; the shard's next tick sees the
            // queue in any case.
            let _ = self.waker.wake();
        }
    }

    /// The shard is about to sleep. `false` when something came in, so that it must not.
    pub(crate) fn may_sleep(&self) -> bool {
        self.is_awake.store(false, Ordering::Release);
        std::sync::atomic::fence(Ordering::SeqCst);
        let is_empty = self.deliveries.lock().is_empty() && self.commands.lock().is_empty();
        if !is_empty {
            self.is_awake.store(true, Ordering::Release);
        }
        is_empty
    }

    pub(crate) fn woke(&self) {
        self.is_awake.store(true, Ordering::Release);
    }

    /// Moves up to `max` deliveries to `out`. They stay open until [`ShardInbox::handed_out`].
    pub(crate) fn take_deliveries(&self, max: usize, out: &mut Vec<Delivery>) {
        if self.open.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut queue = self.deliveries.lock();
        let count = queue.len().min(max);
        out.extend(queue.drain(..count));
        if queue.is_empty() && queue.capacity() > 4_096 {
            *queue = VecDeque::new();
        }
    }

    pub(crate) fn handed_out(&self, delivery: &Delivery) {
        self.bytes.fetch_sub(weight(delivery), Ordering::Relaxed);
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn take_commands(&self, max: usize, out: &mut Vec<Command>) {
        let mut queue = self.commands.lock();
        let count = queue.len().min(max);
        out.extend(queue.drain(..count));
    }
}

impl Inbox for ShardInbox {
    fn deliver(&self, delivery: Delivery) {
        self.bytes.fetch_add(weight(&delivery), Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::AcqRel);
        self.deliveries.lock().push_back(delivery);
        self.wake();
    }

    fn is_quiet(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    fn is_full(&self) -> bool {
        self.open.load(Ordering::Relaxed) >= DELIVERIES_MAX || self.bytes.load(Ordering::Relaxed) >= DELIVERY_BYTES_MAX
    }
}

pub(crate) fn weight(delivery: &Delivery) -> usize {
    match delivery {
        Delivery::Message(message) => message.payload.len() + 256,
        Delivery::Presence(event) => event.member.data.len() + 256,
    }
}
