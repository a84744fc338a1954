//! Spaces, topics, members, history, publishing.

use serde_json::{Value, json};

use crate::support::{Server, token};

fn publish(server: &Server, space: &str, topic: &str, text: &str) -> String {
    let body = json!({ "space": space, "topic": topic, "text": text });
    let answer = server.post("/admin/v1/publish", &body).json();
    answer["position"].as_str().unwrap().to_owned()
}

#[track_caller]
fn names(page: &Value, list: &str, name: &str) -> Vec<String> {
    page[list].as_array().unwrap().iter().map(|item| item[name].as_str().unwrap().to_owned()).collect()
}

#[test]
fn spaces_are_listed_in_pages_with_what_they_keep() {
    let server = Server::start();
    for space in ["c", "a", "b"] {
        publish(&server, space, "t", "hello");
    }
    let first = server.get("/admin/v1/spaces?limit=2").json();
    assert_eq!(names(&first, "spaces", "space"), ["a", "b"]);
    assert_eq!((&first["next"], &first["spaces"][0]["messages"]), (&json!("b"), &json!(1)));
    assert!(first["spaces"][0]["bytes"].as_u64() >= Some(5) && first["spaces"][0]["position"].is_string());
    let last = server.get("/admin/v1/spaces?limit=2&after=b").json();
    assert_eq!((names(&last, "spaces", "space"), &last["next"]), (vec!["c".to_owned()], &Value::Null));
}

#[test]
fn topics_are_listed_by_prefix_in_pages() {
    let server = Server::start();
    for topic in ["room/2", "room/1", "room/3", "lobby", "room"] {
        publish(&server, "default", topic, "x");
    }
    let first = server.get("/admin/v1/spaces/default/topics?prefix=room%2F&limit=2").json();
    assert_eq!(
        (names(&first, "topics", "topic"), &first["next"]),
        (vec!["room/1".into(), "room/2".into()], &json!("room/2"))
    );
    let last = server.get("/admin/v1/spaces/default/topics?prefix=room/&limit=2&after=room/2").json();
    assert_eq!((names(&last, "topics", "topic"), &last["next"]), (vec!["room/3".into()], &Value::Null));
    assert_eq!(server.get("/admin/v1/spaces/none/topics").problem(), (404, "not_found".into()));
    // Looking did not make it.
    assert_eq!(names(&server.get("/admin/v1/spaces").json(), "spaces", "space"), ["default"]);
}

#[test]
fn a_topic_is_shown_with_its_members() {
    let server = Server::start();
    let mut clients = Vec::new();
    for subject in ["bob", "ann", "eve"] {
        let mut client = server.client(Some(&token(subject, &["*:*/#"], &[])));
        let enter = json!({
            "type": "presence", "id": 5, "action": "enter", "space": "chat", "topic": "a/b", "data": { "name": subject },
        });
        assert_eq!(client.ask(&enter)["type"], "members");
        clients.push(client);
    }
    let shown = server.get("/admin/v1/spaces/chat/topics/a%2Fb").json();
    let expected = json!({ "topic": "a/b", "messages": 0, "members": 3, "retained": false, "subscribed": false });
    assert_eq!(shown, expected);
    let first = server.get("/admin/v1/spaces/chat/topics/a%2Fb/members?limit=2").json();
    assert_eq!((names(&first, "members", "id"), &first["next"]), (vec!["ann".into(), "bob".into()], &json!("bob")));
    assert_eq!(first["members"][0]["data"], json!({ "name": "ann" }));
    let last = server.get("/admin/v1/spaces/chat/topics/a%2Fb/members?limit=2&after=bob").json();
    assert_eq!((names(&last, "members", "id"), &last["next"]), (vec!["eve".into()], &Value::Null));
    for path in ["chat/topics/none", "none/topics/a", "chat/topics/none/members", "chat/topics/none/history"] {
        assert_eq!(server.get(&format!("/admin/v1/spaces/{path}")).problem(), (404, "not_found".into()), "{path}");
    }
    assert_eq!(server.get("/admin/v1/spaces/chat/topics/%23").problem(), (400, "invalid_topic".into()));
    assert_eq!(server.get("/admin/v1/spaces/chat/topics/%FF").problem(), (400, "bad_request".into()));
}

#[test]
fn history_is_read_in_pages_as_it_was_published() {
    let server = Server::start();
    let exact = r#"{"n":12345678901234567890.10,"s":"ä"}"#;
    let body = format!(r#"{{"topic":"a","data":{exact},"properties":{{"k":"v"}}}}"#);
    let answer =
        crate::support::http(server.inner.address, "POST", "/admin/v1/publish", Some(crate::support::KEY), Some(&body));
    answer.json();
    publish(&server, "default", "b", "between");
    let batch = json!({ "messages": [{ "topic": "a", "text": "two" }, { "topic": "a", "base64": "/w==" }] });
    let positions = server.post("/admin/v1/publish", &batch).json();
    assert_eq!(positions["positions"].as_array().unwrap().len(), 2);
    let page = server.get("/admin/v1/spaces/default/topics/a/history?limit=2");
    assert!(page.body.contains(exact), "{page:?}");
    let page = page.json();
    assert_eq!((&page["more"], &page["recovered"]), (&json!(true), &json!(true)));
    assert_eq!(
        (&page["messages"][0]["properties"], &page["messages"][1]["text"]),
        (&json!({ "k": "v" }), &json!("two"))
    );
    let next = page["next"].as_str().unwrap();
    assert_eq!(page["messages"][1]["position"], next);
    let rest = server.get(&format!("/admin/v1/spaces/default/topics/a/history?since={next}")).json();
    assert_eq!(rest["messages"].as_array().unwrap().len(), 1);
    assert_eq!((&rest["messages"][0]["base64"], &rest["next"]), (&json!("/w=="), &Value::Null));
    let lost = server.get("/admin/v1/spaces/default/topics/a/history?since=1-1").json();
    assert_eq!((&lost["recovered"], &lost["messages"]), (&json!(false), &json!([])));
    let refused = server.get("/admin/v1/spaces/default/topics/a/history?since=yesterday");
    assert_eq!(refused.problem(), (400, "bad_request".into()));
}

#[test]
fn publishing_reaches_subscribers_and_a_key_counts_once() {
    let server = Server::start();
    let mut client = server.client(None);
    assert_eq!(client.ask(&json!({ "type": "subscribe", "id": 2, "topic": "a" }))["type"], "subscribed");
    let body = json!({ "topic": "a", "data": { "x": 1 }, "key": "k" });
    let first = server.post("/admin/v1/publish", &body).json();
    assert_eq!(client.receive()["data"], json!({ "x": 1 }));
    let second = server.post("/admin/v1/publish", &body).json();
    assert_eq!((&second["position"], &second["duplicate"]), (&first["position"], &json!(true)));
    for (body, expected) in [
        (json!([]), (400, "bad_request")),
        (json!({ "messages": [] }), (400, "invalid_batch")),
        (json!({ "messages": [{ "topic": "a" }] }), (400, "bad_request")),
        (json!({ "messages": vec![json!({ "topic": "a", "text": "" }); 1_001] }), (400, "invalid_batch")),
        (
            json!({ "messages": [{ "topic": "a", "text": "" }, { "topic": "a", "space": "b", "text": "" }] }),
            (400, "invalid_batch"),
        ),
        (json!({ "topic": "", "text": "x" }), (400, "invalid_topic")),
        (json!({ "topic": "a", "text": "x", "properties": { "n": 1 } }), (400, "bad_request")),
    ] {
        let (status, code) = server.post("/admin/v1/publish", &body).problem();
        assert_eq!((status, code.as_str()), expected);
    }
}
