//! The first bytes of a connection: which protocol is it, and which door is it for?

use std::borrow::Cow;

use crate::contract::Session;
use crate::head::{Head, Parsed};

/// Bytes so far, until the protocol is known.
#[derive(Default)]
pub(crate) struct Greeting {
    pub(crate) bytes: Vec<u8>,
}

/// An upgrade that a door has not decided yet.
pub(crate) struct Upgrade {
    pub(crate) accept: String,
    pub(crate) subprotocol: Option<Cow<'static, str>>,
    pub(crate) extensions: Option<String>,
    pub(crate) session: Option<Box<dyn Session>>,
    /// What the client sent behind the request; bounded by the head's limit.
    pub(crate) early: Vec<u8>,
}

/// What the first bytes say.
#[derive(Debug)]
pub(crate) enum Sniffed {
    /// Not enough to tell.
    Partial,
    /// A TLS ClientHello (RFC 8446: handshake record).
    Tls,
    /// The first byte of a door's own byte protocol.
    Stream,
    /// HTTP/1.1 asking for WebSocket, and the head's length.
    Upgrade(Head, usize),
    /// Any other HTTP.
    Http,
    /// Larger than allowed.
    TooLong,
    /// Nothing that is spoken here.
    Unknown,
}

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const TLS_HANDSHAKE: u8 = 0x16;

/// Looks at what a connection has sent so far.
pub(crate) fn sniff(bytes: &[u8], head_bytes_max: usize, is_stream: impl Fn(u8) -> bool) -> Sniffed {
    match bytes.first() {
        None => Sniffed::Partial,
        Some(&TLS_HANDSHAKE) => Sniffed::Tls,
        Some(&first) if is_stream(first) => Sniffed::Stream,
        Some(first) if !first.is_ascii_uppercase() => Sniffed::Unknown,
        Some(_) if bytes.starts_with(&HTTP2_PREFACE[..HTTP2_PREFACE.len().min(bytes.len())]) => {
            if bytes.len() < 14 {
                Sniffed::Partial
            } else {
                Sniffed::Http
            }
        }
        Some(_) => match Head::parse(bytes) {
            Parsed::Complete(head, length) if head.is_websocket_upgrade() => Sniffed::Upgrade(head, length),
            Parsed::Complete(..) => Sniffed::Http,
            Parsed::Partial if bytes.len() > head_bytes_max => Sniffed::TooLong,
            Parsed::Partial => Sniffed::Partial,
            Parsed::Malformed => Sniffed::Unknown,
        },
    }
}

/// A complete HTTP/1.1 response that ends the connection.
pub(crate) fn response(status: u16, headers: &[(&str, String)], body: &[u8]) -> Vec<u8> {
    let reason = http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error");
    let kind = if body.starts_with(b"{") { "application/json" } else { "text/plain; charset=utf-8" };
    let mut out = format!("HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !body.is_empty() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        out += &format!("Content-Type: {kind}\r\n");
    }
    for (name, value) in headers.iter().filter(|(_, value)| !value.contains(['\r', '\n'])) {
        out += &format!("{name}: {value}\r\n");
    }
    out += "\r\n";
    let mut out = out.into_bytes();
    out.extend_from_slice(body);
    out
}

/// [`response`] with an error body as the native protocol writes it.
pub(crate) fn refusal(status: u16, code: &str, message: &str, retry_ms: Option<u64>) -> Vec<u8> {
    let mut body = serde_json::json!({ "code": code, "message": message, "retry": retry_ms.is_some() });
    let mut headers = Vec::new();
    if let Some(retry_ms) = retry_ms {
        body["retry_ms"] = retry_ms.into();
        headers.push(("Retry-After", retry_ms.div_ceil(1_000).max(1).to_string()));
    }
    response(status, &headers, body.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sniffed(bytes: &[u8]) -> Sniffed {
        sniff(bytes, 64, |first| first == 0x10)
    }

    #[test]
    fn the_first_bytes_tell_the_protocol() {
        assert!(matches!(sniffed(b""), Sniffed::Partial));
        assert!(matches!(sniffed(b"\x16\x03\x01"), Sniffed::Tls));
        assert!(matches!(sniffed(b"\x10\x20"), Sniffed::Stream));
        assert!(matches!(sniffed(b"PRI * HT"), Sniffed::Partial));
        assert!(matches!(sniffed(b"PRI * HTTP/2.0\r\n"), Sniffed::Http));
        assert!(matches!(sniffed(b"P"), Sniffed::Partial));
        assert!(matches!(sniffed(b"POST / HTTP/1.1\r\n"), Sniffed::Partial));
        assert!(matches!(sniffed(b"GET / HTTP/1.1\r\n\r\n"), Sniffed::Http));
        assert!(matches!(
            sniffed(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
            Sniffed::TooLong | Sniffed::Upgrade(..)
        ));
        assert!(matches!(sniffed(&[b'G'; 65]), Sniffed::TooLong | Sniffed::Unknown));
        assert!(matches!(sniffed(b"\x00\x01"), Sniffed::Unknown));
        assert!(matches!(sniffed(b"hello"), Sniffed::Unknown));
    }

    #[test]
    fn a_refusal_is_a_whole_response() {
        let text = String::from_utf8(refusal(503, "overloaded", "later", Some(1_500))).unwrap();
        assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{text}");
        assert!(text.contains("Retry-After: 2\r\n") && text.ends_with("\"retry_ms\":1500}"), "{text}");
    }
}
