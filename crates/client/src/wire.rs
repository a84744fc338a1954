//! The frames of the native protocol, as JSON.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::error::Refusal;
use crate::message::{DEFAULT_SPACE, Message, Payload, Publish};
use crate::pattern::is_pattern;

/// Any frame of the server: what its `type` says and the fields of all types. One flat type,
/// because JSON values can be kept as they are only outside of tagged enums.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ServerFrame {
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    pub(crate) id: Option<u64>,
    pub(crate) topic: Option<String>,
    pub(crate) pattern: Option<String>,
    pub(crate) space: Option<String>,
    pub(crate) position: Option<String>,
    pub(crate) recovered: Option<bool>,
    pub(crate) duplicate: Option<bool>,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) retry: Option<bool>,
    pub(crate) retry_ms: Option<u64>,
    pub(crate) ping_ms: Option<u64>,
    pub(crate) reconnect_spread_ms: Option<u64>,
    pub(crate) resumed: Option<Vec<ServerFrame>>,
    time: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    data: Option<Box<RawValue>>,
    text: Option<String>,
    base64: Option<String>,
    from: Option<String>,
    properties: Option<BTreeMap<String, String>>,
    retained: Option<bool>,
}

/// A field that is there is a value, `null` as well.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl ServerFrame {
    /// The topic or pattern that it speaks of.
    pub(crate) fn target(&self) -> &str {
        let target = self.pattern.as_ref().or(self.topic.as_ref());
        target.map_or("", String::as_str)
    }

    pub(crate) fn space(&self) -> &str {
        self.space.as_deref().unwrap_or(DEFAULT_SPACE)
    }

    /// What an `error`, `bye` or failed entry of `resumed` says.
    pub(crate) fn refusal(&self) -> Refusal {
        Refusal {
            code: self.code.clone().unwrap_or_else(|| "unknown".to_owned()),
            message: self.message.clone().unwrap_or_default(),
            retry: self.retry.unwrap_or(false),
            retry_ms: self.retry_ms,
        }
    }

    /// As a message; `None` when it lacks what a message has.
    pub(crate) fn into_message(self) -> Option<Message> {
        let payload = match (self.data, self.text, self.base64) {
            (Some(data), ..) => Payload::Json(data),
            (_, Some(text), _) => Payload::Text(text),
            (.., Some(base64)) => Payload::Binary(STANDARD.decode(base64).ok()?),
            _ => return None,
        };
        Some(Message {
            space: self.space.unwrap_or_else(|| DEFAULT_SPACE.to_owned()),
            topic: self.topic?,
            position: self.position?,
            time: self.time.unwrap_or(0),
            payload,
            from: self.from,
            properties: self.properties.unwrap_or_default(),
            is_retained: self.retained.unwrap_or(false),
        })
    }
}

/// A topic or pattern with what a request says of it.
#[derive(Serialize)]
pub(crate) struct TargetFrame<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<&'a str>,
    #[serde(skip_serializing_if = "is_default_space")]
    space: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<&'a str>,
}

fn is_default_space(space: &&str) -> bool {
    *space == DEFAULT_SPACE
}

impl<'a> TargetFrame<'a> {
    /// An entry of `resume`.
    pub(crate) fn resume(space: &'a str, target: &'a str, since: Option<&'a str>) -> Self {
        let is_pattern = is_pattern(target);
        Self {
            kind: None,
            id: None,
            topic: (!is_pattern).then_some(target),
            pattern: is_pattern.then_some(target),
            space,
            since,
        }
    }

    /// A frame of its own.
    pub(crate) fn with(mut self, kind: &'static str, id: u64) -> Self {
        (self.kind, self.id) = (Some(kind), Some(id));
        self
    }
}

/// The first frame of a connection.
#[derive(Serialize)]
pub(crate) struct ConnectFrame<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resume: Vec<TargetFrame<'a>>,
}

/// A publish under an id and a key.
pub(crate) struct PublishFrame<'a> {
    pub(crate) id: u64,
    pub(crate) key: &'a str,
    pub(crate) publish: &'a Publish,
}

impl Serialize for PublishFrame<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let publish = self.publish;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "publish")?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("topic", &publish.topic)?;
        if publish.space != DEFAULT_SPACE {
            map.serialize_entry("space", &publish.space)?;
        }
        map.serialize_entry("key", self.key)?;
        if publish.retain {
            map.serialize_entry("retain", &true)?;
        }
        if !publish.properties.is_empty() {
            map.serialize_entry("properties", &publish.properties)?;
        }
        publish.payload.serialize_entry(&mut map)?;
        map.end()
    }
}
