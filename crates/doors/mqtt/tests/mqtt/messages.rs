//! What clients say to each other.

use fanfare_core::{Grant, Kind, Principal, Publication, TopicName};
use fanfare_door::DriverLimits;
use fanfare_mqtt_codec::{AckKind, Level, Publish, Qos, ReasonCode};
use fanfare_testkit::{TestServer, TestServerOptions};

use crate::client::{Client, Heard, Hello, LEVELS, Message, message};
use crate::keys;
use crate::link::{ALL, BOTH, Over, server};

const QUALITIES: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
const OK: ReasonCode = ReasonCode::Success;

fn start() -> TestServer {
    server(TestServerOptions::default())
}

fn connect(server: &TestServer, over: Over, level: Level) -> Client {
    Client::connect(server, over, &Hello::of(level))
}

fn granted(qos: Qos) -> ReasonCode {
    [OK, ReasonCode::GrantedQos1, ReasonCode::GrantedQos2][usize::from(qos.as_u8())]
}

/// Publishes with the whole handshake.
fn publish(client: &mut Client, topic: &str, payload: &str, qos: Qos) {
    let packet_id = (qos > Qos::AtMostOnce).then(|| crate::client::id(77));
    let packet = client.packet(&Publish { topic, payload: payload.as_bytes(), qos, packet_id, ..Publish::default() });
    client.send(&packet);
    match qos {
        Qos::AtMostOnce => {}
        Qos::AtLeastOnce => assert_eq!(client.hear(), Heard::Ack(AckKind::Puback, 77, OK)),
        Qos::ExactlyOnce => {
            assert_eq!(client.hear(), Heard::Ack(AckKind::Pubrec, 77, OK));
            client.ack(AckKind::Pubrel, 77);
            assert_eq!(client.hear(), Heard::Ack(AckKind::Pubcomp, 77, OK));
        }
    }
}

/// Receives with the whole handshake.
fn receive(client: &mut Client) -> Message {
    let message = client.take();
    if let (Qos::ExactlyOnce, Some(id)) = (message.qos, message.id) {
        assert_eq!(client.hear(), Heard::Ack(AckKind::Pubrel, id, OK));
        client.ack(AckKind::Pubcomp, id);
    }
    message
}

#[test]
fn every_level_speaks_to_itself_over_every_link_in_every_quality() {
    let server = start();
    for over in ALL {
        for level in LEVELS {
            let (mut ann, mut ben) = (connect(&server, over, level), connect(&server, over, level));
            for asked in QUALITIES {
                assert_eq!(ben.subscribe(&["room/+"], asked), [granted(asked)], "{over:?} {level:?}");
                for said in QUALITIES {
                    publish(&mut ann, "room/ben", "hello", said);
                    let heard = receive(&mut ben);
                    assert_eq!((heard.topic.as_str(), heard.payload.as_slice()), ("room/ben", b"hello".as_slice()));
                    let expected = (asked.min(said), false, false);
                    assert_eq!((heard.qos, heard.retain, heard.dup), expected, "{over:?} {level:?} {asked:?} {said:?}");
                }
            }
            ben.unsubscribe(&["room/+"]);
            assert!(matches!(ben.hear(), Heard::Unsuback(8, _)));
            publish(&mut ann, "room/ben", "unheard", Qos::AtMostOnce);
            ben.hears_nothing();
        }
    }
}

#[test]
fn levels_speak_to_each_other() {
    let server = start();
    for from in LEVELS {
        for to in LEVELS {
            let (mut ann, mut ben) = (connect(&server, Over::Tcp, from), connect(&server, Over::WebSocket, to));
            ben.subscribe(&["t"], Qos::ExactlyOnce);
            publish(&mut ann, "t", "hello", Qos::ExactlyOnce);
            assert_eq!(receive(&mut ben).payload, b"hello", "{from:?} {to:?}");
        }
    }
}

#[test]
fn messages_cross_shards_in_order() {
    let server = server(TestServerOptions { shards: 2, ..TestServerOptions::default() });
    let qualities = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::AtMostOnce, Qos::AtLeastOnce];
    let mut subscribers: Vec<_> = qualities.iter().map(|_| connect(&server, Over::Tcp, Level::V5)).collect();
    for (subscriber, qos) in subscribers.iter_mut().zip(qualities) {
        assert_eq!(subscriber.subscribe(&["n/#"], qos), [granted(qos)]);
    }
    let mut publisher = connect(&server, Over::WebSocket, Level::V4);
    let all: Vec<_> = (1..=200).flat_map(|n| publisher.publication("n/x", &n.to_string(), n)).collect();
    publisher.send(&all);
    for subscriber in &mut subscribers {
        for n in 1..=200 {
            assert_eq!(subscriber.take().payload, n.to_string().as_bytes());
        }
    }
    for n in 1..=200 {
        assert_eq!(publisher.hear(), Heard::Ack(AckKind::Puback, n, OK), "answers keep the order");
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
            ("a/+", "a/", true),
            ("a/+", "a", false),
            ("+/+", "/x", true),
            ("+", "/x", false),
            ("X", "x", false),
        ] {
            let mut client = connect(&server, over, Level::V4);
            assert_eq!(client.subscribe(&[filter], Qos::AtMostOnce), [OK]);
            client.publish(topic, "hit");
            if expected {
                assert_eq!(client.hear(), message(topic, "hit"), "{filter} {topic}");
            }
            client.hears_nothing();
        }
    }
}

#[test]
fn overlapping_subscriptions_give_one_copy_of_the_best_quality() {
    let server = start();
    for level in LEVELS {
        let mut client = connect(&server, Over::Tcp, level);
        for (number, (filter, qos)) in
            (1..).zip([("a/#", Qos::AtMostOnce), ("a/+", Qos::ExactlyOnce), ("a/b", Qos::AtLeastOnce)])
        {
            let id = level.is_v5().then_some(number);
            client.send(&client.subscription(&[filter], qos, id));
            assert_eq!(client.hear(), Heard::Suback(9, vec![granted(qos)]));
        }
        let mut publisher = connect(&server, Over::Tcp, level);
        publish(&mut publisher, "a/b", "once", Qos::ExactlyOnce);
        let mut heard = receive(&mut client);
        heard.subscription_ids.sort_unstable();
        let expected = if level.is_v5() { vec![1, 2, 3] } else { vec![] };
        assert_eq!((heard.qos, heard.subscription_ids), (Qos::ExactlyOnce, expected));
        client.hears_nothing();
    }
}

#[test]
fn topics_of_the_server_are_its_own() {
    let server = start();
    let mut client = connect(&server, Over::Tcp, Level::V5);
    assert_eq!(client.subscribe(&["#", "$SYS/x", "+/x"], Qos::AtMostOnce), [OK, OK, OK]);
    client.publish("$SYS/x", "mine");
    client.hears_nothing();
    assert!(server.gateway.metrics.render().contains("invalid_topic"));
    client.send(&client.publication("$SYS/x", "mine", 5));
    assert_eq!(client.hear(), Heard::Ack(AckKind::Puback, 5, ReasonCode::TopicNameInvalid));
    // The server itself may say something there, to those who ask by name.
    let publish = |topic| {
        let publication = server.gateway.text(topic, "tick".into()).unwrap();
        let principal = Principal::anonymous(Grant::everything());
        server.gateway.core.publish(&principal, publication, None, 1, None).unwrap();
    };
    publish("$SYS/x");
    assert_eq!(client.hear(), message("$SYS/x", "tick"));
    publish("$other/x");
    client.hears_nothing();
}

#[test]
fn filters_that_are_none_fail_alone_or_end_the_connection() {
    let server = start();
    let long = "x".repeat(1_025);
    let bad = ReasonCode::TopicFilterInvalid;
    let mut client = connect(&server, Over::WebSocket, Level::V5);
    let codes = client.subscribe(&["ok/1", "a/#/b", "a+", &long, "ok/2"], Qos::AtMostOnce);
    assert_eq!(codes, [OK, bad, bad, bad, OK]);
    client.publish("ok/2", "x");
    assert_eq!(client.hear(), message("ok/2", "x"));
    for (level, filter) in [(Level::V4, "a/#/b"), (Level::V5, "")] {
        let mut client = connect(&server, Over::Tcp, level);
        client.send(&client.subscription(&["ok/1", filter], Qos::AtMostOnce, None));
        if level.is_v5() {
            assert_eq!(client.hear(), Heard::Disconnect(bad));
        }
        assert_eq!(client.hear(), Heard::End(None));
    }
}

#[test]
fn subscriptions_beyond_the_limit_fail() {
    let limits = DriverLimits { subscriptions: 3, ..DriverLimits::default() };
    let server = server(TestServerOptions { limits, ..TestServerOptions::default() });
    let mut client = connect(&server, Over::Tcp, Level::V5);
    assert_eq!(client.subscribe(&["a", "b"], Qos::AtMostOnce), [OK, OK]);
    assert_eq!(client.subscribe(&["a", "c", "d"], Qos::AtMostOnce), [OK, OK, ReasonCode::QuotaExceeded]);
    assert_eq!(client.subscribe(&["$share/g/d"], Qos::AtMostOnce), [ReasonCode::QuotaExceeded]);
    client.send(&client.subscription(&["e", "f", "g", "h"], Qos::AtMostOnce, None));
    assert_eq!(client.hear(), Heard::Disconnect(ReasonCode::QuotaExceeded));
    assert_eq!(client.hear(), Heard::End(None));
}

#[test]
fn unsubscribing_says_what_was_there() {
    let server = start();
    let mut client = connect(&server, Over::Tcp, Level::V5);
    client.subscribe(&["a", "b"], Qos::AtLeastOnce);
    client.unsubscribe(&["a", "never", "#/bad"]);
    let codes = vec![OK, ReasonCode::NoSubscriptionExisted, ReasonCode::TopicFilterInvalid];
    assert_eq!(client.hear(), Heard::Unsuback(8, codes));
    client.publish("a", "gone");
    client.publish("b", "there");
    assert_eq!(client.hear(), message("b", "there"));
    client.hears_nothing();
}

#[test]
fn retained_messages_follow_the_suback() {
    let server = start();
    for (over, level) in [(Over::Tcp, Level::V4), (Over::WebSocket, Level::V5)] {
        let mut publisher = connect(&server, over, level);
        for (topic, payload) in [("r/1", b"one"), ("r/2", b"two")] {
            let packet = publisher.packet(&Publish { topic, payload, retain: true, ..Publish::default() });
            publisher.send(&packet);
        }
        publisher.hears_nothing();
        for qos in QUALITIES {
            let mut late = connect(&server, over, level);
            assert_eq!(late.subscribe(&["r/+"], qos), [granted(qos)]);
            let heard = [receive(&mut late), receive(&mut late)];
            assert_eq!([&heard[0].topic, &heard[1].topic], ["r/1", "r/2"]);
            // They were published with quality 0.
            assert!(heard.iter().all(|message| message.retain && message.qos == Qos::AtMostOnce));
            late.hears_nothing();
        }
        for topic in ["r/1", "r/2"] {
            let packet = publisher.packet(&Publish { topic, retain: true, ..Publish::default() });
            publisher.send(&packet);
        }
        publisher.hears_nothing();
        let mut later = connect(&server, over, level);
        assert_eq!(later.subscribe(&["r/#"], Qos::AtMostOnce), [OK]);
        later.hears_nothing();
    }
}

#[test]
fn a_token_reaches_as_far_as_its_rules() {
    let server = server(TestServerOptions { gate: Some(keys::closed_gate()), ..TestServerOptions::default() });
    let everything = Hello::with_token(&keys::token(&["*:default/*"]));
    let scoped = keys::token(&["subscribe:default/mine/#", "publish:default/mine/${sub}"]);
    for (over, level) in [(Over::Tcp, Level::V4), (Over::WebSocket, Level::V5)] {
        let denied = if level.is_v5() { ReasonCode::NotAuthorized } else { ReasonCode::UnspecifiedError };
        let mut witness = Client::connect(&server, over, &everything);
        assert_eq!(witness.subscribe(&["#"], Qos::AtMostOnce), [OK]);
        let mut client = Client::connect(&server, over, &Hello { level, ..Hello::with_token(&scoped) });
        let codes = client.subscribe(&["mine/x", "yours", "#", "mine/+"], Qos::AtMostOnce);
        assert_eq!(codes, [OK, denied, denied, OK]);
        assert_eq!(client.subscribe(&["$share/g/yours"], Qos::AtMostOnce), [denied]);
        client.publish("yours", "denied");
        client.publish("mine/ben", "denied");
        client.publish("mine/ann", "allowed");
        assert_eq!(witness.hear(), message("mine/ann", "allowed"));
        assert_eq!(client.hear(), message("mine/ann", "allowed"));
        // MQTT 3 has no word for it: taken and dropped, or it would come again for ever.
        client.send(&client.publication("yours", "denied", 4));
        let reason = if level.is_v5() { ReasonCode::NotAuthorized } else { OK };
        assert_eq!(client.hear(), Heard::Ack(AckKind::Puback, 4, reason));
        witness.hears_nothing();
    }
    assert!(server.gateway.metrics.render().contains("denied"));
}

#[test]
fn kinds_are_told_apart_and_sent_as_their_bytes() {
    let server = start();
    let mut client = connect(&server, Over::Tcp, Level::V4);
    client.publish("k/text", "grüße");
    let binary = client.packet(&Publish { topic: "k/binary", payload: b"\xff\0\xfe", ..Publish::default() });
    client.send(&binary);
    client.hears_nothing();
    let kind_of = |topic: &str| {
        let filter = server.gateway.filter(topic).unwrap();
        let page = server.gateway.core.page("default", &filter, 0, 9, 1 << 20, true).unwrap().unwrap();
        page.messages.last().unwrap().kind
    };
    assert_eq!([kind_of("k/text"), kind_of("k/binary")], [Kind::Text, Kind::Binary]);
    assert_eq!(client.subscribe(&["k/json"], Qos::AtMostOnce), [OK]);
    let topic = TopicName::new("k/json").unwrap();
    let json = Publication::new("default".into(), topic, Kind::Json, br#"{"a":1}"#.to_vec().into());
    let principal = Principal::anonymous(Grant::everything());
    server.gateway.core.publish(&principal, json, None, 1, None).unwrap();
    assert_eq!(client.hear(), message("k/json", r#"{"a":1}"#));
}

#[test]
fn large_payloads_arrive_whole() {
    let server = start();
    let text = "0123456789abcdef".repeat(40_000);
    for over in ALL {
        let mut client = connect(&server, over, Level::V5);
        assert_eq!(client.subscribe(&["large"], Qos::AtLeastOnce), [ReasonCode::GrantedQos1]);
        client.publish("large", &text);
        assert_eq!(client.hear(), message("large", &text));
        // One that the space does not take is refused, and the connection lives on.
        let too_large = "x".repeat((1 << 20) + 1);
        client.send(&client.publication("large", &too_large, 3));
        assert_eq!(client.hear(), Heard::Ack(AckKind::Puback, 3, ReasonCode::QuotaExceeded));
    }
    assert!(server.gateway.metrics.render().contains("message_too_large"));
}
