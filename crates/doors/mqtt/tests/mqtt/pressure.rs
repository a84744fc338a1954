//! Clients that are faster than the disk, or slower than everybody else.

use std::sync::Arc;
use std::time::Duration;

use fanfare_core::{Grant, Principal};
use fanfare_door::DriverLimits;
use fanfare_mqtt::MqttOptions;
use fanfare_mqtt_codec::{AckKind, Level, Publish, Qos, ReasonCode};
use fanfare_testkit::{TestLog, TestServerOptions, eventually};

use crate::client::{Client, Heard, Hello, PING, id};
use crate::link::{ALL, Over, server_with};

#[test]
fn a_client_that_is_faster_than_the_disk_is_held_and_not_dropped() {
    std::thread::scope(|scope| ALL.into_iter().for_each(|over| drop(scope.spawn(move || hold_back(over)))));
}

fn hold_back(over: Over) {
    let log = Arc::new(TestLog::default());
    let limits = DriverLimits { ping_interval_ms: 400, ..DriverLimits::default() };
    let options = TestServerOptions { log: Some(log.clone()), limits, ..TestServerOptions::default() };
    let server = server_with(MqttOptions::default(), options);
    // That it is not heard every second is not its fault: nobody listens.
    let mut client = Client::connect(&server, over, &Hello { keep_alive: 1, ..Hello::of(Level::V4) });
    log.hold();
    let packets: Vec<_> = (1..=5_000).flat_map(|n| client.publication("t", "x", n)).collect();
    client.send(&[packets, PING.into()].concat());
    assert_eq!(eventually(|| (log.queued() >= 1_024).then_some(())), Some(()));
    std::thread::sleep(Duration::from_millis(3_500));
    let taken = log.queued();
    assert!(taken < 1_100, "{taken} wait for the disk, {over:?}");
    log.let_go();
    // The answer to the ping has nothing to wait for.
    let mut heard: Vec<_> = (0..5_001).map(|_| client.hear()).collect();
    heard.retain(|heard| *heard != Heard::Pong);
    assert_eq!(heard.len(), 5_000, "{over:?}");
    for (n, heard) in (1..).zip(heard) {
        assert!(matches!(heard, Heard::Ack(AckKind::Puback, id, _) if id == n), "{heard:?} {over:?}");
    }
}

#[test]
fn more_than_the_receive_maximum_is_an_error_of_the_client() {
    let log = Arc::new(TestLog::default());
    let options = TestServerOptions { log: Some(log.clone()), ..TestServerOptions::default() };
    let server = server_with(MqttOptions { receive_maximum: 4, ..MqttOptions::default() }, options);
    let mut client = Client::connect(&server, Over::Tcp, &Hello::of(Level::V5));
    log.hold();
    // Late PUBACKs are the disk's doing; what only the client can end is counted.
    let mut packets: Vec<_> = (1..=8).flat_map(|n| client.publication("t", "x", n)).collect();
    let exact = |client: &Client, n| {
        let publish = Publish { topic: "t", qos: Qos::ExactlyOnce, packet_id: Some(id(n)), ..Publish::default() };
        client.packet(&publish)
    };
    for n in 9..=12 {
        packets.extend(exact(&client, n));
    }
    client.send(&packets);
    client.hears_nothing();
    client.send(&exact(&client, 13));
    assert_eq!(client.hear(), Heard::Disconnect(ReasonCode::ReceiveMaximumExceeded));
    log.let_go();
}

#[test]
fn a_client_that_reads_nothing_fills_no_memory() {
    let options = TestServerOptions::default();
    let server = server_with(MqttOptions { queue_messages: 50, ..MqttOptions::default() }, options);
    // An identifier makes the session look at each message itself.
    let mut slow = Client::connect(&server, Over::Tcp, &Hello::of(Level::V5));
    slow.send(&slow.subscription(&["t"], Qos::AtMostOnce, Some(1)));
    assert!(matches!(slow.hear(), Heard::Suback(..)));
    let principal = Principal::anonymous(Grant::everything());
    let dropped = || server.gateway.metrics.render().contains("mqtt_dropped").then_some(());
    let is_dropping = eventually(|| {
        for _ in 0..20 {
            let publication = server.gateway.text("t", "x".repeat(60_000)).unwrap();
            server.gateway.core.publish(&principal, publication, None, server.gateway.clock.now(), None).unwrap();
        }
        dropped()
    });
    assert_eq!(is_dropping, Some(()));
    assert!(matches!(slow.hear(), Heard::Message(_)));
}
