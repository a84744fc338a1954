//! A connection over MQTT: it opens itself, passes on what it hears, and acknowledges it.

use fanfare_mqtt_codec::{
    Ack, AckKind, Connack, Connect, DecodeError, Disconnect, EncodeError, Frame, Level, PacketId, PacketType, Publish,
    Qos, ReasonCode, ServerPacket, Subscribe, Subscription, SubscriptionOptions, Subscriptions, UserProperties,
    decode_from_server, frame,
};

use crate::link::{Event, Gone, Plan, Welcome};
use crate::packets;
use crate::target::{SESSION_SECONDS, Session, Target};

/// The largest payload a run can ask for is 1 MB; topics are short.
const PACKET_BYTES_MAX: usize = 2 << 20;

/// The user name of connections with a token; servers that read the token do not look at it.
const USER: &str = "bench";

const SUBSCRIBE_ID: PacketId = PacketId::MIN;

impl From<DecodeError> for Gone {
    fn from(error: DecodeError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<EncodeError> for Gone {
    fn from(error: EncodeError) -> Self {
        Self::Broken(format!("a packet cannot be written: {error}"))
    }
}

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Connecting,
    Subscribing,
    Open,
}

/// What was said so far.
pub(crate) struct Conversation {
    phase: Phase,
    welcome: Welcome,
    /// The message that the server acknowledges next: it keeps their order.
    acknowledges: PacketId,
}

/// Appends CONNECT.
pub(crate) fn put_connect(target: &Target, plan: &Plan, index: usize, out: &mut Vec<u8>) -> Result<(), Gone> {
    let role = if plan.is_subscriber { 's' } else { 'p' };
    let client_id = format!("{}{role}{index}", target.clients);
    let mut connect = Connect::new(target.level, &client_id);
    if plan.is_subscriber && target.session != Session::Transient {
        connect.clean_start = false;
        connect.properties.session_expiry = Some(SESSION_SECONDS);
    }
    if let Some(token) = &target.token {
        connect.user_name = Some(USER);
        connect.password = Some(token.as_bytes());
    }
    Ok(connect.encode(out)?)
}

/// Appends DISCONNECT, which leaves a durable session behind.
pub(crate) fn put_disconnect(target: &Target, out: &mut Vec<u8>) -> Result<(), Gone> {
    Ok(Disconnect::new(ReasonCode::Success).encode(target.level, u32::MAX, out)?)
}

fn put_subscribe(target: &Target, topic: &str, out: &mut Vec<u8>) -> Result<(), Gone> {
    let subscription = Subscription { filter: topic, options: SubscriptionOptions::new(target.qos) };
    let subscribe = Subscribe {
        packet_id: SUBSCRIBE_ID,
        subscription_id: None,
        user: UserProperties::NONE,
        subscriptions: Subscriptions::new(std::slice::from_ref(&subscription)),
    };
    Ok(subscribe.encode(target.level, u32::MAX, out)?)
}

fn after(id: PacketId) -> PacketId {
    id.checked_add(1).unwrap_or(PacketId::MIN)
}

impl Conversation {
    /// Before the answer to CONNECT.
    pub(crate) fn new() -> Self {
        Self { phase: Phase::Connecting, welcome: Welcome::default(), acknowledges: PacketId::MIN }
    }

    /// Reads everything complete in `bytes` and returns its length; answers go to `out`.
    pub(crate) fn read<E: From<Gone>>(
        &mut self,
        target: &Target,
        plan: &Plan,
        bytes: &[u8],
        out: &mut Vec<u8>,
        tell: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut read = 0;
        while let Some(frame) = frame(&bytes[read..], PACKET_BYTES_MAX).map_err(Gone::from)? {
            read += frame.length;
            if frame.packet_type != PacketType::Publish {
                if let Some(event) = self.hear(target, plan, &frame, out)? {
                    tell(event)?;
                }
                continue;
            }
            if self.phase != Phase::Open || !plan.is_subscriber {
                return Err(Gone::Broken(format!("a message while {:?}, or to a publisher", self.phase)).into());
            }
            let delivery = packets::delivery(target.level, target.qos, &plan.topic, &frame).map_err(Gone::Broken)?;
            if let Some(id) = delivery.packet_id {
                let ack = Ack::new(AckKind::Puback, id, ReasonCode::Success);
                ack.encode(target.level, u32::MAX, out).map_err(Gone::from)?;
            }
            tell(if delivery.is_repeated { Event::Repeated(delivery.payload) } else { Event::Text(delivery.payload) })?;
        }
        Ok(read)
    }

    /// Everything but messages.
    fn hear(
        &mut self,
        target: &Target,
        plan: &Plan,
        frame: &Frame<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'static>>, Gone> {
        match (self.phase, decode_from_server(target.level, frame)?) {
            (Phase::Connecting, ServerPacket::Connack(connack)) => self.welcome(target, plan, &connack, out),
            (Phase::Subscribing, ServerPacket::Suback(suback)) => {
                let granted = if target.qos == Qos::AtMostOnce { ReasonCode::Success } else { ReasonCode::GrantedQos1 };
                match suback.codes.iter().next() {
                    Some(code) if code == granted => self.phase = Phase::Open,
                    code => return Err(said(&format!("SUBACK {code:?}"))),
                }
                Ok(Some(Event::Ready(self.welcome)))
            }
            (Phase::Open, ServerPacket::Ack(ack)) if ack.kind == AckKind::Puback => {
                if ack.packet_id != self.acknowledges || ack.reason.is_error() {
                    let next = self.acknowledges;
                    return Err(Gone::Broken(format!("{ack:?} where the thanks for message {next} come next")));
                }
                self.acknowledges = after(self.acknowledges);
                Ok(Some(Event::Acknowledged))
            }
            (_, ServerPacket::Disconnect(disconnect)) => Err(said(disconnect.reason.name())),
            (phase, packet) => Err(Gone::Broken(format!("{packet:?} while {phase:?}"))),
        }
    }

    /// The answer to CONNECT.
    fn welcome(
        &mut self,
        target: &Target,
        plan: &Plan,
        connack: &Connack<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'static>>, Gone> {
        if connack.reason.is_error() {
            return Err(said(connack.reason.name()));
        }
        let is_resumed = plan.is_subscriber && target.session == Session::Resume;
        if connack.session_present != is_resumed {
            let what = if is_resumed { "forgot the session" } else { "knows a session that is new" };
            return Err(Gone::Broken(format!("it {what}")));
        }
        self.welcome.receive_maximum = target
            .level
            .is_v5()
            .then(|| connack.properties.receive_maximum.map_or(u16::MAX, std::num::NonZeroU16::get));
        if plan.is_subscriber && !is_resumed {
            put_subscribe(target, &plan.topic, out)?;
            self.phase = Phase::Subscribing;
            return Ok(None);
        }
        self.phase = Phase::Open;
        Ok(Some(Event::Ready(self.welcome)))
    }
}

fn said(what: &str) -> Gone {
    Gone::Said { code: what.to_owned(), retry_ms: None }
}

/// Writes the publishes of one connection, all to one topic.
pub(crate) struct Publisher {
    topic: String,
    level: Level,
    qos: Qos,
    next: PacketId,
}

impl Publisher {
    pub(crate) fn new(target: &Target, topic: &str) -> Self {
        Self { topic: topic.to_owned(), level: target.level, qos: target.qos, next: PacketId::MIN }
    }

    /// Appends one publish.
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, payload: &[u8]) {
        let packet_id = (self.qos > Qos::AtMostOnce).then_some(self.next);
        let publish = Publish { topic: &self.topic, payload, packet_id, qos: self.qos, ..Publish::default() };
        publish.encode(self.level, u32::MAX, out).expect("a topic, an id, and a payload of at most 1 MB");
        self.next = after(self.next);
    }
}

#[cfg(test)]
mod tests {
    use fanfare_mqtt_codec::{Packet, ReasonCodes, Suback, decode, decode_connect};

    use super::*;
    use crate::args::{Common, DialectName};

    fn target(qos: u8, level: u8) -> Target {
        let common = Common {
            url: "mqtt://127.0.0.1".to_owned(),
            token: None,
            space: String::new(),
            pid: None,
            json: false,
            quiet: true,
            dialect: DialectName::Mqtt,
            qos,
            level,
            streams: 1,
            seconds: 1,
        };
        Target::new(&common).unwrap()
    }

    fn plan(is_subscriber: bool) -> Plan {
        Plan { topic: "a/b".into(), is_subscriber }
    }

    /// Reads all of `bytes` and returns what was told.
    fn read(conversation: &mut Conversation, target: &Target, bytes: &[u8], out: &mut Vec<u8>) -> Result<String, Gone> {
        let mut told = String::new();
        let is_subscriber = conversation.acknowledges == PacketId::MIN;
        let plan = plan(is_subscriber);
        let count = conversation.read(target, &plan, bytes, out, &mut |event| {
            told += match event {
                Event::Ready(_) => "ready ",
                Event::Text(_) | Event::Subscribed(..) => "text ",
                Event::Repeated(_) => "repeated ",
                Event::Acknowledged => "acknowledged ",
            };
            Ok::<(), Gone>(())
        })?;
        assert_eq!(count, bytes.len());
        Ok(told)
    }

    fn connack(target: &Target, session_present: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        Connack::new(session_present, ReasonCode::Success).encode(target.level, u32::MAX, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_subscriber_opens_and_acknowledges() {
        for level in [4, 5] {
            let target = target(1, level);
            let (mut conversation, mut out) = (Conversation::new(), Vec::new());
            assert_eq!(read(&mut conversation, &target, &connack(&target, false), &mut out), Ok(String::new()));
            let first = frame(&out, 1_000).unwrap().unwrap();
            let Packet::Subscribe(subscribe) = decode(target.level, &first).unwrap() else { panic!("{out:?}") };
            assert_eq!(subscribe.subscriptions.iter().next().unwrap().filter, "a/b");
            out.clear();
            let codes = ReasonCodes::new(&[ReasonCode::GrantedQos1]);
            let suback = Suback { packet_id: SUBSCRIBE_ID, codes, diagnostics: Default::default() };
            let mut bytes = Vec::new();
            suback.encode(target.level, u32::MAX, &mut bytes).unwrap();
            let mut publisher = Publisher::new(&target, "a/b");
            publisher.put(&mut bytes, b"1");
            publisher.put(&mut bytes, b"2");
            assert_eq!(read(&mut conversation, &target, &bytes, &mut out).as_deref(), Ok("ready text text "));
            assert_eq!(out, [0x40, 2, 0, 1, 0x40, 2, 0, 2]);
        }
    }

    #[test]
    fn acknowledgements_come_in_order() {
        let target = target(1, 5);
        let mut conversation = Conversation { phase: Phase::Open, ..Conversation::new() };
        let mut out = Vec::new();
        assert_eq!(read(&mut conversation, &target, &[0x40, 2, 0, 1], &mut out).as_deref(), Ok("acknowledged "));
        assert!(matches!(read(&mut conversation, &target, &[0x40, 2, 0, 3], &mut out), Err(Gone::Broken(_))));
    }

    #[test]
    fn packet_ids_begin_again_without_zero() {
        assert_eq!(after(PacketId::MAX), PacketId::MIN);
    }

    #[test]
    fn a_session_that_was_lost_is_noticed() {
        let mut target = target(1, 5);
        target.session = Session::Resume;
        let mut out = Vec::new();
        assert_eq!(read(&mut Conversation::new(), &target, &connack(&target, true), &mut out).as_deref(), Ok("ready "));
        let error = read(&mut Conversation::new(), &target, &connack(&target, false), &mut out).unwrap_err();
        assert!(error.to_string().contains("forgot the session"), "{error}");
        put_connect(&target, &plan(true), 7, &mut out).unwrap();
        let first = frame(&out, 1_000).unwrap().unwrap();
        let connect = decode_connect(&first).unwrap();
        assert!(!connect.clean_start && connect.client_id.ends_with("s7"), "{connect:?}");
    }
}
