//! What time brings: leases run out and messages grow too old.

use std::sync::Arc;

use super::Core;
use crate::filter::Filter;
use crate::message::Millis;
use crate::ports::LogBatch;
use crate::presence::PresenceChange;
use crate::refusal::Refusal;
use crate::settings::{HistorySettings, SpaceSettings};
use crate::space::{Space, SpaceState};

/// Steps of 64 messages that a tick may trim of one space: at two ticks a second more than 32,000
/// a second, so that messages do not outlive their age after a busy time.
const TRIM_ROUNDS_PER_TICK: usize = 256;
/// Retained messages of one space that a tick lets go.
const FADED_PER_TICK: usize = 4_096;

impl Core {
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
            self.forget_faded(&space, now);
            // In small steps, so that publishers wait for none of them.
            let mut rounds = 0..TRIM_ROUNDS_PER_TICK;
            while rounds.next().is_some() && self.trim_once(&space, &settings, now) {}
            self.tell_head(&space);
        }
    }

    /// Retained messages whose time is over go.
    fn forget_faded(&self, space: &Space, now: Millis) {
        let mut state = space.state.lock();
        let mut faded = Vec::new();
        while faded.len() < FADED_PER_TICK
            && let Some(topic) = state.faded(now)
        {
            state.retain(vec![(topic.clone(), None)]);
            faded.push((topic, None));
        }
        if !faded.is_empty() && self.log.is_durable() {
            // If the log cannot take it now, a restart finds them and they fade again.
            let _ = self.log.append(LogBatch { space: space.name.clone(), retained: faded, ..LogBatch::default() });
        }
    }

    /// Keeps what is published to matching topics for a durable session, whatever the count of
    /// the space's history says, until [`Core::release`].
    ///
    /// # Errors
    /// The space cannot be made.
    pub fn hold(&self, space: &Arc<str>, filter: &Filter) -> Result<(), Refusal> {
        self.space(space)?.state.lock().holds.add(filter);
        Ok(())
    }

    /// Trims topics that hold more than their count. To be called once after a restart, when durable
    /// sessions have said what they hold; afterwards every publish sees to its own topic.
    pub fn apply_counts(&self) {
        let spaces: Vec<_> = self.spaces.read().values().cloned().collect();
        for space in spaces {
            let settings = space.settings();
            let mut guard = space.state.lock();
            let state = &mut *guard;
            for topic in state.history.topics_over(settings.history.count) {
                let limits = settings.history.for_topic(state.holds.holds(&topic));
                let limits = HistorySettings { age_ms: u64::MAX, bytes: u64::MAX, topics: usize::MAX, ..limits };
                let now = 0;
                let mut has_more = true;
                while has_more {
                    has_more = state.history.trim(&limits, now, Some(&topic), true, &mut state.trims_due);
                }
            }
            self.hand_trims_to_log(&space, state);
        }
    }

    /// The session that held this filter is over, or does not want it any more.
    pub fn release(&self, space: &str, filter: &Filter) {
        let space = self.spaces.read().get(space).cloned();
        if let Some(space) = space {
            space.state.lock().holds.remove(filter);
        }
    }

    /// Offsets of messages that are not kept must not be handed out again either: the log hears
    /// how far the numbering has come. To be called once more before the server stops.
    pub fn tell_heads(&self) {
        let spaces: Vec<_> = self.spaces.read().values().cloned().collect();
        spaces.iter().for_each(|space| self.tell_head(space));
    }

    fn tell_head(&self, space: &Space) {
        let mut state = space.state.lock();
        let head = state.head().offset;
        if state.told_head < head && self.log.is_durable() {
            let batch = LogBatch { space: space.name.clone(), head, ..LogBatch::default() };
            if self.log.append(batch).is_ok() {
                state.told_head = head;
            }
        }
    }

    /// Forgets what a space keeps, history and retained messages; its numbering goes on. In small
    /// steps: what is published meanwhile may be forgotten or not.
    pub fn forget(&self, space: &str) {
        let Some(space) = self.spaces.read().get(space).cloned() else { return };
        let nothing = HistorySettings { count: 0, ..HistorySettings::default() };
        let mut has_more = true;
        while has_more {
            let mut guard = space.state.lock();
            let state = &mut *guard;
            let has_log = self.log.is_durable();
            has_more = state.history.trim(&nothing, 0, None, has_log, &mut state.trims_due);
            if has_log {
                self.hand_trims_to_log(&space, state);
            } else {
                state.trims_due.clear();
            }
        }
        self.forget_retained(&space);
    }

    fn forget_retained(&self, space: &Space) {
        let mut state = space.state.lock();
        let topics: Vec<_> = state.retained.keys().cloned().collect();
        for topics in topics.chunks(FADED_PER_TICK) {
            let retained: Vec<_> = topics.iter().map(|topic| (topic.clone(), None)).collect();
            state.retain(retained.clone());
            if self.log.is_durable() {
                let _ = self.log.append(LogBatch { space: space.name.clone(), retained, ..LogBatch::default() });
            }
        }
    }

    /// `true` when there may be more to trim.
    fn trim_once(&self, space: &Space, settings: &SpaceSettings, now: Millis) -> bool {
        let mut guard = space.state.lock();
        let state = &mut *guard;
        let has_log = self.log.is_durable();
        // Where history is off, what is there is there for durable sessions.
        let limits = settings.history.for_topic(settings.history.count == 0 && !state.holds.is_empty());
        let has_more = state.history.trim(&limits, now, None, has_log, &mut state.trims_due);
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
}
