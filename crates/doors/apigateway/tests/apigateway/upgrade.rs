//! Who may come in.

use serde_json::json;

use crate::client::{Client, request};
use crate::world::{Does, HOST, World, api, app, ok, routes};

#[test]
fn connect_is_asked_and_sees_the_request() {
    let world = World::new(api(&routes(&json!({}))), |_| ok());
    let agent = [("user-agent", "demo/1"), ("x-Mixed-case", "kept")];
    let _client = Client::try_open(&world.server, "/dev?a=1&a=2", &agent).unwrap();
    let event = world.events("CONNECT", 1).remove(0);
    assert_eq!(event["headers"]["User-Agent"], "demo/1");
    assert_eq!(event["headers"]["x-Mixed-case"], "kept");
    assert_eq!(event["multiValueQueryStringParameters"]["a"], json!(["1", "2"]));
    let context = &event["requestContext"];
    assert_eq!((&context["routeKey"], &context["stage"]), (&json!("$connect"), &json!("dev")));
    assert_eq!(context["connectionId"].as_str().map(str::len), Some(16));
}

#[test]
fn connect_refuses_with_its_own_status_and_body() {
    let answer = || Does::Answer(json!({ "statusCode": 403, "body": "{\"why\":1}" }));
    let world = World::new(api(&routes(&json!({}))), move |_| answer());
    let reply = Client::try_open(&world.server, "/dev", &[]).err().unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (403, "{\"why\":1}"));
    world.events("DISCONNECT", 0);
}

#[test]
fn answers_that_are_none_are_502() {
    for does in ["null", "\"ok\"", "{}", "nonsense", "{\"statusCode\":\"ok\"}"] {
        let world = World::new(api(&routes(&json!({}))), move |_| Does::Bytes(does));
        let reply = Client::try_open(&world.server, "/dev", &[]).err().unwrap();
        assert_eq!(reply.status, 502, "{does}");
        assert!(reply.body.contains("Internal server error"), "{}", reply.body);
    }
    let world = World::new(api(&routes(&json!({}))), |_| Does::Throw("no"));
    assert_eq!(Client::try_open(&world.server, "/dev", &[]).err().unwrap().status, 502);
}

#[test]
fn connect_that_hangs_is_504() {
    let hurried = json!({ "integration": { "kind": "aws_proxy", "function": "app", "timeout_ms": 50 } });
    let world = World::new(api(&json!({ "routes": { "$connect": hurried } })), |_| Does::Hang);
    assert_eq!(Client::try_open(&world.server, "/dev", &[]).err().unwrap().status, 504);
}

#[test]
fn a_subprotocol_is_what_connect_says() {
    let answer = json!({ "statusCode": 200, "headers": { "Sec-WebSocket-Protocol": "b" } });
    let world = World::new(api(&routes(&json!({}))), move |_| Does::Answer(answer.clone()));
    let (_client, reply) = Client::try_open(&world.server, "/dev", &[("sec-websocket-protocol", "a, b")]).unwrap();
    assert_eq!(reply.header("sec-websocket-protocol"), Some("b"));
    let (_client, reply) = Client::try_open(&world.server, "/dev", &[("sec-websocket-protocol", "a")]).unwrap();
    assert_eq!(reply.header("sec-websocket-protocol"), None);
}

#[test]
fn an_authorizer_lets_in_and_its_context_stays() {
    let guarded = json!({
        "routes": { "$connect": { "authorization": "custom", "authorizer": "door", "integration": app()["integration"] },
                    "$default": app(), "$disconnect": app() },
        "authorizers": { "door": { "function": "app", "identity_sources": ["route.request.querystring.token"] } },
    });
    let world = World::new(api(&guarded), |event| {
        if event["type"] != "REQUEST" {
            return ok();
        }
        match event["queryStringParameters"]["token"].as_str() {
            Some("none") => Does::Throw("Unauthorized"),
            Some("odd") => Does::Answer(json!({ "principalId": "x" })),
            Some("broken") => Does::Throw("something else"),
            token => {
                let effect = if token == Some("good") { "Allow" } else { "Deny" };
                Does::Answer(json!({
                    "principalId": "user-17", "context": { "level": 3 },
                    "policyDocument": { "Statement": [{
                        "Effect": effect, "Action": "execute-api:Invoke", "Resource": event["methodArn"] }] } }))
            }
        }
    });
    let status = |path: &str| Client::try_open(&world.server, path, &[]).err().unwrap().status;
    assert_eq!(status("/dev"), 401);
    assert_eq!(status("/dev?token="), 401);
    assert_eq!(status("/dev?token=none"), 401);
    assert_eq!(status("/dev?token=bad"), 403);
    assert_eq!(status("/dev?token=odd"), 500);
    assert_eq!(status("/dev?token=broken"), 500);
    let mut client = Client::open_at(&world.server, "/dev?token=good");
    client.text("hello");
    let event = world.events("MESSAGE", 1).remove(0);
    assert_eq!(event["requestContext"]["authorizer"], json!({ "principalId": "user-17", "level": "3" }));
    drop(client);
    let event = world.events("DISCONNECT", 1).remove(0);
    assert_eq!(event["requestContext"]["authorizer"]["principalId"], "user-17");
}

#[test]
fn keys_are_needed_and_used_up() {
    let keyed = json!({
        "routes": { "$connect": { "api_key_required": true, "integration": app()["integration"] } },
        "api_keys": [{ "id": "k1", "value": "secret-key-one-of-twenty", "throttle": { "rate": 0.001, "burst": 2 } }],
    });
    let world = World::new(api(&keyed), |_| ok());
    let status = |headers: &[(&str, &str)]| match Client::try_open(&world.server, "/dev", headers) {
        Ok(_) => 101,
        Err(reply) => reply.status,
    };
    assert_eq!(status(&[]), 403);
    assert_eq!(status(&[("x-api-key", "wrong")]), 403);
    let good = [("x-api-key", "secret-key-one-of-twenty")];
    assert_eq!((status(&good), status(&good), status(&good)), (101, 101, 429));
    let event = world.events("CONNECT", 2).remove(0);
    assert_eq!(event["requestContext"]["identity"]["apiKeyId"], "k1");
}

#[test]
fn connects_have_a_rate() {
    let slow = json!({ "options": { "connects_per_second": 2 } });
    let world = World::new(api(&slow), |_| ok());
    let results: Vec<_> = (0..4).map(|_| Client::try_open(&world.server, "/dev", &[])).collect();
    let statuses: Vec<_> = results.iter().map(|result| result.as_ref().map_or_else(|r| r.status, |_| 101)).collect();
    assert_eq!(statuses[..2], [101, 101]);
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[test]
fn an_address_that_is_refused_too_often_is_not_listened_to() {
    let strict = json!({ "options": { "refusals_per_second": 2 }, "routes": { "$connect": app() } });
    let world = World::new(api(&strict), |_| Does::Answer(json!({ "statusCode": 401 })));
    let statuses: Vec<_> = (0..6).map(|_| Client::try_open(&world.server, "/dev", &[]).err().unwrap().status).collect();
    assert_eq!(statuses[0], 401);
    assert_eq!(statuses[5], 429, "{statuses:?}");
    assert!(world.server.gateway.metrics.render().contains("throttled"));
}

#[test]
fn paths_that_are_none() {
    let world = World::new(api(&routes(&json!({}))), |_| ok());
    assert_eq!(Client::try_open(&world.server, "/dev/more", &[]).err().unwrap().status, 403);
    assert_eq!(Client::try_open(&world.server, "/prod", &[]).err().unwrap().status, 403);
    assert_eq!(request(&world.server, "POST", "/prod/@connections/R1kmxc2VNjMCFIA=", b"").status, 403);
    let long = format!("/dev?q={}", "x".repeat(4_096));
    assert_eq!(Client::try_open(&world.server, &long, &[]).err().unwrap().status, 414);
    let plain = request(&world.server, "GET", "/dev", b"");
    assert_eq!((plain.status, plain.header("upgrade")), (426, Some("websocket")));
    assert_eq!(request(&world.server, "POST", "/dev/else", b"").status, 403);
    assert_eq!(request(&world.server, "GET", "/prod", b"").status, 404);
}

#[test]
fn pages_of_all_origins_may_come() {
    let world = World::new(api(&routes(&json!({}))), |_| ok());
    let origin = [("origin", "https://app.example.test")];
    assert!(Client::try_open(&world.server, "/dev", &origin).is_ok());
}

#[test]
fn handlers_are_not_sent_to_a_host_of_the_clients_choice() {
    let world = World::new(api(&routes(&json!({}))), |_| ok());
    let open = |host: &str| Client::open_as(&world.server, host);
    let _clients = [open("localhost"), open("gw.example:8443"), open("evil.test")];
    let events = world.events("CONNECT", 3);
    let names: Vec<_> = events.iter().map(|event| event["requestContext"]["domainName"].as_str().unwrap()).collect();
    assert_eq!(names, ["localhost", HOST, HOST]);
    assert_eq!(events[2]["headers"]["Host"], HOST);
    assert_eq!(events[2]["multiValueHeaders"]["Host"], json!([HOST]));
}
