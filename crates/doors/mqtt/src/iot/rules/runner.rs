//! One rule's task: it reads what the rule's filter takes in, and what is sent to the rule alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fanfare_core::{Done, Message, Offset, Position, Since};
use fanfare_door::{Listening, StreamItem};
use fanfare_iot::rules::Rule;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::cursor::Cursors;
use super::{Ingested, Shared, acting};

/// Messages of one rule that are worked on at once. Their actions begin in order.
const CONCURRENCY: usize = 64;
/// How often the place of a durable rule is written down.
const CURSOR_EVERY: Duration = Duration::from_millis(250);
/// How long the work that is under way may take when the server stops.
const DRAIN: Duration = Duration::from_secs(2);

pub(super) struct Runner {
    shared: Arc<Shared>,
    rule: Arc<Rule>,
    space: Arc<str>,
    ingested: mpsc::Receiver<Ingested>,
    durable: Option<Cursors>,
    turns: Arc<Semaphore>,
    /// Offsets that are worked on.
    under_way: Arc<Mutex<BTreeSet<Offset>>>,
    /// The place that was written down last.
    written: Option<Position>,
}

/// Held while a message is worked on.
struct Work {
    offset: Offset,
    under_way: Arc<Mutex<BTreeSet<Offset>>>,
    _turn: OwnedSemaphorePermit,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.under_way.lock().remove(&self.offset);
    }
}

impl Runner {
    pub(super) fn new(
        shared: Arc<Shared>,
        rule: Rule,
        space: Arc<str>,
        ingested: mpsc::Receiver<Ingested>,
        durable: Option<Cursors>,
    ) -> Self {
        let (rule, turns, under_way) = (Arc::new(rule), Arc::new(Semaphore::new(CONCURRENCY)), Arc::default());
        Self { shared, rule, space, ingested, durable, turns, under_way, written: None }
    }

    /// Subscribes from the rule's place, or from now on. A rule that cannot read runs on what is sent
    /// to it alone.
    pub(super) fn listen(&self, place: Option<Position>) -> Option<Listening> {
        let gateway = self.shared.gateway();
        let filter = self.rule.statement.filter()?;
        let since = place.map_or(Since::Now, Since::After);
        let listening = gateway.filter(filter).and_then(|filter| {
            if self.durable.is_some() {
                gateway.core.hold(&self.space, &filter)?;
            }
            gateway.listen(&self.shared.principal, &self.space, vec![filter], since)
        });
        let name = &self.rule.name;
        match listening {
            Ok(listening) => {
                if listening.recovered == Some(false) {
                    tracing::warn!(rule = name, "messages since the rule ran last are lost to it");
                }
                if let Some(cursors) = &self.durable {
                    cursors.put(name, listening.position);
                }
                Some(listening)
            }
            Err(refusal) => {
                tracing::error!(rule = name, filter, %refusal, "the rule cannot read its topics");
                None
            }
        }
    }

    pub(super) async fn run(mut self, mut reader: Option<Listening>) {
        let mut tick = tokio::time::interval(CURSOR_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let next = async {
                match &mut reader {
                    Some(reader) => reader.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                item = next => match item {
                    StreamItem::Message(message) => self.work(message, None).await,
                    // It was there before the rule, or comes as a message as well.
                    StreamItem::Retained(_) => {}
                    StreamItem::Gap(position) => {
                        tracing::warn!(rule = self.rule.name, %position, "the rule fell behind and lost messages");
                        self.shared.gateway().metrics.limit("rule_gap");
                    }
                    StreamItem::End(_) => {
                        let _ = tokio::time::timeout(DRAIN, self.turns.acquire_many(CONCURRENCY as u32)).await;
                        self.write_place(reader.as_mut());
                        reader = None;
                    }
                },
                Some(Ingested { message, done }) = self.ingested.recv() => self.work(message, done).await,
                _ = tick.tick(), if self.durable.is_some() => self.write_place(reader.as_mut()),
            }
        }
    }

    /// Begins to work on a message, as soon as there is a turn.
    async fn work(&self, message: Arc<Message>, done: Option<Done>) {
        let Ok(turn) = self.turns.clone().acquire_owned().await else { return };
        let offset = message.offset;
        if offset > 0 {
            self.under_way.lock().insert(offset);
        }
        let work = Work { offset, under_way: self.under_way.clone(), _turn: turn };
        let running = acting::run(self.shared.clone(), self.rule.clone(), message, done);
        self.shared.gateway().begin(async move {
            running.await;
            drop(work);
        });
    }

    /// Everything up to here is done.
    fn write_place(&mut self, reader: Option<&mut Listening>) {
        let (Some(cursors), Some(reader)) = (&self.durable, reader) else { return };
        let first = self.under_way.lock().first().copied();
        if first.is_none() {
            reader.advance();
        }
        let seen = reader.seen();
        let place = Position { offset: first.map_or(seen.offset, |first| first - 1), ..seen };
        if self.written != Some(place) {
            cursors.put(&self.rule.name, place);
            self.written = Some(place);
        }
    }
}
