//! SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK (MQTT 5, 3.8 to 3.11).

use crate::{
    DecodeError, Diagnostics, EncodeError, Frame, Level, PacketId, PacketType, Qos, ReasonCode, UserProperties,
    diagnostics::read_reason,
    filter::SHARE_PREFIX,
    frame::Sender,
    list::{Filters, ReasonCodes, Subscriptions},
    property::{MISPLACED, Property, PropertyReader, PropertySet, once},
    wire::{self, Reader},
};
use DecodeError::{Malformed, Protocol};

/// When a new subscription gets the messages that are retained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// 0: with every SUBSCRIBE.
    #[default]
    Send = 0,
    /// 1: if the subscription did not exist before.
    SendIfNew = 1,
    /// 2: never.
    DoNotSend = 2,
}

/// How a subscription wants its messages. MQTT 3 knows only the quality.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SubscriptionOptions {
    /// The highest quality of service.
    pub qos: Qos,
    /// Without messages of the same client.
    pub no_local: bool,
    /// With the RETAIN flag that the publisher has set.
    pub retain_as_published: bool,
    /// When to send retained messages.
    pub retain_handling: RetainHandling,
}

impl SubscriptionOptions {
    /// Only a quality of service, as in MQTT 3.
    #[must_use]
    pub const fn new(qos: Qos) -> Self {
        Self { qos, no_local: false, retain_as_published: false, retain_handling: RetainHandling::Send }
    }

    fn decode(level: Level, byte: u8) -> Result<Self, DecodeError> {
        let reserved = if level.is_v5() { 0b1100_0000 } else { 0b1111_1100 };
        if byte & reserved != 0 {
            return Err(Malformed("reserved bits in the options of a subscription"));
        }
        let retain_handling = match byte >> 4 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(Protocol("retain handling 3")),
        };
        Ok(Self {
            qos: Qos::from_u8(byte & 0b11).ok_or(Protocol("a subscription with quality of service 3"))?,
            no_local: byte & 0b100 != 0,
            retain_as_published: byte & 0b1000 != 0,
            retain_handling,
        })
    }

    fn as_u8(self, level: Level) -> u8 {
        if !level.is_v5() {
            return self.qos.as_u8();
        }
        let flags = u8::from(self.no_local) << 2 | u8::from(self.retain_as_published) << 3;
        self.qos.as_u8() | flags | (self.retain_handling as u8) << 4
    }
}

/// A filter and its options. The filter is a text, but not yet known to be a good filter: see
/// [`check_filter`](crate::check_filter).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// As it was sent, with `$share/name/` if it is shared.
    pub filter: &'a str,
    /// How to deliver.
    pub options: SubscriptionOptions,
}

impl<'a> Subscription<'a> {
    pub(crate) fn read(level: Level, body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let filter = body.text()?;
        let options = SubscriptionOptions::decode(level, body.u8()?)?;
        if options.no_local && filter.starts_with(SHARE_PREFIX) {
            return Err(Protocol("no local on a shared subscription"));
        }
        Ok(Self { filter, options })
    }
}

/// SUBSCRIBE, with at least one filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The packet's id.
    pub packet_id: PacketId,
    /// What deliveries for these filters are marked with, 1 to 268,435,455.
    pub subscription_id: Option<u32>,
    /// Anything else.
    pub user: UserProperties<'a>,
    /// Filters with their options, in order.
    pub subscriptions: Subscriptions<'a>,
}

impl<'a> Subscribe<'a> {
    pub(crate) fn decode(level: Level, frame: &Frame<'a>) -> Result<Self, DecodeError> {
        let mut body = Reader(frame.body);
        let packet_id = body.packet_id()?;
        let (mut subscription_id, mut user) = (None, UserProperties::NONE);
        if level.is_v5() {
            let mut properties = PropertyReader::take(&mut body)?;
            while let Some(property) = properties.next()? {
                match property {
                    Property::SubscriptionId(id) => once(&mut subscription_id, id)?,
                    _ => return Err(MISPLACED),
                }
            }
            user = properties.user();
        }
        Ok(Self { packet_id, subscription_id, user, subscriptions: Subscriptions::read(level, body)? })
    }

    /// Appends the packet; `packet_max` is what the server takes, in bytes.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`]; nothing was appended.
    pub fn encode(&self, level: Level, packet_max: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let filters: usize = self.subscriptions.iter().map(|one| wire::field_len(one.filter.len()) + 1).sum();
        let section = if level.is_v5() { self.section_len() } else { 0 };
        wire::begin(out, PacketType::Subscribe.first(), 2 + section + filters, packet_max)?;
        wire::put_u16(out, self.packet_id.get());
        if level.is_v5() {
            self.put_section(out);
        }
        for one in self.subscriptions.iter() {
            wire::put_field(out, one.filter.as_bytes());
            out.push(one.options.as_u8(level));
        }
        Ok(())
    }
}

impl<'a> PropertySet<'a> for Subscribe<'a> {
    fn list(&self) -> impl Iterator<Item = Property<'a>> {
        self.subscription_id.map(Property::SubscriptionId).into_iter()
    }

    fn user(&self) -> UserProperties<'a> {
        self.user
    }
}

/// UNSUBSCRIBE, with at least one filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// The packet's id.
    pub packet_id: PacketId,
    /// Anything else.
    pub user: UserProperties<'a>,
    /// Filters, in order.
    pub filters: Filters<'a>,
}

impl<'a> Unsubscribe<'a> {
    pub(crate) fn decode(level: Level, frame: &Frame<'a>) -> Result<Self, DecodeError> {
        let mut body = Reader(frame.body);
        let packet_id = body.packet_id()?;
        let mut user = UserProperties::NONE;
        if level.is_v5() {
            let mut properties = PropertyReader::take(&mut body)?;
            if properties.next()?.is_some() {
                return Err(MISPLACED);
            }
            user = properties.user();
        }
        Ok(Self { packet_id, user, filters: Filters::read(body)? })
    }

    /// Appends the packet; `packet_max` is what the server takes, in bytes.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`]; nothing was appended.
    pub fn encode(&self, level: Level, packet_max: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let properties = Diagnostics { reason_string: None, user: self.user };
        let filters: usize = self.filters.iter().map(|filter| wire::field_len(filter.len())).sum();
        let section = if level.is_v5() { properties.section_len() } else { 0 };
        wire::begin(out, PacketType::Unsubscribe.first(), 2 + section + filters, packet_max)?;
        wire::put_u16(out, self.packet_id.get());
        if level.is_v5() {
            properties.put_section(out);
        }
        self.filters.iter().for_each(|filter| wire::put_field(out, filter.as_bytes()));
        Ok(())
    }
}

/// SUBACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suback<'a> {
    /// The id of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// One for each filter, in its order.
    pub codes: ReasonCodes<'a>,
    /// Why, in words.
    pub diagnostics: Diagnostics<'a>,
}

impl<'a> Suback<'a> {
    pub(crate) fn decode(level: Level, frame: &Frame<'a>) -> Result<Self, DecodeError> {
        let (packet_id, diagnostics, codes) = read_answer(level, frame, PacketType::Suback)?;
        if !level.is_v5() && codes.iter().any(|code| code.is_error() && code != ReasonCode::UnspecifiedError) {
            return Err(Malformed("a return code that MQTT 3 does not have"));
        }
        Ok(Self { packet_id, codes, diagnostics })
    }

    /// Appends the packet, with as many words as the peer takes in `packet_max` bytes. For MQTT 3
    /// every failure becomes 0x80.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`]; nothing was appended.
    pub fn encode(&self, level: Level, packet_max: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let first = PacketType::Suback.first();
        put_answer(level, first, self.packet_id, self.diagnostics, self.codes.len(), packet_max, out)?;
        match level {
            Level::V5 => out.extend(self.codes.iter().map(ReasonCode::as_u8)),
            _ => out.extend(self.codes.iter().map(ReasonCode::to_v3_suback)),
        }
        Ok(())
    }
}

/// UNSUBACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsuback<'a> {
    /// The id of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// One for each filter, in its order. MQTT 3 has none.
    pub codes: ReasonCodes<'a>,
    /// Why, in words.
    pub diagnostics: Diagnostics<'a>,
}

impl<'a> Unsuback<'a> {
    pub(crate) fn decode(level: Level, frame: &Frame<'a>) -> Result<Self, DecodeError> {
        if level.is_v5() {
            let (packet_id, diagnostics, codes) = read_answer(level, frame, PacketType::Unsuback)?;
            return Ok(Self { packet_id, codes, diagnostics });
        }
        let mut body = Reader(frame.body);
        let packet_id = body.packet_id()?;
        body.end()?;
        Ok(Self { packet_id, codes: ReasonCodes::default(), diagnostics: Diagnostics::default() })
    }

    /// Appends the packet, with as many words as the peer takes in `packet_max` bytes. MQTT 3 gets
    /// neither codes nor words.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`]; nothing was appended.
    pub fn encode(&self, level: Level, packet_max: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let first = PacketType::Unsuback.first();
        let codes = if level.is_v5() { self.codes } else { ReasonCodes::default() };
        put_answer(level, first, self.packet_id, self.diagnostics, codes.len(), packet_max, out)?;
        out.extend(codes.iter().map(ReasonCode::as_u8));
        Ok(())
    }
}

fn read_answer<'a>(
    level: Level,
    frame: &Frame<'a>,
    packet: PacketType,
) -> Result<(PacketId, Diagnostics<'a>, ReasonCodes<'a>), DecodeError> {
    let mut body = Reader(frame.body);
    let packet_id = body.packet_id()?;
    let mut diagnostics = Diagnostics::default();
    if level.is_v5() {
        diagnostics = Diagnostics::read(PropertyReader::take(&mut body)?)?;
    }
    if body.is_empty() {
        return Err(Protocol("an answer without reason codes"));
    }
    for code in body.0 {
        read_reason(*code, packet, Sender::Server)?;
    }
    Ok((packet_id, diagnostics, ReasonCodes::from_wire(body.0)))
}

/// Everything but the codes, for which room is made.
fn put_answer(
    level: Level,
    first: u8,
    packet_id: PacketId,
    diagnostics: Diagnostics<'_>,
    codes: usize,
    packet_max: u32,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let section = |diagnostics: &Diagnostics<'_>| if level.is_v5() { diagnostics.section_len() } else { 0 };
    let body = |diagnostics: &Diagnostics<'_>| 2 + section(diagnostics) + codes;
    let diagnostics = diagnostics.fit(packet_max, body)?;
    wire::begin(out, first, body(&diagnostics), packet_max)?;
    wire::put_u16(out, packet_id.get());
    if level.is_v5() {
        diagnostics.put_section(out);
    }
    Ok(())
}
