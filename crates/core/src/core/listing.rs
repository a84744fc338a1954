//! What is there, for operators.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Core;
use crate::filter::TopicName;
use crate::space::TopicSummary;
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
}
