//! Topics of the core, under the connections of an API.

use fanfare_core::{Grant, Principal};
use serde_json::{Value, json};

use crate::client::{Client, request};
use crate::world::{Does, World, api, ok, routes};

/// Results subscribe to what the client asks for.
fn world(more: &Value) -> World {
    let mut all = routes(&json!({
        "publish": { "integration": {
            "kind": "topic", "topic": "chat/${request.body.room}", "payload": "$request.body.data" } },
        "change": { "two_way": true, "integration": { "kind": "aws_proxy", "function": "app" } } }));
    for (name, value) in more.as_object().unwrap() {
        all[name] = value.clone();
    }
    World::new(api(&all), |event| {
        if let Some(topics) = event["queryStringParameters"]["topics"].as_str() {
            return Does::Answer(json!({ "statusCode": 200, "subscribe": topics.split(',').collect::<Vec<_>>() }));
        }
        let asked: Option<Value> = event["body"].as_str().and_then(|body| serde_json::from_str(body).ok());
        let Some(asked) = asked else { return ok() };
        Does::Answer(
            json!({ "statusCode": 200, "body": "done", "subscribe": asked["sub"], "unsubscribe": asked["unsub"] }),
        )
    })
}

fn publish(world: &World, topic: &str, text: &str) {
    let gateway = &world.server.gateway;
    let publication = gateway.text(topic, text.to_owned()).unwrap();
    let everybody = Principal::anonymous(Grant::everything());
    gateway.core.publish(&everybody, publication, None, gateway.clock.now(), None).unwrap();
}

#[test]
fn connect_subscribes() {
    let world = world(&json!({}));
    let mut client = Client::open_at(&world.server, "/dev?topics=chat/r1,news/*");
    publish(&world, "chat/r1", "one");
    assert_eq!(client.hear_text(), "one");
    let sent = request(&world.server, "POST", "/dev/@topics/chat/r1", b"{\"two\":2}");
    assert_eq!(sent.status, 200, "{}", sent.body);
    assert!(sent.body.starts_with(r#"{"position":""#));
    assert_eq!(client.hear_json(), json!({ "two": 2 }));
}

#[test]
fn a_topic_integration_needs_no_function() {
    let world = world(&json!({}));
    let mut reader = Client::open_at(&world.server, "/dev?topics=chat/r1");
    let mut writer = Client::open(&world.server);
    writer.text(r#"{"action":"publish","room":"r1","data":{"text":"hi"}}"#);
    assert_eq!(reader.hear_json(), json!({ "text": "hi" }));
    writer.hears_nothing();
    writer.text(r#"{"action":"publish"}"#);
    assert_eq!(writer.hear_json()["message"], "Internal server error");
    world.events("MESSAGE", 0);
    let metrics = world.server.gateway.metrics.render();
    let count = |name: &str, value: u32| metrics.contains(&format!("{name}_total{{api=\"chat1\"}} {value}\n"));
    // Two upgrades and two messages, of which one named no room.
    assert!(count("apigateway_integrations", 4) && count("apigateway_integration_errors", 1), "{metrics}");
}

#[test]
fn topics_of_a_connection_are_bounded() {
    let world = world(&json!({ "options": { "topics_per_connection": 2 } }));
    let mut client = Client::open_at(&world.server, "/dev?topics=a,b,c");
    for topic in ["a", "b", "c", "a"] {
        publish(&world, topic, topic);
    }
    let heard: Vec<_> = (0..3).map(|_| client.hear_text()).collect();
    assert_eq!(heard, ["a", "b", "a"]);
    assert!(world.server.gateway.metrics.render().contains("too_many_subscriptions"));
}

#[test]
fn clients_go_on_from_a_position() {
    let world = world(&json!({ "options": { "resume": true } }));
    let mut client = Client::open_at(&world.server, "/dev?topics=chat/r1&fanfare_resume=");
    let hello = client.hear_json();
    assert!(hello["position"].is_string() && hello["recovered"].is_null(), "{hello}");
    publish(&world, "chat/r1", "{\"n\":1}");
    let first = client.hear_json();
    assert_eq!((&first["topic"], &first["body"]), (&json!("chat/r1"), &json!({ "n": 1 })));
    drop(client);
    publish(&world, "chat/r1", "{\"n\":2}");
    let position = first["position"].as_str().unwrap();
    let mut client = Client::open_at(&world.server, &format!("/dev?topics=chat/r1&fanfare_resume={position}"));
    assert_eq!(client.hear_json()["recovered"], true);
    assert_eq!(client.hear_json()["body"], json!({ "n": 2 }));
    let mut client = Client::open_at(&world.server, "/dev?topics=chat/r1&fanfare_resume=nonsense");
    assert_eq!(client.hear_json()["recovered"], false);
}

#[test]
fn a_result_subscribes_and_unsubscribes() {
    let world = world(&json!({}));
    let mut client = Client::open(&world.server);
    // The answer leaves in the turn that subscribes.
    client.text(r#"{"action":"change","sub":["b","c"]}"#);
    assert_eq!(client.hear_text(), "done");
    publish(&world, "b", "one");
    assert_eq!(client.hear_text(), "one");
    client.text(r#"{"action":"change","unsub":"b"}"#);
    assert_eq!(client.hear_text(), "done");
    publish(&world, "b", "two");
    publish(&world, "c", "three");
    assert_eq!(client.hear_text(), "three");
}
