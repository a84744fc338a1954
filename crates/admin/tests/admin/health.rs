//! Health, readiness, metrics, and the same over HTTP/2.

use std::sync::Arc;

use fanfare_core::LogError;
use fanfare_testkit::TestServerOptions;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;

use crate::support::{FakeLog, KEY, Server, http, operations};

#[test]
fn health_and_readiness_need_no_credential() {
    let server = Server::start();
    for path in ["/healthz", "/readyz"] {
        let answer = server.get_as(None, path);
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let answer = http(server.inner.address, "HEAD", "/healthz", None, None);
    assert_eq!((answer.status, answer.body.as_str(), answer.header("content-length")), (200, "", Some("2")));
    let answer = http(server.inner.address, "POST", "/readyz", None, None);
    assert_eq!(answer.problem(), (405, "method_not_allowed".into()));
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    assert_eq!(server.get_as(None, "/healthz/x").problem(), (404, "not_found".into()));
}

#[test]
fn a_draining_server_lives_and_is_not_ready() {
    let server = Server::start();
    server.inner.gateway.announce_drain();
    let answer = server.get_as(None, "/readyz");
    assert_eq!(answer.problem(), (503, "shutting_down".into()));
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert_eq!(server.get_as(None, "/healthz").status, 200);
    assert_eq!(server.get("/admin/v1/info").json()["draining"], true);
}

#[test]
fn a_server_whose_log_fails_is_not_ready_until_it_works_again() {
    let log = FakeLog::new();
    let server = Server::with(operations(), TestServerOptions { log: Some(log.clone()), ..Default::default() });
    *log.failure.lock() = Some(LogError::Failing(Arc::from("no space left on device")));
    let answer = server.get_as(None, "/readyz");
    assert_eq!(answer.problem(), (503, "storage_unavailable".into()));
    assert!(answer.body.contains("no space left on device"), "{answer:?}");
    let refused = server.post("/admin/v1/publish", &json!({ "topic": "a", "text": "x" }));
    assert_eq!(refused.problem(), (503, "storage_unavailable".into()));
    *log.failure.lock() = None;
    assert_eq!(server.get_as(None, "/readyz").status, 200);
}

#[test]
fn metrics_are_an_exposition_with_the_counts() {
    let log = FakeLog::new();
    let server = Server::with(operations(), TestServerOptions { log: Some(log), ..Default::default() });
    let _client = server.client(None);
    for _ in 0..2 {
        server.post("/admin/v1/publish", &json!({ "space": "chat", "topic": "a", "text": "hello" })).json();
    }
    server.get("/admin/v1/connections/none").problem();
    let answer = server.get("/metrics");
    let content_type = answer.header("content-type");
    assert_eq!(content_type, Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(answer.body.ends_with("# EOF\n"), "{}", answer.body);
    for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("fanfare_") && value.parse::<f64>().is_ok(), "{line}");
    }
    for line in [
        r#"fanfare_messages_in_total{space="chat",door="operations"} 2"#,
        r#"fanfare_bytes_in_total{space="chat",door="operations"} 10"#,
        "fanfare_connections_open 1",
        "fanfare_log_disk_bytes 4242",
        r#"fanfare_history_messages{space="chat"} 2"#,
        r#"fanfare_refusals_total{door="operations",code="not_found"} 1"#,
    ] {
        assert!(answer.body.lines().any(|shown| shown == line), "{line} is not in\n{}", answer.body);
    }
    // Each scrape asks anew, and asks once.
    let again = server.get("/metrics").body;
    assert!(again.lines().any(|line| line == "fanfare_log_disk_bytes 4242"), "{again}");
}

#[test]
fn the_same_is_answered_over_http_2() {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = server.inner.address;
    let (statuses, info) = runtime.block_on(async move {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let io = TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let mut statuses = Vec::new();
        let mut info = Vec::new();
        for (path, key) in [("/healthz", ""), ("/admin/v1/info", ""), ("/admin/v1/info", KEY), ("/console/", "")] {
            let mut request = hyper::Request::get(format!("http://{address}{path}"));
            if !key.is_empty() {
                request = request.header("authorization", format!("Bearer {key}"));
            }
            let response = sender.send_request(request.body(Empty::<bytes::Bytes>::new()).unwrap()).await.unwrap();
            statuses.push(response.status().as_u16());
            if !key.is_empty() {
                info = response.into_body().collect().await.unwrap().to_bytes().to_vec();
            }
        }
        (statuses, info)
    });
    assert_eq!(statuses, [200, 401, 200, 200]);
    let info: serde_json::Value = serde_json::from_slice(&info).unwrap();
    assert_eq!((info["version"].as_str(), info["node"].as_str()), (Some("1.2.3-test"), Some("test")));
    assert_eq!(info["doors"], json!(["native", "operations"]));
    assert_eq!(info["limits"]["topic_bytes"], 1_024);
}
