//! What clients get that are refused, told of an error, or closed.

use serde::Serialize;

/// Name of the header that tells SDKs which error a response means.
pub const ERROR_TYPE_HEADER: &str = "x-amzn-ErrorType";

const JSON: &str = "application/json";

/// What went wrong with a message. The connection stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// No route takes it, or a policy denies the route.
    Forbidden,
    /// The integration failed or its answer cannot be used.
    Internal,
    /// The message does not fit the route's model.
    InvalidBody,
    /// More requests than are let through.
    TooManyRequests,
    /// The integration took too long.
    TimedOut,
    /// There is no template for it, and it is not to be passed on without one.
    UnsupportedMediaType,
}

impl FrameError {
    /// What the client reads.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Forbidden => "Forbidden",
            Self::Internal => "Internal server error",
            Self::InvalidBody => "Invalid request body",
            Self::TooManyRequests => "Too Many Requests",
            Self::TimedOut => "Endpoint request timed out",
            Self::UnsupportedMediaType => "Unsupported Media Type",
        }
    }

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Internal => "internal",
            Self::InvalidBody => "invalid_body",
            Self::TooManyRequests => "too_many_requests",
            Self::TimedOut => "timed_out",
            Self::UnsupportedMediaType => "unsupported_media_type",
        }
    }

    /// The client can do something about it.
    #[must_use]
    pub const fn is_the_clients(self) -> bool {
        !matches!(self, Self::Internal | Self::TimedOut)
    }
}

/// The text of an error frame. Its white space is the original's; some clients search for it.
#[must_use]
pub fn error_frame(error: FrameError, connection_id: &str, request_id: &str) -> String {
    let message = error.message();
    format!(r#"{{"message": "{message}", "connectionId":"{connection_id}", "requestId":"{request_id}"}}"#)
}

/// Why an upgrade is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// An identity source of the authorizer is missing or empty.
    MissingIdentity,
    /// The authorizer said `Unauthorized`.
    Unauthorized,
    /// A policy denies it, or no signature proves who it is.
    Denied,
    /// The authorizer failed or did not answer in time.
    AuthorizerFailed,
    /// The authorizer's answer cannot be used.
    AuthorizerMisconfigured,
    /// The integration of `$connect` said so.
    ConnectStatus {
        /// What it said: 300 to 599. Others refuse nothing and become 502.
        status: u16,
        /// Its body; empty if it sent none.
        body: Vec<u8>,
    },
    /// The integration of `$connect` failed, or its answer cannot be used.
    ConnectFailed,
    /// The integration of `$connect` took too long.
    ConnectTimeout,
    /// The API key is missing or not known.
    ApiKey,
    /// More connections or requests than are let through.
    Throttled,
    /// No such API or stage, or segments behind the stage.
    NotFound,
    /// A parameter that `$connect` requires is missing.
    BadParameters,
    /// The URL has more than [`crate::address::URL_CHARS_MAX`] characters.
    TooLongUrl,
    /// It is no upgrade to WebSocket.
    UpgradeRequired,
}

/// Status, headers and body of an HTTP response.
pub type Response = (u16, Vec<(&'static str, String)>, Vec<u8>);

impl Refused {
    /// Its name in metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::MissingIdentity => "missing_identity",
            Self::Unauthorized => "unauthorized",
            Self::Denied => "denied",
            Self::AuthorizerFailed => "authorizer_failed",
            Self::AuthorizerMisconfigured => "authorizer_misconfigured",
            Self::ConnectStatus { .. } => "connect_status",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::ApiKey => "api_key",
            Self::Throttled => "throttled",
            Self::NotFound => "not_found",
            Self::BadParameters => "bad_parameters",
            Self::TooLongUrl => "too_long_url",
            Self::UpgradeRequired => "upgrade_required",
        }
    }

    /// The application or this server failed, and not the client.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        use Refused::{AuthorizerFailed, AuthorizerMisconfigured, ConnectFailed, ConnectStatus, ConnectTimeout};
        matches!(
            self,
            AuthorizerFailed
                | AuthorizerMisconfigured
                | ConnectFailed
                | ConnectTimeout
                | ConnectStatus { status: 500.., .. }
        )
    }

    /// Status, headers and body. Ids that are empty, since there are none yet, are left out.
    #[must_use]
    pub fn response(&self, connection_id: &str, request_id: &str) -> Response {
        let (status, error_type, message) = match self {
            Self::ConnectStatus { status: status @ 300..600, body } => return as_said(*status, body),
            Self::ConnectStatus { .. } | Self::ConnectFailed => {
                (502, Some("InternalServerErrorException"), "Internal server error")
            }
            Self::ConnectTimeout => (504, Some("InternalServerErrorException"), "Endpoint request timed out"),
            Self::MissingIdentity | Self::Unauthorized => (401, Some("UnauthorizedException"), "Unauthorized"),
            Self::Denied => (403, Some("AccessDeniedException"), "Forbidden"),
            Self::AuthorizerFailed => (500, Some("AuthorizerFailureException"), "Internal server error"),
            Self::AuthorizerMisconfigured => (500, Some("AuthorizerConfigurationException"), "Internal server error"),
            Self::ApiKey | Self::NotFound => (403, Some("ForbiddenException"), "Forbidden"),
            Self::Throttled => (429, Some("TooManyRequestsException"), "Too Many Requests"),
            Self::BadParameters => (400, Some("BadRequestException"), "Missing required request parameters"),
            Self::TooLongUrl => (414, None, "URI Too Long"),
            Self::UpgradeRequired => (426, None, "Upgrade Required"),
        };
        let mut headers = vec![("content-type", JSON.to_owned())];
        headers.extend(error_type.map(|name| (ERROR_TYPE_HEADER, name.to_owned())));
        if *self == Self::UpgradeRequired {
            headers.push(("upgrade", "websocket".to_owned()));
            headers.push(("connection", "upgrade".to_owned()));
        }
        let body = RefusalBody { message, connection_id, request_id };
        (status, headers, serde_json::to_vec(&body).expect("three texts are JSON"))
    }
}

/// The function's own answer, and nothing of ours.
fn as_said(status: u16, body: &[u8]) -> Response {
    // RFC 9110, 15.4.5: 304 ends with its headers.
    if body.is_empty() || status == 304 {
        return (status, Vec::new(), Vec::new());
    }
    (status, vec![("content-type", JSON.to_owned())], body.to_vec())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefusalBody<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    connection_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    request_id: &'a str,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending<'a> {
    /// The client sent a close frame.
    Client {
        /// Its code, if it had one.
        code: Option<u16>,
        /// Its reason.
        reason: &'a str,
    },
    /// There was no close frame: the network, or a crash of either side.
    Lost,
    /// There was no traffic for too long.
    Idle,
    /// It was open for as long as connections may be.
    Expired,
    /// The server stops.
    Stopping,
    /// `DELETE` on `@connections`.
    Deleted,
    /// A frame or a message was too large.
    TooLarge,
    /// A message was binary.
    Binary,
    /// A text was not UTF-8.
    NotUtf8,
    /// The client broke the protocol.
    Protocol,
    /// Who connected is no longer let in.
    Policy,
}

/// `disconnectStatusCode` and `disconnectReason` of the event that tells of an end.
#[must_use]
pub const fn disconnect_of(ending: Ending<'_>) -> (u16, &str) {
    match ending {
        Ending::Client { code: Some(code), reason } => (code, reason),
        Ending::Client { code: None, .. } => (1005, "Client-side close frame status not set"),
        Ending::Lost => (1006, "Connection closed abnormally"),
        Ending::Idle | Ending::Expired | Ending::Stopping => (1001, "Going away"),
        Ending::Deleted => (1000, "Connection Closed Normally"),
        Ending::TooLarge => (1009, "Message too long"),
        Ending::Binary => (1003, "Binary is not supported"),
        Ending::NotUtf8 => (1007, "Text is not UTF-8"),
        Ending::Protocol => (1002, "Protocol error"),
        Ending::Policy => (1008, "Policy violation"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_frames_to_the_byte() {
        let frame = error_frame(FrameError::Forbidden, "PbTkjcISoAMCJNQ=", "PbTk7ET8IAMFs2g=");
        let expected = r#"{"message": "Forbidden", "connectionId":"PbTkjcISoAMCJNQ=", "requestId":"PbTk7ET8IAMFs2g="}"#;
        assert_eq!(frame, expected);
        for (error, message) in [
            (FrameError::Internal, "Internal server error"),
            (FrameError::InvalidBody, "Invalid request body"),
            (FrameError::TooManyRequests, "Too Many Requests"),
            (FrameError::TimedOut, "Endpoint request timed out"),
            (FrameError::UnsupportedMediaType, "Unsupported Media Type"),
        ] {
            assert!(error_frame(error, "c", "r").starts_with(&format!(r#"{{"message": "{message}", "#)));
        }
    }

    #[test]
    fn refusals() {
        for (refused, status, error_type, message) in [
            (Refused::MissingIdentity, 401, "UnauthorizedException", "Unauthorized"),
            (Refused::Unauthorized, 401, "UnauthorizedException", "Unauthorized"),
            (Refused::Denied, 403, "AccessDeniedException", "Forbidden"),
            (Refused::AuthorizerFailed, 500, "AuthorizerFailureException", "Internal server error"),
            (Refused::AuthorizerMisconfigured, 500, "AuthorizerConfigurationException", "Internal server error"),
            (Refused::ConnectFailed, 502, "InternalServerErrorException", "Internal server error"),
            (Refused::ConnectTimeout, 504, "InternalServerErrorException", "Endpoint request timed out"),
            (Refused::ApiKey, 403, "ForbiddenException", "Forbidden"),
            (Refused::Throttled, 429, "TooManyRequestsException", "Too Many Requests"),
            (Refused::NotFound, 403, "ForbiddenException", "Forbidden"),
            (Refused::BadParameters, 400, "BadRequestException", "Missing required request parameters"),
        ] {
            let headers = vec![("content-type", JSON.to_owned()), (ERROR_TYPE_HEADER, error_type.to_owned())];
            let body = format!(r#"{{"message":"{message}","connectionId":"c=","requestId":"r="}}"#);
            assert_eq!(refused.response("c=", "r="), (status, headers, body.into_bytes()), "{refused:?}");
        }
        assert_eq!(Refused::NotFound.response("", "").2, br#"{"message":"Forbidden"}"#);
        assert_eq!(Refused::TooLongUrl.response("", "").0, 414);
        let (status, headers, _) = Refused::UpgradeRequired.response("", "");
        assert_eq!(status, 426);
        assert!(headers.contains(&("upgrade", "websocket".to_owned())));
    }

    #[test]
    fn what_connect_said_is_passed_on() {
        let said = |status, body: &[u8]| Refused::ConnectStatus { status, body: body.to_vec() }.response("c", "r");
        assert_eq!(said(401, b"go away"), (401, vec![("content-type", JSON.to_owned())], b"go away".to_vec()));
        assert_eq!(said(501, b""), (501, Vec::new(), Vec::new()));
        assert_eq!(said(304, b"x"), (304, Vec::new(), Vec::new()));
        for odd in [0, 100, 101, 204, 600, 999] {
            assert_eq!(said(odd, b"x").0, 502, "{odd}");
        }
    }

    #[test]
    fn what_functions_hear_of_an_end() {
        for (ending, expected) in [
            (Ending::Client { code: None, reason: "" }, (1005, "Client-side close frame status not set")),
            (Ending::Client { code: Some(1001), reason: "" }, (1001, "")),
            (Ending::Client { code: Some(4001), reason: "bye" }, (4001, "bye")),
            (Ending::Lost, (1006, "Connection closed abnormally")),
            (Ending::Idle, (1001, "Going away")),
            (Ending::Expired, (1001, "Going away")),
            (Ending::Stopping, (1001, "Going away")),
            (Ending::Deleted, (1000, "Connection Closed Normally")),
            (Ending::TooLarge, (1009, "Message too long")),
            (Ending::Binary, (1003, "Binary is not supported")),
            (Ending::NotUtf8, (1007, "Text is not UTF-8")),
            (Ending::Protocol, (1002, "Protocol error")),
            (Ending::Policy, (1008, "Policy violation")),
        ] {
            assert_eq!(disconnect_of(ending), expected);
        }
    }
}
