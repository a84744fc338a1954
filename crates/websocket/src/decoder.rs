//! Frames to events, with as little state as possible (RFC 6455, 5 and 8).

use std::ops::Range;

use crate::assembly::{Assembly, PartialMessage};
use crate::deflate::Inflater;
use crate::extension::DeflateAgreement;
use crate::frame::FrameHeader;
use crate::{CloseCode, MessageKind, Opcode, ProtocolError, Role, apply_mask, close};

/// What a peer may send at most (RFC 6455, section 10.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The longest payload of a frame as sent, compressed or not, in bytes.
    pub frame_bytes_max: usize,
    /// The longest message, put together and inflated, in bytes.
    ///
    /// Compressed fragments are gathered before they are inflated; together
    /// they may be one eighth and 64 bytes longer than this, since data that
    /// does not compress grows a little.
    pub message_bytes_max: usize,
}

/// Something a peer sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Incoming<'a> {
    /// A whole message, put together and inflated.
    Message {
        /// Text or binary.
        kind: MessageKind,
        /// The payload; valid UTF-8 if the kind is text.
        payload: &'a [u8],
    },
    /// A ping, to be answered by a pong with the same payload (RFC 6455,
    /// section 5.5.2); at most 125 bytes.
    Ping(&'a [u8]),
    /// A pong; at most 125 bytes.
    Pong(&'a [u8]),
    /// The close handshake, to be answered by a close frame unless one was
    /// sent before (RFC 6455, section 5.5.1). Nothing comes after it.
    Close {
        /// The code, if there was one; valid on the wire.
        code: Option<CloseCode>,
        /// The reason, at most 123 bytes; often empty.
        reason: &'a str,
    },
}

/// Turns the bytes of one peer into events.
///
/// A decoder is at most 32 bytes large and owns nothing else while its
/// connection is idle, with one exception: where the peer keeps its
/// compression window from message to message, so does the decoder.
#[derive(Debug)]
pub struct Decoder {
    assembly: Option<Box<Assembly>>,
    /// Kept between messages with context takeover only.
    inflater: Option<Box<Inflater>>,
    inflation: Option<Inflation>,
    role: Role,
    /// A close frame or an error was seen.
    ended: bool,
}

/// How the peer compresses.
#[derive(Clone, Copy, Debug)]
struct Inflation {
    window_bits: u8,
    context_takeover: bool,
}

/// An event whose payload is yet to be borrowed.
type Event = (Opcode, Place);

/// Where the payload of an event lies.
enum Place {
    Input(Range<usize>),
    Payload,
    Control,
}

impl Decoder {
    /// A decoder for a connection without extensions. `role` is ours: a server
    /// expects masked frames, a client unmasked ones.
    #[must_use]
    pub const fn new(role: Role) -> Self {
        Self { assembly: None, inflater: None, inflation: None, role, ended: false }
    }

    /// A decoder for a connection that agreed on permessage-deflate.
    #[must_use]
    pub const fn with_deflate(role: Role, agreement: &DeflateAgreement) -> Self {
        let (window_bits, no_takeover) = match role {
            Role::Server => (agreement.client_max_window_bits, agreement.client_no_context_takeover),
            Role::Client => (agreement.server_max_window_bits, agreement.server_no_context_takeover),
        };
        let mut decoder = Self::new(role);
        decoder.inflation = Some(Inflation { window_bits, context_takeover: !no_takeover });
        decoder
    }

    /// Reads from the start of `input` up to the end of the next event.
    ///
    /// Gives the number of bytes consumed and the event; call again with the
    /// rest. Without an event, all of `input` is consumed: what is incomplete
    /// has been kept. The payload is a slice of `input`, unmasked in place,
    /// when the message is a single uncompressed frame that lies in `input` as
    /// a whole. The bytes consumed are left unmasked or otherwise meaningless.
    ///
    /// After a close frame or an error, everything further is swallowed
    /// (RFC 6455, sections 5.5.1 and 7.1.7).
    ///
    /// # Errors
    ///
    /// The peer broke the protocol or a limit. Text that is not UTF-8 is
    /// noticed with its first wrong byte, even inside an incomplete frame;
    /// compressed text, when its message is complete.
    pub fn decode<'a>(
        &'a mut self,
        input: &'a mut [u8],
        limits: &Limits,
    ) -> Result<(usize, Option<Incoming<'a>>), ProtocolError> {
        self.release();
        if self.ended {
            return Ok((input.len(), None));
        }
        let (consumed, event) = match self.advance(input, limits) {
            Ok((consumed, Some(event))) => (consumed, event),
            Ok((consumed, None)) => return Ok((consumed, None)),
            Err(error) => {
                self.ended = true;
                self.release();
                return Err(error);
            }
        };
        let (opcode, place) = event;
        // A close frame ends it all, a broken one too.
        self.ended |= opcode == Opcode::Close;
        let assembly = self.assembly.as_deref();
        let payload = match place {
            Place::Input(range) => &input[range],
            Place::Payload => assembly.map_or(&[][..], Assembly::payload),
            Place::Control => assembly.map_or(&[][..], Assembly::control),
        };
        let incoming = match opcode {
            Opcode::Ping => Incoming::Ping(payload),
            Opcode::Pong => Incoming::Pong(payload),
            Opcode::Close => {
                let (code, reason) = close::parse(payload)?;
                Incoming::Close { code, reason }
            }
            Opcode::Text => Incoming::Message { kind: MessageKind::Text, payload },
            Opcode::Binary | Opcode::Continuation => Incoming::Message { kind: MessageKind::Binary, payload },
        };
        Ok((consumed, Some(incoming)))
    }

    /// Frees the buffer of a message that has been dealt with.
    ///
    /// The next call of [`Decoder::decode`] does so too; a driver calls this
    /// when it has no more input, so that an idle connection owns no buffer.
    /// What is incomplete is kept.
    #[inline]
    pub fn release(&mut self) {
        if self.ended {
            self.inflater = None;
            self.assembly = None;
        } else if self.assembly.as_ref().is_some_and(|a| a.is_spent()) {
            self.assembly = None;
        }
    }

    /// Whether the peer is between messages and nothing is buffered, except
    /// for an inflater with context takeover.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.assembly.is_none()
    }

    /// Whether a close frame or an error was seen, after which everything is
    /// swallowed.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Bytes of heap in use by an incomplete or unreleased message; zero while
    /// idle. An inflater with context takeover is not counted.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.assembly.as_ref().map_or(0, |a| size_of::<Assembly>() + a.heap_bytes())
    }

    /// Reads up to the next event.
    fn advance(&mut self, input: &mut [u8], limits: &Limits) -> Result<(usize, Option<Event>), ProtocolError> {
        let mut at = 0;
        while at < input.len() {
            let partial = self.assembly.as_deref().is_some_and(|a| a.frame().is_some());
            let event = if partial {
                self.continue_frame(input, &mut at, limits)?
            } else if let Some(header) = self.read_header(&input[at..], &mut at)? {
                let payload_len = self.check_header(&header, limits)?;
                self.begin_frame(header, payload_len, input, &mut at, limits)?
            } else {
                None
            };
            if event.is_some() {
                return Ok((at, event));
            }
        }
        Ok((at, None))
    }

    /// Reads a header, in one piece or in several, and moves `at` behind what
    /// it read.
    #[inline]
    fn read_header(&mut self, input: &[u8], at: &mut usize) -> Result<Option<FrameHeader>, ProtocolError> {
        let started = self.assembly.as_deref().is_some_and(Assembly::has_header_part);
        if !started && let Some((header, header_len)) = FrameHeader::parse(input)? {
            *at += header_len;
            return Ok(Some(header));
        }
        let (header, taken) = self.assembly_mut().feed_header(input)?;
        *at += taken;
        Ok(header)
    }

    /// Checks a header against our role, the extensions, the state of the
    /// message and the limits; gives the payload length.
    #[inline]
    fn check_header(&self, header: &FrameHeader, limits: &Limits) -> Result<usize, ProtocolError> {
        match (self.role, header.mask) {
            (Role::Server, None) => return Err(ProtocolError::MaskMissing),
            (Role::Client, Some(_)) => return Err(ProtocolError::MaskUnexpected),
            _ => {}
        }
        let begins = matches!(header.opcode, Opcode::Text | Opcode::Binary);
        if header.rsv1 && !(begins && self.inflation.is_some()) {
            return Err(ProtocolError::ReservedBits);
        }
        let too_big = ProtocolError::FrameTooBig { length: header.payload_len, max: limits.frame_bytes_max };
        let payload_len = usize::try_from(header.payload_len).map_err(|_| too_big)?;
        if header.opcode.is_control() {
            return Ok(payload_len);
        }
        let message = self.assembly.as_deref().and_then(Assembly::message);
        if begins && message.is_some() {
            return Err(ProtocolError::ExpectedContinuation);
        }
        let (compressed, before) = match (&self.assembly, message) {
            _ if begins => (header.rsv1, 0),
            (Some(assembly), Some(message)) => (message.compressed, assembly.payload_len()),
            _ => return Err(ProtocolError::UnexpectedContinuation),
        };
        if payload_len > limits.frame_bytes_max {
            return Err(too_big);
        }
        if payload_len > wire_bytes_max(compressed, limits).saturating_sub(before) {
            let max = limits.message_bytes_max;
            return Err(ProtocolError::MessageTooBig { max });
        }
        Ok(payload_len)
    }

    /// Deals with a frame whose payload starts at `at`: at once, if all of it
    /// is there and it is an event of its own.
    #[inline]
    fn begin_frame(
        &mut self,
        header: FrameHeader,
        payload_len: usize,
        input: &mut [u8],
        at: &mut usize,
        limits: &Limits,
    ) -> Result<Option<Event>, ProtocolError> {
        let control = header.opcode.is_control();
        let alone = control || (header.fin && header.opcode != Opcode::Continuation);
        let whole = payload_len <= input.len() - *at;
        if alone && whole {
            let range = *at..*at + payload_len;
            *at = range.end;
            let payload = &mut input[range.clone()];
            if let Some(mask) = header.mask {
                apply_mask(payload, mask, 0);
            }
            if header.rsv1 {
                let inflated = self.inflate(payload, header.opcode, limits)?;
                self.assembly_mut().replace_payload(inflated);
                return Ok(Some((header.opcode, Place::Payload)));
            }
            if header.opcode == Opcode::Text {
                check_text(payload)?;
            }
            return Ok(Some((header.opcode, Place::Input(range))));
        }
        let assembly = self.assembly_mut();
        let kind = match header.opcode {
            Opcode::Text => Some(MessageKind::Text),
            Opcode::Binary => Some(MessageKind::Binary),
            _ => None,
        };
        if let Some(kind) = kind {
            assembly.start_message(PartialMessage { kind, compressed: header.rsv1 });
        }
        assembly.start_frame(header, payload_len);
        self.continue_frame(input, at, limits)
    }

    /// Takes what has arrived of the frame under way and moves `at` behind it.
    fn continue_frame(
        &mut self,
        input: &mut [u8],
        at: &mut usize,
        limits: &Limits,
    ) -> Result<Option<Event>, ProtocolError> {
        let assembly = self.assembly_mut();
        let compressed = assembly.message().is_some_and(|m| m.compressed);
        let payload_max = wire_bytes_max(compressed, limits);
        let (header, taken) = assembly.feed_frame(&mut input[*at..], payload_max)?;
        *at += taken;
        let Some(header) = header else {
            return Ok(None);
        };
        if header.opcode.is_control() {
            return Ok(Some((header.opcode, Place::Control)));
        }
        if !header.fin {
            return Ok(None);
        }
        let Some(message) = assembly.finish_message() else {
            return Ok(None);
        };
        let opcode = message.kind.into();
        if message.compressed
            && let Some(mut assembly) = self.assembly.take()
        {
            let inflated = self.inflate(assembly.payload(), opcode, limits)?;
            assembly.replace_payload(inflated);
            self.assembly = Some(assembly);
        }
        Ok(Some((opcode, Place::Payload)))
    }

    /// Inflates a message and checks it, if it is text.
    fn inflate(&mut self, compressed: &[u8], opcode: Opcode, limits: &Limits) -> Result<Vec<u8>, ProtocolError> {
        let inflation = self.inflation.ok_or(ProtocolError::ReservedBits)?;
        let max = limits.message_bytes_max;
        let inflated = if inflation.context_takeover {
            self.inflater
                .get_or_insert_with(|| Box::new(Inflater::new(inflation.window_bits)))
                .inflate(compressed, max)?
        } else {
            Inflater::new(inflation.window_bits).inflate(compressed, max)?
        };
        if opcode == Opcode::Text {
            check_text(&inflated)?;
        }
        Ok(inflated)
    }

    fn assembly_mut(&mut self) -> &mut Assembly {
        self.assembly.get_or_insert_with(|| Box::new(Assembly::new()))
    }
}

/// The most payload bytes that the frames of one message may hold together.
fn wire_bytes_max(compressed: bool, limits: &Limits) -> usize {
    let max = limits.message_bytes_max;
    if compressed { max.saturating_add(max / 8).saturating_add(64) } else { max }
}

fn check_text(payload: &[u8]) -> Result<(), ProtocolError> {
    match simdutf8::basic::from_utf8(payload) {
        Ok(_) => Ok(()),
        Err(_) => Err(ProtocolError::TextEncoding),
    }
}
