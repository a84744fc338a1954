//! Who is let in.

use fanfare_admin::Operations;
use fanfare_identity::AdminKeys;
use fanfare_testkit::TestServerOptions;
use serde_json::json;

use crate::support::{KEY, Server, operations, raw, token};

fn development() -> Operations {
    Operations { admin_keys: AdminKeys::default(), is_development: true, ..operations() }
}

#[test]
fn outside_development_mode_a_key_is_needed() {
    let server = Server::start();
    for path in ["/admin/v1/info", "/admin/v1/nothing", "/admin/v1/connections", "/metrics"] {
        let answer = server.get_as(None, path);
        assert_eq!(answer.problem(), (401, "unauthorized".into()), "{path}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"fanfare\""));
    }
    let wrong = "an-admin-key-for-tests-onlx";
    let answer = server.get_as(Some(wrong), "/admin/v1/info");
    assert_eq!(answer.problem(), (401, "unauthorized".into()));
    assert!(!answer.body.contains(wrong), "{answer:?}");
    assert_eq!(server.get_as(Some(KEY), "/admin/v1/info").status, 200);
    assert_eq!(server.get_as(Some(KEY), "/metrics").status, 200);
    assert_eq!(server.get_as(Some(KEY), "/admin/v1/nothing").problem(), (404, "not_found".into()));
    let basic =
        "GET /admin/v1/info HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Basic YTpi\r\n\r\n";
    assert_eq!(raw(server.inner.address, basic).problem(), (401, "unauthorized".into()));
}

#[test]
fn metrics_can_be_left_open() {
    let server = Server::with(Operations { metrics_open: true, ..operations() }, TestServerOptions::default());
    assert_eq!(server.get_as(None, "/metrics").status, 200);
    assert_eq!(server.get_as(None, "/admin/v1/info").status, 401);
}

#[test]
fn development_mode_is_open_under_local_names_only() {
    let server = Server::with(development(), TestServerOptions::default());
    assert_eq!(server.get_as(None, "/admin/v1/info").json()["development"], true);
    assert_eq!(server.get_as(None, "/metrics").status, 200);
    let with_host = |host: &str| {
        let request = format!("GET /admin/v1/info HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        raw(server.inner.address, &request)
    };
    assert_eq!(with_host("localhost:8080").status, 200);
    assert_eq!(with_host("[::1]:8080").status, 200);
    assert_eq!(with_host("rebound.example:8080").problem(), (403, "host".into()));
    // Who presents a credential is judged by it.
    assert_eq!(server.get_as(Some("no-key-at-all-0123"), "/admin/v1/info").problem().0, 401);
    let narrow = token("ann", &["publish:default/#"], &[]);
    assert_eq!(server.get_as(Some(&narrow), "/admin/v1/info").problem(), (403, "denied".into()));
}

#[test]
fn a_token_counts_for_the_spaces_that_it_administers() {
    let server = Server::start();
    for space in ["chat", "game"] {
        server.post("/admin/v1/publish", &json!({ "space": space, "topic": "a", "text": "x" })).json();
    }
    let chat = token("ann", &["admin:chat/#"], &[]);
    let get = |path: &str| server.get_as(Some(&chat), path).status;
    assert_eq!(get("/admin/v1/spaces/chat/topics"), 200);
    assert_eq!(get("/admin/v1/spaces/chat/topics/a/history"), 200);
    assert_eq!(get("/admin/v1/usage?space=chat"), 200);
    for path in [
        "spaces/game/topics",
        "spaces/game/topics/a",
        "spaces/none/topics",
        "usage",
        "usage?space=game",
        "usage/now",
        "connections",
        "connections/test.1",
        "revocations",
        "info",
    ] {
        let answer = server.get_as(Some(&chat), &format!("/admin/v1/{path}"));
        assert_eq!(answer.problem(), (403, "denied".into()), "{path}");
    }
    assert_eq!(server.get_as(Some(&chat), "/metrics").problem(), (403, "denied".into()));
    let spaces = server.get_as(Some(&chat), "/admin/v1/spaces").json();
    assert_eq!(spaces["spaces"].as_array().unwrap().len(), 1, "{spaces}");
    let publish = |space: &str| {
        let body = json!({ "space": space, "topic": "a", "text": "x" });
        server.post_as(Some(&chat), "/admin/v1/publish", &body).status
    };
    assert_eq!((publish("chat"), publish("game")), (200, 403));
    let mixed = json!({ "messages": [
        { "space": "chat", "topic": "a", "text": "x" }, { "space": "game", "topic": "a", "text": "x" },
    ] });
    assert_eq!(server.post_as(Some(&chat), "/admin/v1/publish", &mixed).status, 403);
    assert_eq!(server.post_as(Some(&chat), "/admin/v1/revoke", &json!({ "subject": "bob" })).status, 403);
    let history = server.get("/admin/v1/spaces/chat/topics/a/history").json();
    assert_eq!(history["messages"][1]["from"], "ann", "{history}");
}

#[test]
fn the_whole_server_takes_a_rule_without_bounds() {
    let server = Server::start();
    let status = |allow: &[&str], deny: &[&str]| {
        let token = token("*", allow, deny);
        server.get_as(Some(&token), "/admin/v1/connections").status
    };
    assert_eq!(status(&["admin:*/#"], &[]), 200);
    assert_eq!(status(&["*:*/*"], &[]), 200);
    assert_eq!(status(&["admin:*/#"], &["admin:secret/#"]), 403);
    assert_eq!(status(&["admin:${sub}/#"], &[]), 403);
    assert_eq!(status(&["publish:*/#", "subscribe:*/#"], &[]), 403);
    let nobody = token("ann", &["publish:*/#"], &[]);
    assert_eq!(server.get_as(Some(&nobody), "/admin/v1/spaces").problem(), (403, "denied".into()));
}

#[test]
fn a_token_that_does_not_count_says_why() {
    let server = Server::start();
    let good = token("ann", &["admin:*/#"], &[]);
    let changed = format!("{}x", &good[..good.len() - 2]);
    let (status, code) = server.get_as(Some(&changed), "/admin/v1/info").problem();
    assert_eq!(status, 401);
    assert!(code.starts_with("token_"), "{code}");
    server.post("/admin/v1/revoke", &json!({ "subject": "ann" })).json();
    assert_eq!(server.get_as(Some(&good), "/admin/v1/info").problem(), (401, "token_revoked".into()));
}
