//! How connections begin and end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fanfare_core::{Action, Message, Millis, Principal};
use fanfare_websocket::CloseCode;
use mio::{Interest, Token};

use super::{ConnectionSummary, Due, DueWhat, Shard, Slot};
use crate::address::ConnectionId;
use crate::connection::{Codec, Connection, Phase};
use crate::contract::{Arrival, Goodbye, Happening, Opening, Outgoing, Shape};
use crate::fanout::{Framing, ShapeKey};
use crate::gateway::Handoff;
use crate::greeting::{Sniffed, refusal, sniff};
use crate::head::Head;
use crate::inbox::Target;
use crate::link::Link;
use crate::rate::Bucket;

/// How long the peer may take to answer our close.
const CLOSE_TIMEOUT_MS: u64 = 3_000;

/// A shard that says goodbye to everybody.
pub(crate) struct Drain {
    from: Millis,
    until: Millis,
    total: usize,
    ended: usize,
    /// Slots still to be told.
    left: Vec<u32>,
    /// Connections whose sessions still have something to do, with their generations.
    staying: Vec<(u32, u32)>,
}

impl Shard {
    /// Takes over a new connection.
    pub(super) fn adopt(&mut self, mut link: Link, peer: SocketAddr, prefix: Vec<u8>, is_secure: bool) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, connection: None });
            (self.slots.len() - 1) as u32
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(link.socket(), Token(slot as usize), interest) {
            tracing::warn!(%peer, %error, "a connection could not be watched; it is closed");
            self.free.push(slot);
            self.gateway.released(peer.ip());
            return;
        }
        let now = self.now;
        let connection = Connection {
            link,
            phase: Phase::Greeting(Box::default()),
            codec: Codec::Stream,
            tail: Vec::new(),
            session: None,
            principal: self.gateway.nobody.clone(),
            subscriptions: Vec::new(),
            backlog: None,
            extras: None,
            bucket: Bucket::full(self.limits.publish_burst, now),
            opened_at: now,
            heard_at: now,
            sent_at: now,
            rules: None,
            peer,
            next_subscription: 0,
            group: 0,
            door: 0,
            is_secure,
            is_pinged: false,
            is_tunnel: false,
            is_read_closed: false,
            is_held: false,
        };
        self.slots[slot as usize].connection = Some(Box::new(connection));
        self.fanout.clear_slot(slot);
        self.add_due(slot, now + self.limits.handshake_timeout_ms, DueWhat::Deadline);
        self.inbox.connections.fetch_add(1, Ordering::Relaxed);
        if !prefix.is_empty() {
            self.feed(slot, &mut { prefix });
        }
        if self.slots[slot as usize].connection.is_some() {
            // Bytes may have come before the socket was watched, and TLS may hold some.
            self.ready.push(slot);
        }
    }

    pub(super) fn add_due(&mut self, slot: u32, at: Millis, what: DueWhat) {
        let generation = self.generation_of(slot);
        self.wheel.add(at, Due { slot, generation, what });
    }

    /// Looks at the first bytes of a connection.
    pub(super) fn greet(&mut self, slot: u32) {
        let limits = self.limits.clone();
        let Phase::Greeting(greeting) = &mut self.connection_mut(slot).phase else { return };
        let bytes = std::mem::take(&mut greeting.bytes);
        let gateway = self.gateway.clone();
        match sniff(&bytes, limits.head_bytes, |first| gateway.routes.stream(first).is_some()) {
            Sniffed::Partial => {
                if let Phase::Greeting(greeting) = &mut self.connection_mut(slot).phase {
                    greeting.bytes = bytes;
                }
            }
            Sniffed::Tls | Sniffed::Http => self.hand_off(slot, bytes),
            Sniffed::Stream => self.open_stream(slot, bytes),
            Sniffed::Upgrade(head, length) => self.open_websocket(slot, &head, &bytes[length..]),
            Sniffed::TooLong => {
                gateway.metrics.limit("head_bytes");
                self.refuse(
                    slot,
                    refusal(431, "head_too_large", "request line and headers are larger than limits.head_bytes", None),
                );
            }
            Sniffed::Unknown => {
                tracing::debug!(peer = %self.connection(slot).peer, "a connection spoke no known protocol");
                self.destroy(slot);
            }
        }
    }

    /// TLS and plain HTTP are served by tasks; the socket goes there with what was read.
    fn hand_off(&mut self, slot: u32, prefix: Vec<u8>) {
        let Some(mut connection) = self.release(slot) else { return };
        let _ = self.poll.registry().deregister(connection.link.socket());
        let peer = connection.peer;
        match connection.link {
            Link::Plain(socket) => self.gateway.hand_off(Handoff { socket: socket.into(), prefix, peer }),
            // Tasks have looked at the first plaintext already and send only upgrades and streams.
            Link::Tls(_) => self.gateway.released(peer.ip()),
        }
    }

    fn open_stream(&mut self, slot: u32, mut bytes: Vec<u8>) {
        let Some(door) = bytes.first().and_then(|first| self.gateway.routes.stream(*first)) else { return };
        if self.gateway.admit(self.now).is_err() {
            self.gateway.metrics.limit("handshakes_per_second");
            return self.destroy(slot);
        }
        let key = ShapeKey { door, shape: Shape(0), framing: Framing::Stream };
        self.connection_mut(slot).door = door;
        self.connection_mut(slot).codec = Codec::Stream;
        self.fanout.set_shape(slot, key);
        match self.ask_door(slot, None, None) {
            Opening::Accept(session) | Opening::Pending(session) => {
                self.connection_mut(slot).session = Some(session);
                self.up(slot);
                if self.is_alive(slot) {
                    self.feed(slot, &mut bytes);
                }
            }
            Opening::Refuse { body, .. } => self.refuse(slot, body),
        }
    }

    pub(super) fn ask_door(&mut self, slot: u32, head: Option<&Head>, subprotocol: Option<&'static str>) -> Opening {
        let connection = self.connection(slot);
        let tls = connection.link.tls_peer();
        let (peer, is_secure) = (connection.peer, connection.is_secure);
        let arrival = Arrival { head, subprotocol, peer, is_secure, tls: tls.as_ref() };
        let door = self.gateway.doors[connection.door as usize].clone();
        door.open(&arrival, &mut crate::turn::Turn { shard: self, slot })
    }

    /// The link is up: the session begins.
    pub(super) fn up(&mut self, slot: u32) {
        let (now, interval) = (self.now, self.ping_interval_ms(slot));
        let connection = self.connection_mut(slot);
        connection.phase = Phase::Open;
        let (waited, door) = (now.saturating_sub(connection.opened_at), connection.door);
        let door = self.gateway.doors[door as usize].name();
        self.gateway.metrics.observe_handshake(door, waited as f64 / 1_000.0);
        self.meter.row(&self.gateway.default_space, door).connections_opened += 1;
        // The first look comes at a random time, or connections that came together would be
        // pinged together for ever.
        if interval > 0 {
            self.add_due(slot, now + interval / 2 + fastrand::u64(0..=interval / 2), DueWhat::Liveness);
        }
        self.tell(slot, Happening::Opened);
    }

    /// How often a silent link is pinged; 0 never.
    fn ping_interval_ms(&self, slot: u32) -> u64 {
        let rules = self.connection(slot).rules.as_ref();
        rules.map_or(self.limits.ping_interval_ms, |rules| rules.ping_interval_ms)
    }

    pub(super) fn is_alive(&self, slot: u32) -> bool {
        self.slots[slot as usize].connection.is_some()
    }

    /// Answers a request that will not become a session, and closes.
    pub(super) fn refuse(&mut self, slot: u32, response: Vec<u8>) {
        let connection = self.connection_mut(slot);
        connection.phase = Phase::Closing;
        connection.session = None;
        connection.codec = Codec::Stream;
        if response.is_empty() {
            return self.destroy(slot);
        }
        self.fanout.send_bytes(slot, &response);
        self.add_due(slot, self.now + CLOSE_TIMEOUT_MS, DueWhat::Deadline);
    }

    /// The connection speaks for `principal` from now on.
    pub(crate) fn set_principal(&mut self, slot: u32, principal: Arc<Principal>) {
        self.forget_subject(slot);
        if let Some(subject) = &principal.subject {
            self.subjects.entry_ref(subject).or_default().push(slot);
        }
        if let Some(at) = principal.expires_at {
            self.add_due(slot, at, DueWhat::Expiry);
        }
        // It may have been revoked while its keys were fetched.
        if self.gateway.gate.revocations().is_revoked(&principal, self.now) {
            self.endings.push((slot, self.generation_of(slot), Goodbye::Revoked));
        }
        let connection = self.connection_mut(slot);
        connection.principal = principal.clone();
        let refused = connection.subscriptions.iter().filter(|s| {
            let grant = &principal.grant;
            !grant.allows_filter(Action::Subscribe, &s.space, &s.filter)
                || s.wants_presence && !grant.allows_filter(Action::Presence, &s.space, &s.filter)
        });
        let refused: Vec<_> = refused.map(|s| s.id).collect();
        for id in refused {
            self.ended_subscriptions.push((slot, self.generation_of(slot), id));
        }
    }

    fn forget_subject(&mut self, slot: u32) {
        let Some(connection) = self.slots[slot as usize].connection.as_deref() else { return };
        let Some(subject) = &connection.principal.subject else { return };
        if let Some(slots) = self.subjects.get_mut(subject) {
            slots.retain(|s| *s != slot);
            if slots.is_empty() {
                self.subjects.remove(subject);
            }
        }
    }

    /// Ends one subscription. `is_replaced` keeps the shard's interest, which the next one shares.
    pub(crate) fn drop_subscription(&mut self, slot: u32, id: u16, is_replaced: bool) {
        let connection = self.connection_mut(slot);
        let Some(index) = connection.subscriptions.iter().position(|s| s.id == id) else { return };
        let subscription = connection.subscriptions.swap_remove(index);
        if let Some(extras) = &mut connection.extras {
            extras.catch_ups.retain(|c| c.subscription != id);
        }
        if subscription.is_live
            && self.roster.remove(&subscription.space, &subscription.filter, slot, id)
            && !is_replaced
        {
            self.gateway.core.leave(&subscription.space, &subscription.filter, self.id);
        }
    }

    /// Ends a connection in order: the session says its last, then the link is closed.
    pub(super) fn end(&mut self, slot: u32, goodbye: Goodbye) {
        let Some(connection) = self.slots[slot as usize].connection.as_deref_mut() else { return };
        if connection.is_closing() {
            return;
        }
        if !connection.is_open() {
            // Nobody has heard of this connection yet.
            let retry_ms = matches!(goodbye, Goodbye::ShuttingDown { .. }).then_some(2_000);
            return self.refuse(slot, refusal(503, goodbye.name(), "the connection is closed", retry_ms));
        }
        tracing::debug!(connection = ?self.id_of(slot), why = goodbye.name(), "closing");
        if goodbye == Goodbye::SlowConsumer {
            let default_space = self.gateway.default_space.clone();
            let connection = self.connection_mut(slot);
            let door = connection.door;
            let dropped = connection.backlog.as_mut().map_or(0, |backlog| backlog.drop_messages());
            let space = connection.subscriptions.first().map_or(default_space, |s| s.space.clone());
            self.meter.row(&space, self.gateway.doors[door as usize].name()).dropped += dropped;
        }
        self.closing_words = None;
        self.wants_to_stay = false;
        self.tell(slot, Happening::Goodbye(&goodbye));
        let words = self.closing_words.take();
        if !self.is_alive(slot) || self.lets_stay(slot, &goodbye) {
            return;
        }
        self.drop_all_subscriptions(slot);
        let is_websocket = matches!(self.connection(slot).codec, Codec::WebSocket(_));
        if is_websocket {
            let (code, reason) = words.unwrap_or_else(|| goodbye.close_words());
            let code = CloseCode(code);
            self.fanout.send(slot, Framing::Stream, 0, |out| {
                fanfare_websocket::encode_close(out, code, &reason);
                None
            });
        }
        // A link that is closed while the peer still sends is reset, and last words are lost with it:
        // so it is read, for a while, until the peer has closed its side too.
        let must_wait = !matches!(goodbye, Goodbye::PeerClosed { .. } | Goodbye::PingTimeout);
        let connection = self.connection_mut(slot);
        connection.phase = Phase::Closing;
        connection.extras().goodbye = must_wait.then_some(goodbye);
        if std::mem::take(&mut connection.is_held) {
            self.ready.push(slot);
        }
        self.add_due(slot, self.now + CLOSE_TIMEOUT_MS, DueWhat::Deadline);
        if !is_websocket && self.connection(slot).backlog.is_none() && !self.fanout.has_output_for(slot) {
            self.after_last_write(slot);
        }
    }

    /// Whether a session that asked for it may finish what it does before the server stops.
    fn lets_stay(&mut self, slot: u32, goodbye: &Goodbye) -> bool {
        let wants = std::mem::take(&mut self.wants_to_stay) && matches!(goodbye, Goodbye::ShuttingDown { .. });
        let generation = self.generation_of(slot);
        let Some(drain) = self.drain.as_mut().filter(|drain| wants && self.now < drain.until) else { return false };
        drain.staying.push((slot, generation));
        true
    }

    /// Everything was written to a connection that is closing. Where we closed first, WebSocket
    /// waits for the peer's answer (RFC 6455, 7.1.1); otherwise the link ends here.
    pub(super) fn after_last_write(&mut self, slot: u32) {
        let connection = self.connection_mut(slot);
        if connection.link.wants_write() {
            return;
        }
        let waits = connection.extras.as_ref().is_some_and(|e| e.goodbye.is_some()) && !connection.is_read_closed;
        let goodbye = connection.extras.as_ref().and_then(|extras| extras.goodbye.as_ref());
        let has_failed = matches!(goodbye, Some(Goodbye::ProtocolError { .. })) || connection.is_tunnel;
        if waits && matches!(connection.codec, Codec::WebSocket(_)) && !has_failed {
            return;
        }
        connection.link.finish();
        if waits {
            return;
        }
        // The kernel sends what it has; reading on until the peer closes would only cost.
        self.destroy_later.push((slot, self.generation_of(slot)));
    }

    fn drop_all_subscriptions(&mut self, slot: u32) {
        while let Some(id) = self.connection(slot).subscriptions.last().map(|s| s.id) {
            self.drop_subscription(slot, id, false);
        }
    }

    /// Takes a connection out, with everything that others know of it.
    pub(super) fn destroy(&mut self, slot: u32) {
        let Some(connection) = self.slots[slot as usize].connection.as_deref() else { return };
        let was_up = connection.session.is_some() && !matches!(connection.phase, Phase::Greeting(_));
        let door = self.gateway.doors.get(connection.door as usize).map(|d| d.name());
        let (open_ms, is_counted) =
            (self.now.saturating_sub(connection.opened_at), was_up && !matches!(connection.phase, Phase::Upgrading(_)));
        if was_up {
            self.tell(slot, Happening::Gone);
        }
        if let Some(door) = door.filter(|_| is_counted) {
            let row = self.meter.row(&self.gateway.default_space, door);
            row.connections_closed += 1;
            row.connection_ms += open_ms;
        }
        let Some(mut connection) = self.release(slot) else { return };
        let _ = self.poll.registry().deregister(connection.link.socket());
        self.gateway.released(connection.peer.ip());
    }

    /// Frees the slot and gives the connection back to whoever goes on with it.
    fn release(&mut self, slot: u32) -> Option<Box<Connection>> {
        self.slots[slot as usize].connection.as_ref()?;
        self.drop_all_subscriptions(slot);
        self.forget_subject(slot);
        self.tracked.retain(|tracked| tracked.slot != slot);
        self.fanout.clear_slot(slot);
        let entry = &mut self.slots[slot as usize];
        let mut connection = entry.connection.take()?;
        entry.generation = entry.generation.wrapping_add(1) & 0xFF_FFFF;
        self.free.push(slot);
        self.inbox.connections.fetch_sub(1, Ordering::Relaxed);
        if let Some(extras) = connection.extras.take() {
            let member = extras.member.unwrap_or_default();
            for (space, topic) in extras.presences {
                self.gateway.core.exit(&space, &topic, &member, self.now);
            }
        }
        Some(connection)
    }

    pub(super) fn on_due(&mut self, due: Due) {
        let Some(entry) = self.slots.get(due.slot as usize) else { return };
        let Some(connection) = entry.connection.as_deref().filter(|_| entry.generation == due.generation) else {
            return;
        };
        match due.what {
            DueWhat::Liveness => self.on_liveness_due(due.slot),
            DueWhat::Backlog => self.on_backlog_due(due.slot),
            DueWhat::Session(timer) => self.tell_open(due.slot, Happening::Timer(timer)),
            DueWhat::Expiry => {
                if connection.is_open() && connection.principal.expires_at.is_some_and(|at| at <= self.now) {
                    self.endings.push((due.slot, due.generation, Goodbye::TokenExpired));
                }
            }
            DueWhat::Deadline => self.on_deadline(due.slot),
        }
    }

    fn on_deadline(&mut self, slot: u32) {
        let now = self.now;
        let connection = self.connection(slot);
        match &connection.phase {
            Phase::Greeting(_) => {
                self.gateway.metrics.limit("handshake_timeout");
                self.destroy(slot);
            }
            // What was decided in this very turn counts, although it has not been carried out yet.
            Phase::Upgrading(_)
                if now >= connection.opened_at + self.upgrade_timeout_ms(slot)
                    && !self.decided.iter().any(|(decided, ..)| *decided == slot) =>
            {
                self.gateway.metrics.limit("upgrade_timeout");
                self.refuse(slot, refusal(504, "upgrade_timeout", "the upgrade was not decided in time", Some(1_000)));
            }
            Phase::Closing => self.destroy(slot),
            Phase::Upgrading(_) | Phase::Open => {}
        }
    }

    /// Pings a silent WebSocket, and gives up on one that does not answer. Byte protocols keep
    /// themselves alive.
    fn on_liveness_due(&mut self, slot: u32) {
        let (now, interval) = (self.now, self.ping_interval_ms(slot));
        let connection = self.connection_mut(slot);
        if !connection.is_open() || !matches!(connection.codec, Codec::WebSocket(_)) {
            return;
        }
        if connection.is_held {
            // Nobody reads what it may have answered.
            (connection.heard_at, connection.is_pinged) = (now, false);
        }
        let silent_ms = now.saturating_sub(connection.heard_at);
        if connection.is_pinged && silent_ms >= interval {
            let generation = self.generation_of(slot);
            return self.endings.push((slot, generation, Goodbye::PingTimeout));
        }
        if silent_ms + interval / 4 >= interval / 2 {
            connection.is_pinged = true;
            self.fanout.send(slot, Framing::Stream, 0, |out| {
                fanfare_websocket::encode_ping(out, b"");
                None
            });
        }
        self.add_due(slot, now + interval, DueWhat::Liveness);
    }

    pub(super) fn revoke(&mut self, is_revoked: &(dyn Fn(&Principal) -> bool + Send + Sync)) {
        for (slot, entry) in self.slots.iter().enumerate() {
            if entry.connection.as_deref().is_some_and(|c| c.is_open() && is_revoked(&c.principal)) {
                self.endings.push((slot as u32, entry.generation, Goodbye::Revoked));
            }
        }
    }

    /// Sends something outside of any topic's history to connections. Says to how many.
    pub(super) fn send_to(&mut self, target: &Target, message: &Message) -> usize {
        let slots: Vec<u32> = match target {
            Target::Connection(id) => self.find(*id).into_iter().collect(),
            Target::Subject(subject) => self.subjects.get(subject).cloned().unwrap_or_default(),
            Target::Space(space) => self.slots_where(|c| c.subscriptions.iter().any(|s| s.space == *space)),
            Target::Group { door, group, subject } => {
                let is_in = |c: &Connection| c.door == *door && c.group == *group;
                match subject {
                    None => self.slots_where(is_in),
                    Some(subject) => {
                        let own = self.subjects.get(subject).into_iter().flatten().copied();
                        own.filter(|&slot| is_in(self.connection(slot))).collect()
                    }
                }
            }
        };
        let mut sent = 0;
        self.fanout.begin_delivery();
        for slot in slots {
            if !self.connection(slot).is_open() || !self.fanout.is_first_copy(slot) {
                continue;
            }
            let (doors, now) = (&self.gateway.doors, self.now);
            self.fanout.deliver(slot, 0, &mut |key, out| {
                let (door, outgoing) = (&doors[key.door as usize], Outgoing::Message(message));
                door.encode(outgoing, key.shape, now, out);
                door.kind_of(outgoing, key.shape)
            });
            sent += 1;
        }
        for (door, copies, _) in self.fanout.delivered() {
            self.meter
                .row(&message.space, self.gateway.doors[door as usize].name())
                .delivered(message.payload.len(), copies);
        }
        sent
    }

    fn slots_where(&self, belongs: impl Fn(&Connection) -> bool) -> Vec<u32> {
        let open = self.slots.iter().enumerate().filter(|(_, e)| e.connection.as_deref().is_some_and(&belongs));
        open.map(|(slot, _)| slot as u32).collect()
    }

    pub(super) fn list(&self, after: Option<ConnectionId>, limit: usize) -> Vec<ConnectionSummary> {
        let from = after.map_or(0, |id| id.slot() as usize + 1);
        let entries = self.slots.iter().enumerate().skip(from);
        let open =
            entries.filter_map(|(slot, e)| e.connection.as_deref().filter(|c| c.is_open()).map(|c| (slot as u32, c)));
        open.take(limit).map(|(slot, connection)| self.summary(slot, connection)).collect()
    }

    pub(super) fn show(&self, id: ConnectionId) -> Option<ConnectionSummary> {
        let slot = self.find(id)?;
        let connection = self.connection(slot);
        connection.is_open().then(|| self.summary(slot, connection))
    }

    fn summary(&self, slot: u32, connection: &Connection) -> ConnectionSummary {
        let subscriptions = connection.subscriptions.iter().take(100).map(|s| format!("{}/{}", s.space, s.filter));
        ConnectionSummary {
            id: self.id_of(slot).text(&self.gateway.node),
            door: self.gateway.doors[connection.door as usize].name(),
            subject: connection.principal.subject.as_deref().map(str::to_owned),
            peer: connection.peer,
            opened_at: connection.opened_at,
            heard_at: connection.heard_at,
            subscriptions: subscriptions.collect(),
            subscription_count: connection.subscriptions.len(),
            outbox_bytes: connection.backlog.as_ref().map_or(0, |b| b.bytes()),
        }
    }

    pub(super) fn start_draining(&mut self, within_ms: u64) {
        let mut left: Vec<u32> = (0..self.slots.len() as u32).filter(|slot| self.is_alive(*slot)).collect();
        fastrand::shuffle(&mut left);
        let total = left.len();
        self.drain =
            Some(Drain { from: self.now, until: self.now + within_ms, total, ended: 0, left, staying: Vec::new() });
    }

    /// Says goodbye to as many as the time that has passed asks for.
    pub(super) fn go_on_draining(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        let span = drain.until.saturating_sub(drain.from).max(1);
        let passed = self.now.saturating_sub(drain.from).min(span);
        let goal = (drain.total as u64 * passed).div_ceil(span) as usize;
        let mut due = Vec::new();
        while drain.ended < goal {
            drain.ended += 1;
            due.extend(drain.left.pop());
        }
        if self.now >= drain.until {
            let goodbye = Goodbye::ShuttingDown { retry_ms: 0 };
            self.endings.extend(drain.staying.drain(..).map(|(slot, generation)| (slot, generation, goodbye.clone())));
        }
        let is_over =
            self.now >= drain.until + CLOSE_TIMEOUT_MS || drain.left.is_empty() && self.connections_open() == 0;
        for slot in due {
            let retry_ms = fastrand::u64(0..=self.limits.reconnect_spread_ms);
            self.endings.push((slot, self.generation_of(slot), Goodbye::ShuttingDown { retry_ms }));
        }
        self.is_stopped |= is_over;
    }

    /// The last turn: what is queued is written as far as sockets take it.
    pub(super) fn stop(&mut self) {
        self.settle();
        self.flush();
        for slot in 0..self.slots.len() as u32 {
            self.destroy(slot);
        }
        self.post_counts(true);
    }
}
