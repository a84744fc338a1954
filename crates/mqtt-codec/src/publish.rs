//! PUBLISH, and the properties that travel with a message (MQTT 5, 3.3).

use std::num::NonZeroU16;

use crate::{
    DecodeError, EncodeError, Frame, Level, PacketId, Qos, SubscriptionIds, TopicError, UserProperties,
    filter::has_wildcard,
    frame::Sender,
    property::{MISPLACED, Property, PropertyReader, PropertySet, once},
    wire::{self, Reader},
};
use DecodeError::{Malformed, Protocol};

/// What a message carries from its publisher to its subscribers, unaltered but for the time that
/// is left of the expiry. MQTT 3 has none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishProperties<'a> {
    /// Payload Format Indicator: whether the payload claims to be UTF-8. Nobody has checked.
    pub payload_is_text: Option<bool>,
    /// Message Expiry Interval in seconds.
    pub expiry_seconds: Option<u32>,
    /// What the payload is.
    pub content_type: Option<&'a str>,
    /// Where an answer should go: the name of a topic.
    pub response_topic: Option<&'a str>,
    /// What an answer should repeat.
    pub correlation_data: Option<&'a [u8]>,
    /// Anything else.
    pub user: UserProperties<'a>,
}

impl<'a> PublishProperties<'a> {
    /// Reads what [`encode`](Self::encode) has written, for messages that are kept.
    ///
    /// # Errors
    /// [`DecodeError`] for other bytes.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = PropertyReader::new(bytes);
        let mut properties = Self::default();
        while let Some(property) = reader.next()? {
            properties.accept(property)?;
        }
        properties.user = reader.user();
        Ok(properties)
    }

    /// Appends the properties as they are on the wire, without a length before them.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.put(out);
    }

    /// What [`encode`](Self::encode) appends, in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.bytes()
    }

    #[inline]
    pub(crate) fn accept(&mut self, property: Property<'a>) -> Result<(), DecodeError> {
        match property {
            Property::PayloadFormat(is_text) => once(&mut self.payload_is_text, is_text),
            Property::MessageExpiry(seconds) => once(&mut self.expiry_seconds, seconds),
            Property::ContentType(text) => once(&mut self.content_type, text),
            Property::ResponseTopic(topic) if topic.is_empty() || has_wildcard(topic) => {
                Err(Protocol("a response topic that is empty or has a wildcard"))
            }
            Property::ResponseTopic(topic) => once(&mut self.response_topic, topic),
            Property::CorrelationData(data) => once(&mut self.correlation_data, data),
            _ => Err(MISPLACED),
        }
    }
}

impl<'a> PropertySet<'a> for PublishProperties<'a> {
    #[inline]
    fn list(&self) -> impl Iterator<Item = Property<'a>> {
        let list = [
            self.payload_is_text.map(Property::PayloadFormat),
            self.expiry_seconds.map(Property::MessageExpiry),
            self.content_type.map(Property::ContentType),
            self.response_topic.map(Property::ResponseTopic),
            self.correlation_data.map(Property::CorrelationData),
        ];
        list.into_iter().flatten()
    }

    #[inline]
    fn user(&self) -> UserProperties<'a> {
        self.user
    }
}

/// PUBLISH, received or to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The name of the topic, without wildcards. Empty only with an alias that is already known.
    pub topic: &'a str,
    /// A number for the topic, for this connection and direction. MQTT 3 has none.
    pub topic_alias: Option<NonZeroU16>,
    /// The message.
    pub payload: &'a [u8],
    /// The packet's id, exactly if `qos` is above 0.
    pub packet_id: Option<PacketId>,
    /// Quality of service.
    pub qos: Qos,
    /// To be retained, or a retained one.
    pub retain: bool,
    /// Sent before; only with a `qos` above 0.
    pub dup: bool,
    /// Only from servers. MQTT 3 has none.
    pub subscription_ids: SubscriptionIds<'a>,
    /// What travels with the message.
    pub properties: PublishProperties<'a>,
}

impl<'a> Publish<'a> {
    #[inline]
    pub(crate) fn decode(level: Level, frame: &Frame<'a>, sender: Sender) -> Result<Self, DecodeError> {
        let mut body = Reader(frame.body);
        let topic = body.text()?;
        if has_wildcard(topic) {
            return Err(TopicError::Wildcard.into());
        }
        let qos = Qos::from_u8(frame.first >> 1 & 0b11).ok_or(Malformed("quality of service 3"))?;
        let packet_id = if qos > Qos::AtMostOnce { Some(body.packet_id()?) } else { None };
        let (retain, dup) = (frame.first & 1 != 0, frame.first & 0b1000 != 0);
        let mut publish = Self { topic, packet_id, qos, retain, dup, ..Self::default() };
        if level.is_v5() {
            publish.read_properties(PropertyReader::take(&mut body)?, sender)?;
        }
        if topic.is_empty() && publish.topic_alias.is_none() {
            return Err(match level {
                Level::V5 => Protocol("neither a topic nor a topic alias"),
                _ => TopicError::Empty.into(),
            });
        }
        publish.payload = body.0;
        Ok(publish)
    }

    #[inline]
    fn read_properties(&mut self, mut reader: PropertyReader<'a>, sender: Sender) -> Result<(), DecodeError> {
        while let Some(property) = reader.next()? {
            match property {
                Property::TopicAlias(alias) => once(&mut self.topic_alias, alias)?,
                Property::SubscriptionId(_) if sender == Sender::Client => {
                    return Err(Protocol("a subscription identifier from a client"));
                }
                Property::SubscriptionId(_) => {
                    self.subscription_ids = SubscriptionIds::from_section(reader.section());
                }
                _ => self.properties.accept(property)?,
            }
        }
        self.properties.user = reader.user();
        Ok(())
    }

    /// What [`encode`](Self::encode) appends, in bytes.
    #[must_use]
    pub fn encoded_len(&self, level: Level) -> usize {
        wire::packet_len(self.body_len(level, self.bytes()))
    }

    /// `properties` is their length in bytes.
    #[inline]
    fn body_len(&self, level: Level, properties: usize) -> usize {
        let id = if self.qos > Qos::AtMostOnce { 2 } else { 0 };
        let section = if level.is_v5() { wire::varint_len(properties) + properties } else { 0 };
        wire::field_len(self.topic.len()) + id + section + self.payload.len()
    }

    /// Appends the packet for a peer that takes `packet_max` bytes (`u32::MAX` if it set no limit).
    /// For MQTT 3 alias, identifiers and properties are left out.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`], [`EncodeError::NoTopic`] and [`EncodeError::NoPacketId`]; nothing
    /// was appended.
    pub fn encode(&self, level: Level, packet_max: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.topic.is_empty() && !(level.is_v5() && self.topic_alias.is_some()) {
            return Err(EncodeError::NoTopic);
        }
        let (packet_id, dup) = match (self.qos, self.packet_id) {
            (Qos::AtMostOnce, _) => (None, false),
            (_, None) => return Err(EncodeError::NoPacketId),
            (_, id) => (id, self.dup),
        };
        let properties = if level.is_v5() { self.bytes() } else { 0 };
        let first = 0x30 | u8::from(dup) << 3 | self.qos.as_u8() << 1 | u8::from(self.retain);
        wire::begin(out, first, self.body_len(level, properties), packet_max)?;
        wire::put_field(out, self.topic.as_bytes());
        if let Some(id) = packet_id {
            wire::put_u16(out, id.get());
        }
        if level.is_v5() {
            wire::put_varint(out, properties);
            self.put(out);
        }
        out.extend_from_slice(self.payload);
        Ok(())
    }
}

impl<'a> PropertySet<'a> for Publish<'a> {
    #[inline]
    fn list(&self) -> impl Iterator<Item = Property<'a>> {
        let ids = self.subscription_ids.iter().map(Property::SubscriptionId);
        self.topic_alias.map(Property::TopicAlias).into_iter().chain(ids).chain(self.properties.list())
    }

    #[inline]
    fn user(&self) -> UserProperties<'a> {
        self.properties.user
    }
}
