//! The core's operations.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::{MutexGuard, RwLock};

use crate::filter::{Filter, TopicName};
use crate::grant::{Action, Principal};
use crate::history::{HistoryPage, Joined, Since, Slot, Slots};
use crate::message::{Message, Millis, Offset, Position, Publication};
use crate::ports::{Delivery, Done, Inbox, Log, LogBatch, LogError, ShardId};
use crate::presence::{Member, PresenceChange, PresenceEvent};
use crate::refusal::Refusal;
use crate::settings::{CoreLimits, HistorySettings, SpaceSettings};
use crate::space::{Mark, Space, SpaceState, TopicSummary};

type Spaces = HashMap<Arc<str>, Arc<Space>, foldhash::fast::RandomState>;
type Settings = HashMap<Arc<str>, Arc<SpaceSettings>, foldhash::fast::RandomState>;

/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;

/// Most messages a join delivers in one step; a reader that is further behind reads pages first.
const JOIN_MESSAGES_MAX: usize = 64;
/// About how many bytes that may be.
const JOIN_BYTES_MAX: usize = 64 * 1024;

/// Steps of 64 messages that a tick may trim of one space: at two ticks a second more than 32,000
/// a second, so that messages do not outlive their age after a busy time.
const TRIM_ROUNDS_PER_TICK: usize = 256;

/// All spaces, what they keep, and the queues towards the shards. Shared by all threads.
pub struct Core {
    spaces: RwLock<Spaces>,
    settings: RwLock<Settings>,
    default_settings: RwLock<Arc<SpaceSettings>>,
    limits: CoreLimits,
    log: Arc<dyn Log>,
    inboxes: Vec<Arc<dyn Inbox>>,
}

/// What became of a publish.
#[derive(Clone, Debug)]
pub struct Published {
    /// Where the message stands.
    pub position: Position,
    /// The key was seen before; nothing was published now.
    pub is_duplicate: bool,
    /// The publishing shard has subscribers and hands this to them at once. Absent when it has
    /// none, or when earlier messages wait in its inbox and this one was queued behind them.
    pub deliver_here: Option<Arc<Message>>,
    /// The acknowledgement must wait for the commit: `done` will be called. When `false` it was
    /// dropped, and the publish is acknowledged now.
    pub awaits_commit: bool,
}

impl Core {
    /// A core over a log, delivering to one inbox per shard (at most 64), with the spaces that the
    /// log holds.
    ///
    /// # Errors
    /// What the log says when it cannot be read.
    pub fn open(
        log: Arc<dyn Log>,
        inboxes: Vec<Arc<dyn Inbox>>,
        limits: CoreLimits,
        spaces: impl IntoIterator<Item = (Arc<str>, SpaceSettings)>,
        default_settings: SpaceSettings,
    ) -> Result<Self, LogError> {
        debug_assert!(inboxes.len() <= 64, "interest is one u64 of shards");
        let core = Self {
            spaces: RwLock::default(),
            settings: RwLock::default(),
            default_settings: RwLock::new(Arc::new(default_settings)),
            limits,
            log,
            inboxes,
        };
        core.configure(spaces, None);
        for name in core.log.spaces()? {
            let space = core.recover(&name)?;
            core.spaces.write().insert(name, space);
        }
        Ok(core)
    }

    /// Replaces the settings of spaces, also of those in use.
    pub fn configure(
        &self,
        spaces: impl IntoIterator<Item = (Arc<str>, SpaceSettings)>,
        default: Option<SpaceSettings>,
    ) {
        if let Some(default) = default {
            *self.default_settings.write() = Arc::new(default);
        }
        *self.settings.write() = spaces.into_iter().map(|(name, s)| (name, Arc::new(s))).collect();
        for space in self.spaces.read().values() {
            *space.settings.write() = self.settings_for(&space.name);
        }
    }

    fn settings_for(&self, space: &str) -> Arc<SpaceSettings> {
        let configured = self.settings.read().get(space).cloned();
        configured.unwrap_or_else(|| self.default_settings.read().clone())
    }

    /// Settings in force for a space, whether it exists yet or not.
    pub fn space_settings(&self, space: &str) -> Arc<SpaceSettings> {
        let existing = self.spaces.read().get(space).map(|s| s.settings());
        existing.unwrap_or_else(|| self.settings_for(space))
    }

    /// The log, for what stands beside messages.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// The bounds it was opened with.
    pub fn limits(&self) -> &CoreLimits {
        &self.limits
    }

    /// Checks a space name: 1 to 128 bytes without `/`, white space and control characters.
    ///
    /// # Errors
    /// [`Refusal::InvalidSpace`].
    pub fn check_space(name: &str) -> Result<(), Refusal> {
        let is_plain = |c: char| c != '/' && !c.is_whitespace() && !c.is_control();
        if name.is_empty() || name.len() > 128 || !name.chars().all(is_plain) {
            return Err(Refusal::InvalidSpace);
        }
        Ok(())
    }

    fn recover(&self, name: &Arc<str>) -> Result<Arc<Space>, LogError> {
        let recovered = self.log.open_space(name)?;
        let epoch = recovered.epoch;
        let space = Space::new(recovered, self.settings_for(name));
        let settings = space.settings();
        // A topic's count may have been lowered; age and bytes are for the first tick.
        let limits =
            HistorySettings { age_ms: u64::MAX, bytes: u64::MAX, topics: usize::MAX, ..settings.history.clone() };
        let mut guard = space.state.lock();
        let state = &mut *guard;
        self.log.replay(name, &mut |mut message, is_retained| {
            message.space = space.name.clone();
            message.epoch = epoch;
            let message = Arc::new(message);
            if is_retained {
                state.retained.insert(message.topic.clone(), message);
                return;
            }
            let now = message.time;
            state.keys.remember(&message);
            let oldest_key = now.saturating_sub(settings.idempotency_window_ms);
            state.keys.forget_before(oldest_key, settings.idempotency_keys_max);
            state.history.restore(message.clone());
            state.history.trim(&limits, now, Some(&message.topic), true, &mut state.trims_due);
        })?;
        if settings.history.count == 0 {
            state.history.pass(state.next_offset - 1);
        }
        drop(guard);
        Ok(Arc::new(space))
    }

    fn space(&self, name: &Arc<str>) -> Result<Arc<Space>, Refusal> {
        if let Some(space) = self.spaces.read().get(name) {
            return Ok(space.clone());
        }
        Self::check_space(name)?;
        let mut spaces = self.spaces.write();
        if let Some(space) = spaces.get(name) {
            return Ok(space.clone());
        }
        if spaces.len() >= self.limits.spaces_max {
            return Err(Refusal::TooManySpaces { limit: self.limits.spaces_max });
        }
        let recovered = self.log.open_space(name)?;
        let space = Arc::new(Space::new(recovered, self.settings_for(name)));
        spaces.insert(name.clone(), space.clone());
        Ok(space)
    }

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
        principal.grant.require(Action::Publish, &publication.space, &publication.topic)?;
        let space = self.space(&publication.space)?;
        let settings = space.settings();
        check_size(&publication, &settings)?;
        let mut state = space.state.lock();
        if let Some(duplicate) = self.find_duplicate(&mut state, &settings, principal, &publication, now) {
            return Ok(self.answer_duplicate(&space, state, duplicate, done));
        }
        let shards = self.room_towards(&state, &publication.topic)?;
        self.check_log(&settings, publication.retain)?;
        let mark = state.mark();
        let mut batch = LogBatch { space: space.name.clone(), done, ..LogBatch::default() };
        let message = keep(&space, &settings, &mut state, publication, principal, now, &mut batch);
        let awaits_commit = self.hand_to_log(&mut state, batch, &mark)?;
        self.trim_after(&mut state, &settings, &message);
        let deliver_here = self.fan_out(shards, &message, from);
        Ok(Published { position: message.position(), is_duplicate: false, deliver_here, awaits_commit })
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
        self.check_log(&settings, publications.iter().any(|p| p.retain))?;
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
            published.push(Published { position, is_duplicate, deliver_here: None, awaits_commit: false });
        }
        let awaits_commit = if messages.is_empty() {
            self.await_earlier(&space, batch.done)
        } else {
            self.hand_to_log(&mut state, batch, &mark)?
        };
        for message in &messages {
            self.trim_after(&mut state, &settings, message);
            self.fan_out(state.interest.shards(&message.topic), message, None);
        }
        published.iter_mut().for_each(|p| p.awaits_commit = awaits_commit);
        Ok(published)
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
            principal.grant.require(Action::Publish, &publication.space, &publication.topic)?;
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
        Published { position, is_duplicate: true, deliver_here: None, awaits_commit }
    }

    /// The first publish under a known key may still be on its way to the disk: an empty batch
    /// behind it tells when it has arrived. Says whether the log will call `done`.
    fn await_earlier(&self, space: &Space, done: Option<Done>) -> bool {
        let has_waiter = done.is_some();
        let barrier = LogBatch { space: space.name.clone(), done, ..LogBatch::default() };
        has_waiter && self.log.is_durable() && self.log.append(barrier).is_ok()
    }

    /// What would have to be kept is refused while the log is failing.
    fn check_log(&self, settings: &SpaceSettings, retain: bool) -> Result<(), Refusal> {
        match self.log.failure() {
            Some(failure) if retain || settings.history.count > 0 => Err(failure.into()),
            _ => Ok(()),
        }
    }

    /// The shards that want the topic, if all of them have room.
    fn room_towards(&self, state: &SpaceState, topic: &TopicName) -> Result<u64, Refusal> {
        let shards = state.interest.shards(topic);
        if self.inboxes_of(shards).any(|inbox| inbox.is_full()) { Err(Refusal::Overloaded) } else { Ok(shards) }
    }

    fn inboxes_of(&self, shards: u64) -> impl Iterator<Item = &Arc<dyn Inbox>> {
        self.inboxes.iter().enumerate().filter(move |(id, _)| shards & (1 << id) != 0).map(|(_, inbox)| inbox)
    }

    /// Queues the batch, or undoes what [`keep`] did since the mark. Says whether the log will call
    /// `done`.
    fn hand_to_log(&self, state: &mut SpaceState, mut batch: LogBatch, mark: &Mark) -> Result<bool, Refusal> {
        let retained = batch.retained.clone();
        if batch.messages.is_empty() && batch.retained.is_empty() || !self.log.is_durable() {
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
    fn trim_after(&self, state: &mut SpaceState, settings: &SpaceSettings, message: &Message) {
        if settings.history.count == 0 {
            return;
        }
        let has_log = self.log.is_durable();
        state.history.trim(&settings.history, message.time, Some(&message.topic), has_log, &mut state.trims_due);
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

    /// Begins, resumes or goes on with a subscription of `shard`. When the answer is not `behind`,
    /// the shard's interest is noted in the same step, so that live messages follow without a gap.
    /// `drain` is called first with the space locked: the shard hands out what waits in its inbox,
    /// so that the new subscriber does not see it twice.
    ///
    /// # Errors
    /// The grant does not cover the filter, the space cannot be made, or it cannot be read.
    pub fn join(
        &self,
        principal: &Principal,
        space: &Arc<str>,
        filter: &Filter,
        since: Since,
        shard: ShardId,
        drain: &mut dyn FnMut(),
    ) -> Result<Joined, Refusal> {
        principal.grant.require_filter(Action::Subscribe, space, filter)?;
        let space = self.space(space)?;
        let mut state = space.state.lock();
        drain();
        let position = state.head();
        let after = match since {
            Since::Now => {
                state.interest.add(filter, shard);
                let retained = state.retained_for(filter);
                return Ok(Joined { position, recovered: None, messages: Vec::new(), retained, behind: None });
            }
            Since::Beginning => 0,
            Since::After(seen) if can_resume(&state, filter, seen) => seen.offset,
            Since::After(_) => {
                state.interest.add(filter, shard);
                return Ok(Joined {
                    position,
                    recovered: Some(false),
                    messages: Vec::new(),
                    retained: Vec::new(),
                    behind: None,
                });
            }
        };
        let page = state.history.page(filter, after, JOIN_MESSAGES_MAX, JOIN_BYTES_MAX);
        let messages = in_memory(&page).filter(|_| page.is_head);
        let behind = messages.is_none().then_some(after);
        if behind.is_none() {
            state.interest.add(filter, shard);
        }
        Ok(Joined {
            position,
            recovered: Some(true),
            messages: messages.unwrap_or_default(),
            retained: Vec::new(),
            behind,
        })
    }

    /// Begins a subscription of `shard` to several filters at one position. Nothing is read: a
    /// reader that is `behind` reads pages up to `position`, while what comes after it goes to the
    /// shard. Deliveries up to `position` that are still on their way there are not for this reader.
    ///
    /// # Errors
    /// The grant does not cover one of the filters, or the space cannot be made.
    pub fn join_all(
        &self,
        principal: &Principal,
        space: &Arc<str>,
        filters: &[Filter],
        since: Since,
        shard: ShardId,
    ) -> Result<Joined, Refusal> {
        for filter in filters {
            principal.grant.require_filter(Action::Subscribe, space, filter)?;
        }
        let space = self.space(space)?;
        let mut state = space.state.lock();
        let position = state.head();
        for filter in filters {
            state.interest.add(filter, shard);
        }
        let mut joined = Joined { position, recovered: None, messages: Vec::new(), retained: Vec::new(), behind: None };
        match since {
            Since::Now => {
                joined.retained = filters.iter().flat_map(|filter| state.retained_for(filter)).collect();
                joined.retained.sort_unstable_by(|a, b| a.topic.cmp(&b.topic));
                joined.retained.dedup_by(|a, b| a.topic == b.topic);
            }
            Since::Beginning => {
                joined.recovered = Some(true);
                joined.behind = Some(0);
            }
            Since::After(seen) => {
                let is_whole = filters.iter().all(|filter| can_resume(&state, filter, seen));
                joined.recovered = Some(is_whole);
                joined.behind = is_whole.then_some(seen.offset);
            }
        }
        Ok(joined)
    }

    /// The shard has no subscriber for the filter any more.
    pub fn leave(&self, space: &str, filter: &Filter, shard: ShardId) {
        let space = self.spaces.read().get(space).cloned();
        if let Some(space) = space {
            space.state.lock().interest.remove(filter, shard);
        }
    }

    /// Reads kept messages after `after`. May block on the disk unless `from_memory_only`, which
    /// answers `None` where the disk is needed.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn page(
        &self,
        space: &str,
        filter: &Filter,
        after: Offset,
        count_max: usize,
        bytes_max: usize,
        from_memory_only: bool,
    ) -> Result<Option<HistoryPage>, Refusal> {
        let Some(space) = self.spaces.read().get(space).cloned() else {
            return Ok(Some(HistoryPage { messages: Vec::new(), next: after, is_head: true, has_gap: false }));
        };
        let state = space.state.lock();
        let slots = state.history.page(filter, after, count_max, bytes_max);
        let has_gap = after > 0 && !state.history.is_complete_after(filter, after);
        drop(state);
        if let Some(messages) = in_memory(&slots) {
            return Ok(Some(HistoryPage { messages, next: slots.next, is_head: slots.is_head, has_gap }));
        }
        if from_memory_only {
            return Ok(None);
        }
        let mut messages = self.fetch(&space, &slots.slots)?;
        if messages.len() < slots.slots.len() {
            // Memory may have let go of messages that are still on their way to the disk.
            self.log.flush()?;
            messages = self.fetch(&space, &slots.slots)?;
        }
        // What is still missing was trimmed between the two looks.
        let has_gap = has_gap || messages.len() < slots.slots.len();
        Ok(Some(HistoryPage { messages, next: slots.next, is_head: slots.is_head, has_gap }))
    }

    fn fetch(&self, space: &Space, slots: &[Slot]) -> Result<Vec<Arc<Message>>, Refusal> {
        let wanted: Vec<Offset> = slots
            .iter()
            .filter_map(|slot| match slot {
                Slot::InLog(offset) => Some(*offset),
                Slot::Here(_) => None,
            })
            .collect();
        let mut fetched = self.log.read(&space.name, &wanted)?.into_iter().peekable();
        let found = slots.iter().filter_map(|slot| match slot {
            Slot::Here(message) => Some(message.clone()),
            Slot::InLog(offset) => fetched.next_if(|message| message.offset == *offset),
        });
        Ok(found.collect())
    }

    /// History for a caller who asks for it: checks the grant, and whether everything since the
    /// asked position is still there. May block on the disk.
    ///
    /// # Errors
    /// The grant does not cover the filter, or the log cannot be read.
    pub fn history(
        &self,
        principal: &Principal,
        space: &Arc<str>,
        filter: &Filter,
        since: Since,
        limit: usize,
    ) -> Result<(HistoryPage, Position, bool), Refusal> {
        principal
            .grant
            .require_filter(Action::History, space, filter)
            .or_else(|_| principal.grant.require_filter(Action::Subscribe, space, filter))?;
        let head = self.head(space)?;
        let (after, recovered) = match since {
            Since::Now => (head.offset, true),
            Since::Beginning => (0, true),
            Since::After(seen) => match self.spaces.read().get(space) {
                Some(space) if can_resume(&space.state.lock(), filter, seen) => (seen.offset, true),
                _ => (head.offset, false),
            },
        };
        let page = self.page(space, filter, after, limit, 1 << 20, false)?;
        let page = page.unwrap_or(HistoryPage { messages: Vec::new(), next: after, is_head: true, has_gap: false });
        let next = if page.is_head { head.offset.max(page.next) } else { page.next };
        Ok((page, Position { epoch: head.epoch, offset: next }, recovered))
    }

    /// Whether a reader at this position can be given everything that followed.
    pub fn is_complete_after(&self, space: &str, filter: &Filter, seen: Position) -> bool {
        let space = self.spaces.read().get(space).cloned();
        space.is_some_and(|space| can_resume(&space.state.lock(), filter, seen))
    }

    /// Where the log of a space stands; makes the space when it does not exist.
    ///
    /// # Errors
    /// The space cannot be made.
    pub fn head(&self, space: &Arc<str>) -> Result<Position, Refusal> {
        let space = self.space(space)?;
        let head = space.state.lock().head();
        Ok(head)
    }

    /// A connection of `member` is on a topic.
    ///
    /// # Errors
    /// The grant does not cover it, or the topic is full.
    pub fn enter(
        &self,
        principal: &Principal,
        space: &Arc<str>,
        topic: &TopicName,
        member: &Arc<str>,
        data: Bytes,
        now: Millis,
    ) -> Result<(), Refusal> {
        principal.grant.require(Action::Presence, space, topic)?;
        let space = self.space(space)?;
        let members_max = space.settings().presence_members_max;
        let mut state = space.state.lock();
        if let Some((change, member)) = state.presence.enter(topic, member, data, now, members_max)? {
            self.announce(&space, &state, topic, change, member, now);
        }
        Ok(())
    }

    /// A member says something else of itself.
    ///
    /// # Errors
    /// The grant does not cover it.
    pub fn update_member(
        &self,
        principal: &Principal,
        space: &Arc<str>,
        topic: &TopicName,
        member: &str,
        data: Bytes,
        now: Millis,
    ) -> Result<(), Refusal> {
        principal.grant.require(Action::Presence, space, topic)?;
        let space = self.space(space)?;
        let mut state = space.state.lock();
        if let Some((change, member)) = state.presence.update(topic, member, data) {
            self.announce(&space, &state, topic, change, member, now);
        }
        Ok(())
    }

    /// A connection of `member` says that it leaves the topic. Others hear of it at once, unless
    /// the member is there with another connection.
    pub fn withdraw(&self, space: &str, topic: &TopicName, member: &Arc<str>, now: Millis) {
        let Some(space) = self.spaces.read().get(space).cloned() else { return };
        let mut state = space.state.lock();
        state.presence.leave(topic, member, now, 0);
        while let Some((topic, member)) = state.presence.expire_one(now) {
            self.announce(&space, &state, &topic, PresenceChange::Leave, member, now);
        }
    }

    /// A connection of `member` ended. Others hear of it when the lease is over and no connection
    /// of the member has come back.
    pub fn exit(&self, space: &str, topic: &TopicName, member: &Arc<str>, now: Millis) {
        let Some(space) = self.spaces.read().get(space).cloned() else { return };
        let lease_ms = space.settings().presence_lease_ms;
        space.state.lock().presence.leave(topic, member, now, lease_ms);
    }

    /// A page of a topic's members in order of id, and whether there are more.
    ///
    /// # Errors
    /// The grant does not cover it.
    pub fn members(
        &self,
        principal: &Principal,
        space: &str,
        topic: &TopicName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Member>, bool), Refusal> {
        principal.grant.require(Action::Presence, space, topic)?;
        let Some(space) = self.spaces.read().get(space).cloned() else { return Ok((Vec::new(), false)) };
        let members = space.state.lock().presence.members(topic, after, limit);
        Ok(members)
    }

    fn announce(
        &self,
        space: &Space,
        state: &SpaceState,
        topic: &TopicName,
        change: PresenceChange,
        member: Member,
        now: Millis,
    ) {
        let event =
            Arc::new(PresenceEvent { space: space.name.clone(), topic: topic.clone(), change, member, time: now });
        for inbox in self.inboxes_of(state.interest.shards(topic)) {
            inbox.deliver(Delivery::Presence(event.clone()));
        }
    }

    /// What time brings: members whose lease is over leave, messages that are too old go. To be
    /// called about twice a second.
    pub fn tick(&self, now: Millis) {
        let spaces: Vec<_> = self.spaces.read().values().cloned().collect();
        for space in spaces {
            let settings = space.settings();
            let mut guard = space.state.lock();
            let state = &mut *guard;
            while let Some((topic, member)) = state.presence.expire_one(now) {
                self.announce(&space, state, &topic, PresenceChange::Leave, member, now);
            }
            let oldest_key = now.saturating_sub(settings.idempotency_window_ms);
            state.keys.forget_before(oldest_key, settings.idempotency_keys_max);
            drop(guard);
            // In small steps, so that publishers wait for none of them.
            let mut rounds = 0..TRIM_ROUNDS_PER_TICK;
            while rounds.next().is_some() && self.trim_once(&space, &settings, now) {}
        }
    }

    /// `true` when there may be more to trim.
    fn trim_once(&self, space: &Space, settings: &SpaceSettings, now: Millis) -> bool {
        let mut guard = space.state.lock();
        let state = &mut *guard;
        let has_log = self.log.is_durable();
        let has_more = state.history.trim(&settings.history, now, None, has_log, &mut state.trims_due);
        if has_log {
            self.hand_trims_to_log(space, state);
        } else {
            state.trims_due.clear();
        }
        has_more
    }

    fn hand_trims_to_log(&self, space: &Space, state: &mut SpaceState) {
        while !state.trims_due.is_empty() {
            let trimmed = state.take_trims_due();
            let batch = LogBatch { space: space.name.clone(), trimmed: trimmed.clone(), ..LogBatch::default() };
            if self.log.append(batch).is_err() {
                state.trims_due.extend(trimmed);
                return;
            }
        }
    }

    /// Names of the spaces, in order, after `after`, at most `limit`.
    pub fn spaces(&self, after: Option<&str>, limit: usize) -> Vec<Arc<str>> {
        let spaces = self.spaces.read();
        let later = spaces.keys().filter(|name| after.is_none_or(|after| &***name > after));
        let mut names: Vec<_> = later.cloned().collect();
        names.sort_unstable();
        names.truncate(limit);
        names
    }

    /// A page of a space's topics in order: those that hold history, a retained message, members,
    /// or a subscriber by name.
    pub fn topics(&self, space: &str, prefix: &str, after: Option<&str>, limit: usize) -> Vec<TopicSummary> {
        let Some(space) = self.spaces.read().get(space).cloned() else { return Vec::new() };
        let state = space.state.lock();
        let all = state
            .history
            .topics()
            .chain(state.retained.keys())
            .chain(state.presence.topics())
            .chain(state.interest.topics());
        let mut page: BTreeSet<&TopicName> = BTreeSet::new();
        for topic in all.filter(|t| t.starts_with(prefix) && after.is_none_or(|after| &***t > after)) {
            page.insert(topic);
            if page.len() > limit {
                page.pop_last();
            }
        }
        page.into_iter().map(|topic| state.summary(topic)).collect()
    }

    /// What [`Core::topics`] tells of one topic; `None` where it would not list it.
    pub fn topic(&self, space: &str, topic: &TopicName) -> Option<TopicSummary> {
        let space = self.spaces.read().get(space).cloned()?;
        let summary = space.state.lock().summary(topic);
        let is_there = summary.messages > 0 || summary.members > 0 || summary.is_retained || summary.is_subscribed;
        is_there.then_some(summary)
    }

    /// Whether a space is there: somebody used it, or the log holds it.
    pub fn has_space(&self, space: &str) -> bool {
        self.spaces.read().contains_key(space)
    }

    /// Kept messages of a space, their weight in bytes, and how much of that memory holds.
    pub fn kept(&self, space: &str) -> (usize, u64, u64) {
        let space = self.spaces.read().get(space).cloned();
        space.map_or((0, 0, 0), |space| {
            let state = space.state.lock();
            (state.history.len(), state.history.weight(), state.history.memory_weight())
        })
    }
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
    let keeps = settings.history.count > 0;
    let retain = publication.retain;
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

fn check_size(publication: &Publication, settings: &SpaceSettings) -> Result<(), Refusal> {
    let properties: usize = publication.properties.iter().map(|(k, v)| k.len() + v.len()).sum();
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

fn can_resume(state: &SpaceState, filter: &Filter, seen: Position) -> bool {
    seen.epoch == state.epoch && seen.offset < state.next_offset && state.history.is_complete_after(filter, seen.offset)
}

/// The page's messages, if none of them is in the log alone.
fn in_memory(page: &Slots) -> Option<Vec<Arc<Message>>> {
    let here = page.slots.iter().map(|slot| match slot {
        Slot::Here(message) => Some(message.clone()),
        Slot::InLog(_) => None,
    });
    here.collect()
}
