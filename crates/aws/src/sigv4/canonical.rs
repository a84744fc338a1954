//! From a request to the sixty-four digits: canonical request, string to sign, signing key.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256, Key, Tag};

use super::{ALGORITHM, PayloadHash, UNSIGNED_PAYLOAD};
use crate::credentials::Secret;

/// Where and when a signature is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// `yyyymmdd`.
    pub(crate) day: String,
    pub(crate) region: String,
    pub(crate) service: String,
}

impl Scope {
    pub(crate) fn text(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.day, self.region, self.service)
    }

    /// The key that signs everything in this scope.
    pub(crate) fn key(&self, secret: &Secret) -> Key {
        let start = Key::new(HMAC_SHA256, format!("AWS4{}", secret.expose()).as_bytes());
        [self.day.as_str(), &self.region, &self.service, "aws4_request"]
            .iter()
            .fold(start, |key, part| Key::new(HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref()))
    }
}

/// One form of a request, ready to be signed. Everything is in its signed spelling.
pub(crate) struct Canonical<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    /// In the order of `signed_headers`.
    pub(crate) headers: &'a [(&'a str, String)],
    /// Names joined by `;`.
    pub(crate) signed_headers: &'a str,
    pub(crate) payload: &'a str,
}

impl Canonical<'_> {
    /// What the key signs.
    pub(crate) fn string_to_sign(&self, timestamp: &str, scope: &Scope) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.method, self.path, self.query);
        for (name, value) in self.headers {
            text.extend([name, ":", value, "\n"]);
        }
        text.extend(["\n", self.signed_headers, "\n", self.payload]);
        format!("{ALGORITHM}\n{timestamp}\n{}\n{}", scope.text(), sha256_hex(text.as_bytes()))
    }

    pub(crate) fn sign(&self, timestamp: &str, scope: &Scope, key: &Key) -> Tag {
        hmac::sign(key, self.string_to_sign(timestamp, scope).as_bytes())
    }
}

/// The value that is signed for a header: every value of that name, trimmed, with runs of spaces
/// made one. `None` when the request has no such header.
pub(crate) fn header_value(headers: &[(&str, &str)], name: &str) -> Option<String> {
    let mut out: Option<String> = None;
    for (_, value) in headers.iter().filter(|(sent, _)| sent.eq_ignore_ascii_case(name)) {
        let text = match &mut out {
            None => out.insert(String::new()),
            Some(text) => {
                text.push(',');
                text
            }
        };
        for (at, word) in value.split_ascii_whitespace().enumerate() {
            if at > 0 {
                text.push(' ');
            }
            text.push_str(word);
        }
    }
    out
}

/// The host without its port; `None` when there is no port.
pub(crate) fn without_port(host: &str) -> Option<&str> {
    let (name, port) = host.rsplit_once(':')?;
    // The colons of a bare IPv6 address are not a port.
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    (is_port && (name.ends_with(']') || !name.contains(':'))).then_some(name)
}

/// What stands for the body in the signature.
pub(crate) fn payload_text(payload: PayloadHash<'_>) -> String {
    match payload {
        PayloadHash::Bytes(bytes) => sha256_hex(bytes),
        PayloadHash::Hex(hash) => hash.to_owned(),
        PayloadHash::Unsigned => UNSIGNED_PAYLOAD.to_owned(),
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// Thirty-two bytes from sixty-four digits in lower case, the only spelling that signers use.
pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_trimmed_collapsed_and_joined() {
        let headers = [("X-K", "  a   b "), ("host", "h"), ("x-k", "c")];
        assert_eq!(header_value(&headers, "x-k").as_deref(), Some("a b,c"));
        assert_eq!(header_value(&headers, "x-l"), None);
        assert_eq!(header_value(&[("a", ""), ("a", "b")], "a").as_deref(), Some(",b"));
    }

    #[test]
    fn ports_are_told_from_addresses() {
        assert_eq!(without_port("gw.example:8443"), Some("gw.example"));
        assert_eq!(without_port("[::1]:8443"), Some("[::1]"));
        for host in ["gw.example", "[::1]", "::1", "gw.example:", "gw:x"] {
            assert_eq!(without_port(host), None, "{host}");
        }
    }

    #[test]
    fn digits_make_the_round_trip() {
        let bytes: [u8; 32] = std::array::from_fn(|at| at as u8 * 8 + 7);
        assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        assert_eq!(unhex(&hex(&bytes).to_uppercase()), None);
        assert_eq!(unhex("00"), None);
    }
}
