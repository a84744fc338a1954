//! Who of one shard's connections wants which topic.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::filter::{Filter, TopicName};
use crate::trie::Trie;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// One subscription of one connection of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subscriber {
    /// The connection's slot in its shard.
    pub connection: u32,
    /// Which of the connection's subscriptions.
    pub subscription: u16,
    /// Changes of presence are wanted too.
    pub wants_presence: bool,
    /// The session wants to handle each message itself instead of having it encoded and queued.
    pub is_tracked: bool,
}

/// The subscriptions of one shard. Not shared: each shard has its own and needs no lock.
#[derive(Debug, Default)]
pub struct Roster {
    spaces: Map<Arc<str>, SpaceRoster>,
}

#[derive(Debug, Default)]
struct SpaceRoster {
    topics: Map<TopicName, Subscribers>,
    filters: Trie<Subscribers>,
}

impl Roster {
    /// Adds a subscription, or replaces what it wants when it stands there already. `true` when it
    /// is the shard's only one for this filter, so that the core must hear of the shard's interest.
    pub fn add(&mut self, space: &Arc<str>, filter: &Filter, subscriber: Subscriber) -> bool {
        let space = self.spaces.entry_ref(space).or_default();
        let subscribers = match filter.as_topic() {
            Some(topic) => space.topics.entry(topic).or_default(),
            None => space.filters.entry(filter),
        };
        subscribers.add(subscriber);
        subscribers.list.len() == 1
    }

    /// Removes a subscription. `true` when it was the shard's last for this filter.
    pub fn remove(&mut self, space: &str, filter: &Filter, connection: u32, subscription: u16) -> bool {
        let Some(roster) = self.spaces.get_mut(space) else { return false };
        let subscribers = match filter.as_topic() {
            Some(topic) => roster.topics.get_mut(&topic),
            None => roster.filters.get_mut(filter),
        };
        let Some(subscribers) = subscribers else { return false };
        if !subscribers.remove(connection, subscription) || !subscribers.list.is_empty() {
            return false;
        }
        match filter.as_topic() {
            Some(topic) => drop(roster.topics.remove(&topic)),
            None => drop(roster.filters.remove(filter)),
        }
        if roster.topics.is_empty() && roster.filters.is_empty() {
            self.spaces.remove(space);
        }
        true
    }

    /// Calls `visit` with each group of subscribers that `topic` is for. A connection stands in it
    /// as often as it has matching subscriptions.
    pub fn for_each_match<'a>(&'a self, space: &str, topic: &str, visit: &mut dyn FnMut(&'a [Subscriber])) {
        let Some(space) = self.spaces.get(space) else { return };
        if let Some(subscribers) = space.topics.get(topic) {
            visit(&subscribers.list);
        }
        space.filters.for_each_match(topic, &mut |subscribers| visit(&subscribers.list));
    }

    /// How many subscriptions match `topic` here.
    pub fn count(&self, space: &str, topic: &str) -> usize {
        let mut count = 0;
        self.for_each_match(space, topic, &mut |group| count += group.len());
        count
    }
}

/// The subscribers of one filter. Removing must not cost by their number, or a popular topic's
/// audience leaving together would take time by its square; so longer lists keep an index.
#[derive(Debug, Default)]
struct Subscribers {
    list: Vec<Subscriber>,
    places: Option<Map<(u32, u16), u32>>,
}

/// From this length on a list keeps an index.
const INDEXED_FROM: usize = 64;

impl Subscribers {
    fn add(&mut self, subscriber: Subscriber) {
        if let Some(place) = self.place(subscriber.connection, subscriber.subscription) {
            self.list[place] = subscriber;
            return;
        }
        let place = self.list.len() as u32;
        self.list.push(subscriber);
        if let Some(places) = &mut self.places {
            places.insert((subscriber.connection, subscriber.subscription), place);
        } else if self.list.len() == INDEXED_FROM {
            let places = self.list.iter().zip(0..);
            self.places = Some(places.map(|(s, place)| ((s.connection, s.subscription), place)).collect());
        }
    }

    fn place(&self, connection: u32, subscription: u16) -> Option<usize> {
        let key = (connection, subscription);
        match &self.places {
            Some(places) => places.get(&key).map(|place| *place as usize),
            None => self.list.iter().position(|s| (s.connection, s.subscription) == key),
        }
    }

    fn remove(&mut self, connection: u32, subscription: u16) -> bool {
        let Some(place) = self.place(connection, subscription) else { return false };
        self.list.swap_remove(place);
        if let Some(places) = &mut self.places {
            places.remove(&(connection, subscription));
        }
        match &mut self.places {
            Some(_) if self.list.len() < INDEXED_FROM / 2 => {
                self.places = None;
                self.list.shrink_to_fit();
            }
            Some(places) => {
                if let Some(moved) = self.list.get(place) {
                    places.insert((moved.connection, moved.subscription), place as u32);
                }
            }
            None => {}
        }
        true
    }
}
