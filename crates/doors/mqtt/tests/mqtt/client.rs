//! A client that blocks, over TCP or WebSocket.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use fanfare_mqtt::MqttDoor;
use fanfare_testkit::{TestServer, TestServerOptions};
use fanfare_websocket::{Decoder, Incoming, Limits, MessageKind, Role, encode_message_masked, handshake};

use crate::wire::{self, Hello};

pub(crate) const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A server with this door.
pub(crate) fn server(options: TestServerOptions) -> TestServer {
    TestServer::start(TestServerOptions { doors: vec![Arc::new(MqttDoor)], ..options }).unwrap()
}

/// How the bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Tcp,
    WebSocket,
}

pub(crate) const BOTH: [Over; 2] = [Over::Tcp, Over::WebSocket];

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Connack(u8),
    Message {
        topic: String,
        payload: Vec<u8>,
        is_retained: bool,
    },
    Suback(u16, Vec<u8>),
    Unsuback(u16),
    Pong,
    /// The connection has ended; with the close code over WebSocket.
    End(Option<u16>),
}

pub(crate) fn message(topic: &str, payload: &str) -> Heard {
    Heard::Message { topic: topic.into(), payload: payload.into(), is_retained: false }
}

pub(crate) fn retained(topic: &str, payload: &str) -> Heard {
    Heard::Message { topic: topic.into(), payload: payload.into(), is_retained: true }
}

pub(crate) struct Client {
    socket: TcpStream,
    decoder: Option<Decoder>,
    inbox: Vec<u8>,
    close_code: Option<u16>,
}

impl Client {
    /// Connects the link and says nothing yet.
    pub(crate) fn open(address: SocketAddr, over: Over) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.set_nodelay(true).unwrap();
        let decoder = (over == Over::WebSocket).then(|| Decoder::new(Role::Client));
        let mut client = Self { socket, decoder, inbox: Vec::new(), close_code: None };
        if over == Over::WebSocket {
            assert_eq!(client.upgrade(&["mqtt"]).as_deref(), Some("mqtt"));
        }
        client
    }

    /// Connects the link for a WebSocket with these subprotocols; says which was chosen.
    pub(crate) fn open_websocket(address: SocketAddr, subprotocols: &[&str]) -> (Self, Option<String>) {
        let mut client = Self::open(address, Over::Tcp);
        client.decoder = Some(Decoder::new(Role::Client));
        let chosen = client.upgrade(subprotocols);
        (client, chosen)
    }

    /// Connects and is let in.
    pub(crate) fn connect(address: SocketAddr, over: Over, hello: &Hello) -> Self {
        let mut client = Self::open(address, over);
        client.send(&hello.bytes());
        assert_eq!(client.hear(), Heard::Connack(0), "{over:?}");
        client
    }

    fn upgrade(&mut self, subprotocols: &[&str]) -> Option<String> {
        let key = handshake::make_key([7; 16]);
        let request = handshake::client_request("localhost", "/mqtt", &key, subprotocols, None, &[]).unwrap();
        self.socket.write_all(request.as_ref()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol")).map(|(_, value)| value.into())
    }

    /// Bytes in one piece: one TCP write, or one binary message.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if self.decoder.is_none() {
            return self.socket.write_all(bytes).unwrap();
        }
        self.send_message(MessageKind::Binary, bytes);
    }

    pub(crate) fn send_message(&mut self, kind: MessageKind, payload: &[u8]) {
        let mut out = Vec::new();
        encode_message_masked(&mut out, kind, payload, MASK);
        self.socket.write_all(&out).unwrap();
    }

    pub(crate) fn subscribe(&mut self, filters: &[&str]) -> Vec<u8> {
        self.send(&wire::subscribe(9, filters));
        match self.hear() {
            Heard::Suback(9, codes) => codes,
            other => panic!("{other:?} instead of SUBACK"),
        }
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &str) {
        self.send(&wire::publish(topic, payload.as_bytes(), false, 0));
    }

    /// The next packet.
    pub(crate) fn hear(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.take_packet() {
                return heard;
            }
            let mut buffer = [0; 4_096];
            match self.socket.read(&mut buffer) {
                Ok(0) => return Heard::End(self.close_code),
                Ok(count) => self.take_bytes(&mut buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Heard::End(self.close_code),
                Err(error) => panic!("nothing more was heard: {error}"),
            }
        }
    }

    fn take_bytes(&mut self, bytes: &mut [u8]) {
        let Some(decoder) = &mut self.decoder else { return self.inbox.extend_from_slice(bytes) };
        let limits = Limits { frame_bytes_max: 4 << 20, message_bytes_max: 4 << 20 };
        let mut input = bytes;
        while !input.is_empty() {
            let (consumed, incoming) = decoder.decode(input, &limits).unwrap();
            match incoming {
                Some(Incoming::Message { kind, payload }) => {
                    assert_eq!(kind, MessageKind::Binary);
                    self.inbox.extend_from_slice(payload);
                }
                Some(Incoming::Close { code, .. }) => {
                    self.close_code = code.map(|code| code.get());
                    let mut out = Vec::new();
                    fanfare_websocket::encode_close_masked(&mut out, fanfare_websocket::CloseCode(1000), "", MASK);
                    // The server may be gone already.
                    let _ = self.socket.write_all(&out);
                }
                _ => {}
            }
            input = &mut input[consumed..];
        }
    }

    fn take_packet(&mut self) -> Option<Heard> {
        let (&first, rest) = self.inbox.split_first()?;
        let mut length = 0;
        let width = rest.iter().position(|byte| byte & 0x80 == 0)? + 1;
        for (index, byte) in rest[..width].iter().enumerate() {
            length |= usize::from(byte & 0x7F) << (7 * index);
        }
        let body = rest.get(width..width + length)?;
        let id = || u16::from_be_bytes([body[0], body[1]]);
        let heard = match first {
            0x20 => {
                assert_eq!((body.len(), body[0]), (2, 0));
                Heard::Connack(body[1])
            }
            0x30 | 0x31 => {
                let (topic, payload) = body[2..].split_at(usize::from(id()));
                let topic = String::from_utf8(topic.to_vec()).unwrap();
                Heard::Message { topic, payload: payload.to_vec(), is_retained: first == 0x31 }
            }
            0x90 => Heard::Suback(id(), body[2..].to_vec()),
            0xB0 => Heard::Unsuback(id()),
            0xD0 => Heard::Pong,
            other => panic!("a server does not send {other:#x}"),
        };
        self.inbox.drain(..1 + width + length);
        Some(heard)
    }

    /// Nothing but the answer to a ping is on its way.
    pub(crate) fn hears_nothing(&mut self) {
        self.send(&wire::PING);
        assert_eq!(self.hear(), Heard::Pong);
    }
}
