//! Who is on a topic.

use std::sync::Arc;

use bytes::Bytes;

use super::Core;
use crate::filter::TopicName;
use crate::grant::{Action, Principal};
use crate::message::Millis;
use crate::ports::Delivery;
use crate::presence::{Member, PresenceChange, PresenceEvent};
use crate::refusal::Refusal;
use crate::space::{Space, SpaceState};
impl Core {
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

    pub(super) fn announce(
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
}
