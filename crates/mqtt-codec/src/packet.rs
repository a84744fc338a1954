//! Which packet a frame is, seen from the server and from the client.

use crate::{
    Ack, AckKind, Auth, Connack, DecodeError, Disconnect, Frame, Level, PacketType, Publish, Suback, Subscribe,
    Unsuback, Unsubscribe, frame::Sender,
};
use DecodeError::{Malformed, Protocol};

/// A packet of a client, after its CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A message.
    Publish(Publish<'a>),
    /// A step in the handshake of a message.
    Ack(Ack<'a>),
    /// Asks for messages.
    Subscribe(Subscribe<'a>),
    /// Asks for no more of them.
    Unsubscribe(Unsubscribe<'a>),
    /// Asks whether anybody is there.
    PingRequest,
    /// The last one.
    Disconnect(Disconnect<'a>),
    /// A step of an authentication.
    Auth(Auth<'a>),
}

/// A packet of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerPacket<'a> {
    /// The first one.
    Connack(Connack<'a>),
    /// A message.
    Publish(Publish<'a>),
    /// A step in the handshake of a message.
    Ack(Ack<'a>),
    /// Answers a SUBSCRIBE.
    Suback(Suback<'a>),
    /// Answers an UNSUBSCRIBE.
    Unsuback(Unsuback<'a>),
    /// Somebody is there.
    PingResponse,
    /// The last one. Only in MQTT 5.
    Disconnect(Disconnect<'a>),
    /// A step of an authentication.
    Auth(Auth<'a>),
}

/// Reads a packet that a client has sent after its CONNECT.
///
/// # Errors
/// [`DecodeError`], whose reason goes into a DISCONNECT of MQTT 5.
#[inline]
pub fn decode<'a>(level: Level, frame: &Frame<'a>) -> Result<Packet<'a>, DecodeError> {
    let sender = Sender::Client;
    match frame.packet_type {
        PacketType::Publish => Publish::decode(level, frame, sender).map(Packet::Publish),
        PacketType::Subscribe => Subscribe::decode(level, frame).map(Packet::Subscribe),
        PacketType::Unsubscribe => Unsubscribe::decode(level, frame).map(Packet::Unsubscribe),
        PacketType::Pingreq => empty(frame, Packet::PingRequest),
        PacketType::Disconnect => Disconnect::decode(level, frame, sender).map(Packet::Disconnect),
        PacketType::Auth => Auth::decode(level, frame, sender).map(Packet::Auth),
        PacketType::Connect => Err(Protocol("a second CONNECT")),
        packet => match ack_kind(packet) {
            Some(kind) => Ack::decode(level, frame, kind, sender).map(Packet::Ack),
            None => Err(Protocol("a packet that only servers send")),
        },
    }
}

/// Reads a packet that a server has sent.
///
/// # Errors
/// [`DecodeError`], whose reason goes into a DISCONNECT of MQTT 5.
#[inline]
pub fn decode_from_server<'a>(level: Level, frame: &Frame<'a>) -> Result<ServerPacket<'a>, DecodeError> {
    let sender = Sender::Server;
    match frame.packet_type {
        PacketType::Publish => Publish::decode(level, frame, sender).map(ServerPacket::Publish),
        PacketType::Connack => Connack::decode(level, frame).map(ServerPacket::Connack),
        PacketType::Suback => Suback::decode(level, frame).map(ServerPacket::Suback),
        PacketType::Unsuback => Unsuback::decode(level, frame).map(ServerPacket::Unsuback),
        PacketType::Pingresp => empty(frame, ServerPacket::PingResponse),
        PacketType::Disconnect if !level.is_v5() => Err(Protocol("only clients send DISCONNECT in MQTT 3")),
        PacketType::Disconnect => Disconnect::decode(level, frame, sender).map(ServerPacket::Disconnect),
        PacketType::Auth => Auth::decode(level, frame, sender).map(ServerPacket::Auth),
        packet => match ack_kind(packet) {
            Some(kind) => Ack::decode(level, frame, kind, sender).map(ServerPacket::Ack),
            None => Err(Protocol("a packet that only clients send")),
        },
    }
}

fn ack_kind(packet: PacketType) -> Option<AckKind> {
    match packet {
        PacketType::Puback => Some(AckKind::Puback),
        PacketType::Pubrec => Some(AckKind::Pubrec),
        PacketType::Pubrel => Some(AckKind::Pubrel),
        PacketType::Pubcomp => Some(AckKind::Pubcomp),
        _ => None,
    }
}

fn empty<T>(frame: &Frame<'_>, packet: T) -> Result<T, DecodeError> {
    if frame.body.is_empty() { Ok(packet) } else { Err(Malformed("PINGREQ and PINGRESP have no body")) }
}

/// Appends a PINGREQ.
pub fn encode_ping_request(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PacketType::Pingreq.first(), 0]);
}

/// Appends a PINGRESP.
pub fn encode_ping_response(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PacketType::Pingresp.first(), 0]);
}
