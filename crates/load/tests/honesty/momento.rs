//! The part of the server that speaks Momento Topics: HTTP/2 without flow control, for a client that
//! writes its headers plainly and reads none.

use std::io::{Read, Write};
use std::net::TcpStream;

use parking_lot::Mutex;

use crate::server::{State, publish};

const HEAD_BYTES: usize = 9;
const PREFACE_BYTES: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// GOAWAY without a reason.
pub(crate) const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const HEARTBEAT: [u8; 7] = [0, 0, 0, 0, 2, 0x1a, 0];
const DISCONTINUITY: [u8; 9] = [0, 0, 0, 0, 4, 0x12, 2, 0x10, 1];

/// Ends without a word when the other side does.
pub(crate) fn converse(mut stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut preface = [0; PREFACE_BYTES];
    stream.read_exact(&mut preface).ok()?;
    assert!(preface.starts_with(b"PRI * HTTP/2.0"));
    // At most 100 streams at once, and a question.
    let settings = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
    stream.write_all(&[settings, frame(PING, 0, 0, b"are you?")].concat()).ok()?;
    let mut is_publish = false;
    loop {
        let mut head = [0; HEAD_BYTES];
        stream.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).ok()?;
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        match head[3] {
            HEADERS => {
                assert!(has(&payload, b"authorization\x06secret"));
                is_publish = has(&payload, b"/cache_client.pubsub.Pubsub/Publish");
                assert!(is_publish || has(&payload, b"/cache_client.pubsub.Pubsub/Subscribe"));
            }
            DATA => hear(state, &mut stream, id, is_publish, &payload)?,
            _ => {}
        }
    }
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn hear(state: &Mutex<State>, stream: &mut TcpStream, id: u32, is_publish: bool, body: &[u8]) -> Option<()> {
    let (cache, rest) = field(&body[5..]);
    let (topic, value) = field(rest);
    assert_eq!(cache, b"arena");
    let topic = String::from_utf8(topic.to_vec()).unwrap();
    if !is_publish {
        // Nobody publishes between the answer and the subscription that it promises.
        let mut state = state.lock();
        let begin = [HEARTBEAT.as_slice(), &DISCONTINUITY].concat();
        stream.write_all(&[frame(HEADERS, END_HEADERS, id, &[0x88]), frame(DATA, 0, id, &begin)].concat()).ok()?;
        state.subscribers.push((topic, id, stream.try_clone().ok()?));
        return Some(());
    }
    let end = frame(HEADERS, END_HEADERS | END_STREAM, id, &[]);
    stream.write_all(&[frame(HEADERS, END_HEADERS, id, &[0x88]), frame(DATA, 0, id, &[0; 5]), end].concat()).ok()?;
    let number = u8::try_from(state.lock().published + 1).unwrap();
    let mut item = vec![0x08, number];
    item.push(0x12);
    // What was field 3 of the request is field 2 of the item, with its length.
    item.extend_from_slice(&value[1..]);
    let mut message = vec![0, 0, 0, 0, 0, 0x0a];
    put_length(&mut message, item.len());
    message.extend_from_slice(&item);
    message[4] = u8::try_from(message.len() - 5).unwrap();
    publish(state, &topic, &frame(DATA, 0, id, &message));
    Some(())
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    if length >= 0x80 {
        out.push(length as u8 | 0x80);
    }
    out.push((length >> if length >= 0x80 { 7 } else { 0 }) as u8);
}

/// A field of less than 128 bytes, and what follows.
fn field(message: &[u8]) -> (&[u8], &[u8]) {
    message[2..].split_at(usize::from(message[1]))
}

fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&id.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Gives data frames, however many, to another stream.
pub(crate) fn address(frames: &[u8], id: u32) -> Vec<u8> {
    let (mut bytes, mut start) = (frames.to_vec(), 0);
    while start + HEAD_BYTES <= bytes.len() {
        let length = u32::from_be_bytes([0, bytes[start], bytes[start + 1], bytes[start + 2]]) as usize;
        if bytes[start + 3] == DATA {
            bytes[start + 5..start + HEAD_BYTES].copy_from_slice(&id.to_be_bytes());
        }
        start += HEAD_BYTES + length;
    }
    bytes
}
