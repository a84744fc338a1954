//! A small server of all dialects that can be told to misbehave.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use fanfare_load::DialectName;
use fanfare_websocket::{Decoder, Incoming, Limits, MessageKind, Role, encode_message, encode_ping, handshake};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{momento, mqtt};

/// The publish at which the fault shows, to one of the subscribers.
const FAULTY: u64 = 7;

/// What the server does wrong, once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    None,
    Loses,
    Repeats,
    Swaps,
    Damages,
    Closes,
    /// Answers two of the upgrades after the fourth with 503 and `Retry-After: 0`.
    Refuses,
    /// Says in its own words that something went wrong.
    Complains,
}

pub(crate) struct State {
    dialect: DialectName,
    fault: Fault,
    /// Topic and stream of each; only Momento has more than one stream on a connection.
    pub(crate) subscribers: Vec<(String, u32, TcpStream)>,
    pub(crate) published: u64,
    connections: u64,
    held: Option<Vec<u8>>,
}

/// Starts a server and gives its URL. It ends with the test.
pub(crate) fn start(dialect: DialectName, fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let state = State { dialect, fault, subscribers: Vec::new(), published: 0, connections: 0, held: None };
    let state = Arc::new(Mutex::new(state));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let state = Arc::clone(&state);
            thread::spawn(move || match dialect {
                DialectName::Mqtt => mqtt::converse(stream, &state),
                DialectName::Momento => momento::converse(stream, &state),
                _ => converse(stream, &state),
            });
        }
    });
    url
}

/// Ends without a word when the other side does.
fn converse(mut stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let head = read_head(&mut stream)?;
    let path = head.split(' ').nth(1)?.to_owned();
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))?;
    let (dialect, is_refused) = {
        let mut state = state.lock();
        state.connections += 1;
        (state.dialect, state.fault == Fault::Refuses && matches!(state.connections, 6 | 8))
    };
    if is_refused {
        let refusal = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
        return stream.write_all(refusal.as_bytes()).ok();
    }
    let response = handshake::server_response(&handshake::accept_key(key), None, None, &[]).ok()?;
    let mut greeting = response;
    encode_ping(&mut greeting, b"there?");
    if dialect == DialectName::Bun && !path.ends_with("?publisher") {
        // Nobody publishes between the answer and the subscription that it promises.
        let mut state = state.lock();
        stream.write_all(&greeting).ok()?;
        state.subscribers.push((path.clone(), 0, stream.try_clone().ok()?));
    } else {
        stream.write_all(&greeting).ok()?;
    }
    let limits = Limits { frame_bytes_max: 1 << 20, message_bytes_max: 1 << 20 };
    let mut decoder = Decoder::new(Role::Server);
    let mut bytes = vec![0; 64 << 10];
    loop {
        let count = stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
        let mut input = &mut bytes[..count];
        while !input.is_empty() {
            let (consumed, incoming) = decoder.decode(input, &limits).ok()?;
            if let Some(Incoming::Message { payload, .. }) = incoming {
                match dialect {
                    DialectName::Bun => publish(state, path.trim_end_matches("?publisher"), &text_frame(payload)),
                    _ => native(state, &mut stream, payload)?,
                }
            }
            input = &mut input[consumed..];
        }
    }
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

fn native(state: &Mutex<State>, stream: &mut TcpStream, text: &[u8]) -> Option<()> {
    let frame: Value = serde_json::from_slice(text).unwrap();
    let topic = frame["topic"].as_str().unwrap_or_default();
    let say = |stream: &mut TcpStream, reply: Value| {
        let mut out = Vec::new();
        encode_message(&mut out, MessageKind::Text, reply.to_string().as_bytes());
        stream.write_all(&out).ok()
    };
    match frame["type"].as_str()? {
        "connect" => {
            assert_eq!(frame["token"], "secret");
            say(stream, json!({"type": "welcome", "id": frame["id"], "reconnect_spread_ms": 50}))
        }
        "subscribe" => {
            assert_eq!(frame["space"], "arena");
            // Nobody publishes between the answer and the subscription that it promises.
            let mut state = state.lock();
            say(stream, json!({"type": "subscribed", "id": frame["id"], "topic": topic, "position": "a-0"}))?;
            state.subscribers.push((topic.to_owned(), 0, stream.try_clone().ok()?));
            Some(())
        }
        "publish" => {
            let position = format!("a-{}", state.lock().published);
            let message = json!({"type": "message", "topic": topic, "position": position, "text": frame["text"]});
            // In the order of the protocol's table; `json!` sorts by name.
            let text = message.to_string().replace("\"type\":\"message\"", "\"time\":1");
            publish(state, topic, &text_frame(text.replacen('{', "{\"type\":\"message\",", 1).as_bytes()));
            Some(())
        }
        _ => None,
    }
}

fn text_frame(text: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_message(&mut frame, MessageKind::Text, text);
    frame
}

/// Sends `whole`, a frame or packet, to all subscribers; the fault shows at one of them.
pub(crate) fn publish(state: &Mutex<State>, topic: &str, whole: &[u8]) {
    let mut state = state.lock();
    state.published += 1;
    let is_faulty = state.published == FAULTY;
    let (fault, held) = (state.fault, state.held.take());
    let mut strange = held.map_or_else(|| whole.to_vec(), |held| [whole, &held[..]].concat());
    match fault {
        _ if !is_faulty => {}
        Fault::Loses => strange.clear(),
        Fault::Repeats => strange.extend_from_slice(whole),
        Fault::Damages => {
            let place = strange.iter().rposition(|byte| *byte == b'~').unwrap_or(0) + 40;
            strange[place] ^= 1;
        }
        Fault::Swaps => {
            state.held = Some(whole.to_vec());
            strange.clear();
        }
        Fault::Closes if state.dialect == DialectName::Mqtt => strange = vec![0xe0, 2, 0x8b, 0],
        Fault::Closes if state.dialect == DialectName::Momento => strange = momento::GOAWAY.to_vec(),
        Fault::Closes => strange = vec![0x88, 2, 3, 0xf4],
        Fault::Complains => {
            strange = text_frame(br#"{"type":"gap","topic":"t","position":"a-1"}"#);
        }
        Fault::None | Fault::Refuses => {}
    }
    let mut chosen = true;
    let dialect = state.dialect;
    state.subscribers.retain_mut(|(subscribed, id, stream)| {
        if subscribed != topic {
            return true;
        }
        let bytes = if std::mem::take(&mut chosen) { &strange[..] } else { whole };
        match dialect {
            DialectName::Momento => stream.write_all(&momento::address(bytes, *id)).is_ok(),
            _ => stream.write_all(bytes).is_ok(),
        }
    });
}
