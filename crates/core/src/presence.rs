//! Who is on a topic.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;

use crate::filter::TopicName;
use crate::message::Millis;
use crate::refusal::Refusal;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Somebody who is on a topic, however many connections they use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The subject, or for anonymous connections the connection's id.
    pub id: Arc<str>,
    /// What the member says of itself: one JSON value, empty when nothing.
    pub data: Bytes,
    /// When it came.
    pub since: Millis,
}

/// What happened to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresenceChange {
    /// It came.
    Join,
    /// It says something else of itself.
    Update,
    /// It left and its lease ran out.
    Leave,
}

/// A change on a topic, for the subscriptions that asked for presence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceEvent {
    /// The space of the topic.
    pub space: Arc<str>,
    /// The topic.
    pub topic: TopicName,
    /// What happened.
    pub change: PresenceChange,
    /// To whom.
    pub member: Member,
    /// When.
    pub time: Millis,
}

/// The members of all topics of a space.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    topics: Map<TopicName, Map<Arc<str>, Place>>,
    /// Members without a connection, by the end of their lease.
    leaving: BTreeSet<(Millis, TopicName, Arc<str>)>,
}

#[derive(Debug)]
struct Place {
    member: Member,
    connections: u32,
    leaves_at: Option<Millis>,
}

impl Presence {
    /// One more connection of `id` is on `topic`. Tells what others see of it: nothing when the
    /// member was there already, or came back within its lease, and says the same of itself.
    pub(crate) fn enter(
        &mut self,
        topic: &TopicName,
        id: &Arc<str>,
        data: Bytes,
        now: Millis,
        members_max: usize,
    ) -> Result<Option<(PresenceChange, Member)>, Refusal> {
        if let Some(place) = self.topics.get_mut(topic).and_then(|members| members.get_mut(id)) {
            place.connections += 1;
            if let Some(at) = place.leaves_at.take() {
                self.leaving.remove(&(at, topic.clone(), id.clone()));
            }
            return Ok(place.say(data));
        }
        if self.count(topic) >= members_max {
            return Err(Refusal::TooManyMembers { limit: members_max });
        }
        let member = Member { id: id.clone(), data, since: now };
        let members = self.topics.entry_ref(topic).or_default();
        members.insert(id.clone(), Place { member: member.clone(), connections: 1, leaves_at: None });
        Ok(Some((PresenceChange::Join, member)))
    }

    /// A member that is on the topic says something else of itself.
    pub(crate) fn update(&mut self, topic: &TopicName, id: &str, data: Bytes) -> Option<(PresenceChange, Member)> {
        self.topics.get_mut(topic)?.get_mut(id)?.say(data)
    }

    /// One connection fewer. The last one starts the lease; `lease_ms` 0 leaves at the next tick.
    pub(crate) fn leave(&mut self, topic: &TopicName, id: &Arc<str>, now: Millis, lease_ms: u64) {
        let Some(place) = self.topics.get_mut(topic).and_then(|members| members.get_mut(id)) else { return };
        place.connections = place.connections.saturating_sub(1);
        if place.connections == 0 && place.leaves_at.is_none() {
            let at = now.saturating_add(lease_ms);
            place.leaves_at = Some(at);
            self.leaving.insert((at, topic.clone(), id.clone()));
        }
    }

    /// Takes out one member whose lease is over.
    pub(crate) fn expire_one(&mut self, now: Millis) -> Option<(TopicName, Member)> {
        if self.leaving.first().is_none_or(|(at, ..)| *at > now) {
            return None;
        }
        let (_, topic, id) = self.leaving.pop_first()?;
        let members = self.topics.get_mut(&topic)?;
        let place = members.remove(&id)?;
        if members.is_empty() {
            self.topics.remove(&topic);
        }
        Some((topic, place.member))
    }

    /// Members of `topic` in order of id, after the member `after`, at most `limit`; and whether
    /// there are more.
    pub(crate) fn members(&self, topic: &str, after: Option<&str>, limit: usize) -> (Vec<Member>, bool) {
        let Some(members) = self.topics.get(topic) else { return (Vec::new(), false) };
        let later = |id: &str| after.is_none_or(|after| id > after);
        let mut page: Vec<_> = members.values().map(|p| &p.member).filter(|m| later(&m.id)).collect();
        page.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let has_more = page.len() > limit;
        page.truncate(limit);
        (page.into_iter().cloned().collect(), has_more)
    }

    /// How many members `topic` has.
    pub(crate) fn count(&self, topic: &str) -> usize {
        self.topics.get(topic).map_or(0, Map::len)
    }

    /// Topics with members.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &TopicName> {
        self.topics.keys()
    }
}

impl Place {
    fn say(&mut self, data: Bytes) -> Option<(PresenceChange, Member)> {
        if self.member.data == data {
            return None;
        }
        self.member.data = data;
        Some((PresenceChange::Update, self.member.clone()))
    }
}
