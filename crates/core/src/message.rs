//! What is published, and where it stands in the log.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use crate::filter::TopicName;
use crate::ports::Record;

/// Milliseconds since the Unix epoch. The core never reads a clock; callers hand the time in.
pub type Millis = u64;

/// Place of a message in the log of its space. The first message has offset 1; 0 stands before it.
pub type Offset = u64;

/// What the publisher said the payload is. Kept from door to door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8 text; whoever publishes has checked it.
    Text,
    /// One JSON value; whoever publishes has checked it.
    Json,
    /// Bytes without a further meaning.
    Binary,
}

impl Kind {
    /// A stable number for records on disk.
    pub fn code(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Json => 2,
            Self::Binary => 3,
        }
    }

    /// The inverse of [`Kind::code`]; `None` for a number that no version has written.
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Text),
            2 => Some(Self::Json),
            3 => Some(Self::Binary),
            _ => None,
        }
    }
}

/// Named values that travel with a message (user properties, headers). Order is kept and a
/// name may repeat.
pub type Properties = Vec<(Box<str>, Box<str>)>;

/// How surely the publisher wants a message to arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guarantee {
    /// Whoever is there now gets it. It is not kept for sessions that are away.
    AtMostOnce,
    /// It is kept until every session that wants it has it.
    #[default]
    AtLeastOnce,
    /// The same, and the publisher's own repetitions were recognised.
    ExactlyOnce,
}

impl Guarantee {
    /// A stable number for records on disk.
    pub fn code(self) -> u8 {
        match self {
            Self::AtLeastOnce => 0,
            Self::AtMostOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }

    /// The inverse of [`Guarantee::code`].
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::AtLeastOnce),
            1 => Some(Self::AtMostOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// What a publisher says of a message beside its properties; few do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Media type of the payload, as the publisher gave it.
    pub content_type: Option<Box<str>>,
    /// Topic on which an answer is awaited.
    pub response_topic: Option<Box<str>>,
    /// What the answer shall carry, so that the asker knows it again.
    pub correlation: Option<Bytes>,
    /// The publisher said that the payload is UTF-8 (or that it is not).
    pub is_utf8: Option<bool>,
}

impl Headers {
    /// Nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes that count against the size of a message.
    pub fn weight(&self) -> usize {
        let texts = [&self.content_type, &self.response_topic];
        let texts: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        texts + self.correlation.as_ref().map_or(0, Bytes::len)
    }
}

/// A message as it stands in the log: what was published, plus where and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The space it was published in.
    pub space: Arc<str>,
    /// The topic it was published to.
    pub topic: TopicName,
    /// The published bytes, at most the space's `message_bytes_max`.
    pub payload: Bytes,
    /// What the publisher said the bytes are.
    pub kind: Kind,
    /// Subject of the publisher, absent for anonymous ones.
    pub publisher: Option<Arc<str>>,
    /// The publisher's session, in its door's words; lets that session leave out what it said itself.
    pub origin: Option<Arc<str>>,
    /// Named values that travel along.
    pub properties: Properties,
    /// What else the publisher said of it.
    pub headers: Option<Box<Headers>>,
    /// How surely it shall arrive.
    pub guarantee: Guarantee,
    /// When it stops being of use: it is not delivered from then on.
    pub expires_at: Option<Millis>,
    /// The publisher's key under which a repetition is recognised.
    pub idempotency_key: Option<Box<str>>,
    /// When the core accepted it.
    pub time: Millis,
    /// Numbering that `offset` belongs to.
    pub epoch: u64,
    /// Place in the log of the space.
    pub offset: Offset,
    /// Offset of the topic's message before this one; 0 when there was none. A reader that holds
    /// `previous` (or anything later) has missed nothing on this topic.
    pub previous: Offset,
    /// The publisher asked that this stay as the topic's retained last message.
    pub is_retained: bool,
}

impl Message {
    /// The message's place as a reader remembers it.
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.offset }
    }

    /// What the message weighs against history limits: payload, names and properties.
    pub fn weight(&self) -> usize {
        let properties: usize = self.properties.iter().map(|(k, v)| k.len() + v.len()).sum();
        let headers = self.headers.as_ref().map_or(0, |headers| headers.weight());
        self.payload.len() + self.topic.len() + properties + headers + 64
    }

    /// Its time is over.
    pub fn is_expired(&self, now: Millis) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// What a door asks the core to publish.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Space to publish in.
    pub space: Arc<str>,
    /// Topic to publish to.
    pub topic: TopicName,
    /// The bytes; doors hand over a slice of what they read where they can.
    pub payload: Bytes,
    /// What the bytes are.
    pub kind: Kind,
    /// The publisher's session, in its door's words.
    pub origin: Option<Arc<str>>,
    /// Named values that travel along.
    pub properties: Properties,
    /// What else the publisher says of it.
    pub headers: Option<Box<Headers>>,
    /// How surely it shall arrive.
    pub guarantee: Guarantee,
    /// When it stops being of use.
    pub expires_at: Option<Millis>,
    /// A record that is kept in the same step as the message, or not at all. Written on its own
    /// where the message is not kept.
    pub beside: Option<Record>,
    /// Repeating a publish under the same key within the space's window publishes once.
    pub idempotency_key: Option<Box<str>>,
    /// Keep as the topic's retained last message. An empty payload clears it.
    pub retain: bool,
}

impl Publication {
    /// A plain publication without properties, key or retain.
    pub fn new(space: Arc<str>, topic: TopicName, kind: Kind, payload: Bytes) -> Self {
        Self {
            space,
            topic,
            payload,
            kind,
            origin: None,
            properties: Vec::new(),
            headers: None,
            guarantee: Guarantee::default(),
            expires_at: None,
            beside: None,
            idempotency_key: None,
            retain: false,
        }
    }
}

/// A reader's place in the log of a space. Written `<epoch in hex>-<offset>`; clients treat it as
/// opaque. A new epoch says that the old numbering is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which numbering.
    pub epoch: u64,
    /// Everything up to and including this offset has been seen.
    pub offset: Offset,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.offset)
    }
}

/// A text that is not a position.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a position: expected one that this server gave out, such as 5f3a-1042")]
pub struct PositionError;

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let (epoch, offset) = text.split_once('-').ok_or(PositionError)?;
        let is_plain = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_plain(epoch) || !is_plain(offset) {
            return Err(PositionError);
        }
        Ok(Self {
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| PositionError)?,
            offset: offset.parse().map_err(|_| PositionError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_text() {
        let position = Position { epoch: 0x5f3a, offset: 1042 };
        assert_eq!(position.to_string(), "5f3a-1042");
        assert_eq!("5f3a-1042".parse(), Ok(position));
    }

    #[test]
    fn other_texts_are_not_positions() {
        for text in ["", "-", "5f3a", "5f3a-", "-7", "5f3a-+7", "zz-1", "1-0x1", "1-99999999999999999999"] {
            assert_eq!(text.parse::<Position>(), Err(PositionError), "{text}");
        }
    }
}
