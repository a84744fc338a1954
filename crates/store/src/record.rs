//! A message as bytes.
//!
//! ```text
//! version u8 = 1, kind u8, flags u8, time varint, (offset - previous) varint,
//! topic text, [epoch u64], [publisher text], [key text], [count varint, (name text, value text)*],
//! payload to the end
//! ```
//! A text is its length as varint, then UTF-8. Space, offset and usually the epoch are known from
//! where the record stands. There is no checksum in a record: every journal batch and every table
//! block has one, and both are verified before a record is looked at.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::{Kind, Message, Offset, Properties, TopicName};

const VERSION: u8 = 1;
const FLAG_RETAINED: u8 = 1;
const FLAG_EPOCH: u8 = 2;
const FLAG_PUBLISHER: u8 = 4;
const FLAG_KEY: u8 = 8;
const FLAG_PROPERTIES: u8 = 16;
const FLAGS_ALL: u8 = 31;

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
    out.extend_from_slice(&[VERSION, message.kind.code(), flags]);
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
    out.extend_from_slice(&message.payload);
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
    let kind = Kind::from_code(input.byte()?).ok_or("record of an unknown kind")?;
    let flags = input.byte()?;
    if flags & !FLAGS_ALL != 0 {
        return Err("record with unknown flags");
    }
    let has = |flag| flags & flag != 0;
    let time = input.varint()?;
    let previous = place.offset.wrapping_sub(input.varint()?);
    let topic = topics.get(input.text()?)?;
    let epoch = if has(FLAG_EPOCH) { input.fixed()? } else { place.epoch };
    let publisher = has(FLAG_PUBLISHER).then(|| input.text()).transpose()?;
    let key = has(FLAG_KEY).then(|| input.text()).transpose()?;
    let properties = if has(FLAG_PROPERTIES) { input.properties()? } else { Vec::new() };
    Ok(Message {
        space: place.space.clone(),
        topic,
        payload: Bytes::copy_from_slice(input.0),
        kind,
        publisher: publisher.map(Arc::from),
        properties,
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

    fn text(&mut self) -> Result<&'a str, &'static str> {
        let len = usize::try_from(self.varint()?).map_err(|_| SHORT)?;
        std::str::from_utf8(self.take(len)?).map_err(|_| "text is not UTF-8")
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
        let rest = (1_u8..4, any::<bool>(), any::<bool>());
        let payload = prop::collection::vec(any::<u8>(), 0..300);
        (names, extras, numbers, rest, payload).prop_map(
            |((topic, publisher), (key, properties), numbers, rest, payload)| Message {
                space: "s".into(),
                topic: TopicName::new(&topic).unwrap(),
                payload: payload.into(),
                kind: Kind::from_code(rest.0).unwrap(),
                publisher: publisher.map(|p| p.as_str().into()),
                properties: properties.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
                idempotency_key: key.map(|k| k.as_str().into()),
                time: numbers.0,
                epoch: if rest.1 { 7 } else { numbers.1 },
                offset: numbers.2,
                previous: numbers.3,
                is_retained: rest.2,
            },
        )
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
