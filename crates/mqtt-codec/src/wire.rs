//! The basic types on the wire: integers, texts, binary data and lengths.

use std::num::NonZeroU16;

use crate::{DecodeError, EncodeError, PacketId};
use DecodeError::Malformed;

/// The longest body that the remaining length can announce, and the largest variable byte integer.
pub(crate) const VARINT_MAX: usize = 268_435_455;

const SHORT: DecodeError = Malformed("the packet ends in the middle of a field");

/// A variable byte integer at the start of `bytes`, and how many bytes it has. `None` if it does
/// not end within `bytes`.
#[inline]
pub(crate) fn varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, DecodeError> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return match (byte, index) {
                (0, 1..) => Err(Malformed("a length has more bytes than it needs")),
                _ => Ok(Some((value, index + 1))),
            };
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(Malformed("a length has more than four bytes")) }
}

/// What is left of a body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (chunk, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*chunk)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.chunk::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.chunk().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.chunk().map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u32, DecodeError> {
        let (value, length) = varint(self.0)?.ok_or(SHORT)?;
        self.take(length)?;
        Ok(value)
    }

    #[inline]
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let bytes = self.binary()?;
        let text = simdutf8::basic::from_utf8(bytes).map_err(|_| Malformed("a text is not UTF-8"))?;
        // No early end, so that many bytes are compared at once.
        if bytes.iter().fold(false, |found, byte| found | (*byte == 0)) {
            return Err(Malformed("U+0000 in a text"));
        }
        Ok(text)
    }

    #[inline]
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        NonZeroU16::new(self.u16()?).ok_or(Malformed("packet id 0"))
    }

    #[inline]
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.is_empty() { Ok(()) } else { Err(Malformed("bytes behind the last field of the packet")) }
    }
}

/// How many bytes a variable byte integer takes. Above [`VARINT_MAX`] there is no answer, and the
/// packet is refused by [`begin`].
#[inline]
pub(crate) const fn varint_len(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// How many bytes a text or binary data takes. One that is too long for its length field counts as
/// more than any packet can hold, so that [`begin`] refuses the packet.
#[inline]
pub(crate) const fn field_len(length: usize) -> usize {
    if length <= u16::MAX as usize { 2 + length } else { VARINT_MAX + 1 }
}

/// A whole packet with a body of so many bytes.
#[inline]
pub(crate) const fn packet_len(body: usize) -> usize {
    1 + varint_len(body) + body
}

/// Whether a packet with such a body can be sent to a peer that takes `packet_max` bytes.
#[inline]
pub(crate) const fn fits(body: usize, packet_max: u32) -> bool {
    body <= VARINT_MAX && packet_len(body) <= packet_max as usize
}

/// Appends the fixed header and makes room for the body.
#[inline]
pub(crate) fn begin(out: &mut Vec<u8>, first: u8, body: usize, packet_max: u32) -> Result<(), EncodeError> {
    if !fits(body, packet_max) {
        return Err(EncodeError::TooLarge { limit: packet_max });
    }
    out.reserve(packet_len(body));
    out.push(first);
    put_varint(out, body);
    Ok(())
}

#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7F {
        out.push(value as u8 & 0x7F | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
pub(crate) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a text or binary data, which [`field_len`] and [`begin`] have let through.
#[inline]
pub(crate) fn put_field(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u16(out, bytes.len() as u16);
    out.extend_from_slice(bytes);
}
