//! What a space keeps of its past, and how a reader gets from a position to now.
//!
//! Offsets are dense in the space and ascend in each topic. The index of kept messages is in
//! memory; of the messages themselves the newest are in memory and all are in the log.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::filter::{Filter, FilterSet, TopicName};
use crate::message::{Message, Millis, Offset, Position};
use crate::settings::HistorySettings;

/// Where a reader wants to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// From now on.
    Now,
    /// With everything that is kept.
    Beginning,
    /// After what it has seen.
    After(Position),
}

/// How a subscription begins.
#[derive(Debug)]
pub struct Joined {
    /// Where the log of the space stands.
    pub position: Position,
    /// Whether everything since the asked position is still there; `None` when nothing was asked.
    pub recovered: Option<bool>,
    /// What to deliver first, in order.
    pub messages: Vec<Arc<Message>>,
    /// Retained messages of the topics that match, when the reader begins now.
    pub retained: Vec<Arc<Message>>,
    /// The reader is live when `None`. Otherwise it is too far behind to catch up in one step: it
    /// reads pages after this offset and joins again when a page reaches the head.
    pub behind: Option<Offset>,
}

/// A step of catching up.
#[derive(Debug)]
pub struct HistoryPage {
    /// Kept messages in order.
    pub messages: Vec<Arc<Message>>,
    /// Where the next page begins.
    pub next: Offset,
    /// There was nothing more when the page was read.
    pub is_head: bool,
    /// Something after the asked offset is kept no more and is missing here. Means nothing to a
    /// reader that began at the beginning, and is never set for a page after 0: what went before
    /// it was read is no gap.
    pub has_gap: bool,
}

/// A place in a page: a message that is in memory, or the offset of one that is in the log.
#[derive(Debug)]
pub(crate) enum Slot {
    Here(Arc<Message>),
    InLog(Offset),
}

#[derive(Debug)]
pub(crate) struct Slots {
    pub(crate) slots: Vec<Slot>,
    pub(crate) next: Offset,
    pub(crate) is_head: bool,
}

type Topics = HashMap<TopicName, TopicHistory, foldhash::fast::RandomState>;

#[derive(Debug, Default)]
pub(crate) struct History {
    topics: Topics,
    /// Kept messages of all topics by offset. Entries whose message was trimmed by its topic's
    /// count stay until they reach the front or the next sweep.
    order: VecDeque<(Offset, TopicName)>,
    /// This many entries at the front of `order` have their message in the log alone.
    cold_len: usize,
    len: usize,
    weight: u64,
    memory_weight: u64,
    /// Highest offset trimmed from topics that are not in `topics` any more.
    forgotten_through: Offset,
    /// Highest offset trimmed from any topic.
    trimmed_through: Offset,
    /// Highest offset of a message that was published while history was off.
    passed_through: Offset,
}

#[derive(Debug, Default)]
struct TopicHistory {
    entries: VecDeque<Entry>,
    trimmed_through: Offset,
    last: Offset,
}

#[derive(Debug)]
struct Entry {
    offset: Offset,
    time: Millis,
    weight: u32,
    message: Option<Arc<Message>>,
}

/// Bounds what one call may do while the space is locked.
const TRIMS_PER_CALL: usize = 64;
const EXAMINED_PER_PAGE: usize = 4_096;

impl History {
    /// After a restart, before the kept messages are handed in.
    pub(crate) fn recovered(trimmed_through: Offset) -> Self {
        Self { forgotten_through: trimmed_through, trimmed_through, ..Self::default() }
    }

    /// Offset of the topic's last message, or a later one that no message of the topic has passed.
    pub(crate) fn last_of(&self, topic: &str) -> Offset {
        self.topics.get(topic).map_or(self.forgotten_through, |t| t.last).max(self.passed_through)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn weight(&self) -> u64 {
        self.weight
    }

    pub(crate) fn memory_weight(&self) -> u64 {
        self.memory_weight
    }

    pub(crate) fn count(&self, topic: &str) -> usize {
        self.topics.get(topic).map_or(0, |t| t.entries.len())
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = &TopicName> {
        self.topics.keys()
    }

    /// Topics that hold more messages than this.
    pub(crate) fn topics_over(&self, count: usize) -> Vec<TopicName> {
        self.topics.iter().filter(|(_, topic)| topic.entries.len() > count).map(|(name, _)| name.clone()).collect()
    }

    /// A message that is not kept: everything up to it is gone for whoever comes later.
    pub(crate) fn pass(&mut self, offset: Offset) {
        self.passed_through = offset;
    }

    /// Keeps a message.
    pub(crate) fn push(&mut self, message: Arc<Message>) {
        let weight = message.weight() as u32;
        let forgotten_through = self.forgotten_through;
        let topic = self
            .topics
            .entry_ref(&message.topic)
            .or_insert_with(|| TopicHistory { trimmed_through: forgotten_through, ..TopicHistory::default() });
        topic.last = message.offset;
        self.order.push_back((message.offset, message.topic.clone()));
        let (offset, time) = (message.offset, message.time);
        topic.entries.push_back(Entry { offset, time, weight, message: Some(message) });
        self.len += 1;
        self.weight += u64::from(weight);
        self.memory_weight += u64::from(weight);
    }

    /// Keeps a message that a restart found in the log.
    pub(crate) fn restore(&mut self, message: Arc<Message>) {
        let previous = message.previous;
        let known = self.topics.get(&message.topic).map_or(0, |topic| topic.last).max(self.trimmed_through);
        if previous > known {
            // Neither kept nor trimmed: it was published while history was off.
            self.passed_through = self.passed_through.max(previous);
        }
        if !self.topics.contains_key(&message.topic) {
            let known = TopicHistory { trimmed_through: previous, ..TopicHistory::default() };
            self.topics.insert(message.topic.clone(), known);
        }
        self.push(message);
    }

    /// Takes the messages from `first` on back out: the log refused them. Nothing was trimmed
    /// since they were pushed.
    pub(crate) fn take_back(&mut self, first: Offset, passed_through: Offset) {
        self.passed_through = passed_through;
        while let Some((_, name)) = self.order.pop_back_if(|(offset, _)| *offset >= first) {
            let Some(topic) = self.topics.get_mut(&name) else { continue };
            if let Some(entry) = topic.entries.pop_back() {
                self.len -= 1;
                self.weight -= u64::from(entry.weight);
                self.memory_weight -= if entry.message.is_some() { u64::from(entry.weight) } else { 0 };
            }
            match topic.entries.back() {
                Some(entry) => topic.last = entry.offset,
                // The topic came with the first of them.
                None => drop(self.topics.remove(&name)),
            }
        }
    }

    /// Highest offset of a message that was published while history was off.
    pub(crate) fn passed_through(&self) -> Offset {
        self.passed_through
    }

    /// Applies the limits, a bounded number of messages at a time. Offsets that are no longer kept
    /// are added to `trimmed`. `just_published` is the topic whose count may be over. `true` when
    /// it stopped at the bound of one call. The count and age that hold for a topic are the caller's to tell.
    pub(crate) fn trim(
        &mut self,
        settings: &HistorySettings,
        now: Millis,
        just_published: Option<&TopicName>,
        has_log: bool,
        trimmed: &mut Vec<Offset>,
    ) -> bool {
        let stop = trimmed.len() + TRIMS_PER_CALL;
        if let Some(topic) = just_published {
            while self.count(topic) > settings.count && trimmed.len() < stop {
                trimmed.extend(self.pop_front_of(topic));
            }
        }
        let oldest_kept = now.saturating_sub(settings.age_ms);
        while trimmed.len() < stop && self.is_front_over(settings, oldest_kept) {
            trimmed.extend(self.pop_front());
        }
        while self.memory_weight > settings.memory_bytes && trimmed.len() < stop {
            if has_log {
                if !self.cool_one() {
                    break;
                }
            } else {
                trimmed.extend(self.pop_front());
            }
        }
        if self.order.len() > 2 * self.len + 1_024 {
            self.sweep();
        }
        trimmed.len() >= stop
    }

    fn is_front_over(&self, settings: &HistorySettings, oldest_kept: Millis) -> bool {
        let Some((offset, topic)) = self.order.front() else { return false };
        if self.weight > settings.bytes || settings.count == 0 || self.topics.len() > settings.topics {
            return true;
        }
        match self.topics.get(topic).and_then(|t| t.entries.front()) {
            Some(entry) if entry.offset == *offset => entry.time < oldest_kept,
            // A leftover of a message that is gone already.
            _ => true,
        }
    }

    /// Drops the oldest entry of `order`; its offset, if the message was still kept.
    fn pop_front(&mut self) -> Option<Offset> {
        let (offset, topic) = self.order.front().cloned()?;
        let is_kept = self.topics.get(&topic).and_then(|t| t.entries.front()).is_some_and(|e| e.offset == offset);
        if is_kept {
            self.pop_front_of(&topic);
        }
        self.order.pop_front();
        self.cold_len = self.cold_len.saturating_sub(1);
        is_kept.then_some(offset)
    }

    fn pop_front_of(&mut self, name: &TopicName) -> Option<Offset> {
        let topic = self.topics.get_mut(name)?;
        let entry = topic.entries.pop_front()?;
        topic.trimmed_through = topic.trimmed_through.max(entry.offset);
        self.trimmed_through = self.trimmed_through.max(entry.offset);
        self.len -= 1;
        self.weight -= u64::from(entry.weight);
        if entry.message.is_some() {
            self.memory_weight -= u64::from(entry.weight);
        }
        if topic.entries.is_empty() {
            self.forgotten_through = self.forgotten_through.max(topic.trimmed_through);
            self.topics.remove(name);
        }
        Some(entry.offset)
    }

    /// Leaves the oldest message that is in memory to the log alone. `false` when none is.
    fn cool_one(&mut self) -> bool {
        let Some((offset, topic)) = self.order.get(self.cold_len) else { return false };
        self.cold_len += 1;
        if let Some(entry) = self.topics.get_mut(topic).and_then(|t| t.find_mut(*offset))
            && entry.message.take().is_some()
        {
            self.memory_weight -= u64::from(entry.weight);
        }
        true
    }

    /// Removes the leftovers from `order`.
    fn sweep(&mut self) {
        let topics = &self.topics;
        let mut index = 0;
        let mut cold_len = 0;
        let was_cold = self.cold_len;
        self.order.retain(|(offset, topic)| {
            let is_kept = topics.get(topic).is_some_and(|t| t.entries.front().is_some_and(|e| e.offset <= *offset));
            cold_len += usize::from(is_kept && index < was_cold);
            index += 1;
            is_kept
        });
        self.cold_len = cold_len;
    }

    /// Whether a reader that has seen everything up to `offset` can be given all that followed.
    pub(crate) fn is_complete_after(&self, filter: &Filter, offset: Offset) -> bool {
        if offset < self.passed_through {
            return false;
        }
        if offset >= self.trimmed_through {
            return true;
        }
        match filter.as_topic() {
            Some(topic) => offset >= self.topics.get(&topic).map_or(self.forgotten_through, |t| t.trimmed_through),
            None => {
                let mut matching = self.topics.iter().filter(|(name, _)| filter.matches(name));
                offset >= self.forgotten_through && matching.all(|(_, t)| offset >= t.trimmed_through)
            }
        }
    }

    /// Kept messages after `after` that match, at most `count_max` of them and about `weight_max` bytes.
    pub(crate) fn page(&self, filter: &Filter, after: Offset, count_max: usize, weight_max: usize) -> Slots {
        match filter.as_topic() {
            Some(topic) => self.page_of_topic(&topic, after, count_max, weight_max),
            None => self.page_of_filter(filter, after, count_max, weight_max),
        }
    }

    /// Kept messages after `after` that match any of `filters`, in order, each once.
    pub(crate) fn page_of_set(&self, filters: &FilterSet, after: Offset, count_max: usize, weight_max: usize) -> Slots {
        match filters.only_topics() {
            Some(topics) => self.page_of_topics(topics, after, count_max, weight_max),
            None => self.page_in_order(&|topic| filters.matches(topic), after, count_max, weight_max),
        }
    }

    /// Costs by the topics asked for, however busy the rest of the space is.
    fn page_of_topics<'a>(
        &self,
        names: impl Iterator<Item = &'a TopicName>,
        after: Offset,
        count_max: usize,
        weight_max: usize,
    ) -> Slots {
        let mut found = Vec::new();
        let mut is_head = true;
        for topic in names.filter_map(|name| self.topics.get(name)) {
            let start = topic.entries.partition_point(|entry| entry.offset <= after);
            // One more than fits tells that there is more.
            found.extend(topic.entries.range(start..).take(count_max + 1));
        }
        found.sort_unstable_by_key(|entry| entry.offset);
        let mut page = PageBuilder::new(after, count_max, weight_max);
        for entry in found {
            if !page.take(entry) {
                is_head = false;
                break;
            }
        }
        page.finish(is_head)
    }

    /// Something that matches was trimmed after this offset.
    pub(crate) fn is_trimmed_after(&self, filters: &FilterSet, offset: Offset) -> bool {
        let is_trimmed =
            |(name, topic): (&TopicName, &TopicHistory)| offset < topic.trimmed_through && filters.matches(name);
        offset < self.trimmed_through && (offset < self.forgotten_through || self.topics.iter().any(is_trimmed))
    }

    /// Whether this offset is kept, and where.
    pub(crate) fn find(&self, topic: &str, offset: Offset) -> Option<Slot> {
        self.topics.get(topic).and_then(|topic| topic.find(offset)).map(Entry::slot)
    }

    fn page_of_topic(&self, topic: &TopicName, after: Offset, count_max: usize, weight_max: usize) -> Slots {
        let mut page = PageBuilder::new(after, count_max, weight_max);
        let Some(topic) = self.topics.get(topic) else { return page.finish(true) };
        let start = topic.entries.partition_point(|entry| entry.offset <= after);
        for entry in topic.entries.range(start..) {
            if !page.take(entry) {
                return page.finish(false);
            }
        }
        page.finish(true)
    }

    fn page_of_filter(&self, filter: &Filter, after: Offset, count_max: usize, weight_max: usize) -> Slots {
        self.page_in_order(&|topic| filter.matches(topic), after, count_max, weight_max)
    }

    fn page_in_order(
        &self,
        is_wanted: &dyn Fn(&str) -> bool,
        after: Offset,
        count_max: usize,
        weight_max: usize,
    ) -> Slots {
        let mut page = PageBuilder::new(after, count_max, weight_max);
        let start = self.order.partition_point(|(offset, _)| *offset <= after);
        for (examined, (offset, name)) in self.order.range(start..).enumerate() {
            if examined == EXAMINED_PER_PAGE {
                return page.finish(false);
            }
            if is_wanted(name) {
                let entry = self.topics.get(name).and_then(|t| t.find(*offset));
                if entry.is_some_and(|entry| !page.take(entry)) {
                    return page.finish(false);
                }
            }
            page.slots.next = *offset;
        }
        page.finish(true)
    }
}

impl Entry {
    fn slot(&self) -> Slot {
        match &self.message {
            Some(message) => Slot::Here(message.clone()),
            None => Slot::InLog(self.offset),
        }
    }
}

impl TopicHistory {
    fn find(&self, offset: Offset) -> Option<&Entry> {
        self.entries.binary_search_by_key(&offset, |e| e.offset).ok().map(|index| &self.entries[index])
    }

    fn find_mut(&mut self, offset: Offset) -> Option<&mut Entry> {
        let index = self.entries.binary_search_by_key(&offset, |e| e.offset).ok()?;
        self.entries.get_mut(index)
    }
}

struct PageBuilder {
    slots: Slots,
    count_left: usize,
    weight_left: usize,
}

impl PageBuilder {
    fn new(after: Offset, count_max: usize, weight_max: usize) -> Self {
        let slots = Slots { slots: Vec::new(), next: after, is_head: false };
        Self { slots, count_left: count_max, weight_left: weight_max }
    }

    /// `false` when the page is full and the entry was not taken.
    fn take(&mut self, entry: &Entry) -> bool {
        if self.count_left == 0 || self.weight_left == 0 {
            return false;
        }
        self.count_left -= 1;
        self.weight_left = self.weight_left.saturating_sub(entry.weight as usize);
        self.slots.next = entry.offset;
        self.slots.slots.push(entry.slot());
        true
    }

    fn finish(mut self, is_head: bool) -> Slots {
        self.slots.is_head = is_head;
        self.slots
    }
}
