//! Every packet of every level, made up.

use std::num::{NonZeroU16, NonZeroU32};

use fanfare_mqtt_codec::{
    Ack, AckKind, Auth, Connack, ConnackProperties, Connect, ConnectProperties, Diagnostics, Disconnect, Filters,
    Level, Publish, PublishProperties, Qos, ReasonCode, ReasonCodes, RetainHandling, Suback, Subscribe, Subscription,
    SubscriptionIds, SubscriptionOptions, Subscriptions, Unsuback, Unsubscribe, UserProperties, Will,
};
use proptest::{collection::vec, prelude::*};

use crate::id;

/// Texts, data and numbers that packets are made of; packets borrow from it.
#[derive(Clone, Debug)]
pub(crate) struct Seed {
    texts: Vec<String>,
    data: Vec<Vec<u8>>,
    pairs: Vec<(String, String)>,
    ids: Vec<u32>,
    bits: u64,
    number: u32,
}

prop_compose! {
    pub(crate) fn seed()(
        texts in vec("[a-zé/$ 𝄞]{1,12}", 6),
        data in vec(vec(any::<u8>(), 0..200), 2),
        pairs in vec(("[a-zü]{0,9}", ".{0,40}"), 0..4),
        ids in vec(1_u32..=268_435_455, 0..4),
        bits in any::<u64>(),
        number in 1..u32::MAX,
    ) -> Seed {
        let pairs = pairs.into_iter().map(|(name, value)| (name, value.replace('\0', ""))).collect();
        Seed { texts, data, pairs, ids, bits, number }
    }
}

/// What a seed needs to lend lists.
pub(crate) struct Lists<'a> {
    pairs: Vec<(&'a str, &'a str)>,
    subscriptions: Vec<Subscription<'a>>,
    filters: Vec<&'a str>,
    codes: Vec<ReasonCode>,
}

/// A packet in either direction.
pub(crate) enum Any<'a> {
    Connect(Connect<'a>),
    Connack(Connack<'a>),
    Publish(Publish<'a>),
    Ack(Ack<'a>),
    Subscribe(Subscribe<'a>),
    Suback(Suback<'a>),
    Unsubscribe(Unsubscribe<'a>),
    Unsuback(Unsuback<'a>),
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

impl Seed {
    fn bit(&self, index: u32) -> bool {
        self.bits >> (index % 64) & 1 == 1
    }

    fn when<T>(&self, index: u32, value: T) -> Option<T> {
        self.bit(index).then_some(value)
    }

    fn text(&self, index: usize) -> &str {
        &self.texts[index % self.texts.len()]
    }

    fn qos(&self) -> Qos {
        Qos::from_u8((self.bits >> 40 & 0xFF) as u8 % 3).expect("below 3")
    }

    fn short(&self) -> NonZeroU16 {
        NonZeroU16::new(self.number as u16 | 1).expect("odd")
    }

    pub(crate) fn lists(&self, level: Level) -> Lists<'_> {
        let handling = [RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend];
        let options = |index: u32| SubscriptionOptions {
            qos: self.qos(),
            no_local: self.bit(index) && level.is_v5(),
            retain_as_published: self.bit(index + 1) && level.is_v5(),
            retain_handling: if level.is_v5() { handling[(self.number + index) as usize % 3] } else { handling[0] },
        };
        let filters: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        Lists {
            pairs: self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            subscriptions: (0..)
                .zip(&filters)
                .map(|(index, filter)| Subscription { filter, options: options(index) })
                .collect(),
            filters,
            codes: vec![ReasonCode::Success, ReasonCode::UnspecifiedError],
        }
    }

    fn message<'a>(&'a self, user: UserProperties<'a>) -> PublishProperties<'a> {
        PublishProperties {
            payload_is_text: self.when(0, self.bit(1)),
            expiry_seconds: self.when(2, self.number),
            content_type: self.when(3, self.text(0)),
            response_topic: self.when(4, self.text(1)),
            correlation_data: self.when(5, &self.data[0]),
            user,
        }
    }

    fn publish<'a>(&'a self, level: Level, user: UserProperties<'a>) -> Publish<'a> {
        let (qos, is_v5) = (self.qos(), level.is_v5());
        Publish {
            topic: if is_v5 && self.bit(6) && self.bit(7) { "" } else { self.text(2) },
            topic_alias: self.when(6, self.short()).filter(|_| is_v5),
            payload: &self.data[1],
            packet_id: (qos > Qos::AtMostOnce).then(|| self.short()),
            qos,
            retain: self.bit(8),
            dup: self.bit(9) && qos > Qos::AtMostOnce,
            subscription_ids: if is_v5 { SubscriptionIds::new(&self.ids) } else { SubscriptionIds::NONE },
            properties: if is_v5 { self.message(user) } else { PublishProperties::default() },
        }
    }

    fn connect<'a>(&'a self, level: Level, user: UserProperties<'a>) -> Connect<'a> {
        let is_v5 = level.is_v5();
        let properties = ConnectProperties {
            session_expiry: self.when(10, self.number),
            receive_maximum: self.when(11, self.short()),
            maximum_packet_size: self.when(12, NonZeroU32::MIN),
            topic_alias_maximum: self.when(13, 0),
            request_response_information: self.when(14, self.bit(15)),
            request_problem_information: self.when(16, self.bit(17)),
            auth_method: self.when(18, self.text(3)),
            auth_data: self.when(18, self.data[0].as_slice()).filter(|_| self.bit(19)),
            user,
        };
        let will = Will {
            topic: self.text(4),
            payload: &self.data[1],
            qos: self.qos(),
            retain: self.bit(20),
            delay_seconds: self.when(21, self.number).filter(|_| is_v5),
            properties: if is_v5 { self.message(user) } else { PublishProperties::default() },
        };
        let user_name = self.when(22, self.text(5));
        Connect {
            level,
            client_id: if self.bit(23) { "" } else { self.text(0) },
            clean_start: self.bit(24),
            keep_alive: self.number as u16,
            will: self.when(25, will),
            user_name,
            password: self.when(26, self.data[0].as_slice()).filter(|_| is_v5 || user_name.is_some()),
            properties: if is_v5 { properties } else { ConnectProperties::default() },
        }
    }

    fn connack<'a>(&'a self, level: Level, diagnostics: Diagnostics<'a>) -> Connack<'a> {
        let properties = ConnackProperties {
            session_expiry: self.when(27, self.number),
            receive_maximum: self.when(28, self.short()),
            maximum_qos: self.when(29, if self.bit(30) { Qos::AtLeastOnce } else { Qos::AtMostOnce }),
            retain_available: self.when(31, self.bit(32)),
            maximum_packet_size: self.when(33, NonZeroU32::MAX),
            assigned_client_id: self.when(34, self.text(1)),
            topic_alias_maximum: self.when(35, self.number as u16),
            wildcards_available: self.when(36, self.bit(37)),
            subscription_ids_available: self.when(38, self.bit(39)),
            shared_available: self.when(40, self.bit(41)),
            server_keep_alive: self.when(42, 0),
            response_information: self.when(43, self.text(2)),
            server_reference: self.when(44, self.text(3)),
            auth_method: self.when(45, self.text(4)),
            auth_data: self.when(45, self.data[0].as_slice()).filter(|_| self.bit(46)),
        };
        let reason = if self.bit(47) { ReasonCode::NotAuthorized } else { ReasonCode::Success };
        let session_present = self.bit(48) && !reason.is_error() && level != Level::V3;
        let properties = if level.is_v5() { properties } else { ConnackProperties::default() };
        Connack { session_present, reason, properties, diagnostics }
    }

    fn ack<'a>(&'a self, level: Level, kind: AckKind, diagnostics: Diagnostics<'a>) -> Ack<'a> {
        let reason = match kind {
            _ if !level.is_v5() || self.bit(49) => ReasonCode::Success,
            AckKind::Puback | AckKind::Pubrec => ReasonCode::NoMatchingSubscribers,
            AckKind::Pubrel | AckKind::Pubcomp => ReasonCode::PacketIdentifierNotFound,
        };
        Ack { kind, packet_id: self.short(), reason, diagnostics }
    }

    /// One packet of each kind that the level has, and whether a server sends it.
    pub(crate) fn packets<'a>(&'a self, level: Level, lists: &'a Lists<'a>) -> Vec<(bool, Any<'a>)> {
        let is_v5 = level.is_v5();
        let user = if is_v5 { UserProperties::new(&lists.pairs) } else { UserProperties::NONE };
        let diagnostics = Diagnostics { reason_string: self.when(50, self.text(5)).filter(|_| is_v5), user };
        let packet_id = id(self.short().get());
        let from_server = self.publish(level, user);
        let codes = ReasonCodes::new(&lists.codes);
        let unsuback = if is_v5 { codes } else { ReasonCodes::default() };
        let subscription_id = self.ids.first().copied().filter(|_| is_v5);
        let subscriptions = Subscriptions::new(&lists.subscriptions);
        let mut disconnect = Disconnect::new(ReasonCode::Success);
        if is_v5 {
            disconnect = Disconnect { session_expiry: self.when(51, self.number), diagnostics, ..disconnect };
        }
        let mut packets = vec![
            (false, Any::Connect(self.connect(level, user))),
            (true, Any::Connack(self.connack(level, diagnostics))),
            (true, Any::Publish(from_server)),
            (false, Any::Publish(Publish { subscription_ids: SubscriptionIds::NONE, ..from_server })),
            (false, Any::Subscribe(Subscribe { packet_id, subscription_id, user, subscriptions })),
            (true, Any::Suback(Suback { packet_id, codes, diagnostics })),
            (false, Any::Unsubscribe(Unsubscribe { packet_id, user, filters: Filters::new(&lists.filters) })),
            (true, Any::Unsuback(Unsuback { packet_id, codes: unsuback, diagnostics })),
            (false, Any::Disconnect(disconnect)),
        ];
        for kind in [AckKind::Puback, AckKind::Pubrec, AckKind::Pubrel, AckKind::Pubcomp] {
            packets.push((self.bit(52), Any::Ack(self.ack(level, kind, diagnostics))));
        }
        if is_v5 {
            let server_reference = self.when(53, self.text(0));
            let reason = ReasonCode::ServerMoved;
            let disconnect = Disconnect { reason, session_expiry: None, server_reference, diagnostics };
            packets.push((true, Any::Disconnect(disconnect)));
            let (method, data) = (Some(self.text(1)), self.when(54, self.data[0].as_slice()));
            let auth = Auth { reason: ReasonCode::ContinueAuthentication, method, data, diagnostics };
            packets.push((self.bit(55), Any::Auth(auth)));
        }
        packets
    }
}

impl Any<'_> {
    /// The packet as bytes.
    pub(crate) fn bytes(&self, level: Level) -> Vec<u8> {
        let (mut out, max) = (Vec::new(), u32::MAX);
        match self {
            Self::Connect(packet) => packet.encode(&mut out),
            Self::Connack(packet) => packet.encode(level, max, &mut out),
            Self::Publish(packet) => packet.encode(level, max, &mut out),
            Self::Ack(packet) => packet.encode(level, max, &mut out),
            Self::Subscribe(packet) => packet.encode(level, max, &mut out),
            Self::Suback(packet) => packet.encode(level, max, &mut out),
            Self::Unsubscribe(packet) => packet.encode(level, max, &mut out),
            Self::Unsuback(packet) => packet.encode(level, max, &mut out),
            Self::Disconnect(packet) => packet.encode(level, max, &mut out),
            Self::Auth(packet) => packet.encode(level, max, &mut out),
        }
        .expect("everything fits");
        out
    }
}
