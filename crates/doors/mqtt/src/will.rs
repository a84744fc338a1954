//! What a client wants to be said when it is lost.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::{Guarantee, Headers, Kind, Millis, Principal, Properties, Publication, Refusal, TopicName};
use fanfare_mqtt_codec as codec;

use crate::translate;

/// A will, with the right to speak it.
#[derive(Clone, Debug)]
pub(crate) struct Will {
    pub(crate) topic: TopicName,
    pub(crate) payload: Bytes,
    pub(crate) kind: Kind,
    pub(crate) guarantee: Guarantee,
    pub(crate) retain: bool,
    pub(crate) delay_s: u32,
    /// How long it counts from when it is published.
    pub(crate) expiry_s: Option<u32>,
    pub(crate) headers: Option<Box<Headers>>,
    pub(crate) properties: Properties,
    pub(crate) principal: Arc<Principal>,
}

impl Will {
    /// # Errors
    /// The topic is none for the core.
    pub(crate) fn new(will: &codec::Will<'_>, principal: Arc<Principal>) -> Result<Self, Refusal> {
        Ok(Self {
            topic: TopicName::new(will.topic)?,
            payload: Bytes::copy_from_slice(will.payload),
            kind: translate::kind(will.payload, &will.properties),
            guarantee: translate::guarantee(will.qos),
            retain: will.retain,
            delay_s: will.delay_seconds.unwrap_or(0),
            expiry_s: will.properties.expiry_seconds,
            headers: translate::headers(&will.properties),
            properties: translate::user_properties(&will.properties),
            principal,
        })
    }

    /// What is published when it comes to that.
    pub(crate) fn publication(&self, space: Arc<str>, origin: Arc<str>, now: Millis) -> Publication {
        let publication = Publication::new(space, self.topic.clone(), self.kind, self.payload.clone());
        Publication {
            origin: Some(origin),
            properties: self.properties.clone(),
            headers: self.headers.clone(),
            guarantee: self.guarantee,
            expires_at: self.expiry_s.map(|seconds| now + (u64::from(seconds) * 1_000).max(1)),
            retain: self.retain,
            ..publication
        }
    }
}
