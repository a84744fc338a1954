//! A client that blocks, and that answers nothing by itself.

use std::io::{ErrorKind, Read, Write};
use std::num::NonZeroU16;

use fanfare_mqtt_codec::{
    self as codec, Ack, AckKind, Connect, Disconnect, Filters, Level, PacketId, Publish, Qos, ReasonCode, ServerPacket,
    Subscribe, Subscription, SubscriptionOptions, Subscriptions, Unsubscribe, Will, decode_from_server,
};
use fanfare_testkit::TestServer;
use fanfare_websocket::{Decoder, Incoming, Limits, MessageKind, Role, encode_message_masked};

use crate::link::{self, Link, Over};

pub(crate) const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
pub(crate) const LEVELS: [Level; 3] = [Level::V3, Level::V4, Level::V5];

pub(crate) fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Connack {
        session_present: bool,
        reason: ReasonCode,
    },
    Message(Message),
    Ack(AckKind, u16, ReasonCode),
    Suback(u16, Vec<ReasonCode>),
    Unsuback(u16, Vec<ReasonCode>),
    Pong,
    Disconnect(ReasonCode),
    /// The connection has ended; with the close code over WebSocket.
    End(Option<u16>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) id: Option<u16>,
    pub(crate) subscription_ids: Vec<u32>,
}

pub(crate) const WELCOME: Heard = Heard::Connack { session_present: false, reason: ReasonCode::Success };
pub(crate) const WELCOME_BACK: Heard = Heard::Connack { session_present: true, reason: ReasonCode::Success };

pub(crate) fn message(topic: &str, payload: &str) -> Heard {
    Heard::Message(Message { topic: topic.into(), payload: payload.into(), ..Message::default() })
}

pub(crate) fn refused(reason: ReasonCode) -> Heard {
    Heard::Connack { session_present: false, reason }
}

/// What a client says when it connects.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    pub(crate) level: Level,
    pub(crate) client_id: String,
    pub(crate) is_clean: bool,
    /// How long its session lasts; MQTT 3 says that with `is_clean`.
    pub(crate) expiry_s: Option<u32>,
    pub(crate) keep_alive: u16,
    pub(crate) will: Option<(String, Vec<u8>)>,
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) window: Option<u16>,
}

impl Default for Hello {
    fn default() -> Self {
        let (client_id, level) = (String::new(), Level::V4);
        let (expiry_s, will, password, window) = Default::default();
        Self { level, client_id, is_clean: true, expiry_s, keep_alive: 0, will, password, window }
    }
}

impl Hello {
    pub(crate) fn of(level: Level) -> Self {
        // MQTT 3.1 wants an id.
        let client_id = format!("client-{:x}", std::collections::hash_map::RandomState::new().hash());
        Self { level, client_id, ..Self::default() }
    }

    /// A client whose session waits for it.
    pub(crate) fn lasting(level: Level, client_id: &str) -> Self {
        let expiry_s = level.is_v5().then_some(1_000);
        Self { level, client_id: client_id.into(), is_clean: false, expiry_s, ..Self::default() }
    }

    pub(crate) fn with_token(token: &str) -> Self {
        Self { password: Some(token.into()), ..Self::default() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut connect = Connect::new(self.level, &self.client_id);
        connect.clean_start = self.is_clean;
        connect.keep_alive = self.keep_alive;
        connect.user_name = self.password.as_ref().map(|_| "anybody");
        connect.password = self.password.as_deref();
        connect.properties.session_expiry = self.expiry_s;
        connect.properties.receive_maximum = self.window.and_then(NonZeroU16::new);
        connect.will = self.will.as_ref().map(|(topic, payload)| Will {
            topic,
            payload,
            qos: Qos::AtLeastOnce,
            retain: false,
            delay_seconds: None,
            properties: codec::PublishProperties::default(),
        });
        encoded(|out| connect.encode(out).unwrap())
    }
}

trait AnyNumber {
    fn hash(&self) -> u64;
}

impl AnyNumber for std::collections::hash_map::RandomState {
    fn hash(&self) -> u64 {
        std::hash::BuildHasher::hash_one(self, 0)
    }
}

pub(crate) fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out
}

pub(crate) struct Client {
    link: Box<dyn Link>,
    pub(crate) level: Level,
    decoder: Option<Decoder>,
    inbox: Vec<u8>,
    close_code: Option<u16>,
}

impl Client {
    /// Connects the link and says nothing yet.
    pub(crate) fn open(server: &TestServer, over: Over) -> Self {
        let mut client = Self::bare(server, over);
        if over.is_websocket() {
            assert_eq!(client.upgrade(&["mqtt"]).as_deref(), Some("mqtt"));
        }
        client
    }

    /// The same without the upgrade.
    pub(crate) fn bare(server: &TestServer, over: Over) -> Self {
        let link = link::open(server, over);
        Self { link, level: Level::V4, decoder: None, inbox: Vec::new(), close_code: None }
    }

    pub(crate) fn upgrade(&mut self, subprotocols: &[&str]) -> Option<String> {
        let chosen = link::upgrade(&mut *self.link, subprotocols);
        self.decoder = Some(Decoder::new(Role::Client));
        chosen
    }

    /// Connects and says what the server answers.
    pub(crate) fn greet(server: &TestServer, over: Over, hello: &Hello) -> (Self, Heard) {
        let mut client = Self::open(server, over);
        client.level = hello.level;
        client.send(&hello.bytes());
        let answer = client.hear();
        (client, answer)
    }

    /// Connects and is let in.
    pub(crate) fn connect(server: &TestServer, over: Over, hello: &Hello) -> Self {
        let (client, answer) = Self::greet(server, over, hello);
        assert!(matches!(answer, Heard::Connack { reason: ReasonCode::Success, .. }), "{answer:?} {hello:?} {over:?}");
        client
    }

    /// Bytes in one piece: one write, or one binary message.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match self.decoder {
            Some(_) => self.send_message(MessageKind::Binary, bytes),
            None => self.link.write_all(bytes).unwrap(),
        }
    }

    pub(crate) fn send_message(&mut self, kind: MessageKind, payload: &[u8]) {
        let mut out = Vec::new();
        encode_message_masked(&mut out, kind, payload, MASK);
        self.link.write_all(&out).unwrap();
    }

    /// Subscribes with one quality for all filters, and says what was granted.
    pub(crate) fn subscribe(&mut self, filters: &[&str], qos: Qos) -> Vec<ReasonCode> {
        self.send(&self.subscription(filters, qos, None));
        match self.hear() {
            Heard::Suback(9, codes) => codes,
            other => panic!("{other:?} instead of SUBACK"),
        }
    }

    pub(crate) fn subscription(&self, filters: &[&str], qos: Qos, subscription_id: Option<u32>) -> Vec<u8> {
        let options = SubscriptionOptions::new(qos);
        let wishes: Vec<_> = filters.iter().map(|filter| Subscription { filter, options }).collect();
        let subscriptions = Subscriptions::new(&wishes);
        let subscribe =
            Subscribe { packet_id: id(9), subscription_id, user: codec::UserProperties::NONE, subscriptions };
        encoded(|out| subscribe.encode(self.level, u32::MAX, out).unwrap())
    }

    pub(crate) fn unsubscribe(&mut self, filters: &[&str]) {
        let filters = Filters::new(filters);
        let unsubscribe = Unsubscribe { packet_id: id(8), user: codec::UserProperties::NONE, filters };
        self.send(&encoded(|out| unsubscribe.encode(self.level, u32::MAX, out).unwrap()));
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &str) {
        self.send(&self.publication(topic, payload, 0));
    }

    /// `number` above 0 makes it quality 1.
    pub(crate) fn publication(&self, topic: &str, payload: &str, number: u16) -> Vec<u8> {
        let qos = if number > 0 { Qos::AtLeastOnce } else { Qos::AtMostOnce };
        self.packet(&Publish {
            topic,
            payload: payload.as_bytes(),
            qos,
            packet_id: PacketId::new(number),
            ..Publish::default()
        })
    }

    pub(crate) fn packet(&self, publish: &Publish<'_>) -> Vec<u8> {
        encoded(|out| publish.encode(self.level, u32::MAX, out).unwrap())
    }

    pub(crate) fn ack(&mut self, kind: AckKind, number: u16) {
        let ack = Ack::new(kind, id(number), ReasonCode::Success);
        self.send(&encoded(|out| ack.encode(self.level, u32::MAX, out).unwrap()));
    }

    pub(crate) fn disconnect(mut self) -> Heard {
        let disconnect = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        let bytes = match self.level {
            Level::V5 => encoded(|out| disconnect.encode(Level::V5, u32::MAX, out).unwrap()),
            _ => vec![0xE0, 0],
        };
        self.send(&bytes);
        self.hear()
    }

    /// The next message. Quality 1 is acknowledged, quality 2 as far as PUBREC.
    pub(crate) fn take(&mut self) -> Message {
        match self.hear() {
            Heard::Message(message) => {
                match (message.qos, message.id) {
                    (Qos::AtLeastOnce, Some(id)) => self.ack(AckKind::Puback, id),
                    (Qos::ExactlyOnce, Some(id)) => self.ack(AckKind::Pubrec, id),
                    _ => {}
                }
                message
            }
            other => panic!("{other:?} instead of a message"),
        }
    }

    /// Acknowledges and returns what is on its way.
    pub(crate) fn take_all(&mut self) -> Vec<Message> {
        self.send(&PING);
        let mut messages = Vec::new();
        loop {
            match self.hear() {
                Heard::Message(message) => {
                    if let Some(id) = message.id {
                        self.ack(AckKind::Puback, id);
                    }
                    messages.push(message);
                }
                Heard::Pong => return messages,
                other => panic!("{other:?} instead of a message"),
            }
        }
    }

    /// The next packet.
    pub(crate) fn hear(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.take_packet() {
                return heard;
            }
            let mut buffer = [0; 4_096];
            match self.link.read(&mut buffer) {
                Ok(0) => return Heard::End(self.close_code),
                Ok(count) => self.take_bytes(&mut buffer[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => {
                    return Heard::End(self.close_code);
                }
                Err(error) => panic!("nothing more was heard: {error}"),
            }
        }
    }

    fn take_bytes(&mut self, bytes: &mut [u8]) {
        let Some(decoder) = &mut self.decoder else { return self.inbox.extend_from_slice(bytes) };
        let limits = Limits { frame_bytes_max: 4 << 20, message_bytes_max: 4 << 20 };
        let mut input = bytes;
        while !input.is_empty() {
            let (consumed, incoming) = decoder.decode(input, &limits).unwrap();
            match incoming {
                Some(Incoming::Message { kind, payload }) => {
                    assert_eq!(kind, MessageKind::Binary);
                    self.inbox.extend_from_slice(payload);
                }
                Some(Incoming::Close { code, .. }) => {
                    self.close_code = code.map(|code| code.get());
                    let mut out = Vec::new();
                    fanfare_websocket::encode_close_masked(&mut out, fanfare_websocket::CloseCode(1000), "", MASK);
                    // The server may be gone already.
                    let _ = self.link.write_all(&out);
                }
                _ => {}
            }
            input = &mut input[consumed..];
        }
    }

    fn take_packet(&mut self) -> Option<Heard> {
        let frame = codec::frame(&self.inbox, 4 << 20).unwrap()?;
        let codes = |codes: codec::ReasonCodes<'_>| codes.iter().collect();
        let heard = match decode_from_server(self.level, &frame).unwrap() {
            ServerPacket::Connack(c) => Heard::Connack { session_present: c.session_present, reason: c.reason },
            ServerPacket::Publish(p) => Heard::Message(Message {
                topic: p.topic.into(),
                payload: p.payload.into(),
                qos: p.qos,
                retain: p.retain,
                dup: p.dup,
                id: p.packet_id.map(NonZeroU16::get),
                subscription_ids: p.subscription_ids.iter().collect(),
            }),
            ServerPacket::Ack(ack) => Heard::Ack(ack.kind, ack.packet_id.get(), ack.reason),
            ServerPacket::Suback(s) => Heard::Suback(s.packet_id.get(), codes(s.codes)),
            ServerPacket::Unsuback(u) => Heard::Unsuback(u.packet_id.get(), codes(u.codes)),
            ServerPacket::PingResponse => Heard::Pong,
            ServerPacket::Disconnect(d) => Heard::Disconnect(d.reason),
            ServerPacket::Auth(_) => panic!("nobody has agreed on a method"),
        };
        let length = frame.length;
        self.inbox.drain(..length);
        Some(heard)
    }

    /// Nothing but the answer to a ping is on its way.
    pub(crate) fn hears_nothing(&mut self) {
        self.send(&PING);
        assert_eq!(self.hear(), Heard::Pong);
    }
}

pub(crate) const PING: [u8; 2] = [0xC0, 0];
