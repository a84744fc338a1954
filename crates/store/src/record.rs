//! A message as bytes.
//!
//! ```text
//! version u8 = 1, kind u8 + 16 * guarantee, flags u8, time varint, (offset - previous) varint,
//! topic text, [epoch u64], [publisher text], [key text], [count varint, (name text, value text)*],
//! [origin text], [expires at varint], [headers], payload to the end
//!
//! headers: flags u8, [content type text], [response topic text], [correlation bytes as a text]
//! ```
//! A text is its length as varint, then UTF-8. Space, offset and usually the epoch are known from
//! where the record stands. There is no checksum in a record: every journal batch and every table
//! block has one, and both are verified before a record is looked at.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::{Guarantee, Headers, Kind, Message, Offset, Properties, TopicName};

const VERSION: u8 = 1;
const FLAG_RETAINED: u8 = 1;
const FLAG_EPOCH: u8 = 2;
const FLAG_PUBLISHER: u8 = 4;
const FLAG_KEY: u8 = 8;
const FLAG_PROPERTIES: u8 = 16;
const FLAG_ORIGIN: u8 = 32;
const FLAG_EXPIRES: u8 = 64;
const FLAG_HEADERS: u8 = 128;

const HEADER_CONTENT_TYPE: u8 = 1;
const HEADER_RESPONSE_TOPIC: u8 = 2;
const HEADER_CORRELATION: u8 = 4;
const HEADER_HAS_FORMAT: u8 = 8;
const HEADER_IS_UTF8: u8 = 16;

/// Where a record stands, which it does not repeat.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) space: &'a Arc<str>,
    pub(crate) epoch: u64,
    pub(crate) offset: Offset,
}

/// Appends the record of `message` to `out`; `epoch` is that of its space.
pub(crate) fn encode(message: &Message, epoch: u64, out: &mut Vec<u8>) {
    let mut flags = 0;
    let mut set = |is_set: bool, flag| flags |= if is_set { flag } else { 0 };
    set(message.is_retained, FLAG_RETAINED);
    set(message.epoch != epoch, FLAG_EPOCH);
    set(message.publisher.is_some(), FLAG_PUBLISHER);
    set(message.idempotency_key.is_some(), FLAG_KEY);
    set(!message.properties.is_empty(), FLAG_PROPERTIES);
    set(message.origin.is_some(), FLAG_ORIGIN);
    set(message.expires_at.is_some(), FLAG_EXPIRES);
    set(message.headers.is_some(), FLAG_HEADERS);
    out.extend_from_slice(&[VERSION, message.kind.code() | message.guarantee.code() << 4, flags]);
    put_varint(message.time, out);
    put_varint(message.offset.wrapping_sub(message.previous), out);
    put_text(&message.topic, out);
    if flags & FLAG_EPOCH != 0 {
        out.extend_from_slice(&message.epoch.to_le_bytes());
    }
    if let Some(publisher) = &message.publisher {
        put_text(publisher, out);
    }
    if let Some(key) = &message.idempotency_key {
        put_text(key, out);
    }
    if !message.properties.is_empty() {
        put_varint(message.properties.len() as u64, out);
        for (name, value) in &message.properties {
            put_text(name, out);
            put_text(value, out);
        }
    }
    if let Some(origin) = &message.origin {
        put_text(origin, out);
    }
    if let Some(at) = message.expires_at {
        put_varint(at, out);
    }
    if let Some(headers) = &message.headers {
        put_headers(headers, out);
    }
    out.extend_from_slice(&message.payload);
}

fn put_headers(headers: &Headers, out: &mut Vec<u8>) {
    let mut flags = 0;
    let mut set = |is_set: bool, flag| flags |= if is_set { flag } else { 0 };
    set(headers.content_type.is_some(), HEADER_CONTENT_TYPE);
    set(headers.response_topic.is_some(), HEADER_RESPONSE_TOPIC);
    set(headers.correlation.is_some(), HEADER_CORRELATION);
    set(headers.is_utf8.is_some(), HEADER_HAS_FORMAT);
    set(headers.is_utf8 == Some(true), HEADER_IS_UTF8);
    out.push(flags);
    for text in [&headers.content_type, &headers.response_topic].into_iter().flatten() {
        put_text(text, out);
    }
    if let Some(correlation) = &headers.correlation {
        put_varint(correlation.len() as u64, out);
        out.extend_from_slice(correlation);
    }
}

/// The message of a record. `topics` shares the names of topics between messages.
///
/// # Errors
/// Says which part is not what [`encode`] writes.
pub(crate) fn decode(record: &[u8], place: Place<'_>, topics: &mut Topics) -> Result<Message, &'static str> {
    let mut input = Input(record);
    if input.byte()? != VERSION {
        return Err("record of an unknown version");
    }
    let kind_and_guarantee = input.byte()?;
    let kind = Kind::from_code(kind_and_guarantee & 15).ok_or("record of an unknown kind")?;
    let guarantee = Guarantee::from_code(kind_and_guarantee >> 4).ok_or("record of an unknown guarantee")?;
    let flags = input.byte()?;
    let has = |flag| flags & flag != 0;
    let time = input.varint()?;
    let previous = place.offset.wrapping_sub(input.varint()?);
    let topic = topics.get(input.text()?)?;
    let epoch = if has(FLAG_EPOCH) { input.fixed()? } else { place.epoch };
    let publisher = has(FLAG_PUBLISHER).then(|| input.text()).transpose()?;
    let key = has(FLAG_KEY).then(|| input.text()).transpose()?;
    let properties = if has(FLAG_PROPERTIES) { input.properties()? } else { Vec::new() };
    let origin = has(FLAG_ORIGIN).then(|| input.text()).transpose()?;
    let expires_at = has(FLAG_EXPIRES).then(|| input.varint()).transpose()?;
    let headers = has(FLAG_HEADERS).then(|| input.headers()).transpose()?;
    Ok(Message {
        space: place.space.clone(),
        topic,
        payload: Bytes::copy_from_slice(input.0),
        kind,
        publisher: publisher.map(Arc::from),
        origin: origin.map(Arc::from),
        properties,
        headers: headers.map(Box::new),
        guarantee,
        expires_at,
        idempotency_key: key.map(Box::from),
        time,
        epoch,
        offset: place.offset,
        previous,
        is_retained: has(FLAG_RETAINED),
    })
}

/// Topic names met so far, so that a million messages of one topic share one name.
#[derive(Default)]
pub(crate) struct Topics(hashbrown::HashSet<TopicName, foldhash::fast::RandomState>);

/// Beyond this many different names they are forgotten and gathered anew.
const TOPICS_MAX: usize = 65_536;

impl Topics {
    fn get(&mut self, name: &str) -> Result<TopicName, &'static str> {
        if let Some(topic) = self.0.get(name) {
            return Ok(topic.clone());
        }
        let topic = TopicName::new(name).map_err(|_| "record with an invalid topic")?;
        if self.0.len() >= TOPICS_MAX {
            self.0.clear();
        }
        self.0.insert(topic.clone());
        Ok(topic)
    }
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put_varint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

const SHORT: &str = "record ends early";

/// What is left to read of a record.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        let (&first, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(first)
    }

    fn fixed(&mut self) -> Result<u64, &'static str> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("number too long")
    }

    fn bytes(&mut self) -> Result<&'a [u8], &'static str> {
        let len = usize::try_from(self.varint()?).map_err(|_| SHORT)?;
        self.take(len)
    }

    fn text(&mut self) -> Result<&'a str, &'static str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "text is not UTF-8")
    }

    fn headers(&mut self) -> Result<Headers, &'static str> {
        let flags = self.byte()?;
        let has = |flag| flags & flag != 0;
        Ok(Headers {
            content_type: has(HEADER_CONTENT_TYPE).then(|| self.text()).transpose()?.map(Box::from),
            response_topic: has(HEADER_RESPONSE_TOPIC).then(|| self.text()).transpose()?.map(Box::from),
            correlation: has(HEADER_CORRELATION).then(|| self.bytes()).transpose()?.map(Bytes::copy_from_slice),
            is_utf8: has(HEADER_HAS_FORMAT).then(|| has(HEADER_IS_UTF8)),
        })
    }

    fn properties(&mut self) -> Result<Properties, &'static str> {
        let count = self.varint()?;
        // A pair takes two bytes at least: a damaged count cannot make us reserve memory.
        let room = (self.0.len() / 2).min(usize::try_from(count).unwrap_or(usize::MAX));
        let mut properties = Vec::with_capacity(room);
        for _ in 0..count {
            properties.push((self.text()?.into(), self.text()?.into()));
        }
        Ok(properties)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn messages() -> impl Strategy<Value = Message> {
        let names = ("[a-z/]{1,20}", prop::option::of(".{0,9}"));
        let extras = (prop::option::of(".{0,9}"), prop::collection::vec((".{0,5}", ".{0,5}"), 0..4));
        let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
        let rest = (1_u8..4, any::<bool>(), any::<bool>(), 0_u8..3, prop::option::of(any::<u64>()), headers());
        let payload = prop::collection::vec(any::<u8>(), 0..300);
        (names, extras, numbers, rest, payload).prop_map(
            |((topic, publisher), (key, properties), numbers, rest, payload)| Message {
                space: "s".into(),
                topic: TopicName::new(&topic).unwrap(),
                payload: payload.into(),
                kind: Kind::from_code(rest.0).unwrap(),
                publisher: publisher.map(|p| p.as_str().into()),
                properties: properties.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
                origin: rest.1.then(|| "client".into()),
                headers: rest.5,
                guarantee: Guarantee::from_code(rest.3).unwrap(),
                expires_at: rest.4,
                idempotency_key: key.map(|k| k.as_str().into()),
                time: numbers.0,
                epoch: if rest.1 { 7 } else { numbers.1 },
                offset: numbers.2,
                previous: numbers.3,
                is_retained: rest.2,
            },
        )
    }

    fn headers() -> impl Strategy<Value = Option<Box<Headers>>> {
        let text = || prop::option::of(".{0,9}");
        let parts = (text(), text(), prop::option::of(prop::collection::vec(any::<u8>(), 0..9)), any::<Option<bool>>());
        prop::option::of(parts).prop_map(|parts| {
            parts.map(|(content_type, response_topic, correlation, is_utf8)| {
                let (content_type, response_topic) =
                    (content_type.map(String::into_boxed_str), response_topic.map(String::into_boxed_str));
                Box::new(Headers { content_type, response_topic, correlation: correlation.map(Bytes::from), is_utf8 })
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn a_message_survives_its_record(message in messages()) {
            let mut record = Vec::new();
            encode(&message, 7, &mut record);
            let space = message.space.clone();
            let place = Place { space: &space, epoch: 7, offset: message.offset };
            prop_assert_eq!(decode(&record, place, &mut Topics::default()), Ok(message));
        }

        #[test]
        fn any_bytes_decode_or_are_refused(record in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut with_head = vec![VERSION, 1];
            with_head.extend_from_slice(&record);
            let space = Arc::from("s");
            let place = Place { space: &space, epoch: 7, offset: 9 };
            let _ = decode(&record, place, &mut Topics::default());
            let _ = decode(&with_head, place, &mut Topics::default());
        }
    }
}
