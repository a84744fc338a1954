//! What a peer can do wrong, and the close code that says so.

use crate::CloseCode;

/// A violation of the protocol or of a limit by the peer.
///
/// The connection is beyond repair: send a close frame with
/// [`ProtocolError::close_code`] and drop it (RFC 6455, section 7.1.7). Every
/// message names the section that was violated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit is set that no agreed extension gives a meaning: RSV2,
    /// RSV3, or RSV1 without permessage-deflate, on a continuation or on a
    /// control frame.
    #[error("reserved bit set (RFC 6455, 5.2; RFC 7692, 6)")]
    ReservedBits,
    /// Opcode 3 to 7 or 11 to 15.
    #[error("reserved opcode {0} (RFC 6455, 5.2)")]
    ReservedOpcode(u8),
    /// A control frame without FIN.
    #[error("fragmented control frame (RFC 6455, 5.5)")]
    FragmentedControl,
    /// A control frame of more than 125 bytes.
    #[error("control frame of more than 125 bytes (RFC 6455, 5.5)")]
    ControlTooLong,
    /// A client sent an unmasked frame.
    #[error("unmasked frame from a client (RFC 6455, 5.1)")]
    MaskMissing,
    /// A server sent a masked frame.
    #[error("masked frame from a server (RFC 6455, 5.1)")]
    MaskUnexpected,
    /// A continuation frame without a message to continue.
    #[error("continuation of no message (RFC 6455, 5.4)")]
    UnexpectedContinuation,
    /// A new message before the last fragment of the previous one.
    #[error("new message inside a fragmented message (RFC 6455, 5.4)")]
    ExpectedContinuation,
    /// A 64-bit length with its most significant bit set.
    #[error("64-bit length with its top bit set (RFC 6455, 5.2)")]
    LengthTopBit,
    /// A close frame with a payload of one byte.
    #[error("close frame with half a code (RFC 6455, 5.5.1)")]
    CloseLength,
    /// A close code that must not appear on the wire.
    #[error("close code {0} is not valid on the wire (RFC 6455, 7.4)")]
    CloseCode(u16),
    /// A close reason that is not UTF-8.
    #[error("close reason is not UTF-8 (RFC 6455, 5.5.1)")]
    CloseReason,
    /// A text message that is not UTF-8.
    #[error("text message is not UTF-8 (RFC 6455, 8.1)")]
    TextEncoding,
    /// A frame whose payload, as sent, is longer than allowed.
    #[error("frame of {length} bytes exceeds the limit of {max} (RFC 6455, 10.4)")]
    FrameTooBig {
        /// The announced payload length, in bytes.
        length: u64,
        /// [`Limits::frame_bytes_max`](crate::Limits::frame_bytes_max).
        max: usize,
    },
    /// A message which is longer than allowed once put together and inflated.
    #[error("message exceeds the limit of {max} bytes (RFC 6455, 10.4)")]
    MessageTooBig {
        /// [`Limits::message_bytes_max`](crate::Limits::message_bytes_max).
        max: usize,
    },
    /// A compressed message that is not a DEFLATE stream.
    #[error("compressed message cannot be inflated (RFC 7692, 7.2.2)")]
    Inflate,
}

impl ProtocolError {
    /// The close code to send to the peer: 1002, 1007 or 1009.
    ///
    /// A message that cannot be inflated is 1007, data inconsistent with its
    /// type: the frames around it were in order.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::TextEncoding | Self::CloseReason | Self::Inflate => CloseCode::INVALID_PAYLOAD,
            Self::FrameTooBig { .. } | Self::MessageTooBig { .. } => CloseCode::TOO_BIG,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}
