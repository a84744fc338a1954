//! The path of a message: checks, place, log, shards.

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::{Core, Published};
use crate::filter::TopicName;
use crate::grant::{Action, Principal};
use crate::message::{Guarantee, Message, Millis, Position, Publication};
use crate::ports::{Delivery, Done, Inbox, LogBatch, ShardId};
use crate::refusal::Refusal;
use crate::settings::SpaceSettings;
use crate::space::{Mark, Space, SpaceState};

/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;
impl Core {
    /// Publishes one message. `from` is the shard that publishes, if one does: what it must
    /// deliver itself comes back in the answer. `done` hears of the commit when the answer says
    /// that the acknowledgement awaits it.
    ///
    /// # Errors
    /// Every [`Refusal`] that concerns topics, sizes, grants, queues and the log. Nothing was
    /// published then.
    pub fn publish(
        &self,
        principal: &Principal,
        publication: Publication,
        from: Option<ShardId>,
        now: Millis,
        done: Option<Done>,
    ) -> Result<Published, Refusal> {
        check_grant(principal, &publication)?;
        let space = self.space(&publication.space)?;
        let settings = space.settings();
        check_size(&publication, &settings)?;
        let mut state = space.state.lock();
        if let Some(duplicate) = self.find_duplicate(&mut state, &settings, principal, &publication, now) {
            return Ok(self.answer_duplicate(&space, state, duplicate, done));
        }
        let shards = self.room_towards(&state, &publication.topic)?;
        let is_held = state.holds.holds(&publication.topic);
        self.check_log(publication.retain || keeps(&settings, is_held, &publication))?;
        let mark = state.mark();
        let mut batch = LogBatch { space: space.name.clone(), done, ..LogBatch::default() };
        let message = keep(&space, &settings, &mut state, publication, principal, now, &mut batch);
        let awaits_commit = self.hand_to_log(&mut state, batch, &mark)?;
        self.trim_after(&mut state, &settings, &message, is_held);
        let deliver_here = self.fan_out(shards, &message, from);
        let has_receivers = shards != 0 || is_held;
        Ok(Published { position: message.position(), is_duplicate: false, has_receivers, deliver_here, awaits_commit })
    }

    /// Publishes all of `publications`, for one space, in order and without others in between, or
    /// none of them. Idempotency keys are looked at one by one: a known one publishes nothing.
    ///
    /// # Errors
    /// As [`Core::publish`]; the first that applies speaks for the batch.
    pub fn publish_batch(
        &self,
        principal: &Principal,
        publications: Vec<Publication>,
        now: Millis,
        done: Option<Done>,
    ) -> Result<Vec<Published>, Refusal> {
        let name = self.check_batch(principal, &publications)?;
        let space = self.space(&name)?;
        let settings = space.settings();
        for publication in &publications {
            check_size(publication, &settings)?;
        }
        let mut state = space.state.lock();
        for publication in &publications {
            self.room_towards(&state, &publication.topic)?;
        }
        let is_kept = |p: &Publication| p.retain || keeps(&settings, state.holds.holds(&p.topic), p);
        self.check_log(publications.iter().any(is_kept))?;
        let mark = state.mark();
        let mut batch = LogBatch { space: space.name.clone(), done, ..LogBatch::default() };
        let mut published = Vec::with_capacity(publications.len());
        let mut messages = Vec::new();
        for publication in publications {
            let duplicate = self.find_duplicate(&mut state, &settings, principal, &publication, now);
            let (position, is_duplicate) = match duplicate {
                Some(position) => (position, true),
                None => {
                    let message = keep(&space, &settings, &mut state, publication, principal, now, &mut batch);
                    messages.push(message.clone());
                    (message.position(), false)
                }
            };
            let has_receivers = true;
            published.push(Published {
                position,
                is_duplicate,
                has_receivers,
                deliver_here: None,
                awaits_commit: false,
            });
        }
        let awaits_commit = if messages.is_empty() {
            self.await_earlier(&space, batch.done)
        } else {
            self.hand_to_log(&mut state, batch, &mark)?
        };
        for message in &messages {
            let is_held = state.holds.holds(&message.topic);
            self.trim_after(&mut state, &settings, message, is_held);
            self.fan_out(state.interest.shards(&message.topic), message, None);
        }
        published.iter_mut().for_each(|p| p.awaits_commit = awaits_commit);
        Ok(published)
    }

    /// Hands a message of the server's own to whoever subscribes now. It is not checked against a
    /// grant, and neither history, listings nor the log know of it; with `retain` later subscribers
    /// get it like a retained message, for as long as the server runs. Says whether somebody subscribes.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`] when a receiver's queue is full, and what concerns the space.
    pub fn pass(&self, publication: Publication, now: Millis) -> Result<bool, Refusal> {
        let space = self.space(&publication.space)?;
        let mut state = space.state.lock();
        let shards = self.room_towards(&state, &publication.topic)?;
        let stays = publication.retain;
        if shards == 0 && !stays {
            return Ok(false);
        }
        let mark = state.mark();
        let message = Arc::new(state.number(publication, None, true, now));
        if shards == 0 {
            // Nobody has seen the offset, and the log need not hear of it.
            state.rewind(&mark);
        }
        if stays {
            state.notes.insert(message.topic.clone(), message.clone());
        }
        self.fan_out(shards, &message, None);
        Ok(shards != 0)
    }

    /// Whether somebody subscribes to a topic now.
    pub fn is_wanted(&self, space: &str, topic: &str) -> bool {
        let space = self.spaces.read().get(space).cloned();
        space.is_some_and(|space| space.state.lock().interest.shards(topic) != 0)
    }

    fn check_batch(&self, principal: &Principal, publications: &[Publication]) -> Result<Arc<str>, Refusal> {
        let first = publications.first().ok_or(Refusal::InvalidBatch { reason: "it is empty" })?;
        if publications.len() > self.limits.batch_messages_max {
            return Err(Refusal::InvalidBatch { reason: "it has more messages than limits.batch_messages allows" });
        }
        for publication in publications {
            if publication.space != first.space {
                return Err(Refusal::InvalidBatch { reason: "its messages are for more than one space" });
            }
            check_grant(principal, publication)?;
        }
        Ok(first.space.clone())
    }

    fn find_duplicate(
        &self,
        state: &mut SpaceState,
        settings: &SpaceSettings,
        principal: &Principal,
        publication: &Publication,
        now: Millis,
    ) -> Option<Position> {
        let key = publication.idempotency_key.as_ref()?;
        let oldest = now.saturating_sub(settings.idempotency_window_ms);
        state.keys.forget_before(oldest, settings.idempotency_keys_max);
        let offset = state.keys.find(principal.subject.as_ref(), &publication.topic, key)?;
        Some(Position { epoch: state.epoch, offset })
    }

    fn answer_duplicate(
        &self,
        space: &Space,
        state: MutexGuard<'_, SpaceState>,
        position: Position,
        done: Option<Done>,
    ) -> Published {
        let awaits_commit = self.await_earlier(space, done);
        drop(state);
        Published { position, is_duplicate: true, has_receivers: true, deliver_here: None, awaits_commit }
    }

    /// The first publish under a known key may still be on its way to the disk: an empty batch
    /// behind it tells when it has arrived. Says whether the log will call `done`.
    fn await_earlier(&self, space: &Space, done: Option<Done>) -> bool {
        let has_waiter = done.is_some();
        let barrier = LogBatch { space: space.name.clone(), done, ..LogBatch::default() };
        has_waiter && self.log.is_durable() && self.log.append(barrier).is_ok()
    }

    /// What would have to be kept is refused while the log is failing.
    fn check_log(&self, is_kept: bool) -> Result<(), Refusal> {
        match self.log.failure() {
            Some(failure) if is_kept => Err(failure.into()),
            _ => Ok(()),
        }
    }

    /// The shards that want the topic, if all of them have room.
    fn room_towards(&self, state: &SpaceState, topic: &TopicName) -> Result<u64, Refusal> {
        let shards = state.interest.shards(topic);
        if self.inboxes_of(shards).any(|inbox| inbox.is_full()) { Err(Refusal::Overloaded) } else { Ok(shards) }
    }

    pub(super) fn inboxes_of(&self, shards: u64) -> impl Iterator<Item = &Arc<dyn Inbox>> {
        self.inboxes.iter().enumerate().filter(move |(id, _)| shards & (1 << id) != 0).map(|(_, inbox)| inbox)
    }

    /// Queues the batch, or undoes what [`keep`] did since the mark. Says whether the log will call
    /// `done`.
    fn hand_to_log(&self, state: &mut SpaceState, mut batch: LogBatch, mark: &Mark) -> Result<bool, Refusal> {
        let retained = batch.retained.clone();
        let is_empty = batch.messages.is_empty() && batch.retained.is_empty() && batch.records.is_empty();
        if is_empty || !self.log.is_durable() {
            state.retain(retained);
            return Ok(false);
        }
        batch.trimmed = state.take_trims_due();
        let trimmed = batch.trimmed.clone();
        let awaits_commit = batch.done.is_some();
        if let Err(error) = self.log.append(batch) {
            state.trims_due.extend(trimmed);
            state.rewind(mark);
            return Err(error.into());
        }
        state.retain(retained);
        Ok(awaits_commit)
    }

    /// Applies the limits of history after a publish. Not before the log has taken the message, or
    /// publishes that are refused would push out older messages; so what goes is told to the log
    /// with the next batch.
    fn trim_after(&self, state: &mut SpaceState, settings: &SpaceSettings, message: &Message, is_held: bool) {
        if settings.history.count == 0 && !is_held {
            return;
        }
        let has_log = self.log.is_durable();
        let limits = settings.history.for_topic(is_held);
        state.history.trim(&limits, message.time, Some(&message.topic), has_log, &mut state.trims_due);
        if !has_log {
            state.trims_due.clear();
        }
    }

    /// Queues the message towards every shard that wants it, in the order of the space.
    fn fan_out(&self, shards: u64, message: &Arc<Message>, from: Option<ShardId>) -> Option<Arc<Message>> {
        let mut deliver_here = None;
        for (id, inbox) in self.inboxes.iter().enumerate().filter(|(id, _)| shards & (1 << id) != 0) {
            // Earlier messages of this space may wait in the publisher's own inbox: then this one
            // goes behind them, or its subscribers would see them in another order.
            if from == Some(id as ShardId) && inbox.is_quiet() {
                deliver_here = Some(message.clone());
            } else {
                inbox.deliver(Delivery::Message(message.clone()));
            }
        }
        deliver_here
    }
}

/// Whether history takes the message: always where it is on, otherwise for durable sessions.
fn keeps(settings: &SpaceSettings, is_held: bool, publication: &Publication) -> bool {
    settings.history.count > 0 || is_held && publication.guarantee != Guarantee::AtMostOnce
}

/// Numbers the publication and takes it into history and the batch for the log.
fn keep(
    space: &Space,
    settings: &SpaceSettings,
    state: &mut SpaceState,
    publication: Publication,
    principal: &Principal,
    now: Millis,
    batch: &mut LogBatch,
) -> Arc<Message> {
    let keeps = keeps(settings, state.holds.holds(&publication.topic), &publication);
    let retain = publication.retain;
    batch.records.extend(publication.beside.clone());
    let mut message = state.number(publication, principal.subject.clone(), keeps, now);
    message.space = space.name.clone();
    let message = Arc::new(message);
    if keeps {
        state.history.push(message.clone());
        batch.messages.push(message.clone());
    } else {
        state.history.pass(message.offset);
    }
    if retain {
        let kept = (!message.payload.is_empty()).then(|| message.clone());
        batch.retained.push((message.topic.clone(), kept));
    }
    state.keys.remember(&message);
    message
}

fn check_grant(principal: &Principal, publication: &Publication) -> Result<(), Refusal> {
    let Publication { space, topic, retain, .. } = publication;
    principal.grant.require(Action::Publish, space, topic)?;
    if *retain && principal.grant.speaks_of(Action::Retain) {
        principal.grant.require(Action::Retain, space, topic)?;
    }
    Ok(())
}

fn check_size(publication: &Publication, settings: &SpaceSettings) -> Result<(), Refusal> {
    let properties: usize = publication.properties.iter().map(|(k, v)| k.len() + v.len()).sum();
    let properties = properties + publication.headers.as_ref().map_or(0, |headers| headers.weight());
    let key = publication.idempotency_key.as_ref().map_or(0, |key| key.len());
    let (bytes, limit) = (publication.payload.len() + properties, settings.message_bytes_max);
    if bytes > limit {
        return Err(Refusal::MessageTooLarge { bytes, limit });
    }
    if key > IDEMPOTENCY_KEY_BYTES_MAX {
        return Err(Refusal::MessageTooLarge { bytes: key, limit: IDEMPOTENCY_KEY_BYTES_MAX });
    }
    Ok(())
}
