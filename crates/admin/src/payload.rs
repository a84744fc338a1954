//! Messages as JSON, in and out: the fields of `publish` and `message` in `docs/protocol.md`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fanfare_core::{Core, Kind, Message, Publication, Refusal, TopicName};
use fanfare_door::Gateway;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::problem::Problem;

/// Most properties of a message.
const PROPERTIES_MAX: usize = 64;

/// The fields of `publish`.
#[derive(Debug, Deserialize)]
pub(crate) struct PublishFields<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    space: Option<Cow<'a, str>>,
    /// JSON's `null` is a value like others.
    #[serde(borrow, default, deserialize_with = "some")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    base64: Option<Cow<'a, str>>,
    key: Option<Box<str>>,
    #[serde(default)]
    retain: bool,
    properties: Option<BTreeMap<Box<str>, Box<str>>>,
}

fn some<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> PublishFields<'a> {
    /// Reads them; `place` says in errors where they stand.
    pub(crate) fn read(json: &'a [u8], place: &str) -> Result<Self, Problem> {
        serde_json::from_slice(json).map_err(|error| Problem::bad_request(format!("{place}: {error}")))
    }

    /// The publication that they describe.
    pub(crate) fn into_publication(self, gateway: &Gateway) -> Result<Publication, Problem> {
        let space = match &self.space {
            Some(space) => space_name(space)?,
            None => gateway.default_space().clone(),
        };
        if self.topic.len() > gateway.limits().topic_bytes {
            return Err(Refusal::InvalidTopic { reason: "it is longer than limits.topic_bytes" }.into());
        }
        let topic = TopicName::new(&self.topic)?;
        let (kind, payload) = self.payload()?;
        let mut publication = Publication::new(space, topic, kind, payload);
        publication.idempotency_key = self.key;
        publication.retain = self.retain;
        let properties = self.properties.unwrap_or_default();
        if properties.len() > PROPERTIES_MAX {
            return Err(Problem::bad_request("properties: more than 64"));
        }
        publication.properties = properties.into_iter().collect();
        Ok(publication)
    }

    /// The same for a message that goes to connections and stands in no log. `space` is that of
    /// the path, where it names one.
    pub(crate) fn into_direct(mut self, gateway: &Gateway, space: Option<&str>) -> Result<Publication, Problem> {
        if self.retain || self.key.is_some() {
            return Err(Problem::bad_request("retain and key have no meaning here: this message is not kept"));
        }
        if let Some(space) = space {
            if self.space.as_deref().is_some_and(|named| named != space) {
                return Err(Problem::bad_request("space: another one than in the path"));
            }
            self.space = Some(Cow::Owned(space.to_owned()));
        }
        let publication = self.into_publication(gateway)?;
        let properties: usize = publication.properties.iter().map(|(name, value)| name.len() + value.len()).sum();
        let bytes = publication.payload.len() + properties;
        let limit = gateway.core.space_settings(&publication.space).message_bytes_max;
        if bytes > limit {
            return Err(Refusal::MessageTooLarge { bytes, limit }.into());
        }
        Ok(publication)
    }

    fn payload(&self) -> Result<(Kind, Bytes), Problem> {
        match (self.data, &self.text, &self.base64) {
            (Some(data), None, None) => Ok((Kind::Json, Bytes::copy_from_slice(data.get().as_bytes()))),
            (None, Some(text), None) => Ok((Kind::Text, Bytes::copy_from_slice(text.as_bytes()))),
            (None, None, Some(base64)) => {
                let bytes = STANDARD.decode(base64.as_bytes());
                let bytes = bytes.map_err(|_| Problem::bad_request("base64: not standard base64 with padding"))?;
                Ok((Kind::Binary, bytes.into()))
            }
            _ => Err(Problem::bad_request("exactly one of data, text and base64 is needed")),
        }
    }
}

/// A space name that can be one.
pub(crate) fn space_name(name: &str) -> Result<Arc<str>, Refusal> {
    Core::check_space(name)?;
    Ok(name.into())
}

/// A message as answers show it.
#[derive(Debug, Serialize)]
pub(crate) struct MessageView<'a> {
    topic: &'a str,
    position: String,
    time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    properties: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl<'a> From<&'a Message> for MessageView<'a> {
    fn from(message: &'a Message) -> Self {
        let text = || std::str::from_utf8(&message.payload).ok();
        let (data, text) = match message.kind {
            Kind::Json => (serde_json::from_slice(&message.payload).ok(), None),
            Kind::Text => (None, text()),
            Kind::Binary => (None, None),
        };
        let is_bytes = data.is_none() && text.is_none();
        Self {
            topic: &message.topic,
            position: message.position().to_string(),
            time: message.time,
            from: message.publisher.as_deref(),
            properties: message.properties.iter().map(|(name, value)| (&**name, &**value)).collect(),
            data,
            text,
            base64: is_bytes.then(|| STANDARD.encode(&message.payload)),
        }
    }
}
