//! The `@connections` plane: what its paths mean, what it answers, and its errors.

use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::json;

use crate::stamp::IsoTime;

/// What a path behind the stage means on the management plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Managed {
    /// `/@connections/{id}`: one connection. The text may be no id at all, which is a 400.
    Connection(String),
    /// `/@connections`: many at once. Not of the original.
    Connections,
    /// `/@topics/{topic}`: who is subscribed to a topic. Not of the original.
    Topic(String),
    /// `/@users/{principal}`: all connections of somebody. Not of the original.
    User(String),
}

/// Reads the path behind the stage, as it came on the wire. `@` may be `%40`, and what follows may
/// be percent-encoded, with hexadecimal digits of either case.
#[must_use]
pub fn parse(rest: &str) -> Option<Managed> {
    let rest = rest.strip_prefix('/')?;
    let (plane, behind) = match rest.split_once('/') {
        Some((plane, behind)) => (plane, Some(behind)),
        None => (rest, None),
    };
    match (decoded(plane)?.as_str(), behind) {
        ("@connections", None) => Some(Managed::Connections),
        ("@connections", Some(id)) if !id.is_empty() && !id.contains('/') => {
            Some(Managed::Connection(percent_decode_str(id).decode_utf8_lossy().into_owned()))
        }
        ("@topics", Some(topic)) if !topic.is_empty() => decoded(topic).map(Managed::Topic),
        ("@users", Some(principal)) if !principal.is_empty() => decoded(principal).map(Managed::User),
        _ => None,
    }
}

/// The id in a whole path without API and stage, `/@connections/{id}`: some SDKs lose the stage.
#[must_use]
pub fn stageless(path: &str) -> Option<String> {
    match parse(path) {
        Some(Managed::Connection(id)) => Some(id),
        _ => None,
    }
}

/// The ARN that policies see: `arn:aws:execute-api:{region}:{account}:{api}/{stage}/{METHOD}{rest}`.
/// `rest` is the path behind the stage; the ARN has it decoded.
#[must_use]
pub fn resource_arn(region: &str, account: &str, api: &str, stage: &str, method: &str, rest: &str) -> String {
    let rest = percent_decode_str(rest).decode_utf8_lossy();
    format!("arn:aws:execute-api:{region}:{account}:{api}/{stage}/{method}{rest}")
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// Why a request on the management plane is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManagementError {
    /// The connection is not there: not yet, no longer, or never.
    Gone,
    /// The text is no id.
    BadConnectionId(String),
    /// Something else is wrong with the request; what, the text says.
    BadRequest(String),
    /// The message is too large.
    PayloadTooLarge,
    /// More requests than are let through, or too much waits for the client already.
    LimitExceeded,
    /// No such API, stage or path.
    Forbidden,
    /// Nobody signed.
    MissingToken,
    /// The access key or session token is not known.
    UnknownKey,
    /// The signature does not fit; why, the text says.
    Signature(String),
    /// A policy does not allow it.
    AccessDenied {
        /// Who asks.
        arn: String,
        /// What for.
        action: String,
        /// On what.
        resource: String,
    },
    /// The server failed.
    Internal,
}

impl ManagementError {
    /// Its name in metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::BadConnectionId(_) => "bad_connection_id",
            Self::BadRequest(_) => "bad_request",
            Self::PayloadTooLarge => "payload_too_large",
            Self::LimitExceeded => "limit_exceeded",
            Self::Forbidden => "forbidden",
            Self::MissingToken => "missing_token",
            Self::UnknownKey => "unknown_key",
            Self::Signature(_) => "signature",
            Self::AccessDenied { .. } => "access_denied",
            Self::Internal => "internal",
        }
    }

    /// Status, value of [`crate::frame::ERROR_TYPE_HEADER`], and body. With `legacy_gone`, 410 comes
    /// without that header, as in 2019.
    #[must_use]
    pub fn response(&self, legacy_gone: bool) -> (u16, Option<&'static str>, Vec<u8>) {
        let message = |text: &str| json!({ "message": text }).to_string().into_bytes();
        let (status, error_type, body) = match self {
            Self::Gone => return (410, (!legacy_gone).then_some("GoneException"), Vec::new()),
            Self::BadConnectionId(id) => (400, "BadRequestException", message(&format!("Invalid connectionId: {id}"))),
            Self::BadRequest(text) => (400, "BadRequestException", message(text)),
            Self::PayloadTooLarge => (413, "PayloadTooLargeException", message("Message too long")),
            Self::LimitExceeded => (429, "LimitExceededException", message("Too Many Requests")),
            Self::Forbidden => (403, "ForbiddenException", message("Forbidden")),
            Self::MissingToken => (403, "MissingAuthenticationTokenException", message("Missing Authentication Token")),
            Self::UnknownKey => {
                (403, "UnrecognizedClientException", message("The security token included in the request is invalid."))
            }
            Self::Signature(text) => (403, "InvalidSignatureException", message(text)),
            Self::AccessDenied { arn, action, resource } => {
                let text = format!("User: {arn} is not authorized to perform: {action} on resource: {resource}");
                // This one error has a capital letter in the original.
                (403, "AccessDeniedException", json!({ "Message": text }).to_string().into_bytes())
            }
            Self::Internal => (500, "InternalServerErrorException", message("Internal server error")),
        };
        (status, Some(error_type), body)
    }
}

/// What `GET` on a connection answers. Times are milliseconds since 1970. SDKs need every member.
#[must_use]
pub fn connection_json(connected_at_ms: u64, last_active_ms: u64, source_ip: &str, user_agent: Option<&str>) -> String {
    let connection = Connection {
        connected_at: IsoTime(connected_at_ms),
        identity: Identity { source_ip, user_agent: user_agent.unwrap_or_default() },
        last_active_at: IsoTime(last_active_ms),
    };
    serde_json::to_string(&connection).expect("four texts are JSON")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Connection<'a> {
    connected_at: IsoTime,
    identity: Identity<'a>,
    last_active_at: IsoTime,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    source_ip: &'a str,
    user_agent: &'a str,
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn connection(id: &str) -> Option<Managed> {
        Some(Managed::Connection(id.to_owned()))
    }

    #[test]
    fn paths_of_one_connection() {
        for path in [
            "/@connections/R1kmxc2VNjMCFIA=",
            "/@connections/R1kmxc2VNjMCFIA%3D",
            "/@connections/R1kmxc2VNjMCFIA%3d",
            "/%40connections/R1kmxc2VNjMCFIA%3D",
        ] {
            assert_eq!(parse(path), connection("R1kmxc2VNjMCFIA="), "{path}");
            assert_eq!(stageless(path).as_deref(), Some("R1kmxc2VNjMCFIA="));
        }
        assert_eq!(parse("/@connections/abc"), connection("abc"));
        assert_eq!(parse("/@connections/%ff"), connection("\u{fffd}"));
    }

    #[test]
    fn other_paths() {
        assert_eq!(parse("/@connections"), Some(Managed::Connections));
        assert_eq!(parse("/@topics/chat/r1"), Some(Managed::Topic("chat/r1".to_owned())));
        assert_eq!(parse("/%40topics/chat%2Fr%201"), Some(Managed::Topic("chat/r 1".to_owned())));
        assert_eq!(parse("/@users/auth0%7C17"), Some(Managed::User("auth0|17".to_owned())));
        for none in [
            "",
            "/",
            "@connections/x",
            "/@connections/",
            "/@connections/a/b",
            "//@connections/a",
            "/@topics",
            "/@topics/",
            "/@topics/%ff",
            "/@users",
            "/@users/",
            "/connections/x",
            "/@Connections/x",
            "/dev/@connections/x",
        ] {
            assert_eq!(parse(none), None, "{none}");
            assert_eq!(stageless(none), None, "{none}");
        }
        assert_eq!(stageless("/@connections"), None);
    }

    #[test]
    fn arns_are_decoded() {
        let arn =
            resource_arn("eu-west-1", "000000000000", "chat1", "dev", "POST", "/%40connections/R1kmxc2VNjMCFIA%3D");
        assert_eq!(arn, "arn:aws:execute-api:eu-west-1:000000000000:chat1/dev/POST/@connections/R1kmxc2VNjMCFIA=");
    }

    #[test]
    fn gone_has_no_body() {
        assert_eq!(ManagementError::Gone.response(false), (410, Some("GoneException"), Vec::new()));
        assert_eq!(ManagementError::Gone.response(true), (410, None, Vec::new()));
    }

    #[test]
    fn errors() {
        let denied = ManagementError::AccessDenied {
            arn: "arn:aws:iam::000000000000:user/u".to_owned(),
            action: "execute-api:ManageConnections".to_owned(),
            resource: "arn:r".to_owned(),
        };
        for (error, status, error_type, body) in [
            (
                ManagementError::BadConnectionId("a\"b".to_owned()),
                400,
                "BadRequestException",
                r#"{"message":"Invalid connectionId: a\"b"}"#,
            ),
            (ManagementError::BadRequest("no".to_owned()), 400, "BadRequestException", r#"{"message":"no"}"#),
            (ManagementError::PayloadTooLarge, 413, "PayloadTooLargeException", r#"{"message":"Message too long"}"#),
            (ManagementError::LimitExceeded, 429, "LimitExceededException", r#"{"message":"Too Many Requests"}"#),
            (ManagementError::Forbidden, 403, "ForbiddenException", r#"{"message":"Forbidden"}"#),
            (
                ManagementError::MissingToken,
                403,
                "MissingAuthenticationTokenException",
                r#"{"message":"Missing Authentication Token"}"#,
            ),
            (
                ManagementError::UnknownKey,
                403,
                "UnrecognizedClientException",
                r#"{"message":"The security token included in the request is invalid."}"#,
            ),
            (ManagementError::Signature("s".to_owned()), 403, "InvalidSignatureException", r#"{"message":"s"}"#),
            (
                denied,
                403,
                "AccessDeniedException",
                r#"{"Message":"User: arn:aws:iam::000000000000:user/u is not authorized to perform: execute-api:ManageConnections on resource: arn:r"}"#,
            ),
            (ManagementError::Internal, 500, "InternalServerErrorException", r#"{"message":"Internal server error"}"#),
        ] {
            assert_eq!(error.response(true), (status, Some(error_type), body.as_bytes().to_vec()), "{error:?}");
        }
    }

    #[test]
    fn a_connection_as_sdks_read_it() {
        let expected = r#"{"connectedAt":"2025-02-07T09:05:03.001Z","identity":{"sourceIp":"203.0.113.9","userAgent":"demo/1"},"lastActiveAt":"2025-02-07T09:06:10.500Z"}"#;
        assert_eq!(connection_json(1_738_919_103_001, 1_738_919_170_500, "203.0.113.9", Some("demo/1")), expected);
        let bare: Value = serde_json::from_str(&connection_json(0, 0, "::1", None)).unwrap();
        assert_eq!(bare["identity"], json!({"sourceIp": "::1", "userAgent": ""}));
    }

    proptest! {
        #[test]
        fn every_name_comes_back_encoded(name in ".{1,30}") {
            let encoded = utf8_percent_encode(&name, NON_ALPHANUMERIC);
            prop_assert_eq!(parse(&format!("/@connections/{encoded}")), connection(&name));
            prop_assert_eq!(parse(&format!("/@topics/{encoded}")), Some(Managed::Topic(name.clone())));
            prop_assert_eq!(parse(&format!("/@users/{encoded}")), Some(Managed::User(name)));
        }

        #[test]
        fn no_path_is_too_odd(path in "/?(@connections|%40|%|/|é|.){0,6}") {
            if let Some(Managed::Connection(id)) = parse(&path) {
                prop_assert!(!id.is_empty());
            }
        }
    }
}
