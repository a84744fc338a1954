//! The HTTP interface, for what has no gRPC: publish by POST, receive by polls.
//!
//! ```text
//! POST /topics/{cache}/{topic}                                         204
//! GET  /topics/{cache}/{topic}?sequence_number=N&sequence_page=P       200 {"items": [...]}
//! ```
//!
//! `N` is the number after the last one that the client had, 0 at first; the page is given back as it
//! came. The key stands in `authorization`, or in the URL as `token`, and not in both. [`keys`] is the
//! administration of keys.

pub mod keys;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fanfare_core::Kind;
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::credential::presented;
use crate::error::Problem;
use crate::sequence::Resume;
use crate::wire::{SubscriptionItem, TopicValue, subscription_item, topic_value};

/// The answer to a publish.
pub const PUBLISHED: u16 = 204;

/// `content-type` of every answer that has a body.
pub const CONTENT_TYPE: &str = "application/json";

/// What a path of this interface means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPath {
    /// The cache.
    pub cache: String,
    /// The topic, in which `/` comes as `%2F`.
    pub topic: String,
}

impl TopicPath {
    /// Reads a path as it came on the wire, without its query. `None` for paths of others, such as
    /// `/topics/{topic}` with one name alone.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let (cache, topic) = path.strip_prefix("/topics/")?.split_once('/')?;
        if cache.is_empty() || topic.is_empty() || topic.contains('/') {
            return None;
        }
        Some(Self { cache: decoded(cache)?, topic: decoded(topic)? })
    }
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned)
}

/// What stands behind the `?`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// A key.
    pub token: Option<String>,
    /// Where a poll begins.
    pub resume: Resume,
}

impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Query")
            .field("token", &self.token.as_ref().map(|_| "***"))
            .field("resume", &self.resume)
            .finish()
    }
}

impl Query {
    /// Reads a query as it came on the wire. `+` is itself, for keys in Base64. What it does not know
    /// it leaves alone.
    ///
    /// # Errors
    /// [`Problem::InvalidArgument`] for a number that is none, and for what is given twice.
    pub fn parse(query: &str) -> Result<Self, Problem> {
        let (mut token, mut number, mut page) = (None, None, None);
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let place = match name {
                "token" => &mut token,
                "sequence_number" => &mut number,
                "sequence_page" => &mut page,
                _ => continue,
            };
            let value = decoded(value).ok_or_else(|| invalid(format!("the value of {name} is not UTF-8")))?;
            if place.replace(value).is_some() {
                return Err(invalid(format!("{name} is given twice")));
            }
        }
        let resume = Resume { number: parsed("sequence_number", number)?, page: parsed("sequence_page", page)? };
        Ok(Self { token, resume })
    }
}

fn parsed(name: &str, value: Option<String>) -> Result<u64, Problem> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(0) };
    let is_plain = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| is_plain).ok_or_else(|| invalid(format!("{name} is not a number from 0 on")))
}

fn invalid(text: impl Into<String>) -> Problem {
    Problem::InvalidArgument(text.into())
}

/// The key of a request, from its header or its query. `None` where there is none.
///
/// # Errors
/// [`Problem::InvalidArgument`] when there is one in both.
pub fn key<'a>(authorization: Option<&'a str>, token: Option<&'a str>) -> Result<Option<Cow<'a, str>>, Problem> {
    match (presented(authorization), presented(token)) {
        (Some(_), Some(_)) => Err(invalid("the key is in the header authorization and in the query; send one")),
        (header, query) => Ok(header.or(query)),
    }
}

/// What a POST publishes: bytes where the type is `application/octet-stream`, text where it is any
/// other or none, as curl has it.
///
/// # Errors
/// [`Problem::InvalidArgument`] for a text that is not UTF-8.
pub fn published(content_type: Option<&str>, body: Bytes) -> Result<(Kind, Bytes), Problem> {
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/octet-stream") {
        return Ok((Kind::Binary, body));
    }
    if std::str::from_utf8(&body).is_err() {
        return Err(invalid("the body is not UTF-8; publish bytes as application/octet-stream"));
    }
    Ok((Kind::Text, body))
}

/// The body that answers a poll. Heartbeats are left out; none at all is an answer, too. Bytes come
/// in Base64.
#[must_use]
pub fn items_json(items: &[SubscriptionItem]) -> String {
    let entries = items.iter().filter_map(|item| Entry::of(item.kind.as_ref()?)).collect();
    serde_json::to_string(&Items { items: entries }).expect("texts and numbers are JSON")
}

#[derive(Serialize)]
struct Items<'a> {
    items: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Entry<'a> {
    Discontinuity { last_topic_sequence: u64, new_topic_sequence: u64, new_sequence_page: u64 },
    Item(Item<'a>),
}

#[derive(Serialize)]
struct Item<'a> {
    topic_sequence_number: u64,
    sequence_page: u64,
    value: Value<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    publisher_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Value<'a> {
    Text(&'a str),
    Binary(String),
}

impl<'a> Entry<'a> {
    fn of(kind: &'a subscription_item::Kind) -> Option<Self> {
        match kind {
            subscription_item::Kind::Heartbeat(_) => None,
            subscription_item::Kind::Discontinuity(lost) => Some(Self::Discontinuity {
                last_topic_sequence: lost.last_topic_sequence,
                new_topic_sequence: lost.new_topic_sequence,
                new_sequence_page: lost.new_sequence_page,
            }),
            subscription_item::Kind::Item(item) => Some(Self::Item(Item {
                topic_sequence_number: item.topic_sequence_number,
                sequence_page: item.sequence_page,
                value: Value::of(item.value.as_ref()?)?,
                publisher_id: &item.publisher_id,
            })),
        }
    }
}

impl<'a> Value<'a> {
    fn of(value: &'a TopicValue) -> Option<Self> {
        match value.kind.as_ref()? {
            topic_value::Kind::Text(text) => Some(Self::Text(text)),
            topic_value::Kind::Binary(bytes) => Some(Self::Binary(STANDARD.encode(bytes))),
        }
    }
}

/// Status and body of a refusal.
#[must_use]
pub fn refusal(problem: &Problem) -> (u16, String) {
    let status = problem.http_status();
    let body = ErrorBody { code: reason(status), message: problem.to_string(), err: problem.err() };
    (status, serde_json::to_string(&body).expect("texts are JSON"))
}

#[derive(Serialize)]
struct ErrorBody {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    err: Option<&'static str>,
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::credential::CredentialError;
    use crate::wire::{Discontinuity, Heartbeat, TopicItem};

    fn path(cache: &str, topic: &str) -> Option<TopicPath> {
        Some(TopicPath { cache: cache.into(), topic: topic.into() })
    }

    #[test]
    fn paths() {
        assert_eq!(TopicPath::parse("/topics/websocket/mychannel"), path("websocket", "mychannel"));
        assert_eq!(TopicPath::parse("/topics/a%20b/c%2Fd%2fe"), path("a b", "c/d/e"));
        assert_eq!(TopicPath::parse("/topics/a/b+c"), path("a", "b+c"));
        for none in ["/topics/a", "/topics/a/", "/topics//b", "/topics/a/b/c", "/topic/a/b", "/topics/%ff/b", ""] {
            assert_eq!(TopicPath::parse(none), None, "{none}");
        }
    }

    #[test]
    fn queries() {
        let query = |text| Query::parse(text);
        assert_eq!(query(""), Ok(Query::default()));
        let full = Query { token: Some("a+b=".into()), resume: Resume { number: 12, page: 1_748_358_253 } };
        assert_eq!(query("token=a+b%3D&sequence_number=12&x=y&sequence_page=1748358253"), Ok(full));
        for bad in [
            "sequence_number=-1",
            "sequence_number=+1",
            "sequence_number=x",
            "sequence_page=18446744073709551616",
            "token=a&token=a",
            "token=%ff",
        ] {
            assert!(matches!(query(bad), Err(Problem::InvalidArgument(_))), "{bad}");
        }
        assert!(!format!("{:?}", query("token=tell-nobody").unwrap()).contains("tell-nobody"));
    }

    #[test]
    fn one_key_and_not_two() {
        assert_eq!(key(Some("k"), None), Ok(Some("k".into())));
        assert_eq!(key(None, Some("k")), Ok(Some("k".into())));
        assert_eq!(key(Some(""), Some("k")), Ok(Some("k".into())));
        assert_eq!(key(None, None), Ok(None));
        assert!(matches!(key(Some("k"), Some("k")), Err(Problem::InvalidArgument(_))));
    }

    #[test]
    fn bodies_are_text_unless_they_say_otherwise() {
        let body = Bytes::from_static(b"hi");
        for text in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/json")] {
            assert_eq!(published(text, body.clone()), Ok((Kind::Text, body.clone())), "{text:?}");
        }
        let bytes = Bytes::from_static(&[255]);
        let octets = Some("Application/Octet-Stream; x=y");
        assert_eq!(published(octets, bytes.clone()), Ok((Kind::Binary, bytes.clone())));
        assert!(matches!(published(Some("text/plain"), bytes), Err(Problem::InvalidArgument(_))));
    }

    #[test]
    fn a_poll() {
        let item = |number, kind: topic_value::Kind, publisher: &str| {
            SubscriptionItem::from(TopicItem {
                topic_sequence_number: number,
                value: Some(kind.into()),
                publisher_id: publisher.into(),
                sequence_page: 1_748_358_253,
            })
        };
        let lost = Discontinuity { last_topic_sequence: 7, new_topic_sequence: 11, new_sequence_page: 1_748_358_253 };
        let items = [
            Heartbeat {}.into(),
            lost.into(),
            item(12, topic_value::Kind::Text("hi".into()), ""),
            item(14, topic_value::Kind::Binary(Bytes::from_static(&[1, 2, 250])), "u1"),
        ];
        assert_eq!(
            items_json(&items),
            r#"{"items":[{"discontinuity":{"last_topic_sequence":7,"new_topic_sequence":11,"new_sequence_page":1748358253}},{"item":{"topic_sequence_number":12,"sequence_page":1748358253,"value":{"text":"hi"}}},{"item":{"topic_sequence_number":14,"sequence_page":1748358253,"value":{"binary":"AQL6"},"publisher_id":"u1"}}]}"#
        );
        assert_eq!(items_json(&[]), r#"{"items":[]}"#);
    }

    #[test]
    fn refusals() {
        let expected = r#"{"code":"Not Found","message":"Cache not found: nope"}"#;
        assert_eq!(refusal(&Problem::CacheNotFound("nope".into())), (404, expected.to_owned()));
        let expected = r#"{"code":"Unauthorized","message":"The API key has expired"}"#;
        assert_eq!(refusal(&CredentialError::Expired { at: 1 }.into()), (401, expected.to_owned()));
        let (status, body) = refusal(&Problem::MessageTooLarge { bytes: 2, limit: 1 });
        assert!(status == 429 && body.ends_with(r#","err":"request_size_limit_exceeded"}"#), "{body}");
    }

    proptest! {
        #[test]
        fn no_request_is_too_odd(text in "/?(topics|%2f|%|/|&|=|token|sequence_page|.){0,8}") {
            let _ = TopicPath::parse(&text);
            let _ = Query::parse(&text);
        }

        #[test]
        fn names_come_back(cache in "\\PC{1,9}", topic in "\\PC{1,9}") {
            let encoded = |name: &str| {
                percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
            };
            let text = format!("/topics/{}/{}", encoded(&cache), encoded(&topic));
            prop_assert_eq!(TopicPath::parse(&text), path(&cache, &topic));
        }
    }
}
