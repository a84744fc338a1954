//! What clients say to each other.

use fanfare_core::{Kind, Principal, Publication, TopicName};
use fanfare_door::DriverLimits;
use fanfare_testkit::{TestServer, TestServerOptions, eventually};

use crate::client::{BOTH, Client, Heard, Over, message, retained, server};
use crate::keys;
use crate::wire::{self, Hello};
use std::sync::atomic::{AtomicBool, Ordering};

fn start() -> TestServer {
    server(TestServerOptions::default())
}

fn connect(server: &TestServer, over: Over) -> Client {
    Client::connect(server.address, over, &Hello::default())
}

#[test]
fn two_clients_talk_over_either_link() {
    let server = start();
    for (one, other) in [(Over::Tcp, Over::Tcp), (Over::Tcp, Over::WebSocket), (Over::WebSocket, Over::Tcp)] {
        let (mut ann, mut ben) = (connect(&server, one), connect(&server, other));
        assert_eq!(ann.subscribe(&["room/ann"]), [0]);
        assert_eq!(ben.subscribe(&["room/ben"]), [0]);
        ann.publish("room/ben", "hello");
        assert_eq!(ben.hear(), message("room/ben", "hello"));
        ben.publish("room/ann", "");
        assert_eq!(ann.hear(), message("room/ann", ""));
        ann.hears_nothing();
        ben.hears_nothing();
    }
}

#[test]
fn messages_cross_shards_in_order() {
    let server = server(TestServerOptions { shards: 2, ..TestServerOptions::default() });
    let mut subscribers: Vec<_> = (0..4).map(|_| connect(&server, Over::Tcp)).collect();
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.subscribe(&["n/#"]), [0]);
    }
    let mut publisher = connect(&server, Over::WebSocket);
    let all: Vec<_> = (0..200).flat_map(|n| wire::publish("n/x", n.to_string().as_bytes(), false, 0)).collect();
    publisher.send(&all);
    for subscriber in &mut subscribers {
        for n in 0..200 {
            assert_eq!(subscriber.hear(), message("n/x", &n.to_string()));
        }
    }
}

#[test]
fn wildcards_match_as_the_standard_says() {
    let server = start();
    for over in BOTH {
        for (filter, topic, expected) in [
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("a/+", "a/b", true),
            ("a/+", "a/", true),
            ("a/+", "a", false),
            ("+/+", "/x", true),
            ("/+", "/x", true),
            ("+", "/x", false),
            ("#", "x/y", true),
            ("X", "x", false),
        ] {
            let mut client = connect(&server, over);
            assert_eq!(client.subscribe(&[filter]), [0]);
            client.publish(topic, "hit");
            if expected {
                assert_eq!(client.hear(), message(topic, "hit"), "{filter} {topic}");
            }
            client.hears_nothing();
        }
    }
}

#[test]
fn overlapping_subscriptions_give_one_copy() {
    let server = start();
    let mut client = connect(&server, Over::Tcp);
    assert_eq!(client.subscribe(&["a/#", "a/+", "a/b"]), [0, 0, 0]);
    client.publish("a/b", "once");
    assert_eq!(client.hear(), message("a/b", "once"));
    client.hears_nothing();
}

#[test]
fn topics_of_the_server_are_its_own() {
    let server = start();
    let mut client = connect(&server, Over::Tcp);
    assert_eq!(client.subscribe(&["#", "$SYS/#", "+/x"]), [0, 0, 0]);
    client.publish("$SYS/x", "mine");
    client.hears_nothing();
    assert!(server.gateway.metrics.render().contains("invalid_topic"));
    // The server itself may say something there, to those who ask by name.
    let publish = |topic| {
        let publication = server.gateway.text(topic, "tick".into()).unwrap();
        let everything = fanfare_core::Rule::parse(fanfare_core::Effect::Allow, "*:*/*", None).unwrap();
        let principal = Principal::anonymous(fanfare_core::Grant::new(vec![everything]));
        server.gateway.core.publish(&principal, publication, None, 1, None).unwrap();
    };
    publish("$SYS/x");
    assert_eq!(client.hear(), message("$SYS/x", "tick"));
    publish("$other/x");
    client.hears_nothing();
}

#[test]
fn filters_that_are_none_fail_alone() {
    let server = start();
    let mut client = connect(&server, Over::WebSocket);
    let long = "x".repeat(1_025);
    let codes = client.subscribe(&["ok/1", "a/#/b", "a+", "", "$share/g/t", &long, "ok/2"]);
    assert_eq!(codes, [0, 0x80, 0x80, 0x80, 0x80, 0x80, 0]);
    client.publish("ok/2", "x");
    assert_eq!(client.hear(), message("ok/2", "x"));
}

#[test]
fn subscriptions_beyond_the_limit_fail() {
    let limits = DriverLimits { subscriptions: 3, ..DriverLimits::default() };
    let server = server(TestServerOptions { limits, ..TestServerOptions::default() });
    let mut client = connect(&server, Over::Tcp);
    assert_eq!(client.subscribe(&["a", "b"]), [0, 0]);
    assert_eq!(client.subscribe(&["a", "c", "d"]), [0, 0, 0x80]);
    client.send(&wire::subscribe(1, &["e", "f", "g", "h"]));
    assert_eq!(client.hear(), Heard::End(None));
}

#[test]
fn unsubscribing_is_always_acknowledged() {
    let server = start();
    for over in BOTH {
        let mut client = connect(&server, over);
        assert_eq!(client.subscribe(&["a", "b"]), [0, 0]);
        client.send(&wire::unsubscribe(7, &["a", "never", "#bad"]));
        assert_eq!(client.hear(), Heard::Unsuback(7));
        client.publish("a", "gone");
        client.publish("b", "there");
        assert_eq!(client.hear(), message("b", "there"));
        client.hears_nothing();
    }
}

#[test]
fn retained_messages_follow_the_suback() {
    let server = start();
    for over in BOTH {
        let mut publisher = connect(&server, over);
        let mut early = connect(&server, over);
        assert_eq!(early.subscribe(&["r/#"]), [0]);
        publisher.send(&wire::publish("r/1", b"one", true, 0));
        publisher.send(&wire::publish("r/2", b"two", true, 0));
        assert_eq!([early.hear(), early.hear()], [message("r/1", "one"), message("r/2", "two")]);
        let mut late = connect(&server, over);
        assert_eq!(late.subscribe(&["r/1", "r/+"]), [0, 0]);
        let heard = [late.hear(), late.hear(), late.hear()];
        assert_eq!(heard, [retained("r/1", "one"), retained("r/1", "one"), retained("r/2", "two")]);
        // Empty ones clear, and are messages all the same.
        for topic in ["r/1", "r/2"] {
            publisher.send(&wire::publish(topic, b"", true, 0));
            assert_eq!([early.hear(), late.hear()], [message(topic, ""), message(topic, "")]);
        }
        let mut later = connect(&server, over);
        assert_eq!(later.subscribe(&["r/#"]), [0]);
        later.hears_nothing();
    }
}

#[test]
fn a_token_reaches_as_far_as_its_rules() {
    let server = server(TestServerOptions { gate: Some(keys::closed_gate()), ..TestServerOptions::default() });
    let everything = Hello::with_token(&keys::token(&["*:default/*"]));
    let scoped = Hello::with_token(&keys::token(&["subscribe:default/mine/#", "publish:default/mine/${sub}"]));
    for over in BOTH {
        let mut witness = Client::connect(server.address, over, &everything);
        assert_eq!(witness.subscribe(&["#"]), [0]);
        let mut client = Client::connect(server.address, over, &scoped);
        assert_eq!(client.subscribe(&["mine/x", "yours", "#", "mine/+"]), [0, 0x80, 0x80, 0]);
        client.publish("yours", "denied");
        client.publish("mine/ben", "denied");
        client.publish("mine/ann", "allowed");
        assert_eq!(witness.hear(), message("mine/ann", "allowed"));
        assert_eq!(client.hear(), message("mine/ann", "allowed"));
        client.hears_nothing();
    }
    assert!(server.gateway.metrics.render().contains("denied"));
}

#[test]
fn kinds_are_told_apart_and_sent_as_their_bytes() {
    let server = start();
    let mut client = connect(&server, Over::Tcp);
    client.send(&wire::publish("k/text", "grüße".as_bytes(), true, 0));
    client.send(&wire::publish("k/binary", b"\xff\0\xfe", true, 0));
    client.hears_nothing();
    let kind_of = |topic: &str| {
        let filter = server.gateway.filter(topic).unwrap();
        let page = server.gateway.core.page("default", &filter, 0, 9, 1 << 20, true).unwrap().unwrap();
        page.messages.last().unwrap().kind
    };
    assert_eq!([kind_of("k/text"), kind_of("k/binary")], [Kind::Text, Kind::Binary]);
    assert_eq!(client.subscribe(&["k/binary", "k/json"]), [0, 0]);
    let bytes = Heard::Message { topic: "k/binary".into(), payload: b"\xff\0\xfe".into(), is_retained: true };
    assert_eq!(client.hear(), bytes);
    let topic = TopicName::new("k/json").unwrap();
    let json = Publication::new("default".into(), topic, Kind::Json, br#"{"a":1}"#.to_vec().into());
    let everything = fanfare_core::Rule::parse(fanfare_core::Effect::Allow, "*:*/*", None).unwrap();
    let principal = Principal::anonymous(fanfare_core::Grant::new(vec![everything]));
    server.gateway.core.publish(&principal, json, None, 1, None).unwrap();
    assert_eq!(client.hear(), message("k/json", r#"{"a":1}"#));
}

#[test]
fn large_payloads_arrive_whole() {
    let server = start();
    let text = "0123456789abcdef".repeat(40_000);
    for over in BOTH {
        let mut client = connect(&server, over);
        assert_eq!(client.subscribe(&["large"]), [0]);
        client.publish("large", &text);
        assert_eq!(client.hear(), message("large", &text));
        // One that the space does not take is dropped, and the connection lives on.
        client.publish("large", &text.repeat(2));
        client.hears_nothing();
    }
    assert!(server.gateway.metrics.render().contains("message_too_large"));
}

#[test]
fn nobody_hears_anything_before_connack() {
    let server = start();
    let mut client = Client::open(server.address, Over::Tcp);
    client.send(&Hello::default().bytes()[..3]);
    let gateway = server.gateway.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connection = eventually(|| runtime.block_on(gateway.connections(None, 1)).first().map(|c| c.id.clone()));
    let id = gateway_id(&connection.unwrap());
    let publication = gateway.text("direct", "hello".into()).unwrap();
    runtime.block_on(gateway.send_to_connection(id, publication.clone()));
    client.send(&Hello::default().bytes()[3..]);
    assert_eq!(client.hear(), Heard::Connack(0));
    assert!(runtime.block_on(gateway.send_to_connection(id, publication)));
    assert_eq!(client.hear(), message("direct", "hello"));
}

fn gateway_id(text: &str) -> fanfare_door::ConnectionId {
    fanfare_door::ConnectionId::parse(text, "test").unwrap()
}

/// Runs `work` again and again on threads of their own while `meanwhile` runs.
fn beside<T>(threads: usize, work: impl Fn() + Sync, meanwhile: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    work();
                }
            });
        }
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
        is_over.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn many(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}/{n}")).collect()
}

#[test]
fn retained_messages_come_before_newer_ones_whatever_else_is_subscribed() {
    let server = server(TestServerOptions { shards: 2, ..TestServerOptions::default() });
    let next = std::sync::atomic::AtomicU64::new(1);
    let publish = || {
        let mut publisher = connect(&server, Over::Tcp);
        for _ in 0..500 {
            let number = next.fetch_add(1, Ordering::Relaxed);
            publisher.send(&wire::publish("t", number.to_string().as_bytes(), true, 0));
        }
        publisher.hears_nothing();
    };
    publish();
    let mut filters = many("x", 300);
    filters.insert(0, "t".into());
    let filters: Vec<_> = filters.iter().map(String::as_str).collect();
    beside(1, publish, || {
        // On either shard one, so that one of them does not share the publisher's.
        let mut clients = [connect(&server, Over::Tcp), connect(&server, Over::Tcp)];
        for round in 0..60 {
            let client = &mut clients[round % 2];
            client.send(&wire::unsubscribe(1, &filters));
            while client.hear() != Heard::Unsuback(1) {}
            assert_eq!(client.subscribe(&filters).len(), 301);
            let Heard::Message { payload, is_retained: true, .. } = client.hear() else {
                panic!("something came before the retained message")
            };
            let number = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().parse::<u64>().unwrap();
            let retained = number(payload);
            if let Heard::Message { payload, .. } = client.hear() {
                assert!(number(payload) > retained);
            }
        }
    });
}

#[test]
fn subscribing_goes_on_beside_slow_readers() {
    let server = server(TestServerOptions { shards: 2, ..TestServerOptions::default() });
    let text = "x".repeat(300_000);
    let publish_much_to_slow_readers = || {
        let mut slow: Vec<_> = (0..3).map(|_| connect(&server, Over::Tcp)).collect();
        slow.iter_mut().for_each(|client| assert_eq!(client.subscribe(&["large"]), [0]));
        let mut publisher = connect(&server, Over::Tcp);
        (0..20).for_each(|_| publisher.publish("large", &text));
        publisher.hears_nothing();
    };
    let filters = many("x", 100);
    let filters: Vec<_> = filters.iter().map(String::as_str).collect();
    beside(2, publish_much_to_slow_readers, || {
        let mut clients = [connect(&server, Over::Tcp), connect(&server, Over::Tcp)];
        for round in 0..200 {
            assert_eq!(clients[round % 2].subscribe(&filters).len(), 100);
        }
    });
}
