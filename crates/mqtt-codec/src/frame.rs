//! Where packets begin and end, and what their first byte says.

use crate::{DecodeError, wire};
use DecodeError::Malformed;

/// The dialect of a connection, chosen by its CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// MQTT 3.1, which calls itself MQIsdp.
    V3 = 3,
    /// MQTT 3.1.1.
    V4 = 4,
    /// MQTT 5.0.
    V5 = 5,
}

impl Level {
    /// Whether packets carry properties and reason codes.
    #[must_use]
    pub const fn is_v5(self) -> bool {
        matches!(self, Self::V5)
    }
}

/// Quality of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Qos {
    /// 0: sent once, perhaps lost.
    #[default]
    AtMostOnce = 0,
    /// 1: repeated until acknowledged.
    AtLeastOnce = 1,
    /// 2: neither lost nor doubled.
    ExactlyOnce = 2,
}

impl Qos {
    /// The quality with this number; `None` above 2.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self as u8
    }
}

/// Who sends a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Server,
}

/// Types of packets, with their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum PacketType {
    Connect = 1,
    Connack = 2,
    Publish = 3,
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
    Subscribe = 8,
    Suback = 9,
    Unsubscribe = 10,
    Unsuback = 11,
    Pingreq = 12,
    Pingresp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    /// The type in the upper half of a first byte; `None` for the reserved type 0.
    #[must_use]
    pub const fn from_first(first: u8) -> Option<Self> {
        Some(match first >> 4 {
            1 => Self::Connect,
            2 => Self::Connack,
            3 => Self::Publish,
            4 => Self::Puback,
            5 => Self::Pubrec,
            6 => Self::Pubrel,
            7 => Self::Pubcomp,
            8 => Self::Subscribe,
            9 => Self::Suback,
            10 => Self::Unsubscribe,
            11 => Self::Unsuback,
            12 => Self::Pingreq,
            13 => Self::Pingresp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The first byte of a packet that has no choice of flags.
    pub(crate) const fn first(self) -> u8 {
        let flags = match self {
            Self::Pubrel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        };
        (self as u8) << 4 | flags
    }
}

/// One whole packet, with its first byte already checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// Type of the packet.
    pub packet_type: PacketType,
    /// The byte that holds type and flags.
    pub first: u8,
    /// What follows the fixed header.
    pub body: &'a [u8],
    /// The whole packet with its header, in bytes: where the next one begins.
    pub length: usize,
}

/// Finds the packet at the start of `bytes`. `None` asks for more bytes.
///
/// What can be refused early is: wrong flags with the first byte, the size with the header, before
/// anybody keeps a body. `packet_bytes_max` counts a whole packet with its header.
///
/// # Errors
/// [`DecodeError::Malformed`] and [`DecodeError::TooLarge`].
#[inline]
pub fn frame(bytes: &[u8], packet_bytes_max: usize) -> Result<Option<Frame<'_>>, DecodeError> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let packet_type = check_first(first)?;
    let Some((body_length, length_bytes)) = wire::varint(rest)? else { return Ok(None) };
    let length = 1 + length_bytes + body_length as usize;
    if length > packet_bytes_max {
        return Err(DecodeError::TooLarge { bytes: length, limit: packet_bytes_max });
    }
    Ok(bytes.get(1 + length_bytes..length).map(|body| Frame { packet_type, first, body, length }))
}

/// What the first byte alone may get wrong.
#[inline]
fn check_first(first: u8) -> Result<PacketType, DecodeError> {
    let packet_type = PacketType::from_first(first).ok_or(Malformed("packet type 0 is reserved"))?;
    match packet_type {
        PacketType::Publish if first & 0b0110 == 0b0110 => Err(Malformed("quality of service 3")),
        PacketType::Publish if first & 0b1110 == 0b1000 => Err(Malformed("DUP with quality of service 0")),
        PacketType::Publish => Ok(packet_type),
        _ if first == packet_type.first() => Ok(packet_type),
        _ => Err(Malformed("wrong flags in the first byte")),
    }
}
