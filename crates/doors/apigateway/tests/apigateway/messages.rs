//! Messages: which route takes them, and what comes back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, Heard};
use crate::world::{Does, World, api, app, ok, routes};

fn two_way() -> Value {
    let mut route = app();
    route["two_way"] = json!(true);
    route
}

#[test]
fn routes_are_picked_by_the_expression() {
    let world = World::new(api(&routes(&json!({ "join": app() }))), |_| ok());
    let mut client = Client::open(&world.server);
    for text in [r#"{"action":"join","n":1}"#, r#"{"action":"other"}"#, "no JSON"] {
        client.text(text);
    }
    let mut seen: Vec<_> = world
        .events("MESSAGE", 3)
        .iter()
        .map(|event| {
            let key = event["requestContext"]["routeKey"].as_str().unwrap().to_owned();
            (event["body"].as_str().unwrap().to_owned(), key)
        })
        .collect();
    seen.sort();
    let expected =
        [(r#"{"action":"join","n":1}"#, "join"), (r#"{"action":"other"}"#, "$default"), ("no JSON", "$default")];
    let mut expected = expected.map(|(body, key)| (body.to_owned(), key.to_owned()));
    expected.sort();
    assert_eq!(seen, expected);
    client.hears_nothing();
}

#[test]
fn without_a_route_it_is_forbidden() {
    let world = World::new(api(&json!({ "routes": { "join": app() } })), |_| ok());
    let mut client = Client::open(&world.server);
    client.text("hello");
    let frame = client.hear_text();
    assert!(frame.starts_with(r#"{"message": "Forbidden", "connectionId":""#), "{frame}");
    let frame: Value = serde_json::from_str(&frame).unwrap();
    assert_eq!(frame["requestId"].as_str().map(str::len), Some(16));
}

#[test]
fn a_two_way_route_answers() {
    let world =
        World::new(api(&routes(&json!({ "echo": two_way(), "say": app() }))), |event| match event["body"].as_str() {
            Some(body) => Does::Answer(json!({ "statusCode": 200, "body": format!("<{body}>") })),
            None => ok(),
        });
    let mut client = Client::open(&world.server);
    client.text(r#"{"action":"say"}"#);
    client.text(r#"{"action":"echo"}"#);
    assert_eq!(client.hear(), Heard::Text(r#"<{"action":"echo"}>"#.to_owned()));
    client.hears_nothing();
}

#[test]
fn integrations_that_fail_are_told() {
    let hurried = json!({ "integration": { "kind": "aws_proxy", "function": "app", "timeout_ms": 50 } });
    let unknown = json!({ "integration": { "kind": "aws_proxy", "function": "nobody" } });
    let all = routes(&json!({ "slow": hurried, "gone": unknown }));
    let world = World::new(api(&all), |event| match event["requestContext"]["routeKey"].as_str() {
        Some("slow") => Does::Hang,
        Some("$default") => Does::Throw("broken"),
        _ => ok(),
    });
    let mut client = Client::open(&world.server);
    client.text("{}");
    assert_eq!(client.hear_json()["message"], "Internal server error");
    client.text(r#"{"action":"gone"}"#);
    assert_eq!(client.hear_json()["message"], "Internal server error");
    client.text(r#"{"action":"slow"}"#);
    assert_eq!(client.hear_json()["message"], "Endpoint request timed out");
}

#[test]
fn models_refuse_bodies() {
    let mut route = app();
    route["request_models"] = json!({ "$default": "Join" });
    let mut all = routes(&json!({ "join": route }));
    all["models"] = json!({ "Join": { "type": "object", "required": ["room"] } });
    let world = World::new(api(&all), |_| ok());
    let mut client = Client::open(&world.server);
    client.text(r#"{"action":"join"}"#);
    assert_eq!(client.hear_json()["message"], "Invalid request body");
    client.text(r#"{"action":"join","room":"r1"}"#);
    world.events("MESSAGE", 1);
}

#[test]
fn messages_of_an_ordered_api_wait_for_each_other() {
    let mut all = routes(&json!({ "echo": two_way() }));
    all["options"] = json!({ "ordered": true });
    let world = World::new(api(&all), |event| match event["body"].as_str() {
        Some(body) => Does::Answer(json!({ "statusCode": 200, "body": body })),
        None => ok(),
    });
    let mut client = Client::open(&world.server);
    for n in 0..500 {
        client.text(&format!(r#"{{"action":"echo","n":{n}}}"#));
    }
    let order: Vec<_> = (0..500).map(|_| client.hear_json()["n"].as_u64().unwrap()).collect();
    assert_eq!(order, (0..500).collect::<Vec<_>>());
}

#[test]
fn requests_have_a_rate() {
    let mut all = routes(&json!({}));
    all["options"] = json!({ "requests_per_second": 1, "requests_burst": 2 });
    let world = World::new(api(&all), |_| ok());
    let mut client = Client::open(&world.server);
    for _ in 0..4 {
        client.text("x");
    }
    assert_eq!(client.hear_json()["message"], "Too Many Requests");
    assert!(world.server.gateway.metrics.render().contains("too_many_requests"));
}

#[test]
fn bytes_in_base64_where_that_is_chosen() {
    let mut all = routes(&json!({}));
    all["options"] = json!({ "binary": "base64" });
    let world = World::new(api(&all), |_| ok());
    let mut client = Client::open(&world.server);
    client.binary(b"\x00\xff");
    let event = world.events("MESSAGE", 1).remove(0);
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("AP8="), &json!(true)));
}

#[test]
fn a_mock_answers_by_its_template() {
    let pong = json!({
        "two_way": true,
        "integration": {
            "kind": "mock", "request_templates": { "$default": "{\"statusCode\":200}" },
            "responses": [{ "key": "$default", "templates": { "$default": "{\"pong\":\"$context.connectionId\"}" } }] } });
    let world = World::new(api(&routes(&json!({ "ping": pong }))), |_| ok());
    let mut client = Client::open(&world.server);
    client.text(r#"{"action":"ping"}"#);
    assert_eq!(client.hear_json()["pong"].as_str().map(str::len), Some(16));
}

#[test]
fn a_connection_has_only_so_many_bytes_under_way() {
    let world = World::new(api(&routes(&json!({}))), |event| match event["body"].is_string() {
        true => Does::Later(Duration::from_millis(700), json!({ "statusCode": 200 })),
        false => ok(),
    });
    let mut client = Client::open(&world.server);
    let large = "x".repeat(30_000);
    (0..40).for_each(|_| client.text(&large));
    // The next ones are read when these are done.
    world.events("MESSAGE", 35);
    world.events("MESSAGE", 40);
}

#[test]
fn a_function_may_only_be_told() {
    let told = json!({ "two_way": true, "integration": {
        "kind": "aws", "function": "app",
        "request_parameters": { "integration.request.header.X-Amz-Invocation-Type": "'Event'" },
        "responses": [{ "key": "$default", "templates": { "$default": "taken" } }] } });
    let world =
        World::new(
            api(&routes(&json!({ "tell": told }))),
            |event| {
                if event["action"] == "tell" { Does::Hang } else { ok() }
            },
        );
    let mut client = Client::open(&world.server);
    client.text(r#"{"action":"tell","n":1}"#);
    assert_eq!(client.hear_text(), "taken");
    assert!(world.saw(&json!({ "action": "tell", "n": 1 })));
}
