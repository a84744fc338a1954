//! One space: its numbering, interest, history, retained messages, presence and recent keys.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};

use crate::filter::{Filter, TopicName};
use crate::history::History;
use crate::message::{Message, Millis, Offset, Position, Publication};
use crate::ports::{RecoveredSpace, ShardId};
use crate::presence::Presence;
use crate::settings::SpaceSettings;
use crate::trie::Trie;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Most trimmed offsets in one batch for the log. After a restart with lower limits there may be
/// millions, and a batch of them all would not fit the log's queue.
const TRIMS_PER_BATCH: usize = 4_096;

/// A set of shards, one bit each.
pub(crate) type Shards = u64;

#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) name: Arc<str>,
    pub(crate) settings: RwLock<Arc<SpaceSettings>>,
    /// Offsets are handed out, and messages queued towards shards and log, under this lock: that
    /// is what makes the order of a space one order everywhere. It is held for well under a
    /// microsecond per publish.
    pub(crate) state: Mutex<SpaceState>,
}

impl Space {
    pub(crate) fn new(recovered: RecoveredSpace, settings: Arc<SpaceSettings>) -> Self {
        Self {
            name: recovered.name,
            settings: RwLock::new(settings),
            state: Mutex::new(SpaceState {
                epoch: recovered.epoch,
                next_offset: recovered.next_offset.max(1),
                interest: Interest::default(),
                history: History::recovered(recovered.trimmed_through),
                holds: Holds::default(),
                retained: BTreeMap::new(),
                notes: BTreeMap::new(),
                fading: BTreeSet::new(),
                presence: Presence::default(),
                keys: RecentKeys::default(),
                trims_due: Vec::new(),
                told_head: 0,
            }),
        }
    }

    pub(crate) fn settings(&self) -> Arc<SpaceSettings> {
        self.settings.read().clone()
    }
}

#[derive(Debug)]
pub(crate) struct SpaceState {
    pub(crate) epoch: u64,
    pub(crate) next_offset: Offset,
    pub(crate) interest: Interest,
    pub(crate) history: History,
    /// Topics that durable sessions want.
    pub(crate) holds: Holds,
    /// In order of topic, so that a page of them costs no more than what it holds.
    pub(crate) retained: BTreeMap<TopicName, Arc<Message>>,
    /// What the server says of itself on topics: like retained messages, in memory alone.
    pub(crate) notes: BTreeMap<TopicName, Arc<Message>>,
    /// Retained messages that expire, the next one first.
    pub(crate) fading: BTreeSet<(Millis, TopicName)>,
    pub(crate) presence: Presence,
    pub(crate) keys: RecentKeys,
    /// Offsets trimmed but not yet handed to the log; they go with the next batch.
    pub(crate) trims_due: Vec<Offset>,
    /// How far the log knows that the numbering has come, beside what it keeps.
    pub(crate) told_head: Offset,
}

impl SpaceState {
    /// Where the log stands: the offset handed out last.
    pub(crate) fn head(&self) -> Position {
        Position { epoch: self.epoch, offset: self.next_offset - 1 }
    }

    /// Gives the publication its place.
    pub(crate) fn number(
        &mut self,
        publication: Publication,
        publisher: Option<Arc<str>>,
        keeps: bool,
        now: Millis,
    ) -> Message {
        let offset = self.next_offset;
        self.next_offset += 1;
        let previous = if keeps { self.history.last_of(&publication.topic) } else { offset - 1 };
        Message {
            space: publication.space,
            topic: publication.topic,
            payload: publication.payload,
            kind: publication.kind,
            publisher,
            origin: publication.origin,
            properties: publication.properties,
            headers: publication.headers,
            guarantee: publication.guarantee,
            expires_at: publication.expires_at,
            idempotency_key: publication.idempotency_key,
            time: now,
            epoch: self.epoch,
            offset,
            previous,
            is_retained: publication.retain,
        }
    }

    /// What a listing tells of a topic.
    pub(crate) fn summary(&self, topic: &TopicName) -> TopicSummary {
        TopicSummary {
            topic: topic.clone(),
            messages: self.history.count(topic),
            members: self.presence.count(topic),
            is_retained: self.retained.contains_key(topic),
            is_subscribed: self.interest.has_topic(topic),
        }
    }

    /// Trimmed offsets for the next batch; no more than fit beside its messages.
    pub(crate) fn take_trims_due(&mut self) -> Vec<Offset> {
        self.trims_due.split_off(self.trims_due.len().saturating_sub(TRIMS_PER_BATCH))
    }

    /// What [`SpaceState::rewind`] needs to undo the publishes that follow.
    pub(crate) fn mark(&self) -> Mark {
        Mark { next_offset: self.next_offset, passed_through: self.history.passed_through() }
    }

    /// Undoes all publishes since the mark: nobody has seen their offsets.
    pub(crate) fn rewind(&mut self, mark: &Mark) {
        self.history.take_back(mark.next_offset, mark.passed_through);
        self.keys.take_back(mark.next_offset);
        self.next_offset = mark.next_offset;
    }

    /// Sets and clears retained messages.
    pub(crate) fn retain(&mut self, retained: Vec<(TopicName, Option<Arc<Message>>)>) {
        for (topic, message) in retained {
            if let Some(at) = message.as_ref().and_then(|message| message.expires_at) {
                self.fading.insert((at, topic.clone()));
            }
            let before = match message {
                Some(message) => self.retained.insert(topic.clone(), message),
                None => self.retained.remove(&topic),
            };
            if let Some(at) = before.and_then(|message| message.expires_at)
                && self.retained.get(&topic).is_none_or(|message| message.expires_at != Some(at))
            {
                self.fading.remove(&(at, topic));
            }
        }
    }

    /// The next topic whose retained message is out of date.
    pub(crate) fn faded(&self, now: Millis) -> Option<TopicName> {
        self.fading.first().filter(|(at, _)| *at <= now).map(|(_, topic)| topic.clone())
    }

    /// Retained messages of topics that match, in order of topic.
    pub(crate) fn retained_for(&self, filter: &Filter) -> Vec<Arc<Message>> {
        if let Some(topic) = filter.as_topic() {
            return self.retained.get(&topic).or_else(|| self.notes.get(&topic)).cloned().into_iter().collect();
        }
        let all = self.retained.values().chain(self.notes.values());
        let mut matching: Vec<_> = all.filter(|m| filter.matches(&m.topic)).cloned().collect();
        matching.sort_by(|a, b| a.topic.cmp(&b.topic));
        matching
    }
}

/// What durable sessions want kept while they are away: how many of them want each filter.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    topics: Map<TopicName, usize>,
    filters: Trie<usize>,
}

impl Holds {
    pub(crate) fn add(&mut self, filter: &Filter) {
        match filter.as_topic() {
            Some(topic) => *self.topics.entry(topic).or_default() += 1,
            None => *self.filters.entry(filter) += 1,
        }
    }

    pub(crate) fn remove(&mut self, filter: &Filter) {
        let count = match filter.as_topic() {
            Some(topic) => self.topics.get_mut(&topic),
            None => self.filters.get_mut(filter),
        };
        let Some(count) = count else { return };
        *count -= 1;
        if *count == 0 {
            match filter.as_topic() {
                Some(topic) => drop(self.topics.remove(&topic)),
                None => drop(self.filters.remove(filter)),
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.filters.is_empty()
    }

    pub(crate) fn holds(&self, topic: &str) -> bool {
        if self.topics.contains_key(topic) {
            return true;
        }
        let mut is_held = false;
        self.filters.for_each_match(topic, &mut |_| is_held = true);
        is_held
    }
}

/// A state of a space to which it can be taken back.
#[derive(Debug)]
pub(crate) struct Mark {
    next_offset: Offset,
    passed_through: Offset,
}

/// Which shards have subscribers for what.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    topics: Map<TopicName, Shards>,
    filters: Trie<Shards>,
}

impl Interest {
    pub(crate) fn add(&mut self, filter: &Filter, shard: ShardId) {
        let bit = 1 << shard;
        match filter.as_topic() {
            Some(topic) => *self.topics.entry(topic).or_default() |= bit,
            None => *self.filters.entry(filter) |= bit,
        }
    }

    pub(crate) fn remove(&mut self, filter: &Filter, shard: ShardId) {
        let bit = 1 << shard;
        match filter.as_topic() {
            Some(topic) => {
                let Some(shards) = self.topics.get_mut(&topic) else { return };
                *shards &= !bit;
                if *shards == 0 {
                    self.topics.remove(&topic);
                }
            }
            None => {
                let Some(shards) = self.filters.get_mut(filter) else { return };
                *shards &= !bit;
                if *shards == 0 {
                    self.filters.remove(filter);
                }
            }
        }
    }

    pub(crate) fn shards(&self, topic: &str) -> Shards {
        let mut shards = self.topics.get(topic).copied().unwrap_or_default();
        self.filters.for_each_match(topic, &mut |more| shards |= more);
        shards
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = &TopicName> {
        self.topics.keys()
    }

    pub(crate) fn has_topic(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }
}

/// Idempotency keys of the recent past. A key counts for its publisher and topic.
#[derive(Debug, Default)]
pub(crate) struct RecentKeys {
    offsets: Map<Key, Offset>,
    order: VecDeque<(Millis, Offset, Key)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    publisher: Option<Arc<str>>,
    topic: TopicName,
    key: Arc<str>,
}

impl RecentKeys {
    pub(crate) fn find(&self, publisher: Option<&Arc<str>>, topic: &TopicName, key: &str) -> Option<Offset> {
        let key = Key { publisher: publisher.cloned(), topic: topic.clone(), key: key.into() };
        self.offsets.get(&key).copied()
    }

    pub(crate) fn remember(&mut self, message: &Message) {
        let Some(key) = &message.idempotency_key else { return };
        let key = Key { publisher: message.publisher.clone(), topic: message.topic.clone(), key: (&**key).into() };
        self.order.push_back((message.time, message.offset, key.clone()));
        self.offsets.insert(key, message.offset);
    }

    pub(crate) fn forget_before(&mut self, time: Millis, keys_max: usize) {
        while self.order.front().is_some_and(|(at, ..)| *at < time) || self.order.len() > keys_max {
            let Some((_, offset, key)) = self.order.pop_front() else { return };
            // The key may have been used again since; a restart finds both in the log.
            if self.offsets.get(&key) == Some(&offset) {
                self.offsets.remove(&key);
            }
        }
    }

    /// Forgets the keys of messages from `first` on: they were refused after all.
    pub(crate) fn take_back(&mut self, first: Offset) {
        while let Some((_, _, key)) = self.order.pop_back_if(|(_, offset, _)| *offset >= first) {
            self.offsets.remove(&key);
        }
    }
}

/// What a listing tells of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSummary {
    /// Its name.
    pub topic: TopicName,
    /// Messages kept in history.
    pub messages: usize,
    /// Members present.
    pub members: usize,
    /// A retained message stands.
    pub is_retained: bool,
    /// Somebody subscribes to exactly this topic.
    pub is_subscribed: bool,
}
