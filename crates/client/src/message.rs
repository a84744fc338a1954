//! What is published and received.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// The space that counts when none is named.
pub(crate) const DEFAULT_SPACE: &str = "default";

/// The content of a message.
#[derive(Clone, Debug)]
pub enum Payload {
    /// One JSON value, as its publisher wrote it.
    Json(Box<RawValue>),
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Payload {
    /// Its bytes: text and JSON in UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Json(value) => value.get().as_bytes(),
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    pub(crate) fn serialize_entry<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::Json(value) => map.serialize_entry("data", value),
            Self::Text(text) => map.serialize_entry("text", text),
            Self::Binary(bytes) => map.serialize_entry("base64", &STANDARD.encode(bytes)),
        }
    }
}

/// A message that arrived. Serializes to the object that the server sent, without its `type`.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its space.
    pub space: String,
    /// Its topic.
    pub topic: String,
    /// Its place in the space; opaque.
    pub position: String,
    /// When the server took it, in milliseconds since the Unix epoch.
    pub time: u64,
    /// Its content.
    pub payload: Payload,
    /// Who published it, where that is known.
    pub from: Option<String>,
    /// Named values that travelled along.
    pub properties: BTreeMap<String, String>,
    /// It is the topic's retained message, not a new one.
    pub is_retained: bool,
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("topic", &self.topic)?;
        if self.space != DEFAULT_SPACE {
            map.serialize_entry("space", &self.space)?;
        }
        map.serialize_entry("position", &self.position)?;
        map.serialize_entry("time", &self.time)?;
        self.payload.serialize_entry(&mut map)?;
        if let Some(from) = &self.from {
            map.serialize_entry("from", from)?;
        }
        if !self.properties.is_empty() {
            map.serialize_entry("properties", &self.properties)?;
        }
        if self.is_retained {
            map.serialize_entry("retained", &true)?;
        }
        map.end()
    }
}

/// What a subscription shows.
#[derive(Clone, Debug)]
pub enum Event {
    /// A message.
    Message(Message),
    /// Messages before this were lost: they are no longer kept. Fetch the state anew.
    Gap {
        /// Where the subscription stands now.
        position: String,
    },
}

/// Where a subscription starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// With the oldest message that is kept.
    All,
    /// After a position.
    Position(String),
}

impl Since {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::All => "all",
            Self::Position(position) => position,
        }
    }
}

/// What to subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Its space.
    pub space: String,
    /// A topic, or a pattern if a level of it is `+` or `#`.
    pub topic: String,
    /// Where to start; from now on when absent.
    pub since: Option<Since>,
}

impl Subscribe {
    /// To a topic or pattern in the default space, from now on.
    pub fn to(topic: impl Into<String>) -> Self {
        Self { space: DEFAULT_SPACE.to_owned(), topic: topic.into(), since: None }
    }

    /// In another space.
    #[must_use]
    pub fn in_space(mut self, space: impl Into<String>) -> Self {
        self.space = space.into();
        self
    }

    /// From an earlier point on.
    #[must_use]
    pub fn since(mut self, since: Since) -> Self {
        self.since = Some(since);
        self
    }
}

/// What to publish.
#[derive(Clone, Debug)]
pub struct Publish {
    /// Its space.
    pub space: String,
    /// Its topic.
    pub topic: String,
    /// Its content.
    pub payload: Payload,
    /// Makes a repetition harmless; made up when absent.
    pub key: Option<String>,
    /// Keep as the topic's last message.
    pub retain: bool,
    /// Named values that travel along.
    pub properties: BTreeMap<String, String>,
}

impl Publish {
    /// To a topic in the default space.
    pub fn new(topic: impl Into<String>, payload: Payload) -> Self {
        Self {
            space: DEFAULT_SPACE.to_owned(),
            topic: topic.into(),
            payload,
            key: None,
            retain: false,
            properties: BTreeMap::new(),
        }
    }

    /// Text to a topic in the default space.
    pub fn text(topic: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(topic, Payload::Text(text.into()))
    }
}

/// What the server acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The message's place in its space.
    pub position: String,
    /// Its key was known: it had been published before.
    pub is_duplicate: bool,
}
