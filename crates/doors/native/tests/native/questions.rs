//! Tickets, history, members, and what is not served.

use serde_json::{Value, json};

use crate::client::{get, post, request};
use crate::server::{publish, start, start_with, strict_gate, token};

#[test]
fn a_ticket_stands_for_a_token_once() {
    let server = start_with(|options| options.gate = Some(strict_gate()));
    let token = token(&["subscribe:default/mine"]);
    let reply = post(server.address, "/v1/tickets", "").bearer(&token).send();
    assert_eq!((reply.status, &reply.json()["expires_ms"]), (200, &json!(30_000)));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let ticket = reply.json()["ticket"].as_str().unwrap().to_owned();
    let further = post(server.address, format!("/v1/tickets?ticket={ticket}"), "").send();
    assert_eq!(further.refusal(), (400, "bad_request".into()));
    let path = format!("/v1/sse?topic=mine&ticket={ticket}");
    let mut stream = get(server.address, &path).open();
    stream.expect("ready");
    assert_eq!(get(server.address, &path).send().refusal(), (401, "ticket_unknown".into()));
    let other =
        post(server.address, "/v1/tickets", "").bearer(&token).send().json()["ticket"].as_str().unwrap().to_owned();
    let reply = get(server.address, format!("/v1/sse?topic=other&ticket={other}")).send();
    assert_eq!(reply.refusal(), (403, "denied".into()), "it allows what the token does");
    assert_eq!(post(server.address, "/v1/tickets", "").send().refusal(), (401, "unauthorized".into()));
}

#[test]
fn history_is_read_in_pages() {
    let server = start();
    let positions: Vec<_> = (0..5).map(|n| publish(&server, "a/b", n.to_string()).to_string()).collect();
    publish(&server, "other", "x");
    let read = |query: &str| get(server.address, format!("/v1/topics/a%2Fb/history{query}")).send().json();
    let texts = |answer: &Value| -> Vec<String> {
        let messages = answer["messages"].as_array().unwrap().iter();
        messages.map(|message| message["text"].as_str().unwrap().to_owned()).collect()
    };
    let first = read("?limit=2");
    assert_eq!(
        (texts(&first), &first["more"], &first["recovered"]),
        (vec!["0".into(), "1".into()], &json!(true), &json!(true))
    );
    assert_eq!(first["position"], positions[1]);
    let second = read(&format!("?since={}", positions[1]));
    assert_eq!((texts(&second), &second["more"]), (vec!["2".into(), "3".into(), "4".into()], &json!(false)));
    let lost = read("?since=ffffffffff-1");
    assert_eq!((texts(&lost).len(), &lost["recovered"]), (0, &json!(false)));
    for query in ["?since=x", "?limit=x", "?limit=-1", "?space=a%2Fb"] {
        assert_eq!(get(server.address, format!("/v1/topics/a/history{query}")).send().status, 400, "{query}");
    }
    assert_eq!(get(server.address, "/v1/topics/a%2F%23/history").send().refusal(), (400, "invalid_topic".into()));
    assert_eq!(get(server.address, "/v1/topics/%FF/history").send().refusal(), (400, "bad_request".into()));
}

#[test]
fn history_and_members_need_a_grant() {
    let server = start_with(|options| options.gate = Some(strict_gate()));
    let mine = token(&["history:default/mine", "presence:default/mine"]);
    for what in ["history", "members"] {
        let ask = |topic: &str| get(server.address, format!("/v1/topics/{topic}/{what}"));
        assert_eq!(ask("mine").bearer(&mine).send().status, 200);
        assert_eq!(ask("other").bearer(&mine).send().refusal(), (403, "denied".into()));
        assert_eq!(ask("mine").send().refusal(), (401, "unauthorized".into()));
    }
}

#[test]
fn members_are_read_in_pages() {
    let server = start();
    let topic = fanfare_core::TopicName::new("room").unwrap();
    for name in ["ann", "bob", "cat"] {
        let data = format!("{{\"name\":\"{name}\"}}").into();
        let everybody = crate::server::everybody();
        let space = server.gateway.default_space();
        server.gateway.core.enter(&everybody, space, &topic, &name.into(), data, 7).unwrap();
    }
    let first = get(server.address, "/v1/topics/room/members?limit=2").send().json();
    let ann = json!({"id": "ann", "since": 7, "data": {"name": "ann"}});
    assert_eq!((&first["topic"], &first["members"][0], &first["after"]), (&json!("room"), &ann, &json!("bob")));
    let second = get(server.address, "/v1/topics/room/members?after=bob").send().json();
    assert_eq!((second["members"].as_array().unwrap().len(), second.get("after")), (1, None));
    let nobody = get(server.address, "/v1/topics/empty/members").send().json();
    assert_eq!(nobody, json!({"topic": "empty", "members": []}));
}

#[test]
fn other_paths_and_methods_are_refused_in_json() {
    let server = start();
    for path in ["/v1", "/v1/", "/v1/nothing", "/v1/topics/a/b/history", "/v1/sse/"] {
        assert_eq!(get(server.address, path).send().refusal(), (404, "not_found".into()), "{path}");
    }
    for (method, path, allow) in [
        ("GET", "/v1/publish", "POST"),
        ("DELETE", "/v1/sse", "GET, POST"),
        ("HEAD", "/v1/sse", "GET, POST"),
        ("POST", "/v1/poll", "GET"),
        ("PUT", "/v1/topics/a/history", "GET, HEAD"),
    ] {
        let reply = request(server.address, method, path).send();
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allow)), "{method} {path}");
    }
    let reply = request(server.address, "OPTIONS", "/v1/sse").send();
    assert_eq!((reply.status, reply.header("allow")), (204, Some("GET, POST")));
}

#[test]
fn head_is_get_without_a_body() {
    let server = start();
    publish(&server, "t", "x");
    for path in ["/v1/topics/t/history", "/v1/topics/t/members", "/v1/openapi.json"] {
        let whole = get(server.address, path).send();
        let head = request(server.address, "HEAD", path).send();
        assert_eq!(head.status, 200);
        for name in ["content-type", "content-length", "cache-control"] {
            assert!(head.header(name).is_some() && head.header(name) == whole.header(name), "{path} {name}");
        }
    }
}

#[test]
fn pages_of_other_origins_are_let_in_where_policy_says() {
    let server = start();
    let page = "http://localhost:3000";
    let preflight = |origin: &str| {
        request(server.address, "OPTIONS", "/v1/publish")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "authorization,content-type")
            .send()
    };
    let reply = preflight(page);
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-origin"), Some(page));
    assert_eq!(reply.header("access-control-allow-headers"), Some("authorization,content-type"));
    assert!(reply.header("access-control-allow-methods").unwrap().contains("POST"));
    assert_eq!(preflight("https://evil.example").refusal(), (403, "origin".into()));
    let mut stream = get(server.address, "/v1/sse?topic=t").header("Origin", page).open();
    assert_eq!(stream.header("access-control-allow-origin"), Some(page));
    stream.expect("ready");
}
