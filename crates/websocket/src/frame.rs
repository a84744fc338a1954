//! Opcodes and the frame header, read and written (RFC 6455, 5.2).

use crate::ProtocolError;

/// The longest payload of a control frame, in bytes (RFC 6455, section 5.5).
pub const CONTROL_PAYLOAD_BYTES_MAX: usize = 125;

/// The longest frame header, in bytes: 2, a 64-bit length and a masking key.
pub const HEADER_BYTES_MAX: usize = 14;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_RSV3: u8 = 0x30;
const MASKED: u8 = 0x80;

/// Which end of the connection this is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Expects masked frames and sends unmasked ones.
    Server,
    /// Expects unmasked frames and sends masked ones.
    Client,
}

/// The kind of a message (RFC 6455, section 5.6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Arbitrary bytes.
    Binary,
}

/// The opcode of a frame (RFC 6455, section 5.2); reserved opcodes have no
/// variant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0x0,
    /// A text message or its first fragment.
    Text = 0x1,
    /// A binary message or its first fragment.
    Binary = 0x2,
    /// The close handshake.
    Close = 0x8,
    /// Asks for a pong.
    Ping = 0x9,
    /// Answers a ping, or is an unsolicited heartbeat.
    Pong = 0xa,
}

impl Opcode {
    /// Whether this is a control frame: close, ping or pong.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 >= 0x8
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }
}

impl From<MessageKind> for Opcode {
    fn from(kind: MessageKind) -> Self {
        match kind {
            MessageKind::Text => Self::Text,
            MessageKind::Binary => Self::Binary,
        }
    }
}

/// A frame header as received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FrameHeader {
    pub(crate) opcode: Opcode,
    pub(crate) fin: bool,
    pub(crate) rsv1: bool,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) payload_len: u64,
}

impl FrameHeader {
    /// Reads a header from the start of `bytes`: the header and its length in
    /// bytes, or `None` when `bytes` ends before it does.
    ///
    /// Checks what holds for either role and with or without extensions.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() else {
            return Ok(None);
        };
        if first & RSV2_RSV3 != 0 {
            return Err(ProtocolError::ReservedBits);
        }
        let bits = first & 0x0f;
        let opcode = Opcode::from_bits(bits).ok_or(ProtocolError::ReservedOpcode(bits))?;
        let fin = first & FIN != 0;
        let short = second & 0x7f;
        if opcode.is_control() {
            if !fin {
                return Err(ProtocolError::FragmentedControl);
            }
            if usize::from(short) > CONTROL_PAYLOAD_BYTES_MAX {
                return Err(ProtocolError::ControlTooLong);
            }
        }
        let Some((payload_len, rest)) = parse_length(short, rest)? else {
            return Ok(None);
        };
        let (mask, rest) = if second & MASKED == 0 {
            (None, rest)
        } else {
            let Some((mask, rest)) = rest.split_first_chunk::<4>() else {
                return Ok(None);
            };
            (Some(*mask), rest)
        };
        let rsv1 = first & RSV1 != 0;
        let header = Self { opcode, fin, rsv1, mask, payload_len };
        Ok(Some((header, bytes.len() - rest.len())))
    }
}

/// Reads the extended length, if any. A length longer than necessary is taken
/// as it is: the RFC asks minimal lengths of senders only.
#[inline]
fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, ProtocolError> {
    Ok(match short {
        126 => rest.split_first_chunk::<2>().map(|(length, rest)| (u64::from(u16::from_be_bytes(*length)), rest)),
        127 => match rest.split_first_chunk::<8>() {
            None => None,
            Some((length, rest)) => {
                let length = u64::from_be_bytes(*length);
                if length >> 63 != 0 {
                    return Err(ProtocolError::LengthTopBit);
                }
                Some((length, rest))
            }
        },
        _ => Some((u64::from(short), rest)),
    })
}

/// Appends the header of an unmasked frame, as servers send.
///
/// The caller appends exactly `payload_len` bytes afterwards. The length takes
/// its minimal form (RFC 6455, section 5.2), so the header is 2, 4 or 10 bytes
/// long. `rsv1` marks the first frame of a compressed message (RFC 7692,
/// section 6). Nothing is checked: fragmented control frames and the like are
/// the caller's to avoid.
#[inline]
pub fn encode_header(out: &mut Vec<u8>, opcode: Opcode, fin: bool, rsv1: bool, payload_len: usize) {
    put_header(out, first_byte(opcode, fin, rsv1), 0, payload_len);
}

/// Appends the header of a masked frame, as clients send: [`encode_header`]
/// followed by the masking key.
///
/// The caller appends the payload and masks it with
/// [`apply_mask`](crate::apply_mask).
#[inline]
pub fn encode_header_masked(
    out: &mut Vec<u8>,
    opcode: Opcode,
    fin: bool,
    rsv1: bool,
    payload_len: usize,
    mask: [u8; 4],
) {
    put_header(out, first_byte(opcode, fin, rsv1), MASKED, payload_len);
    out.extend_from_slice(&mask);
}

/// FIN, RSV1 and the opcode.
pub(crate) const fn first_byte(opcode: Opcode, fin: bool, rsv1: bool) -> u8 {
    opcode as u8 | if fin { FIN } else { 0 } | if rsv1 { RSV1 } else { 0 }
}

fn put_header(out: &mut Vec<u8>, first: u8, mask_bit: u8, payload_len: usize) {
    if let Ok(short @ 0..=125) = u8::try_from(payload_len) {
        out.extend_from_slice(&[first, short | mask_bit]);
    } else if let Ok(medium) = u16::try_from(payload_len) {
        let [a, b] = medium.to_be_bytes();
        out.extend_from_slice(&[first, 126 | mask_bit, a, b]);
    } else {
        let [a, b, c, d, e, f, g, h] = (payload_len as u64).to_be_bytes();
        out.extend_from_slice(&[first, 127 | mask_bit, a, b, c, d, e, f, g, h]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_a_round_trip_at_every_length_class() {
        for payload_len in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 40] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let mut out = Vec::new();
                match mask {
                    None => encode_header(&mut out, Opcode::Text, true, true, payload_len),
                    Some(mask) => {
                        encode_header_masked(&mut out, Opcode::Text, true, true, payload_len, mask);
                    }
                }
                let minimal = match payload_len {
                    0..=125 => 2,
                    126..=65_535 => 4,
                    _ => 10,
                };
                assert_eq!(out.len(), minimal + if mask.is_some() { 4 } else { 0 });
                let expected =
                    FrameHeader { opcode: Opcode::Text, fin: true, rsv1: true, mask, payload_len: payload_len as u64 };
                for cut in 0..out.len() {
                    assert_eq!(FrameHeader::parse(&out[..cut]), Ok(None));
                }
                assert_eq!(FrameHeader::parse(&out), Ok(Some((expected, out.len()))));
            }
        }
    }

    #[test]
    fn broken_headers() {
        let parse = FrameHeader::parse;
        assert_eq!(parse(b"\xa1\x00"), Err(ProtocolError::ReservedBits));
        assert_eq!(parse(b"\x91\x00"), Err(ProtocolError::ReservedBits));
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            let error = Err(ProtocolError::ReservedOpcode(opcode));
            assert_eq!(parse(&[0x80 | opcode, 0]), error);
        }
        assert_eq!(parse(b"\x09\x00"), Err(ProtocolError::FragmentedControl));
        assert_eq!(parse(b"\x89\x7e"), Err(ProtocolError::ControlTooLong));
        let top_bit = b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00";
        assert_eq!(parse(top_bit), Err(ProtocolError::LengthTopBit));
    }
}
