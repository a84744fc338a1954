//! A disk that fails.

use std::sync::Arc;

use fanfare_mqtt_codec::{AckKind, Level, Publish, Qos, ReasonCode};
use fanfare_testkit::{TestLog, TestServer, TestServerOptions};

use crate::client::{Client, Heard, Hello, WELCOME, id, refused};
use crate::link::{Over, server};

const FAILED: ReasonCode = ReasonCode::ImplementationSpecificError;

fn start() -> (Arc<TestLog>, TestServer) {
    let log = Arc::new(TestLog::default());
    let server = server(TestServerOptions { log: Some(log.clone()), ..TestServerOptions::default() });
    (log, server)
}

/// The disk refuses at once, or later.
fn broken(log: &TestLog, is_at_once: bool) {
    if is_at_once { log.set_failing(true) } else { log.set_losing(true) }
}

#[test]
fn a_publish_that_cannot_be_kept_is_refused_by_name_or_not_acknowledged() {
    for is_at_once in [true, false] {
        let (log, server) = start();
        let mut v5 = Client::connect(&server, Over::Tcp, &Hello::of(Level::V5));
        let mut v4 = Client::connect(&server, Over::Tcp, &Hello::of(Level::V4));
        broken(&log, is_at_once);
        v5.send(&v5.publication("t", "x", 1));
        assert_eq!(v5.hear(), Heard::Ack(AckKind::Puback, 1, FAILED));
        let qos = Qos::ExactlyOnce;
        let exact = v5.packet(&Publish { topic: "t", qos, packet_id: Some(id(2)), ..Publish::default() });
        v5.send(&exact);
        assert_eq!(v5.hear(), Heard::Ack(AckKind::Pubrec, 2, FAILED));
        v4.send(&v4.publication("t", "x", 1));
        assert_eq!(v4.hear(), Heard::End(None));
        // The disk is well again, and so is the client; the id is free.
        log.set_failing(false);
        log.set_losing(false);
        v5.send(&exact);
        assert_eq!(v5.hear(), Heard::Ack(AckKind::Pubrec, 2, ReasonCode::NoMatchingSubscribers));
    }
}

#[test]
fn a_subscription_that_cannot_be_kept_is_not_granted() {
    for is_at_once in [true, false] {
        let (log, server) = start();
        let mut lasting = Client::connect(&server, Over::Tcp, &Hello::lasting(Level::V5, "a"));
        let mut passing = Client::connect(&server, Over::Tcp, &Hello::of(Level::V5));
        broken(&log, is_at_once);
        lasting.send(&lasting.subscription(&["t"], Qos::AtLeastOnce, None));
        assert_eq!(lasting.hear(), Heard::Disconnect(FAILED));
        assert_eq!(lasting.hear(), Heard::End(None));
        // What lasts no longer than its connection needs no disk.
        assert_eq!(passing.subscribe(&["t"], Qos::AtLeastOnce), [ReasonCode::GrantedQos1]);
    }
}

#[test]
fn a_session_that_cannot_be_kept_does_not_begin() {
    for is_at_once in [true, false] {
        let (log, server) = start();
        broken(&log, is_at_once);
        for level in [Level::V4, Level::V5] {
            let (_, answer) = Client::greet(&server, Over::Tcp, &Hello::lasting(level, "a"));
            assert_eq!(answer, refused(ReasonCode::ServerUnavailable));
            assert_eq!(Client::greet(&server, Over::Tcp, &Hello::of(level)).1, WELCOME);
        }
        log.set_failing(false);
        log.set_losing(false);
        assert!(matches!(
            Client::greet(&server, Over::Tcp, &Hello::lasting(Level::V5, "a")).1,
            Heard::Connack { reason: ReasonCode::Success, .. }
        ));
    }
}

#[test]
fn answers_wait_for_the_disk() {
    let (log, server) = start();
    let mut client = Client::connect(&server, Over::Tcp, &Hello::lasting(Level::V5, "a"));
    log.hold();
    client.send(&client.publication("t", "x", 1));
    client.send(&client.subscription(&["t"], Qos::AtLeastOnce, None));
    client.hears_nothing();
    let mut other = Client::open(&server, Over::Tcp);
    other.level = Level::V5;
    other.send(&Hello::lasting(Level::V5, "b").bytes());
    log.let_go();
    assert!(matches!(client.hear(), Heard::Ack(AckKind::Puback, 1, _)));
    assert!(matches!(client.hear(), Heard::Suback(9, _)));
    assert_eq!(other.hear(), WELCOME);
}
