//! The opening handshake, both sides (RFC 6455, section 4).
//!
//! Reading HTTP is left to the caller: requests and responses are checked
//! through a closure that finds the value of a header by its name, which is
//! always given in lower case. Headers that may come several times
//! (`connection`, `upgrade`, `sec-websocket-protocol`,
//! `sec-websocket-extensions`) are to be joined with commas.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use sha1::{Digest as _, Sha1};

pub use crate::extension::{DeflateAgreement, DeflateSettings, negotiate_deflate};
use crate::extension::{is_token_char, read_response};

/// The one version of the protocol, the value of `Sec-WebSocket-Version`.
pub const VERSION: &str = "13";

/// What is appended to the key before it is hashed (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Some clients leave bits set behind the last of the 16 bytes.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&ALPHABET, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Why an opening handshake fails.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// `Upgrade` does not name `websocket`. Answer 426, or treat the request
    /// as plain HTTP.
    #[error("no upgrade to websocket (RFC 6455, 4.2.1)")]
    NoUpgrade,
    /// `Connection` does not name `upgrade`.
    #[error("connection header without upgrade (RFC 6455, 4.2.1)")]
    NoConnectionUpgrade,
    /// `Sec-WebSocket-Version` is not 13. Answer 426 with
    /// `Sec-WebSocket-Version: 13` (RFC 6455, section 4.4).
    #[error("websocket version is not 13 (RFC 6455, 4.2.1)")]
    Version,
    /// `Sec-WebSocket-Key` is not 16 bytes of base64.
    #[error("websocket key is not 16 bytes of base64 (RFC 6455, 4.2.1)")]
    Key,
    /// A header to be sent is not a token, a colon and a line of text; holds
    /// the name of the header.
    #[error("header {0} cannot be sent (RFC 9110, 5.5)")]
    Unsendable(String),
    /// The server answered with a status other than 101.
    #[error("status {0} instead of 101 (RFC 6455, 4.1)")]
    Status(u16),
    /// The server's `Sec-WebSocket-Accept` does not fit the key.
    #[error("wrong sec-websocket-accept (RFC 6455, 4.1)")]
    Accept,
    /// The server chose a subprotocol that was not offered.
    #[error("subprotocol was not offered (RFC 6455, 4.1)")]
    Subprotocol,
    /// The server answered with an extension that was not offered or with
    /// parameters that the offer does not allow.
    #[error("extension was not offered (RFC 6455, 4.1; RFC 7692, 7.1)")]
    Extension,
}

/// The value of `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (RFC 6455,
/// section 4.2.2): 28 characters.
#[must_use]
pub fn accept_key(sec_websocket_key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(sec_websocket_key.trim_ascii().as_bytes());
    hash.update(GUID);
    STANDARD.encode(hash.finalize())
}

/// Whether a `Sec-WebSocket-Key` is 16 bytes of base64 (RFC 6455, section
/// 4.2.1).
#[must_use]
pub fn validate_key(sec_websocket_key: &str) -> bool {
    let mut nonce = [0; 18];
    let key = sec_websocket_key.trim_ascii();
    matches!(LENIENT.decode_slice(key, &mut nonce), Ok(16))
}

/// The `Sec-WebSocket-Key` of a client for 16 random bytes (RFC 6455, section
/// 4.1): 24 characters.
#[must_use]
pub fn make_key(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// Checks a client's GET request and gives the value of
/// `Sec-WebSocket-Accept` (RFC 6455, section 4.2.1).
///
/// Method, HTTP version, `Host` and `Origin` are the caller's to check.
///
/// # Errors
///
/// The first of [`HandshakeError::NoUpgrade`],
/// [`HandshakeError::NoConnectionUpgrade`], [`HandshakeError::Version`] and
/// [`HandshakeError::Key`] that applies.
pub fn check_request<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Result<String, HandshakeError> {
    check_upgrade(&header)?;
    if header("sec-websocket-version").map(str::trim_ascii) != Some(VERSION) {
        return Err(HandshakeError::Version);
    }
    let key = header("sec-websocket-key").filter(|key| validate_key(key));
    key.map(accept_key).ok_or(HandshakeError::Key)
}

/// The 101 response of a server, complete with its empty line (RFC 6455,
/// section 4.2.2).
///
/// `accept` comes from [`accept_key`], `subprotocol` is one of those the
/// client offered, `extensions` comes from
/// [`DeflateAgreement::response_value`].
///
/// # Errors
///
/// [`HandshakeError::Unsendable`] for a header name that is no token and for
/// any value with a control character, such as CR or LF.
pub fn server_response(
    accept: &str,
    subprotocol: Option<&str>,
    extensions: Option<&str>,
    extra_headers: &[(&str, &str)],
) -> Result<Vec<u8>, HandshakeError> {
    let mut out = String::with_capacity(256);
    out.push_str("HTTP/1.1 101 Switching Protocols\r\n");
    put_header(&mut out, "Upgrade", "websocket")?;
    put_header(&mut out, "Connection", "Upgrade")?;
    put_header(&mut out, "Sec-WebSocket-Accept", accept)?;
    put_optional(&mut out, "Sec-WebSocket-Protocol", subprotocol)?;
    put_optional(&mut out, "Sec-WebSocket-Extensions", extensions)?;
    for (name, value) in extra_headers {
        put_header(&mut out, name, value)?;
    }
    out.push_str("\r\n");
    Ok(out.into_bytes())
}

/// The request of a client, complete with its empty line (RFC 6455, section
/// 4.1).
///
/// `host` is the value of the `Host` header, with a port unless it is the
/// default; `path` includes the query; `key` comes from [`make_key`];
/// `subprotocols` are in order of preference; `extensions` comes from
/// [`DeflateSettings::offer`].
///
/// # Errors
///
/// [`HandshakeError::Unsendable`] for a header name or subprotocol that is no
/// token, for any value with a control character, and, as `path`, for a path
/// that does not start with a slash or has white space in it.
pub fn client_request(
    host: &str,
    path: &str,
    key: &str,
    subprotocols: &[&str],
    extensions: Option<&str>,
    headers: &[(&str, &str)],
) -> Result<Vec<u8>, HandshakeError> {
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(HandshakeError::Unsendable("path".to_owned()));
    }
    let mut out = String::with_capacity(512);
    // Writing to a string does not fail.
    let _ = write!(out, "GET {path} HTTP/1.1\r\n");
    put_header(&mut out, "Host", host)?;
    put_header(&mut out, "Upgrade", "websocket")?;
    put_header(&mut out, "Connection", "Upgrade")?;
    put_header(&mut out, "Sec-WebSocket-Key", key)?;
    put_header(&mut out, "Sec-WebSocket-Version", VERSION)?;
    if !subprotocols.is_empty() {
        let name = "Sec-WebSocket-Protocol";
        if !subprotocols.iter().copied().all(is_token) {
            return Err(HandshakeError::Unsendable(name.to_owned()));
        }
        put_header(&mut out, name, &subprotocols.join(", "))?;
    }
    put_optional(&mut out, "Sec-WebSocket-Extensions", extensions)?;
    for (name, value) in headers {
        put_header(&mut out, name, value)?;
    }
    out.push_str("\r\n");
    Ok(out.into_bytes())
}

/// What a server agreed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted<'a> {
    /// The subprotocol it chose, if any.
    pub subprotocol: Option<&'a str>,
    /// permessage-deflate, if it was offered and accepted.
    pub deflate: Option<DeflateAgreement>,
}

/// Checks a server's response to [`client_request`] (RFC 6455, section 4.1).
///
/// `key` and `subprotocols` are those of the request; `deflate` is what the
/// request offered, if it did.
///
/// # Errors
///
/// [`HandshakeError::Status`], [`HandshakeError::NoUpgrade`],
/// [`HandshakeError::NoConnectionUpgrade`], [`HandshakeError::Accept`],
/// [`HandshakeError::Subprotocol`] or [`HandshakeError::Extension`]: the
/// connection is not a WebSocket and has to be dropped.
pub fn check_response<'a>(
    status: u16,
    header: impl Fn(&str) -> Option<&'a str>,
    key: &str,
    subprotocols: &[&str],
    deflate: Option<&DeflateSettings>,
) -> Result<Accepted<'a>, HandshakeError> {
    if status != 101 {
        return Err(HandshakeError::Status(status));
    }
    check_upgrade(&header)?;
    let accept = header("sec-websocket-accept").map(str::trim_ascii);
    if accept != Some(accept_key(key).as_str()) {
        return Err(HandshakeError::Accept);
    }
    let subprotocol = header("sec-websocket-protocol").map(str::trim_ascii);
    if subprotocol.is_some_and(|chosen| !subprotocols.contains(&chosen)) {
        return Err(HandshakeError::Subprotocol);
    }
    let deflate = match header("sec-websocket-extensions") {
        None => None,
        Some(value) if value.trim_ascii().is_empty() => None,
        Some(value) => {
            Some(deflate.and_then(|settings| read_response(value, settings)).ok_or(HandshakeError::Extension)?)
        }
    };
    Ok(Accepted { subprotocol, deflate })
}

/// The first of the client's subprotocols that `supported` accepts;
/// `offer_header` is the value of `Sec-WebSocket-Protocol` (RFC 6455, section
/// 4.2.2).
#[must_use]
pub fn choose_subprotocol(offer_header: &str, supported: impl Fn(&str) -> bool) -> Option<&str> {
    let mut offers = offer_header.split(',').map(str::trim_ascii);
    offers.find(|offer| is_token(offer) && supported(offer))
}

fn check_upgrade<'a>(header: &impl Fn(&str) -> Option<&'a str>) -> Result<(), HandshakeError> {
    if !header("upgrade").is_some_and(|value| names(value, "websocket")) {
        return Err(HandshakeError::NoUpgrade);
    }
    if !header("connection").is_some_and(|value| names(value, "upgrade")) {
        return Err(HandshakeError::NoConnectionUpgrade);
    }
    Ok(())
}

/// Whether a comma-separated list has `token` in it, in any case.
fn names(list: &str, token: &str) -> bool {
    list.split(',').any(|element| element.trim_ascii().eq_ignore_ascii_case(token))
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_token_char)
}

fn put_optional(out: &mut String, name: &str, value: Option<&str>) -> Result<(), HandshakeError> {
    value.map_or(Ok(()), |value| put_header(out, name, value))
}

fn put_header(out: &mut String, name: &str, value: &str) -> Result<(), HandshakeError> {
    // A line break in a value would let it add headers or end the response.
    let broken = value.bytes().any(|b| b.is_ascii_control() && b != b'\t');
    if broken || !is_token(name) {
        return Err(HandshakeError::Unsendable(name.to_owned()));
    }
    for part in [name, ": ", value, "\r\n"] {
        out.push_str(part);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    type Headers = Vec<(&'static str, &'static str)>;

    fn lookup(headers: &Headers) -> impl Fn(&str) -> Option<&'static str> {
        move |name| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }

    fn with(headers: &Headers, name: &'static str, value: &'static str) -> Headers {
        let mut headers = headers.clone();
        headers.retain(|(n, _)| *n != name);
        headers.push((name, value));
        headers
    }

    #[test]
    fn example_of_rfc_6455_section_1_3() {
        assert_eq!(accept_key(KEY), ACCEPT);
        assert_eq!(make_key(*b"the sample nonce"), KEY);
    }

    #[test]
    fn keys() {
        assert!(validate_key(KEY));
        assert!(validate_key("AAAAAAAAAAAAAAAAAAAAAA=="));
        for key in ["", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(!validate_key(key), "{key}");
        }
        assert!(!validate_key(&"A".repeat(1_000)));
        assert!(!validate_key("AAAAAAAAAAAAAAAA*AAAAA=="));
    }

    #[test]
    fn requests_are_checked() {
        let good: Headers = vec![
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
        ];
        let check = |headers: &Headers| check_request(lookup(headers));
        assert_eq!(check(&good).as_deref(), Ok(ACCEPT));
        let cases = [
            ("upgrade", "h2c", HandshakeError::NoUpgrade),
            ("connection", "close", HandshakeError::NoConnectionUpgrade),
            ("sec-websocket-version", "8", HandshakeError::Version),
            ("sec-websocket-key", "short", HandshakeError::Key),
        ];
        for (name, value, error) in cases {
            assert_eq!(check(&with(&good, name, value)), Err(error));
        }
        assert_eq!(check(&vec![]), Err(HandshakeError::NoUpgrade));
    }

    #[test]
    fn responses_are_written() {
        let response = server_response(ACCEPT, Some("mqtt"), Some("permessage-deflate"), &[("Server", "fanfare")]);
        let expected = "HTTP/1.1 101 Switching Protocols\r\n\
            Upgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
            Sec-WebSocket-Protocol: mqtt\r\n\
            Sec-WebSocket-Extensions: permessage-deflate\r\n\
            Server: fanfare\r\n\r\n";
        assert_eq!(response, Ok(expected.as_bytes().to_vec()));
    }

    #[test]
    fn line_breaks_are_refused() {
        let unsendable = |name: &str| Err(HandshakeError::Unsendable(name.to_owned()));
        for value in ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\0b"] {
            let response = server_response(ACCEPT, Some(value), None, &[]);
            assert_eq!(response, unsendable("Sec-WebSocket-Protocol"));
            let response = server_response(ACCEPT, None, None, &[("X-Y", value)]);
            assert_eq!(response, unsendable("X-Y"));
            let response = server_response(ACCEPT, None, None, &[(value, "x")]);
            assert_eq!(response, unsendable(value));
            let request = client_request("host", value, KEY, &[], None, &[]);
            assert_eq!(request, unsendable("path"));
            let request = client_request(value, "/", KEY, &[], None, &[]);
            assert_eq!(request, unsendable("Host"));
            let request = client_request("host", "/", KEY, &[value], None, &[]);
            assert_eq!(request, unsendable("Sec-WebSocket-Protocol"));
        }
        let request = client_request("host", "/a b", KEY, &[], None, &[]);
        assert_eq!(request, unsendable("path"));
    }

    #[test]
    fn requests_are_written() {
        let offer = DeflateSettings::default().offer();
        let request = client_request(
            "example.org:8080",
            "/socket?a=b",
            KEY,
            &["one", "two"],
            Some(&offer),
            &[("Origin", "http://example.org")],
        );
        let expected = "GET /socket?a=b HTTP/1.1\r\nHost: example.org:8080\r\n\
            Upgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Sec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Protocol: one, two\r\n\
            Sec-WebSocket-Extensions: permessage-deflate; \
            client_no_context_takeover; server_no_context_takeover\r\n\
            Origin: http://example.org\r\n\r\n";
        assert_eq!(request, Ok(expected.as_bytes().to_vec()));
    }

    #[test]
    fn responses_are_checked() {
        let good: Headers = vec![("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", ACCEPT)];
        let settings = DeflateSettings::default();
        let check =
            |status, headers: &Headers, deflate| check_response(status, lookup(headers), KEY, &["one", "two"], deflate);
        let bare = Accepted { subprotocol: None, deflate: None };
        assert_eq!(check(101, &good, Some(&settings)), Ok(bare));
        assert_eq!(check(404, &good, None), Err(HandshakeError::Status(404)));
        let cases = [
            ("upgrade", "h2c", HandshakeError::NoUpgrade),
            ("connection", "close", HandshakeError::NoConnectionUpgrade),
            ("sec-websocket-accept", KEY, HandshakeError::Accept),
            ("sec-websocket-protocol", "three", HandshakeError::Subprotocol),
            ("sec-websocket-extensions", "x-other", HandshakeError::Extension),
        ];
        for (name, value, error) in cases {
            let headers = with(&good, name, value);
            assert_eq!(check(101, &headers, Some(&settings)), Err(error));
        }
        let value = "permessage-deflate; server_no_context_takeover";
        let headers = with(&good, "sec-websocket-extensions", value);
        let headers = with(&headers, "sec-websocket-protocol", "two");
        assert_eq!(check(101, &headers, None), Err(HandshakeError::Extension));
        let accepted = check(101, &headers, Some(&settings)).unwrap();
        assert_eq!(accepted.subprotocol, Some("two"));
        assert!(accepted.deflate.is_some_and(|d| d.server_no_context_takeover));
    }

    #[test]
    fn subprotocols_are_chosen_in_the_order_of_the_client() {
        let known = |name: &str| ["mqtt", "fanfare"].contains(&name);
        assert_eq!(choose_subprotocol("x, fanfare,mqtt", known), Some("fanfare"));
        assert_eq!(choose_subprotocol("x, y", known), None);
        assert_eq!(choose_subprotocol("", |_| true), None);
    }
}
