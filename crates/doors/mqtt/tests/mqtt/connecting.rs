//! How connections begin, and how they end.

use std::time::{Duration, Instant};

use fanfare_door::{DriverLimits, Policy};
use fanfare_mqtt_codec::{Level, Qos, ReasonCode};
use fanfare_testkit::{TestServer, TestServerOptions, eventually};
use fanfare_websocket::MessageKind;

use crate::client::{Client, Heard, Hello, LEVELS, PING, WELCOME, WELCOME_BACK, message, refused};
use crate::keys;
use crate::link::{ALL, BOTH, Over, server};

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
fn answer(server: &TestServer, over: Over, level: Level, bytes: &[u8]) -> Vec<Heard> {
    let mut client = Client::open(server, over);
    client.level = level;
    client.send(bytes);
    let mut heard = Vec::new();
    while !matches!(heard.last(), Some(Heard::End(_))) {
        heard.push(client.hear());
    }
    heard
}

fn end(over: Over, code: u16) -> Heard {
    Heard::End(over.is_websocket().then_some(code))
}

#[test]
fn a_client_connects_pings_and_goes() {
    let server = start();
    for over in ALL {
        for level in LEVELS {
            let mut client = Client::connect(&server, over, &Hello::of(level));
            client.hears_nothing();
            assert_eq!(client.disconnect(), end(over, 1000), "{over:?} {level:?}");
        }
    }
    assert_eq!(eventually(|| (server.gateway.connection_count() == 0).then_some(())), Some(()));
}

#[test]
fn sessions_are_present_when_they_were_to_last() {
    let server = start();
    for level in [Level::V4, Level::V5] {
        let id = format!("lasting-{level:?}");
        let lasting = Hello::lasting(level, &id);
        let clean = Hello { is_clean: true, expiry_s: None, ..lasting.clone() };
        for (hello, expected) in [(&lasting, WELCOME), (&lasting, WELCOME_BACK), (&clean, WELCOME), (&lasting, WELCOME)]
        {
            let (client, answer) = Client::greet(&server, Over::Tcp, hello);
            assert_eq!(answer, expected, "{level:?}");
            client.disconnect();
        }
    }
}

#[test]
fn a_second_connection_of_a_client_takes_over() {
    let server = start();
    for level in LEVELS {
        let hello = Hello::lasting(level, &format!("twice-{level:?}"));
        let mut first = Client::connect(&server, Over::Tcp, &hello);
        first.subscribe(&["t"], Qos::AtLeastOnce);
        let mut second = Client::connect(&server, Over::WebSocket, &hello);
        if level.is_v5() {
            assert_eq!(first.hear(), Heard::Disconnect(ReasonCode::SessionTakenOver));
        }
        assert_eq!(first.hear(), Heard::End(None));
        second.publish("t", "for whoever it is");
        assert_eq!(second.hear(), message("t", "for whoever it is"));
    }
}

#[test]
fn a_crowd_of_connections_of_one_client_ends_with_one() {
    let server = server(TestServerOptions { shards: 2, ..TestServerOptions::default() });
    let hello = Hello::lasting(Level::V5, "crowd");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let (mut client, answer) = Client::greet(&server, Over::Tcp, &hello);
                    match answer {
                        Heard::Connack { reason: ReasonCode::Success, .. } => {
                            client.send(&PING);
                        }
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    assert_eq!(eventually(|| (server.gateway.connection_count() == 0).then_some(())), Some(()));
    let (client, answer) = Client::greet(&server, Over::Tcp, &hello);
    assert_eq!(answer, WELCOME_BACK);
    assert_eq!(server.gateway.connection_count(), 1);
    client.disconnect();
}

#[test]
fn a_will_is_spoken_unless_the_client_says_goodbye() {
    let server = start();
    let mut witness = Client::connect(&server, Over::Tcp, &Hello::default());
    witness.subscribe(&["wills/#"], Qos::AtMostOnce);
    for level in LEVELS {
        let hello = Hello { will: Some((format!("wills/{level:?}"), b"gone".to_vec())), ..Hello::of(level) };
        Client::connect(&server, Over::Tcp, &hello).disconnect();
        drop(Client::connect(&server, Over::Tcp, &hello));
        assert_eq!(witness.hear(), message(&format!("wills/{level:?}"), "gone"));
    }
    witness.hears_nothing();
}

#[test]
fn connect_is_the_first_packet_and_comes_once() {
    let server = start();
    for over in BOTH {
        let twice = [Hello::default().bytes(), Hello::default().bytes(), PING.into()].concat();
        assert_eq!(answer(&server, over, Level::V4, &twice), [WELCOME, end(over, 1002)]);
    }
    assert_eq!(answer(&server, Over::WebSocket, Level::V4, &PING), [end(Over::WebSocket, 1002)]);
}

#[test]
fn other_versions_are_refused_in_words_that_they_know() {
    let server = start();
    // The level, at the place where CONNECT has it.
    let with_level = |level| {
        let mut bytes = Hello::default().bytes();
        bytes[8] = level;
        bytes
    };
    for over in BOTH {
        for level in [2, 9] {
            let heard = answer(&server, over, Level::V4, &with_level(level));
            assert_eq!(heard, [refused(ReasonCode::UnsupportedProtocolVersion), end(over, 1002)], "{level}");
        }
    }
}

#[test]
fn client_ids_may_be_empty_only_with_a_clean_session() {
    let server = start();
    let no_id = refused(ReasonCode::ClientIdentifierNotValid);
    let hello = Hello { is_clean: false, ..Hello::default() };
    assert_eq!(answer(&server, Over::Tcp, Level::V4, &hello.bytes()), [no_id.clone(), Heard::End(None)]);
    let hello = Hello { client_id: "x".repeat(257), ..Hello::default() };
    assert_eq!(answer(&server, Over::Tcp, Level::V4, &hello.bytes()), [no_id, Heard::End(None)]);
    Client::connect(&server, Over::Tcp, &Hello { client_id: "x".repeat(256), ..Hello::default() });
    Client::connect(&server, Over::Tcp, &Hello { level: Level::V5, is_clean: false, ..Hello::default() });
}

#[test]
fn nonsense_ends_the_connection() {
    let server = start();
    for bytes in [b"\xF0\0".as_slice(), b"\x30\x02\0\0", b"\xC0\x01!", b"\x30\xff\xff\xff\xff", b"\x82\x02\0\x01"] {
        let bytes = [Hello::default().bytes(), bytes.into()].concat();
        for over in BOTH {
            assert_eq!(answer(&server, over, Level::V4, &bytes), [WELCOME, end(over, 1002)], "{bytes:?}");
        }
    }
}

#[test]
fn packets_that_are_too_large_are_refused_before_they_are_there() {
    let server = start();
    for over in BOTH {
        // A PUBLISH of 4 MiB whose body never comes.
        let bytes = [&Hello::of(Level::V5).bytes()[..], b"\x30\x80\x80\x80\x02"].concat();
        let heard = answer(&server, over, Level::V5, &bytes);
        assert_eq!(heard, [WELCOME, Heard::Disconnect(ReasonCode::PacketTooLarge), end(over, 1009)]);
    }
    // Before CONNACK as much is allowed as in the head of an HTTP request.
    assert_eq!(answer(&server, Over::Tcp, Level::V4, b"\x10\xff\xff\x01"), [Heard::End(None)]);
}

#[test]
fn a_slow_handshake_is_ended() {
    let server = start_limited(DriverLimits { handshake_timeout_ms: 300, ..DriverLimits::default() });
    let hello = Hello::default().bytes();
    for over in BOTH {
        let began = Instant::now();
        assert_eq!(answer(&server, over, Level::V4, &hello[..5]), [end(over, 1008)]);
        let waited = began.elapsed();
        assert!(waited >= Duration::from_millis(250) && waited < Duration::from_secs(5), "{waited:?}");
    }
    // Whoever was let in in time stays.
    let mut client = Client::connect(&server, Over::Tcp, &Hello::default());
    std::thread::sleep(Duration::from_millis(600));
    client.hears_nothing();
}

#[test]
fn a_silent_client_is_given_up_after_one_and_a_half_keep_alives() {
    let server = start();
    for over in BOTH {
        let mut client = Client::connect(&server, over, &Hello { keep_alive: 1, ..Hello::of(Level::V5) });
        std::thread::sleep(Duration::from_millis(1_000));
        let heard_at = Instant::now();
        client.hears_nothing();
        assert_eq!(client.hear(), Heard::Disconnect(ReasonCode::KeepAliveTimeout));
        assert_eq!(client.hear(), end(over, 1008));
        let waited = heard_at.elapsed();
        assert!(waited >= Duration::from_millis(1_450) && waited < Duration::from_secs(5), "{waited:?}");
    }
}

#[test]
fn passwords_are_tokens() {
    let server = with_gate(keys::closed_gate());
    let wrong = Hello { password: Some(vec![0xFF]), ..Hello::default() };
    let cases = [
        (Hello::default(), ReasonCode::NotAuthorized),
        (Hello::with_token("not.a.token"), ReasonCode::BadUserNameOrPassword),
        (Hello::with_token(""), ReasonCode::BadUserNameOrPassword),
        (wrong, ReasonCode::BadUserNameOrPassword),
    ];
    for (hello, reason) in cases {
        // Nothing that comes behind a CONNECT that fails is done.
        let bytes = [hello.bytes(), PING.into()].concat();
        for over in BOTH {
            assert_eq!(answer(&server, over, Level::V4, &bytes), [refused(reason), end(over, 1008)], "{hello:?}");
        }
    }
    let hello = Hello::with_token(&keys::token(&["*:default/*"]));
    Client::connect(&server, Over::Tcp, &hello).hears_nothing();
}

#[test]
fn packets_behind_connect_wait_until_the_keys_are_there() {
    let (gate, token) = keys::published_gate(Duration::from_millis(200));
    let server = with_gate(gate);
    for over in BOTH {
        let mut client = Client::open(&server, over);
        let subscribe = client.subscription(&["a/#"], Qos::AtMostOnce, None);
        let packets =
            [Hello::with_token(&token).bytes(), subscribe, client.publication("a/b", "early", 0), PING.into()];
        // Nothing is sent after that: what was left must be read again without another byte.
        client.send(&packets.concat());
        let heard = [client.hear(), client.hear(), client.hear(), client.hear()];
        let suback = Heard::Suback(9, vec![ReasonCode::Success]);
        assert_eq!(heard, [WELCOME, suback, message("a/b", "early"), Heard::Pong]);
    }
}

#[test]
fn too_much_before_connack_is_refused() {
    let (gate, token) = keys::published_gate(Duration::from_secs(3));
    let server = with_gate(gate);
    let mut client = Client::open(&server, Over::Tcp);
    let flood = client.publication("a", &"x".repeat(100_000), 0);
    let began = Instant::now();
    client.send(&[Hello::with_token(&token).bytes(), flood].concat());
    while client.hear() != Heard::End(None) {}
    assert!(began.elapsed() < Duration::from_secs(3), "it was not kept until the keys came");
}

#[test]
fn keys_that_cannot_be_fetched_mean_later() {
    let (_, token) = keys::published_gate(Duration::ZERO);
    let server = with_gate(keys::unreachable_gate());
    for over in BOTH {
        let heard = answer(&server, over, Level::V4, &Hello::with_token(&token).bytes());
        assert_eq!(heard, [refused(ReasonCode::ServerUnavailable), end(over, 1008)]);
    }
}

#[test]
fn packets_come_in_pieces_of_any_size() {
    let server = start();
    for over in ALL {
        let mut client = Client::open(&server, over);
        Hello::default().bytes().iter().for_each(|byte| client.send(&[*byte]));
        assert_eq!(client.hear(), WELCOME);
        client.subscribe(&["t"], Qos::AtMostOnce);
        let texts: Vec<_> = (1..40).map(|n| "x".repeat(n)).collect();
        let bytes: Vec<_> = texts.iter().flat_map(|text| client.publication("t", text, 0)).collect();
        bytes.chunks(17).for_each(|piece| client.send(piece));
        for text in &texts {
            assert_eq!(client.hear(), message("t", text));
        }
    }
}

#[test]
fn websocket_text_is_refused() {
    let server = start();
    let mut client = Client::open(&server, Over::WebSocket);
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
        let mut client = Client::bare(&server, Over::Tcp);
        assert_eq!(client.upgrade(offer).as_deref(), expected, "{offer:?}");
        client.send(&Hello::default().bytes());
        assert_eq!(client.hear(), WELCOME);
    }
}

#[test]
fn a_server_that_goes_says_so() {
    for (over, level) in [(Over::Tcp, Level::V5), (Over::WebSocket, Level::V5), (Over::WebSocket, Level::V4)] {
        let server = start();
        let mut client = Client::connect(&server, over, &Hello::of(level));
        let draining = std::thread::spawn(move || server.drain(100));
        if level.is_v5() {
            assert_eq!(client.hear(), Heard::Disconnect(ReasonCode::ServerShuttingDown));
        }
        assert_eq!(client.hear(), end(over, 1012));
        draining.join().unwrap();
    }
}
