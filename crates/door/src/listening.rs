//! A task's end of its subscriptions.
//!
//! Live messages come through a bounded channel; the past, and whatever did not fit the channel,
//! comes from history. Both carry offsets, so where they overlap nothing comes twice: the reader
//! remembers up to where it has seen everything, reads history up to a head that was there while
//! its subscription was already live, and goes on with the channel from there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fanfare_core::{Filter, Message, Offset, Position, Principal, Refusal, ShardId, Since};
use tokio::sync::watch;

use crate::gateway::Gateway;
use crate::http::drained;
use crate::streams::ReaderEnd;

/// Messages that one step reads from history.
const PAGE_MESSAGES: usize = 256;
const PAGE_BYTES: usize = 256 << 10;

/// What a reader gets next.
#[derive(Debug)]
pub enum StreamItem {
    /// A message.
    Message(Arc<Message>),
    /// The retained message of a topic. It stands before everything that is live.
    Retained(Arc<Message>),
    /// Messages are lost; reading goes on from here.
    Gap(Position),
    /// The credential was revoked or its time is over, or the server drains. Comes again when asked again.
    End(&'static str),
}

/// A reader of one or more filters of a space, in the order of the space. It ends its
/// subscriptions when dropped.
pub struct Listening {
    gateway: Arc<Gateway>,
    space: Arc<str>,
    filters: Arc<[Filter]>,
    end: ReaderEnd,
    principal: Arc<Principal>,
    draining: watch::Receiver<bool>,
    retained: VecDeque<Arc<Message>>,
    /// Messages that come before those of the channel.
    past: VecDeque<Arc<Message>>,
    /// A loss that the reader must hear of before `past`, and from where on all is there again.
    gap: Option<Offset>,
    /// How far history must be read before the channel counts; `None` when it does.
    reading_until: Option<Offset>,
    /// Everything up to here was read from history: it stands in `past` or was given out.
    read_to: Offset,
    /// Everything up to here was given out or is of no concern.
    seen: Offset,
    /// What was trimmed up to here had gone before the reader began, and is no loss to it.
    floor: Offset,
    epoch: u64,
    /// Where the reader began: what it asked to go on from, or where the log stood.
    pub position: Position,
    /// Whether everything since the asked position comes; `None` when nothing was asked.
    pub recovered: Option<bool>,
}

impl Gateway {
    fn stream_shard(&self) -> ShardId {
        self.inboxes.len() as ShardId
    }

    /// Subscribes a task to filters of one space.
    ///
    /// # Errors
    /// The grant or a limit refuses it.
    pub fn listen(
        self: &Arc<Self>,
        principal: &Arc<Principal>,
        space: &Arc<str>,
        mut filters: Vec<Filter>,
        since: Since,
    ) -> Result<Listening, Refusal> {
        filters.sort_unstable();
        filters.dedup();
        let Some(end) = self.streams.add(principal, self.limits().streams) else {
            self.metrics.limit("streams");
            return Err(Refusal::Overloaded);
        };
        let mut listening = Listening {
            gateway: self.clone(),
            space: space.clone(),
            filters: filters.into(),
            end,
            principal: principal.clone(),
            draining: self.streams.draining(),
            retained: VecDeque::new(),
            past: VecDeque::new(),
            gap: None,
            reading_until: None,
            read_to: 0,
            seen: 0,
            floor: 0,
            epoch: 0,
            position: Position { epoch: 0, offset: 0 },
            recovered: None,
        };
        listening.start(since)?;
        // A revocation that came between the check of the credential and now found no reader.
        if self.gate.revocations().is_revoked(principal, self.clock.now()) {
            listening.end.signs.is_revoked.store(true, Ordering::Release);
        }
        Ok(listening)
    }
}

impl Listening {
    fn start(&mut self, since: Since) -> Result<(), Refusal> {
        let streams = self.gateway.streams.clone();
        let _membership = streams.lock_membership();
        // The roster first: from the moment the core knows of the filters, nothing may be missed.
        streams.subscribe(self.end.number, &self.space, &self.filters);
        let shard = self.gateway.stream_shard();
        let joined = self.gateway.core.join_all(&self.principal, &self.space, &self.filters, since, shard)?;
        let head = joined.position;
        self.epoch = head.epoch;
        self.recovered = joined.recovered;
        self.position = Position { epoch: head.epoch, offset: joined.behind.unwrap_or(head.offset) };
        self.seen = self.position.offset;
        self.read_to = self.seen;
        if self.seen < head.offset {
            self.reading_until = Some(head.offset);
        }
        if since == Since::Beginning {
            self.floor = head.offset;
        }
        self.retained = joined.retained.into();
        Ok(())
    }

    /// The next item; waits for it. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> StreamItem {
        loop {
            if let Some(item) = self.next_now() {
                return item;
            }
            match self.read_if_behind().await {
                Some(Ok(())) => {}
                Some(Err(code)) => return StreamItem::End(code),
                None => self.wait().await,
            }
        }
    }

    /// The next item; waits for what is published until then at most, but always for what history
    /// has. `None` when there was nothing.
    pub async fn next_before(&mut self, deadline: tokio::time::Instant) -> Option<StreamItem> {
        loop {
            if let Some(item) = self.next_now() {
                return Some(item);
            }
            match self.read_if_behind().await {
                Some(Ok(())) => {}
                Some(Err(code)) => return Some(StreamItem::End(code)),
                None => tokio::time::timeout_at(deadline, self.wait()).await.ok()?,
            }
        }
    }

    async fn read_if_behind(&mut self) -> Option<Result<(), &'static str>> {
        Some(self.read_on(self.reading_until?).await)
    }

    /// The next item, if it is there already.
    pub fn next_now(&mut self) -> Option<StreamItem> {
        if let Some(code) = self.ended() {
            return Some(StreamItem::End(code));
        }
        if let Some(message) = self.retained.pop_front() {
            return Some(StreamItem::Retained(message));
        }
        if let Some(offset) = self.gap.take() {
            self.seen = self.seen.max(offset);
            return Some(StreamItem::Gap(self.seen()));
        }
        loop {
            while let Some(message) = self.past.pop_front() {
                if message.offset > self.seen {
                    self.seen = message.offset;
                    return Some(StreamItem::Message(message));
                }
            }
            self.seen = self.seen.max(self.read_to);
            if self.reading_until.is_some() {
                return None;
            }
            match self.end.rx.try_recv() {
                Ok(message) => self.past.push_back(message),
                Err(_) => {
                    self.check_behind();
                    return None;
                }
            }
        }
    }

    /// Whether [`Listening::next`] has something to give or to read; it may turn out to be nothing.
    pub fn is_item_waiting(&self) -> bool {
        !self.past.is_empty()
            || !self.retained.is_empty()
            || self.gap.is_some()
            || self.reading_until.is_some()
            || !self.end.rx.is_empty()
            || self.end.signs.is_behind.load(Ordering::Acquire)
    }

    /// Everything up to here was given out.
    pub fn seen(&self) -> Position {
        Position { epoch: self.epoch, offset: self.seen }
    }

    /// Moves [`Listening::seen`] to where the log stands, if nothing waits that would have to be
    /// given out before. A reader of a quiet topic keeps a place by that which a busy space does
    /// not leave behind. `true` when it moved.
    pub fn advance(&mut self) -> bool {
        if self.is_item_waiting() {
            return false;
        }
        let Ok(head) = self.gateway.core.head(&self.space) else { return false };
        // Every message up to the head is in the queue or was handed out; so afterwards each of
        // them that concerns this reader is in its channel, or has made it fall behind.
        self.gateway.streams.hand_out_all();
        let moves = !self.is_item_waiting() && head.offset > self.seen;
        if moves {
            self.seen = head.offset;
        }
        moves
    }

    fn ended(&self) -> Option<&'static str> {
        if self.end.signs.is_revoked.load(Ordering::Acquire) {
            Some("revoked")
        } else if self.principal.expires_at.is_some_and(|at| at <= self.gateway.clock.now()) {
            Some("token_expired")
        } else if *self.draining.borrow() {
            Some("shutting_down")
        } else {
            None
        }
    }

    /// Waits at the channel, or until the reader ends.
    async fn wait(&mut self) {
        let expires_in = self.principal.expires_at.map(|at| at.saturating_sub(self.gateway.clock.now()));
        let expiry = async move {
            match expires_in {
                Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = self.end.rx.recv() => match message {
                Some(message) => self.past.push_back(message),
                None => self.end.signs.is_revoked.store(true, Ordering::Release),
            },
            () = expiry => {}
            () = drained(self.draining.clone()) => {}
        }
    }

    /// The channel ran over, and what was in it is given out: history has the rest. The sign is
    /// taken back before the head is read, so that whatever was left out stands below the head.
    fn check_behind(&mut self) {
        if !self.end.signs.is_behind.load(Ordering::Acquire) {
            return;
        }
        // What still waits to be handed out stands below that head as well, and would only fill the
        // channel anew.
        self.gateway.streams.hand_out_all();
        self.end.signs.is_behind.swap(false, Ordering::AcqRel);
        let head = self.gateway.core.head(&self.space).map_or(self.seen, |head| head.offset);
        self.read_to = self.seen;
        self.reading_until = (head > self.seen).then_some(head);
    }

    /// Reads the next part of history.
    async fn read_on(&mut self, until: Offset) -> Result<(), &'static str> {
        let (gateway, space, filters) = (self.gateway.clone(), self.space.clone(), self.filters.clone());
        let (after, floor) = (self.read_to, self.floor);
        let read =
            self.gateway.tasks.spawn_blocking(move || read_merged(&gateway, &space, &filters, after, until, floor));
        let merged = match read.await {
            Ok(Ok(merged)) => merged,
            Ok(Err(refusal)) => {
                tracing::warn!(%refusal, "history cannot be read for a stream");
                return Err("storage_unavailable");
            }
            Err(_) => return Err("storage_unavailable"),
        };
        if merged.has_gap {
            let first = merged.messages.first().map_or(merged.read_to, |message| message.offset - 1);
            self.gap = Some(first.max(after));
        }
        self.read_to = merged.read_to;
        self.past = merged.messages.into();
        if self.read_to >= until {
            self.reading_until = None;
        }
        Ok(())
    }
}

/// A part of history.
struct Merged {
    /// Messages of any of the filters, in order, each once.
    messages: Vec<Arc<Message>>,
    /// All filters were read up to here.
    read_to: Offset,
    /// Something in between is lost.
    has_gap: bool,
}

/// Reads from `after` at most up to `until`, where the log stood before this call: what is beyond
/// may be in the page of one filter and not yet in that of another.
fn read_merged(
    gateway: &Gateway,
    space: &str,
    filters: &[Filter],
    after: Offset,
    until: Offset,
    floor: Offset,
) -> Result<Merged, Refusal> {
    let mut merged = Merged { messages: Vec::new(), read_to: until, has_gap: false };
    for filter in filters {
        let Some(page) = gateway.core.page(space, filter, after, PAGE_MESSAGES, PAGE_BYTES, false)? else { continue };
        if !page.is_head {
            merged.read_to = merged.read_to.min(page.next);
        }
        merged.has_gap |= page.has_gap && (after >= floor || !is_complete_after(gateway, space, filter, floor));
        merged.messages.extend(page.messages);
    }
    merged.messages.sort_unstable_by_key(|message| message.offset);
    merged.messages.dedup_by_key(|message| message.offset);
    merged.messages.retain(|message| message.offset > after && message.offset <= merged.read_to);
    Ok(merged)
}

fn is_complete_after(gateway: &Gateway, space: &str, filter: &Filter, offset: Offset) -> bool {
    let head = gateway.core.head(&space.into());
    head.is_ok_and(|head| gateway.core.is_complete_after(space, filter, Position { epoch: head.epoch, offset }))
}

impl Drop for Listening {
    fn drop(&mut self) {
        let streams = self.gateway.streams.clone();
        let _membership = streams.lock_membership();
        for filter in streams.remove(self.end.number, &self.space, &self.filters) {
            self.gateway.core.leave(&self.space, &filter, self.gateway.stream_shard());
        }
    }
}
