//! Subscriptions of tasks: server-sent events, HTTP streams, long polls, and whatever else hyper
//! serves. They stand beside the shards as one more: same core, same rules, and a bounded channel
//! towards each reader.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fanfare_core::{
    Delivery, Filter, Inbox, Message, Offset, Position, Principal, Refusal, Roster, ShardId, Since, Subscriber,
};
use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::{Notify, mpsc, watch};

use crate::gateway::Gateway;
use crate::http::drained;
use crate::inbox::weight;

/// Messages that may wait for one reader; beyond, it reads on from history.
const READER_MESSAGES_MAX: usize = 256;
const DELIVERIES_MAX: usize = 65_536;
const DELIVERY_BYTES_MAX: usize = 64 << 20;
/// Messages that one step reads from history.
const PAGE_MESSAGES: usize = 256;
const PAGE_BYTES: usize = 256 << 10;

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
    tx: mpsc::Sender<Item>,
    principal: Arc<Principal>,
    /// It fell behind: nothing is sent until it has read on from history.
    is_behind: bool,
}

enum Item {
    Message(Arc<Message>),
}

/// What a reader gets next.
#[derive(Debug)]
pub enum StreamItem {
    /// A message.
    Message(Arc<Message>),
    /// Messages are lost; reading goes on from here.
    Gap(Position),
    /// The credential was revoked or its time is over, or the server drains.
    End(&'static str),
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
            while self.hand_out(1_024) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// `true` when there may be more.
    fn hand_out(&self, max: usize) -> bool {
        let mut state = self.state.lock();
        self.hand_out_locked(&mut state, max)
    }

    fn hand_out_locked(&self, state: &mut State, max: usize) -> bool {
        let deliveries: Vec<_> = {
            let mut queue = self.queue.lock();
            let count = queue.len().min(max);
            queue.drain(..count).collect()
        };
        let State { roster, readers } = state;
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

    /// Readers that are there now.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().readers.len()
    }

    pub(crate) fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    pub(crate) fn close_all(&self) {
        self.draining.send_replace(true);
    }

    pub(crate) fn revoke(&self, is_revoked: &(dyn Fn(&Principal) -> bool + Send + Sync)) {
        // A reader whose channel is gone ends.
        self.state.lock().readers.iter_mut().filter(|(_, r)| is_revoked(&r.principal)).for_each(|(_, reader)| {
            reader.tx = mpsc::channel(1).0;
            reader.is_behind = true;
        });
    }
}

impl Reader {
    fn offer(&mut self, message: &Arc<Message>) {
        if !self.is_behind {
            self.is_behind = self.tx.try_send(Item::Message(message.clone())).is_err();
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

/// A reader's end: messages of one or more filters of a space, in the order of the space.
pub struct Listening {
    gateway: Arc<Gateway>,
    space: Arc<str>,
    filters: Vec<Filter>,
    reader: usize,
    rx: mpsc::Receiver<Item>,
    principal: Arc<Principal>,
    draining: watch::Receiver<bool>,
    /// Messages of the past that come before those of the channel.
    past: VecDeque<Arc<Message>>,
    /// How far history must be read before the channel counts; `None` when it does.
    reading_until: Option<Offset>,
    /// Everything up to here was given out or is of no concern.
    seen: Offset,
    epoch: u64,
    is_gap_due: bool,
    /// Where the log stood when the reader began, or what it asked to go on from.
    pub position: Position,
    /// Whether everything since the asked position comes; `None` when nothing was asked.
    pub recovered: Option<bool>,
}

impl Gateway {
    fn stream_shard(&self) -> ShardId {
        self.inboxes.len() as ShardId
    }

    /// The shard with the fewest connections.
    pub(crate) fn least_loaded(&self) -> &Arc<crate::inbox::ShardInbox> {
        let by_load = self.inboxes.iter().min_by_key(|inbox| inbox.connections.load(Ordering::Relaxed));
        by_load.expect("there is at least one shard")
    }

    /// Subscribes a task to filters of one space.
    ///
    /// # Errors
    /// The grant or a limit refuses it.
    pub fn listen(
        self: &Arc<Self>,
        principal: &Arc<Principal>,
        space: &Arc<str>,
        filters: Vec<Filter>,
        since: Since,
    ) -> Result<Listening, Refusal> {
        let limit = self.limits().streams;
        if self.streams.len() >= limit {
            self.metrics.limit("streams");
            return Err(Refusal::Overloaded);
        }
        let (tx, rx) = mpsc::channel(READER_MESSAGES_MAX);
        let reader = Reader { tx, principal: principal.clone(), is_behind: false };
        let reader = self.streams.state.lock().readers.insert(reader);
        let mut listening = Listening {
            gateway: self.clone(),
            space: space.clone(),
            filters: Vec::new(),
            reader,
            rx,
            principal: principal.clone(),
            draining: self.streams.draining(),
            past: VecDeque::new(),
            reading_until: None,
            seen: 0,
            epoch: 0,
            is_gap_due: false,
            position: Position { epoch: 0, offset: 0 },
            recovered: None,
        };
        // History is asked before the live subscriptions begin; what happens in between stands in
        // both and is told apart by its offset.
        listening.start(since, &filters)?;
        for filter in filters {
            listening.subscribe(filter)?;
        }
        Ok(listening)
    }
}

impl Listening {
    fn start(&mut self, since: Since, filters: &[Filter]) -> Result<(), Refusal> {
        let core = &self.gateway.core;
        let head = core.head(&self.space)?;
        self.epoch = head.epoch;
        self.position = head;
        self.seen = head.offset;
        match since {
            Since::Now => {}
            Since::Beginning => {
                self.recovered = Some(true);
                self.position.offset = 0;
                self.seen = 0;
            }
            Since::After(position) => {
                let is_whole = filters.iter().all(|filter| core.is_complete_after(&self.space, filter, position));
                self.recovered = Some(is_whole);
                if is_whole {
                    self.position = position;
                    self.seen = position.offset;
                }
            }
        }
        Ok(())
    }

    fn subscribe(&mut self, filter: Filter) -> Result<(), Refusal> {
        let streams = self.gateway.streams.clone();
        let _membership = streams.membership.lock();
        let subscriber = Subscriber {
            connection: self.reader as u32,
            subscription: self.filters.len() as u16,
            wants_presence: false,
            is_tracked: false,
        };
        let shard = self.gateway.stream_shard();
        let mut add = || {
            let mut state = streams.state.lock();
            streams.hand_out_locked(&mut state, usize::MAX);
            state.roster.add(&self.space, &filter, subscriber);
        };
        let joined = self.gateway.core.join(&self.principal, &self.space, &filter, Since::Now, shard, &mut add)?;
        // What was published since the reader began stands in history up to here.
        if joined.position.offset > self.seen {
            self.reading_until = Some(joined.position.offset);
        }
        self.filters.push(filter);
        Ok(())
    }

    /// The next item; waits for it.
    pub async fn next(&mut self) -> StreamItem {
        loop {
            if *self.draining.borrow() {
                return StreamItem::End("shutting_down");
            }
            if let Some(message) = self.past.pop_front() {
                self.seen = message.offset;
                return StreamItem::Message(message);
            }
            if std::mem::take(&mut self.is_gap_due) {
                return StreamItem::Gap(Position { epoch: self.epoch, offset: self.seen });
            }
            if let Some(until) = self.reading_until {
                if let Err(code) = self.read_on(until).await {
                    return StreamItem::End(code);
                }
                continue;
            }
            let expires_at = self.principal.expires_at;
            let clock = self.gateway.clock;
            let expiry = async {
                match expires_at {
                    Some(at) => {
                        tokio::time::sleep(std::time::Duration::from_millis(at.saturating_sub(clock.now()))).await
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                item = self.rx.recv() => match item {
                    Some(Item::Message(message)) if message.offset > self.seen => {
                        self.seen = message.offset;
                        return StreamItem::Message(message);
                    }
                    Some(Item::Message(_)) => {}
                    None => return StreamItem::End("revoked"),
                },
                () = expiry => return StreamItem::End("token_expired"),
                () = drained(self.draining.clone()) => return StreamItem::End("shutting_down"),
            }
            self.check_behind();
        }
    }

    /// An item that is there already.
    pub fn is_item_waiting(&self) -> bool {
        !self.past.is_empty() || !self.rx.is_empty() || self.reading_until.is_some()
    }

    /// Everything up to here was given out.
    pub fn seen(&self) -> Position {
        Position { epoch: self.epoch, offset: self.seen }
    }

    /// The channel ran over while nobody read: its rest is given out, then history is read from
    /// there on.
    fn check_behind(&mut self) {
        if !self.rx.is_empty() {
            return;
        }
        let mut state = self.gateway.streams.state.lock();
        let Some(reader) = state.readers.get_mut(self.reader) else { return };
        if std::mem::take(&mut reader.is_behind) {
            drop(state);
            let head = self.gateway.core.head(&self.space).map_or(self.seen, |head| head.offset);
            self.reading_until = Some(head);
        }
    }

    /// Reads the next part of history of all filters, merged by offset.
    async fn read_on(&mut self, until: Offset) -> Result<(), &'static str> {
        let (gateway, space, filters) = (self.gateway.clone(), self.space.clone(), self.filters.clone());
        let after = self.seen;
        let read = self.gateway.tasks.spawn_blocking(move || read_merged(&gateway, &space, &filters, after));
        let Ok(Ok((messages, next, has_gap))) = read.await else { return Err("storage_unavailable") };
        self.is_gap_due |= has_gap && after > 0;
        let is_done = next.is_none_or(|next| next >= until);
        self.past = messages.into_iter().filter(|message| message.offset > after).collect();
        match next {
            Some(next) if !is_done => {
                if self.past.is_empty() {
                    self.seen = next;
                }
            }
            _ => {
                self.reading_until = None;
                if self.past.is_empty() {
                    self.seen = self.seen.max(until);
                }
            }
        }
        Ok(())
    }
}

/// Messages of any of the filters after an offset, in order; where the next part begins, if there
/// is one; and whether something is lost.
type Merged = (Vec<Arc<Message>>, Option<Offset>, bool);

fn read_merged(gateway: &Gateway, space: &str, filters: &[Filter], after: Offset) -> Result<Merged, Refusal> {
    let mut messages = Vec::new();
    let mut next: Option<Offset> = None;
    let mut has_gap = false;
    for filter in filters {
        let page = gateway.core.page(space, filter, after, PAGE_MESSAGES, PAGE_BYTES, false)?;
        let Some(page) = page else { continue };
        has_gap |= page.has_gap;
        if !page.is_head {
            next = Some(next.map_or(page.next, |next| next.min(page.next)));
        }
        messages.extend(page.messages);
    }
    messages.sort_unstable_by_key(|message| message.offset);
    messages.dedup_by_key(|message| message.offset);
    if let Some(next) = next {
        messages.retain(|message| message.offset <= next);
    }
    Ok((messages, next, has_gap))
}

impl Drop for Listening {
    fn drop(&mut self) {
        let streams = self.gateway.streams.clone();
        let _membership = streams.membership.lock();
        let mut last = Vec::new();
        {
            let mut state = streams.state.lock();
            for (number, filter) in self.filters.iter().enumerate() {
                if state.roster.remove(&self.space, filter, self.reader as u32, number as u16) {
                    last.push(filter.clone());
                }
            }
            state.readers.try_remove(self.reader);
        }
        for filter in last {
            self.gateway.core.leave(&self.space, &filter, self.gateway.stream_shard());
        }
    }
}
