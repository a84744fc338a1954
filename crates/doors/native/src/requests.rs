//! What clients ask for: read from JSON, checked, and turned into the core's terms.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fanfare_core::{Filter, Kind, Millis, Publication, Since, TopicName};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::errors::Problem;
use crate::headers::{HeaderFields, PropertyFields};

/// Longest space name that is looked at.
const SPACE_BYTES_MAX: usize = 128;

/// Any frame of a client: the fields of all of them. One pass over the text reads it.
#[derive(Debug, Deserialize)]
pub(crate) struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    pub(crate) kind: Cow<'a, str>,
    pub(crate) id: Option<u64>,
    #[serde(borrow)]
    pub(crate) topic: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) pattern: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) space: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) since: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(crate) presence: bool,
    #[serde(borrow, default, deserialize_with = "given")]
    pub(crate) data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) base64: Option<Cow<'a, str>>,
    pub(crate) key: Option<Box<str>>,
    #[serde(default)]
    pub(crate) retain: bool,
    pub(crate) properties: Option<PropertyFields>,
    pub(crate) headers: Option<Box<HeaderFields>>,
    pub(crate) ttl_ms: Option<u64>,
    #[serde(borrow)]
    pub(crate) token: Option<Cow<'a, str>>,
    #[serde(borrow)]
    resume: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) action: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) after: Option<Cow<'a, str>>,
    pub(crate) limit: Option<usize>,
}

/// A value that is there, also when it is `null`: that is JSON as well and can be published.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// What is wrong with a text that is no [`Frame`], and the `id` that it may have all the same.
pub(crate) fn diagnose(text: &str, error: &serde_json::Error) -> (Option<u64>, String) {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(text) else {
        return (None, format!("not a frame: {error}"));
    };
    let is_right = |name: &str, value: &serde_json::Value| match name {
        "type" | "topic" | "pattern" | "space" | "since" | "text" | "base64" | "key" | "token" | "action" | "after" => {
            value.is_string() || (value.is_null() && name != "type")
        }
        "id" | "limit" | "ttl_ms" => value.is_u64() || value.is_null(),
        "presence" | "retain" => value.is_boolean(),
        "properties" | "headers" => value.is_object() || value.is_null(),
        _ => true,
    };
    let id = fields.get("id").and_then(serde_json::Value::as_u64);
    match fields.iter().find(|(name, value)| !is_right(name, value)) {
        Some((name, _)) => (id, format!("{name}: not of the kind that is expected there")),
        None if !fields.contains_key("type") => (id, "type is needed".to_owned()),
        None => (id, format!("not a frame: {error}")),
    }
}

/// An earlier subscription inside `connect`.
#[derive(Debug, Deserialize)]
pub(crate) struct Resume {
    pub(crate) topic: Option<String>,
    pub(crate) pattern: Option<String>,
    pub(crate) space: Option<String>,
    pub(crate) since: Option<String>,
    #[serde(default)]
    pub(crate) presence: bool,
}

impl<'a> Frame<'a> {
    pub(crate) fn resume(&self) -> Result<Vec<Resume>, Problem> {
        let Some(resume) = self.resume else { return Ok(Vec::new()) };
        serde_json::from_str(resume.get()).map_err(|error| Problem::bad_request(format!("resume: {error}")))
    }

    /// The fields that describe what is published.
    pub(crate) fn into_publish(self) -> Result<PublishFields<'a>, Problem> {
        Ok(PublishFields {
            topic: self.topic.ok_or_else(|| Problem::bad_request("topic is needed"))?,
            space: self.space,
            data: self.data,
            text: self.text,
            base64: self.base64,
            key: self.key,
            retain: self.retain,
            properties: self.properties,
            headers: self.headers,
            ttl_ms: self.ttl_ms,
        })
    }
}

/// The fields of `publish`.
#[derive(Debug, Deserialize)]
pub(crate) struct PublishFields<'a> {
    pub(crate) topic: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) space: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "given")]
    pub(crate) data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) base64: Option<Cow<'a, str>>,
    pub(crate) key: Option<Box<str>>,
    #[serde(default)]
    pub(crate) retain: bool,
    pub(crate) properties: Option<PropertyFields>,
    pub(crate) headers: Option<Box<HeaderFields>>,
    /// For how long it is of use, from now on.
    pub(crate) ttl_ms: Option<u64>,
}

impl PublishFields<'_> {
    /// The publication that they describe, made now.
    pub(crate) fn into_publication(self, spaces: &mut Spaces, now: Millis) -> Result<Publication, Problem> {
        let (kind, payload) = match (self.data, self.text, self.base64) {
            (Some(data), None, None) => (Kind::Json, Bytes::copy_from_slice(data.get().as_bytes())),
            (None, Some(text), None) => (Kind::Text, Bytes::copy_from_slice(text.as_bytes())),
            (None, None, Some(base64)) => {
                let bytes = STANDARD.decode(base64.as_bytes());
                let bytes = bytes.map_err(|_| Problem::bad_request("base64: not standard base64 with padding"))?;
                (Kind::Binary, bytes.into())
            }
            _ => return Err(Problem::bad_request("exactly one of data, text and base64 is needed")),
        };
        let mut publication =
            Publication::new(spaces.get(self.space.as_deref())?, TopicName::new(&self.topic)?, kind, payload);
        publication.idempotency_key = self.key;
        publication.retain = self.retain;
        publication.expires_at = self.ttl_ms.map(|ttl| now.saturating_add(ttl.max(1)));
        if let Some(properties) = self.properties {
            publication.properties = properties.into_properties()?;
        }
        if let Some(headers) = self.headers {
            let (headers, properties) = headers.into_headers()?;
            publication.headers = headers;
            if !properties.is_empty() {
                publication.properties = properties;
            }
        }
        Ok(publication)
    }
}

/// Names of spaces, shared between requests so that a repeated name costs no allocation.
pub(crate) struct Spaces {
    default: Arc<str>,
    last: Arc<str>,
}

impl Spaces {
    pub(crate) fn new(default: Arc<str>) -> Self {
        Self { last: default.clone(), default }
    }

    pub(crate) fn get(&mut self, name: Option<&str>) -> Result<Arc<str>, Problem> {
        let Some(name) = name else { return Ok(self.default.clone()) };
        if *self.last != *name {
            if name.len() > SPACE_BYTES_MAX {
                return Err(fanfare_core::Refusal::InvalidSpace.into());
            }
            fanfare_core::Core::check_space(name)?;
            self.last = name.into();
        }
        Ok(self.last.clone())
    }
}

/// `topic` or `pattern`, exactly one of them.
pub(crate) fn filter(topic: Option<&str>, pattern: Option<&str>) -> Result<Filter, Problem> {
    match (topic, pattern) {
        (Some(topic), None) => Ok(Filter::exact(&TopicName::new(topic)?)),
        (None, Some(pattern)) => Ok(Filter::new(pattern)?),
        _ => Err(Problem::bad_request("exactly one of topic and pattern is needed")),
    }
}

/// `since`: absent, `all`, or a position.
pub(crate) fn since(text: Option<&str>) -> Result<Since, Problem> {
    match text {
        None => Ok(Since::Now),
        Some("all") => Ok(Since::Beginning),
        Some(text) => text.parse().map(Since::After).map_err(|error| Problem::bad_request(format!("since: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_frame_is_told_by_field_and_with_its_id() {
        for (text, id, word) in [
            (r#"{"type":"publish","id":7,"topic":["a"]}"#, Some(7), "topic: "),
            (r#"{"type":"publish","id":7,"retain":"yes"}"#, Some(7), "retain: "),
            (r#"{"type":"ping","id":-1}"#, None, "id: "),
            (r#"{"type":null,"id":1}"#, Some(1), "type: "),
            (r#"{"id":1}"#, Some(1), "type is needed"),
            ("[", None, "not a frame: "),
        ] {
            let error = serde_json::from_str::<Frame<'_>>(text).unwrap_err();
            let (found, message) = diagnose(text, &error);
            assert!(found == id && message.starts_with(word), "{text}: {found:?} {message}");
        }
    }
}
