//! Upgrades that a door decides later, and sessions that panic.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use fanfare_core::Millis;
use fanfare_door::{
    Arrival, Door, DriverLimits, Goodbye, Happening, Mounts, Opening, Outgoing, Reply, Session, Shape, Turn,
    WebSocketMount,
};
use fanfare_testkit::{TestServer, TestServerOptions};
use fanfare_websocket::MessageKind;

/// Asks a task before it decides about an upgrade: `/later?yes`, `/later?no`, or never.
struct LaterDoor;

enum Later {
    Undecided { answer: String },
    Open,
}

impl Door for LaterDoor {
    fn name(&self) -> &'static str {
        "later"
    }

    fn mounts(&self) -> Mounts {
        let mount = WebSocketMount { path: "/later", subprotocols: &["later.v1"], sends: MessageKind::Text };
        Mounts { websockets: vec![mount], ..Mounts::default() }
    }

    fn open(&self, arrival: &Arrival<'_>, turn: &mut Turn<'_>) -> Opening {
        let answer = arrival.head.map(|head| head.query.clone()).unwrap_or_default();
        let id = turn.connection().text(&turn.gateway().node);
        let asked = answer.clone();
        let answered = turn.ask(1, async move {
            if asked == "never" {
                std::future::pending::<()>().await;
            }
            id
        });
        assert!(answered.is_ok());
        Opening::Pending(Box::new(Later::Undecided { answer }))
    }

    fn encode(&self, _outgoing: Outgoing<'_>, _shape: Shape, _now: Millis, _out: &mut Vec<u8>) {}
}

impl Session for Later {
    fn handle(&mut self, happening: Happening<'_>, turn: &mut Turn<'_>) {
        match (happening, &self) {
            (Happening::Answer(1, Reply::Value(id)), Self::Undecided { answer }) => {
                let own = turn.connection().text(&turn.gateway().node);
                assert_eq!(id.downcast_ref::<String>(), Some(&own), "the id is known before the connection is up");
                if answer == "yes" {
                    *self = Self::Open;
                    turn.accept();
                } else {
                    turn.refuse(402, &[("X-Why", "no".to_owned())], b"{\"code\":\"no\"}");
                }
            }
            (Happening::Opened, Self::Open) => turn.send(|out| out.extend_from_slice(b"up")),
            (Happening::Text("panic"), Self::Open) => panic!("a door that panics"),
            (Happening::Text(text), Self::Open) => {
                let reason = text.to_owned();
                turn.close(Goodbye::Session { code: 4_000, reason });
            }
            _ => {}
        }
    }
}

fn server() -> TestServer {
    let limits = DriverLimits { upgrade_timeout_ms: 300, ..DriverLimits::default() };
    TestServer::start(TestServerOptions { doors: vec![Arc::new(LaterDoor)], limits, ..TestServerOptions::default() })
        .unwrap()
}

/// Sends an upgrade with an early text frame behind it.
fn upgrade(server: &TestServer, query: &str, early: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = format!(
        "GET /later?{query} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: x, later.v1\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), &text_frame(early)].concat()).unwrap();
    stream
}

/// A masked text frame (RFC 6455, 5.2); nothing for no payload.
fn text_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    if !payload.is_empty() {
        fanfare_websocket::encode_message_masked(&mut frame, MessageKind::Text, payload, [1, 2, 3, 4]);
    }
    frame
}

fn read_all(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset after the last byte is an end too.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn an_upgrade_that_is_accepted_later_keeps_what_came_early() {
    let server = server();
    let mut stream = upgrade(&server, "yes", b"bye");
    let mut close = Vec::new();
    fanfare_websocket::encode_close_masked(&mut close, fanfare_websocket::CloseCode(4_000), "", [1, 2, 3, 4]);
    stream.write_all(&close).unwrap();
    let answer = read_all(stream);
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(
        answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            && answer.to_lowercase().contains("sec-websocket-protocol: later.v1")
    );
    let (up, bye) = (answer.find("\u{2}up"), answer.rfind("bye"));
    assert!(up.is_some() && up < bye, "{answer}");
}

#[test]
fn an_upgrade_that_is_refused_later_gets_the_doors_own_response() {
    let server = server();
    let answer = read_all(upgrade(&server, "no", b""));
    assert!(answer.starts_with("HTTP/1.1 402 Payment Required\r\n") && answer.contains("X-Why: no\r\n"), "{answer}");
    assert!(answer.ends_with("{\"code\":\"no\"}"), "{answer}");
}

#[test]
fn an_upgrade_that_is_never_decided_ends() {
    let server = server();
    let answer = read_all(upgrade(&server, "never", b""));
    assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains("upgrade_timeout"), "{answer}");
}

#[test]
fn a_session_that_panics_takes_nobody_with_it() {
    let server = server();
    let other = upgrade(&server, "yes", b"");
    let mut doomed = upgrade(&server, "yes", b"");
    let mut answer = Vec::new();
    while !answer.ends_with(b"up") {
        let mut byte = [0];
        doomed.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    doomed.write_all(&text_frame(b"panic")).unwrap();
    assert_eq!(read_all(doomed), "", "its connection ends");
    (&other).write_all(&text_frame(b"still here")).unwrap();
    let mut close = Vec::new();
    fanfare_websocket::encode_close_masked(&mut close, fanfare_websocket::CloseCode(4_000), "", [1, 2, 3, 4]);
    (&other).write_all(&close).unwrap();
    assert!(read_all(other).contains("still here"));
}
