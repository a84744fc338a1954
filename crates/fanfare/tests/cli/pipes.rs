//! `sub` and `pub` as parts of a pipe, against a server that is a script.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fanfare_websocket::handshake::{check_request, server_response};
use fanfare_websocket::{Decoder, Incoming, Limits, MessageKind, Role, encode_message};
use serde_json::{Value, json};

use crate::fanfare::{Done, Fanfare};

const LIMITS: Limits = Limits { frame_bytes_max: 1 << 20, message_bytes_max: 1 << 20 };
const DEADLINE: Duration = Duration::from_secs(20);

struct Peer {
    stream: TcpStream,
    decoder: Decoder,
    input: Vec<u8>,
}

impl Peer {
    fn say(&mut self, frame: Value) {
        let mut out = Vec::new();
        encode_message(&mut out, MessageKind::Text, frame.to_string().as_bytes());
        self.stream.write_all(&out).unwrap();
    }

    /// The next frame; `None` at the end.
    fn hear(&mut self) -> Option<Value> {
        loop {
            let (mut heard, mut at) = (None, 0);
            while at < self.input.len() && heard.is_none() {
                let decoded = self.decoder.decode(&mut self.input[at..], &LIMITS);
                let (consumed, incoming) = decoded.unwrap();
                if let Some(Incoming::Message { payload, .. }) = incoming {
                    heard = Some(serde_json::from_slice(payload).unwrap());
                }
                at += consumed;
            }
            self.input.drain(..at);
            if heard.is_some() {
                return heard;
            }
            let mut chunk = [0; 4_096];
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.input.extend_from_slice(&chunk[..length]),
            }
        }
    }
}

/// A server for one connection: welcomes it and lets `script` say the rest.
fn serve<T: Send + 'static>(script: impl FnOnce(Peer, Value) -> T + Send + 'static) -> (String, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let head: Vec<String> = lines.by_ref().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        let header = |name: &str| {
            let mut pairs = head.iter().filter_map(|line| line.split_once(": "));
            pairs.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        let accept = check_request(header).unwrap();
        let mut peer = Peer { stream, decoder: Decoder::new(Role::Server), input: Vec::new() };
        let response = server_response(&accept, None, None, &[]).unwrap();
        peer.stream.write_all(&response).unwrap();
        let hello = peer.hear().unwrap();
        peer.say(json!({"type": "welcome", "id": hello["id"], "ping_ms": 25_000, "resumed": []}));
        script(peer, hello)
    });
    (url, server)
}

fn confirm(peer: &mut Peer) -> Value {
    let request = peer.hear().unwrap();
    assert_eq!(request["type"], "subscribe");
    peer.say(json!({
        "type": "subscribed", "id": request["id"], "topic": request["topic"], "position": "a-0",
    }));
    request
}

#[test]
fn sub_prints_payloads_and_ends_after_count() {
    let (url, server) = serve(|mut peer, hello| {
        let request = confirm(&mut peer);
        let message =
            |offset: u64| json!({"type": "message", "topic": "t", "position": format!("a-{offset}"), "time": 1});
        for (offset, name, value) in [
            (1, "text", json!("héllo")),
            (2, "data", json!({"a": [1, null]})),
            (3, "base64", json!("/wA=")),
            (4, "text", json!("more")),
        ] {
            let mut message = message(offset);
            message[name] = value;
            peer.say(message);
        }
        (hello, request, peer)
    });
    let fanfare = Fanfare::new();
    let mut command = fanfare.command(&["sub", "t", "--count", "3", "--url", &url]);
    let output = command.env("FANFARE_TOKEN", "tok").output().unwrap();
    assert_eq!(output.stdout, b"h\xc3\xa9llo\n{\"a\":[1,null]}\n\xff\x00\n");
    let done = Done::from(output);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
    let (hello, request, _) = server.join().unwrap();
    assert_eq!(hello["token"], "tok");
    assert_eq!((&request["topic"], request.get("since")), (&json!("t"), None));
}

#[test]
fn sub_prints_whole_messages_on_request() {
    let (url, server) = serve(|mut peer, _| {
        confirm(&mut peer);
        peer.say(json!({
            "type": "message", "topic": "t", "position": "a-1", "time": 7, "text": "x", "from": "ada",
        }));
        peer.hear()
    });
    let done = Fanfare::new().run(&["sub", "t", "--json", "--count", "1", "--url", &url]);
    let message: Value = serde_json::from_str(&done.out).unwrap();
    let expected = json!({"topic": "t", "position": "a-1", "time": 7, "text": "x", "from": "ada"});
    assert_eq!((done.code, message), (Some(0), expected));
    server.join().unwrap();
}

#[test]
fn sub_ends_quietly_when_its_reader_goes() {
    let (url, server) = serve(|mut peer, _| {
        confirm(&mut peer);
        peer.say(json!({"type": "message", "topic": "t", "position": "a-1", "time": 1, "text": "x"}));
        // No further message comes: the closed pipe alone has to end it.
        while peer.hear().is_some() {}
    });
    let fanfare = Fanfare::new();
    let mut child = fanfare.start(&["sub", "t", "--url", &url]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "x\n");
    let started = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if started.elapsed() < DEADLINE => std::thread::yield_now(),
            None => panic!("still running"),
        }
    };
    assert_eq!(status.code(), Some(0));
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(err, "");
    server.join().unwrap();
}

#[test]
fn sub_says_in_one_line_why_it_is_refused() {
    let (url, server) = serve(|mut peer, _| {
        let request = peer.hear().unwrap();
        peer.say(json!({
            "type": "error", "id": request["id"], "code": "denied", "message": "not for you",
            "retry": false,
        }));
        peer.hear()
    });
    let done = Fanfare::new().run(&["sub", "a/+", "--url", &url]);
    assert_eq!((done.code, done.err.as_str()), (Some(1), "fanfare: denied: not for you\n"));
    server.join().unwrap();
}

fn acknowledge(mut peer: Peer) -> Vec<Value> {
    let mut heard = Vec::new();
    while let Some(frame) = peer.hear() {
        let offset = heard.len() + 1;
        let (id, position) = (&frame["id"], format!("a-{offset}"));
        peer.say(json!({"type": "published", "id": id, "position": position}));
        heard.push(frame);
    }
    heard
}

#[test]
fn pub_publishes_one_message_and_says_nothing() {
    let (url, server) = serve(|peer, _| acknowledge(peer));
    let arguments = ["pub", "t", "-5", "--retain", "--key", "k", "--space", "s", "--url", &url];
    let done = Fanfare::new().run(&arguments);
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (Some(0), "", ""), "{done:?}");
    let heard = server.join().unwrap();
    let expected = json!({
        "type": "publish", "id": heard[0]["id"], "topic": "t", "space": "s", "key": "k",
        "retain": true, "text": "-5",
    });
    assert_eq!(heard, [expected]);
}

#[test]
fn pub_publishes_each_line_of_its_input() {
    let (url, server) = serve(|peer, _| acknowledge(peer));
    let lines: String = (0..3_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let arguments = ["pub", "t", "-", "--json", "--url", &url];
    let done = Fanfare::new().run_with_input(&arguments, lines.as_bytes());
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    let heard = server.join().unwrap();
    let numbers: Vec<u64> = heard.iter().map(|f| f["data"]["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..3_000).collect::<Vec<_>>());
}

#[test]
fn pub_says_why_it_failed() {
    let fanfare = Fanfare::new();
    let done = fanfare.run(&["pub", "t", "{", "--json"]);
    assert_eq!(done.code, Some(2), "{done:?}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let done = fanfare.run(&["pub", "t", "x", "--url", &url]);
    assert_eq!(done.code, Some(1));
    assert_eq!(done.err.lines().count(), 1);
    assert!(done.err.starts_with("fanfare: cannot reach 127.0.0.1:"), "{done:?}");
}
