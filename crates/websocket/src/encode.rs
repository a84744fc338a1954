//! Whole frames, appended to a shared write buffer (RFC 6455, 5.4 and 5.5).
//!
//! The plain functions write unmasked frames, as servers send. The `_masked`
//! ones are for clients and take the masking key, which must be unpredictable
//! to the application (RFC 6455, section 10.3), as an argument.

use std::convert::Infallible;

use crate::close::{REASON_BYTES_MAX, fitting_reason};
use crate::deflate::Deflater;
use crate::frame::first_byte;
use crate::{
    CONTROL_PAYLOAD_BYTES_MAX, CloseCode, MessageKind, Opcode, apply_mask, encode_header, encode_header_masked,
};

/// Appends a message as one unmasked frame.
///
/// A text payload must be UTF-8; this is not checked.
#[inline]
pub fn encode_message(out: &mut Vec<u8>, kind: MessageKind, payload: &[u8]) {
    encode_header(out, kind.into(), true, false, payload.len());
    out.extend_from_slice(payload);
}

/// Appends a message as one masked frame; see [`encode_message`].
pub fn encode_message_masked(out: &mut Vec<u8>, kind: MessageKind, payload: &[u8], mask: [u8; 4]) {
    put_masked(out, kind.into(), payload, mask);
}

/// Appends a ping. Of a payload longer than
/// [`CONTROL_PAYLOAD_BYTES_MAX`] the start is sent.
pub fn encode_ping(out: &mut Vec<u8>, payload: &[u8]) {
    put_control(out, Opcode::Ping, payload);
}

/// Appends a masked ping; see [`encode_ping`].
pub fn encode_ping_masked(out: &mut Vec<u8>, payload: &[u8], mask: [u8; 4]) {
    put_masked(out, Opcode::Ping, control_payload(payload), mask);
}

/// Appends a pong, whose payload is that of the ping it answers. Of a payload
/// longer than [`CONTROL_PAYLOAD_BYTES_MAX`] the start is sent.
pub fn encode_pong(out: &mut Vec<u8>, payload: &[u8]) {
    put_control(out, Opcode::Pong, payload);
}

/// Appends a masked pong; see [`encode_pong`].
pub fn encode_pong_masked(out: &mut Vec<u8>, payload: &[u8], mask: [u8; 4]) {
    put_masked(out, Opcode::Pong, control_payload(payload), mask);
}

/// Appends a close frame.
///
/// The reason is cut to 123 bytes, never inside a character. A code that must
/// not appear on the wire, such as [`CloseCode::NO_STATUS`], gives a close
/// frame without body (RFC 6455, section 7.4.1).
pub fn encode_close(out: &mut Vec<u8>, code: CloseCode, reason: &str) {
    let mut body = [0; CONTROL_PAYLOAD_BYTES_MAX];
    put_control(out, Opcode::Close, close_body(&mut body, code, reason));
}

/// Appends a masked close frame; see [`encode_close`].
pub fn encode_close_masked(out: &mut Vec<u8>, code: CloseCode, reason: &str, mask: [u8; 4]) {
    let mut body = [0; CONTROL_PAYLOAD_BYTES_MAX];
    put_masked(out, Opcode::Close, close_body(&mut body, code, reason), mask);
}

/// Appends a message as one unmasked frame whose payload `write` appends to
/// the same buffer; gives what `write` gave.
///
/// The length takes its minimal form. Payloads of 126 to 65 535 bytes stay
/// where they were written; shorter and longer ones are moved by 2 or 6 bytes.
/// Nothing is allocated while `out` has room for the payload and 10 bytes.
/// `write` may only append.
#[inline]
pub fn encode_with<T>(out: &mut Vec<u8>, kind: MessageKind, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let Ok(value) = try_encode_with(out, kind, |out| Ok::<T, Infallible>(write(out)));
    value
}

/// Like [`encode_with`], for a `write` that can fail: on error, `out` is as
/// long as it was and nothing will be sent.
///
/// # Errors
///
/// Whatever `write` returns.
#[inline]
pub fn try_encode_with<T, E>(
    out: &mut Vec<u8>,
    kind: MessageKind,
    write: impl FnOnce(&mut Vec<u8>) -> Result<T, E>,
) -> Result<T, E> {
    let start = reserve_header(out);
    match write(out) {
        Ok(value) => {
            patch_header(out, start, first_byte(kind.into(), true, false));
            Ok(value)
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

/// Appends a message as one unmasked frame, compressed (RFC 7692, section 6)
/// when that makes it shorter and plain otherwise.
///
/// Only for connections that agreed on permessage-deflate with a window of at
/// least the deflater's. Neither form depends on earlier messages, so the
/// bytes can be shared by all such connections.
pub fn encode_compressed_message(out: &mut Vec<u8>, kind: MessageKind, payload: &[u8], deflater: &mut Deflater) {
    let start = reserve_header(out);
    let body = out.len();
    deflater.compress(payload, out);
    if out.len() - body < payload.len() {
        patch_header(out, start, first_byte(kind.into(), true, true));
    } else {
        out.truncate(start);
        encode_message(out, kind, payload);
    }
}

/// Appends a message as one masked frame, compressed when that makes it
/// shorter; see [`encode_compressed_message`].
pub fn encode_compressed_message_masked(
    out: &mut Vec<u8>,
    kind: MessageKind,
    payload: &[u8],
    deflater: &mut Deflater,
    mask: [u8; 4],
) {
    let mut compressed = Vec::new();
    deflater.compress(payload, &mut compressed);
    if compressed.len() >= payload.len() {
        return encode_message_masked(out, kind, payload, mask);
    }
    encode_header_masked(out, kind.into(), true, true, compressed.len(), mask);
    let body = out.len();
    out.extend_from_slice(&compressed);
    apply_mask(&mut out[body..], mask, 0);
}

/// The header length for payloads of 126 to 65 535 bytes, the bet that
/// `reserve_header` makes.
const RESERVED: usize = 4;

/// Leaves room for a header; gives the position of the frame.
#[inline]
fn reserve_header(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; RESERVED]);
    start
}

/// Writes the header of the frame at `start`, whose payload is the rest of
/// `out` behind the reserved room.
#[inline]
fn patch_header(out: &mut Vec<u8>, start: usize, first: u8) {
    let body = start + RESERVED;
    // Only a writer that broke its promise leaves less than it was given.
    if out.len() < body {
        out.resize(body, 0);
    }
    let payload_len = out.len() - body;
    if let Ok(short @ 0..=125) = u8::try_from(payload_len) {
        out[start] = first;
        out[start + 1] = short;
        out.copy_within(body.., start + 2);
        out.truncate(start + 2 + payload_len);
    } else if let Ok(medium) = u16::try_from(payload_len) {
        let [a, b] = medium.to_be_bytes();
        out[start..body].copy_from_slice(&[first, 126, a, b]);
    } else {
        let [a, b, c, d, e, f, g, h] = (payload_len as u64).to_be_bytes();
        let header = [first, 127, a, b, c, d, e, f, g, h];
        let shift = header.len() - RESERVED;
        out.extend_from_slice(&[0; 10 - RESERVED]);
        out.copy_within(body..body + payload_len, body + shift);
        out[start..start + header.len()].copy_from_slice(&header);
    }
}

fn put_masked(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: [u8; 4]) {
    encode_header_masked(out, opcode, true, false, payload.len(), mask);
    let body = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[body..], mask, 0);
}

fn put_control(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    let payload = control_payload(payload);
    encode_header(out, opcode, true, false, payload.len());
    out.extend_from_slice(payload);
}

fn control_payload(payload: &[u8]) -> &[u8] {
    &payload[..payload.len().min(CONTROL_PAYLOAD_BYTES_MAX)]
}

fn close_body<'a>(body: &'a mut [u8; CONTROL_PAYLOAD_BYTES_MAX], code: CloseCode, reason: &str) -> &'a [u8] {
    const { assert!(2 + REASON_BYTES_MAX == CONTROL_PAYLOAD_BYTES_MAX) };
    if !code.is_sendable() {
        return &[];
    }
    let reason = fitting_reason(reason);
    let length = 2 + reason.len();
    body[..2].copy_from_slice(&code.get().to_be_bytes());
    body[2..length].copy_from_slice(reason.as_bytes());
    &body[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_rfc_6455_section_5_7() {
        let mut out = Vec::new();
        encode_message(&mut out, MessageKind::Text, b"Hello");
        assert_eq!(out, b"\x81\x05Hello");

        out.clear();
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        encode_message_masked(&mut out, MessageKind::Text, b"Hello", mask);
        assert_eq!(out, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");

        out.clear();
        encode_ping(&mut out, b"Hello");
        encode_pong_masked(&mut out, b"Hello", mask);
        assert_eq!(out, b"\x89\x05Hello\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");

        out.clear();
        encode_message(&mut out, MessageKind::Binary, &[7; 256]);
        assert_eq!(out[..4], *b"\x82\x7e\x01\x00");

        out.clear();
        encode_message(&mut out, MessageKind::Binary, &[7; 65_536]);
        assert_eq!(out[..10], *b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00");
    }

    #[test]
    fn encode_with_is_encode_message_without_allocation() {
        for length in [0, 1, 124, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload: Vec<u8> = (0..length).map(|i: u32| i as u8).collect();
            let mut expected = b"before".to_vec();
            encode_message(&mut expected, MessageKind::Text, &payload);

            let mut out = Vec::with_capacity(6 + 10 + payload.len());
            let place = out.as_ptr();
            out.extend_from_slice(b"before");
            encode_with(&mut out, MessageKind::Text, |out| {
                out.extend_from_slice(&payload);
            });
            assert_eq!(out, expected);
            assert_eq!(out.as_ptr(), place, "length {length}");
        }
    }

    #[test]
    fn a_failed_writer_leaves_nothing_behind() {
        let mut out = b"before".to_vec();
        let result = try_encode_with(&mut out, MessageKind::Text, |out| {
            out.extend_from_slice(b"half a mess");
            Err::<(), _>("no")
        });
        assert_eq!((result, &out[..]), (Err("no"), &b"before"[..]));
    }

    #[test]
    fn a_writer_that_truncates_does_not_panic() {
        let mut out = b"before".to_vec();
        encode_with(&mut out, MessageKind::Text, Vec::clear);
        assert!(out.ends_with(b"\x81\x00"));
    }

    #[test]
    fn close_frames() {
        let mut out = Vec::new();
        encode_close(&mut out, CloseCode::NORMAL, "bye");
        assert_eq!(out, b"\x88\x05\x03\xe8bye");
        out.clear();
        encode_close(&mut out, CloseCode::NO_STATUS, "never sent");
        assert_eq!(out, b"\x88\x00");
        out.clear();
        encode_close(&mut out, CloseCode::NORMAL, &"é".repeat(80));
        assert_eq!((out[1], out.len()), (124, 126));
        out.clear();
        encode_close_masked(&mut out, CloseCode::NORMAL, "", [0; 4]);
        assert_eq!(out, b"\x88\x82\0\0\0\0\x03\xe8");
        out.clear();
        encode_ping(&mut out, &[1; 200]);
        assert_eq!((out[1], out.len()), (125, 127));
    }
}
