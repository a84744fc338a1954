//! PUBACK, PUBREC, PUBREL and PUBCOMP, which are one packet with four names (MQTT 5, 3.4 to 3.7).

use crate::{
    DecodeError, Diagnostics, EncodeError, Frame, Level, PacketId, PacketType, ReasonCode,
    diagnostics::{put_tail, read_tail, tail_len},
    frame::Sender,
    wire::{self, Reader},
};

/// Which step of a handshake an [`Ack`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AckKind {
    /// Quality 1: the message has a new owner.
    Puback,
    /// Quality 2: the message has a new owner.
    Pubrec,
    /// Quality 2: the sender forgets the message.
    Pubrel,
    /// Quality 2: the receiver forgets the id.
    Pubcomp,
}

impl AckKind {
    /// The type of the packet.
    #[must_use]
    pub const fn packet_type(self) -> PacketType {
        match self {
            Self::Puback => PacketType::Puback,
            Self::Pubrec => PacketType::Pubrec,
            Self::Pubrel => PacketType::Pubrel,
            Self::Pubcomp => PacketType::Pubcomp,
        }
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Which of them.
    pub kind: AckKind,
    /// The id of the PUBLISH.
    pub packet_id: PacketId,
    /// How it went; always [`ReasonCode::Success`] in MQTT 3.
    pub reason: ReasonCode,
    /// Why, in words.
    pub diagnostics: Diagnostics<'a>,
}

impl<'a> Ack<'a> {
    /// Without words.
    #[must_use]
    pub const fn new(kind: AckKind, packet_id: PacketId, reason: ReasonCode) -> Self {
        let diagnostics = Diagnostics { reason_string: None, user: crate::UserProperties::NONE };
        Self { kind, packet_id, reason, diagnostics }
    }

    pub(crate) fn decode(level: Level, frame: &Frame<'a>, kind: AckKind, sender: Sender) -> Result<Self, DecodeError> {
        let mut body = Reader(frame.body);
        let packet_id = body.packet_id()?;
        if !level.is_v5() {
            body.end()?;
            return Ok(Self::new(kind, packet_id, ReasonCode::Success));
        }
        let (reason, properties) = read_tail(body, kind.packet_type(), sender)?;
        Ok(Self { kind, packet_id, reason, diagnostics: Diagnostics::read(properties)? })
    }

    /// Appends the packet in its shortest form, and with as many words as the peer takes in
    /// `packet_max` bytes. MQTT 3 gets neither reason nor words.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`]; nothing was appended.
    pub fn encode(&self, level: Level, packet_max: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let (reason, diagnostics) = match level {
            Level::V5 => (self.reason, self.diagnostics),
            _ => (ReasonCode::Success, Diagnostics::default()),
        };
        let body = |diagnostics: &Diagnostics<'_>| 2 + tail_len(reason, diagnostics);
        let diagnostics = diagnostics.fit(packet_max, body)?;
        wire::begin(out, self.kind.packet_type().first(), body(&diagnostics), packet_max)?;
        wire::put_u16(out, self.packet_id.get());
        put_tail(out, reason, &diagnostics);
        Ok(())
    }
}
