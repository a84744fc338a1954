//! gRPC as browsers speak it: trailers come as a last frame of the body, and the text dialect has
//! everything in Base64.
//!
//! The Web SDK uses the text dialect and reads the answer while it grows: each piece that is to
//! reach it is encoded and padded on its own, and must be flushed. The HTTP status is 200 always.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};

use super::{FrameError, Status};

const TRAILERS: u8 = 0x80;

/// How a request speaks gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Over HTTP/2, with trailers.
    Grpc,
    /// Of browsers, in bytes.
    Web,
    /// Of browsers, in Base64.
    WebText,
}

impl Dialect {
    /// Tells the dialect by `content-type`. Messages must be Protocol Buffers: `+json` and other
    /// formats are `None`, as is everything that is not gRPC.
    #[must_use]
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let (name, format) = essence.split_once('+').unwrap_or((&essence, "proto"));
        if format != "proto" {
            return None;
        }
        match name {
            "application/grpc" => Some(Self::Grpc),
            "application/grpc-web" => Some(Self::Web),
            "application/grpc-web-text" => Some(Self::WebText),
            _ => None,
        }
    }

    /// `content-type` of the answer.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Grpc => "application/grpc+proto",
            Self::Web => "application/grpc-web+proto",
            Self::WebText => "application/grpc-web-text+proto",
        }
    }

    /// A frame as this dialect sends it: in Base64, padded, where it is text.
    #[must_use]
    pub fn dress(self, frame: Bytes) -> Bytes {
        match self {
            Self::Grpc | Self::Web => frame,
            Self::WebText => STANDARD.encode(frame).into(),
        }
    }

    /// The last frame of an answer; `None` where the transport has trailers of its own.
    #[must_use]
    pub fn end(self, status: &Status) -> Option<Bytes> {
        (self != Self::Grpc).then(|| self.dress(trailer_frame(status)))
    }
}

/// A status as a frame. The line with the message stands there even where it is empty.
#[must_use]
pub fn trailer_frame(status: &Status) -> Bytes {
    let mut text = String::new();
    for (name, value) in status.trailers() {
        text.push_str(name);
        text.push(':');
        text.push_str(&value);
        text.push_str("\r\n");
        if name == "grpc-status" && status.message.is_empty() {
            text.push_str("grpc-message:\r\n");
        }
    }
    let mut out = BytesMut::with_capacity(super::HEADER_BYTES + text.len());
    out.put_u8(TRAILERS);
    // Names are short and the message is cut: it fits by far.
    out.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    out.put_slice(text.as_bytes());
    out.freeze()
}

/// Reads Base64 that comes in pieces, cut anywhere, of which each part may be padded on its own. It
/// keeps at most three characters.
#[derive(Debug, Default)]
pub struct TextDecoder {
    group: [u8; 4],
    len: usize,
    taken: u64,
}

impl TextDecoder {
    /// At the beginning of a body.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends to `out` what `piece` completes.
    ///
    /// # Errors
    /// [`FrameError::Base64`], at the group of four characters that is none. Nothing can be read
    /// after it.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
        let mut rest = piece;
        while !rest.is_empty() {
            if self.len == 0 && rest.len() >= 4 {
                let whole = rest.len() - rest.len() % 4;
                let (groups, behind) = rest.split_at(whole);
                self.decode(groups, out)?;
                rest = behind;
                continue;
            }
            let wanted = (4 - self.len).min(rest.len());
            let (now, behind) = rest.split_at(wanted);
            self.group[self.len..self.len + wanted].copy_from_slice(now);
            self.len += wanted;
            rest = behind;
            if self.len == 4 {
                self.len = 0;
                self.decode(&self.group.clone(), out)?;
            }
        }
        Ok(())
    }

    /// To be asked when the body has ended.
    ///
    /// # Errors
    /// [`FrameError::Base64`] when it ended inside a group of four characters.
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.len == 0 { Ok(()) } else { Err(FrameError::Base64 { at: self.taken }) }
    }

    /// Decodes whole groups. Padding ends a part, and the next one follows at once.
    fn decode(&mut self, groups: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
        let mut rest = groups;
        while !rest.is_empty() {
            // The group with the padding is the last of its part.
            let end = rest.iter().position(|c| *c == b'=').map_or(rest.len(), |at| (at / 4 + 1) * 4);
            let (part, behind) = rest.split_at(end);
            STANDARD.decode_vec(part, out).map_err(|_| FrameError::Base64 { at: self.taken })?;
            self.taken += part.len() as u64;
            rest = behind;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grpc::{Code, frame};
    use crate::wire::{Heartbeat, SubscriptionItem};

    fn decoded(text: &[u8], cut: usize) -> Result<Vec<u8>, FrameError> {
        let mut decoder = TextDecoder::new();
        let mut out = Vec::new();
        for piece in text.chunks(cut.max(1)) {
            decoder.push(piece, &mut out)?;
        }
        decoder.finish()?;
        Ok(out)
    }

    #[test]
    fn dialects() {
        for (text, expected) in [
            ("application/grpc", Some(Dialect::Grpc)),
            ("application/grpc+proto", Some(Dialect::Grpc)),
            ("application/grpc-web", Some(Dialect::Web)),
            ("application/grpc-web+proto", Some(Dialect::Web)),
            ("application/grpc-web-text", Some(Dialect::WebText)),
            ("Application/gRPC-web-text+proto; charset=utf-8", Some(Dialect::WebText)),
            ("application/grpc+json", None),
            ("application/grpcx", None),
            ("application/json", None),
            ("", None),
        ] {
            assert_eq!(Dialect::of_content_type(text), expected, "{text}");
        }
        assert_eq!(Dialect::WebText.content_type(), "application/grpc-web-text+proto");
    }

    #[test]
    fn a_subscription_in_text() {
        let heartbeat = frame(&SubscriptionItem::from(Heartbeat {}));
        assert_eq!(Dialect::WebText.dress(heartbeat.clone()), "AAAAAAIaAA==");
        assert_eq!(Dialect::Web.dress(heartbeat.clone()), heartbeat);
    }

    #[test]
    fn the_last_frame() {
        assert_eq!(Dialect::Grpc.end(&Status::ok()), None);
        let ok = Dialect::Web.end(&Status::ok()).unwrap();
        assert_eq!(&*ok, b"\x80\x00\x00\x00\x1egrpc-status:0\r\ngrpc-message:\r\n");
        let status = Status::new(Code::ResourceExhausted, "too fast").with_err("operations_rate_limit_exceeded");
        let text = Dialect::WebText.end(&status).unwrap();
        let bytes = decoded(&text, 7).unwrap();
        let expected = "grpc-status:8\r\ngrpc-message:too fast\r\nerr:operations_rate_limit_exceeded\r\n";
        assert_eq!(bytes[0], 0x80);
        assert_eq!(bytes[1..5], (expected.len() as u32).to_be_bytes());
        assert_eq!(&bytes[5..], expected.as_bytes());
    }

    #[test]
    fn what_is_not_base64() {
        for (text, at) in [
            ("AAA", 0),
            ("AAAA A==", 4),
            ("AA==AA=A", 4),
            ("A===", 0),
            ("====", 0),
            ("AAAA_-AA", 0),
            ("AAAAAA=", 4),
            ("AB==", 0),
        ] {
            for cut in 1..9 {
                let found = decoded(text.as_bytes(), cut).unwrap_err();
                assert!(
                    matches!(found, FrameError::Base64 { at: found } if found <= at + 4),
                    "{text} {cut}: {found:?}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_with_padding_of_their_own_come_back(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..6),
            cut in 1_usize..20,
        ) {
            let text: String = parts.iter().map(|part| STANDARD.encode(part)).collect();
            prop_assert_eq!(decoded(text.as_bytes(), cut), Ok(parts.concat()));
        }

        #[test]
        fn no_text_is_too_odd(text in "[A-Za-z0-9+/=]{0,40}|.{0,40}", cut in 1_usize..20) {
            let whole = decoded(text.as_bytes(), usize::MAX);
            let pieces = decoded(text.as_bytes(), cut);
            prop_assert_eq!(whole.is_ok(), pieces.is_ok());
            if let (Ok(whole), Ok(pieces)) = (whole, pieces) {
                prop_assert_eq!(whole, pieces);
            }
        }
    }
}
