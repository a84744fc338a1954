//! From a position to now: join, pages, history.

use std::sync::Arc;

use super::Core;
use crate::filter::{Filter, FilterSet, TopicName};
use crate::grant::{Action, Principal};
use crate::history::{HistoryPage, Joined, Since, Slot, Slots};
use crate::message::{Message, Offset, Position};
use crate::ports::ShardId;
use crate::refusal::Refusal;
use crate::space::{Space, SpaceState};

/// Most messages a join delivers in one step; a reader that is further behind reads pages first.
const JOIN_MESSAGES_MAX: usize = 64;
/// About how many bytes that may be.
const JOIN_BYTES_MAX: usize = 64 * 1024;
impl Core {
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
        self.page_from(&space, slots, has_gap, from_memory_only)
    }

    fn page_from(
        &self,
        space: &Space,
        slots: Slots,
        has_gap: bool,
        from_memory_only: bool,
    ) -> Result<Option<HistoryPage>, Refusal> {
        if let Some(messages) = in_memory(&slots) {
            return Ok(Some(HistoryPage { messages, next: slots.next, is_head: slots.is_head, has_gap }));
        }
        if from_memory_only {
            return Ok(None);
        }
        let mut messages = self.fetch(space, &slots.slots)?;
        if messages.len() < slots.slots.len() {
            // Memory may have let go of messages that are still on their way to the disk.
            self.log.flush()?;
            messages = self.fetch(space, &slots.slots)?;
        }
        // What is still missing was trimmed between the two looks.
        let has_gap = has_gap || messages.len() < slots.slots.len();
        Ok(Some(HistoryPage { messages, next: slots.next, is_head: slots.is_head, has_gap }))
    }

    /// Reads kept messages after `after` that any of `filters` matches, as [`Core::page`] does. Its
    /// gap says that something that matches was trimmed, not that history was off.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn page_of_set(
        &self,
        space: &str,
        filters: &FilterSet,
        after: Offset,
        count_max: usize,
        bytes_max: usize,
        from_memory_only: bool,
    ) -> Result<Option<HistoryPage>, Refusal> {
        let Some(space) = self.spaces.read().get(space).cloned() else {
            return Ok(Some(HistoryPage { messages: Vec::new(), next: after, is_head: true, has_gap: false }));
        };
        let state = space.state.lock();
        let mut slots = state.history.page_of_set(filters, after, count_max, bytes_max);
        let has_gap = after > 0 && state.history.is_trimmed_after(filters, after);
        if slots.is_head {
            slots.next = slots.next.max(state.head().offset);
        }
        drop(state);
        self.page_from(&space, slots, has_gap, from_memory_only)
    }

    /// Messages that a session has sent and may have to send again: from history, from the
    /// retained messages, or `None` where neither has it any more. May block on the disk.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn recall(&self, space: &str, wanted: &[(TopicName, Offset)]) -> Result<Vec<Option<Arc<Message>>>, Refusal> {
        let Some(space) = self.spaces.read().get(space).cloned() else { return Ok(vec![None; wanted.len()]) };
        let state = space.state.lock();
        let slot = |(topic, offset): &(TopicName, Offset)| {
            let retained = state.retained.get(topic).filter(|message| message.offset == *offset);
            state.history.find(topic, *offset).or_else(|| retained.cloned().map(Slot::Here))
        };
        let slots: Vec<Option<Slot>> = wanted.iter().map(slot).collect();
        drop(state);
        let mut found = Vec::with_capacity(slots.len());
        for slot in slots {
            found.push(match slot {
                Some(slot) => self.fetch_one(&space, slot)?,
                None => None,
            });
        }
        Ok(found)
    }

    fn fetch_one(&self, space: &Space, slot: Slot) -> Result<Option<Arc<Message>>, Refusal> {
        let slots = [slot];
        if let Some(message) = self.fetch(space, &slots)?.pop() {
            return Ok(Some(message));
        }
        // Memory may have let go of what is still on its way to the disk.
        self.log.flush()?;
        Ok(self.fetch(space, &slots)?.pop())
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
