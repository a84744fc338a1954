//! Properties of MQTT 5: one at a time, and sections of them (2.2.2).

use std::num::{NonZeroU16, NonZeroU32};

use crate::{
    DecodeError, Qos, UserProperties,
    wire::{self, Reader},
};
use DecodeError::{Malformed, Protocol};

/// One property. Which packet may carry it is decided where the packet is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Property<'a> {
    PayloadFormat(bool),
    MessageExpiry(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    SubscriptionId(u32),
    SessionExpiry(u32),
    AssignedClientId(&'a str),
    ServerKeepAlive(u16),
    AuthMethod(&'a str),
    AuthData(&'a [u8]),
    RequestProblemInformation(bool),
    WillDelay(u32),
    RequestResponseInformation(bool),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonString(&'a str),
    ReceiveMaximum(NonZeroU16),
    TopicAliasMaximum(u16),
    TopicAlias(NonZeroU16),
    MaximumQos(Qos),
    RetainAvailable(bool),
    User(&'a str, &'a str),
    MaximumPacketSize(NonZeroU32),
    WildcardsAvailable(bool),
    SubscriptionIdsAvailable(bool),
    SharedAvailable(bool),
}

/// How a property's value looks on the wire.
enum Value<'a> {
    U8(u8),
    U16(u16),
    U32(u32),
    Varint(u32),
    Field(&'a [u8]),
    Pair(&'a str, &'a str),
}

impl<'a> Property<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            0x01 => Self::PayloadFormat(boolean(reader)?),
            0x02 => Self::MessageExpiry(reader.u32()?),
            0x03 => Self::ContentType(reader.text()?),
            0x08 => Self::ResponseTopic(reader.text()?),
            0x09 => Self::CorrelationData(reader.binary()?),
            0x0B => match reader.varint()? {
                0 => return Err(Protocol("subscription identifier 0")),
                id => Self::SubscriptionId(id),
            },
            0x11 => Self::SessionExpiry(reader.u32()?),
            0x12 => Self::AssignedClientId(reader.text()?),
            0x13 => Self::ServerKeepAlive(reader.u16()?),
            0x15 => Self::AuthMethod(reader.text()?),
            0x16 => Self::AuthData(reader.binary()?),
            0x17 => Self::RequestProblemInformation(boolean(reader)?),
            0x18 => Self::WillDelay(reader.u32()?),
            0x19 => Self::RequestResponseInformation(boolean(reader)?),
            0x1A => Self::ResponseInformation(reader.text()?),
            0x1C => Self::ServerReference(reader.text()?),
            0x1F => Self::ReasonString(reader.text()?),
            0x21 => Self::ReceiveMaximum(NonZeroU16::new(reader.u16()?).ok_or(Protocol("receive maximum 0"))?),
            0x22 => Self::TopicAliasMaximum(reader.u16()?),
            0x23 => Self::TopicAlias(NonZeroU16::new(reader.u16()?).ok_or(DecodeError::TopicAlias)?),
            0x24 => Self::MaximumQos(if boolean(reader)? { Qos::AtLeastOnce } else { Qos::AtMostOnce }),
            0x25 => Self::RetainAvailable(boolean(reader)?),
            0x26 => Self::User(reader.text()?, reader.text()?),
            0x27 => Self::MaximumPacketSize(NonZeroU32::new(reader.u32()?).ok_or(Protocol("maximum packet size 0"))?),
            0x28 => Self::WildcardsAvailable(boolean(reader)?),
            0x29 => Self::SubscriptionIdsAvailable(boolean(reader)?),
            0x2A => Self::SharedAvailable(boolean(reader)?),
            _ => return Err(Malformed("an unknown property")),
        })
    }

    fn parts(self) -> (u8, Value<'a>) {
        match self {
            Self::PayloadFormat(is_text) => (0x01, Value::U8(is_text.into())),
            Self::MessageExpiry(seconds) => (0x02, Value::U32(seconds)),
            Self::ContentType(text) => (0x03, Value::Field(text.as_bytes())),
            Self::ResponseTopic(text) => (0x08, Value::Field(text.as_bytes())),
            Self::CorrelationData(data) => (0x09, Value::Field(data)),
            Self::SubscriptionId(id) => (0x0B, Value::Varint(id)),
            Self::SessionExpiry(seconds) => (0x11, Value::U32(seconds)),
            Self::AssignedClientId(text) => (0x12, Value::Field(text.as_bytes())),
            Self::ServerKeepAlive(seconds) => (0x13, Value::U16(seconds)),
            Self::AuthMethod(text) => (0x15, Value::Field(text.as_bytes())),
            Self::AuthData(data) => (0x16, Value::Field(data)),
            Self::RequestProblemInformation(is_wanted) => (0x17, Value::U8(is_wanted.into())),
            Self::WillDelay(seconds) => (0x18, Value::U32(seconds)),
            Self::RequestResponseInformation(is_wanted) => (0x19, Value::U8(is_wanted.into())),
            Self::ResponseInformation(text) => (0x1A, Value::Field(text.as_bytes())),
            Self::ServerReference(text) => (0x1C, Value::Field(text.as_bytes())),
            Self::ReasonString(text) => (0x1F, Value::Field(text.as_bytes())),
            Self::ReceiveMaximum(count) => (0x21, Value::U16(count.get())),
            Self::TopicAliasMaximum(count) => (0x22, Value::U16(count)),
            Self::TopicAlias(alias) => (0x23, Value::U16(alias.get())),
            Self::MaximumQos(qos) => (0x24, Value::U8(qos.as_u8())),
            Self::RetainAvailable(is_available) => (0x25, Value::U8(is_available.into())),
            Self::User(name, value) => (0x26, Value::Pair(name, value)),
            Self::MaximumPacketSize(bytes) => (0x27, Value::U32(bytes.get())),
            Self::WildcardsAvailable(is_available) => (0x28, Value::U8(is_available.into())),
            Self::SubscriptionIdsAvailable(is_available) => (0x29, Value::U8(is_available.into())),
            Self::SharedAvailable(is_available) => (0x2A, Value::U8(is_available.into())),
        }
    }

    /// Id and value, in bytes.
    #[inline]
    pub(crate) fn len(self) -> usize {
        1 + match self.parts().1 {
            Value::U8(_) => 1,
            Value::U16(_) => 2,
            Value::U32(_) => 4,
            Value::Varint(value) => wire::varint_len(value as usize),
            Value::Field(bytes) => wire::field_len(bytes.len()),
            Value::Pair(name, value) => wire::field_len(name.len()) + wire::field_len(value.len()),
        }
    }

    #[inline]
    pub(crate) fn put(self, out: &mut Vec<u8>) {
        let (id, value) = self.parts();
        out.push(id);
        match value {
            Value::U8(value) => out.push(value),
            Value::U16(value) => wire::put_u16(out, value),
            Value::U32(value) => out.extend_from_slice(&value.to_be_bytes()),
            Value::Varint(value) => wire::put_varint(out, value as usize),
            Value::Field(bytes) => wire::put_field(out, bytes),
            Value::Pair(name, value) => {
                wire::put_field(out, name.as_bytes());
                wire::put_field(out, value.as_bytes());
            }
        }
    }
}

fn boolean(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Protocol("a property that is 0 or 1 has another value")),
    }
}

/// A property that this packet does not have.
pub(crate) const MISPLACED: DecodeError = Malformed("a property that has no place in this packet");

/// Keeps the first value and refuses a second one.
#[inline]
pub(crate) fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), DecodeError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Protocol("a property is there twice")),
    }
}

/// A section of properties that is being read. Keeps the user properties to itself.
#[derive(Debug, Default)]
pub(crate) struct PropertyReader<'a> {
    section: &'a [u8],
    rest: Reader<'a>,
    user: UserProperties<'a>,
    /// Where in the section the first user property begins.
    user_from: Option<usize>,
}

impl<'a> PropertyReader<'a> {
    /// Takes a length and the section that is so long.
    #[inline]
    pub(crate) fn take(body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let length = body.varint()?;
        Ok(Self::new(body.take(length as usize)?))
    }

    #[inline]
    pub(crate) fn new(section: &'a [u8]) -> Self {
        Self { section, rest: Reader(section), user: UserProperties::NONE, user_from: None }
    }

    /// The next property that is not a user property.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Property<'a>>, DecodeError> {
        while !self.rest.is_empty() {
            let start = self.offset();
            match Property::read(&mut self.rest)? {
                Property::User(..) => {
                    let (from, end) = (*self.user_from.get_or_insert(start), self.offset());
                    self.user.found(&self.section[from..end], end - start);
                }
                property => return Ok(Some(property)),
            }
        }
        Ok(None)
    }

    fn offset(&self) -> usize {
        self.section.len() - self.rest.0.len()
    }

    /// The user properties, once [`next`](Self::next) has found the end.
    pub(crate) fn user(&self) -> UserProperties<'a> {
        self.user
    }

    /// The whole section.
    pub(crate) fn section(&self) -> &'a [u8] {
        self.section
    }
}

/// Properties that can be written.
pub(crate) trait PropertySet<'a> {
    /// All but the user properties.
    fn list(&self) -> impl Iterator<Item = Property<'a>>;

    /// The user properties, which are written last.
    fn user(&self) -> UserProperties<'a>;

    /// The properties in bytes, without the length before them.
    #[inline]
    fn bytes(&self) -> usize {
        self.list().map(Property::len).sum::<usize>() + self.user().bytes()
    }

    /// The properties in bytes, with the length before them.
    #[inline]
    fn section_len(&self) -> usize {
        let bytes = self.bytes();
        wire::varint_len(bytes) + bytes
    }

    /// Appends the properties, without the length before them.
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        self.list().for_each(|property| property.put(out));
        self.user().put(out);
    }

    /// Appends the properties, with the length before them.
    #[inline]
    fn put_section(&self, out: &mut Vec<u8>) {
        wire::put_varint(out, self.bytes());
        self.put(out);
    }
}
