//! What a statement may know: one message and where it came from.

use std::cell::OnceCell;
use std::fmt;

use serde_json::Value as Json;

/// Finds the document of a thing's shadow: thing, then the shadow's name if it has one.
pub type ShadowLookup<'a> = &'a dyn Fn(&str, Option<&str>) -> Option<Json>;

/// The MQTT 5 properties of a message that statements can read.
#[derive(Clone, Copy, Default, Debug)]
pub struct Properties<'a> {
    /// Content type.
    pub content_type: Option<&'a str>,
    /// Response topic.
    pub response_topic: Option<&'a str>,
    /// Correlation data; statements see it in base64.
    pub correlation_data: Option<&'a [u8]>,
    /// Payload format indicator: true for UTF-8, false for bytes.
    pub is_utf8: Option<bool>,
    /// Message expiry, in seconds.
    pub expiry_s: Option<u32>,
}

/// One message and its origin. The payload is parsed as JSON at most once, at first need.
pub struct Input<'a> {
    payload: &'a [u8],
    json: OnceCell<Option<Json>>,
    /// Topic of the message, with the Basic Ingest prefix if it came with one.
    pub topic: &'a str,
    /// Client id of the publisher; `None` over HTTP.
    pub client_id: Option<&'a str>,
    /// Whom the publisher speaks for.
    pub principal: Option<&'a str>,
    /// Account that owns the rule.
    pub account_id: &'a str,
    /// Now, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Trace of the message; empty if it has none.
    pub trace_id: &'a str,
    /// MQTT 5 properties.
    pub properties: Properties<'a>,
    /// MQTT 5 user properties, in order.
    pub user_properties: &'a [(String, String)],
    /// Answers `get_thing_shadow`; `None` knows no shadows.
    pub shadow: Option<ShadowLookup<'a>>,
}

impl<'a> Input<'a> {
    /// A message without origin; set the other fields as far as they are known.
    #[must_use]
    pub fn new(payload: &'a [u8], topic: &'a str) -> Self {
        Self {
            payload,
            json: OnceCell::new(),
            topic,
            client_id: None,
            principal: None,
            account_id: "",
            timestamp_ms: 0,
            trace_id: "",
            properties: Properties::default(),
            user_properties: &[],
            shadow: None,
        }
    }

    /// The bytes of the message.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The payload as JSON, if it is JSON (at most 128 levels deep).
    #[must_use]
    pub fn json(&self) -> Option<&Json> {
        self.json.get_or_init(|| serde_json::from_slice(self.payload).ok()).as_ref()
    }

    /// The topic without `$aws/rules/{rule}/`.
    #[must_use]
    pub fn plain_topic(&self) -> &'a str {
        crate::rules::basic_ingest(self.topic).map_or(self.topic, |(_, topic)| topic)
    }
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Input");
        shown.field("topic", &self.topic).field("payload_bytes", &self.payload.len());
        shown.field("client_id", &self.client_id).finish_non_exhaustive()
    }
}
