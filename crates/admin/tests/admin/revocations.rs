//! Revoking, on live connections and across restarts.

use std::sync::Arc;

use fanfare_core::LogError;
use fanfare_testkit::TestServerOptions;
use serde_json::json;

use crate::support::{FakeLog, Server, operations, token};

fn server(log: &Arc<FakeLog>) -> Server {
    Server::with(operations(), TestServerOptions { log: Some(log.clone()), ..TestServerOptions::default() })
}

#[test]
fn a_revocation_ends_connections_and_outlives_the_server() {
    let log = FakeLog::new();
    let first = server(&log);
    let token_of_ann = token("ann", &["*:*/#"], &[]);
    let mut ann = first.client(Some(&token_of_ann));
    let revoked = first.post("/admin/v1/revoke", &json!({ "subject": "ann" })).json();
    assert_eq!(revoked["revoked"], json!({ "kind": "subject", "subject": "ann", "issued_before": null }));
    assert_eq!(ann.receive()["code"], "revoked");
    assert_eq!(ann.receive_close().0, 1008);
    first.post("/admin/v1/revoke", &json!({ "token_id": "t-1", "until": 4_000_000_000_000_u64 })).json();
    first.inner.drain(0);
    let second = server(&log);
    let listed = second.get("/admin/v1/revocations").json();
    assert_eq!(listed["total"], 2);
    assert_eq!(listed["revocations"][1]["until"], 4_000_000_000_000_u64);
    assert_eq!(second.get("/admin/v1/revocations?limit=1").json()["revocations"].as_array().unwrap().len(), 1);
    assert_eq!(second.get_as(Some(&token_of_ann), "/admin/v1/info").problem(), (401, "token_revoked".into()));
}

#[test]
fn everybody_before_a_time_is_revoked() {
    let server = Server::start();
    let (old, now) = (token("ann", &["admin:*/#"], &[]), server.inner.gateway.clock.now());
    server.post("/admin/v1/revoke", &json!({ "issued_before": now + 2_000 })).json();
    assert_eq!(server.get_as(Some(&old), "/admin/v1/info").problem(), (401, "token_revoked".into()));
    for body in
        [json!({}), json!({ "subject": "" }), json!({ "token": "x" }), json!({ "issued_before": 1_800_000_000 })]
    {
        assert_eq!(server.post("/admin/v1/revoke", &body).problem(), (400, "bad_request".into()), "{body}");
    }
    assert_eq!(server.get("/admin/v1/revocations").json()["total"], 1);
}

#[test]
fn a_revocation_that_is_not_kept_says_so() {
    let log = FakeLog::new();
    let server = server(&log);
    *log.failure.lock() = Some(LogError::Failing("disk full".into()));
    let answer = server.post("/admin/v1/revoke", &json!({ "subject": "ann" }));
    assert_eq!(answer.problem(), (503, "storage_unavailable".into()));
    // In force all the same.
    assert_eq!(server.get("/admin/v1/revocations").json()["total"], 1);
}
