//! One client's conversation.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::{Filter, Kind, Millis, Principal, Publication, Refusal, Since, TopicName};
use fanfare_door::{Goodbye, Happening, Reply, Session, SubscribeRequest, Subscribed, Ticket, Turn};
use fanfare_identity::{TokenError, Verdict};

use crate::V3_QOS_0;
use crate::codec::{self, Connect, ConnectCode, DecodeError, Limits, Packet, Publish, Subscribe, Unsubscribe};

/// Longest client id.
const CLIENT_ID_BYTES_MAX: usize = 256;

/// CONNECT must have come.
const HANDSHAKE_TIMER: u32 = 0;
/// Something must have been heard.
const KEEP_ALIVE_TIMER: u32 = 1;

/// The token is judged.
const VERIFIED: Ticket = 0;

/// What [`VERIFIED`] brings.
type Verified = Result<Arc<Principal>, TokenError>;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// CONNECT is awaited.
    Connecting,
    /// The keys for its token are fetched. What the client sends meanwhile waits.
    Verifying,
    /// CONNACK was sent.
    Connected,
    /// Nothing that comes is read any more.
    Ended,
}

/// The session of one MQTT connection, over TCP or WebSocket.
pub(crate) struct MqttSession {
    phase: Phase,
    /// How long the client may be silent: one and a half times its keep alive; 0 is for ever.
    silence_ms: u64,
    /// When the last packet was complete.
    heard_at: Millis,
    space: Arc<str>,
}

impl Session for MqttSession {
    fn handle(&mut self, happening: Happening<'_>, turn: &mut Turn<'_>) {
        match happening {
            Happening::Opened => {
                let timeout = turn.gateway().limits().handshake_timeout_ms;
                turn.set_timer(HANDSHAKE_TIMER, timeout);
            }
            Happening::Bytes(bytes) => {
                let used = self.read(bytes, turn);
                turn.consumed(used);
            }
            Happening::Timer(HANDSHAKE_TIMER) if self.phase == Phase::Connecting => {
                turn.gateway().metrics.limit("handshake_timeout");
                self.end(Goodbye::HandshakeTimeout, turn);
            }
            Happening::Timer(KEEP_ALIVE_TIMER) if self.phase == Phase::Connected => self.check_silence(turn),
            Happening::Answer(VERIFIED, reply) if self.phase == Phase::Verifying => {
                self.on_verified(verified(reply), turn);
                turn.read_again();
            }
            // 3.1.1 has no word for a subscription that ends early: the client must come again.
            Happening::Unsubscribed { .. } => self.end(session_end(1008, "unsubscribed"), turn),
            Happening::Goodbye(_) | Happening::Gone => self.phase = Phase::Ended,
            // Quality of service 0 promises nothing, and the rest is not asked for.
            Happening::Gap { .. }
            | Happening::Timer(_)
            | Happening::Answer(..)
            | Happening::Text(_)
            | Happening::Binary(_)
            | Happening::Clear
            | Happening::Told(_)
            | Happening::Delivery { .. } => {}
        }
    }
}

impl MqttSession {
    pub(crate) fn new(turn: &Turn<'_>) -> Self {
        let space = turn.gateway().default_space().clone();
        Self { phase: Phase::Connecting, silence_ms: 0, heard_at: turn.now(), space }
    }

    /// Deals with the packets in `bytes`; says how many bytes are done with.
    fn read(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> usize {
        let limits = turn.gateway().limits();
        // Whoever has not been let in yet may send, and have kept for it, as little as over HTTP.
        let packet_bytes = |phase| if phase == Phase::Connected { limits.message_bytes } else { limits.head_bytes };
        let mut used = 0;
        loop {
            match self.phase {
                Phase::Ended => return bytes.len(),
                Phase::Verifying if bytes.len() - used > limits.head_bytes => {
                    turn.gateway().metrics.limit("head_bytes");
                    self.end(session_end(1008, "too much before CONNACK"), turn);
                }
                Phase::Verifying => return used,
                Phase::Connecting | Phase::Connected => {
                    let limits = Limits { packet_bytes: packet_bytes(self.phase), filters: limits.subscriptions };
                    match codec::decode(&bytes[used..], &limits) {
                        Ok(Some((packet, length))) => {
                            used += length;
                            self.heard_at = turn.now();
                            self.on_packet(&packet, turn);
                        }
                        Ok(None) => return used,
                        Err(error) => self.on_broken(error, turn),
                    }
                }
            }
        }
    }

    fn on_packet(&mut self, packet: &Packet<'_>, turn: &mut Turn<'_>) {
        match (self.phase, packet) {
            (Phase::Connecting, Packet::Connect(connect)) => self.connect(connect, turn),
            (Phase::Connecting, _) => self.break_off("the first packet must be CONNECT", turn),
            (_, Packet::Connect(_)) => self.break_off("a second CONNECT", turn),
            (_, Packet::Publish(publish)) => self.publish(publish, turn),
            (_, Packet::Subscribe(subscribe)) => self.subscribe(subscribe, turn),
            (_, Packet::Unsubscribe(unsubscribe)) => self.unsubscribe(unsubscribe, turn),
            (_, Packet::PingRequest) => turn.send(codec::encode_ping_response),
            (_, Packet::Disconnect) => self.end(Goodbye::PeerClosed { code: None }, turn),
        }
    }

    fn connect(&mut self, connect: &Connect<'_>, turn: &mut Turn<'_>) {
        if connect.will.is_some() {
            return self.refuse_feature("will_unsupported", turn);
        }
        // Without an id there is nothing under which a lasting session could be found.
        let is_lost = connect.client_id.is_empty() && !connect.is_clean;
        if is_lost || connect.client_id.len() > CLIENT_ID_BYTES_MAX {
            return self.turn_away(ConnectCode::ClientId, "client_id", turn);
        }
        self.silence_ms = u64::from(connect.keep_alive) * 1_500;
        let gateway = turn.gateway().clone();
        let now = turn.now();
        let token = match connect.password.map(std::str::from_utf8) {
            None => return self.on_verified(gateway.gate.anonymous(now), turn),
            Some(Ok(token)) => token,
            Some(Err(_)) => return self.on_verified(Err(TokenError::Malformed("it is not text")), turn),
        };
        match gateway.gate.verify(token, now) {
            Verdict::Principal(principal) => self.on_verified(Ok(principal), turn),
            Verdict::Refused(error) => self.on_verified(Err(error), turn),
            Verdict::NeedsKeys => {
                let token = token.to_owned();
                let verifying = async move { gateway.gate.verify_with_fetch(&token, now).await };
                self.phase = Phase::Verifying;
                if turn.ask::<Verified>(VERIFIED, verifying).is_err() {
                    self.turn_away(ConnectCode::Unavailable, "overloaded", turn);
                }
            }
        }
    }

    fn on_verified(&mut self, verified: Verified, turn: &mut Turn<'_>) {
        let principal = match verified {
            Ok(principal) => principal,
            Err(error) => {
                tracing::debug!(connection = ?turn.connection(), %error, "a client was not let in");
                return self.turn_away(code_of(&error), error.code(), turn);
            }
        };
        self.phase = Phase::Connected;
        self.heard_at = turn.now();
        turn.set_principal(principal);
        turn.set_shape(V3_QOS_0);
        turn.send(|out| codec::encode_connack(out, ConnectCode::Accepted));
        if self.silence_ms > 0 {
            turn.set_timer(KEEP_ALIVE_TIMER, self.silence_ms);
        }
    }

    fn publish(&mut self, publish: &Publish<'_>, turn: &mut Turn<'_>) {
        if publish.qos > 0 {
            return self.refuse_feature("qos_unsupported", turn);
        }
        // There is no answer to a publish with quality of service 0: what is refused is dropped.
        if let Err(refusal) = self.try_publish(publish, turn) {
            tracing::debug!(connection = ?turn.connection(), topic = publish.topic, %refusal, "a publish was dropped");
            turn.count_refusal(refusal.code());
        }
    }

    fn try_publish(&self, publish: &Publish<'_>, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        if publish.topic.starts_with('$') {
            return Err(Refusal::InvalidTopic { reason: "topics that begin with '$' are the server's own" });
        }
        let topic = TopicName::new(publish.topic)?;
        let kind = if simdutf8::basic::from_utf8(publish.payload).is_ok() { Kind::Text } else { Kind::Binary };
        let payload = Bytes::copy_from_slice(publish.payload);
        let publication = Publication::new(self.space.clone(), topic, kind, payload);
        turn.publish(Publication { retain: publish.retain, ..publication }, None).map(drop)
    }

    fn subscribe(&mut self, packet: &Subscribe<'_>, turn: &mut Turn<'_>) {
        let (mut codes, mut replays) = (Vec::new(), Vec::new());
        for (text, _) in packet.filters() {
            match self.try_subscribe(text, turn) {
                Ok(subscribed) => {
                    codes.push(codec::GRANTED_QOS_0);
                    replays.push(subscribed.replay);
                }
                Err(refusal) => {
                    tracing::debug!(connection = ?turn.connection(), filter = text, %refusal, "a filter was refused");
                    turn.count_refusal(refusal.code());
                    codes.push(codec::FAILURE);
                }
            }
        }
        turn.send(|out| codec::encode_suback(out, packet.id, &codes));
        replays.into_iter().for_each(|replay| turn.begin(replay));
    }

    fn try_subscribe(&self, text: &str, turn: &mut Turn<'_>) -> Result<Subscribed, Refusal> {
        if text.starts_with("$share/") {
            return Err(Refusal::InvalidFilter { reason: "shared subscriptions are not offered" });
        }
        let request = SubscribeRequest {
            space: self.space.clone(),
            filter: Filter::new(text)?,
            since: Since::Now,
            wants_presence: false,
            is_tracked: false,
        };
        turn.subscribe(request)
    }

    fn unsubscribe(&mut self, packet: &Unsubscribe<'_>, turn: &mut Turn<'_>) {
        // A filter that is none, or was never subscribed to, is no reason to complain.
        for filter in packet.filters().filter_map(|text| Filter::new(text).ok()) {
            turn.unsubscribe(&self.space, &filter);
        }
        turn.send(|out| codec::encode_unsuback(out, packet.id));
    }

    fn check_silence(&mut self, turn: &mut Turn<'_>) {
        let silent_ms = turn.now().saturating_sub(self.heard_at);
        if silent_ms >= self.silence_ms {
            self.end(Goodbye::PingTimeout, turn);
        } else {
            turn.set_timer(KEEP_ALIVE_TIMER, self.silence_ms - silent_ms);
        }
    }

    fn on_broken(&mut self, error: DecodeError, turn: &mut Turn<'_>) {
        match error {
            DecodeError::ProtocolVersion { level } if self.phase == Phase::Connecting => {
                tracing::info!(connection = ?turn.connection(), level, "only MQTT 3.1.1 (level 4) is spoken here");
                self.turn_away(ConnectCode::ProtocolVersion, "protocol_version", turn);
            }
            DecodeError::TooLarge { .. } | DecodeError::TooManyFilters { .. } => self.give_up(1009, error, turn),
            _ => self.give_up(1002, error, turn),
        }
    }

    fn break_off(&mut self, reason: &'static str, turn: &mut Turn<'_>) {
        self.give_up(1002, DecodeError::Malformed(reason), turn);
    }

    fn give_up(&mut self, code: u16, error: DecodeError, turn: &mut Turn<'_>) {
        tracing::debug!(connection = ?turn.connection(), %error, "a client broke the protocol");
        self.end(Goodbye::ProtocolError { code, reason: error.to_string() }, turn);
    }

    /// Answers CONNECT with anything but a welcome.
    fn turn_away(&mut self, code: ConnectCode, reason: &'static str, turn: &mut Turn<'_>) {
        turn.count_refusal(reason);
        turn.send(|out| codec::encode_connack(out, code));
        self.end(session_end(1008, reason), turn);
    }

    /// Ends with a client that needs what this door does not do yet. 3.1.1 has no words for it, so
    /// the log has.
    fn refuse_feature(&mut self, name: &'static str, turn: &mut Turn<'_>) {
        tracing::info!(connection = ?turn.connection(), peer = %turn.peer(), reason = name, "an MQTT client was refused");
        turn.count_refusal(name);
        self.end(session_end(1008, name), turn);
    }

    fn end(&mut self, goodbye: Goodbye, turn: &mut Turn<'_>) {
        self.phase = Phase::Ended;
        turn.close(goodbye);
    }
}

fn session_end(code: u16, reason: &str) -> Goodbye {
    Goodbye::Session { code, reason: reason.to_owned() }
}

fn verified(reply: Reply) -> Verified {
    match reply {
        Reply::Value(value) => match value.downcast::<Verified>() {
            Ok(verified) => *verified,
            Err(_) => Err(TokenError::KeysUnavailable),
        },
        Reply::Committed(_) | Reply::Lost => Err(TokenError::KeysUnavailable),
    }
}

/// The door's words for what the gate refuses.
fn code_of(error: &TokenError) -> ConnectCode {
    match error {
        TokenError::Missing | TokenError::Revoked => ConnectCode::NotAuthorized,
        TokenError::KeysUnavailable => ConnectCode::Unavailable,
        _ => ConnectCode::Credentials,
    }
}
