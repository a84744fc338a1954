//! `POST /v1/publish`

use fanfare_door::DriverLimits;
use serde_json::{Value, json};

use crate::client::{get, post, request};
use crate::server::{start, start_with, strict_gate, token};
use fanfare_testkit::TestServer;

fn history(server: &TestServer, topic: &str) -> Vec<Value> {
    let reply = get(server.address, format!("/v1/topics/{topic}/history")).send();
    reply.json()["messages"].as_array().unwrap().clone()
}

#[test]
fn a_message_is_published_and_acknowledged() {
    let server = start();
    let body = r#"{"topic":"room-1","text":"hello","properties":{"a":"b"}}"#;
    let reply = post(server.address, "/v1/publish", body).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let position = reply.json()["position"].clone();
    let messages = history(&server, "room-1");
    assert_eq!(messages[0]["position"], position);
    assert_eq!(messages[0]["text"], "hello");
    assert_eq!(messages[0]["properties"], json!({"a": "b"}));
    let totals = server.gateway.meter.row(server.gateway.default_space(), "native", |row| row.clone());
    assert_eq!((totals.messages_in, totals.bytes_in), (1, 5));
}

#[test]
fn every_kind_of_payload_arrives_as_it_is() {
    let server = start();
    for body in
        [r#"{"topic":"t","data":null}"#, r#"{"topic":"t","data":{"a":[1]}}"#, r#"{"topic":"t","base64":"/wA="}"#]
    {
        assert_eq!(post(server.address, "/v1/publish", body).send().status, 200, "{body}");
    }
    let messages = history(&server, "t");
    assert_eq!(messages[0].get("data"), Some(&Value::Null));
    assert_eq!(messages[1]["data"], json!({"a": [1]}));
    assert_eq!(messages[2]["base64"], "/wA=");
}

#[test]
fn headers_and_a_time_to_live_travel_with_the_message() {
    let server = start();
    let headers = json!({
        "content_type": "image/png", "response_topic": "answers/1", "correlation_data": "/wA=", "utf8": false,
        "properties": [["b", "1"], ["a", "2"], ["b", "3"]],
    });
    let body = json!({ "topic": "t", "base64": "AA==", "headers": headers, "ttl_ms": 60_000 });
    assert_eq!(post(server.address, "/v1/publish", body.to_string()).send().status, 200);
    let raw = post(server.address, "/v1/publish?topic=t&ttl_ms=60000", "{}");
    assert_eq!(raw.header("Content-Type", "application/cloudevents+json").send().status, 200);
    let messages = history(&server, "t");
    assert_eq!(messages[0]["headers"], headers);
    assert_eq!(messages[0]["properties"], json!({ "b": "3", "a": "2" }));
    assert_eq!(messages[1]["headers"], json!({ "content_type": "application/cloudevents+json" }));
    for message in messages {
        let (time, end) = (message["time"].as_u64().unwrap(), message["expires_at"].as_u64().unwrap());
        assert!((time + 59_000..=time + 60_000).contains(&end), "{time} {end}");
    }
}

#[test]
fn headers_that_make_no_sense_are_refused_by_name() {
    let server = start();
    for (fields, word) in [
        (r#""headers":{"correlation_data":"?"}"#, "headers.correlation_data"),
        (r#""headers":{"response_topic":"a/#"}"#, "headers.response_topic"),
        (r#""headers":{"utf8":1}"#, "boolean"),
        (r#""ttl_ms":-1"#, "u64"),
        (r#""properties":{"a":1}"#, "properties.a"),
        (r#""properties":[]"#, "an object of strings"),
    ] {
        let reply = post(server.address, "/v1/publish", format!(r#"{{"topic":"t","text":"x",{fields}}}"#)).send();
        assert_eq!(reply.refusal(), (400, "bad_request".into()), "{fields}");
        assert!(reply.text().contains(word), "{fields}: {}", reply.text());
    }
    let raw = post(server.address, "/v1/publish?topic=t&ttl_ms=soon", "x").send();
    assert_eq!(raw.refusal(), (400, "bad_request".into()));
    assert!(history(&server, "t").is_empty());
}

#[test]
fn a_raw_body_is_the_payload() {
    let server = start();
    let send = |query: &str, content_type: Option<&str>, body: &[u8]| {
        let mut request = post(server.address, format!("/v1/publish?topic=a%2Fb{query}"), body);
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", content_type);
        }
        request.send()
    };
    assert_eq!(send("", None, b"plain").status, 200);
    assert_eq!(send("", Some("application/x-www-form-urlencoded"), b"a=1&b").status, 200);
    assert_eq!(send("", Some("text/plain;charset=utf-8"), "ä".as_bytes()).status, 200);
    assert_eq!(send("", Some("application/json"), b" {\"x\":\n1} ").status, 200);
    assert_eq!(send("", Some("application/octet-stream"), &[0xFF]).status, 200);
    let payloads = history(&server, "a%2Fb");
    assert_eq!(payloads[0]["text"], "plain");
    assert_eq!(payloads[1]["text"], "a=1&b");
    assert_eq!(payloads[2]["text"], "ä");
    assert_eq!(payloads[3]["data"], json!({"x": 1}));
    assert_eq!(payloads[4]["base64"], "/w==");
    assert_eq!(send("", Some("application/json"), b"{} {}").refusal(), (400, "bad_request".into()));
    assert_eq!(send("", Some("application/json"), b"\"\xFF\"").refusal(), (400, "bad_request".into()));
    assert_eq!(send("", None, &[0xFF]).refusal(), (400, "bad_request".into()));
    assert_eq!(send("&retain=maybe", None, b"x").refusal(), (400, "bad_request".into()));
    assert_eq!(history(&server, "a%2Fb").len(), 5);
}

#[test]
fn space_key_and_retain_stand_in_the_query_of_a_raw_body() {
    let server = start();
    let path = "/v1/publish?topic=t&space=other&key=k1&retain=true";
    let first = post(server.address, path, "kept").send().json();
    let second = post(server.address, path, "kept").send().json();
    assert_eq!(first["position"], second["position"]);
    assert_eq!((first.get("duplicate"), &second["duplicate"]), (None, &json!(true)));
    let mut stream = get(server.address, "/v1/sse?topic=t&space=other").open();
    stream.expect("ready");
    let message = stream.expect("message");
    assert_eq!(
        (&message.data["retained"], message.text(), &message.data["space"]),
        (&json!(true), "kept", &json!("other"))
    );
    assert_eq!(post(server.address, "/v1/publish?key=k", r#"{"topic":"t","text":"x"}"#).send().status, 400);
}

#[test]
fn a_batch_is_published_whole_or_not_at_all() {
    let server = start();
    let batch =
        |messages: Value| post(server.address, "/v1/publish", json!({ "messages": messages }).to_string()).send();
    let good = json!({"topic": "b", "text": "1"});
    for (bad, code) in [
        (json!({"topic": "b/#", "text": "x"}), "invalid_topic"),
        (json!({"topic": "b"}), "bad_request"),
        (json!({"topic": "b", "text": "x", "space": "other"}), "invalid_batch"),
        (json!({"topic": "b", "base64": "?"}), "bad_request"),
        (json!("b"), "bad_request"),
    ] {
        let reply = batch(json!([good, bad]));
        assert_eq!(reply.refusal(), (400, code.to_owned()), "{bad}");
    }
    assert_eq!(batch(json!([])).refusal(), (400, "invalid_batch".into()));
    assert_eq!(batch(json!(vec![good.clone(); 1_001])).refusal(), (400, "invalid_batch".into()));
    let huge = json!({"topic": "b", "text": "x".repeat((1 << 20) + 1)});
    assert_eq!(batch(json!([good, huge])).refusal(), (413, "message_too_large".into()));
    assert_eq!(history(&server, "b"), [] as [Value; 0]);
    let positions = batch(json!(vec![good; 1_000])).json()["positions"].as_array().unwrap().clone();
    assert_eq!(positions.len(), 1_000);
    let last = get(server.address, "/v1/topics/b/history?limit=1000").send().json();
    assert_eq!(last["position"], positions[999]);
}

#[test]
fn the_message_names_what_is_wrong() {
    let server = start();
    let reply = post(server.address, "/v1/publish", r#"{"messages":[{"topic":"a","text":"1"},{"topic":""}]}"#).send();
    assert!(reply.json()["message"].as_str().unwrap().starts_with("messages[1]: "), "{}", reply.text());
    let reply = post(server.address, "/v1/publish", "hello").send();
    assert!(reply.text().contains("/v1/publish?topic="), "{}", reply.text());
}

#[test]
fn bodies_are_bounded() {
    let limits = DriverLimits { body_bytes: 1_000, ..DriverLimits::default() };
    let server = start_with(|options| options.limits = limits);
    let reply = post(server.address, "/v1/publish?topic=t", vec![b'x'; 1_001]).send();
    assert_eq!(reply.refusal(), (413, "message_too_large".into()));
    let mut chunked = request(server.address, "POST", "/v1/publish?topic=t").header("Transfer-Encoding", "chunked");
    chunked = chunked.header("Content-Type", "text/plain");
    // Its length is known only at its end.
    let reply = chunked.send_chunked(&[&[b'x'; 600], &[b'x'; 600]]);
    assert_eq!(reply.refusal(), (413, "message_too_large".into()));
    assert_eq!(post(server.address, "/v1/publish?topic=t", vec![b'x'; 1_000]).send().status, 200);
}

#[test]
fn a_token_publishes_where_its_rules_allow() {
    let server = start_with(|options| options.gate = Some(strict_gate()));
    let token = token(&["publish:default/mine/*"]);
    let publish = |topic: &str| post(server.address, format!("/v1/publish?topic={topic}"), "x");
    assert_eq!(publish("mine/a").bearer(&token).send().status, 200);
    let reply = publish("other").bearer(&token).send();
    assert_eq!(reply.refusal(), (403, "denied".into()));
    let reply = publish("mine/a").send();
    assert_eq!(reply.refusal(), (401, "unauthorized".into()));
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    let reply = publish("mine/a").header("Authorization", "Basic YTpi").send();
    assert_eq!(reply.refusal(), (401, "token_malformed".into()));
    let reply = post(server.address, format!("/v1/publish?topic=mine%2Fa&token={token}"), "x").send();
    assert_eq!(reply.refusal(), (400, "bad_request".into()));
    assert!(reply.text().contains("ticket"), "{}", reply.text());
}
