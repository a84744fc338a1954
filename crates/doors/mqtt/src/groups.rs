//! Shared subscriptions: one member of a group gets each message.
//!
//! A group is one reader of the log, whoever its members are. It deals each message out to a member
//! that is connected and not too busy; when there is none it waits, and the messages with it, in
//! the log. What a member has not sent when it leaves goes back to the group.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fanfare_core::{Filter, Guarantee, Message, Millis, Offset, Position, Principal, Since, TopicName};
use fanfare_door::{ConnectionId, Listening, StreamItem};
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::hub::Hub;

/// Messages that a member may have in hand before others are preferred, and beyond which it gets no more.
const IN_HAND_MAX: usize = 256;

/// How often a group writes down how far it has come, at most.
const RECORD_MS: u64 = 1_000;
/// Before messages are asked for again that the log could not give.
const RECALL_PAUSE: Duration = Duration::from_secs(1);

/// A handle on a group.
pub(crate) type Share = Arc<Group>;

/// The members of one shared subscription.
pub(crate) struct Group {
    pub(crate) name: Box<str>,
    pub(crate) filter: Filter,
    state: Mutex<Members>,
    /// A member came, has room again, or gave something back.
    wake: Notify,
}

#[derive(Default)]
struct Members {
    members: Vec<Member>,
    next: usize,
    /// Given to members and not yet done with.
    in_hand: BTreeSet<Offset>,
    /// Who has refused those that were dealt out again.
    refusals: HashMap<Offset, Vec<Arc<str>>, foldhash::fast::RandomState>,
    /// Given back, to be dealt out before what follows in the log.
    returned: VecDeque<Card>,
    /// Given back by sessions that have ended; to be read again.
    forgotten: Vec<(TopicName, Offset)>,
    /// In the hands of sessions that were away at the start.
    claimed: HashSet<Offset, foldhash::fast::RandomState>,
    /// Everything up to here was dealt out.
    dealt: Offset,
}

/// A message to be dealt out.
struct Card {
    message: Arc<Message>,
    /// Members that cannot take it.
    refused_by: Vec<Arc<str>>,
    /// It comes from the log and was never dealt out in this run.
    is_new: bool,
}

impl From<Arc<Message>> for Card {
    fn from(message: Arc<Message>) -> Self {
        Self { message, refused_by: Vec::new(), is_new: false }
    }
}

struct Member {
    client_id: Arc<str>,
    /// `None` while it is away.
    connection: Option<ConnectionId>,
    /// The group waits for it when nobody is connected.
    is_durable: bool,
    in_hand: usize,
}

/// A message on its way to a member's session. It goes back to the group if nobody takes it.
pub(crate) struct Dealt {
    share: Share,
    client_id: Arc<str>,
    message: Option<Arc<Message>>,
}

impl Dealt {
    pub(crate) fn take(mut self) -> Option<(Share, Arc<Message>)> {
        let message = self.message.take()?;
        Some((self.share.clone(), message))
    }
}

impl Drop for Dealt {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            self.share.give_back(&self.client_id, vec![message]);
        }
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "$share/{}/{}", self.name, self.filter)
    }
}

impl Group {
    pub(crate) fn new(name: &str, filter: Filter) -> Self {
        Self { name: name.into(), filter, state: Mutex::default(), wake: Notify::new() }
    }

    /// A member joins or comes back.
    pub(crate) fn join(&self, client_id: &Arc<str>, connection: Option<ConnectionId>, is_durable: bool) {
        let mut state = self.state.lock();
        match state.members.iter_mut().find(|member| member.client_id == *client_id) {
            Some(member) => (member.connection, member.is_durable) = (connection, is_durable),
            None => {
                state.members.push(Member { client_id: client_id.clone(), connection, is_durable, in_hand: 0 });
            }
        }
        drop(state);
        self.wake.notify_one();
    }

    /// A session at the start has this message in hand.
    pub(crate) fn claim(&self, client_id: &Arc<str>, offset: Offset) {
        let mut state = self.state.lock();
        state.claimed.insert(offset);
        state.in_hand.insert(offset);
        if let Some(member) = state.members.iter_mut().find(|member| member.client_id == *client_id) {
            member.in_hand += 1;
        }
    }

    /// The member's connection is gone; its session stays.
    pub(crate) fn depart(&self, client_id: &str) {
        let mut state = self.state.lock();
        if let Some(member) = state.members.iter_mut().find(|member| *member.client_id == *client_id) {
            member.connection = None;
        }
    }

    /// A member has done with a message.
    pub(crate) fn done(&self, client_id: &str, offset: Offset) {
        let mut state = self.state.lock();
        state.in_hand.remove(&offset);
        state.refusals.remove(&offset);
        state.relieve(client_id, 1);
        drop(state);
        self.wake.notify_one();
    }

    /// A member gives messages back that it has not sent.
    pub(crate) fn give_back(&self, client_id: &str, messages: Vec<Arc<Message>>) {
        let mut state = self.state.lock();
        state.relieve(client_id, messages.len());
        for message in messages {
            state.in_hand.remove(&message.offset);
            state.refusals.remove(&message.offset);
            state.returned.push_back(message.into());
        }
        drop(state);
        self.wake.notify_one();
    }

    /// A member cannot take a message, whatever happens: it is too large for it.
    pub(crate) fn refuse(&self, client_id: &Arc<str>, message: Arc<Message>) {
        let mut state = self.state.lock();
        state.relieve(client_id, 1);
        state.in_hand.remove(&message.offset);
        let mut refused_by = state.refusals.remove(&message.offset).unwrap_or_default();
        refused_by.push(client_id.clone());
        state.returned.push_back(Card { message, refused_by, is_new: false });
        drop(state);
        self.wake.notify_one();
    }

    /// A session has ended with messages that the client never acknowledged.
    pub(crate) fn give_back_unread(&self, client_id: &str, topic: TopicName, offset: Offset) {
        let mut state = self.state.lock();
        state.relieve(client_id, 1);
        state.in_hand.remove(&offset);
        state.forgotten.push((topic, offset));
        drop(state);
        self.wake.notify_one();
    }

    fn remove(&self, client_id: &str) -> bool {
        let mut state = self.state.lock();
        state.members.retain(|member| *member.client_id != *client_id);
        let is_empty = state.members.is_empty();
        drop(state);
        self.wake.notify_one();
        is_empty
    }

    /// Up to where nothing would be missed should it be read again.
    fn low_water(&self) -> Offset {
        let state = self.state.lock();
        let returned = state.returned.iter().map(|card| card.message.offset);
        let forgotten = state.forgotten.iter().map(|(_, offset)| *offset);
        let open = state.in_hand.first().copied().into_iter().chain(returned).chain(forgotten);
        open.map(|offset| offset - 1).chain([state.dealt]).min().unwrap_or(0)
    }
}

impl Members {
    fn relieve(&mut self, client_id: &str, count: usize) {
        if let Some(member) = self.members.iter_mut().find(|member| *member.client_id == *client_id) {
            member.in_hand = member.in_hand.saturating_sub(count);
        }
    }

    /// The next member in turn that is there and has room.
    fn pick(&mut self, refused_by: &[Arc<str>]) -> Option<(Arc<str>, ConnectionId)> {
        for step in 0..self.members.len() {
            let place = (self.next + step) % self.members.len();
            let member = &mut self.members[place];
            if let Some(connection) = member.connection
                && member.in_hand < IN_HAND_MAX
                && !refused_by.contains(&member.client_id)
            {
                member.in_hand += 1;
                self.next = place + 1;
                return Some((member.client_id.clone(), connection));
            }
        }
        None
    }

    fn has_durable(&self) -> bool {
        self.members.iter().any(|member| member.is_durable)
    }

    /// Nobody is left who might take it.
    fn is_refused(&self, refused_by: &[Arc<str>]) -> bool {
        !refused_by.is_empty() && self.members.iter().all(|member| refused_by.contains(&member.client_id))
    }

    fn has_connected(&self) -> bool {
        self.members.iter().any(|member| member.connection.is_some())
    }
}

type Key = (Box<str>, Filter);

/// All groups of the door.
#[derive(Default)]
pub(crate) struct Groups {
    groups: Mutex<HashMap<Key, Share, foldhash::fast::RandomState>>,
}

impl Groups {
    /// Makes a client a member of the group of this name and filter, which is begun where there is
    /// none: from now on, or from `since`.
    pub(crate) fn join(
        &self,
        hub: &Arc<Hub>,
        (name, filter): (&str, &Filter),
        since: Option<Position>,
        client_id: &Arc<str>,
        connection: Option<ConnectionId>,
        is_durable: bool,
    ) -> Share {
        let mut groups = self.groups.lock();
        let key = (Box::from(name), filter.clone());
        if let Some(share) = groups.get(&key) {
            share.join(client_id, connection, is_durable);
            return share.clone();
        }
        let share = Arc::new(Group::new(name, filter.clone()));
        share.join(client_id, connection, is_durable);
        groups.insert(key, share.clone());
        let since = since.map_or(Since::Now, Since::After);
        let (hub, dealing) = (hub.clone(), share.clone());
        // Subscribed before the SUBACK leaves: what is published after it is for the group.
        match listen(&hub, &share, since) {
            Some(listening) => drop(hub.gateway().tasks.spawn(deal(hub.clone(), dealing, listening))),
            None => tracing::warn!(group = ?share, "too many readers; a shared subscription gets nothing"),
        }
        share
    }

    /// A session is no member any more.
    pub(crate) fn leave(&self, hub: &Hub, share: &Share, client_id: &str) {
        let mut groups = self.groups.lock();
        if share.remove(client_id) {
            groups.remove(&(share.name.clone(), share.filter.clone()));
            hub.ledger().forget_group(&share.name, share.filter.as_str());
        }
    }
}

fn listen(hub: &Hub, share: &Group, since: Since) -> Option<Listening> {
    let everybody = Arc::new(Principal::anonymous(fanfare_core::Grant::everything()));
    let filters = vec![share.filter.clone()];
    let listening = hub.gateway().listen(&everybody, hub.space(), filters, since).ok()?;
    share.state.lock().dealt = listening.position.offset;
    Some(listening)
}

/// Deals out what a group reads, for as long as it has members.
async fn deal(hub: Arc<Hub>, share: Share, mut listening: Listening) {
    let mut bookmark = Bookmark { offset: 0, written_at: 0 };
    while let Some(card) = next(&hub, &share, &mut listening, &mut bookmark).await {
        let offset = card.message.offset;
        if !hand_out(&hub, &share, card).await {
            return;
        }
        let mut state = share.state.lock();
        state.dealt = state.dealt.max(offset);
        drop(state);
        if hub.now() >= bookmark.written_at + RECORD_MS {
            bookmark.write(&hub, &share, listening.seen().epoch);
        }
    }
    // The server stops: what was acknowledged until now is not dealt again.
    bookmark.write(&hub, &share, listening.seen().epoch);
}

/// How far a group has come, as its record says.
struct Bookmark {
    offset: Offset,
    written_at: Millis,
}

impl Bookmark {
    /// How far the group has come, if that is worth writing down.
    fn news(&self, share: &Group) -> Option<Offset> {
        let is_durable = share.state.lock().has_durable();
        Some(share.low_water()).filter(|low_water| is_durable && *low_water > self.offset)
    }

    /// Waits until there are news and it is time for them.
    async fn due(&self, hub: &Hub, share: &Group) {
        if self.news(share).is_none() {
            return std::future::pending().await;
        }
        let wait_ms = (self.written_at + RECORD_MS).saturating_sub(hub.now());
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }

    fn write(&mut self, hub: &Hub, share: &Group, epoch: u64) {
        let Some(offset) = self.news(share) else { return };
        (self.offset, self.written_at) = (offset, hub.now());
        hub.ledger().put_group(&share.name, share.filter.as_str(), Position { epoch, offset });
    }
}

/// The next message to deal out; `None` when the group is over.
async fn next(hub: &Hub, share: &Group, listening: &mut Listening, bookmark: &mut Bookmark) -> Option<Card> {
    loop {
        let forgotten = {
            let mut state = share.state.lock();
            if state.members.is_empty() {
                return None;
            }
            if let Some(card) = state.returned.pop_front() {
                return Some(card);
            }
            std::mem::take(&mut state.forgotten)
        };
        if !forgotten.is_empty() {
            match hub.recall(forgotten.clone()).await {
                Some(found) => share.state.lock().returned.extend(found.into_iter().flatten().map(Card::from)),
                None => {
                    share.state.lock().forgotten.extend(forgotten);
                    tokio::time::sleep(RECALL_PAUSE).await;
                }
            }
            continue;
        }
        tokio::select! {
            item = listening.next() => match item {
                StreamItem::Message(message) => return Some(Card { is_new: true, ..message.into() }),
                StreamItem::Retained(_) => {}
                StreamItem::Gap(position) => {
                    tracing::warn!(group = ?share, %position, "messages were trimmed before the group read them");
                    hub.count_limit("mqtt_group_gap");
                }
                StreamItem::End(_) => return None,
            },
            () = share.wake.notified() => {}
            () = bookmark.due(hub, share) => bookmark.write(hub, share, listening.seen().epoch),
        }
    }
}

/// Gives a message to a member, when there is one with room. `false` when the group is over.
async fn hand_out(hub: &Hub, share: &Share, card: Card) -> bool {
    let Card { message, refused_by, is_new } = card;
    loop {
        let woken = share.wake.notified();
        {
            let mut state = share.state.lock();
            if state.members.is_empty() {
                return false;
            }
            // At a start the group reads while sessions are still being found, but nobody is connected then.
            if is_new && state.has_connected() && state.claimed.remove(&message.offset) {
                return true;
            }
            if message.is_expired(hub.now()) || state.is_refused(&refused_by) {
                return true;
            }
            if let Some((client_id, connection)) = state.pick(&refused_by) {
                state.in_hand.insert(message.offset);
                if !refused_by.is_empty() {
                    state.refusals.insert(message.offset, refused_by);
                }
                drop(state);
                let dealt = Dealt { share: share.clone(), client_id, message: Some(message) };
                hub.gateway().tell(connection, Box::new(dealt));
                return true;
            }
            // Quality 0 waits for nobody who is away.
            if message.guarantee == Guarantee::AtMostOnce && !state.has_connected() {
                return true;
            }
        }
        woken.await;
    }
}

#[cfg(test)]
mod tests;
