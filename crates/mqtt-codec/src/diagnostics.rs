//! What most answers may add for people, and leave out where it does not fit.

use crate::{
    DecodeError, EncodeError, PacketType, ReasonCode, UserProperties,
    frame::Sender,
    property::{Property, PropertyReader, PropertySet},
    wire::{self, Reader},
};

/// Why, in words. A peer may ask to be spared them with Request Problem Information 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics<'a> {
    /// A sentence for people.
    pub reason_string: Option<&'a str>,
    /// Anything else.
    pub user: UserProperties<'a>,
}

impl<'a> Diagnostics<'a> {
    /// As much as fits: all, or all but the reason string, or nothing. `body` says how long the
    /// body of the packet is then.
    pub(crate) fn fit(self, packet_max: u32, body: impl Fn(&Self) -> usize) -> Result<Self, EncodeError> {
        [self, Self { reason_string: None, ..self }, Self::default()]
            .into_iter()
            .find(|candidate| wire::fits(body(candidate), packet_max))
            .ok_or(EncodeError::TooLarge { limit: packet_max })
    }

    /// Reads a section that holds nothing else.
    pub(crate) fn read(mut properties: PropertyReader<'a>) -> Result<Self, DecodeError> {
        let mut reason_string = None;
        while let Some(property) = properties.next()? {
            match property {
                Property::ReasonString(text) => crate::property::once(&mut reason_string, text)?,
                _ => return Err(crate::property::MISPLACED),
            }
        }
        Ok(Self { reason_string, user: properties.user() })
    }
}

impl<'a> PropertySet<'a> for Diagnostics<'a> {
    fn list(&self) -> impl Iterator<Item = Property<'a>> {
        self.reason_string.map(Property::ReasonString).into_iter()
    }

    fn user(&self) -> UserProperties<'a> {
        self.user
    }
}

/// Reads a reason code that this side may send in this packet.
pub(crate) fn read_reason(code: u8, packet: PacketType, sender: Sender) -> Result<ReasonCode, DecodeError> {
    ReasonCode::from_u8(code)
        .filter(|reason| reason.is_allowed(packet, sender))
        .ok_or(DecodeError::Protocol("a reason code that has no place in this packet"))
}

/// Reads the end that acknowledgements, DISCONNECT and AUTH have in common: nothing, or a reason
/// code, or a reason code and properties.
pub(crate) fn read_tail<'a>(
    mut body: Reader<'a>,
    packet: PacketType,
    sender: Sender,
) -> Result<(ReasonCode, PropertyReader<'a>), DecodeError> {
    if body.is_empty() {
        return Ok((ReasonCode::Success, PropertyReader::default()));
    }
    let reason = read_reason(body.u8()?, packet, sender)?;
    if body.is_empty() {
        return Ok((reason, PropertyReader::default()));
    }
    let properties = PropertyReader::take(&mut body)?;
    body.end()?;
    Ok((reason, properties))
}

/// How long the shortest form of that end is.
pub(crate) fn tail_len<'a>(reason: ReasonCode, properties: &impl PropertySet<'a>) -> usize {
    match (reason, properties.bytes()) {
        (ReasonCode::Success, 0) => 0,
        (_, 0) => 1,
        _ => 1 + properties.section_len(),
    }
}

/// Appends the shortest form of that end.
pub(crate) fn put_tail<'a>(out: &mut Vec<u8>, reason: ReasonCode, properties: &impl PropertySet<'a>) {
    let length = tail_len(reason, properties);
    if length > 0 {
        out.push(reason.as_u8());
    }
    if length > 1 {
        properties.put_section(out);
    }
}
