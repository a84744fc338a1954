//! How connections end, and who is told.

use std::sync::Arc;
use std::time::Duration;

use fanfare_core::RecordTable;
use fanfare_testkit::{TestLog, eventually};
use serde_json::{Value, json};

use crate::client::{Client, Heard};
use crate::world::{Does, World, api, app, ok, routes};

fn world(options: &Value) -> World {
    let mut all = routes(&json!({}));
    all["options"] = options.clone();
    World::new(api(&all), |_| ok())
}

fn how_it_ended(world: &World) -> (Value, Value) {
    let context = world.events("DISCONNECT", 1).remove(0)["requestContext"].take();
    (context["disconnectStatusCode"].clone(), context["disconnectReason"].clone())
}

#[test]
fn the_client_closes() {
    let world = world(&json!({}));
    let mut client = Client::open(&world.server);
    client.close(4_001, "bye");
    assert!(matches!(client.hear(), Heard::Close(Some(4_001), _)));
    assert_eq!(how_it_ended(&world), (json!(4_001), json!("bye")));
}

#[test]
fn the_client_vanishes() {
    let world = world(&json!({}));
    drop(Client::open(&world.server));
    assert_eq!(how_it_ended(&world), (json!(1_006), json!("Connection closed abnormally")));
}

#[test]
fn nobody_says_anything() {
    let world = world(&json!({ "idle_timeout_s": 1 }));
    let mut client = Client::open(&world.server);
    assert_eq!(client.hear(), Heard::Close(Some(1_001), "Going away".to_owned()));
    assert_eq!(how_it_ended(&world).0, json!(1_001));
}

#[test]
fn it_has_been_open_for_too_long() {
    let world = world(&json!({ "max_duration_s": 1 }));
    let mut client = Client::open(&world.server);
    client.text("still here");
    assert_eq!(client.hear(), Heard::Close(Some(1_001), "Going away".to_owned()));
    assert_eq!(how_it_ended(&world).0, json!(1_001));
}

#[test]
fn bytes_are_not_taken() {
    let world = world(&json!({}));
    let mut client = Client::open(&world.server);
    client.binary(b"\x00\x01");
    assert!(matches!(client.hear(), Heard::Close(Some(1_003), _)));
    assert_eq!(how_it_ended(&world).0, json!(1_003));
}

#[test]
fn frames_and_messages_have_a_size() {
    let world = world(&json!({ "frame_bytes": 1_000, "message_bytes": 2_000 }));
    let mut client = Client::open(&world.server);
    client.text(&"x".repeat(1_000));
    world.events("MESSAGE", 1);
    client.text(&"x".repeat(1_001));
    assert!(matches!(client.hear(), Heard::Close(Some(1_009), _)));
    assert_eq!(how_it_ended(&world), (json!(1_009), json!("Message too long")));
}

#[test]
fn the_server_stops() {
    let world = world(&json!({}));
    let mut client = Client::open(&world.server);
    let (tx, rx) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || tx.send(client.hear()));
    let (server, events) = world.into_parts();
    server.drain(2_000);
    assert_eq!(rx.recv().unwrap(), Heard::Close(Some(1_001), "Going away".to_owned()));
    reader.join().unwrap().unwrap();
    let told =
        || events.lock().iter().any(|event| event["requestContext"]["disconnectStatusCode"] == 1_001).then_some(());
    assert_eq!(eventually(told), Some(()));
}

#[test]
fn a_server_that_stops_finishes_what_is_under_way() {
    let mut slow = app();
    slow["two_way"] = json!(true);
    let world = World::new(api(&routes(&json!({ "slow": slow }))), |event| match event["body"].as_str() {
        Some(_) => Does::Later(Duration::from_millis(700), json!({ "statusCode": 200, "body": "done" })),
        None => ok(),
    });
    let mut client = Client::open(&world.server);
    client.text(r#"{"action":"slow"}"#);
    world.events("MESSAGE", 1);
    let (server, events) = world.into_parts();
    let reader = std::thread::spawn(move || [client.hear(), client.hear()]);
    server.drain(5_000);
    let heard = reader.join().unwrap();
    assert_eq!(heard, [Heard::Text("done".to_owned()), Heard::Close(Some(1_001), "Going away".to_owned())]);
    let told = || events.lock().iter().any(|event| event["requestContext"]["eventType"] == "DISCONNECT").then_some(());
    assert_eq!(eventually(told), Some(()));
}

#[test]
fn who_does_not_finish_goes_with_the_time_of_the_drain() {
    let world = World::new(api(&routes(&json!({}))), |event| match event["body"].as_str() {
        Some(_) => Does::Hang,
        None => ok(),
    });
    let mut client = Client::open(&world.server);
    client.text("x");
    world.events("MESSAGE", 1);
    let (server, _) = world.into_parts();
    let reader = std::thread::spawn(move || client.hear());
    server.drain(500);
    assert_eq!(reader.join().unwrap(), Heard::Close(Some(1_001), "Going away".to_owned()));
}

#[test]
fn a_crash_is_told_by_the_next_start() {
    let log = Arc::new(TestLog::default());
    let first = World::with_log(api(&routes(&json!({}))), log.clone(), |_| ok());
    let client = Client::open(&first.server);
    let id = first.events("CONNECT", 1)[0]["requestContext"]["connectionId"].clone();
    let records = || Some(log.table(RecordTable::Connections)).filter(|records| records.len() == 1);
    let records = eventually(records).unwrap();
    drop(client);
    drop(first);
    // What a crash leaves: the record of a connection that nobody closed.
    let second_log = Arc::new(TestLog::default());
    for (key, value) in &records {
        second_log.set_record(RecordTable::Connections, key, value);
    }
    let second = World::with_log(api(&routes(&json!({}))), second_log.clone(), |_| ok());
    let event = second.events("DISCONNECT", 1).remove(0);
    assert_eq!(event["requestContext"]["connectionId"], id);
    assert_eq!(event["requestContext"]["disconnectStatusCode"], 1_006);
    let is_forgotten = || second_log.table(RecordTable::Connections).is_empty().then_some(());
    assert_eq!(eventually(is_forgotten), Some(()));
}
