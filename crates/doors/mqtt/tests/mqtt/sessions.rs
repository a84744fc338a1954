//! Sessions that wait for their clients: what they miss while they are away, they get.

use std::sync::Arc;

use fanfare_core::{Grant, HistorySettings, Principal, RecordTable, SpaceSettings};
use fanfare_mqtt::MqttOptions;
use fanfare_mqtt_codec::{AckKind, Level, Publish, Qos, ReasonCode};
use fanfare_testkit::{TestLog, TestServer, TestServerOptions, eventually};

use crate::client::{Client, Heard, Hello, Message, WELCOME, WELCOME_BACK};
use crate::link::{Over, server, server_with};

fn over(log: &Arc<TestLog>, space: SpaceSettings) -> TestServer {
    server(TestServerOptions { log: Some(log.clone()), space, ..TestServerOptions::default() })
}

fn history(settings: HistorySettings) -> SpaceSettings {
    SpaceSettings { history: settings, ..SpaceSettings::default() }
}

/// Publishes `from..to` as quality 1 beside clients.
fn publish(server: &TestServer, topic: &str, numbers: std::ops::Range<usize>) {
    let principal = Principal::anonymous(Grant::everything());
    for number in numbers {
        let publication = server.gateway.text(topic, number.to_string()).unwrap();
        server.gateway.core.publish(&principal, publication, None, server.gateway.clock.now(), None).unwrap();
    }
}

/// A client with a session that subscribes in this quality, and goes away.
fn subscribe_and_go(server: &TestServer, hello: &Hello, filters: &[&str], qos: Qos) {
    let mut client = Client::connect(server, Over::Tcp, hello);
    client.subscribe(filters, qos);
    client.disconnect();
}

fn come_back(server: &TestServer, hello: &Hello) -> Client {
    let (client, answer) = Client::greet(server, Over::Tcp, hello);
    assert_eq!(answer, WELCOME_BACK);
    client
}

fn number(message: Message) -> usize {
    String::from_utf8(message.payload).unwrap().parse().unwrap()
}

fn numbers(client: &mut Client, count: usize) -> Vec<usize> {
    (0..count).map(|_| number(client.take())).collect()
}

fn limits(server: &TestServer, name: &str) -> bool {
    server.gateway.metrics.render().contains(name)
}

#[test]
fn what_was_missed_comes_in_order_whether_it_is_in_memory_or_on_disk() {
    for memory_bytes in [64 << 20, 0] {
        let log = Arc::new(TestLog::default());
        let server = over(&log, history(HistorySettings { memory_bytes, ..HistorySettings::default() }));
        for level in [Level::V4, Level::V5] {
            let hello = Hello::lasting(level, &format!("away-{level:?}"));
            subscribe_and_go(&server, &hello, &["t/+"], Qos::AtLeastOnce);
            publish(&server, "t/x", 0..500);
            publish(&server, "other", 0..100);
            let mut client = come_back(&server, &hello);
            assert_eq!(numbers(&mut client, 250), (0..250).collect::<Vec<_>>());
            publish(&server, "t/y", 500..600);
            assert_eq!(numbers(&mut client, 350), (250..600).collect::<Vec<_>>());
            client.hears_nothing();
        }
    }
}

#[test]
fn what_is_published_while_a_page_is_read_from_disk_is_not_lost() {
    let log = Arc::new(TestLog::default());
    let server = Arc::new(over(&log, history(HistorySettings { memory_bytes: 0, ..HistorySettings::default() })));
    let hello = Hello::lasting(Level::V5, "page");
    subscribe_and_go(&server, &hello, &["t"], Qos::AtLeastOnce);
    publish(&server, "t", 0..3);
    let beside = server.clone();
    log.before_next_read(move || {
        publish(&beside, "t", 3..4);
        // Until the session has been brought it, and has left it to the log.
        std::thread::sleep(std::time::Duration::from_millis(200));
    });
    let mut client = come_back(&server, &hello);
    assert_eq!(numbers(&mut client, 4), [0, 1, 2, 3]);
    client.hears_nothing();
}

#[test]
fn what_was_not_acknowledged_comes_again_and_says_so() {
    let log = Arc::new(TestLog::default());
    let server = over(&log, SpaceSettings::default());
    let hello = Hello { window: Some(2), ..Hello::lasting(Level::V5, "again") };
    let mut client = Client::connect(&server, Over::Tcp, &hello);
    client.subscribe(&["t"], Qos::AtLeastOnce);
    publish(&server, "t", 0..5);
    let first = [client.hear(), client.hear()];
    client.hears_nothing();
    let Heard::Message(Message { id: Some(id), dup: false, .. }) = first[1] else { panic!("{first:?}") };
    client.ack(AckKind::Puback, id);
    let third = client.hear();
    drop(client);
    let mut client = come_back(&server, &hello);
    for before in [&first[0], &third] {
        let Heard::Message(before) = before else { panic!("{before:?}") };
        assert_eq!(client.take(), Message { dup: true, ..before.clone() });
    }
    assert_eq!(numbers(&mut client, 2), [3, 4]);
    client.hears_nothing();
}

#[test]
fn a_slow_client_catches_up_from_the_log_without_loss() {
    let log = Arc::new(TestLog::default());
    let options = TestServerOptions { log: Some(log), ..TestServerOptions::default() };
    let server = server_with(MqttOptions { queue_messages: 5, ..MqttOptions::default() }, options);
    let hello = Hello { window: Some(3), ..Hello::lasting(Level::V5, "slow") };
    let mut client = Client::connect(&server, Over::Tcp, &hello);
    client.subscribe(&["t"], Qos::AtLeastOnce);
    publish(&server, "t", 0..2_000);
    assert_eq!(eventually(|| limits(&server, "mqtt_queue").then_some(())), Some(()), "memory is not for all of them");
    assert_eq!(numbers(&mut client, 2_000), (0..2_000).collect::<Vec<_>>());
    client.hears_nothing();
}

#[test]
fn sessions_outlast_the_server() {
    let log = Arc::new(TestLog::default());
    let hello = Hello::lasting(Level::V5, "outlasts");
    let first = over(&log, SpaceSettings::default());
    let mut client = Client::connect(&first, Over::Tcp, &hello);
    client.subscribe(&["t"], Qos::ExactlyOnce);
    let mut publisher = Client::connect(&first, Over::Tcp, &Hello::of(Level::V5));
    let packet_id = Some(crate::client::id(1));
    let (qos, payload) = (Qos::ExactlyOnce, b"2".as_slice());
    let packet = publisher.packet(&Publish { topic: "t", payload, qos, packet_id, ..Publish::default() });
    publisher.send(&packet);
    let got = client.take();
    let id = got.id.unwrap();
    assert_eq!((got.qos, client.hear()), (qos, Heard::Ack(AckKind::Pubrel, id, ReasonCode::Success)));
    drop(client);
    assert_eq!(eventually(|| (first.gateway.connection_count() == 1).then_some(())), Some(()));
    publish(&first, "t", 0..3);
    drop(first);
    let second = over(&log, SpaceSettings::default());
    let mut client = come_back(&second, &hello);
    assert_eq!(client.hear(), Heard::Ack(AckKind::Pubrel, id, ReasonCode::Success), "the message does not come again");
    client.ack(AckKind::Pubcomp, id);
    assert_eq!(numbers(&mut client, 3), [0, 1, 2]);
    client.hears_nothing();
}

#[test]
fn a_message_of_quality_2_is_taken_once_across_a_crash() {
    let log = Arc::new(TestLog::default());
    let hello = Hello::lasting(Level::V5, "once");
    let first = over(&log, SpaceSettings::default());
    let mut client = Client::connect(&first, Over::Tcp, &hello);
    let packet = |client: &Client, dup| {
        let packet_id = Some(crate::client::id(7));
        let qos = Qos::ExactlyOnce;
        client.packet(&Publish { topic: "t", payload: b"1", qos, packet_id, dup, ..Publish::default() })
    };
    client.send(&packet(&client, false));
    let pubrec = |reason| Heard::Ack(AckKind::Pubrec, 7, reason);
    assert_eq!(client.hear(), pubrec(ReasonCode::NoMatchingSubscribers));
    drop(first);
    let second = over(&log, SpaceSettings::default());
    let mut client = come_back(&second, &hello);
    client.send(&packet(&client, true));
    assert_eq!(client.hear(), pubrec(ReasonCode::Success));
    client.ack(AckKind::Pubrel, 7);
    assert_eq!(client.hear(), Heard::Ack(AckKind::Pubcomp, 7, ReasonCode::Success));
    let filter = second.gateway.filter("t").unwrap();
    let page = second.gateway.core.page("default", &filter, 0, 9, 1 << 20, false).unwrap().unwrap();
    assert_eq!(page.messages.len(), 1);
    client.ack(AckKind::Pubrel, 7);
    let unknown = Heard::Ack(AckKind::Pubcomp, 7, ReasonCode::PacketIdentifierNotFound);
    assert_eq!(client.hear(), unknown, "it was released");
}

#[test]
fn without_history_messages_are_kept_for_sessions_until_they_end() {
    let log = Arc::new(TestLog::default());
    let server = over(&log, history(HistorySettings { count: 0, ..HistorySettings::default() }));
    let hello = Hello::lasting(Level::V5, "held");
    subscribe_and_go(&server, &hello, &["held/#"], Qos::AtLeastOnce);
    publish(&server, "held/x", 0..50);
    publish(&server, "nobody", 0..50);
    let core = &server.gateway.core;
    let topics: Vec<_> =
        core.topics("default", "", None, 9).into_iter().map(|t| (t.topic.to_string(), t.messages)).collect();
    assert_eq!(topics, [("held/x".to_owned(), 50)]);
    let mut client = come_back(&server, &hello);
    assert_eq!(numbers(&mut client, 50), (0..50).collect::<Vec<_>>());
    client.disconnect();
    // A clean start ends the session, and with it the hold.
    Client::connect(&server, Over::Tcp, &Hello { is_clean: true, expiry_s: None, ..hello }).disconnect();
    publish(&server, "held/y", 0..50);
    assert!(core.topics("default", "held/y", None, 9).iter().all(|topic| topic.messages == 0));
    assert_eq!(eventually(|| log.table(RecordTable::Sessions).is_empty().then_some(())), Some(()));
}

#[test]
fn unsubscribing_and_quality_0_let_go_of_what_was_held() {
    let server = over(&Arc::default(), history(HistorySettings { count: 0, ..HistorySettings::default() }));
    let hello = Hello::lasting(Level::V5, "lets-go");
    let kept = |topic: &str| {
        publish(&server, topic, 0..1);
        server.gateway.core.topics("default", topic, None, 9).iter().any(|summary| summary.messages > 0)
    };
    let mut client = Client::connect(&server, Over::Tcp, &hello);
    client.subscribe(&["a", "b"], Qos::AtLeastOnce);
    client.subscribe(&["c"], Qos::AtMostOnce);
    client.unsubscribe(&["a"]);
    while !matches!(client.hear(), Heard::Unsuback(..)) {}
    client.disconnect();
    assert_eq!(["a", "b", "c"].map(kept), [false, true, false]);
    // Two sessions may want the same.
    let other = Hello::lasting(Level::V5, "the-other");
    subscribe_and_go(&server, &other, &["b"], Qos::AtLeastOnce);
    Client::connect(&server, Over::Tcp, &Hello { is_clean: true, expiry_s: None, ..hello }).disconnect();
    assert!(kept("b"));
    Client::connect(&server, Over::Tcp, &Hello { is_clean: true, expiry_s: None, ..other }).disconnect();
    publish(&server, "b2", 0..1);
    let before = server.gateway.core.topics("default", "b", None, 1)[0].messages;
    publish(&server, "b", 0..1);
    let after = server.gateway.core.topics("default", "b", None, 1);
    assert!(after.first().is_none_or(|summary| summary.messages <= before), "nobody holds it any more");
}

#[test]
fn messages_that_are_trimmed_before_a_session_had_them_are_counted() {
    let settings = HistorySettings { count: 10, held_count: 20, ..HistorySettings::default() };
    let server = over(&Arc::default(), history(settings));
    let hello = Hello::lasting(Level::V5, "gap");
    subscribe_and_go(&server, &hello, &["t"], Qos::AtLeastOnce);
    publish(&server, "t", 0..15);
    let mut client = come_back(&server, &hello);
    assert_eq!(numbers(&mut client, 15), (0..15).collect::<Vec<_>>(), "more than count, no more than held_count");
    client.disconnect();
    assert!(!limits(&server, "mqtt_session_gap"));
    publish(&server, "t", 15..50);
    let mut client = come_back(&server, &hello);
    assert_eq!(numbers(&mut client, 20), (30..50).collect::<Vec<_>>());
    client.hears_nothing();
    assert!(limits(&server, "mqtt_session_gap"));
}

#[test]
fn a_group_deals_each_message_once_and_takes_back_what_was_not_acknowledged() {
    let server = over(&Arc::default(), SpaceSettings::default());
    let mut members: Vec<_> = (0..3).map(|_| Client::connect(&server, Over::Tcp, &Hello::of(Level::V5))).collect();
    for member in &mut members {
        assert_eq!(member.subscribe(&["$share/g/t"], Qos::AtLeastOnce), [ReasonCode::GrantedQos1]);
    }
    publish(&server, "t", 0..30);
    let mut gone = members.remove(0);
    let unread: Vec<_> = (0..10).map(|_| gone.hear()).collect();
    assert!(unread.iter().all(|heard| matches!(heard, Heard::Message(_))));
    drop(gone);
    // How many come to whom depends on when the one that is gone was noticed.
    let mut heard = Vec::new();
    let is_all = eventually(|| {
        heard.extend(members.iter_mut().flat_map(Client::take_all).map(number));
        (heard.len() >= 30).then_some(())
    });
    assert_eq!(is_all, Some(()), "{heard:?}");
    heard.extend(members.iter_mut().flat_map(Client::take_all).map(number));
    heard.sort_unstable();
    assert_eq!(heard, (0..30).collect::<Vec<_>>());
}

#[test]
fn another_subject_does_not_get_the_session() {
    let server = server(TestServerOptions { gate: Some(crate::keys::closed_gate()), ..TestServerOptions::default() });
    let token = |sub| crate::keys::token_of(sub, &["*:default/*"]).into_bytes();
    let ann = Hello { password: Some(token("ann")), ..Hello::lasting(Level::V5, "owned") };
    assert_eq!(Client::greet(&server, Over::Tcp, &ann).1, WELCOME);
    let ben = Hello { password: Some(token("ben")), ..ann.clone() };
    let refused = crate::client::refused(ReasonCode::ClientIdentifierNotValid);
    assert_eq!(Client::greet(&server, Over::Tcp, &ben).1, refused);
    assert_eq!(Client::greet(&server, Over::Tcp, &ann).1, WELCOME_BACK);
}
