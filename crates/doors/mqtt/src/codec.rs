//! MQTT 3.1.1 on the wire: bytes in, packets out, and the packets that a server sends.
//!
//! Pure: no socket, no clock, no state. A packet borrows from the bytes it was read from and
//! nothing is allocated. What must be refused is refused as early as its bytes show it: flags with
//! the first byte, the size with the header, before anybody keeps a body.

use DecodeError::Malformed;

/// The first byte of every MQTT connection: CONNECT, without flags.
pub const CONNECT_BYTE: u8 = 0x10;

/// The longest body that the remaining length can announce.
const REMAINING_LENGTH_MAX: usize = 268_435_455;

/// The only protocol level that is spoken here: MQTT 3.1.1.
const LEVEL: u8 = 4;

/// What a packet may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One packet with its header, in bytes.
    pub packet_bytes: usize,
    /// Filters of one SUBSCRIBE or UNSUBSCRIBE.
    pub filters: usize,
}

/// Why bytes are not a packet that a client may send. The connection must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Another protocol than MQTT 3.1.1, to be told so in a CONNACK.
    #[error("protocol level {level} is not spoken here, only MQTT 3.1.1 (level 4) is")]
    ProtocolVersion {
        /// The level asked for.
        level: u8,
    },
    /// The header announces more than is allowed.
    #[error("the packet has {bytes} bytes, {limit} are allowed")]
    TooLarge {
        /// What it announces.
        bytes: usize,
        /// [`Limits::packet_bytes`].
        limit: usize,
    },
    /// More filters than allowed.
    #[error("the packet has more than {limit} filters")]
    TooManyFilters {
        /// [`Limits::filters`].
        limit: usize,
    },
    /// A packet that only servers send, or that answers what was never sent.
    #[error("a packet of type {kind} has no place here")]
    Unexpected {
        /// Type of the packet.
        kind: u8,
    },
    /// A rule of the standard is broken.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
}

/// A packet of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The first one.
    Connect(Connect<'a>),
    /// A message.
    Publish(Publish<'a>),
    /// Asks for messages.
    Subscribe(Subscribe<'a>),
    /// Asks for no more of them.
    Unsubscribe(Unsubscribe<'a>),
    /// Asks whether anybody is there.
    PingRequest,
    /// The last one.
    Disconnect,
}

/// CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// May be empty.
    pub client_id: &'a str,
    /// No state of earlier connections is wanted.
    pub is_clean: bool,
    /// Seconds in which the client sends at least one packet; 0 is without a promise.
    pub keep_alive: u16,
    /// What to publish when the connection breaks.
    pub will: Option<Will<'a>>,
    /// The user name.
    pub user: Option<&'a str>,
    /// The password, which is binary data.
    pub password: Option<&'a [u8]>,
}

/// The will inside a CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where to.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// 0, 1 or 2.
    pub qos: u8,
    /// To be retained.
    pub retain: bool,
}

/// PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Not empty, and without wildcards.
    pub topic: &'a str,
    /// The message.
    pub payload: &'a [u8],
    /// 0, 1 or 2.
    pub qos: u8,
    /// The packet's id; 0 where `qos` is 0.
    pub id: u16,
    /// Sent before; only with a `qos` above 0.
    pub dup: bool,
    /// To be retained.
    pub retain: bool,
}

/// SUBSCRIBE, with at least one filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The packet's id, not 0.
    pub id: u16,
    filters: &'a [u8],
}

impl<'a> Subscribe<'a> {
    /// Filters, not checked beyond UTF-8, and the quality of service asked for.
    pub fn filters(&self) -> impl Iterator<Item = (&'a str, u8)> + use<'a> {
        let mut reader = Reader(self.filters);
        std::iter::from_fn(move || Some((reader.string().ok()?, reader.u8().ok()?)))
    }
}

/// UNSUBSCRIBE, with at least one filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// The packet's id, not 0.
    pub id: u16,
    filters: &'a [u8],
}

impl<'a> Unsubscribe<'a> {
    /// Filters, not checked beyond UTF-8.
    pub fn filters(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut reader = Reader(self.filters);
        std::iter::from_fn(move || reader.string().ok())
    }
}

/// Reads the packet at the start of `input` and says how many bytes it takes. `None` asks for more
/// bytes.
///
/// # Errors
/// [`DecodeError`]; nothing behind it can be read.
#[inline]
pub fn decode<'a>(input: &'a [u8], limits: &Limits) -> Result<Option<(Packet<'a>, usize)>, DecodeError> {
    let Some((&first, rest)) = input.split_first() else { return Ok(None) };
    check_first(first)?;
    let Some((length, length_bytes)) = remaining_length(rest)? else { return Ok(None) };
    let total = 1 + length_bytes + length;
    if total > limits.packet_bytes {
        return Err(DecodeError::TooLarge { bytes: total, limit: limits.packet_bytes });
    }
    let Some(body) = input.get(1 + length_bytes..total) else { return Ok(None) };
    let packet = match first >> 4 {
        3 => Packet::Publish(publish(first, body)?),
        1 => Packet::Connect(connect(body)?),
        8 => subscribe(body, limits)?,
        10 => unsubscribe(body, limits)?,
        12 if body.is_empty() => Packet::PingRequest,
        14 if body.is_empty() => Packet::Disconnect,
        _ => return Err(Malformed("PINGREQ and DISCONNECT have no body")),
    };
    Ok(Some((packet, total)))
}

/// What the first byte alone may get wrong.
#[inline]
fn check_first(first: u8) -> Result<(), DecodeError> {
    let flags = first & 0x0F;
    match first >> 4 {
        3 if flags & 0b0110 == 0b0110 => Err(Malformed("quality of service 3")),
        3 if flags & 0b1110 == 0b1000 => Err(Malformed("DUP with quality of service 0")),
        3 => Ok(()),
        8 | 10 if flags == 0b0010 => Ok(()),
        1 | 12 | 14 if flags == 0 => Ok(()),
        1 | 8 | 10 | 12 | 14 => Err(Malformed("wrong flags in the first byte")),
        kind => Err(DecodeError::Unexpected { kind }),
    }
}

/// The length of the body, and how many bytes say it.
#[inline]
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, DecodeError> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return match (byte, index) {
                (0, 1..) => Err(Malformed("the remaining length is longer than needed")),
                _ => Ok(Some((value, index + 1))),
            };
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(Malformed("the remaining length has more than four bytes")) }
}

fn connect(body: &[u8]) -> Result<Connect<'_>, DecodeError> {
    let mut body = Reader(body);
    let (name, level) = (body.string()?, body.u8()?);
    if name != "MQTT" || level != LEVEL {
        return Err(DecodeError::ProtocolVersion { level });
    }
    let (flags, keep_alive) = (body.u8()?, body.u16()?);
    let is_set = |bit: u8| flags & bit != 0;
    let qos = flags >> 3 & 0b11;
    if is_set(0x01) {
        return Err(Malformed("the reserved flag of CONNECT is set"));
    }
    if qos == 3 || !is_set(0x04) && (qos > 0 || is_set(0x20)) {
        return Err(Malformed("the will's flags contradict each other"));
    }
    if is_set(0x40) && !is_set(0x80) {
        return Err(Malformed("a password without a user name"));
    }
    let client_id = body.string()?;
    let will = match is_set(0x04) {
        true => Some(Will { topic: body.string()?, payload: body.binary()?, qos, retain: is_set(0x20) }),
        false => None,
    };
    let user = is_set(0x80).then(|| body.string()).transpose()?;
    let password = is_set(0x40).then(|| body.binary()).transpose()?;
    body.end()?;
    Ok(Connect { client_id, is_clean: is_set(0x02), keep_alive, will, user, password })
}

#[inline]
fn publish(first: u8, body: &[u8]) -> Result<Publish<'_>, DecodeError> {
    let mut body = Reader(body);
    let topic = body.string()?;
    if topic.is_empty() {
        return Err(Malformed("an empty topic"));
    }
    if topic.bytes().any(|byte| matches!(byte, b'+' | b'#')) {
        return Err(Malformed("a wildcard in a topic"));
    }
    let qos = first >> 1 & 0b11;
    let id = if qos > 0 { body.packet_id()? } else { 0 };
    Ok(Publish { topic, payload: body.0, qos, id, dup: first & 0b1000 != 0, retain: first & 1 != 0 })
}

fn subscribe<'a>(body: &'a [u8], limits: &Limits) -> Result<Packet<'a>, DecodeError> {
    let mut body = Reader(body);
    let (id, filters) = (body.packet_id()?, body.0);
    body.list(limits, |body| {
        body.string()?;
        if body.u8()? <= 2 { Ok(()) } else { Err(Malformed("a quality of service above 2")) }
    })?;
    Ok(Packet::Subscribe(Subscribe { id, filters }))
}

fn unsubscribe<'a>(body: &'a [u8], limits: &Limits) -> Result<Packet<'a>, DecodeError> {
    let mut body = Reader(body);
    let (id, filters) = (body.packet_id()?, body.0);
    body.list(limits, |body| body.string().map(drop))?;
    Ok(Packet::Unsubscribe(Unsubscribe { id, filters }))
}

/// What is left of a body.
struct Reader<'a>(&'a [u8]);

const SHORT: DecodeError = Malformed("the body ends too early");

impl<'a> Reader<'a> {
    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    fn u8(&mut self) -> Result<u8, DecodeError> {
        let (byte, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*byte)
    }

    #[inline]
    fn u16(&mut self) -> Result<u16, DecodeError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    #[inline]
    fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    #[inline]
    fn string(&mut self) -> Result<&'a str, DecodeError> {
        let text = std::str::from_utf8(self.binary()?).map_err(|_| Malformed("a text is not UTF-8"))?;
        if text.bytes().any(|byte| byte == 0) {
            return Err(Malformed("NUL in a text"));
        }
        Ok(text)
    }

    fn packet_id(&mut self) -> Result<u16, DecodeError> {
        match self.u16()? {
            0 => Err(Malformed("packet id 0")),
            id => Ok(id),
        }
    }

    /// One or more of something, up to the end.
    fn list(
        &mut self,
        limits: &Limits,
        mut read: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if self.0.is_empty() {
            return Err(Malformed("no filter"));
        }
        let mut count = 0;
        while !self.0.is_empty() {
            read(self)?;
            count += 1;
            if count > limits.filters {
                return Err(DecodeError::TooManyFilters { limit: limits.filters });
            }
        }
        Ok(())
    }

    fn end(&self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("bytes behind the end of the packet")) }
    }
}

/// The return code of a CONNACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ConnectCode {
    /// Welcome.
    Accepted = 0,
    /// Another version of MQTT was asked for.
    ProtocolVersion = 1,
    /// The client id cannot be used.
    ClientId = 2,
    /// Not now.
    Unavailable = 3,
    /// User name or password do not count.
    Credentials = 4,
    /// Known, perhaps, but not let in.
    NotAuthorized = 5,
}

/// SUBACK's code for a filter that stands, at most once.
pub const GRANTED_QOS_0: u8 = 0x00;
/// SUBACK's code for a filter that was refused.
pub const FAILURE: u8 = 0x80;

/// Appends a CONNACK without a session of the past.
pub fn encode_connack(out: &mut Vec<u8>, code: ConnectCode) {
    out.extend_from_slice(&[0x20, 2, 0, code as u8]);
}

/// Appends a PUBLISH with quality of service 0. Appends nothing when the topic or the packet are
/// too long for the protocol.
pub fn encode_publish(out: &mut Vec<u8>, topic: &str, payload: &[u8], retain: bool) {
    let Ok(topic_length) = u16::try_from(topic.len()) else { return };
    let length = 2 + topic.len() + payload.len();
    if length > REMAINING_LENGTH_MAX {
        return;
    }
    out.reserve(5 + length);
    out.push(0x30 | u8::from(retain));
    put_length(out, length);
    out.extend_from_slice(&topic_length.to_be_bytes());
    out.extend_from_slice(topic.as_bytes());
    out.extend_from_slice(payload);
}

/// Appends a SUBACK.
pub fn encode_suback(out: &mut Vec<u8>, id: u16, codes: &[u8]) {
    out.push(0x90);
    put_length(out, 2 + codes.len());
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(codes);
}

/// Appends an UNSUBACK.
pub fn encode_unsuback(out: &mut Vec<u8>, id: u16) {
    out.extend_from_slice(&[0xB0, 2]);
    out.extend_from_slice(&id.to_be_bytes());
}

/// Appends a PINGRESP.
pub fn encode_ping_response(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xD0, 0]);
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let byte = (length & 0x7F) as u8;
        length >>= 7;
        if length == 0 {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { packet_bytes: 1 << 20, filters: 3 };

    fn one(input: &[u8]) -> Result<Option<(Packet<'_>, usize)>, DecodeError> {
        decode(input, &LIMITS)
    }

    fn malformed(input: &[u8]) -> bool {
        matches!(one(input), Err(Malformed(_)))
    }

    #[test]
    fn a_connect_is_read_in_full() {
        let bytes = b"\x10\x2d\0\x04MQTT\x04\xE6\0\x3c\0\x02id\0\x04will\0\x03bye\0\x04user\0\x0ca.long.token";
        let bytes = [bytes.as_slice(), b"\xC0\0"].concat();
        let will = Will { topic: "will", payload: b"bye", qos: 0, retain: true };
        let connect = Connect {
            client_id: "id",
            is_clean: true,
            keep_alive: 60,
            will: Some(will),
            user: Some("user"),
            password: Some(b"a.long.token"),
        };
        assert_eq!(one(&bytes), Ok(Some((Packet::Connect(connect), bytes.len() - 2))));
        assert_eq!(one(&bytes[bytes.len() - 2..]), Ok(Some((Packet::PingRequest, 2))));
    }

    #[test]
    fn other_versions_are_told_apart_from_nonsense() {
        for (name, level) in [("MQTT", 5), ("MQTT", 3), ("MQIsdp", 3), ("AMQP", 4)] {
            let mut bytes = vec![0x10, 0, 0, name.len() as u8];
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(&[level, 2, 0, 0, 0, 0, 0]);
            bytes[1] = bytes.len() as u8 - 2;
            assert_eq!(one(&bytes), Err(DecodeError::ProtocolVersion { level }), "{name}");
        }
        assert!(malformed(b"\x10\x04\0\x09MQ"));
    }

    #[test]
    fn connect_flags_must_make_sense() {
        let with = |flags: u8| [b"\x10\x0c\0\x04MQTT\x04".as_slice(), &[flags, 0, 0, 0, 0]].concat();
        assert!(matches!(one(&with(0x02)), Ok(Some(_))));
        for flags in [0x01, 0x08, 0x20, 0x1C, 0x40] {
            assert!(malformed(&with(flags)), "{flags:#x}");
        }
        assert!(malformed(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\0!"));
    }

    #[test]
    fn a_publish_borrows_topic_and_payload() {
        let publish = Publish { topic: "a/b", payload: b"hi", qos: 0, id: 0, dup: false, retain: true };
        assert_eq!(one(b"\x31\x07\0\x03a/bhi rest"), Ok(Some((Packet::Publish(publish), 9))));
        let publish = Publish { topic: "a", payload: b"", qos: 1, id: 7, dup: true, retain: false };
        assert_eq!(one(b"\x3a\x05\0\x01a\0\x07"), Ok(Some((Packet::Publish(publish), 7))));
        for bytes in [
            b"\x30\x05\0\x03a/+".as_slice(),
            b"\x30\x03\0\x01#",
            b"\x30\x02\0\0",
            b"\x30\x03\0\x01\0",
            b"\x30\x03\0\x01\xFF",
            b"\x30\x03\0\x02a",
            b"\x32\x05\0\x01a\0\0",
            b"\x36",
            b"\x38",
        ] {
            assert!(malformed(bytes), "{bytes:?}");
        }
    }

    #[test]
    fn filters_are_read_in_order() {
        let Ok(Some((Packet::Subscribe(packet), 13))) = one(b"\x82\x0b\0\x09\0\x03a/#\x01\0\0\x02") else {
            panic!("not a SUBSCRIBE")
        };
        assert_eq!((packet.id, packet.filters().collect::<Vec<_>>()), (9, vec![("a/#", 1), ("", 2)]));
        let Ok(Some((Packet::Unsubscribe(packet), 10))) = one(b"\xA2\x08\0\x09\0\x01a\0\x01b") else {
            panic!("not an UNSUBSCRIBE")
        };
        assert_eq!((packet.id, packet.filters().collect::<Vec<_>>()), (9, vec!["a", "b"]));
        for bytes in [b"\x82\x02\0\x01".as_slice(), b"\xA2\x02\0\x01", b"\x82\x06\0\x01\0\x01a\x03", b"\x80"] {
            assert!(malformed(bytes), "{bytes:?}");
        }
        let many = b"\xA2\x0e\0\x01\0\x01a\0\x01a\0\x01a\0\x01a";
        assert_eq!(one(many), Err(DecodeError::TooManyFilters { limit: 3 }));
    }

    #[test]
    fn lengths_are_judged_before_the_body_is_there() {
        assert_eq!(one(b"\x30\xff\xff\x3f"), Err(DecodeError::TooLarge { bytes: 1_048_579, limit: 1 << 20 }));
        assert_eq!(one(b"\x30\xff\xff\xff"), Ok(None));
        assert!(malformed(b"\x30\xff\xff\xff\xff"));
        assert!(malformed(b"\x30\x83\x00"));
        assert_eq!(one(b"\x30\x80"), Ok(None));
    }

    #[test]
    fn packets_of_servers_and_acknowledgements_have_no_place() {
        for kind in [0, 2, 4, 5, 6, 7, 9, 11, 13, 15] {
            assert_eq!(one(&[kind << 4]), Err(DecodeError::Unexpected { kind }));
        }
        assert!(malformed(b"\xC0\x01!"));
    }

    #[test]
    fn what_is_encoded_is_what_the_standard_says() {
        let mut out = Vec::new();
        encode_connack(&mut out, ConnectCode::NotAuthorized);
        encode_publish(&mut out, "a", b"hi", true);
        encode_suback(&mut out, 0x0102, &[GRANTED_QOS_0, FAILURE]);
        encode_unsuback(&mut out, 3);
        encode_ping_response(&mut out);
        assert_eq!(out, b"\x20\x02\0\x05\x31\x05\0\x01ahi\x90\x04\x01\x02\0\x80\xB0\x02\0\x03\xD0\0");
    }

    #[test]
    fn an_encoded_publish_reads_back_at_every_width_of_length() {
        for size in [0, 124, 125, 16_380, 16_381, 70_000, 1 << 20] {
            let (mut out, payload) = (Vec::new(), vec![7; size]);
            encode_publish(&mut out, "t", &payload, false);
            let limits = Limits { packet_bytes: out.len(), filters: 1 };
            let Ok(Some((Packet::Publish(publish), length))) = decode(&out, &limits) else {
                panic!("{size} bytes do not read back")
            };
            assert_eq!((publish.payload.len(), length), (size, out.len()));
        }
        let mut out = Vec::new();
        encode_publish(&mut out, &"t".repeat(65_536), b"", false);
        assert!(out.is_empty());
    }
}
