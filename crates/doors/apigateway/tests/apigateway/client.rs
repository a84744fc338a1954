//! A WebSocket client and an HTTP client, as small as tests need.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use fanfare_testkit::TestServer;
use fanfare_websocket::{
    CloseCode, Decoder, Incoming, Limits, MessageKind, Role, encode_close_masked, encode_message_masked,
    encode_ping_masked, handshake,
};
use serde_json::Value;

const MASK: [u8; 4] = [1, 2, 3, 4];
const LIMITS: Limits = Limits { frame_bytes_max: 1 << 20, message_bytes_max: 1 << 20 };

/// A response without a body that matters, or with one.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What comes from the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Close(Option<u16>, String),
    Pong,
    /// The link has ended.
    End,
}

pub(crate) struct Client {
    socket: TcpStream,
    decoder: Decoder,
    inbox: Vec<u8>,
}

fn dial(server: &TestServer) -> TcpStream {
    let socket = TcpStream::connect(server.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// Reads a head, and gives its status and headers.
fn head(socket: &mut TcpStream) -> (u16, Vec<(String, String)>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let headers = head.lines().filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned()));
    (status, headers.collect())
}

impl Client {
    /// Upgrades with these further headers, or is answered something else.
    pub(crate) fn try_open(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Result<(Self, Reply), Reply> {
        Self::upgrade(server, "localhost", path, headers)
    }

    fn upgrade(server: &TestServer, host: &str, path: &str, headers: &[(&str, &str)]) -> Result<(Self, Reply), Reply> {
        let mut socket = dial(server);
        let key = handshake::make_key([7; 16]);
        let request = handshake::client_request(host, path, &key, &[], None, headers).unwrap();
        socket.write_all(request.as_ref()).unwrap();
        let (status, headers) = head(&mut socket);
        let mut reply = Reply { status, headers, body: String::new() };
        if status == 101 {
            return Ok((Self { socket, decoder: Decoder::new(Role::Client), inbox: Vec::new() }, reply));
        }
        reply.body = body(&mut socket, &reply);
        Err(reply)
    }

    pub(crate) fn open(server: &TestServer) -> Self {
        Self::open_at(server, "/dev")
    }

    /// Opens with this `Host`.
    pub(crate) fn open_as(server: &TestServer, host: &str) -> Self {
        Self::upgrade(server, host, "/dev", &[]).unwrap_or_else(|reply| panic!("{reply:?}")).0
    }

    pub(crate) fn open_at(server: &TestServer, path: &str) -> Self {
        Self::try_open(server, path, &[]).unwrap_or_else(|reply| panic!("{reply:?}")).0
    }

    pub(crate) fn text(&mut self, text: &str) {
        let mut out = Vec::new();
        encode_message_masked(&mut out, MessageKind::Text, text.as_bytes(), MASK);
        self.socket.write_all(&out).unwrap();
    }

    pub(crate) fn binary(&mut self, bytes: &[u8]) {
        let mut out = Vec::new();
        encode_message_masked(&mut out, MessageKind::Binary, bytes, MASK);
        self.socket.write_all(&out).unwrap();
    }

    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        let mut out = Vec::new();
        encode_close_masked(&mut out, CloseCode(code), reason, MASK);
        self.socket.write_all(&out).unwrap();
    }

    pub(crate) fn hear(&mut self) -> Heard {
        loop {
            let mut taken = 0;
            let mut heard = None;
            while heard.is_none() && taken < self.inbox.len() {
                let (consumed, incoming) = self.decoder.decode(&mut self.inbox[taken..], &LIMITS).unwrap();
                heard = incoming.map(|incoming| match incoming {
                    Incoming::Message { kind: MessageKind::Text, payload } => {
                        Heard::Text(String::from_utf8(payload.to_vec()).unwrap())
                    }
                    Incoming::Message { payload, .. } => Heard::Binary(payload.to_vec()),
                    Incoming::Close { code, reason } => Heard::Close(code.map(CloseCode::get), reason.to_owned()),
                    _ => Heard::Pong,
                });
                taken += consumed;
                if consumed == 0 {
                    break;
                }
            }
            self.inbox.drain(..taken);
            if let Some(heard) = heard {
                return heard;
            }
            let mut buffer = [0; 16_384];
            match self.socket.read(&mut buffer) {
                Ok(0) => return Heard::End,
                Ok(count) => self.inbox.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Heard::End,
                Err(error) => panic!("nothing more was heard: {error}"),
            }
        }
    }

    pub(crate) fn hear_text(&mut self) -> String {
        match self.hear() {
            Heard::Text(text) => text,
            other => panic!("{other:?} instead of text"),
        }
    }

    pub(crate) fn hear_json(&mut self) -> Value {
        serde_json::from_str(&self.hear_text()).unwrap()
    }

    /// Nothing but the answer to a ping is on its way.
    pub(crate) fn hears_nothing(&mut self) {
        let mut out = Vec::new();
        encode_ping_masked(&mut out, b"", MASK);
        self.socket.write_all(&out).unwrap();
        assert_eq!(self.hear(), Heard::Pong);
    }
}

fn body(socket: &mut TcpStream, reply: &Reply) -> String {
    let length = reply.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    socket.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

/// One request on a connection of its own.
pub(crate) fn request(server: &TestServer, method: &str, path: &str, bytes: &[u8]) -> Reply {
    let mut socket = dial(server);
    let length = bytes.len();
    let text =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    socket.write_all(text.as_bytes()).unwrap();
    // A server that has refused already need not read on.
    let _ = socket.write_all(bytes);
    let (status, headers) = head(&mut socket);
    let mut reply = Reply { status, headers, body: String::new() };
    reply.body = body(&mut socket, &reply);
    reply
}
