//! What the client gets: as fast as its window, its socket and the log allow.

use std::any::Any;
use std::num::NonZeroU16;
use std::sync::Arc;

use fanfare_core::{HistoryPage, LogError, Message, Refusal};
use fanfare_door::{Outgoing as Shared, Shape, Turn};
use fanfare_mqtt_codec::{Ack, AckKind, EncodeError, Level, PacketId, Publish, Qos, ReasonCode, SubscriptionIds};

use super::{FLIGHT_TIMER, Live, MqttSession, PAGE, Phase, RECORDED};
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
/// Acknowledgements are written down so much later, at most.
const FLIGHT_MS: u64 = 1_000;

/// What was in flight, read again.
pub(super) type Recalled = Vec<(PacketId, Option<Arc<Message>>)>;

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
            let (count_max, bytes_max) = (self.hub.options.queue_messages, turn.gateway().limits().outbox_bytes);
            if !outbound.admit(message.payload.len(), count_max, bytes_max) {
                return self.on_full_queue(turn);
            }
            outbound.cursor = message.offset;
        } else if !is_retained && outbound.pending.len() >= self.hub.options.queue_messages {
            tracing::debug!(connection = ?turn.connection(), "a message was dropped: mqtt.queue_messages wait already");
            return self.hub.count_limit("mqtt_dropped");
        }
        self.queue(outgoing, turn);
    }

    /// More waits for the client than memory is for: it reads on from the log, if the log has it.
    fn on_full_queue(&mut self, turn: &mut Turn<'_>) {
        let Some(live) = &mut self.live else { return };
        let keeps_history = turn.gateway().core.space_settings(self.hub.space()).history.count > 0;
        if live.state.is_durable() || keeps_history {
            return self.hub.count_limit("mqtt_queue");
        }
        // Nothing is kept for a client whose session ends with its connection, nor for anybody else.
        live.state.outbound.is_behind = false;
        tracing::debug!(connection = ?turn.connection(), "a message was dropped: mqtt.queue_messages wait already");
        self.hub.count_limit("mqtt_dropped");
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
    pub(super) fn queue(&mut self, outgoing: Outgoing, turn: &mut Turn<'_>) {
        let level = self.level;
        let Some(live) = &mut self.live else { return };
        let is_free = live.waits == 0 && !turn.has_backlog();
        let is_clear = is_free && live.state.outbound.is_clear();
        match outgoing.qos {
            // A full window holds up nothing but what needs it.
            Qos::AtMostOnce if is_free && !live.state.outbound.has_pending_once() => {
                live.send_once(&outgoing, level, turn);
                self.hub.settle(&live.state.client_id, &outgoing.source, outgoing.message.offset);
            }
            Qos::AtLeastOnce | Qos::ExactlyOnce if is_clear && live.state.outbound.room() > 0 => {
                live.begin(outgoing);
                self.send_due(1, turn);
                self.see_to_records(turn);
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
            let Some(live) = self.live.as_ref().filter(|_| self.phase == Phase::Connected) else { return };
            if live.waits > 0 || live.is_reading {
                break;
            }
            if left == 0 || turn.has_backlog() {
                turn.tell_when_clear();
                break;
            }
            let sent = self.send_due(left, turn);
            left -= sent;
            let taken = self.take_pending(left, turn);
            if sent + taken > 0 {
                continue;
            }
            let Some(outbound) = self.live.as_ref().map(|live| &live.state.outbound) else { return };
            if !(outbound.pending.is_empty() && outbound.is_behind && self.read_on(turn)) {
                break;
            }
        }
        self.see_to_records(turn);
    }

    /// Gives ids to what waits, as far as the window goes, and sends what needs none; says how many
    /// messages moved.
    fn take_pending(&mut self, max: usize, turn: &mut Turn<'_>) -> usize {
        let (level, now) = (self.level, turn.now());
        let Some(live) = &mut self.live else { return 0 };
        let (mut taken, mut room) = (0, live.state.outbound.room());
        while taken < max
            && let Some(next) = live.state.outbound.pending.front()
            && (next.qos == Qos::AtMostOnce || room > 0)
            && let Some(outgoing) = live.state.outbound.pop()
        {
            taken += 1;
            let is_expired = outgoing.message.is_expired(now);
            if outgoing.qos > Qos::AtMostOnce && !is_expired {
                room -= 1;
                live.begin(outgoing);
                continue;
            }
            if !is_expired {
                live.send_once(&outgoing, level, turn);
            }
            self.hub.settle(&live.state.client_id, &outgoing.source, outgoing.message.offset);
        }
        taken
    }

    /// Sends packets that are due. Says how many.
    fn send_due(&mut self, max: usize, turn: &mut Turn<'_>) -> usize {
        let level = self.level;
        let Some(live) = &mut self.live else { return 0 };
        let mut undeliverable = Vec::new();
        let mut count = 0;
        while count < max
            && let Some(failed) = live.send_next(level, turn)
        {
            count += 1;
            undeliverable.extend(failed);
        }
        for inflight in undeliverable {
            self.close_off(&inflight);
        }
        count
    }

    /// At the end of the turn what is in flight is written down, once for all that was sent.
    fn see_to_records(&mut self, turn: &mut Turn<'_>) {
        let Some(live) = &self.live else { return };
        if live.is_flight_due || live.needs_commit && !live.is_committing {
            turn.tell_when_clear();
        }
    }

    /// Writes down how far the client has come.
    pub(super) fn write_down(&mut self, turn: &mut Turn<'_>) {
        let hub = self.hub.clone();
        let Some(live) = self.live.as_mut().filter(|live| live.state.is_durable()) else { return };
        let is_awaited = live.needs_commit && !live.is_committing;
        if !is_awaited && !live.is_flight_due {
            return;
        }
        let done = is_awaited.then(|| turn.on_commit(RECORDED));
        let is_taken = hub.ledger().put_flight(&live.state, hub.head().epoch, done);
        live.is_flight_due = false;
        if is_awaited {
            live.state.outbound.recording_began();
            live.is_committing = true;
            live.needs_commit = false;
            if !is_taken {
                self.fail(ReasonCode::ImplementationSpecificError, "storage is failing", turn);
            }
        }
    }

    /// What waited for the disk may go on.
    pub(super) fn on_recorded(&mut self, result: Result<(), LogError>, turn: &mut Turn<'_>) {
        let Some(live) = &mut self.live else { return };
        live.is_committing = false;
        match result {
            Ok(()) => {
                live.state.outbound.recorded();
                self.pump(turn);
            }
            Err(_) => self.fail(ReasonCode::ImplementationSpecificError, "storage is failing", turn),
        }
    }

    pub(super) fn on_flight_timer(&mut self, turn: &mut Turn<'_>) {
        if let Some(live) = &mut self.live {
            live.is_timer_set = false;
            live.is_flight_due = true;
        }
        self.write_down(turn);
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
        // What was published while the page was on its way has been left to the log.
        if let Some(live) = &mut self.live {
            live.state.outbound.is_behind = true;
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
    }

    /// What was in flight has been read again.
    pub(super) fn on_recalled(&mut self, value: Box<dyn Any + Send>, turn: &mut Turn<'_>) {
        let Some(live) = &mut self.live else { return };
        live.waits -= 1;
        let recalled = value.downcast::<Option<Recalled>>().ok().and_then(|recalled| *recalled);
        let Some(recalled) = recalled else {
            return self.fail(ReasonCode::ImplementationSpecificError, "the log cannot be read", turn);
        };
        let outbound = &mut live.state.outbound;
        let lost: Vec<_> = recalled.into_iter().filter_map(|(id, message)| outbound.found(id, message)).collect();
        for inflight in lost {
            tracing::warn!(connection = ?turn.connection(), topic = %inflight.topic, "a message in flight was trimmed");
            self.close_off(&inflight);
        }
        self.pump(turn);
    }

    pub(super) fn on_puback(&mut self, ack: &Ack<'_>, turn: &mut Turn<'_>) {
        let Some(live) = &mut self.live else { return };
        live.hand_receipt(ack.packet_id);
        if let Some(inflight) = live.state.outbound.acknowledged(ack.packet_id) {
            self.close_off(&inflight);
        }
        self.after_ack(turn);
    }

    pub(super) fn on_pubrec(&mut self, ack: &Ack<'_>, turn: &mut Turn<'_>) {
        let level = self.level;
        let Some(live) = &mut self.live else { return };
        match live.state.outbound.received(ack.packet_id, ack.reason.is_error()) {
            Received::Refused(inflight) => self.close_off(&inflight),
            Received::Unknown => live.release(ack.packet_id, ReasonCode::PacketIdentifierNotFound, level, turn),
            // PUBREL waits for the disk: otherwise a crash would bring the message a second time.
            Received::Release => live.needs_commit |= live.state.is_durable(),
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
        let Some(live) = &self.live else { return };
        self.hub.settle(&live.state.client_id, &inflight.source, inflight.offset);
    }

    fn after_ack(&mut self, turn: &mut Turn<'_>) {
        if let Some(live) = self.live.as_mut().filter(|live| live.state.is_durable() && !live.is_timer_set) {
            live.is_timer_set = true;
            turn.set_timer(FLIGHT_TIMER, FLIGHT_MS);
        }
        self.pump(turn);
    }
}

impl Live {
    /// Sends a message of quality 0.
    fn send_once(&mut self, outgoing: &Outgoing, level: Level, turn: &mut Turn<'_>) {
        let Outgoing { message, retain, ids, .. } = outgoing;
        self.send_publish(message, None, Qos::AtMostOnce, *retain, false, ids, level, turn);
    }

    /// Gives a message an id; a session that lasts writes that down.
    fn begin(&mut self, outgoing: Outgoing) {
        let is_durable = self.state.is_durable();
        self.is_flight_due |= is_durable;
        self.needs_commit |= is_durable && outgoing.qos == Qos::ExactlyOnce;
        self.state.outbound.begin(outgoing);
    }

    /// Sends the next packet that is due. `None` when there is none that may leave now, otherwise
    /// the message if it turned out to be undeliverable.
    fn send_next(&mut self, level: Level, turn: &mut Turn<'_>) -> Option<Option<Inflight>> {
        let must_be_recorded = self.state.is_durable();
        let next = self.state.outbound.next_due(must_be_recorded)?;
        let (id, qos, retain, dup) = (next.id, next.qos, next.retain, next.is_repeated);
        if next.stage == Stage::Released {
            self.release(id, ReasonCode::Success, level, turn);
            return Some(None);
        }
        let (message, ids) = (next.message.clone(), next.ids.clone());
        if message.as_ref().is_some_and(|m| self.send_publish(m, Some(id), qos, retain, dup, &ids, level, turn)) {
            return Some(None);
        }
        let inflight = self.state.outbound.forget(id)?;
        if let (Source::Shared(share), Some(message)) = (&inflight.source, message) {
            // Another member may be able to take it.
            share.refuse(&self.state.client_id, message);
            return Some(None);
        }
        Some(Some(inflight))
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
