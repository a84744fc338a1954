//! What can be wrong with packets.

use crate::{Level, ReasonCode, TopicError};

/// Why bytes are not a packet that the peer may send. The connection must end: nothing behind the
/// packet can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes do not follow the grammar of MQTT.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// The bytes can be read, but say what must not be said.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// The header announces more than is allowed.
    #[error("the packet has {bytes} bytes, {limit} are allowed")]
    TooLarge {
        /// The whole packet, with its header.
        bytes: usize,
        /// What was given to [`frame`](crate::frame).
        limit: usize,
    },
    /// Nothing can be published under this name.
    #[error(transparent)]
    TopicName(#[from] TopicError),
    /// Topic alias 0.
    #[error("topic alias 0 does not exist, aliases begin at 1")]
    TopicAlias,
    /// The CONNECT is not one of MQTT.
    #[error("the protocol is neither \"MQTT\" nor \"MQIsdp\"")]
    ProtocolName,
    /// A level that is not spoken here.
    #[error("protocol level {level} is not spoken here; 3 (as MQIsdp), 4 and 5 (as MQTT) are")]
    ProtocolLevel {
        /// The level asked for.
        level: u8,
    },
}

impl DecodeError {
    /// The code that tells the peer, in a DISCONNECT, or in a CONNACK before there was one.
    #[must_use]
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::Malformed(_) => ReasonCode::MalformedPacket,
            Self::Protocol(_) => ReasonCode::ProtocolError,
            Self::TooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::TopicName(_) => ReasonCode::TopicNameInvalid,
            Self::TopicAlias => ReasonCode::TopicAliasInvalid,
            Self::ProtocolName | Self::ProtocolLevel { .. } => ReasonCode::UnsupportedProtocolVersion,
        }
    }
}

/// Why a CONNECT cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct ConnectError {
    /// The dialect that the client understands; `None` if it does not speak MQTT.
    pub dialect: Option<Level>,
    /// What is wrong.
    #[source]
    pub cause: DecodeError,
}

impl ConnectError {
    /// Appends the CONNACK that is due before the connection is closed. Appends nothing where the
    /// standard wants none: MQTT 3 answers only to a wrong level.
    pub fn encode_answer(&self, out: &mut Vec<u8>) {
        match (self.dialect, self.cause.reason()) {
            (Some(Level::V5), reason) => out.extend_from_slice(&[0x20, 3, 0, reason.as_u8(), 0]),
            (Some(_), ReasonCode::UnsupportedProtocolVersion) => out.extend_from_slice(&[0x20, 2, 0, 1]),
            _ => {}
        }
    }
}

/// Why a packet cannot be written. Nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// More than the peer takes, or than MQTT can carry.
    #[error("the packet needs more than {limit} bytes, or one of its texts more than 65,535")]
    TooLarge {
        /// The peer's limit in bytes; `u32::MAX` if it has none.
        limit: u32,
    },
    /// A PUBLISH with a quality of service above 0, without an id.
    #[error("a PUBLISH with quality of service 1 or 2 needs a packet id")]
    NoPacketId,
    /// A PUBLISH that does not say where to.
    #[error("a PUBLISH needs a topic, or a topic alias in MQTT 5")]
    NoTopic,
    /// Only MQTT 5 can say this. An MQTT 3 connection is closed instead.
    #[error("MQTT 3 has no packet for this, close the connection instead")]
    OnlyInV5,
}
