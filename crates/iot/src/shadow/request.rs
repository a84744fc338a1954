//! Reading requests, and refusing them in the words that clients know.

use serde_json::{Map, Value as Json, json};

use super::merge::{depth, has_null_in_array};
use super::{CLIENT_TOKEN_BYTES_MAX, DEPTH_MAX, REQUEST_BYTES_MAX};

/// A refused request; its code is that of HTTP.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Rejection {
    /// 400, 404, 409, 413 or 415; callers add 401, 403, 429 and 500.
    pub code: u16,
    /// What was wrong.
    pub message: String,
    /// The token of the request, so that its sender knows the answer.
    pub client_token: Option<String>,
}

impl Rejection {
    /// A refusal of `request`, whose token is taken over if it has a good one.
    #[must_use]
    pub fn new(code: u16, message: impl Into<String>, request: &[u8]) -> Self {
        Self { code, message: message.into(), client_token: client_token(request) }
    }

    /// The body of the answer.
    #[must_use]
    pub fn to_json(&self) -> Json {
        with_token(json!({"code": self.code, "message": self.message}), self.client_token.as_deref())
    }
}

/// The token of any request, if it is JSON with a good one.
#[must_use]
pub fn client_token(request: &[u8]) -> Option<String> {
    parse(request).ok().and_then(|(token, _)| token)
}

/// `body` with the token of the request, if there is one.
pub(super) fn with_token(mut body: Json, token: Option<&str>) -> Json {
    if let (Json::Object(fields), Some(token)) = (&mut body, token) {
        fields.insert("clientToken".to_owned(), Json::from(token));
    }
    body
}

/// A request to change a shadow, checked.
pub(super) struct Update {
    pub(super) token: Option<String>,
    /// The version that the sender thinks is present.
    pub(super) version: Option<u64>,
    /// Missing sections stay as they are.
    pub(super) desired: Option<Change>,
    pub(super) reported: Option<Change>,
}

/// What happens to a section.
pub(super) enum Change {
    Delete,
    Merge(Map<String, Json>),
}

type Fields = Map<String, Json>;

fn refuse(code: u16, message: impl Into<String>) -> Rejection {
    Rejection { code, message: message.into(), client_token: None }
}

/// Token and fields of any request. Refusals made here have no token to echo.
fn parse(request: &[u8]) -> Result<(Option<String>, Fields), Rejection> {
    if request.len() > REQUEST_BYTES_MAX {
        return Err(refuse(413, "The payload exceeds the maximum size allowed"));
    }
    let text = std::str::from_utf8(request)
        .map_err(|_| refuse(415, "Unsupported documented encoding; supported encoding is UTF-8"))?;
    let Ok(Json::Object(fields)) = serde_json::from_str(text) else { return Err(refuse(400, "Invalid JSON")) };
    let token = match fields.get("clientToken") {
        None => None,
        Some(Json::String(token)) if token.len() <= CLIENT_TOKEN_BYTES_MAX => Some(token.clone()),
        Some(_) => return Err(refuse(400, "Invalid clientToken")),
    };
    Ok((token, fields))
}

/// The token of a request to get or delete, which may be empty.
pub(super) fn plain(request: &[u8]) -> Result<Option<String>, Rejection> {
    if request.trim_ascii().is_empty() {
        return Ok(None);
    }
    parse(request).map(|(token, _)| token)
}

impl Update {
    pub(super) fn parse(request: &[u8]) -> Result<Self, Rejection> {
        let (token, fields) = parse(request)?;
        Self::checked(token.clone(), fields).map_err(|rejection| Rejection { client_token: token, ..rejection })
    }

    fn checked(token: Option<String>, mut fields: Fields) -> Result<Self, Rejection> {
        let version = match fields.get("version") {
            None => None,
            Some(version) => Some(version.as_u64().ok_or_else(|| refuse(400, "Invalid version"))?),
        };
        let mut state = match fields.remove("state") {
            None => return Err(refuse(400, "Missing required node: state")),
            Some(Json::Object(state)) => state,
            Some(_) => return Err(refuse(400, "State node must be an object")),
        };
        let desired = change(state.remove("desired"), "Desired")?;
        let reported = change(state.remove("reported"), "Reported")?;
        if !state.is_empty() {
            return Err(refuse(400, "State contains an invalid node"));
        }
        Ok(Self { token, version, desired, reported })
    }
}

fn change(section: Option<Json>, name: &str) -> Result<Option<Change>, Rejection> {
    match section {
        None => Ok(None),
        Some(Json::Null) => Ok(Some(Change::Delete)),
        Some(json @ Json::Object(_)) if depth(&json) > DEPTH_MAX => {
            Err(refuse(400, format!("JSON contains too many levels of nesting; maximum is {DEPTH_MAX}")))
        }
        Some(json @ Json::Object(_)) if has_null_in_array(&json) => Err(refuse(400, "State contains an invalid node")),
        Some(Json::Object(fields)) => Ok(Some(Change::Merge(fields))),
        Some(_) => Err(refuse(400, format!("{name} node must be an object"))),
    }
}
