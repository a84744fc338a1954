//! What is said inside the frames: opening a connection, publishing, and finding the payload of a
//! message again.

use fanfare_websocket::{MessageKind, encode_message_masked};
use serde::Deserialize;
use serde_json::json;

use crate::args::DialectName;
use crate::momento;
use crate::mqtt;
use crate::target::Target;

/// The `id` of the `connect` and of the `subscribe` frame.
const CONNECT_ID: u64 = 1;
const SUBSCRIBE_ID: u64 = 2;

/// What precedes the payload in a native message.
const TEXT_FIELD: &[u8] = b"\"text\":\"";

/// A frame from the server, as far as a generator cares.
#[derive(Deserialize)]
struct Reply {
    r#type: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    retry_ms: Option<u64>,
    reconnect_spread_ms: Option<u64>,
}

/// The server's answer while a connection opens.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Welcome { reconnect_spread_ms: Option<u64> },
    Subscribed,
    Refused { code: String, retry_ms: Option<u64> },
}

/// Reads an answer to what [`put_connect`] and [`put_subscribe`] ask.
pub(crate) fn answer(text: &[u8]) -> Answer {
    let refused = |code: String, retry_ms| Answer::Refused { code, retry_ms };
    match serde_json::from_slice::<Reply>(text) {
        Err(error) => refused(format!("a frame that is not understood ({error})"), None),
        Ok(reply) => match reply.r#type.as_str() {
            "welcome" => Answer::Welcome { reconnect_spread_ms: reply.reconnect_spread_ms },
            "subscribed" => Answer::Subscribed,
            "error" | "bye" => refused(format!("{} ({})", reply.code, reply.message), reply.retry_ms),
            other => refused(format!("an unexpected {other}"), None),
        },
    }
}

/// Appends the native `connect` frame.
pub(crate) fn put_connect(out: &mut Vec<u8>, target: &Target) {
    let mut frame = json!({"type": "connect", "id": CONNECT_ID});
    if let Some(token) = &target.token {
        frame["token"] = json!(token);
    }
    put_text(out, frame.to_string().as_bytes());
}

/// Appends the native `subscribe` frame.
pub(crate) fn put_subscribe(out: &mut Vec<u8>, target: &Target, topic: &str) {
    let mut frame = json!({"type": "subscribe", "id": SUBSCRIBE_ID, "topic": topic});
    if target.space != "default" {
        frame["space"] = json!(target.space);
    }
    put_text(out, frame.to_string().as_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    encode_message_masked(out, MessageKind::Text, text, fastrand::u32(..).to_ne_bytes());
}

/// Writes publishes for one topic, on one connection.
pub(crate) enum Publisher {
    WebSocket { start: Vec<u8>, end: &'static [u8], frame: Vec<u8> },
    Mqtt(mqtt::Publisher),
    Momento(momento::Publisher),
}

impl Publisher {
    pub(crate) fn new(target: &Target, topic: &str) -> Self {
        let (start, end) = match target.dialect {
            DialectName::Mqtt => return Self::Mqtt(mqtt::Publisher::new(target, topic)),
            DialectName::Momento => return Self::Momento(momento::Publisher::new(target, topic)),
            DialectName::Bun => (String::new(), &b""[..]),
            DialectName::Native => {
                let mut frame = json!({"type": "publish", "topic": topic});
                if target.space != "default" {
                    frame["space"] = json!(target.space);
                }
                let object = frame.to_string();
                let open = object.trim_end_matches('}');
                (format!("{open},\"text\":\""), &b"\"}"[..])
            }
        };
        Self::WebSocket { start: start.into_bytes(), end, frame: Vec::new() }
    }

    /// Appends one publish; the payload has no character that JSON escapes.
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, payload: &[u8]) {
        match self {
            Self::WebSocket { start, end, frame } => {
                frame.clear();
                for part in [start.as_slice(), payload, end] {
                    frame.extend_from_slice(part);
                }
                put_text(out, frame);
            }
            Self::Mqtt(publisher) => publisher.put(out, payload),
            Self::Momento(publisher) => publisher.put(out, payload),
        }
    }
}

/// What an open connection hears.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Heard<'a> {
    /// The payload of a message.
    Message(&'a [u8]),
    /// The server says goodbye.
    Bye { code: String, retry_ms: Option<u64> },
    /// An error, a gap: nothing that a benchmark may pass over.
    Trouble(String),
}

/// Finds the payload in what a connection hears.
pub(crate) struct Reader {
    dialect: DialectName,
    size: usize,
    /// The payload's distance from the end of the frame, as it was the last time.
    distance: usize,
}

impl Reader {
    /// For payloads of `size` bytes.
    pub(crate) fn new(dialect: DialectName, size: usize) -> Self {
        Self { dialect, size, distance: 0 }
    }

    /// Takes `text` apart.
    #[inline]
    pub(crate) fn read<'a>(&mut self, text: &'a [u8]) -> Heard<'a> {
        if self.dialect != DialectName::Native {
            return Heard::Message(text);
        }
        match self.at_distance(text) {
            Some(payload) => Heard::Message(payload),
            None => self.search(text),
        }
    }

    /// Envelopes differ in length from message to message (positions grow), their ends do not.
    #[inline]
    fn at_distance<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        let start = text.len().checked_sub(self.distance)?;
        let field = text.get(start.checked_sub(TEXT_FIELD.len())?..start)?;
        let payload = text.get(start..start + self.size)?;
        (field == TEXT_FIELD && text.starts_with(b"{\"type\":\"message\"")).then_some(payload)
    }

    fn search<'a>(&mut self, text: &'a [u8]) -> Heard<'a> {
        let reply = match serde_json::from_slice::<Reply>(text) {
            Ok(reply) => reply,
            Err(error) => {
                return Heard::Trouble(format!("a frame that is not understood ({error})"));
            }
        };
        match reply.r#type.as_str() {
            "message" => {}
            "bye" => {
                return Heard::Bye { code: reply.code, retry_ms: reply.retry_ms };
            }
            other => {
                return Heard::Trouble(format!("{other} {} {}", reply.code, reply.message));
            }
        }
        let field = text.windows(TEXT_FIELD.len()).position(|window| window == TEXT_FIELD);
        let payload = field.and_then(|field| {
            let start = field + TEXT_FIELD.len();
            self.distance = text.len() - start;
            text.get(start..start + self.size)
        });
        payload.map_or_else(|| Heard::Trouble("a message without our text".to_owned()), Heard::Message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let welcome = br#"{"type":"welcome","id":1,"reconnect_spread_ms":5000,"limits":{}}"#;
        assert_eq!(answer(welcome), Answer::Welcome { reconnect_spread_ms: Some(5_000) });
        let subscribed = br#"{"type":"subscribed","id":2,"topic":"a","position":"x-1"}"#;
        assert_eq!(answer(subscribed), Answer::Subscribed);
        let bye = br#"{"type":"bye","code":"overloaded","message":"full","retry":true,"retry_ms":70}"#;
        let refused = |code: &str, retry_ms| Answer::Refused { code: code.to_owned(), retry_ms };
        assert_eq!(answer(bye), refused("overloaded (full)", Some(70)));
        assert_eq!(answer(br#"{"type":"pong"}"#), refused("an unexpected pong", None));
        assert!(matches!(answer(b"?"), Answer::Refused { .. }));
    }

    #[test]
    fn payloads_are_found_wherever_the_envelope_puts_them() {
        let mut reader = Reader::new(DialectName::Native, 4);
        for text in [
            r#"{"type":"message","topic":"t","position":"a-9","time":1,"text":"~abc"}"#,
            r#"{"type":"message","topic":"t","position":"a-10","time":1,"text":"~abc"}"#,
            r#"{"type":"message","text":"~abc","topic":"t","position":"a-10"}"#,
            r#"{"topic":"t","text":"~abc","type":"message"}"#,
        ] {
            assert_eq!(reader.read(text.as_bytes()), Heard::Message(b"~abc"), "{text}");
        }
    }

    #[test]
    fn trouble_is_not_taken_for_a_message() {
        let mut reader = Reader::new(DialectName::Native, 4);
        for text in [
            r#"{"type":"error","code":"rate_limited","message":"slow down","text":"~abc"}"#,
            r#"{"type":"gap","topic":"t","position":"a-1"}"#,
            r#"{"type":"message","topic":"t","data":{"a":1}}"#,
            "~abc",
        ] {
            assert!(matches!(reader.read(text.as_bytes()), Heard::Trouble(_)), "{text}");
        }
        let bye = r#"{"type":"bye","code":"shutting_down","message":"","retry":true,"retry_ms":9}"#;
        let expected = Heard::Bye { code: "shutting_down".to_owned(), retry_ms: Some(9) };
        assert_eq!(reader.read(bye.as_bytes()), expected);
    }

    #[test]
    fn a_bare_message_is_its_payload() {
        let mut reader = Reader::new(DialectName::Bun, 4);
        assert_eq!(reader.read(b"anything"), Heard::Message(b"anything"));
    }
}
