//! Close codes and the body of close frames (RFC 6455, 5.5.1 and 7.4).

use std::fmt;

use crate::ProtocolError;

/// The longest close reason that fits a control frame, in bytes.
pub(crate) const REASON_BYTES_MAX: usize = 123;

/// A close status code (RFC 6455, section 7.4, and its IANA registry).
///
/// Any `u16` can be held; [`CloseCode::is_sendable`] says whether it may
/// appear in a close frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// 1000: the purpose of the connection has been fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the endpoint goes away: a server stops, a page is left.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data that the endpoint cannot accept.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1005: stands for a close frame without code; never on the wire.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: stands for a connection lost without close frame; never on the
    /// wire.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: data inconsistent with its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: the peer violated a policy; the generic refusal.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message too big to process.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the server did not agree to an extension that the client needs.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: an unexpected condition inside the server.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts; the client may reconnect (IANA registry).
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the service is overloaded; try again later (IANA registry).
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway received an invalid response from upstream (IANA
    /// registry).
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015: stands for a failed TLS handshake; never on the wire.
    pub const TLS_HANDSHAKE: Self = Self(1015);

    /// Whether the code may appear in a close frame: 1000 to 1003, 1007 to
    /// 1014, and 3000 to 4999 (RFC 6455, section 7.4.2).
    #[must_use]
    pub const fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads the payload of a close frame.
pub(crate) fn parse(payload: &[u8]) -> Result<(Option<CloseCode>, &str), ProtocolError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload {
            [] => Ok((None, "")),
            _ => Err(ProtocolError::CloseLength),
        };
    };
    let code = CloseCode(u16::from_be_bytes(*code));
    if !code.is_sendable() {
        return Err(ProtocolError::CloseCode(code.0));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| ProtocolError::CloseReason)?;
    Ok((Some(code), reason))
}

/// Cuts `reason` to [`REASON_BYTES_MAX`], never inside a character.
pub(crate) fn fitting_reason(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_valid_on_the_wire() {
        let valid: Vec<u16> = (0..=u16::MAX).filter(|code| CloseCode(*code).is_sendable()).collect();
        let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(valid, expected);
    }

    #[test]
    fn bodies() {
        assert_eq!(parse(b""), Ok((None, "")));
        assert_eq!(parse(b"\x03"), Err(ProtocolError::CloseLength));
        assert_eq!(parse(b"\x03\xe8"), Ok((Some(CloseCode::NORMAL), "")));
        assert_eq!(parse(b"\x03\xe8bye"), Ok((Some(CloseCode::NORMAL), "bye")));
        assert_eq!(parse(b"\x03\xed"), Err(ProtocolError::CloseCode(1005)));
        assert_eq!(parse(b"\x03\xe8\xff"), Err(ProtocolError::CloseReason));
        assert_eq!(parse(b"\x03\xe8\xc3"), Err(ProtocolError::CloseReason));
    }

    #[test]
    fn long_reasons_are_cut_between_characters() {
        let reason = "é".repeat(100);
        assert_eq!(fitting_reason(&reason).len(), 122);
        assert_eq!(fitting_reason("short"), "short");
    }
}
