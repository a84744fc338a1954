//! What the codec proves about packets. `// proves:` above a test names the statements of the
//! OASIS texts, with the version, because the same id means different things in 3.1.1 and 5.0.

mod encode;
mod generate;
mod hostile;
mod rules_acks;
mod rules_basic;
mod rules_connect;
mod rules_publish;
mod rules_subscribe;

use std::num::NonZeroU16;

use fanfare_mqtt_codec::{
    ConnectError, DecodeError, Frame, Level, Packet, PacketId, ReasonCode, ServerPacket, decode, decode_connect,
    decode_from_server, frame,
};

const LIMIT: usize = 1 << 20;
const V3: [Level; 2] = [Level::V3, Level::V4];
const ALL: [Level; 3] = [Level::V3, Level::V4, Level::V5];

fn id(number: u16) -> PacketId {
    NonZeroU16::new(number).expect("tests use other ids than 0")
}

/// A packet with a first byte and a body.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).ok().filter(|length| *length < 128).expect("a short body");
    [&[first, length], body].concat()
}

/// A text or binary data with its length.
fn field(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

/// The one packet in `bytes`.
fn whole(bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    let frame = frame(bytes, LIMIT)?.expect("a whole packet");
    assert_eq!(frame.length, bytes.len());
    Ok(frame)
}

fn client(level: Level, bytes: &[u8]) -> Result<Packet<'_>, DecodeError> {
    decode(level, &whole(bytes)?)
}

fn server(level: Level, bytes: &[u8]) -> Result<ServerPacket<'_>, DecodeError> {
    decode_from_server(level, &whole(bytes)?)
}

fn connect(bytes: &[u8]) -> Result<fanfare_mqtt_codec::Connect<'_>, ConnectError> {
    decode_connect(&whole(bytes).map_err(|cause| ConnectError { dialect: None, cause })?)
}

/// A CONNECT of MQTT 5 with these properties and an empty client id.
fn connect_v5(properties: &[u8]) -> Vec<u8> {
    let section = [&[properties.len() as u8], properties].concat();
    packet(0x10, &[b"\0\x04MQTT\x05\x02\0\0".as_slice(), &section, &[0, 0]].concat())
}

/// A PUBLISH of MQTT 5 to `a` with quality 1, id 1 and these properties.
fn publish_v5(properties: &[u8]) -> Vec<u8> {
    let section = [&[properties.len() as u8], properties].concat();
    packet(0x32, &[b"\0\x01a\0\x01".as_slice(), &section, b"hi"].concat())
}

/// Why the packet of a client is refused, if it is.
fn refused(level: Level, bytes: &[u8]) -> Option<ReasonCode> {
    client(level, bytes).err().map(DecodeError::reason)
}

/// Why the packet of a server is refused, if it is.
fn refused_from_server(level: Level, bytes: &[u8]) -> Option<ReasonCode> {
    server(level, bytes).err().map(DecodeError::reason)
}

/// Why the CONNECT is refused, if it is.
fn refused_connect(bytes: &[u8]) -> Option<ReasonCode> {
    connect(bytes).err().map(|error| error.cause.reason())
}

const MALFORMED: Option<ReasonCode> = Some(ReasonCode::MalformedPacket);
const PROTOCOL: Option<ReasonCode> = Some(ReasonCode::ProtocolError);
