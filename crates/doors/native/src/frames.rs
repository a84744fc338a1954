//! What the server writes: JSON, straight into the buffer that leaves.
//!
//! `message` is on the path of every delivery (once per message) and is written by hand; the rest
//! goes through serde.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fanfare_core::{HistoryPage, Kind, Member, Message, Position, PresenceChange, PresenceEvent};
use serde_json::{Value, json};

use crate::headers;

/// The space that frames leave out.
pub(crate) const DEFAULT_SPACE: &str = "default";

/// A `message` frame; without its `type` inside lists, where the place says what it is.
pub(crate) fn message(out: &mut Vec<u8>, message: &Message, is_retained: bool, has_type: bool) {
    out.extend_from_slice(if has_type { b"{\"type\":\"message\",\"topic\":" } else { b"{\"topic\":" });
    string(out, &message.topic);
    if message.offset > 0 {
        out.extend_from_slice(b",\"position\":\"");
        position(out, message.position());
        out.push(b'"');
    }
    out.extend_from_slice(b",\"time\":");
    out.extend_from_slice(itoa::Buffer::new().format(message.time).as_bytes());
    if *message.space != *DEFAULT_SPACE {
        out.extend_from_slice(b",\"space\":");
        string(out, &message.space);
    }
    if let Some(publisher) = &message.publisher {
        out.extend_from_slice(b",\"from\":");
        string(out, publisher);
    }
    headers::write(out, message);
    if is_retained {
        out.extend_from_slice(b",\"retained\":true");
    }
    payload(out, message.kind, &message.payload);
    out.push(b'}');
}

fn payload(out: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    match (kind, std::str::from_utf8(payload)) {
        (Kind::Json, Ok(_)) => {
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(payload);
        }
        (Kind::Text, Ok(text)) => {
            out.extend_from_slice(b",\"text\":");
            string(out, text);
        }
        _ => {
            out.extend_from_slice(b",\"base64\":\"");
            out.extend_from_slice(STANDARD.encode(payload).as_bytes());
            out.push(b'"');
        }
    }
}

/// A position as its text.
pub(crate) fn position(out: &mut Vec<u8>, position: Position) {
    use std::io::Write;
    // Writing to a vector cannot fail.
    let _ = write!(out, "{:x}-", position.epoch);
    out.extend_from_slice(itoa::Buffer::new().format(position.offset).as_bytes());
}

/// A JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    for (index, byte) in bytes.iter().enumerate() {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1F => &[],
            _ => continue,
        };
        out.extend_from_slice(&bytes[plain_from..index]);
        plain_from = index + 1;
        if escaped.is_empty() {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        } else {
            out.extend_from_slice(escaped);
        }
    }
    out.extend_from_slice(&bytes[plain_from..]);
    out.push(b'"');
}

/// The fields of `history`, without braces.
pub(crate) fn history_fields(out: &mut Vec<u8>, page: &HistoryPage, next: Position, recovered: bool) {
    out.extend_from_slice(b"\"messages\":[");
    for (index, one) in page.messages.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        message(out, one, false, false);
    }
    out.extend_from_slice(b"],\"position\":\"");
    position(out, next);
    let more = !page.is_head;
    out.extend_from_slice(format!("\",\"more\":{more},\"recovered\":{recovered}").as_bytes());
}

/// A `presence` frame.
pub(crate) fn presence(out: &mut Vec<u8>, event: &PresenceEvent) {
    let change = match event.change {
        PresenceChange::Join => "join",
        PresenceChange::Update => "update",
        PresenceChange::Leave => "leave",
    };
    let mut frame = json!({
        "type": "presence", "topic": &*event.topic, "change": change, "member": member(&event.member), "time": event.time,
    });
    if *event.space != *DEFAULT_SPACE {
        frame["space"] = Value::from(&*event.space);
    }
    out.extend_from_slice(frame.to_string().as_bytes());
}

/// A member of a topic.
pub(crate) fn member(member: &Member) -> Value {
    let mut value = json!({ "id": &*member.id, "since": member.since });
    if let Ok(data) = serde_json::from_slice::<Value>(&member.data) {
        value["data"] = data;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use fanfare_core::{Guarantee, Headers, TopicName};

    fn plain(kind: Kind, payload: &'static [u8]) -> Message {
        Message {
            space: "default".into(),
            topic: TopicName::new("a\"b").unwrap(),
            payload: payload.into(),
            kind,
            publisher: Some("ann".into()),
            properties: vec![("k".into(), "v".into())],
            origin: None,
            headers: None,
            guarantee: Guarantee::default(),
            expires_at: None,
            idempotency_key: None,
            time: 7,
            epoch: 0x5f,
            offset: 3,
            previous: 0,
            is_retained: false,
        }
    }

    fn text(one: &Message) -> String {
        let mut out = Vec::new();
        message(&mut out, one, true, true);
        String::from_utf8(out).unwrap()
    }

    fn frame(kind: Kind, payload: &'static [u8]) -> Value {
        serde_json::from_str(&text(&plain(kind, payload))).unwrap()
    }

    #[test]
    fn headers_and_repeated_properties_are_given_in_full() {
        let pairs = [("z", "1"), ("a", "\""), ("z", "2")].map(|(name, value)| (name.into(), value.into()));
        let headers = Headers {
            content_type: Some("image/png".into()),
            response_topic: Some("answers".into()),
            correlation: Some(Bytes::from_static(&[0xFF, 0])),
            is_utf8: Some(false),
        };
        let mut one = plain(Kind::Binary, b"x");
        one.properties = pairs.to_vec();
        one.expires_at = Some(99);
        assert!(text(&one).contains(r#""headers":{"properties":["#), "properties alone: {}", text(&one));
        one.headers = Some(Box::new(headers));
        let written = text(&one);
        assert!(written.contains(r#","properties":{"a":"\"","z":"2"},"headers":{"#), "{written}");
        let value: Value = serde_json::from_str(&written).unwrap();
        let expected = json!({
            "content_type": "image/png", "response_topic": "answers", "correlation_data": "/wA=", "utf8": false,
            "properties": [["z", "1"], ["a", "\""], ["z", "2"]],
        });
        assert_eq!((&value["headers"], &value["expires_at"]), (&expected, &json!(99)));
        one.properties.truncate(2);
        assert!(text(&one).contains(r#""properties":{"z":"1","a":"\""},"headers":{"content_type""#), "{}", text(&one));
    }

    #[test]
    fn a_message_is_one_json_object() {
        let expected = json!({
            "type": "message", "topic": "a\"b", "position": "5f-3", "time": 7, "from": "ann",
            "properties": {"k": "v"}, "retained": true, "text": "x\n\u{1}\u{e4}\\",
        });
        assert_eq!(frame(Kind::Text, "x\n\u{1}\u{e4}\\".as_bytes()), expected);
        assert_eq!(frame(Kind::Json, b"[1,{}]")["data"], json!([1, {}]));
        assert_eq!(frame(Kind::Binary, &[0xFF, 0])["base64"], json!("/wA="));
        assert_eq!(frame(Kind::Text, &[0xFF, 0])["base64"], json!("/wA="));
    }
}
