//! Connections: listing, closing, sending.

use std::collections::BTreeSet;

use fanfare_testkit::{TestServerOptions, eventually};
use serde_json::{Value, json};

use crate::support::{Client, Server, http, operations, token};

fn user(server: &Server, subject: &str) -> Client {
    server.client(Some(&token(subject, &["*:*/#"], &[])))
}

fn subscribe(client: &mut Client, space: &str, topic: &str) {
    let frame = json!({ "type": "subscribe", "id": 2, "space": space, "topic": topic });
    let answer = client.ask(&frame);
    assert_eq!(answer["type"], "subscribed", "{answer}");
}

#[test]
fn connections_are_listed_in_pages() {
    let server = Server::with(operations(), TestServerOptions { shards: 2, ..TestServerOptions::default() });
    let clients: Vec<_> = (0..5).map(|n| user(&server, &format!("user-{n}"))).collect();
    let mut listed: Vec<String> = Vec::new();
    let mut sizes = Vec::new();
    let mut after = String::new();
    loop {
        let page = server.get(&format!("/admin/v1/connections?limit=2{after}")).json();
        let connections = page["connections"].as_array().unwrap();
        sizes.push(connections.len());
        listed.extend(connections.iter().map(|c| c["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(sizes, [2, 2, 1]);
    let expected: BTreeSet<_> = clients.iter().map(|client| client.id.clone()).collect();
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expected);
    for query in ["limit=0", "limit=1001", "limit=x", "after=nonsense", "after=other.1"] {
        let answer = server.get(&format!("/admin/v1/connections?{query}"));
        assert_eq!(answer.problem(), (400, "bad_request".into()), "{query}");
    }
}

#[test]
fn one_connection_is_shown_until_it_is_gone() {
    let server = Server::start();
    let mut client = user(&server, "ann");
    subscribe(&mut client, "chat", "a");
    let path = format!("/admin/v1/connections/{}", client.id);
    let shown = server.get(&path).json();
    assert_eq!((shown["id"].as_str(), shown["subject"].as_str()), (Some(&*client.id), Some("ann")));
    assert_eq!((&shown["door"], &shown["subscriptions"]), (&json!("native"), &json!(["chat/a"])));
    drop(client);
    let gone = eventually(|| (server.get(&path).status == 404).then(|| server.get(&path)));
    assert_eq!(gone.unwrap().problem(), (404, "not_found".into()));
    for id in ["nonsense", "other.1", "test.ff00000000000000", "test.0"] {
        assert_eq!(server.get(&format!("/admin/v1/connections/{id}")).problem().0, 404, "{id}");
        assert_eq!(server.delete(&format!("/admin/v1/connections/{id}")).problem().0, 404, "{id}");
    }
    let answer = http(server.inner.address, "PUT", &path, Some(crate::support::KEY), None);
    assert_eq!(answer.problem(), (405, "method_not_allowed".into()));
    assert_eq!(answer.header("allow"), Some("GET, HEAD, DELETE"));
}

#[test]
fn a_kicked_client_is_told_why() {
    let server = Server::start();
    let mut client = user(&server, "ann");
    let path = format!("/admin/v1/connections/{}", client.id);
    assert_eq!(server.delete(&format!("{path}?reason={}", "x".repeat(124))).problem().0, 400);
    assert_eq!(server.delete(&format!("{path}?reason=be+kind%21")).json(), json!({ "closed": 1 }));
    let bye = client.receive();
    assert_eq!((&bye["type"], &bye["code"], &bye["retry"]), (&json!("bye"), &json!("kicked"), &json!(false)));
    assert_eq!(client.receive_close(), (1008, "be kind!".into()));
}

#[test]
fn all_connections_of_a_user_are_closed_together() {
    let server = Server::with(operations(), TestServerOptions { shards: 2, ..TestServerOptions::default() });
    let mut anns = [user(&server, "ann/ä"), user(&server, "ann/ä"), user(&server, "ann/ä")];
    let mut bob = user(&server, "bob");
    assert_eq!(server.delete("/admin/v1/users/ann%2F%C3%A4").json(), json!({ "closed": 3 }));
    for ann in &mut anns {
        assert_eq!(ann.receive()["code"], "kicked");
        assert_eq!(ann.receive_close().0, 1008);
    }
    assert_eq!(server.delete("/admin/v1/users/nobody").json(), json!({ "closed": 0 }));
    assert_eq!(bob.ask(&json!({ "type": "ping", "id": 9 }))["type"], "pong");
}

#[test]
fn messages_are_sent_to_a_connection_a_user_and_a_space() {
    let server = Server::with(operations(), TestServerOptions { shards: 2, ..TestServerOptions::default() });
    let (mut ann, mut other_ann, mut bob) = (user(&server, "ann"), user(&server, "ann"), user(&server, "bob"));
    subscribe(&mut bob, "chat", "a");
    let body = |payload: Value| {
        let mut body = json!({ "topic": "notice" });
        body.as_object_mut().unwrap().extend(payload.as_object().unwrap().clone());
        body
    };
    let sent = server.post(&format!("/admin/v1/connections/{}/send", ann.id), &body(json!({ "text": "one" })));
    assert_eq!(sent.json(), json!({ "sent": 1 }));
    let message = ann.receive();
    assert_eq!((&message["topic"], &message["text"]), (&json!("notice"), &json!("one")));
    assert!(message.get("position").is_none(), "it stands in no log: {message}");
    let sent = server.post("/admin/v1/users/ann/send", &body(json!({ "data": null })));
    assert_eq!(sent.json(), json!({ "sent": 2 }));
    for client in [&mut ann, &mut other_ann] {
        assert_eq!(client.receive().get("data"), Some(&Value::Null));
    }
    let sent = server.post("/admin/v1/spaces/chat/send", &body(json!({ "base64": "AAE=" })));
    assert_eq!(sent.json(), json!({ "sent": 1 }));
    let message = bob.receive();
    assert_eq!((&message["base64"], &message["space"]), (&json!("AAE="), &json!("chat")));
    assert_eq!(server.post("/admin/v1/users/nobody/send", &body(json!({ "text": "x" }))).json(), json!({ "sent": 0 }));
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let server = Server::start();
    let client = user(&server, "ann");
    let path = format!("/admin/v1/connections/{}/send", client.id);
    for (body, expected) in [
        (json!({}), (400, "bad_request")),
        (json!({ "topic": "a" }), (400, "bad_request")),
        (json!({ "topic": "a", "text": "x", "data": 1 }), (400, "bad_request")),
        (json!({ "topic": "a", "base64": "?" }), (400, "bad_request")),
        (json!({ "topic": "a", "text": "x", "retain": true }), (400, "bad_request")),
        (json!({ "topic": "a/#", "text": "x" }), (400, "invalid_topic")),
        (json!({ "topic": "a", "text": "x", "space": "a b" }), (400, "invalid_space")),
        (json!({ "topic": "a", "text": "x".repeat(1 << 20 | 1) }), (413, "message_too_large")),
        (json!({ "topic": "a", "text": "x".repeat(5 << 20) }), (413, "message_too_large")),
    ] {
        let (status, code) = server.post(&path, &body).problem();
        assert_eq!((status, code.as_str()), expected, "{}", &body.to_string()[..body.to_string().len().min(80)]);
    }
    let unknown = server.post("/admin/v1/connections/test.ffffff/send", &json!({ "topic": "a", "text": "x" }));
    assert_eq!(unknown.problem(), (404, "not_found".into()));
    let elsewhere = json!({ "topic": "a", "text": "x", "space": "game" });
    assert_eq!(server.post("/admin/v1/spaces/chat/send", &elsewhere).problem(), (400, "bad_request".into()));
    assert_eq!(server.get("/admin/v1/users/ann/send").header("allow"), Some("POST"));
}
