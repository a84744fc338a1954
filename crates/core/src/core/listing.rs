//! What is there, for operators.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use super::Core;
use crate::filter::TopicName;
use crate::message::Message;
use crate::space::TopicSummary;

/// Retained messages of one page, at most; so many are looked at while the space is locked.
pub const RETAINED_PAGE_MAX: usize = 200;

impl Core {
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

    /// The retained message of a topic.
    pub fn retained(&self, space: &str, topic: &TopicName) -> Option<Arc<Message>> {
        let space = self.spaces.read().get(space).cloned()?;
        space.state.lock().retained.get(topic).cloned()
    }

    /// A page of a space's retained messages in order of topic, of topics that come after `after`,
    /// at most `limit` and [`RETAINED_PAGE_MAX`]. Topics that begin with `$` are the server's own
    /// and are left out.
    pub fn retained_page(&self, space: &str, after: Option<&TopicName>, limit: usize) -> Vec<Arc<Message>> {
        let Some(space) = self.spaces.read().get(space).cloned() else { return Vec::new() };
        let limit = limit.min(RETAINED_PAGE_MAX);
        let mut page = Vec::with_capacity(limit);
        let state = space.state.lock();
        let mut place: Bound<&str> = after.map_or(Bound::Unbounded, |after| Bound::Excluded(&**after));
        while page.len() < limit {
            let mut rest = state.retained.range::<str, _>((place, Bound::Unbounded));
            let Some((topic, message)) = rest.next() else { break };
            // Everything from "$" to before "%" is passed over at once.
            place = if topic.starts_with('$') { Bound::Included("%") } else { Bound::Excluded(topic) };
            if !topic.starts_with('$') {
                page.push(message.clone());
            }
        }
        page
    }

    /// How many topics of a space have a retained message.
    pub fn retained_count(&self, space: &str) -> usize {
        let space = self.spaces.read().get(space).cloned();
        space.map_or(0, |space| space.state.lock().retained.len())
    }
}
