//! The part of the server that speaks MQTT. It grants what is asked for, acknowledges everything and
//! keeps sessions without what they missed.

use std::io::{Read, Write};
use std::net::TcpStream;

use fanfare_mqtt_codec::{
    Ack, AckKind, Connack, Level, Packet, PacketId, Publish, Qos, ReasonCode, ReasonCodes, Suback, decode,
    decode_connect, frame,
};
use parking_lot::Mutex;

use crate::server::{State, publish};

const PACKET_MAX: u32 = 1 << 20;

/// Ends without a word when the other side does.
pub(crate) fn converse(mut stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let (mut bytes, mut scratch, mut level) = (Vec::new(), vec![0; 64 << 10], None);
    loop {
        let count = stream.read(&mut scratch).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&scratch[..count]);
        let mut read = 0;
        while let Some(frame) = frame(&bytes[read..], PACKET_MAX as usize).unwrap() {
            read += frame.length;
            match level {
                None => {
                    let connect = decode_connect(&frame).unwrap();
                    assert_eq!(connect.password, Some(&b"secret"[..]));
                    level = Some(connect.level);
                    say(&mut stream, |out| {
                        Connack::new(false, ReasonCode::Success).encode(connect.level, PACKET_MAX, out)
                    })?;
                }
                Some(level) => hear(state, &mut stream, level, decode(level, &frame).unwrap())?,
            }
        }
        bytes.drain(..read);
    }
}

fn hear(state: &Mutex<State>, stream: &mut TcpStream, level: Level, packet: Packet<'_>) -> Option<()> {
    match packet {
        Packet::Subscribe(subscribe) => {
            let subscription = subscribe.subscriptions.iter().next()?;
            let granted = [ReasonCode::from_u8(subscription.options.qos.as_u8())?];
            let (packet_id, codes) = (subscribe.packet_id, ReasonCodes::new(&granted));
            // Nobody publishes between the answer and the subscription that it promises.
            let mut state = state.lock();
            say(stream, |out| {
                Suback { packet_id, codes, diagnostics: Default::default() }.encode(level, PACKET_MAX, out)
            })?;
            state.subscribers.push((subscription.filter.to_owned(), 0, stream.try_clone().ok()?));
        }
        Packet::Publish(received) => {
            if let Some(packet_id) = received.packet_id {
                let ack = Ack::new(AckKind::Puback, packet_id, ReasonCode::Success);
                say(stream, |out| ack.encode(level, PACKET_MAX, out))?;
            }
            let id = u16::try_from(state.lock().published % 60_000 + 1).ok().and_then(PacketId::new);
            let packet_id = id.filter(|_| received.qos > Qos::AtMostOnce);
            let mut whole = Vec::new();
            Publish { packet_id, ..received }.encode(level, PACKET_MAX, &mut whole).unwrap();
            publish(state, received.topic, &whole);
        }
        Packet::Disconnect(_) => return None,
        _ => {}
    }
    Some(())
}

fn say<E: std::fmt::Debug>(stream: &mut TcpStream, put: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Option<()> {
    let mut out = Vec::new();
    put(&mut out).unwrap();
    stream.write_all(&out).ok()
}
