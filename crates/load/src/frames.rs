//! Walking over the frames of a server, in place.
//!
//! `fanfare_websocket::Decoder` does all of RFC 6455; this reads only what a benchmarked server sends
//! (whole, unmasked, uncompressed messages and control frames) and refuses the rest, at a few
//! nanoseconds a frame.

/// The largest message a run can ask for is 1 MB; its envelope is small.
const PAYLOAD_BYTES_MAX: usize = 8 << 20;

/// What a frame carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// One whole frame at the start of the bytes.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) payload: &'a [u8],
    /// Header and payload.
    pub(crate) bytes: usize,
}

/// The frame at the start of `bytes`, if it is complete.
#[inline]
pub(crate) fn first(bytes: &[u8]) -> Result<Option<Frame<'_>>, &'static str> {
    let &[head, len, ..] = bytes else {
        return Ok(None);
    };
    let kind = match head {
        0x81 => Kind::Text,
        0x82 => Kind::Binary,
        0x88 => Kind::Close,
        0x89 => Kind::Ping,
        0x8a => Kind::Pong,
        _ if head & 0x70 != 0 => return Err("a frame with reserved bits"),
        _ if head & 0x80 == 0 || head & 0x0f == 0 => return Err("a fragmented message"),
        _ => return Err("a frame of an unknown kind"),
    };
    let (header, len) = match (len, bytes) {
        (0..=125, _) => (2, usize::from(len)),
        (126, [_, _, a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        (127, [_, _, a, b, c, d, e, f, g, h, ..]) => {
            let len = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
            (10, usize::try_from(len).unwrap_or(usize::MAX))
        }
        (126 | 127, _) => return Ok(None),
        _ => return Err("a masked frame"),
    };
    if len > PAYLOAD_BYTES_MAX {
        return Err("a frame of more than 8 MiB");
    }
    let payload = bytes.get(header..header + len);
    Ok(payload.map(|payload| Frame { kind, payload, bytes: header + len }))
}

#[cfg(test)]
mod tests {
    use fanfare_websocket::{CloseCode, MessageKind, encode_close, encode_message, encode_ping};

    use super::*;

    #[test]
    fn frames_of_every_length_are_found_when_complete() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
            let mut bytes = Vec::new();
            encode_message(&mut bytes, MessageKind::Text, &vec![b'x'; len]);
            let whole = bytes.len();
            for cut in (0..14.min(whole)).chain([whole - 1]) {
                assert_eq!(first(&bytes[..cut]), Ok(None), "{len} cut at {cut}");
            }
            bytes.push(0x81);
            let frame = first(&bytes).unwrap().unwrap();
            assert_eq!((frame.kind, frame.bytes), (Kind::Text, whole));
            assert_eq!(frame.payload.len(), len);
        }
    }

    #[test]
    fn control_frames_are_told_apart() {
        let mut bytes = Vec::new();
        encode_ping(&mut bytes, b"hi");
        assert_eq!(first(&bytes).unwrap().unwrap().payload, b"hi");
        bytes.clear();
        encode_close(&mut bytes, CloseCode::GOING_AWAY, "");
        assert_eq!(first(&bytes).unwrap().unwrap().kind, Kind::Close);
    }

    #[test]
    fn what_a_benchmarked_server_never_sends_is_refused() {
        for (bytes, reason) in [
            (&[0x01, 0x00][..], "fragmented"),
            (&[0x80, 0x00], "fragmented"),
            (&[0xc1, 0x00], "reserved"),
            (&[0x83, 0x00], "unknown"),
            (&[0x81, 0x80], "masked"),
            (&[0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0], "8 MiB"),
            (&[0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255], "8 MiB"),
        ] {
            assert!(first(bytes).unwrap_err().contains(reason), "{bytes:x?}");
        }
    }
}
