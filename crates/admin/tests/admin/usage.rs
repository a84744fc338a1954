//! What was used.

use serde_json::{Value, json};

use crate::support::Server;

#[test]
fn usage_is_told_by_day_space_and_door() {
    let server = Server::start();
    let _client = server.client(None);
    let publish = |space: &str, bytes: usize| {
        let body = json!({ "space": space, "topic": "t", "text": "x".repeat(bytes) });
        server.post("/admin/v1/publish", &body).json();
    };
    publish("chat", 10);
    publish("chat", 5_000);
    publish("game", 1);
    let usage = server.get("/admin/v1/usage?space=chat").json();
    let row = &usage["usage"][0];
    assert_eq!((&row["space"], &row["door"]), (&json!("chat"), &json!("operations")));
    assert_eq!((&row["messages_in"], &row["bytes_in"]), (&json!(2), &json!(5_010)));
    assert_eq!(row["chunks_in"], json!({ "1": 6, "2": 4, "5": 2, "10": 2, "32": 2 }));
    let day = row["day"].as_str().unwrap();
    let same = server.get(&format!("/admin/v1/usage?from={day}&to={day}&space=chat")).json();
    assert_eq!(same["usage"], usage["usage"]);
    let earlier = server.get("/admin/v1/usage?from=2020-01-01&to=2020-12-31").json();
    assert_eq!(earlier, json!({ "usage": [], "next": null }));
    let now = server.get("/admin/v1/usage/now").json();
    assert_eq!((&now["total"]["messages_in"], &now["connections_open"]), (&json!(3), &json!(1)));
    assert_eq!(now["doors"]["operations"]["messages_in"], 3);
    let chat = server.get("/admin/v1/usage/now?space=chat").json();
    assert_eq!((&chat["total"]["messages_in"], &chat["connections_open"]), (&json!(2), &Value::Null));
}

#[test]
fn usage_is_paged() {
    let server = Server::start();
    for space in ["a", "b", "c"] {
        server.post("/admin/v1/publish", &json!({ "space": space, "topic": "t", "text": "x" })).json();
    }
    let mut spaces = Vec::new();
    let mut after = String::new();
    loop {
        let page = server.get(&format!("/admin/v1/usage?limit=1{after}")).json();
        spaces.extend(page["usage"].as_array().unwrap().iter().map(|row| row["space"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", next.replace('/', "%2F")),
            None => break,
        }
    }
    assert_eq!(spaces, ["a", "b", "c"]);
    for query in ["from=x", "from=2026-02-30", "from=2026-01-02&to=2026-01-01", "from=2020-01-01", "after=x"] {
        let answer = server.get(&format!("/admin/v1/usage?{query}"));
        assert_eq!(answer.problem(), (400, "bad_request".into()), "{query}");
    }
}
