//! Frames of HTTP/2, as far as a client needs them that asks for the same again and again.
//!
//! Headers are written without compression, and those of answers are not read: whether a call
//! succeeded shows in its messages.

/// What a client says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest payload of a frame, unless a client allows more, which this one does not.
const PAYLOAD_BYTES_MAX: usize = 16 << 10;
const HEAD_BYTES: usize = 9;

/// The last frame of a stream in this direction.
pub(crate) const END_STREAM: u8 = 0x1;
/// The answer to SETTINGS or PING.
pub(crate) const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

/// The largest window there is.
pub(crate) const WINDOW_MAX: u32 = (1 << 31) - 1;
/// The window of a connection as it begins.
pub(crate) const WINDOW_FIRST: u32 = 65_535;

pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 0x3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 0x4;

/// What a frame is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Data,
    Headers,
    Reset,
    Settings,
    Ping,
    Goaway,
    WindowUpdate,
    /// All that may be passed over.
    Other,
}

/// One whole frame at the start of the bytes.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: &'a [u8],
    /// Head and payload.
    pub(crate) bytes: usize,
}

/// The frame at the start of `bytes`, if it is complete.
#[inline]
pub(crate) fn first(bytes: &[u8]) -> Result<Option<Frame<'_>>, &'static str> {
    let Some(&[a, b, c, kind, flags, d, e, f, g]) = bytes.first_chunk::<HEAD_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    if length > PAYLOAD_BYTES_MAX {
        return Err("a frame of more than 16 KiB");
    }
    let kind = match kind {
        0 if flags & PADDED != 0 => return Err("a padded frame"),
        0 => Kind::Data,
        1 => Kind::Headers,
        3 => Kind::Reset,
        4 => Kind::Settings,
        6 => Kind::Ping,
        7 => Kind::Goaway,
        8 => Kind::WindowUpdate,
        _ => Kind::Other,
    };
    let stream = u32::from_be_bytes([d, e, f, g]) & WINDOW_MAX;
    let payload = bytes.get(HEAD_BYTES..HEAD_BYTES + length);
    Ok(payload.map(|payload| Frame { kind, flags, stream, payload, bytes: HEAD_BYTES + length }))
}

fn put_head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    // The callers' payloads are far below the bound.
    out.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
}

/// Appends HEADERS with a block of [`request`].
pub(crate) fn put_headers(out: &mut Vec<u8>, stream: u32, block: &[u8]) {
    put_head(out, block.len(), 1, END_HEADERS, stream);
    out.extend_from_slice(block);
}

/// Appends the one DATA frame of a request.
pub(crate) fn put_body(out: &mut Vec<u8>, stream: u32, body: &[u8]) {
    put_head(out, body.len(), 0, END_STREAM, stream);
    out.extend_from_slice(body);
}

/// Appends SETTINGS.
pub(crate) fn put_settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    put_head(out, 6 * settings.len(), 4, 0, 0);
    for (name, value) in settings {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// The values of a SETTINGS frame.
pub(crate) fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
    let (settings, _) = payload.as_chunks::<6>();
    settings.iter().map(|&[a, b, c, d, e, f]| (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f])))
}

/// Appends the answer to SETTINGS.
pub(crate) fn put_settings_ack(out: &mut Vec<u8>) {
    put_head(out, 0, 4, ACK, 0);
}

/// Appends the answer to PING.
pub(crate) fn put_pong(out: &mut Vec<u8>, payload: &[u8]) {
    put_head(out, payload.len(), 6, ACK, 0);
    out.extend_from_slice(payload);
}

/// Appends WINDOW_UPDATE for the connection.
pub(crate) fn put_window(out: &mut Vec<u8>, bytes: u32) {
    put_head(out, 4, 8, 0, 0);
    out.extend_from_slice(&bytes.to_be_bytes());
}

/// The header block of a POST without TLS.
pub(crate) fn request(authority: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    // POST and http are in the table that everybody has, and so are the names of :path and :authority.
    let mut block = vec![0x83, 0x86, 0x04];
    put_text(&mut block, path);
    block.push(0x01);
    put_text(&mut block, authority);
    for (name, value) in fields {
        block.push(0);
        put_text(&mut block, name);
        put_text(&mut block, value);
    }
    block
}

/// A text of a header block: its length in a number with a prefix of 7 bits, and its bytes.
fn put_text(block: &mut Vec<u8>, text: &str) {
    const PREFIX: usize = 0x7f;
    match text.len().checked_sub(PREFIX) {
        None => block.push(text.len() as u8),
        Some(mut rest) => {
            block.push(PREFIX as u8);
            while rest >= 0x80 {
                block.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            block.push(rest as u8);
        }
    }
    block.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_written_when_complete() {
        let mut bytes = Vec::new();
        put_body(&mut bytes, 7, b"hello");
        for cut in 0..bytes.len() {
            assert_eq!(first(&bytes[..cut]), Ok(None), "cut at {cut}");
        }
        put_settings_ack(&mut bytes);
        let frame = first(&bytes).unwrap().unwrap();
        let expected = Frame { kind: Kind::Data, flags: END_STREAM, stream: 7, payload: b"hello", bytes: 14 };
        assert_eq!(frame, expected);
        assert_eq!(first(&bytes[14..]).unwrap().unwrap().flags, ACK);
    }

    #[test]
    fn settings_are_read_as_written() {
        let mut bytes = Vec::new();
        put_settings(&mut bytes, &[(3, 128), (4, WINDOW_MAX)]);
        let frame = first(&bytes).unwrap().unwrap();
        assert_eq!(settings(frame.payload).collect::<Vec<_>>(), [(3, 128), (4, WINDOW_MAX)]);
    }

    #[test]
    fn frames_that_were_not_allowed_are_refused() {
        assert!(first(&[0, 0x40, 1, 0, 0, 0, 0, 0, 1]).unwrap_err().contains("16 KiB"));
        assert!(first(&[0, 0, 1, 0, PADDED, 0, 0, 0, 1]).unwrap_err().contains("padded"));
    }

    #[test]
    fn long_texts_have_long_lengths() {
        for (length, head) in [(126, &[126][..]), (127, &[127, 0]), (254, &[127, 127]), (255, &[127, 0x80, 1])] {
            let mut block = Vec::new();
            put_text(&mut block, &"x".repeat(length));
            assert_eq!(&block[..head.len()], head);
            assert_eq!(block.len(), head.len() + length);
        }
    }
}
