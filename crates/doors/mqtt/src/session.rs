//! The conversation of one connection.
//!
//! `connecting` is what leads to CONNACK, `publishing` what the client sends, `subscribing` what it
//! asks for, `sending` what it gets, and `leaving` how it all ends.

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::sync::Arc;

use fanfare_core::{Millis, Principal, TopicName};
use fanfare_door::{Goodbye, Happening, Reply, Session, Ticket, Turn};
use fanfare_mqtt_codec::{self as codec, Ack, DecodeError, Disconnect, Level, Packet, PacketId, ReasonCode};
use hashbrown::HashMap;
use tokio::sync::oneshot;

use crate::authenticate::{Arrived, Authorization};
use crate::groups::Dealt;
use crate::hub::Hub;
use crate::iot::errands::Errand;
use crate::iot::lifecycle::{Ending, Life};
use crate::registry::Handover;
use crate::session::connecting::{Admission, Asking};
use crate::session::publishing::Answer;
use crate::state::State;
use crate::will::Will;

mod authorized;
mod connecting;
mod leaving;
mod publishing;
mod sending;
pub(crate) mod subscribing;
mod things;

pub(crate) use sending::{SILENT, encode_plain};

/// CONNECT must have come.
const CONNECT_TIMER: u32 = 0;
/// Something must have been heard.
const KEEP_ALIVE_TIMER: u32 = 1;
/// What is in flight is written down.
const FLIGHT_TIMER: u32 = 2;
/// An authorizer must be asked again.
const RENEWAL_TIMER: u32 = 3;
/// What the client has proved counts no longer.
const TERM_TIMER: u32 = 4;

/// Who the client is, or why nobody we know.
const ADMITTED: Ticket = 0;
/// The client id is ours.
const CLAIMED: Ticket = 1;
/// Messages in flight were read again.
const RECALLED: Ticket = 2;
/// A page of the log was read.
const PAGE: Ticket = 3;
/// Messages of quality 2 are in the ledger and may go on.
const RECORDED: Ticket = 4;
/// The session is in the ledger, and its client welcome.
const WELCOME: Ticket = 5;
/// An authorizer was asked again.
const RENEWED: Ticket = 6;
/// Tickets of answers that wait for the disk begin here.
const ANSWERS: Ticket = 16;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// CONNECT is awaited.
    Connecting,
    /// CONNACK is on its way. What the client sends meanwhile waits.
    Waiting,
    /// CONNACK was sent.
    Connected,
    /// Nothing that comes is read any more.
    Ended,
}

/// The session of one MQTT connection, over TCP or WebSocket.
pub(crate) struct MqttSession {
    hub: Arc<Hub>,
    phase: Phase,
    level: Level,
    /// How long the client may be silent; 0 is for ever.
    silence_ms: u64,
    /// When the last packet was complete.
    heard_at: Millis,
    /// How the client arrived, until CONNECT has come.
    arrived: Option<Box<Arrived>>,
    /// How long what it has proved counts, where that is bounded.
    authorization: Option<Box<Authorization>>,
    asking: Option<Box<Asking>>,
    live: Option<Box<Live>>,
    /// Why the connection ends, once that is known.
    ending: Option<Ending>,
    /// Hears of it when the client id is let go.
    on_left: Option<oneshot::Sender<()>>,
}

/// What a connection has once CONNACK was sent.
struct Live {
    state: State,
    will: Option<Box<Will>>,
    principal: Arc<Principal>,
    /// Rules say something about receiving, so that each message is looked at.
    checks_receiving: bool,
    /// Messages are brought to the session instead of being encoded once for many.
    is_tracked: bool,
    /// The largest packet that the client takes.
    packet_max: u32,
    /// Topics by the aliases that the client has given them.
    aliases_in: Vec<Option<TopicName>>,
    aliases_out: HashMap<TopicName, NonZeroU16, foldhash::fast::RandomState>,
    alias_max_out: u16,
    /// Answers in the order of their questions; the first ones may wait for the disk.
    answers: VecDeque<Answer>,
    next_answer: Ticket,
    /// Reasons for which nothing is sent now: recalls and SUBACKs under way.
    waits: usize,
    is_reading: bool,
    /// It goes on with the session of an earlier connection.
    is_resumed: bool,
    /// What is in flight has changed since it was written down; and something waits until it is.
    is_flight_due: bool,
    needs_commit: bool,
    is_committing: bool,
    /// It will be written down when the timer says so.
    is_timer_set: bool,
    holds_input: bool,
    connected_at: Millis,
    /// Seconds; 0 is for ever.
    keep_alive: u16,
    /// What events about it say; absent where there are none.
    life: Option<Box<Life>>,
    /// Who waits for acknowledgements of direct messages.
    receipts: Vec<(PacketId, oneshot::Sender<()>)>,
}

impl Session for MqttSession {
    fn handle(&mut self, happening: Happening<'_>, turn: &mut Turn<'_>) {
        match happening {
            Happening::Opened => {
                let timeout = turn.gateway().limits().handshake_timeout_ms;
                turn.set_timer(CONNECT_TIMER, timeout);
            }
            Happening::Bytes(bytes) => {
                let used = self.read(bytes, turn);
                turn.consumed(used);
            }
            Happening::Timer(timer) => self.on_timer(timer, turn),
            Happening::Answer(ticket, reply) => self.on_answer(ticket, reply, turn),
            Happening::Delivery { subscriptions, message, is_retained } => {
                self.on_delivery(subscriptions, message, is_retained, turn);
            }
            Happening::Clear => {
                self.write_down(turn);
                self.pump(turn);
            }
            Happening::Told(what) => self.on_told(what, turn),
            Happening::Unsubscribed { subscription } => self.on_revoked(subscription, turn),
            Happening::Goodbye(goodbye) => self.on_goodbye(goodbye, turn),
            Happening::Gone => self.on_gone(turn),
            // Subscriptions that could lose something are read from the log by the session itself.
            Happening::Gap { .. } | Happening::Text(_) | Happening::Binary(_) => {}
        }
    }
}

impl MqttSession {
    pub(crate) fn new(hub: Arc<Hub>, arrived: Option<Box<Arrived>>, turn: &Turn<'_>) -> Self {
        let (phase, level, heard_at) = (Phase::Connecting, Level::V4, turn.now());
        let (asking, authorization, live, ending, on_left) = (None, None, None, None, None);
        Self { hub, phase, level, silence_ms: 0, heard_at, arrived, authorization, asking, live, ending, on_left }
    }

    /// Deals with the packets in `bytes`; says how many bytes are done with.
    fn read(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> usize {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            match self.phase {
                Phase::Ended => return bytes.len(),
                Phase::Waiting => {
                    self.bound_early_bytes(rest.len(), turn);
                    return used;
                }
                Phase::Connected if self.live.as_ref().is_some_and(|live| live.holds_input) => return used,
                Phase::Connecting | Phase::Connected => match self.read_packet(rest, turn) {
                    Ok(Some(length)) => used += length,
                    Ok(None) => return used,
                    Err(error) => self.on_broken(error, turn),
                },
            }
        }
    }

    fn read_packet(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Result<Option<usize>, DecodeError> {
        let is_connecting = self.phase == Phase::Connecting;
        // Whoever has not been let in yet may send, and have kept for it, as little as over HTTP.
        let limits = turn.gateway().limits();
        let packet_max = if is_connecting { limits.head_bytes } else { self.hub.options.packet_bytes };
        let Some(frame) = codec::frame(bytes, packet_max)? else { return Ok(None) };
        self.heard_at = turn.now();
        if is_connecting {
            self.on_first(&frame, turn);
        } else {
            let packet = codec::decode(self.level, &frame)?;
            self.on_packet(&packet, turn);
        }
        Ok(Some(frame.length))
    }

    fn on_packet(&mut self, packet: &Packet<'_>, turn: &mut Turn<'_>) {
        match packet {
            Packet::Publish(publish) => self.on_publish(publish, turn),
            Packet::Ack(ack) => self.on_ack(ack, turn),
            Packet::Subscribe(subscribe) => self.on_subscribe(subscribe, turn),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(unsubscribe, turn),
            Packet::PingRequest => turn.send(codec::encode_ping_response),
            Packet::Disconnect(disconnect) => self.on_disconnect(disconnect, turn),
            // Nobody has agreed on a method, so there is nothing to go on with.
            Packet::Auth(_) => self.fail(ReasonCode::ProtocolError, "an AUTH without a method", turn),
        }
    }

    fn on_ack(&mut self, ack: &Ack<'_>, turn: &mut Turn<'_>) {
        match ack.kind {
            codec::AckKind::Puback => self.on_puback(ack, turn),
            codec::AckKind::Pubrec => self.on_pubrec(ack, turn),
            codec::AckKind::Pubrel => self.on_pubrel(ack, turn),
            codec::AckKind::Pubcomp => self.on_pubcomp(ack, turn),
        }
    }

    fn on_timer(&mut self, timer: u32, turn: &mut Turn<'_>) {
        match (timer, self.phase) {
            (CONNECT_TIMER, Phase::Connecting) => {
                turn.gateway().metrics.limit("handshake_timeout");
                self.phase = Phase::Ended;
                turn.close(Goodbye::HandshakeTimeout);
            }
            (KEEP_ALIVE_TIMER, Phase::Connected) => self.check_silence(turn),
            (FLIGHT_TIMER, Phase::Connected) => self.on_flight_timer(turn),
            (RENEWAL_TIMER, Phase::Connected) => self.renew(turn),
            (TERM_TIMER, Phase::Connected) => self.end_term(turn),
            _ => {}
        }
    }

    fn on_answer(&mut self, ticket: Ticket, reply: Reply, turn: &mut Turn<'_>) {
        match (ticket, self.phase, reply) {
            (ADMITTED, Phase::Waiting, Reply::Value(value)) => match value.downcast::<Admission>() {
                Ok(admission) => self.on_admission(*admission, turn),
                Err(_) => self.turn_away(ReasonCode::ServerUnavailable, "internal", turn),
            },
            (CLAIMED, Phase::Waiting, Reply::Value(value)) => match value.downcast::<Option<Handover>>() {
                Ok(handover) => self.on_handover(*handover, turn),
                Err(_) => self.turn_away(ReasonCode::ServerUnavailable, "internal", turn),
            },
            (ADMITTED | CLAIMED, Phase::Waiting, _) => self.turn_away(ReasonCode::ServerUnavailable, "internal", turn),
            (WELCOME, Phase::Waiting, Reply::Committed(result)) => self.on_kept(result, turn),
            (RECALLED, Phase::Connected, Reply::Value(value)) => self.on_recalled(value, turn),
            (PAGE, Phase::Connected, Reply::Value(value)) => self.on_page(value, turn),
            (RENEWED, Phase::Connected, reply) => self.on_renewed(reply, turn),
            (RECALLED | PAGE, Phase::Connected, _) => {
                self.fail(ReasonCode::UnspecifiedError, "the log is not there", turn)
            }
            (RECORDED, Phase::Connected, Reply::Committed(result)) => self.on_recorded(result, turn),
            (ticket, Phase::Connected, Reply::Committed(result)) => self.on_committed(ticket, result, turn),
            _ => {}
        }
    }

    fn on_told(&mut self, what: Box<dyn std::any::Any + Send>, turn: &mut Turn<'_>) {
        if self.phase != Phase::Connected {
            // What is dropped here finds its own way back.
            return;
        }
        let what = match what.downcast::<Dealt>() {
            Ok(dealt) => return self.on_dealt(*dealt, turn),
            Err(what) => what,
        };
        let what = match what.downcast::<Errand>() {
            Ok(errand) => return self.on_errand(*errand, turn),
            Err(what) => what,
        };
        if what.is::<leaving::LetGo>() {
            self.fail(ReasonCode::SessionTakenOver, "the client has connected again", turn);
        }
    }

    fn check_silence(&mut self, turn: &mut Turn<'_>) {
        if self.live.as_ref().is_some_and(|live| live.holds_input) {
            // It may have spoken: it is not listened to, because the disk is slow.
            self.heard_at = turn.now();
        }
        let silent_ms = turn.now().saturating_sub(self.heard_at);
        if silent_ms >= self.silence_ms {
            self.fail(ReasonCode::KeepAliveTimeout, "nothing was heard in one and a half keep alives", turn);
        } else {
            turn.set_timer(KEEP_ALIVE_TIMER, self.silence_ms - silent_ms);
        }
    }

    fn bound_early_bytes(&mut self, count: usize, turn: &mut Turn<'_>) {
        if count > turn.gateway().limits().head_bytes {
            turn.gateway().metrics.limit("head_bytes");
            self.turn_away(ReasonCode::PacketTooLarge, "too much before CONNACK", turn);
        }
    }

    fn on_broken(&mut self, error: DecodeError, turn: &mut Turn<'_>) {
        tracing::info!(connection = ?turn.connection(), peer = %turn.peer(), %error, "an MQTT client broke the protocol");
        turn.count_refusal("protocol_error");
        if self.phase == Phase::Connecting {
            self.phase = Phase::Ended;
            return turn.close(session_end(1002, "malformed CONNECT"));
        }
        self.ending.get_or_insert(Ending::ClientError);
        self.say_disconnect(error.reason(), turn);
        self.phase = Phase::Ended;
        turn.close(session_end(
            if matches!(error, DecodeError::TooLarge { .. }) { 1009 } else { 1002 },
            "protocol error",
        ));
    }

    /// Ends the connection for a reason that MQTT 5 can say.
    fn fail(&mut self, reason: ReasonCode, why: &'static str, turn: &mut Turn<'_>) {
        tracing::info!(connection = ?turn.connection(), peer = %turn.peer(), %reason, why, "an MQTT connection is ended");
        self.ending.get_or_insert(Ending::of_reason(reason));
        self.say_disconnect(reason, turn);
        self.phase = Phase::Ended;
        turn.close(session_end(1008, why));
    }

    fn say_disconnect(&self, reason: ReasonCode, turn: &mut Turn<'_>) {
        if self.phase == Phase::Connected && self.level.is_v5() {
            let packet_max = self.live.as_ref().map_or(u32::MAX, |live| live.packet_max);
            turn.send(|out| {
                // A client whose packets are smaller than this learns it from the closing.
                let _ = Disconnect::new(reason).encode(Level::V5, packet_max, out);
            });
        }
    }
}

/// The connection ends and this is what WebSocket says of it.
fn session_end(code: u16, reason: &str) -> Goodbye {
    Goodbye::Session { code, reason: reason.to_owned() }
}
