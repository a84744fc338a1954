//! How connections begin, and how they end.

use std::time::{Duration, Instant};

use fanfare_door::{DriverLimits, Policy};
use fanfare_testkit::{TestServer, TestServerOptions, eventually};
use fanfare_websocket::MessageKind;

use crate::client::{BOTH, Client, Heard, Over, message, server};
use crate::keys;
use crate::wire::{self, Hello};

fn start() -> TestServer {
    server(TestServerOptions::default())
}

fn start_limited(limits: DriverLimits) -> TestServer {
    server(TestServerOptions { limits, ..TestServerOptions::default() })
}

fn with_gate(gate: fanfare_identity::GateConfig) -> TestServer {
    server(TestServerOptions { gate: Some(gate), policy: Policy::default(), ..TestServerOptions::default() })
}

/// What the server says to these bytes, up to the end. Over WebSocket the end has a code.
fn answer(server: &TestServer, over: Over, bytes: &[u8]) -> Vec<Heard> {
    let mut client = Client::open(server.address, over);
    client.send(bytes);
    let mut heard = Vec::new();
    while !matches!(heard.last(), Some(Heard::End(_))) {
        heard.push(client.hear());
    }
    heard
}

fn end(over: Over, code: u16) -> Heard {
    Heard::End((over == Over::WebSocket).then_some(code))
}

#[test]
fn a_client_connects_pings_and_goes() {
    let server = start();
    for over in BOTH {
        let mut client = Client::connect(server.address, over, &Hello::default());
        client.send(&wire::PING);
        assert_eq!(client.hear(), Heard::Pong);
        client.send(&wire::DISCONNECT);
        assert_eq!(client.hear(), end(over, 1000));
    }
    assert_eq!(eventually(|| (server.gateway.connection_count() == 0).then_some(())), Some(()));
}

#[test]
fn a_session_of_the_past_is_never_present() {
    let server = start();
    let hello = Hello { client_id: "lasting".into(), is_clean: false, ..Hello::default() };
    // The client asserts that CONNACK says "no session present".
    Client::connect(server.address, Over::Tcp, &hello).send(&wire::DISCONNECT);
    Client::connect(server.address, Over::Tcp, &hello).hears_nothing();
}

#[test]
fn connect_is_the_first_packet_and_comes_once() {
    let server = start();
    for over in BOTH {
        let twice = [Hello::default().bytes(), Hello::default().bytes(), wire::PING.into()].concat();
        assert_eq!(answer(&server, over, &twice), [Heard::Connack(0), end(over, 1002)]);
    }
    assert_eq!(answer(&server, Over::WebSocket, &wire::PING), [end(Over::WebSocket, 1002)]);
}

#[test]
fn other_versions_are_refused_in_words_that_they_know() {
    let server = start();
    for (name, level) in [("MQTT", 5), ("MQIsdp", 3), ("MQTT", 9), ("MQTX", 4)] {
        let hello = Hello { name, level, ..Hello::default() };
        for over in BOTH {
            assert_eq!(answer(&server, over, &hello.bytes()), [Heard::Connack(1), end(over, 1008)], "{name} {level}");
        }
    }
}

#[test]
fn client_ids_may_be_empty_only_with_a_clean_session() {
    let server = start();
    let hello = Hello { is_clean: false, ..Hello::default() };
    assert_eq!(answer(&server, Over::Tcp, &hello.bytes()), [Heard::Connack(2), Heard::End(None)]);
    let hello = Hello { client_id: "x".repeat(257), ..Hello::default() };
    assert_eq!(answer(&server, Over::Tcp, &hello.bytes()), [Heard::Connack(2), Heard::End(None)]);
    Client::connect(server.address, Over::Tcp, &Hello { client_id: "x".repeat(256), ..Hello::default() });
}

#[test]
fn what_is_not_offered_is_refused_by_name() {
    let server = start();
    let will = Hello { will: Some(("will".into(), b"bye".into())), ..Hello::default() };
    assert_eq!(answer(&server, Over::Tcp, &will.bytes()), [Heard::End(None)]);
    let publish = [Hello::default().bytes(), wire::publish("t", b"x", false, 1)].concat();
    for over in BOTH {
        assert_eq!(answer(&server, over, &publish), [Heard::Connack(0), end(over, 1008)]);
    }
    let text = server.gateway.metrics.render();
    assert!(text.contains("will_unsupported") && text.contains("qos_unsupported"), "{text}");
}

#[test]
fn nonsense_ends_the_connection() {
    let server = start();
    for bytes in [b"\xF0\0".as_slice(), b"\x30\x02\0\0", b"\xC0\x01!", b"\x30\xff\xff\xff\xff", b"\x82\x02\0\x01"] {
        let bytes = [Hello::default().bytes(), bytes.into()].concat();
        for over in BOTH {
            assert_eq!(answer(&server, over, &bytes), [Heard::Connack(0), end(over, 1002)], "{bytes:?}");
        }
    }
}

#[test]
fn packets_that_are_too_large_are_refused_before_they_are_there() {
    let server = start_limited(DriverLimits { message_bytes: 1_000, ..DriverLimits::default() });
    let hello = Hello::default().bytes();
    for over in BOTH {
        let bytes = [&hello[..], b"\x30\xE9\x07"].concat();
        assert_eq!(answer(&server, over, &bytes), [Heard::Connack(0), end(over, 1009)]);
    }
    // Before CONNACK as much is allowed as in the head of an HTTP request.
    assert_eq!(answer(&server, Over::Tcp, b"\x10\xff\xff\x01"), [Heard::End(None)]);
}

#[test]
fn a_slow_handshake_is_ended() {
    let server = start_limited(DriverLimits { handshake_timeout_ms: 300, ..DriverLimits::default() });
    let hello = Hello::default().bytes();
    for over in BOTH {
        let began = Instant::now();
        assert_eq!(answer(&server, over, &hello[..5]), [end(over, 1008)]);
        let waited = began.elapsed();
        assert!(waited >= Duration::from_millis(250) && waited < Duration::from_secs(5), "{waited:?}");
    }
    // Whoever was let in in time stays.
    let mut client = Client::connect(server.address, Over::Tcp, &Hello::default());
    std::thread::sleep(Duration::from_millis(600));
    client.hears_nothing();
}

#[test]
fn a_silent_client_is_given_up_after_one_and_a_half_keep_alives() {
    let server = start();
    for over in BOTH {
        let hello = Hello { keep_alive: 1, ..Hello::default() };
        let mut client = Client::connect(server.address, over, &hello);
        std::thread::sleep(Duration::from_millis(1_000));
        let heard_at = Instant::now();
        client.hears_nothing();
        assert_eq!(client.hear(), end(over, 1001));
        let waited = heard_at.elapsed();
        assert!(waited >= Duration::from_millis(1_450) && waited < Duration::from_secs(5), "{waited:?}");
    }
}

#[test]
fn passwords_are_tokens() {
    let server = with_gate(keys::closed_gate());
    let cases = [
        (Hello::default(), 5),
        (Hello::with_token("not.a.token"), 4),
        (Hello::with_token(""), 4),
        (Hello { user: Some("u".into()), password: Some(vec![0xFF]), ..Hello::default() }, 4),
        (Hello { user: Some("u".into()), ..Hello::default() }, 5),
    ];
    for (hello, code) in cases {
        // Nothing that comes behind a CONNECT that fails is done.
        let bytes = [hello.bytes(), wire::subscribe(1, &["#"])].concat();
        for over in BOTH {
            assert_eq!(answer(&server, over, &bytes), [Heard::Connack(code), end(over, 1008)], "{hello:?}");
        }
    }
    let hello = Hello::with_token(&keys::token(&["*:default/*"]));
    Client::connect(server.address, Over::Tcp, &hello).hears_nothing();
}

#[test]
fn packets_behind_connect_wait_until_the_keys_are_there() {
    let (gate, token) = keys::published_gate(Duration::from_millis(200));
    let server = with_gate(gate);
    let packets = [
        Hello::with_token(&token).bytes(),
        wire::subscribe(3, &["a/#"]),
        wire::publish("a/b", b"early", false, 0),
        wire::PING.into(),
    ];
    // Nothing is sent after that: what was left must be read again without another byte.
    let mut client = Client::open(server.address, Over::Tcp);
    client.send(&packets.concat());
    let heard = [client.hear(), client.hear(), client.hear(), client.hear()];
    assert_eq!(heard, [Heard::Connack(0), Heard::Suback(3, vec![0]), message("a/b", "early"), Heard::Pong]);
}

#[test]
fn packets_behind_connect_wait_over_websocket_too() {
    let (gate, token) = keys::published_gate(Duration::from_millis(200));
    let server = with_gate(gate);
    let mut client = Client::open(server.address, Over::WebSocket);
    client.send(&Hello::with_token(&token).bytes());
    let subscribe = wire::subscribe(3, &["a/#"]);
    client.send(&subscribe[..4]);
    client.send(&subscribe[4..]);
    assert_eq!([client.hear(), client.hear()], [Heard::Connack(0), Heard::Suback(3, vec![0])]);
}

#[test]
fn too_much_before_connack_is_refused() {
    let (gate, token) = keys::published_gate(Duration::from_secs(3));
    let server = with_gate(gate);
    let flood = wire::publish("a", &vec![0; 100_000], false, 0);
    let began = Instant::now();
    let heard = answer(&server, Over::Tcp, &[Hello::with_token(&token).bytes(), flood].concat());
    assert_eq!(heard, [Heard::End(None)]);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn keys_that_cannot_be_fetched_mean_later() {
    let (_, token) = keys::published_gate(Duration::ZERO);
    let server = with_gate(keys::unreachable_gate());
    for over in BOTH {
        let heard = answer(&server, over, &Hello::with_token(&token).bytes());
        assert_eq!(heard, [Heard::Connack(3), end(over, 1008)]);
    }
}

#[test]
fn websocket_messages_are_pieces_of_a_stream() {
    let server = start();
    let mut client = Client::open(server.address, Over::WebSocket);
    for byte in Hello::default().bytes() {
        client.send(&[byte]);
    }
    client.send(&[&wire::PING[..], &wire::PING, &wire::PING].concat());
    let heard: Vec<_> = (0..4).map(|_| client.hear()).collect();
    assert_eq!(heard, [Heard::Connack(0), Heard::Pong, Heard::Pong, Heard::Pong]);
    // Each piece ends one packet and begins the next, or lies within one.
    assert_eq!(client.subscribe(&["t"]), [0]);
    let texts: Vec<_> = (1..40).map(|n| "x".repeat(n)).collect();
    let bytes: Vec<_> = texts.iter().flat_map(|text| wire::publish("t", text.as_bytes(), false, 0)).collect();
    bytes.chunks(17).for_each(|piece| client.send(piece));
    for text in &texts {
        assert_eq!(client.hear(), message("t", text));
    }
}

#[test]
fn tcp_segments_are_pieces_of_a_stream() {
    let server = start();
    let mut client = Client::open(server.address, Over::Tcp);
    for byte in [Hello::default().bytes(), wire::subscribe(1, &["t"]), wire::publish("t", b"x", false, 0)].concat() {
        client.send(&[byte]);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(
        [client.hear(), client.hear(), client.hear()],
        [Heard::Connack(0), Heard::Suback(1, vec![0]), message("t", "x")]
    );
}

#[test]
fn websocket_text_is_refused() {
    let server = start();
    let mut client = Client::open(server.address, Over::WebSocket);
    client.send_message(MessageKind::Text, b"hello");
    assert_eq!(client.hear(), Heard::End(Some(1003)));
}

#[test]
fn the_subprotocol_is_the_one_that_was_offered() {
    let server = start();
    for (offer, expected) in [
        (&["mqtt"][..], Some("mqtt")),
        (&["mqttv3.1"], Some("mqttv3.1")),
        (&["mqttv3.1", "mqtt"], Some("mqtt")),
        (&["other"], None),
        (&[], None),
    ] {
        let (mut client, chosen) = Client::open_websocket(server.address, offer);
        assert_eq!(chosen.as_deref(), expected, "{offer:?}");
        client.send(&Hello::default().bytes());
        assert_eq!(client.hear(), Heard::Connack(0));
    }
}

#[test]
fn a_server_that_goes_closes() {
    for over in BOTH {
        let server = start();
        let mut client = Client::connect(server.address, over, &Hello::default());
        let draining = std::thread::spawn(move || server.drain(100));
        assert_eq!(client.hear(), end(over, 1012));
        draining.join().unwrap();
    }
}
