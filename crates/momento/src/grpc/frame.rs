//! Messages with their lengths: one byte of flags, four of length, the message.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

use super::{Code, Status};

/// Bytes before every message.
pub const HEADER_BYTES: usize = 5;

const COMPRESSED: u8 = 0x01;

/// What came is no sequence of messages. Nothing more can be read after it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The message is compressed.
    #[error(
        "the message is compressed, which is not supported: send it with grpc-encoding identity and without the flag"
    )]
    Compressed,
    /// Flags that gRPC does not know.
    #[error("a message begins with the flags {0:#04x}; expected 0x00: this is no gRPC message")]
    Flags(u8),
    /// The message is larger than the reader takes.
    #[error("request limit exceeded: the message has {bytes} bytes, {limit} are allowed")]
    TooLarge {
        /// What its header announces.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The body ended in the middle of a message.
    #[error("the body ended in the middle of a message, {missing} bytes early")]
    Truncated {
        /// What is still missing, of the header where that is not complete.
        missing: usize,
    },
    /// The body is to hold one message and holds none, or more.
    #[error("the body holds {0} messages, expected one")]
    Count(usize),
    /// The body is not Base64, where it must be.
    #[error("the body is not Base64 at byte {at}: send each piece complete, in the standard alphabet")]
    Base64 {
        /// Where, from its beginning.
        at: u64,
    },
}

impl FrameError {
    /// What the caller is told.
    #[must_use]
    pub fn status(&self) -> Status {
        let status = |code| Status::new(code, self.to_string());
        match self {
            Self::Compressed => status(Code::Unimplemented),
            Self::TooLarge { .. } => status(Code::ResourceExhausted).with_err("request_size_limit_exceeded"),
            Self::Flags(_) | Self::Truncated { .. } | Self::Count(_) | Self::Base64 { .. } => {
                status(Code::InvalidArgument)
            }
        }
    }
}

/// Appends a message with its header.
pub fn frame_into(message: &impl Message, out: &mut BytesMut) {
    let len = message.encoded_len();
    out.reserve(HEADER_BYTES + len);
    out.put_u8(0);
    // A message of 4 GiB does not get here: what is published is bounded far below.
    out.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    message.encode_raw(out);
}

/// A message with its header.
#[must_use]
pub fn frame(message: &impl Message) -> Bytes {
    let mut out = BytesMut::new();
    frame_into(message, &mut out);
    out.freeze()
}

/// Reads messages from a body that comes in pieces. It holds one incomplete message at most, and
/// so never more than its limit and what was pushed last.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    limit: usize,
}

impl Decoder {
    /// `limit` is the largest message, in bytes without the header.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    /// Takes a piece. Ask [`Decoder::next_message`] until it has no more, before the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next complete message.
    ///
    /// # Errors
    /// [`FrameError`]; a message that is too large is refused by its header, before it is there.
    pub fn next_message(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some((header, _)) = self.buffer.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let [flags, length @ ..] = *header;
        match flags {
            0 => {}
            COMPRESSED => return Err(FrameError::Compressed),
            flags => return Err(FrameError::Flags(flags)),
        }
        let bytes = u32::from_be_bytes(length) as usize;
        if bytes > self.limit {
            return Err(FrameError::TooLarge { bytes, limit: self.limit });
        }
        if self.buffer.len() < HEADER_BYTES + bytes {
            return Ok(None);
        }
        self.buffer.advance(HEADER_BYTES);
        Ok(Some(self.buffer.split_to(bytes).freeze()))
    }

    /// To be asked when the body has ended and there are no more messages.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] when a message has begun and is not complete.
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let wanted = match self.buffer.split_first_chunk::<HEADER_BYTES>() {
            Some(([_, length @ ..], _)) => HEADER_BYTES + u32::from_be_bytes(*length) as usize,
            None => HEADER_BYTES,
        };
        Err(FrameError::Truncated { missing: wanted.saturating_sub(self.buffer.len()) })
    }

    /// The one message of a complete body, as calls have it that are answered once.
    ///
    /// # Errors
    /// [`FrameError`], also for a body without a message or with more than one.
    pub fn only(body: &[u8], limit: usize) -> Result<Bytes, FrameError> {
        let mut decoder = Self::new(limit);
        decoder.push(body);
        let mut first = None;
        let mut count = 0;
        while let Some(message) = decoder.next_message()? {
            count += 1;
            first.get_or_insert(message);
        }
        decoder.finish()?;
        match first {
            Some(message) if count == 1 => Ok(message),
            _ => Err(FrameError::Count(count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{Empty, Heartbeat, SubscriptionItem};

    #[test]
    fn a_heartbeat_as_it_travels() {
        assert_eq!(&*frame(&SubscriptionItem::from(Heartbeat {})), [0, 0, 0, 0, 2, 0x1a, 0]);
        assert_eq!(&*frame(&Empty {}), [0, 0, 0, 0, 0]);
    }

    #[test]
    fn bodies_that_are_refused() {
        let only = |body: &[u8]| Decoder::only(body, 3).unwrap_err();
        assert_eq!(only(&[]), FrameError::Count(0));
        assert_eq!(only(&[0, 0, 0]), FrameError::Truncated { missing: 2 });
        assert_eq!(only(&[0, 0, 0, 0, 3, 7]), FrameError::Truncated { missing: 2 });
        assert_eq!(only(&[0; 10]), FrameError::Count(2));
        assert_eq!(only(&[0, 0, 0, 0, 4]), FrameError::TooLarge { bytes: 4, limit: 3 });
        assert_eq!(only(&[0, 255, 255, 255, 255]), FrameError::TooLarge { bytes: 0xffff_ffff, limit: 3 });
        assert_eq!(only(&[1, 0, 0, 0, 0]), FrameError::Compressed);
        assert_eq!(only(&[0x80, 0, 0, 0, 0]), FrameError::Flags(0x80));
        assert_eq!(Decoder::only(&[0, 0, 0, 0, 2, 7, 8], 3).unwrap(), [7, 8][..]);
    }

    #[test]
    fn refusals_have_codes() {
        assert_eq!(FrameError::Compressed.status().code, Code::Unimplemented);
        assert!(FrameError::Compressed.status().message.contains("compressed"));
        let large = FrameError::TooLarge { bytes: 4, limit: 3 }.status();
        assert_eq!((large.code, large.err), (Code::ResourceExhausted, Some("request_size_limit_exceeded")));
        assert_eq!(FrameError::Count(0).status().code, Code::InvalidArgument);
    }

    proptest! {
        #[test]
        fn messages_come_back_however_they_are_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            cut in 1_usize..17,
        ) {
            let mut body = Vec::new();
            for message in &messages {
                body.push(0);
                body.extend((message.len() as u32).to_be_bytes());
                body.extend(message);
            }
            let mut decoder = Decoder::new(40);
            let mut found = Vec::new();
            for piece in body.chunks(cut) {
                decoder.push(piece);
                while let Some(message) = decoder.next_message().unwrap() {
                    found.push(message.to_vec());
                }
            }
            prop_assert_eq!(decoder.finish(), Ok(()));
            prop_assert_eq!(found, messages);
        }

        #[test]
        fn no_body_is_too_odd(body in prop::collection::vec(any::<u8>(), 0..60), limit in 0_usize..50) {
            if let Ok(message) = Decoder::only(&body, limit) {
                prop_assert!(message.len() <= limit && message.len() + HEADER_BYTES == body.len());
            }
        }
    }
}
