//! Compressing and inflating message payloads (RFC 7692, section 7.2).

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::ProtocolError;
use crate::extension::{WINDOW_BITS_MAX, WINDOW_BITS_MIN};

/// What a sync flush ends with; senders remove it and receivers put it back
/// (RFC 7692, sections 7.2.1 and 7.2.2).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The most DEFLATE blocks with BFINAL that one message may hold. Such blocks
/// are legal (RFC 7692, section 7.2.3.4) but each costs a reset of the
/// inflater, which a hostile peer could ask for with two bytes.
const FINAL_BLOCKS_MAX: usize = 16;

/// The longest payload of a stored DEFLATE block, in bytes (RFC 1951, 3.2.4).
const STORED_BYTES_MAX: usize = 0xffff;

/// Compresses message payloads, each on its own.
///
/// No message refers to an earlier one (`no_context_takeover`, RFC 7692,
/// section 7.1.1), so one deflater serves all connections of a thread and its
/// output can be shared by them. It holds a few hundred KiB.
#[derive(Debug)]
pub struct Deflater {
    stream: Compress,
}

impl Deflater {
    /// A deflater of `level` 0 (store) to 9 (slow), with a window of
    /// 2^`window_bits` bytes, 9 to 15. Values outside are brought inside.
    ///
    /// `window_bits` must not exceed what the connections agreed on:
    /// `server_max_window_bits` for a server, `client_max_window_bits` for a
    /// client.
    #[must_use]
    pub fn new(level: u32, window_bits: u8) -> Self {
        let window_bits = window_bits.clamp(WINDOW_BITS_MIN, WINDOW_BITS_MAX);
        let level = Compression::new(level.min(9));
        Self { stream: Compress::new_with_window_bits(level, false, window_bits) }
    }

    /// Appends the compressed form of `payload` to `out`, ready to be the
    /// payload of a frame with RSV1: it lacks the `00 00 FF FF` at its end
    /// (RFC 7692, section 7.2.1). Compression cannot fail.
    pub fn compress(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        if self.deflate(payload, out) && out[start..].ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        } else {
            // The library has no reason to fail on a fresh stream; should it,
            // stored blocks are as valid a form as any.
            out.truncate(start);
            put_stored(payload, out);
        }
    }

    /// Appends `payload`, compressed and flushed; says whether that worked.
    fn deflate(&mut self, payload: &[u8], out: &mut Vec<u8>) -> bool {
        self.stream.reset();
        let mut rest = payload;
        loop {
            // A guess at the ratio; it doubles when it was too optimistic.
            out.reserve(rest.len() / 2 + 64);
            let before = self.stream.total_in();
            let result = self.stream.compress_vec(rest, out, FlushCompress::Sync);
            let Ok(Status::Ok | Status::BufError) = result else {
                return false;
            };
            rest = unread(rest, before, self.stream.total_in());
            // Room left over means that nothing waits to be written.
            if rest.is_empty() && out.len() < out.capacity() {
                return true;
            }
        }
    }
}

/// Appends `payload` as stored blocks and the start of an empty one, whose
/// rest is the removed tail.
fn put_stored(payload: &[u8], out: &mut Vec<u8>) {
    for chunk in payload.chunks(STORED_BYTES_MAX) {
        let length = u16::try_from(chunk.len()).unwrap_or(u16::MAX);
        out.push(0);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(chunk);
    }
    out.push(0);
}

/// Inflates the messages of one peer.
#[derive(Debug)]
pub(crate) struct Inflater {
    stream: Decompress,
    window_bits: u8,
}

impl Inflater {
    /// An inflater for a peer whose window is 2^`window_bits` bytes, 8 to 15.
    pub(crate) fn new(window_bits: u8) -> Self {
        // A window of 2^8 is beyond the library; a larger one contains it.
        let window_bits = window_bits.clamp(WINDOW_BITS_MIN, WINDOW_BITS_MAX);
        Self { stream: Decompress::new_with_window_bits(false, window_bits), window_bits }
    }

    /// Inflates one message, of which at most `max` bytes come out.
    ///
    /// Stops with [`ProtocolError::MessageTooBig`] as soon as there is a byte
    /// more, and never holds more than `max` + 1 bytes.
    pub(crate) fn inflate(&mut self, compressed: &[u8], max: usize) -> Result<Vec<u8>, ProtocolError> {
        let mut out = Vec::new();
        let mut restarts_left = FINAL_BLOCKS_MAX;
        for part in [compressed, &TAIL] {
            self.feed(part, &mut out, max, &mut restarts_left)?;
        }
        Ok(out)
    }

    fn feed(
        &mut self,
        part: &[u8],
        out: &mut Vec<u8>,
        max: usize,
        restarts_left: &mut usize,
    ) -> Result<(), ProtocolError> {
        let mut rest = part;
        loop {
            make_room(out, rest.len(), max);
            let (read, written) = (self.stream.total_in(), out.len());
            let status =
                self.stream.decompress_vec(rest, out, FlushDecompress::Sync).map_err(|_| ProtocolError::Inflate)?;
            let progress = self.stream.total_in() != read || out.len() != written;
            rest = unread(rest, read, self.stream.total_in());
            if out.len() > max {
                return Err(ProtocolError::MessageTooBig { max });
            }
            if status == Status::StreamEnd {
                *restarts_left = restarts_left.checked_sub(1).ok_or(ProtocolError::Inflate)?;
                self.restart(out)?;
            }
            if rest.is_empty() && out.len() < out.capacity() {
                return Ok(());
            }
            if !progress && out.len() < out.capacity() {
                return Err(ProtocolError::Inflate);
            }
        }
    }

    /// Goes on after a block with BFINAL, which does not end the message
    /// (RFC 7692, section 7.2.3.4). The window keeps this message only: what
    /// came before a final block in earlier messages is forgotten.
    fn restart(&mut self, out: &[u8]) -> Result<(), ProtocolError> {
        self.stream.reset(false);
        let window = &out[out.len().saturating_sub(1 << self.window_bits)..];
        if !window.is_empty() {
            self.stream.set_dictionary(window).map_err(|_| ProtocolError::Inflate)?;
        }
        Ok(())
    }
}

/// Gives a full `out` more room: a guess at first, then twice as much, but one
/// byte more than `max` at most, which is enough to notice that it is too much.
fn make_room(out: &mut Vec<u8>, compressed_len: usize, max: usize) {
    if out.len() < out.capacity() {
        return;
    }
    let guess = out.len().max(compressed_len.saturating_mul(2)).max(64);
    let most = max.saturating_add(1).saturating_sub(out.len());
    out.reserve_exact(guess.min(most));
}

/// What is left of `bytes` when the library's count of bytes read went from
/// `before` to `after`.
fn unread(bytes: &[u8], before: u64, after: u64) -> &[u8] {
    let read = usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX);
    bytes.get(read..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(length: usize) -> Vec<u8> {
        let words = ["fan", "fare", "channel", "{\"id\":", "}", ",", "0", "17"];
        let mut seed = 1_u32;
        let mut out = Vec::new();
        while out.len() < length {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            out.extend_from_slice(words[(seed >> 24) as usize % words.len()].as_bytes());
        }
        out.truncate(length);
        out
    }

    #[test]
    fn examples_of_rfc_7692_section_7_2_3() {
        let inflate = |bytes: &[u8]| Inflater::new(15).inflate(bytes, 100);
        // 7.2.3.1, one block
        assert_eq!(inflate(b"\xf2\x48\xcd\xc9\xc9\x07\x00"), Ok(b"Hello".to_vec()));
        // 7.2.3.3, a block without compression
        let stored = b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00";
        assert_eq!(inflate(stored), Ok(b"Hello".to_vec()));
        // 7.2.3.4, a block with BFINAL
        assert_eq!(inflate(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), Ok(b"Hello".to_vec()));
        // 7.2.3.5, two blocks
        let two = b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";
        assert_eq!(inflate(two), Ok(b"Hello".to_vec()));
        // 7.2.3.6, nothing
        assert_eq!(inflate(b"\x00"), Ok(Vec::new()));
        // 7.2.3.2, sharing the window
        let mut inflater = Inflater::new(15);
        let first = inflater.inflate(b"\xf2\x48\xcd\xc9\xc9\x07\x00", 100);
        let second = inflater.inflate(b"\xf2\x00\x11\x00\x00", 100);
        assert_eq!(first, Ok(b"Hello".to_vec()));
        assert_eq!(second, Ok(b"Hello".to_vec()));
    }

    #[test]
    fn the_deflater_writes_the_examples() {
        let mut deflater = Deflater::new(6, 15);
        let mut out = Vec::new();
        deflater.compress(b"Hello", &mut out);
        deflater.compress(b"Hello", &mut out);
        deflater.compress(b"", &mut out);
        let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
        assert_eq!(out, [&hello[..], &hello[..], &b"\x00"[..]].concat());
    }

    #[test]
    fn every_level_and_window_survives_a_round_trip() {
        for window_bits in 9..=15 {
            for level in 0..=9 {
                let mut deflater = Deflater::new(level, window_bits);
                for length in [0, 1, 100, 1_000, 70_000] {
                    let payload = sample(length);
                    let mut out = Vec::new();
                    deflater.compress(&payload, &mut out);
                    // without takeover, and with a window that lives on
                    let inflated = Inflater::new(window_bits).inflate(&out, length);
                    assert_eq!(inflated, Ok(payload), "level {level}, bits {window_bits}");
                }
            }
        }
    }

    #[test]
    fn stored_blocks_are_a_valid_way_out() {
        for length in [0, 1, 65_535, 65_536, 200_000] {
            let mut out = Vec::new();
            put_stored(&sample(length), &mut out);
            assert_eq!(Inflater::new(15).inflate(&out, length), Ok(sample(length)));
        }
    }

    #[test]
    fn output_stops_at_the_limit() {
        let mut bomb = Vec::new();
        Deflater::new(9, 15).compress(&vec![0; 10_000_000], &mut bomb);
        for max in [0, 1, 1_000, 9_999_999] {
            let result = Inflater::new(15).inflate(&bomb, max);
            assert_eq!(result, Err(ProtocolError::MessageTooBig { max }));
        }
        let whole = Inflater::new(15).inflate(&bomb, 10_000_000);
        assert_eq!(whole.map(|out| out.len()), Ok(10_000_000));
    }

    #[test]
    fn the_window_survives_a_final_block() {
        // 7.2.3.4 without its padding, then the second message of 7.2.3.2
        let message = b"\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00";
        for window_bits in [8, 9, 15] {
            let mut inflater = Inflater::new(window_bits);
            for _ in 0..3 {
                assert_eq!(inflater.inflate(message, 10), Ok(b"HelloHello".to_vec()));
            }
        }
    }

    #[test]
    fn final_blocks_are_counted() {
        let message = |blocks: usize| [b"\x03\x00".repeat(blocks), vec![0]].concat();
        let inflate = |blocks| Inflater::new(15).inflate(&message(blocks), 100);
        assert_eq!(inflate(FINAL_BLOCKS_MAX), Ok(Vec::new()));
        assert_eq!(inflate(FINAL_BLOCKS_MAX + 1), Err(ProtocolError::Inflate));
    }

    #[test]
    fn garbage_is_refused() {
        let result = Inflater::new(15).inflate(b"\xff\xff\xff\xff", 100);
        assert_eq!(result, Err(ProtocolError::Inflate));
    }
}
