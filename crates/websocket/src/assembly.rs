//! The boxed state of an incomplete frame or message (RFC 6455, section 5.4).
//!
//! A connection owns an [`Assembly`] only between the first byte of a frame
//! that arrived in part, or of a fragmented message, and its last.

use crate::frame::{FrameHeader, HEADER_BYTES_MAX};
use crate::{CONTROL_PAYLOAD_BYTES_MAX, MessageKind, ProtocolError, apply_mask};

/// What has arrived of a frame and of a message.
#[derive(Debug)]
pub(crate) struct Assembly {
    /// The start of a header that is not complete.
    header: [u8; HEADER_BYTES_MAX],
    header_len: u8,
    /// The frame whose payload is not complete.
    frame: Option<PartialFrame>,
    /// The unmasked payload of a control frame that arrives in part. It may
    /// come between the fragments of a message, so it has its own room.
    control: [u8; CONTROL_PAYLOAD_BYTES_MAX],
    control_len: u8,
    /// The message whose last fragment has not arrived.
    message: Option<PartialMessage>,
    /// The unmasked payload of that message so far, or of the finished one.
    payload: Vec<u8>,
    /// How much of `payload` is known to be UTF-8; at most 3 bytes, the start
    /// of a character, lie behind it.
    utf8_checked: usize,
}

/// A frame whose payload is not complete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartialFrame {
    pub(crate) header: FrameHeader,
    /// Payload bytes received and still to be received.
    received: usize,
    remaining: usize,
}

/// A message that is not complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PartialMessage {
    pub(crate) kind: MessageKind,
    pub(crate) compressed: bool,
}

impl Assembly {
    pub(crate) fn new() -> Self {
        Self {
            header: [0; HEADER_BYTES_MAX],
            header_len: 0,
            frame: None,
            control: [0; CONTROL_PAYLOAD_BYTES_MAX],
            control_len: 0,
            message: None,
            payload: Vec::new(),
            utf8_checked: 0,
        }
    }

    /// Whether nothing is incomplete, so that the assembly can be dropped once
    /// the caller is done with a finished payload.
    pub(crate) fn is_spent(&self) -> bool {
        self.header_len == 0 && self.frame.is_none() && self.message.is_none()
    }

    /// Bytes of heap owned besides the assembly itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.payload.capacity()
    }

    /// The message under way.
    pub(crate) fn message(&self) -> Option<PartialMessage> {
        self.message
    }

    /// The frame under way.
    pub(crate) fn frame(&self) -> Option<PartialFrame> {
        self.frame
    }

    /// Whether part of a header is waiting for the rest.
    pub(crate) fn has_header_part(&self) -> bool {
        self.header_len != 0
    }

    /// Bytes of the message under way.
    pub(crate) fn payload_len(&self) -> usize {
        self.payload.len()
    }

    /// The finished message.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The finished control frame.
    pub(crate) fn control(&self) -> &[u8] {
        &self.control[..usize::from(self.control_len)]
    }

    /// Adds `input` to the header under way: the header, if it is complete
    /// now, and the number of bytes taken.
    pub(crate) fn feed_header(&mut self, input: &[u8]) -> Result<(Option<FrameHeader>, usize), ProtocolError> {
        let before = usize::from(self.header_len);
        let taken = input.len().min(HEADER_BYTES_MAX - before);
        self.header[before..before + taken].copy_from_slice(&input[..taken]);
        match FrameHeader::parse(&self.header[..before + taken])? {
            Some((header, header_len)) => {
                self.header_len = 0;
                Ok((Some(header), header_len - before))
            }
            None => {
                // An incomplete header is shorter than the longest one.
                self.header_len = (before + taken) as u8;
                Ok((None, taken))
            }
        }
    }

    /// Starts a message; its frames follow.
    pub(crate) fn start_message(&mut self, message: PartialMessage) {
        self.message = Some(message);
        self.payload.clear();
        self.utf8_checked = 0;
    }

    /// Starts a frame of `remaining` bytes of payload.
    pub(crate) fn start_frame(&mut self, header: FrameHeader, remaining: usize) {
        if header.opcode.is_control() {
            self.control_len = 0;
        }
        self.frame = Some(PartialFrame { header, received: 0, remaining });
    }

    /// Adds the start of `input` to the frame under way: the header of the
    /// frame, if it is complete now, and the number of bytes taken. Text is
    /// checked as it arrives. At most `payload_max` bytes are allocated.
    pub(crate) fn feed_frame(
        &mut self,
        input: &mut [u8],
        payload_max: usize,
    ) -> Result<(Option<FrameHeader>, usize), ProtocolError> {
        let Some(mut frame) = self.frame else {
            return Ok((None, 0));
        };
        let taken = input.len().min(frame.remaining);
        let chunk = &mut input[..taken];
        if let Some(mask) = frame.header.mask {
            apply_mask(chunk, mask, frame.received);
        }
        if frame.header.opcode.is_control() {
            let before = usize::from(self.control_len);
            self.control[before..before + taken].copy_from_slice(chunk);
            // The payload of a control frame is known to fit.
            self.control_len += taken as u8;
        } else {
            let most = if frame.header.fin { self.payload.len() + frame.remaining } else { payload_max };
            append(&mut self.payload, chunk, most);
        }
        frame.received += taken;
        frame.remaining -= taken;
        let complete = frame.remaining == 0;
        if !frame.header.opcode.is_control() {
            self.check_text(complete && frame.header.fin)?;
        }
        self.frame = (!complete).then_some(frame);
        Ok((complete.then_some(frame.header), taken))
    }

    /// Ends the message under way; its payload can be had from `payload`.
    pub(crate) fn finish_message(&mut self) -> Option<PartialMessage> {
        self.message.take()
    }

    /// Puts the inflated payload in the place of the compressed one.
    pub(crate) fn replace_payload(&mut self, payload: Vec<u8>) {
        self.payload = payload;
    }

    /// Checks what has not been checked of a text message. Bytes that may be
    /// the start of a character are left for later, unless this is the end.
    /// Compressed text is checked once it is inflated.
    fn check_text(&mut self, end: bool) -> Result<(), ProtocolError> {
        let text = PartialMessage { kind: MessageKind::Text, compressed: false };
        if self.message != Some(text) {
            return Ok(());
        }
        match simdutf8::compat::from_utf8(&self.payload[self.utf8_checked..]) {
            Ok(_) => self.utf8_checked = self.payload.len(),
            Err(error) if error.error_len().is_none() && !end => {
                self.utf8_checked += error.valid_up_to();
            }
            Err(_) => return Err(ProtocolError::TextEncoding),
        }
        Ok(())
    }
}

/// Appends `chunk`, doubling the room when there is not enough, but beyond
/// what is needed now never to more than `most` bytes.
///
/// The announced length of a frame is not reserved at once: a peer has to send
/// bytes to make us hold bytes.
fn append(payload: &mut Vec<u8>, chunk: &[u8], most: usize) {
    let needed = payload.len() + chunk.len();
    if needed > payload.capacity() {
        let doubled = payload.capacity().saturating_mul(2).min(most);
        payload.reserve_exact(doubled.max(needed) - payload.len());
    }
    payload.extend_from_slice(chunk);
}
