//! The administration of keys over HTTP.
//!
//! ```text
//! POST   /api-keys                              {"role_id", "description", "expiry"}
//! GET    /api-keys?limit=1..100&next_token=
//! DELETE /api-keys/{key_id}                     {}
//! ```

use serde::{Deserialize, Serialize};

use super::decoded;
use crate::error::Problem;
use crate::limits::DESCRIPTION_BYTES_MAX;

/// Most keys of one page of a list.
pub const PAGE_MAX: usize = 100;

/// The body that answers a DELETE.
pub const DELETED: &str = "{}";

/// What is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRequest {
    /// The role, whose permissions the key gets.
    pub role_id: String,
    /// What the key is for.
    pub description: String,
    /// Seconds since 1970; `None` for never.
    pub expires_at: Option<u64>,
}

#[derive(Deserialize)]
struct Written {
    role_id: String,
    #[serde(default)]
    description: String,
    expiry: Expiry,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected expiry to be \"never\" or seconds since 1970")]
enum Expiry {
    At(u64),
    Word(String),
}

impl KeyRequest {
    /// Reads the body of a POST.
    ///
    /// # Errors
    /// [`Problem::InvalidArgument`] says what is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let written: Written = serde_json::from_slice(body).map_err(|error| invalid(error.to_string()))?;
        if written.description.len() > DESCRIPTION_BYTES_MAX {
            return Err(invalid(format!("the description has more than {DESCRIPTION_BYTES_MAX} bytes")));
        }
        let expires_at = match written.expiry {
            Expiry::At(at) => Some(at),
            Expiry::Word(word) if word == "never" => None,
            Expiry::Word(_) => return Err(invalid("expiry is neither \"never\" nor seconds since 1970")),
        };
        Ok(Self { role_id: written.role_id, description: written.description, expires_at })
    }
}

fn invalid(text: impl Into<String>) -> Problem {
    Problem::InvalidArgument(text.into())
}

/// What is known of a key, which is not the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// Its id.
    pub key_id: String,
    /// The account; there is one here.
    pub account_id: String,
    /// What it is for.
    pub description: String,
    /// Its role.
    pub role_id: String,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at_epoch_seconds: Option<u64>,
    /// Seconds since 1970.
    pub issued_at_epoch_seconds: u64,
}

/// The body that answers a POST: the only time that the key is shown.
#[must_use]
pub fn created_json(api_key: &str, info: &KeyInfo) -> String {
    #[derive(Serialize)]
    struct Created<'a> {
        api_key: &'a str,
        key_info: &'a KeyInfo,
    }
    serde_json::to_string(&Created { api_key, key_info: info }).expect("texts and numbers are JSON")
}

/// The body that answers a GET. Without `next_token` the page is the last.
#[must_use]
pub fn list_json(keys: &[KeyInfo], next_token: Option<&str>) -> String {
    #[derive(Serialize)]
    struct Page<'a> {
        key_info: &'a [KeyInfo],
        #[serde(skip_serializing_if = "Option::is_none")]
        next_token: Option<&'a str>,
    }
    serde_json::to_string(&Page { key_info: keys, next_token }).expect("texts and numbers are JSON")
}

/// What a path of this interface means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPath {
    /// All keys.
    Keys,
    /// One, by id.
    Key(String),
}

impl KeyPath {
    /// Reads a path as it came on the wire, without its query. `None` for paths of others.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        match path.strip_prefix("/api-keys")? {
            "" | "/" => Some(Self::Keys),
            id => {
                let id = id.strip_prefix('/').filter(|id| !id.contains('/'))?;
                decoded(id).map(Self::Key)
            }
        }
    }
}

/// Which page of the list a query wants: how many keys, and where the last page ended.
///
/// # Errors
/// [`Problem::InvalidArgument`] for a limit that is not from 1 to [`PAGE_MAX`].
pub fn page(query: &str) -> Result<(usize, Option<String>), Problem> {
    let (mut limit, mut next_token) = (PAGE_MAX, None);
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("limit", value)) => {
                let number = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                limit = number.ok_or_else(|| invalid(format!("limit is not a number from 1 to {PAGE_MAX}")))?;
            }
            Some(("next_token", value)) if !value.is_empty() => {
                next_token = Some(decoded(value).ok_or_else(|| invalid("next_token is not UTF-8"))?);
            }
            _ => {}
        }
    }
    Ok((limit, next_token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(expires_at_epoch_seconds: Option<u64>) -> KeyInfo {
        KeyInfo {
            key_id: "k1".into(),
            account_id: "a".into(),
            description: "d".into(),
            role_id: "r".into(),
            expires_at_epoch_seconds,
            issued_at_epoch_seconds: 5,
        }
    }

    #[test]
    fn requests() {
        let request = KeyRequest::parse(br#"{"role_id":"r","description":"d","expiry":"never"}"#).unwrap();
        assert_eq!(request, KeyRequest { role_id: "r".into(), description: "d".into(), expires_at: None });
        let request = KeyRequest::parse(br#"{"role_id":"r","expiry":1900000000}"#).unwrap();
        assert_eq!(request.expires_at, Some(1_900_000_000));
        let long = format!(r#"{{"role_id":"r","expiry":1,"description":"{}"}}"#, "d".repeat(1_025));
        for bad in ["", "{}", r#"{"role_id":"r","expiry":"soon"}"#, r#"{"role_id":"r","expiry":-1}"#, &long] {
            assert!(matches!(KeyRequest::parse(bad.as_bytes()), Err(Problem::InvalidArgument(_))), "{bad}");
        }
    }

    #[test]
    fn answers() {
        assert_eq!(
            created_json("key", &info(Some(9))),
            r#"{"api_key":"key","key_info":{"key_id":"k1","account_id":"a","description":"d","role_id":"r","expires_at_epoch_seconds":9,"issued_at_epoch_seconds":5}}"#
        );
        assert_eq!(list_json(&[], None), r#"{"key_info":[]}"#);
        let page = list_json(&[info(None)], Some("n"));
        assert!(page.ends_with(r#""issued_at_epoch_seconds":5}],"next_token":"n"}"#), "{page}");
        assert!(!page.contains("expires_at"));
    }

    #[test]
    fn paths_and_pages() {
        assert_eq!(KeyPath::parse("/api-keys"), Some(KeyPath::Keys));
        assert_eq!(KeyPath::parse("/api-keys/k%201"), Some(KeyPath::Key("k 1".into())));
        for none in ["/api-key", "/api-keysx", "/api-keys/a/b", "/api-keys/%ff"] {
            assert_eq!(KeyPath::parse(none), None, "{none}");
        }
        assert_eq!(page(""), Ok((100, None)));
        assert_eq!(page("limit=7&next_token=a%3D"), Ok((7, Some("a=".into()))));
        for bad in ["limit=0", "limit=101", "limit=x", "next_token=%ff"] {
            assert!(page(bad).is_err(), "{bad}");
        }
    }
}
