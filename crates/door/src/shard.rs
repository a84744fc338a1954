//! One thread with its event loop, and the connections that it owns.
//!
//! A turn: wait for the kernel; tell sessions what their sockets brought; hand out what other
//! threads queued; fire timers; and at the end write once to every connection that gets something.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fanfare_core::{
    Delivery, Filter, Joined, Message, Millis, Principal, Publication, Published, Refusal, Roster, ShardId, Since,
    Subscriber,
};
use fanfare_telemetry::{Meter, MeterDesk};
use hashbrown::HashMap;
use mio::{Events, Poll, Token};

use crate::address::ConnectionId;
use crate::connection::Connection;
use crate::contract::{Goodbye, Happening, Outgoing, Reply, Ticket};
use crate::fanout::Fanout;
use crate::gateway::Gateway;
use crate::inbox::{Command, ShardInbox};
use crate::limits::DriverLimits;
use crate::shard::tracking::Tracked;
use crate::turn::Turn;
use crate::wheel::Wheel;

mod catchup;
mod flush;
mod life;
mod reading;
mod tracking;
mod upgrading;

/// The waker's token; slots of connections are all below it.
pub(crate) const WAKER: Token = Token(usize::MAX);

/// How many kernel events one turn takes.
const EVENTS_PER_TURN: usize = 1_024;
/// How many deliveries of others one turn hands out before sockets have their turn again.
const DELIVERIES_PER_TURN: usize = 1_024;
const COMMANDS_PER_TURN: usize = 4_096;
/// Encoded bytes after which a turn writes before it goes on.
const FLUSH_BYTES: usize = 512 << 10;
/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;
/// How often counts are posted where others can read them.
const POST_MS: u64 = 200;
/// The latency of one message in this many is measured.
const SAMPLED_DELIVERIES: u64 = 64;
/// One turn in this many is timed for the metrics.
const TIMED_TURNS: u64 = 64;

/// A thread's event loop and its connections.
pub(crate) struct Shard {
    pub(crate) id: ShardId,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) limits: Arc<DriverLimits>,
    pub(crate) inbox: Arc<ShardInbox>,
    pub(crate) roster: Roster,
    pub(crate) fanout: Fanout,
    pub(crate) wheel: Wheel<Due>,
    pub(crate) now: Millis,
    poll: Poll,
    slots: Vec<Slot>,
    free: Vec<u32>,
    subjects: HashMap<Arc<str>, Vec<u32>, foldhash::fast::RandomState>,
    meter: Meter,
    desk: MeterDesk,
    posted_at: Millis,
    turns: u64,
    /// Messages handed out so far, and those of them whose latency this turn's end will tell.
    deliveries: u64,
    samples: Vec<(Arc<str>, &'static str, Millis)>,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
    /// Connections whose last read filled the buffer: there is more.
    pub(crate) ready: Vec<u32>,
    /// Subscriptions that may have more to catch up with.
    pub(crate) catching: Vec<u32>,
    /// Connections to end before the turn does.
    pub(crate) endings: Vec<(u32, u32, Goodbye)>,
    /// Pending upgrades that a door has decided.
    pub(crate) decided: Vec<(u32, u32, Decision)>,
    /// What the session that is told goodbye wants to say in the close frame.
    pub(crate) closing_words: Option<(u16, String)>,
    /// The session that is told goodbye still has something to do.
    pub(crate) wants_to_stay: bool,
    tracked: Vec<Tracked>,
    /// Connections whose sessions want to hear when what they sent has left.
    pub(crate) clearing: Vec<u32>,
    /// Subscriptions that a narrower grant ends.
    pub(crate) ended_subscriptions: Vec<(u32, u32, u16)>,
    /// Connections whose last byte was written.
    destroy_later: Vec<(u32, u32)>,
    /// What the session says it used of a stream's bytes.
    pub(crate) consumed: usize,
    /// Sessions that go on with the bytes that they have left.
    pub(crate) rereads: Vec<(u32, u32)>,
    owed: Owed,
    drain: Option<life::Drain>,
    is_stopped: bool,
}

/// What a door says about a pending upgrade.
pub(crate) enum Decision {
    /// Yes, with this subprotocol where the mount names none.
    Accept(Option<String>),
    /// No: the whole response.
    Refuse(Vec<u8>),
}

struct Slot {
    generation: u32,
    connection: Option<Box<Connection>>,
}

/// What comes for a connection between its subscriptions and their replays. A request may ask for
/// several subscriptions and is answered once; joining the later ones hands out messages that the
/// earlier ones match, and those must follow the answer and everything older.
#[derive(Default)]
struct Owed {
    slot: u32,
    /// Subscriptions whose replay has not begun.
    replays: usize,
    messages: Vec<(u16, Arc<Message>)>,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    slot: u32,
    generation: u32,
    what: DueWhat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DueWhat {
    /// Is anything heard from the peer?
    Liveness,
    /// The greeting, a pending upgrade or the last words must be over.
    Deadline,
    /// The principal's time may be over.
    Expiry,
    /// The backlog must have moved.
    Backlog,
    Session(u32),
}

impl Due {
    pub(crate) fn session(slot: u32, generation: u32, timer: u32) -> Self {
        Self { slot, generation, what: DueWhat::Session(timer) }
    }
}

/// What operators see of a connection.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ConnectionSummary {
    /// Its id.
    pub id: String,
    /// The door it came through.
    pub door: &'static str,
    /// Who it speaks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Where from.
    pub peer: SocketAddr,
    /// Since when, in milliseconds since the Unix epoch.
    pub opened_at: Millis,
    /// When it was last heard.
    pub heard_at: Millis,
    /// Space and filter of its subscriptions, at most 100.
    pub subscriptions: Vec<String>,
    /// How many there are.
    pub subscription_count: usize,
    /// Bytes that wait for it.
    pub outbox_bytes: usize,
}

impl Shard {
    pub(crate) fn new(id: ShardId, gateway: Arc<Gateway>, poll: Poll, inbox: Arc<ShardInbox>, desk: MeterDesk) -> Self {
        let now = gateway.clock.now();
        Self {
            id,
            limits: gateway.limits(),
            gateway,
            inbox,
            roster: Roster::default(),
            fanout: Fanout::new(),
            wheel: Wheel::new(now),
            now,
            poll,
            slots: Vec::new(),
            free: Vec::new(),
            subjects: HashMap::default(),
            meter: Meter::default(),
            desk,
            posted_at: now,
            turns: 0,
            deliveries: 0,
            samples: Vec::new(),
            buffer: vec![0; READ_BYTES],
            scratch: Vec::new(),
            ready: Vec::new(),
            catching: Vec::new(),
            endings: Vec::new(),
            decided: Vec::new(),
            closing_words: None,
            wants_to_stay: false,
            tracked: Vec::new(),
            clearing: Vec::new(),
            ended_subscriptions: Vec::new(),
            destroy_later: Vec::new(),
            consumed: 0,
            rereads: Vec::new(),
            owed: Owed::default(),
            drain: None,
            is_stopped: false,
        }
    }

    /// Runs until it is told to stop.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let (mut due, mut commands, mut ready) = (Vec::new(), Vec::new(), Vec::new());
        while !self.is_stopped {
            let is_idle = self.ready.is_empty() && self.catching.is_empty() && self.clearing.is_empty();
            let may_sleep = is_idle && self.inbox.may_sleep();
            let timeout = if may_sleep { self.sleep() } else { Some(Duration::ZERO) };
            if let Err(error) = self.poll.poll(&mut events, timeout)
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(shard = self.id, %error, "waiting for the kernel failed; this shard stops");
                break;
            }
            self.inbox.woke();
            self.now = self.gateway.clock.now();
            let began = self.turns.is_multiple_of(TIMED_TURNS).then(Instant::now);
            self.turns += 1;
            for event in events.iter().filter(|event| event.token() != WAKER) {
                self.on_event(event.token().0 as u32, event);
                self.flush_if_much();
            }
            std::mem::swap(&mut ready, &mut self.ready);
            for slot in ready.drain(..) {
                self.on_readable(slot, false);
                self.flush_if_much();
            }
            self.hand_out(DELIVERIES_PER_TURN);
            self.obey(&mut commands);
            self.wheel.fire(self.now, &mut due);
            for due in due.drain(..) {
                self.on_due(due);
            }
            self.go_on_draining();
            self.settle();
            self.flush();
            self.catch_up();
            self.tell_clear();
            self.settle();
            self.flush();
            self.destroy_finished();
            self.post_counts(false);
            self.tell_latencies();
            if let Some(began) = began {
                self.gateway.metrics.observe_turn(began.elapsed().as_secs_f64());
            }
        }
        self.stop();
    }

    fn sleep(&self) -> Option<Duration> {
        let timer = self.wheel.sleep_ms(self.now);
        let post = (self.posted_at + POST_MS).saturating_sub(self.now);
        let drain = self.drain.as_ref().map(|_| 50);
        let counts = self.meter.is_changed().then_some(post.max(1));
        [timer, drain, counts].into_iter().flatten().min().map(Duration::from_millis)
    }

    fn flush_if_much(&mut self) {
        if self.fanout.bytes() > FLUSH_BYTES {
            self.write_out();
        }
    }

    /// Ends what is to end, and tells sessions what was put aside for them, until nothing is left.
    fn settle(&mut self) {
        for _ in 0..64 {
            let has_endings = !self.endings.is_empty() || !self.ended_subscriptions.is_empty();
            if self.tracked.is_empty() && self.decided.is_empty() && self.rereads.is_empty() && !has_endings {
                break;
            }
            self.tell_tracked();
            for (slot, generation, decision) in std::mem::take(&mut self.decided) {
                if self.generation_of(slot) == generation {
                    self.conclude_upgrade(slot, decision);
                }
            }
            for (slot, generation) in std::mem::take(&mut self.rereads) {
                if self.generation_of(slot) == generation {
                    self.read_again(slot);
                }
            }
            for (slot, generation, goodbye) in std::mem::take(&mut self.endings) {
                if self.generation_of(slot) == generation {
                    self.end(slot, goodbye);
                }
            }
            for (slot, generation, id) in std::mem::take(&mut self.ended_subscriptions) {
                if self.generation_of(slot) == generation {
                    self.tell_open(slot, Happening::Unsubscribed { subscription: id });
                    if self.slots[slot as usize].connection.is_some() {
                        self.drop_subscription(slot, id, false);
                    }
                }
            }
        }
    }

    fn destroy_finished(&mut self) {
        for (slot, generation) in std::mem::take(&mut self.destroy_later) {
            if self.generation_of(slot) == generation {
                self.destroy(slot);
            }
        }
    }

    /// Publishes for a connection and delivers to this shard's own subscribers.
    pub(crate) fn publish(
        &mut self,
        slot: u32,
        publication: Publication,
        ticket: Option<Ticket>,
    ) -> Result<Published, Refusal> {
        let limits = self.limits.clone();
        let now = self.now;
        let connection = self.connection_mut(slot);
        let rate = limits.publish_per_second;
        if let Err(retry_ms) = connection.bucket.take(rate, limits.publish_burst, now) {
            self.gateway.metrics.limit("publish_per_second");
            return Err(Refusal::RateLimited { limit: rate, retry_ms });
        }
        if publication.topic.len() > limits.topic_bytes {
            return Err(Refusal::InvalidTopic { reason: "it is longer than limits.topic_bytes" });
        }
        let (principal, door) = (connection.principal.clone(), connection.door);
        let (space, bytes) = (publication.space.clone(), publication.payload.len());
        let name = self.gateway.doors[door as usize].name();
        let done = ticket.map(|ticket| {
            let (inbox, connection) = (self.inbox.clone(), self.id_of(slot));
            let (metrics, space, began) = (self.gateway.metrics.clone(), space.clone(), Instant::now());
            let answer = move |result| {
                metrics.observe_commit(&space, name, began.elapsed().as_secs_f64());
                inbox.command(Command::Answer { connection, ticket, reply: Reply::Committed(result) });
            };
            Box::new(answer) as fanfare_core::Done
        });
        let published = self.gateway.core.publish(&principal, publication, Some(self.id), now, done);
        match &published {
            Ok(_) => self.meter.row(&space, name).published(bytes),
            Err(_) => self.meter.row(&space, name).refused += 1,
        }
        let published = published?;
        if let Some(message) = &published.deliver_here {
            self.fan_out(message);
        }
        Ok(published)
    }

    /// Hands a message to every subscriber of this shard: encoded once per shape, queued once per
    /// connection.
    fn fan_out(&mut self, message: &Arc<Message>) {
        let Self { roster, fanout, gateway, tracked, meter, owed, deliveries, samples, now, .. } = self;
        let now = *now;
        let doors = &gateway.doors;
        let owed_to = if owed.replays > 0 { owed.slot } else { u32::MAX };
        let topic = topic_hash(&message.topic);
        fanout.begin_delivery();
        let (first_tracked, mut groups) = (tracked.len(), 0);
        roster.for_each_match(&message.space, &message.topic, &mut |subscribers| {
            groups += 1;
            for subscriber in subscribers {
                if subscriber.connection == owed_to {
                    if subscriber.is_tracked || fanout.is_first_copy(owed_to) {
                        owed.messages.push((subscriber.subscription, message.clone()));
                    }
                } else if subscriber.is_tracked {
                    let Subscriber { connection: slot, subscription, .. } = *subscriber;
                    tracked.push(Tracked { slot, subscription, is_retained: false, message: message.clone() });
                } else if fanout.is_first_copy(subscriber.connection) {
                    fanout.deliver(subscriber.connection, topic, &mut |key, out| {
                        let (door, outgoing) = (&doors[key.door as usize], Outgoing::Message(message));
                        door.encode(outgoing, key.shape, now, out);
                        door.kind_of(outgoing, key.shape)
                    });
                }
            }
        });
        if groups > 1 {
            // A connection with several filters that match is told once.
            tracked[first_tracked..].sort_by_key(|tracked| tracked.slot);
        }
        let is_sampled = deliveries.is_multiple_of(SAMPLED_DELIVERIES);
        *deliveries += 1;
        for (door, copies, _) in fanout.delivered() {
            let door = doors[door as usize].name();
            meter.row(&message.space, door).delivered(message.payload.len(), copies);
            if is_sampled {
                samples.push((message.space.clone(), door, message.time));
            }
        }
        self.flush_if_much();
    }

    /// A subscription was made whose replay the session has yet to begin.
    pub(crate) fn owe(&mut self, slot: u32) {
        self.owed.slot = slot;
        self.owed.replays += 1;
    }

    /// A replay has begun. Behind the last one follows what has come meanwhile.
    pub(crate) fn repay(&mut self) {
        self.owed.replays = self.owed.replays.saturating_sub(1);
        if self.owed.replays == 0 {
            self.repay_all();
        }
    }

    fn repay_all(&mut self) {
        self.owed.replays = 0;
        let slot = self.owed.slot;
        for (subscription, message) in std::mem::take(&mut self.owed.messages) {
            if self.slots[slot as usize].connection.as_ref().is_some_and(|c| c.is_open()) {
                self.send_outgoing(slot, subscription, Outgoing::Message(&message), &message);
            }
        }
    }

    fn fan_out_presence(&mut self, event: &fanfare_core::PresenceEvent) {
        let Self { roster, fanout, gateway, now, .. } = self;
        let now = *now;
        let doors = &gateway.doors;
        fanout.begin_delivery();
        roster.for_each_match(&event.space, &event.topic, &mut |subscribers| {
            for subscriber in subscribers.iter().filter(|s| s.wants_presence) {
                if fanout.is_first_copy(subscriber.connection) {
                    fanout.deliver(subscriber.connection, 0, &mut |key, out| {
                        doors[key.door as usize].encode(Outgoing::Presence(event), key.shape, now, out);
                        None
                    });
                }
            }
        });
    }

    /// Hands out what other threads published, at most `max` deliveries.
    fn hand_out(&mut self, max: usize) {
        let mut deliveries = Vec::new();
        self.inbox.take_deliveries(max, &mut deliveries);
        for delivery in deliveries {
            match &delivery {
                Delivery::Message(message) => self.fan_out(message),
                Delivery::Presence(event) => self.fan_out_presence(event),
            }
            self.inbox.handed_out(&delivery);
        }
    }

    /// Sends one message of the past, or a retained one, to one connection.
    pub(crate) fn send_outgoing(
        &mut self,
        slot: u32,
        subscription: u16,
        outgoing: Outgoing<'_>,
        message: &Arc<Message>,
    ) {
        let connection = self.connection_mut(slot);
        let door = connection.door;
        if connection.subscription(subscription).is_some_and(|s| s.is_tracked) {
            let is_retained = matches!(outgoing, Outgoing::Retained(_));
            self.tracked.push(Tracked { slot, subscription, is_retained, message: message.clone() });
            return;
        }
        let (key, now) = (self.fanout.key_of(slot), self.now);
        let door = &self.gateway.doors[door as usize];
        self.fanout.send(slot, key.framing, topic_hash(&message.topic), |out| {
            door.encode(outgoing, key.shape, now, out);
            door.kind_of(outgoing, key.shape)
        });
        self.meter.row(&message.space, door.name()).delivered(message.payload.len(), 1);
    }

    /// Sends what a session has encoded of a message.
    pub(crate) fn deliver_encoded(
        &mut self,
        slot: u32,
        message: &Message,
        may_drop: bool,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let framing = self.fanout.key_of(slot).framing;
        let topic = if may_drop { topic_hash(&message.topic) } else { 0 };
        self.fanout.send(slot, framing, topic, |out| {
            write(out);
            None
        });
        let door = self.gateway.doors[self.connection(slot).door as usize].name();
        self.meter.row(&message.space, door).delivered(message.payload.len(), 1);
    }

    /// Hands a subscription's messages to its session from now on.
    pub(crate) fn track(&mut self, slot: u32, id: u16) {
        let Some(subscription) = self.connection_mut(slot).subscription(id) else { return };
        subscription.is_tracked = true;
        if !subscription.is_live {
            return;
        }
        let (space, filter) = (subscription.space.clone(), subscription.filter.clone());
        let wants_presence = subscription.wants_presence;
        let subscriber = Subscriber { connection: slot, subscription: id, wants_presence, is_tracked: true };
        self.roster.add(&space, &filter, subscriber);
    }

    /// [`fanfare_core::Core::join`] for this shard.
    pub(crate) fn join(
        &mut self,
        principal: &Principal,
        space: &Arc<str>,
        filter: &Filter,
        since: Since,
    ) -> Result<Joined, Refusal> {
        let (gateway, id) = (self.gateway.clone(), self.id);
        gateway.core.join(principal, space, filter, since, id, &mut || self.hand_out(usize::MAX))
    }

    /// Does what other threads ask for.
    fn obey(&mut self, commands: &mut Vec<Command>) {
        self.inbox.take_commands(COMMANDS_PER_TURN, commands);
        for command in commands.drain(..) {
            match command {
                Command::Adopt { link, peer, prefix, is_secure } => self.adopt(link, peer, prefix, is_secure),
                Command::Answer { connection, ticket, reply } => self.on_answer(connection, ticket, reply),
                Command::Tell { connection, what } => {
                    if let Some(slot) = self.find(connection) {
                        self.tell_open(slot, Happening::Told(what));
                    }
                }
                Command::Page { connection, subscription, page } => self.on_page(connection, subscription, page),
                Command::Close { connection, goodbye, found } => {
                    let slot = self.find(connection);
                    if let Some(slot) = slot {
                        self.endings.push((slot, connection.generation(), goodbye));
                    }
                    answer(found, slot.is_some());
                }
                Command::CloseSubject { subject, goodbye, count } => {
                    let slots = self.subjects.get(&subject).cloned().unwrap_or_default();
                    answer(Some(count), slots.len());
                    for slot in slots {
                        self.endings.push((slot, self.generation_of(slot), goodbye.clone()));
                    }
                }
                Command::SendTo { target, message, count } => {
                    let sent = self.send_to(&target, &message);
                    answer(count, sent);
                }
                Command::Revoke { is_revoked } => self.revoke(&*is_revoked),
                Command::List { after, limit, answer: to } => answer(Some(to), self.list(after, limit)),
                Command::Show { connection, answer: to } => answer(Some(to), self.show(connection)),
                Command::Reload => self.limits = self.gateway.limits(),
                Command::Drain { within_ms } => self.start_draining(within_ms),
                Command::Stop => self.is_stopped = true,
            }
        }
    }

    fn on_answer(&mut self, connection: ConnectionId, ticket: Ticket, reply: Reply) {
        let Some(slot) = self.find(connection) else { return };
        if !matches!(reply, Reply::Committed(_)) {
            let extras = self.connection_mut(slot).extras();
            extras.errands = extras.errands.saturating_sub(1);
        }
        self.tell(slot, Happening::Answer(ticket, reply));
    }

    /// Tells a session something, if its connection is open.
    fn tell_open(&mut self, slot: u32, happening: Happening<'_>) {
        let is_open = self.slots[slot as usize].connection.as_ref().is_some_and(|c| c.is_open());
        if is_open {
            self.tell(slot, happening);
        }
    }

    /// Tells a session something. A panic in it ends its connection and nothing else.
    fn tell(&mut self, slot: u32, happening: Happening<'_>) {
        let Some(mut session) = self.take_session(slot) else { return };
        let mut turn = Turn { shard: self, slot };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| session.handle(happening, &mut turn)));
        if self.owed.replays > 0 {
            // A session that lets go of a replay misses the past, but not what follows.
            self.repay_all();
        }
        match (outcome, self.slots[slot as usize].connection.as_mut()) {
            (Ok(()), Some(connection)) => connection.session = Some(session),
            (Ok(()), None) => {}
            (Err(_), _) => {
                tracing::error!(connection = ?self.id_of(slot), "a session panicked; its connection is closed");
                self.gateway.metrics.limit("session_panic");
                self.destroy(slot);
            }
        }
    }

    fn take_session(&mut self, slot: u32) -> Option<Box<dyn crate::contract::Session>> {
        self.slots[slot as usize].connection.as_mut()?.session.take()
    }

    pub(crate) fn connection(&self, slot: u32) -> &Connection {
        self.slots[slot as usize].connection.as_deref().expect("a turn lasts no longer than its connection")
    }

    pub(crate) fn connection_mut(&mut self, slot: u32) -> &mut Connection {
        self.slots[slot as usize].connection.as_deref_mut().expect("a turn lasts no longer than its connection")
    }

    pub(crate) fn generation_of(&self, slot: u32) -> u32 {
        self.slots[slot as usize].generation
    }

    pub(crate) fn id_of(&self, slot: u32) -> ConnectionId {
        ConnectionId::new(self.id, slot, self.generation_of(slot))
    }

    fn find(&self, id: ConnectionId) -> Option<u32> {
        let slot = self.slots.get(id.slot() as usize)?;
        let is_it = slot.generation == id.generation() && slot.connection.is_some();
        is_it.then_some(id.slot())
    }

    pub(crate) fn count_operation(&mut self, space: &Arc<str>, door: u8) {
        let name = self.gateway.doors[door as usize].name();
        self.meter.row(space, name).operations += 1;
    }

    fn post_counts(&mut self, is_last: bool) {
        if is_last || self.meter.is_changed() && self.now >= self.posted_at + POST_MS {
            self.posted_at = self.now;
            self.desk.post(&self.meter);
        }
    }

    /// From a publish to the end of the turn that wrote it to its receivers.
    fn tell_latencies(&mut self) {
        for (space, door, time) in self.samples.drain(..) {
            let passed_ms = self.gateway.clock.now().saturating_sub(time);
            self.gateway.metrics.observe_delivery(&space, door, passed_ms as f64 / 1_000.0);
        }
    }

    fn connections_open(&self) -> usize {
        self.inbox.connections.load(Ordering::Relaxed)
    }
}

/// Answers over a channel whose other end may have gone away, which is then nobody's loss.
fn answer<T>(to: Option<tokio::sync::oneshot::Sender<T>>, value: T) {
    if let Some(to) = to {
        let _ = to.send(value);
    }
}

fn topic_hash(topic: &str) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    hasher.write(topic.as_bytes());
    hasher.finish().max(1)
}
