//! How keys look, and how they are wrapped for SDKs.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::Deserialize;

use super::signing::decoded;
use crate::limits::KEY_BYTES_MAX;

/// Wrapped keys are a third longer, and hold an endpoint too.
const WRAPPED_BYTES_MAX: usize = 2 * KEY_BYTES_MAX;

const HOST_BYTES_MAX: usize = 253;

/// Base domain of this server as clients know it, perhaps with a port: SDKs put `cache.`, `control.`
/// and `token.` before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

/// A text that is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the endpoint {0:?} is none: expected a host name, perhaps with a port, such as gw.example.com:8443")]
pub struct EndpointError(String);

impl Endpoint {
    /// Checks that it has 1 to 253 letters, digits and `.-:_[]`, and nothing that an SDK would stumble over.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub fn new(text: &str) -> Result<Self, EndpointError> {
        // One SDK puts it into JSON as it is, and Base64 must come out the same in both alphabets.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:_[]".contains(&byte);
        if text.is_empty() || text.len() > HOST_BYTES_MAX || !text.bytes().all(is_plain) {
            return Err(EndpointError(text.chars().take(HOST_BYTES_MAX).collect()));
        }
        Ok(Self(text.to_owned()))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Names without port that SDKs use for it, all of which a certificate must hold. Browsers put
    /// `web.` before; `api.cache.` is for plain HTTP, `token.cache.` for the Python SDK with a legacy key.
    #[must_use]
    pub fn host_names(&self) -> Vec<String> {
        let has_port = |(_, port): &(&str, &str)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let host = self.0.rsplit_once(':').filter(has_port).map_or(&*self.0, |(host, _)| host);
        let prefixes =
            ["cache", "control", "token", "web.cache", "web.control", "web.token", "api.cache", "token.cache"];
        prefixes.into_iter().map(|prefix| format!("{prefix}.{host}")).collect()
    }
}

/// What is inside a wrapped key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Wrapped {
    /// The key itself.
    pub api_key: String,
    /// The base domain.
    pub endpoint: String,
}

/// Wraps a key for SDKs. `api_key` must be one of ours, which have only letters, digits and `._-`.
#[must_use]
pub fn wrap(api_key: &str, endpoint: &Endpoint) -> String {
    STANDARD.encode(format!(r#"{{"endpoint":"{}","api_key":"{api_key}"}}"#, endpoint.as_str()))
}

/// Unwraps a key; `None` when it is not wrapped. Both alphabets are taken.
#[must_use]
pub fn unwrap(text: &str) -> Option<Wrapped> {
    if text.len() > WRAPPED_BYTES_MAX {
        return None;
    }
    let json = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()?;
    serde_json::from_slice(&json).ok()
}

/// The key in the value of `authorization` (or of `token` in a URL): as it is, behind `Bearer`, or
/// wrapped. `None` where there is none: the header is absent, empty, or has the scheme alone.
#[must_use]
pub fn presented(value: Option<&str>) -> Option<Cow<'_, str>> {
    let value = value?.trim();
    let key = match value.split_at_checked(6) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") && (rest.is_empty() || rest.starts_with(' ')) => {
            rest.trim_start()
        }
        _ => value,
    };
    if key.is_empty() {
        return None;
    }
    Some(unwrap(key).map_or(Cow::Borrowed(key), |wrapped| Cow::Owned(wrapped.api_key)))
}

/// How a key looks to an SDK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A token with endpoints in its claims.
    Legacy {
        /// Where caches are managed.
        control: String,
        /// Where topics are.
        cache: String,
    },
    /// Key and endpoint in Base64.
    V1(Wrapped),
    /// A token with the claim `t` = `g`.
    V2,
    /// None of these: SDKs refuse it.
    Other,
}

#[derive(Deserialize)]
struct Claims {
    t: Option<String>,
    cp: Option<String>,
    c: Option<String>,
}

impl Shape {
    /// Looks at a key as SDKs do; nothing is verified.
    #[must_use]
    pub fn of(text: &str) -> Self {
        if let Some(wrapped) = unwrap(text) {
            return Self::V1(wrapped);
        }
        let mut parts = text.split('.');
        let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Self::Other;
        };
        match decoded::<Claims>(claims) {
            Some(Claims { t: Some(t), .. }) if t == "g" => Self::V2,
            Some(Claims { cp: Some(control), c: Some(cache), .. }) => Self::Legacy { control, cache },
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::new(text).unwrap()
    }

    #[test]
    fn a_wrapped_key_is_the_same_in_both_alphabets() {
        let text = wrap("eyJh.b-_c.d", &endpoint("gw.example.com:8443"));
        let json = String::from_utf8(STANDARD.decode(&text).unwrap()).unwrap();
        assert_eq!(json, r#"{"endpoint":"gw.example.com:8443","api_key":"eyJh.b-_c.d"}"#);
        assert_eq!(URL_SAFE.encode(json), text);
        let wrapped = Wrapped { api_key: "eyJh.b-_c.d".into(), endpoint: "gw.example.com:8443".into() };
        assert_eq!(unwrap(&text), Some(wrapped.clone()));
        assert_eq!(Shape::of(&text), Shape::V1(wrapped));
    }

    #[test]
    fn endpoints() {
        for bad in ["", "a b", "a\"b", "a\\b", "https://a", "a~b", "a?b", "a>b", "\u{e9}.com", &"x".repeat(254)] {
            assert!(Endpoint::new(bad).is_err(), "{bad}");
        }
        assert!(Endpoint::new("[::1]:8080").is_ok());
        let names = endpoint("gw.example.com:8443").host_names();
        assert_eq!(names[0], "cache.gw.example.com");
        assert_eq!(names[6..], ["api.cache.gw.example.com", "token.cache.gw.example.com"]);
        assert_eq!(endpoint("gw").host_names()[4], "web.control.gw");
    }

    #[test]
    fn what_clients_send() {
        let key = Some(Cow::Borrowed("k.e.y"));
        for value in ["k.e.y", " k.e.y ", "Bearer k.e.y", "bearer   k.e.y"] {
            assert_eq!(presented(Some(value)), key, "{value}");
        }
        let wrapped = wrap("k.e.y", &endpoint("e"));
        assert_eq!(presented(Some(&wrapped)), key);
        assert_eq!(presented(Some(&format!("Bearer {wrapped}"))), key);
        for none in [None, Some(""), Some("  "), Some("Bearer"), Some("Bearer  ")] {
            assert_eq!(presented(none), None, "{none:?}");
        }
        assert_eq!(presented(Some("Bearers")), Some(Cow::Borrowed("Bearers")));
        assert_eq!(presented(Some("b\u{e9}\u{e9}\u{e9}")), Some(Cow::Borrowed("b\u{e9}\u{e9}\u{e9}")));
    }

    #[test]
    fn shapes() {
        // Claims: {"t":"g"}, {"cp":"control.a","c":"cache.a"}, {}.
        assert_eq!(Shape::of("x.eyJ0IjoiZyJ9.y"), Shape::V2);
        let legacy = Shape::Legacy { control: "control.a".into(), cache: "cache.a".into() };
        assert_eq!(Shape::of("x.eyJjcCI6ImNvbnRyb2wuYSIsImMiOiJjYWNoZS5hIn0.y"), legacy);
        for other in ["", "key", "x.e30.y", "x.eyJ0IjoiZyJ9", "x.eyJ0IjoiZyJ9.y.z", "e30="] {
            assert_eq!(Shape::of(other), Shape::Other, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_is_wrapped_comes_out(key in "[A-Za-z0-9._-]{1,60}", host in "[a-z0-9.-]{1,40}") {
            let text = wrap(&key, &endpoint(&host));
            prop_assert_eq!(URL_SAFE.decode(&text), STANDARD.decode(&text));
            prop_assert_eq!(unwrap(&text), Some(Wrapped { api_key: key, endpoint: host }));
        }

        #[test]
        fn no_text_is_too_odd(text in "\\PC{0,40}|[A-Za-z0-9+/=._-]{0,60}") {
            let _ = Shape::of(&text);
            let _ = presented(Some(&text));
        }
    }
}
