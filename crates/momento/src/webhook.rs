//! What a webhook is sent, and how it is signed.
//!
//! One POST for each message, one attempt. It has failed when there is no answer with 2xx within
//! [`crate::limits::WEBHOOK_TIMEOUT_MS`].

use aws_lc_rs::digest::{Context, SHA3_256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfare_core::Message;
use serde::Serialize;

/// Header with [`signature`].
pub const SIGNATURE_HEADER: &str = "momento-signature";

/// `User-Agent` where nothing else is configured: that of the hosted service, which receivers know.
pub const USER_AGENT_DEFAULT: &str = "Momento/1.0 (Webhooks; +https://docs.momentohq.com/topics/webhooks)";

/// What SHA3-256 takes in at once, in bytes. HMAC pads keys to it.
const BLOCK_BYTES: usize = 136;

/// The body of a delivery. Text and JSON come as `text`, anything else as `binary` in Base64.
/// `sent_ms` is the time of the delivery, in milliseconds since 1970.
#[must_use]
pub fn payload(message: &Message, sent_ms: u64) -> String {
    let value = crate::wire::TopicValue::of(message.kind, &message.payload);
    let (text, binary) = match value.kind {
        Some(crate::wire::topic_value::Kind::Text(text)) => (Some(text), None),
        _ => (None, Some(STANDARD.encode(&message.payload))),
    };
    let payload = Payload {
        cache: &message.space,
        topic: &crate::name::written(&message.topic),
        event_timestamp: message.time,
        publish_timestamp: sent_ms,
        topic_sequence_number: message.offset,
        token_id: message.publisher.as_deref().unwrap_or_default(),
        text,
        binary,
    };
    serde_json::to_string(&payload).expect("texts and numbers are JSON")
}

#[derive(Serialize)]
struct Payload<'a> {
    cache: &'a str,
    topic: &'a str,
    event_timestamp: u64,
    publish_timestamp: u64,
    topic_sequence_number: u64,
    token_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary: Option<String>,
}

/// The signature of a body: HMAC (RFC 2104) with SHA3-256, in small hexadecimal digits.
#[must_use]
pub fn signature(secret: &str, body: &[u8]) -> String {
    let mut key = [0; BLOCK_BYTES];
    if secret.len() > BLOCK_BYTES {
        let digest = hash(&[secret.as_bytes()]);
        key[..digest.len()].copy_from_slice(&digest);
    } else {
        key[..secret.len()].copy_from_slice(secret.as_bytes());
    }
    let inner = hash(&[&key.map(|byte| byte ^ 0x36), body]);
    let outer = hash(&[&key.map(|byte| byte ^ 0x5c), &inner]);
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA3_256);
    parts.iter().for_each(|part| context.update(part));
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fanfare_core::{Guarantee, Kind, TopicName};
    use serde_json::{Value, json};

    use super::*;

    fn message(kind: Kind, payload: &'static [u8]) -> Message {
        Message {
            space: "chat".into(),
            topic: TopicName::new("room-1").unwrap(),
            payload: Bytes::from_static(payload),
            kind,
            publisher: None,
            origin: None,
            properties: Vec::new(),
            headers: None,
            guarantee: Guarantee::default(),
            expires_at: None,
            idempotency_key: None,
            time: 1_704_296_470_564,
            epoch: 7,
            offset: 1,
            previous: 0,
            is_retained: false,
        }
    }

    #[test]
    fn a_signature_as_the_hosted_service_makes_it() {
        let body = br#"{"text":"some text", "another_field": "another field" }"#;
        assert_eq!(signature("1234567890", body), "b43f72787eb66410ff110295b036ef828e5686af21b414ce092f02c05deea3da");
    }

    #[test]
    fn secrets_of_all_lengths_sign() {
        // RFC 2104: a key longer than a block is hashed first.
        let long = "k".repeat(BLOCK_BYTES + 1);
        let block = "k".repeat(BLOCK_BYTES);
        assert_ne!(signature(&long, b"x"), signature(&block, b"x"));
        assert_eq!(signature("", b"").len(), 64);
    }

    #[test]
    fn a_text() {
        let expected = r#"{"cache":"chat","topic":"room-1","event_timestamp":1704296470564,"publish_timestamp":1704296470565,"topic_sequence_number":1,"token_id":"","text":"hello"}"#;
        assert_eq!(payload(&message(Kind::Text, b"hello"), 1_704_296_470_565), expected);
    }

    #[test]
    fn bytes_and_a_publisher() {
        let message = Message { publisher: Some("u1".into()), ..message(Kind::Binary, &[1, 2, 250]) };
        let payload: Value = serde_json::from_str(&payload(&message, 0)).unwrap();
        assert_eq!((&payload["binary"], &payload["token_id"]), (&json!("AQL6"), &json!("u1")));
        assert_eq!(payload.get("text"), None);
    }
}
