//! What a session may do when it is told something.

use std::any::Any;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::{
    Action, Filter, Joined, Message, Millis, Offset, Position, Principal, Publication, Published, Refusal, Since,
    Subscriber, TopicName,
};

use fanfare_websocket::MessageKind;

use crate::address::ConnectionId;
use crate::connection::{CatchUp, Subscription};
use crate::contract::{Goodbye, Outgoing, Reply, Shape, Ticket};
use crate::fanout::Framing;
use crate::gateway::Gateway;
use crate::inbox::Command;
use crate::shard::{Decision, Due, Shard};

/// One happening's worth of access to the shard, the core and the own connection.
pub struct Turn<'a> {
    pub(crate) shard: &'a mut Shard,
    pub(crate) slot: u32,
}

/// A subscription as a door asks for it.
#[derive(Clone, Debug)]
pub struct SubscribeRequest {
    /// Space of the topics.
    pub space: Arc<str>,
    /// Topic or pattern.
    pub filter: Filter,
    /// Where to begin.
    pub since: Since,
    /// Deliver changes of presence too.
    pub wants_presence: bool,
    /// Tell the session each message ([`crate::Happening::Delivery`]) instead of encoding it.
    pub is_tracked: bool,
}

/// A subscription that stands. Hand `replay` to [`Turn::begin`] once the reply is sent, and before
/// the happening is dealt with: live messages for the connection wait for it.
#[derive(Debug)]
pub struct Subscribed {
    /// Number of the subscription on this connection.
    pub id: u16,
    /// Where the log of the space stands.
    pub position: Position,
    /// Whether everything since the asked position follows; `None` when nothing was asked.
    pub recovered: Option<bool>,
    /// What follows first.
    pub replay: Replay,
}

/// Messages that a new subscription is owed.
#[derive(Debug)]
#[must_use = "messages of the past are lost when the replay does not begin"]
pub struct Replay {
    subscription: u16,
    retained: Vec<Arc<Message>>,
    messages: Vec<Arc<Message>>,
    behind: Option<Offset>,
}

impl Replay {
    /// Leaves out retained messages.
    pub fn without_retained(mut self) -> Self {
        self.retained.clear();
        self
    }
}

impl Turn<'_> {
    /// Now, as the shard sees it.
    pub fn now(&self) -> Millis {
        self.shard.now
    }

    /// The connection's id.
    pub fn connection(&self) -> ConnectionId {
        self.shard.id_of(self.slot)
    }

    /// The peer's address.
    pub fn peer(&self) -> SocketAddr {
        self.shard.connection(self.slot).peer
    }

    /// Who the connection speaks for.
    pub fn principal(&self) -> Arc<Principal> {
        self.shard.connection(self.slot).principal.clone()
    }

    /// Everything that is shared by all connections.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.shard.gateway
    }

    /// Sends one WebSocket message, or bytes of a stream, unless `write` appends nothing. Leaves
    /// with the turn.
    pub fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let framing = self.shard.fanout.key_of(self.slot).framing;
        self.shard.fanout.send(self.slot, framing, 0, |out| {
            write(out);
            None
        });
    }

    /// Sends one WebSocket message, which may be empty, of a kind that differs from what the mount
    /// sends otherwise.
    pub fn send_as(&mut self, kind: MessageKind, write: impl FnOnce(&mut Vec<u8>)) {
        let framing = match self.shard.fanout.key_of(self.slot).framing {
            Framing::Stream => Framing::Stream,
            Framing::WebSocket(_) => Framing::WebSocket(kind),
            Framing::Fragmented(_, bytes) => Framing::Fragmented(kind, bytes),
            Framing::Deflated(_) => Framing::Deflated(kind),
        };
        self.shard.fanout.send_message(self.slot, framing, write);
    }

    /// Chooses how messages are encoded for this connection from now on.
    pub fn set_shape(&mut self, shape: Shape) {
        let mut key = self.shard.fanout.key_of(self.slot);
        key.shape = shape;
        self.shard.fanout.set_shape(self.slot, key);
    }

    /// How many of the bytes of [`crate::Happening::Bytes`] are used up. The rest, at most
    /// `limits.message_bytes`, comes again with what follows.
    pub fn consumed(&mut self, count: usize) {
        self.shard.consumed = count;
    }

    /// The session left bytes unused because it had to wait for something else, such as an answer.
    /// They come again before the turn ends, whether or not the peer sends more.
    pub fn read_again(&mut self) {
        let generation = self.shard.generation_of(self.slot);
        self.shard.rereads.push((self.slot, generation));
    }

    /// Takes no more bytes of the peer until [`Turn::take_input`]: its socket is not read, and the
    /// peer's own sending comes to a stop. What was read already waits as the session left it.
    pub fn hold_input(&mut self) {
        self.shard.connection_mut(self.slot).is_held = true;
    }

    /// Goes on with what [`Turn::hold_input`] has held up.
    pub fn take_input(&mut self) {
        if std::mem::take(&mut self.shard.connection_mut(self.slot).is_held) {
            self.shard.ready.push(self.slot);
            self.read_again();
        }
    }

    /// Tells the session [`crate::Happening::Clear`] once what it sent has left: in the next turn,
    /// or when a slow peer has taken what waits for it.
    pub fn tell_when_clear(&mut self) {
        self.shard.connection_mut(self.slot).extras().awaits_clear = true;
        self.shard.clearing.push(self.slot);
    }

    /// Bytes that were sent and that the peer has not taken yet, with those of this turn.
    pub fn waiting_bytes(&self) -> usize {
        let backlog = self.shard.connection(self.slot).backlog.as_ref().map_or(0, |backlog| backlog.bytes());
        backlog + self.shard.fanout.bytes_for(self.slot)
    }

    /// When something was last heard of the peer, be it a ping.
    pub fn heard_at(&self) -> Millis {
        self.shard.connection(self.slot).heard_at
    }

    /// When data was last written to the peer.
    pub fn sent_at(&self) -> Millis {
        self.shard.connection(self.slot).sent_at
    }

    /// Puts the connection in a group of its door, for [`Gateway::send_to_group`]. Each connection
    /// is in one, at first in group 0.
    pub fn set_group(&mut self, group: u16) {
        self.shard.connection_mut(self.slot).group = group;
    }

    /// Code and reason for the close frame, where those that go with the goodbye do not fit the
    /// protocol. Counts while the session is told [`crate::Happening::Goodbye`].
    pub fn say_close(&mut self, code: u16, reason: &str) {
        self.shard.closing_words = Some((code, reason.to_owned()));
    }

    /// For a session that is told [`Goodbye::ShuttingDown`]: it has something to finish, and closes
    /// the connection itself then. When the time of the drain is over, it is told goodbye once more.
    pub fn stay(&mut self) {
        self.shard.wants_to_stay = true;
    }

    /// Something that was sent waits for a slow peer.
    pub fn has_backlog(&self) -> bool {
        self.shard.connection(self.slot).backlog.is_some()
    }

    /// Sends a message as the session has encoded it, and counts it. `may_drop` allows the rule for
    /// slow consumers to leave it out.
    pub fn deliver(&mut self, message: &Message, may_drop: bool, write: impl FnOnce(&mut Vec<u8>)) {
        self.shard.deliver_encoded(self.slot, message, may_drop, write);
    }

    /// From now on the session is told each message of this subscription.
    pub fn track(&mut self, id: u16) {
        self.shard.track(self.slot, id);
    }

    /// Accepts an upgrade that was left pending.
    pub fn accept(&mut self) {
        self.decide(Decision::Accept(None));
    }

    /// Accepts an upgrade that was left pending, with a subprotocol that the client has offered.
    pub fn accept_as(&mut self, subprotocol: Option<String>) {
        self.decide(Decision::Accept(subprotocol));
    }

    fn decide(&mut self, decision: Decision) {
        self.shard.decided.push((self.slot, self.shard.generation_of(self.slot), decision));
    }

    /// Refuses an upgrade that was left pending.
    pub fn refuse(&mut self, status: u16, headers: &[(&'static str, String)], body: &[u8]) {
        let response = crate::greeting::response(status, headers, body);
        self.decide(Decision::Refuse(response));
    }

    /// The connection speaks for somebody else from now on. Subscriptions that the new grant does
    /// not cover end, and the session is told of each.
    pub fn set_principal(&mut self, principal: Arc<Principal>) {
        self.shard.set_principal(self.slot, principal);
    }

    /// Subscribes the connection. An earlier subscription to the same filter is replaced.
    ///
    /// # Errors
    /// The grant, the limits, or the space refuse it.
    pub fn subscribe(&mut self, request: SubscribeRequest) -> Result<Subscribed, Refusal> {
        let limits = self.shard.limits.clone();
        if request.filter.as_str().len() > limits.topic_bytes {
            return Err(Refusal::InvalidFilter { reason: "it is longer than limits.topic_bytes" });
        }
        let replaced = self.shard.connection(self.slot).find(&request.space, &request.filter);
        let count = self.shard.connection(self.slot).subscriptions.len();
        if replaced.is_none() && count >= limits.subscriptions {
            self.shard.gateway.metrics.limit("subscriptions");
            return Err(Refusal::TooManySubscriptions { limit: limits.subscriptions });
        }
        let principal = self.principal();
        if request.wants_presence {
            if let Some(topic) = request.filter.as_topic() {
                principal.grant.require(Action::Presence, &request.space, &topic)?;
            } else {
                principal.grant.require_filter(Action::Presence, &request.space, &request.filter)?;
            }
        }
        let joined = self.shard.join(&principal, &request.space, &request.filter, request.since)?;
        if let Some(id) = replaced {
            self.shard.drop_subscription(self.slot, id, true);
        }
        self.shard.owe(self.slot);
        Ok(self.note(request, joined, replaced))
    }

    /// A subscription that takes another's place has its number: messages that are on their way to
    /// the session under it are still for it.
    fn note(&mut self, request: SubscribeRequest, joined: Joined, replaced: Option<u16>) -> Subscribed {
        let connection = self.shard.connection_mut(self.slot);
        let id = replaced.unwrap_or_else(|| connection.free_subscription());
        let is_live = joined.behind.is_none();
        connection.subscriptions.push(Subscription {
            space: request.space.clone(),
            filter: request.filter.clone(),
            id,
            wants_presence: request.wants_presence,
            is_tracked: request.is_tracked,
            is_live,
        });
        let door = connection.door;
        if is_live {
            let subscriber = Subscriber {
                connection: self.slot,
                subscription: id,
                wants_presence: request.wants_presence,
                is_tracked: request.is_tracked,
            };
            self.shard.roster.add(&request.space, &request.filter, subscriber);
        }
        self.shard.count_operation(&request.space, door);
        let Joined { position, recovered, messages, retained, behind } = joined;
        Subscribed { id, position, recovered, replay: Replay { subscription: id, retained, messages, behind } }
    }

    /// Sends what a new subscription is owed, and lets it catch up if that is more than a little.
    pub fn begin(&mut self, replay: Replay) {
        let slot = self.slot;
        for message in &replay.retained {
            self.shard.send_outgoing(slot, replay.subscription, Outgoing::Retained(message), message);
        }
        for message in &replay.messages {
            self.shard.send_outgoing(slot, replay.subscription, Outgoing::Message(message), message);
        }
        if let Some(after) = replay.behind {
            let catch_up =
                CatchUp { subscription: replay.subscription, after, is_from_beginning: after == 0, is_reading: false };
            self.shard.connection_mut(slot).extras().catch_ups.push_back(catch_up);
            self.shard.catching.push(slot);
        }
        self.shard.repay();
    }

    /// Ends a subscription. `false` when there was none.
    pub fn unsubscribe(&mut self, space: &Arc<str>, filter: &Filter) -> bool {
        let connection = self.shard.connection(self.slot);
        let Some(id) = connection.find(space, filter) else { return false };
        let door = connection.door;
        self.shard.drop_subscription(self.slot, id, false);
        self.shard.count_operation(space, door);
        true
    }

    /// The filter of one of the connection's subscriptions, and its space.
    pub fn subscription(&self, id: u16) -> Option<(Arc<str>, Filter)> {
        let found = self.shard.connection(self.slot).subscriptions.iter().find(|s| s.id == id)?;
        Some((found.space.clone(), found.filter.clone()))
    }

    /// Publishes. With a ticket, and when the answer says that the commit is awaited, the session
    /// hears [`Reply::Committed`] under that ticket.
    ///
    /// # Errors
    /// Every refusal of [`fanfare_core::Core::publish`], and the connection's own rate.
    pub fn publish(&mut self, publication: Publication, ticket: Option<Ticket>) -> Result<Published, Refusal> {
        self.shard.publish(self.slot, publication, ticket)
    }

    /// For what is to be kept beside messages: the session hears [`Reply::Committed`] under this
    /// ticket when it is on disk.
    pub fn on_commit(&mut self, ticket: Ticket) -> fanfare_core::Done {
        let (inbox, connection) = (self.shard.inbox.clone(), self.connection());
        Box::new(move |result| {
            inbox.command(Command::Answer { connection, ticket, reply: Reply::Committed(result) });
        })
    }

    /// The connection is on a topic, under its principal's subject or its own id.
    ///
    /// # Errors
    /// The grant does not cover it, or the topic is full.
    pub fn enter(&mut self, space: &Arc<str>, topic: &TopicName, data: Bytes) -> Result<(), Refusal> {
        let (principal, now) = (self.principal(), self.now());
        let member = self.member();
        let known = (space.clone(), topic.clone());
        let gateway = self.shard.gateway.clone();
        let is_in = self.shard.connection_mut(self.slot).extras().presences.contains(&known);
        if is_in {
            return gateway.core.update_member(&principal, space, topic, &member, data, now);
        }
        let limit = self.shard.limits.subscriptions;
        if self.shard.connection_mut(self.slot).extras().presences.len() >= limit {
            return Err(Refusal::TooManySubscriptions { limit });
        }
        gateway.core.enter(&principal, space, topic, &member, data, now)?;
        self.shard.connection_mut(self.slot).extras().presences.push(known);
        Ok(())
    }

    /// The connection says something else of itself on a topic that it has entered.
    ///
    /// # Errors
    /// The grant does not cover it.
    pub fn update_presence(&mut self, space: &Arc<str>, topic: &TopicName, data: Bytes) -> Result<(), Refusal> {
        let member = self.member();
        self.shard.gateway.core.update_member(&self.principal(), space, topic, &member, data, self.now())
    }

    /// The connection leaves a topic. `false` when it was not there.
    pub fn exit(&mut self, space: &Arc<str>, topic: &TopicName) -> bool {
        let (member, now) = (self.member(), self.now());
        let known = (space.clone(), topic.clone());
        let presences = &mut self.shard.connection_mut(self.slot).extras().presences;
        let Some(index) = presences.iter().position(|p| *p == known) else { return false };
        presences.swap_remove(index);
        self.shard.gateway.core.withdraw(space, topic, &member, now);
        true
    }

    fn member(&mut self) -> Arc<str> {
        let own_id = self.connection().text(&self.shard.gateway.node);
        let connection = self.shard.connection_mut(self.slot);
        let subject = connection.principal.subject.clone();
        connection.extras().member.get_or_insert_with(|| subject.unwrap_or_else(|| own_id.into())).clone()
    }

    /// Runs a future on the tasks beside the shards; its value comes back as
    /// [`Reply::Value`] under the ticket.
    ///
    /// # Errors
    /// The connection has as many under way as `limits.errands` allows.
    pub fn ask<T: Any + Send>(
        &mut self,
        ticket: Ticket,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<(), Refusal> {
        let limit = self.shard.limits.errands;
        let connection = self.connection();
        let errands = &mut self.shard.connection_mut(self.slot).extras().errands;
        if *errands >= limit {
            self.shard.gateway.metrics.limit("errands");
            return Err(Refusal::Overloaded);
        }
        *errands += 1;
        let inbox = self.shard.inbox.clone();
        let task = self.shard.gateway.tasks.spawn(future);
        self.shard.gateway.tasks.spawn(async move {
            let reply = match task.await {
                Ok(value) => Reply::Value(Box::new(value)),
                Err(_) => Reply::Lost,
            };
            inbox.command(Command::Answer { connection, ticket, reply });
        });
        Ok(())
    }

    /// Tells the session [`crate::Happening::Timer`] with this number after `after_ms`, up to 100 ms late.
    /// Timers are not taken back; a session ignores those that it no longer cares for.
    pub fn set_timer(&mut self, timer: u32, after_ms: u64) {
        let generation = self.shard.generation_of(self.slot);
        let at = self.shard.now + after_ms;
        self.shard.wheel.add(at, Due::session(self.slot, generation, timer));
    }

    /// Ends the connection: the session is told [`crate::Happening::Goodbye`] and may say its last,
    /// what waits is sent, then the link is closed.
    pub fn close(&mut self, goodbye: Goodbye) {
        let generation = self.shard.generation_of(self.slot);
        self.shard.endings.push((self.slot, generation, goodbye));
    }

    /// Counts one refusal for the metrics.
    pub fn count_refusal(&mut self, code: &'static str) {
        let connection = self.shard.connection(self.slot);
        let door = self.shard.gateway.doors[connection.door as usize].name();
        self.shard.gateway.metrics.refusal(door, code);
    }
}
