//! Subscriptions of tasks: server-sent events, HTTP streams, long polls, and whatever else hyper
//! serves. They stand beside the shards as one more: same core, same rules, and a bounded channel
//! towards each reader. The reader's side is [`Listening`](crate::Listening).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use fanfare_core::{Delivery, Filter, Inbox, Message, Offset, Principal, Roster, Subscriber};
use parking_lot::{Mutex, MutexGuard};
use slab::Slab;
use tokio::sync::{Notify, mpsc, watch};

use crate::inbox::weight;

/// Messages that may wait for one reader; beyond, it reads on from history.
const READER_MESSAGES_MAX: usize = 256;
const DELIVERIES_MAX: usize = 65_536;
const DELIVERY_BYTES_MAX: usize = 64 << 20;
/// Deliveries that are handed out before other tasks have their turn.
const HAND_OUT_STEP: usize = 1_024;

/// The readers among the tasks.
pub(crate) struct Streams {
    queue: Mutex<VecDeque<Delivery>>,
    open: AtomicUsize,
    bytes: AtomicUsize,
    wake: Notify,
    state: Mutex<State>,
    /// Held while a subscription comes or goes, so that interest and roster change together.
    membership: Mutex<()>,
    draining: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    roster: Roster,
    readers: Slab<Reader>,
}

struct Reader {
    tx: mpsc::Sender<Arc<Message>>,
    principal: Arc<Principal>,
    signs: Arc<Signs>,
    /// A message that several filters match is offered once.
    last_offered: Offset,
}

/// What the two sides of a reader's channel tell each other beside messages.
#[derive(Default)]
pub(crate) struct Signs {
    /// The channel ran over: nothing is sent until the reader takes this back and reads history.
    pub(crate) is_behind: AtomicBool,
    /// The credential does not count any more.
    pub(crate) is_revoked: AtomicBool,
}

/// A reader's ends of what it shares with the streams.
pub(crate) struct ReaderEnd {
    pub(crate) number: usize,
    pub(crate) rx: mpsc::Receiver<Arc<Message>>,
    pub(crate) signs: Arc<Signs>,
}

impl Streams {
    pub(crate) fn new() -> Self {
        Self {
            queue: Mutex::default(),
            open: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            wake: Notify::new(),
            state: Mutex::default(),
            membership: Mutex::default(),
            draining: watch::Sender::new(false),
        }
    }

    /// Hands out what is published, for as long as the server runs.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            self.wake.notified().await;
            while self.hand_out(HAND_OUT_STEP) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Offers up to `max` deliveries to their readers. `true` when there may be more.
    fn hand_out(&self, max: usize) -> bool {
        let mut state = self.state.lock();
        let deliveries: Vec<_> = {
            let mut queue = self.queue.lock();
            let count = queue.len().min(max);
            queue.drain(..count).collect()
        };
        let State { roster, readers } = &mut *state;
        for delivery in &deliveries {
            if let Delivery::Message(message) = delivery {
                roster.for_each_match(&message.space, &message.topic, &mut |subscribers| {
                    for subscriber in subscribers {
                        if let Some(reader) = readers.get_mut(subscriber.connection as usize) {
                            reader.offer(message);
                        }
                    }
                });
            }
            self.bytes.fetch_sub(weight(delivery), Ordering::Relaxed);
            self.open.fetch_sub(1, Ordering::AcqRel);
        }
        deliveries.len() == max
    }

    /// Offers everything that was delivered before this call.
    pub(crate) fn hand_out_all(&self) {
        self.hand_out(usize::MAX);
    }

    /// Takes a reader in. `None` when there are `limit` of them.
    pub(crate) fn add(&self, principal: &Arc<Principal>, limit: usize) -> Option<ReaderEnd> {
        let (tx, rx) = mpsc::channel(READER_MESSAGES_MAX);
        let signs = Arc::new(Signs::default());
        let reader = Reader { tx, principal: principal.clone(), signs: signs.clone(), last_offered: 0 };
        let mut state = self.state.lock();
        if state.readers.len() >= limit {
            return None;
        }
        Some(ReaderEnd { number: state.readers.insert(reader), rx, signs })
    }

    /// To be held while a reader's filters come or go here and in the core.
    pub(crate) fn lock_membership(&self) -> MutexGuard<'_, ()> {
        self.membership.lock()
    }

    pub(crate) fn subscribe(&self, reader: usize, space: &Arc<str>, filters: &[Filter]) {
        let mut state = self.state.lock();
        for (number, filter) in filters.iter().enumerate() {
            let subscriber = Subscriber {
                connection: reader as u32,
                subscription: number as u16,
                wants_presence: false,
                is_tracked: false,
            };
            state.roster.add(space, filter, subscriber);
        }
    }

    /// Lets a reader go. Yields those of its filters that nobody has any more.
    pub(crate) fn remove(&self, reader: usize, space: &str, filters: &[Filter]) -> Vec<Filter> {
        let mut state = self.state.lock();
        let mut last = Vec::new();
        for (number, filter) in filters.iter().enumerate() {
            if state.roster.remove(space, filter, reader as u32, number as u16) {
                last.push(filter.clone());
            }
        }
        state.readers.try_remove(reader);
        last
    }

    pub(crate) fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    pub(crate) fn close_all(&self) {
        self.draining.send_replace(true);
    }

    pub(crate) fn revoke(&self, is_revoked: &(dyn Fn(&Principal) -> bool + Send + Sync)) {
        let mut state = self.state.lock();
        for (_, reader) in state.readers.iter_mut().filter(|(_, reader)| is_revoked(&reader.principal)) {
            reader.signs.is_revoked.store(true, Ordering::Release);
            // A reader that waits at its channel wakes when nobody can send there any more.
            reader.tx = mpsc::channel(1).0;
        }
    }
}

impl Reader {
    fn offer(&mut self, message: &Arc<Message>) {
        if message.offset <= self.last_offered {
            return;
        }
        self.last_offered = message.offset;
        let is_behind = &self.signs.is_behind;
        if !is_behind.load(Ordering::Acquire) && self.tx.try_send(message.clone()).is_err() {
            is_behind.store(true, Ordering::Release);
        }
    }
}

impl Inbox for Streams {
    fn deliver(&self, delivery: Delivery) {
        self.bytes.fetch_add(weight(&delivery), Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::AcqRel);
        self.queue.lock().push_back(delivery);
        self.wake.notify_one();
    }

    fn is_quiet(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    fn is_full(&self) -> bool {
        self.open.load(Ordering::Relaxed) >= DELIVERIES_MAX || self.bytes.load(Ordering::Relaxed) >= DELIVERY_BYTES_MAX
    }
}
