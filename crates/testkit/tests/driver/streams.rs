//! Byte streams: holding input, tracked messages, hearing that all was sent, and last words.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use fanfare_core::{Filter, Grant, Millis, Principal, Since};
use fanfare_door::{
    Arrival, ConnectionId, Door, Goodbye, Happening, Mounts, Opening, Outgoing, Session, Shape, StreamMount,
    SubscribeRequest, Turn,
};
use fanfare_testkit::{TestServer, TestServerOptions, eventually};

/// Each byte that comes is something to do, and what happens is said in words.
struct WordsDoor;

#[derive(Default)]
struct Words {
    is_holding: bool,
}

const FIRST: u8 = 0x10;
const MUCH: usize = 4 << 20;

impl Door for WordsDoor {
    fn name(&self) -> &'static str {
        "words"
    }

    fn mounts(&self) -> Mounts {
        Mounts { streams: vec![StreamMount { first_byte: FIRST }], ..Mounts::default() }
    }

    fn open(&self, _arrival: &Arrival<'_>, _turn: &mut Turn<'_>) -> Opening {
        Opening::Accept(Box::new(Words::default()))
    }

    fn encode(&self, outgoing: Outgoing<'_>, _shape: Shape, _now: Millis, out: &mut Vec<u8>) {
        if let Outgoing::Message(message) = outgoing {
            out.extend_from_slice(b"encoded:");
            out.extend_from_slice(&message.payload);
            out.push(b';');
        }
    }
}

fn say(turn: &mut Turn<'_>, text: &str) {
    turn.send(|out| {
        out.extend_from_slice(text.as_bytes());
        out.push(b';');
    });
}

fn subscribe(turn: &mut Turn<'_>, filter: &str, is_tracked: bool) {
    let (space, filter) = ("default".into(), Filter::new(filter).unwrap());
    let request = SubscribeRequest { space, filter, since: Since::Now, wants_presence: false, is_tracked };
    let subscribed = turn.subscribe(request).unwrap();
    say(turn, &format!("{}:{}", if is_tracked { "tracked" } else { "shared" }, subscribed.id));
    turn.begin(subscribed.replay);
}

impl Session for Words {
    fn handle(&mut self, happening: Happening<'_>, turn: &mut Turn<'_>) {
        match happening {
            Happening::Opened => turn.set_principal(Arc::new(Principal::anonymous(Grant::everything()))),
            Happening::Bytes(bytes) => {
                let mut used = 0;
                while used < bytes.len() && !self.is_holding {
                    self.act(bytes[used], turn);
                    used += 1;
                }
                turn.consumed(used);
            }
            Happening::Timer(1) => {
                self.is_holding = false;
                say(turn, "taking");
                turn.take_input();
            }
            Happening::Timer(_) => bye(turn),
            Happening::Clear => say(turn, "clear"),
            Happening::Told(what) => {
                let text = what.downcast::<String>().map_or_else(|_| "something".to_owned(), |text| *text);
                say(turn, &format!("told:{text}"));
            }
            Happening::Delivery { subscriptions, message, is_retained } => {
                let mut numbers = subscriptions.to_vec();
                numbers.sort_unstable();
                let payload = String::from_utf8_lossy(&message.payload).into_owned();
                let kind = if is_retained { "retained" } else { "message" };
                say(turn, &format!("{kind}:{payload}:{numbers:?}"));
            }
            _ => {}
        }
    }
}

fn bye(turn: &mut Turn<'_>) {
    say(turn, "bye");
    turn.close(Goodbye::Session { code: 1000, reason: String::new() });
}

impl Words {
    fn act(&mut self, what: u8, turn: &mut Turn<'_>) {
        match what {
            b'i' => say(turn, &turn.connection().text("test")),
            b'h' => {
                self.is_holding = true;
                turn.hold_input();
                say(turn, "holding");
                turn.set_timer(1, 300);
            }
            b'H' => {
                self.is_holding = true;
                turn.hold_input();
                turn.set_timer(2, 100);
            }
            b's' => subscribe(turn, "t", true),
            b'+' => subscribe(turn, "+", true),
            b'e' => subscribe(turn, "#", false),
            b'T' => (0..3).for_each(|number| turn.track(number)),
            b'c' => turn.tell_when_clear(),
            b'm' => turn.send(|out| out.resize(out.len() + MUCH, b'.')),
            b'q' => bye(turn),
            b'.' | FIRST => {}
            other => say(turn, &char::from(other).to_string()),
        }
    }
}

struct Client(TcpStream);

impl Client {
    fn connect(server: &TestServer) -> Self {
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut client = Self(stream);
        client.send(&[FIRST]);
        client
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Up to the next `;`.
    fn hear(&mut self) -> String {
        let mut text = Vec::new();
        loop {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            if byte[0] == b';' {
                return String::from_utf8(text).unwrap();
            }
            text.push(byte[0]);
        }
    }
}

fn start() -> TestServer {
    let options = TestServerOptions { doors: vec![Arc::new(WordsDoor)], ..TestServerOptions::default() };
    TestServer::start(options).unwrap()
}

fn publish(server: &TestServer, topic: &str, text: &str, retain: bool) {
    let mut publication = server.gateway.text(topic, text.into()).unwrap();
    publication.retain = retain;
    let principal = Principal::anonymous(Grant::everything());
    server.gateway.core.publish(&principal, publication, None, 1, None).unwrap();
}

#[test]
fn input_that_is_held_waits_and_is_taken_up_again() {
    let server = start();
    let mut client = Client::connect(&server);
    // What stood in the same read waits, and what comes later; nothing is sent to wake it.
    client.send(b"ah b");
    assert_eq!([client.hear(), client.hear()], ["a", "holding"]);
    client.send(b"d");
    assert_eq!([client.hear(), client.hear(), client.hear(), client.hear()], ["taking", " ", "b", "d"]);
}

#[test]
fn a_peer_whose_input_is_held_comes_to_a_stop() {
    let server = start();
    let mut client = Client::connect(&server);
    client.send(b"h");
    assert_eq!(client.hear(), "holding");
    client.0.set_nonblocking(true).unwrap();
    let piece = vec![b'.'; 1 << 20];
    let mut sent = 0;
    let stopped = eventually(|| match (&client.0).write(&piece) {
        Ok(count) => {
            sent += count;
            (sent > 256 << 20).then_some(false)
        }
        Err(_) => Some(true),
    });
    assert_eq!(stopped, Some(true), "{sent} bytes were taken");
    client.0.set_nonblocking(false).unwrap();
    assert_eq!(client.hear(), "taking");
    client.send(b"z");
    assert_eq!(client.hear(), "z", "everything before it was read");
}

#[test]
fn a_tracked_message_comes_once_with_all_its_subscriptions() {
    let server = start();
    let mut client = Client::connect(&server);
    client.send(b"s+");
    assert_eq!([client.hear(), client.hear()], ["tracked:0", "tracked:1"]);
    publish(&server, "t", "both", false);
    publish(&server, "u", "one", false);
    publish(&server, "t", "again", false);
    let heard = [client.hear(), client.hear(), client.hear()];
    assert_eq!(heard, ["message:both:[0, 1]", "message:one:[1]", "message:again:[0, 1]"]);
}

#[test]
fn a_subscription_can_be_tracked_later() {
    let server = start();
    let mut client = Client::connect(&server);
    client.send(b"e");
    assert_eq!(client.hear(), "shared:0");
    publish(&server, "t", "1", false);
    assert_eq!(client.hear(), "encoded:1");
    client.send(b"Tx");
    assert_eq!(client.hear(), "x");
    publish(&server, "t", "2", false);
    assert_eq!(client.hear(), "message:2:[0]");
}

#[test]
fn retained_messages_are_told_apart() {
    let server = start();
    publish(&server, "t", "kept", true);
    let mut client = Client::connect(&server);
    client.send(b"s");
    assert_eq!([client.hear(), client.hear()], ["tracked:0", "retained:kept:[0]"]);
    publish(&server, "t", "live", true);
    assert_eq!(client.hear(), "message:live:[0]");
}

#[test]
fn who_asks_hears_when_everything_has_left() {
    let server = start();
    let mut client = Client::connect(&server);
    client.send(b"cc");
    assert_eq!(client.hear(), "clear", "once, however often it was asked");
    client.send(b"xmcy");
    assert_eq!(client.hear(), "x");
    let rest = client.hear();
    assert_eq!((rest.len(), rest.trim_start_matches('.')), (MUCH + 1, "y"), "not while something waits");
    assert_eq!(client.hear(), "clear");
}

#[test]
fn other_threads_can_tell_a_session_something() {
    let server = start();
    let mut client = Client::connect(&server);
    client.send(b"i");
    let id = ConnectionId::parse(&client.hear(), "test").unwrap();
    server.gateway.tell(id, Box::new("hello".to_owned()));
    server.gateway.tell(id, Box::new(7_u8));
    assert_eq!([client.hear(), client.hear()], ["told:hello", "told:something"]);
    drop(client);
    assert_eq!(eventually(|| (server.gateway.connection_count() == 0).then_some(())), Some(()));
    // Nobody hears it, and nothing happens.
    server.gateway.tell(id, Box::new("too late".to_owned()));
}

#[test]
fn last_words_reach_a_peer_that_still_sends() {
    for how in [b"q".as_slice(), b"H"] {
        let server = start();
        let mut client = Client::connect(&server);
        client.send(how);
        // Were the link closed with this unread, it would be reset, and the words be lost.
        let sent = client.0.write_all(&vec![b'.'; 16 << 20]);
        assert!(sent.is_ok(), "{} {sent:?}", how.escape_ascii());
        assert_eq!(client.hear(), "bye", "{}", how.escape_ascii());
        let mut rest = Vec::new();
        assert_eq!(client.0.read_to_end(&mut rest).unwrap(), 0);
    }
}
