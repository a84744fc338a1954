//! Momento's messages inside a stream, in place: gRPC's lengths, and the few fields of Protocol Buffers
//! that a generator looks at.

/// Flag and length in front of a message.
const PREFIX_BYTES: usize = 5;

/// The largest payload a run can ask for is 1 MB.
const MESSAGE_BYTES_MAX: usize = 2 << 20;

/// What a subscription hears.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Item<'a> {
    Heartbeat,
    /// Everything after `last`, up to `new`, is not in the stream.
    Discontinuity {
        last: u64,
        new: u64,
    },
    Message {
        number: u64,
        payload: &'a [u8],
    },
}

/// The message at the start of `bytes` and the length of both, if it is complete.
#[inline]
pub(crate) fn first(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, &'static str> {
    let Some(&[flag, a, b, c, d]) = bytes.first_chunk::<PREFIX_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if flag != 0 {
        return Err("a compressed message");
    }
    if length > MESSAGE_BYTES_MAX {
        return Err("a message of more than 2 MiB");
    }
    let whole = PREFIX_BYTES + length;
    Ok(bytes.get(PREFIX_BYTES..whole).map(|message| (message, whole)))
}

/// Reads a `_SubscriptionItem`.
#[inline]
pub(crate) fn read(message: &[u8]) -> Result<Item<'_>, &'static str> {
    let (number, Value::Bytes(kind), _) = field(message)? else {
        return Err("an item of an unknown kind");
    };
    match number {
        1 => read_item(kind),
        2 => {
            let (mut last, mut new) = (0, 0);
            each(kind, |number, value| match (number, value) {
                (1, Value::Number(value)) => last = value,
                (2, Value::Number(value)) => new = value,
                _ => {}
            })?;
            Ok(Item::Discontinuity { last, new })
        }
        3 => Ok(Item::Heartbeat),
        _ => Err("an item of an unknown kind"),
    }
}

/// Reads a `_TopicItem`; text and binary are the same here.
fn read_item(item: &[u8]) -> Result<Item<'_>, &'static str> {
    let (mut sequence, mut payload) = (0, Ok((0, Value::Number(0), &[][..])));
    each(item, |number, value| match (number, value) {
        (1, Value::Number(value)) => sequence = value,
        (2, Value::Bytes(value)) => payload = field(value),
        _ => {}
    })?;
    match payload? {
        (1 | 2, Value::Bytes(payload), _) => Ok(Item::Message { number: sequence, payload }),
        _ => Err("an item without a value"),
    }
}

/// Appends a message with its length.
pub(crate) fn put(out: &mut Vec<u8>, message: &[u8]) {
    out.push(0);
    // Bounded by the largest payload of a run.
    out.extend_from_slice(&(message.len() as u32).to_be_bytes());
    out.extend_from_slice(message);
}

/// Appends a field of bytes.
pub(crate) fn put_field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

/// The value of a field.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn each<'a>(mut message: &'a [u8], mut see: impl FnMut(u64, Value<'a>)) -> Result<(), &'static str> {
    while !message.is_empty() {
        let (number, value, rest) = field(message)?;
        see(number, value);
        message = rest;
    }
    Ok(())
}

/// The first field of a message: its number, its value and what follows.
#[inline]
fn field(message: &[u8]) -> Result<(u64, Value<'_>, &[u8]), &'static str> {
    const CUT: &str = "a message that ends within a field";
    let (tag, rest) = varint(message).ok_or(CUT)?;
    let (value, rest) = varint(rest).ok_or(CUT)?;
    match tag & 7 {
        0 => Ok((tag >> 3, Value::Number(value), rest)),
        2 => {
            let length = usize::try_from(value).unwrap_or(usize::MAX);
            let (bytes, rest) = rest.split_at_checked(length).ok_or(CUT)?;
            Ok((tag >> 3, Value::Bytes(bytes), rest))
        }
        _ => Err("a field of a type that Momento's messages do not have"),
    }
}

#[inline]
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (place, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[place + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An item as the schema has it: number 300, a text, a publisher and a page.
    fn item(text: &str) -> Vec<u8> {
        let (mut value, mut inner, mut whole) = (Vec::new(), vec![0x08, 0xac, 0x02], Vec::new());
        put_field(&mut value, 1, text.as_bytes());
        put_field(&mut inner, 2, &value);
        put_field(&mut inner, 3, b"ada");
        inner.extend_from_slice(&[0x20, 7]);
        put_field(&mut whole, 1, &inner);
        whole
    }

    #[test]
    fn items_are_told_apart() {
        let long = "x".repeat(1_000);
        for text in ["hello", &long, ""] {
            let message = item(text);
            assert_eq!(read(&message), Ok(Item::Message { number: 300, payload: text.as_bytes() }));
        }
        assert_eq!(read(&[0x1a, 0]), Ok(Item::Heartbeat));
        assert_eq!(read(&[0x12, 4, 0x10, 9, 0x18, 1]), Ok(Item::Discontinuity { last: 0, new: 9 }));
    }

    #[test]
    fn messages_are_found_when_complete() {
        let mut bytes = Vec::new();
        put(&mut bytes, &item("hello"));
        for cut in 0..bytes.len() {
            assert_eq!(first(&bytes[..cut]), Ok(None), "cut at {cut}");
        }
        let whole = bytes.len();
        bytes.push(0);
        assert_eq!(first(&bytes), Ok(Some((item("hello").as_slice(), whole))));
    }

    #[test]
    fn damage_is_no_message() {
        let message = item("hello");
        for cut in 0..message.len() {
            assert!(read(&message[..cut]).is_err(), "cut at {cut}");
        }
        assert!(read(&[0x0a, 2, 0x08, 1]).is_err(), "no value");
        assert!(first(&[1, 0, 0, 0, 0]).is_err(), "compressed");
        assert!(first(&[0, 0xff, 0, 0, 0]).is_err(), "too long");
    }
}
