//! What the client gets: as fast as its window, its socket and the log allow.

use std::any::Any;
use std::num::NonZeroU16;
use std::sync::Arc;

use fanfare_core::{HistoryPage, LogError, Message, Position, Refusal};
use fanfare_door::{Outgoing as Shared, Shape, Turn};
use fanfare_mqtt_codec::{Ack, AckKind, EncodeError, Level, PacketId, Publish, Qos, ReasonCode, SubscriptionIds};

use super::{CURSOR_TIMER, Live, MqttSession, PAGE, Phase, RECORDED};
use crate::groups::Dealt;
use crate::outbound::{Inflight, Outgoing, Received, Source, Stage};
use crate::translate;

/// Nothing is encoded by the driver: the session does it.
pub(crate) const SILENT: Shape = Shape(0);
/// Quality 0 without anything of the subscriber's own, for MQTT 3.
pub(crate) const PLAIN_V3: Shape = Shape(1);
/// The same for MQTT 5.
pub(crate) const PLAIN_V5: Shape = Shape(2);
/// The same, with the retain flag as it was published.
pub(crate) const PLAIN_V5_AS_PUBLISHED: Shape = Shape(3);

/// Messages that one step sends; then others have their turn.
const STEP_MESSAGES: usize = 64;
/// Messages and bytes that are read from the log at once.
const PAGE_MESSAGES: usize = 64;
const PAGE_BYTES: usize = 64 << 10;
/// How often a cursor that moves is written down, at most.
const CURSOR_MS: u64 = 1_000;

/// Encodes a message once for all subscribers that want no more than quality 0.
pub(crate) fn encode_plain(outgoing: Shared<'_>, shape: Shape, now: u64, out: &mut Vec<u8>) {
    let (message, retain) = match outgoing {
        Shared::Message(message) => (message, shape == PLAIN_V5_AS_PUBLISHED && message.is_retained),
        Shared::Retained(message) => (message, true),
        Shared::Presence(_) => return,
    };
    if shape == SILENT || message.is_expired(now) {
        return;
    }
    let level = if shape == PLAIN_V3 { Level::V4 } else { Level::V5 };
    translate::with_properties(message, now, |properties| {
        let publish =
            Publish { topic: &message.topic, payload: &message.payload, retain, properties, ..Publish::default() };
        // It has a topic and no limit; a text longer than MQTT's cannot be sent at all.
        let _ = publish.encode(level, u32::MAX, out);
    });
}

impl MqttSession {
    /// The driver brings a message.
    pub(super) fn on_delivery(
        &mut self,
        numbers: &[u16],
        message: &Arc<Message>,
        is_retained: bool,
        turn: &mut Turn<'_>,
    ) {
        let Some(live) = self.live.as_mut().filter(|_| self.phase == Phase::Connected) else { return };
        let Some(matched) = live.state.match_numbers(numbers, message) else { return };
        if live.checks_receiving && !self.hub.may_receive(&live.principal, message) {
            return;
        }
        let outbound = &mut live.state.outbound;
        let outgoing = Outgoing {
            message: message.clone(),
            qos: matched.qos,
            retain: matched.retain || is_retained,
            ids: matched.ids.into(),
            source: if is_retained { Source::Retained } else { Source::Log },
        };
        if matched.qos > Qos::AtMostOnce && !is_retained {
            // Below the cursor: it was read from the log. Behind: it will be.
            if message.offset <= outbound.cursor || outbound.is_behind {
                return;
            }
            if !outbound.admit(
                message.payload.len(),
                self.hub.options.queue_messages,
                turn.gateway().limits().outbox_bytes,
            ) {
                return;
            }
            outbound.cursor = message.offset;
        }
        self.queue(outgoing, turn);
    }

    /// A group has chosen this session.
    pub(super) fn on_dealt(&mut self, dealt: Dealt, turn: &mut Turn<'_>) {
        let Some((share, message)) = dealt.take() else { return };
        let Some(live) = &mut self.live else { return };
        let is_of = |s: &&crate::state::Subscription| s.share.as_ref().is_some_and(|own| Arc::ptr_eq(own, &share));
        let Some(subscription) = live.state.subscriptions.iter().find(is_of) else {
            return share.give_back(&live.state.client_id, vec![message]);
        };
        if live.checks_receiving && !self.hub.may_receive(&live.principal, &message) {
            return share.done(&live.state.client_id, message.offset);
        }
        let outgoing = Outgoing {
            qos: subscription.qos.min(translate::quality(&message)),
            retain: subscription.retain_as_published && message.is_retained,
            ids: subscription.id.into_iter().collect(),
            source: Source::Shared(share.clone()),
            message,
        };
        self.queue(outgoing, turn);
    }

    /// Sends at once what nothing stands before; the rest waits.
    fn queue(&mut self, outgoing: Outgoing, turn: &mut Turn<'_>) {
        let level = self.level;
        let Some(live) = &mut self.live else { return };
        let is_free = live.waits == 0 && !turn.has_backlog();
        let is_clear = is_free && live.state.outbound.is_clear();
        let is_durable = live.state.is_durable();
        match outgoing.qos {
            // A full window holds up nothing but what needs it.
            Qos::AtMostOnce if is_free && !live.state.outbound.has_pending_once() => {
                live.send_once(&outgoing, level, turn);
                self.hub.settle(&live.state.client_id, &outgoing.source, outgoing.message.offset);
            }
            Qos::AtLeastOnce | Qos::ExactlyOnce
                if is_clear && live.state.outbound.has_room() && !(is_durable && outgoing.qos == Qos::ExactlyOnce) =>
            {
                live.state.outbound.begin(outgoing);
                self.send_unsent(turn);
            }
            _ => {
                live.state.outbound.push(outgoing);
                self.pump(turn);
            }
        }
    }

    /// Sends what waits, as far as it may be sent now, and reads on in the log when that runs out.
    pub(super) fn pump(&mut self, turn: &mut Turn<'_>) {
        let mut left = STEP_MESSAGES;
        loop {
            let Some(live) = self.live.as_mut().filter(|_| self.phase == Phase::Connected) else { return };
            if live.waits > 0 || live.is_reading {
                return;
            }
            if left == 0 || turn.has_backlog() {
                return turn.tell_when_clear();
            }
            if live.state.outbound.has_unsent() {
                left -= self.send_unsent(turn).min(left);
                if self.live.as_ref().is_some_and(|live| live.state.outbound.has_unsent()) {
                    return;
                }
                continue;
            }
            if live.state.outbound.pending.is_empty() {
                if !live.state.outbound.is_behind {
                    return;
                }
                if !self.read_on(turn) {
                    return;
                }
                continue;
            }
            match self.take_pending(left, turn) {
                0 => return,
                taken => left -= taken,
            }
        }
    }

    /// Gives ids to what waits, as far as the window goes; says how many messages moved.
    fn take_pending(&mut self, max: usize, turn: &mut Turn<'_>) -> usize {
        let (level, now) = (self.level, turn.now());
        let Some(live) = &mut self.live else { return 0 };
        let client_id = live.state.client_id.clone();
        let (mut taken, mut has_exact, mut room) = (0, false, live.state.outbound.room());
        while taken < max {
            let Some(next) = live.state.outbound.pending.front() else { break };
            if next.qos > Qos::AtMostOnce && room == 0 || next.qos == Qos::AtMostOnce && has_exact {
                break;
            }
            let Some(outgoing) = live.state.outbound.pop() else { break };
            taken += 1;
            if outgoing.message.is_expired(now) {
                self.hub.settle(&client_id, &outgoing.source, outgoing.message.offset);
            } else if outgoing.qos == Qos::AtMostOnce {
                live.flush_unsent(level, turn);
                live.send_once(&outgoing, level, turn);
                self.hub.settle(&client_id, &outgoing.source, outgoing.message.offset);
            } else {
                room -= 1;
                has_exact |= outgoing.qos == Qos::ExactlyOnce;
                live.state.outbound.begin(outgoing);
            }
        }
        if has_exact && live.state.is_durable() {
            self.record_unsent(turn);
        }
        taken
    }

    /// Quality 2 is sent once it is known to the ledger, and all that goes before it.
    fn record_unsent(&mut self, turn: &mut Turn<'_>) {
        let epoch = self.hub.head().epoch;
        let Some(live) = &mut self.live else { return };
        let client_id = live.state.client_id.clone();
        let done = turn.on_commit(RECORDED);
        let count = live.state.outbound.inflight.len();
        let mut done = Some(done);
        for (order, inflight) in live.state.outbound.inflight.iter_mut().enumerate() {
            let is_last = order + 1 == count;
            if !inflight.is_recorded || is_last {
                let done = if is_last { done.take() } else { None };
                inflight.is_recorded = self.hub.ledger().put_inflight(&client_id, inflight, inflight.offset, done);
            }
        }
        let offset = live.state.outbound.low_water();
        self.hub.ledger().put_cursor(&client_id, Position { epoch, offset });
        if live.state.outbound.inflight.back().is_some_and(|last| last.is_recorded) {
            live.waits += 1;
        } else {
            self.fail(ReasonCode::ImplementationSpecificError, "storage is failing", turn);
        }
    }

    pub(super) fn on_recorded(&mut self, result: Result<(), LogError>, turn: &mut Turn<'_>) {
        let Some(live) = &mut self.live else { return };
        live.waits -= 1;
        match result {
            Ok(()) => self.pump(turn),
            Err(_) => self.fail(ReasonCode::ImplementationSpecificError, "storage is failing", turn),
        }
    }

    /// Sends what has an id and was not sent on this connection. Says how many.
    fn send_unsent(&mut self, turn: &mut Turn<'_>) -> usize {
        let level = self.level;
        let Some(live) = &mut self.live else { return 0 };
        let (count, dropped) = live.flush_unsent(level, turn);
        for inflight in dropped {
            self.close_off(&inflight);
        }
        count
    }

    /// Reads the log after the cursor. `false` when that takes a while.
    fn read_on(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(live) = &mut self.live else { return false };
        let filters = live.state.filters();
        if filters.is_empty() {
            live.state.outbound.is_behind = false;
            return true;
        }
        let (core, space, after) = (turn.gateway().core.clone(), self.hub.space().clone(), live.state.outbound.cursor);
        match core.page_of_set(&space, &filters, after, PAGE_MESSAGES, PAGE_BYTES, true) {
            Ok(Some(page)) => {
                self.take_page(page);
                true
            }
            Ok(None) => {
                live.is_reading = true;
                let tasks = turn.gateway().tasks.clone();
                let reading = async move {
                    let read = move || core.page_of_set(&space, &filters, after, PAGE_MESSAGES, PAGE_BYTES, false);
                    tasks.spawn_blocking(read).await.unwrap_or(Ok(None))
                };
                if turn.ask(PAGE, reading).is_err() {
                    self.fail(ReasonCode::ServerBusy, "too much is under way", turn);
                }
                false
            }
            Err(refusal) => {
                tracing::warn!(connection = ?turn.connection(), %refusal, "the log cannot be read for a session");
                self.fail(ReasonCode::ImplementationSpecificError, "the log cannot be read", turn);
                false
            }
        }
    }

    pub(super) fn on_page(&mut self, value: Box<dyn Any + Send>, turn: &mut Turn<'_>) {
        let Some(live) = &mut self.live else { return };
        live.is_reading = false;
        match value.downcast::<Result<Option<HistoryPage>, Refusal>>().map(|page| *page) {
            Ok(Ok(Some(page))) => self.take_page(page),
            _ => return self.fail(ReasonCode::ImplementationSpecificError, "the log cannot be read", turn),
        }
        self.pump(turn);
    }

    fn take_page(&mut self, page: HistoryPage) {
        let Some(live) = &mut self.live else { return };
        if page.has_gap {
            tracing::warn!(client = %live.state.client_id, "messages were trimmed before a session had them");
            self.hub.count_limit("mqtt_session_gap");
        }
        for message in page.messages {
            let Some(matched) = live.state.match_topic(&message) else { continue };
            let is_allowed = !live.checks_receiving || self.hub.may_receive(&live.principal, &message);
            if matched.qos > Qos::AtMostOnce && is_allowed {
                let (qos, retain, ids) = (matched.qos, matched.retain, matched.ids.into());
                live.state.outbound.push(Outgoing { message, qos, retain, ids, source: Source::Log });
            }
        }
        let outbound = &mut live.state.outbound;
        outbound.cursor = outbound.cursor.max(page.next);
        outbound.is_behind = !page.is_head;
        live.is_cursor_due = true;
    }

    /// What was in flight has been read again.
    pub(super) fn on_recalled(&mut self, value: Box<dyn Any + Send>, turn: &mut Turn<'_>) {
        let Some(live) = &mut self.live else { return };
        live.waits -= 1;
        let messages = value.downcast::<Vec<Option<Arc<Message>>>>().map(|messages| *messages).unwrap_or_default();
        let mut messages = messages.into_iter();
        let mut lost = Vec::new();
        for inflight in live.state.outbound.inflight.iter_mut().filter(|i| i.stage == Stage::Published) {
            inflight.message = messages.next().flatten();
            if inflight.message.is_none() {
                lost.push(inflight.id);
            }
        }
        for id in lost {
            tracing::warn!(connection = ?turn.connection(), "a message in flight was trimmed before it was acknowledged");
            if let Some(inflight) = self.live.as_mut().and_then(|live| live.state.outbound.forget(id)) {
                self.close_off(&inflight);
            }
        }
        self.pump(turn);
    }

    pub(super) fn on_puback(&mut self, ack: &Ack<'_>, turn: &mut Turn<'_>) {
        let Some(live) = &mut self.live else { return };
        if let Some(inflight) = live.state.outbound.acknowledged(ack.packet_id) {
            self.close_off(&inflight);
        }
        self.after_ack(turn);
    }

    pub(super) fn on_pubrec(&mut self, ack: &Ack<'_>, turn: &mut Turn<'_>) {
        let level = self.level;
        let Some(live) = &mut self.live else { return };
        let id = ack.packet_id;
        match live.state.outbound.received(id, ack.reason.is_error()) {
            Received::Refused(inflight) => self.close_off(&inflight),
            Received::Unknown => live.release(id, ReasonCode::PacketIdentifierNotFound, level, turn),
            Received::Release => {
                // Written behind what is sent: should it be lost in a crash, the client is asked
                // again for a PUBREC, which it answers without a second message.
                if let Some(inflight) = live.state.outbound.inflight.iter().find(|i| i.id == id && i.is_recorded) {
                    self.hub.ledger().put_inflight(&live.state.client_id, inflight, inflight.offset, None);
                }
                live.release(id, ReasonCode::Success, level, turn);
            }
        }
        self.after_ack(turn);
    }

    pub(super) fn on_pubcomp(&mut self, ack: &Ack<'_>, turn: &mut Turn<'_>) {
        let Some(live) = &mut self.live else { return };
        if let Some(inflight) = live.state.outbound.completed(ack.packet_id) {
            self.close_off(&inflight);
        }
        self.after_ack(turn);
    }

    /// A message is done with, whatever became of it.
    fn close_off(&mut self, inflight: &Inflight) {
        let Some(live) = &mut self.live else { return };
        live.is_cursor_due = true;
        if inflight.is_recorded {
            self.hub.ledger().forget_inflight(&live.state.client_id, inflight.id);
        }
        self.hub.settle(&live.state.client_id, &inflight.source, inflight.offset);
    }

    fn after_ack(&mut self, turn: &mut Turn<'_>) {
        let Some(live) = &mut self.live else { return };
        if live.is_cursor_due && live.state.is_durable() {
            live.is_cursor_due = false;
            turn.set_timer(CURSOR_TIMER, CURSOR_MS);
        }
        self.pump(turn);
    }

    /// Where the session stands, for the case of a crash.
    pub(super) fn record_cursor(&mut self) {
        let Some(live) = &mut self.live else { return };
        if live.state.is_durable() {
            let position = Position { epoch: self.hub.head().epoch, offset: live.state.outbound.low_water() };
            self.hub.ledger().put_cursor(&live.state.client_id, position);
        }
    }
}

impl Live {
    /// Sends a message of quality 0.
    fn send_once(&mut self, outgoing: &Outgoing, level: Level, turn: &mut Turn<'_>) {
        let Outgoing { message, retain, ids, .. } = outgoing;
        self.send_publish(message, None, Qos::AtMostOnce, *retain, false, ids, level, turn);
    }

    /// Sends what has an id and was not sent on this connection, as far as the window goes. Yields
    /// how many, and those that turned out to be undeliverable.
    fn flush_unsent(&mut self, level: Level, turn: &mut Turn<'_>) -> (usize, Vec<Inflight>) {
        let (mut count, mut undeliverable) = (0, Vec::new());
        while let Some(next) = self.state.outbound.next_unsent() {
            count += 1;
            let (id, qos, retain, dup) = (next.id, next.qos, next.retain, next.is_repeated);
            if next.stage == Stage::Released {
                self.release(id, ReasonCode::Success, level, turn);
                continue;
            }
            let (message, ids) = (next.message.clone(), next.ids.clone());
            let is_sent =
                message.as_ref().is_some_and(|m| self.send_publish(m, Some(id), qos, retain, dup, &ids, level, turn));
            if is_sent {
                continue;
            }
            let Some(inflight) = self.state.outbound.forget(id) else { continue };
            if let (Source::Shared(share), Some(message)) = (&inflight.source, message) {
                // Another member may be able to take it.
                share.refuse(&self.state.client_id, message);
            } else {
                undeliverable.push(inflight);
            }
        }
        (count, undeliverable)
    }

    /// `false` when the client cannot take it, because it is too large.
    #[expect(clippy::too_many_arguments, reason = "each is a field of the packet")]
    fn send_publish(
        &mut self,
        message: &Message,
        packet_id: Option<PacketId>,
        qos: Qos,
        retain: bool,
        dup: bool,
        ids: &[u32],
        level: Level,
        turn: &mut Turn<'_>,
    ) -> bool {
        let (alias, is_known) = self.alias(message);
        let (packet_max, now) = (self.packet_max, turn.now());
        let mut result = Ok(());
        // A packet that names an alias, or that is awaited, must not be left out later.
        let may_drop = qos == Qos::AtMostOnce && alias.is_none();
        turn.deliver(message, may_drop, |out| {
            result = translate::with_properties(message, now, |properties| {
                let publish = Publish {
                    topic: if is_known { "" } else { &message.topic },
                    topic_alias: alias,
                    payload: &message.payload,
                    packet_id,
                    qos,
                    retain,
                    dup,
                    subscription_ids: SubscriptionIds::new(ids),
                    properties,
                };
                publish.encode(level, packet_max, out)
            });
        });
        if let Err(EncodeError::TooLarge { .. }) = result {
            if !is_known {
                self.aliases_out.remove(&message.topic);
            }
            turn.count_refusal("packet_too_large_for_client");
        }
        result.is_ok()
    }

    /// The alias of a message's topic, and whether the client knows it already.
    fn alias(&mut self, message: &Message) -> (Option<NonZeroU16>, bool) {
        if self.alias_max_out == 0 {
            return (None, false);
        }
        if let Some(alias) = self.aliases_out.get(&message.topic) {
            return (Some(*alias), true);
        }
        let next = self.aliases_out.len() + 1;
        let alias = u16::try_from(next).ok().filter(|next| *next <= self.alias_max_out).and_then(NonZeroU16::new);
        if let Some(alias) = alias {
            self.aliases_out.insert(message.topic.clone(), alias);
        }
        (alias, false)
    }

    fn release(&self, id: PacketId, reason: ReasonCode, level: Level, turn: &mut Turn<'_>) {
        let packet_max = self.packet_max;
        turn.send(|out| {
            let _ = Ack::new(AckKind::Pubrel, id, reason).encode(level, packet_max, out);
        });
    }
}
