//! Applications: what `check` tells of them, and functions that run here.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use fanfare_aws::credentials::{Credential, Secret};
use serde_json::Value;

use crate::fanfare::Fanfare;
use crate::server::Server;

const APP: &str = "service: chat\n\
                   provider: { name: aws, runtime: provided.al2023, region: eu-west-3, environment: { ROOM: \"${param:room}\" } }\n\
                   functions:\n\
                   \x20 say:\n\
                   \x20   handler: bootstrap\n\
                   \x20   events: [{ websocket: $connect }, { websocket: $disconnect }, { websocket: $default }]\n";

/// A program that speaks the Runtime API: answers with the event, its environment and its process id, and writes
/// down which routes it was called for.
const BOOTSTRAP: &str = r#"#!/usr/bin/env python3
import json, os, urllib.request
base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(base + "next") as work:
        call, event = work.headers["Lambda-Runtime-Aws-Request-Id"], json.load(work)
    if "requestContext" in event:
        with open("routes.log", "a") as log:
            log.write(event["requestContext"]["routeKey"] + "\n")
    answer = json.dumps({"statusCode": 200, "event": event, "environment": dict(os.environ), "pid": os.getpid()}).encode()
    urllib.request.urlopen(urllib.request.Request(base + call + "/response", data=answer, method="POST")).close()
"#;

fn with_app() -> Fanfare {
    let fanfare = Fanfare::new();
    fanfare.write("serverless.yml", APP);
    fanfare.write("bootstrap", BOOTSTRAP);
    let program = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(fanfare.folder().join("bootstrap"), program).unwrap();
    fanfare
}

#[test]
fn check_reads_an_application() {
    let fanfare = with_app();
    let done = fanfare.run(&["check", "--app", "serverless.yml"]);
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""), "{done:?}");
    assert!(done.err.starts_with("serverless.yml:2:") && done.err.contains("room"), "{done:?}");
    let done = fanfare.run(&["check", "--app", "serverless.yml", "--param", "room=red"]);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    assert!(done.out.ends_with("serverless.yml: no mistakes\n"), "{done:?}");
    assert!(!fanfare.folder().join(".fanfare").exists(), "checking leaves nothing behind");
    let done = fanfare.run(&["check", "--app", "serverless.yml", "--param", "room"]);
    assert!(done.code == Some(2) && done.err.contains("KEY=VALUE"), "{done:?}");
}

#[test]
fn functions_of_an_application_and_of_the_configuration_have_names_of_their_own() {
    let fanfare = with_app();
    fanfare.write("fanfare.toml", "app = 'serverless.yml'\n[functions.chat-dev-say]\nurl = 'http://a.example/'\n");
    let done = fanfare.run(&["serve", "--param", "room=red", "--listen", "127.0.0.1:0", "--in-memory"]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.err.contains("there is another function \"chat-dev-say\""), "{done:?}");
}

#[test]
fn an_api_of_the_configuration_may_call_functions_of_the_application() {
    let fanfare = with_app();
    let api = |function: &str| {
        format!(
            "app = 'serverless.yml'\napp_params.room = 'red'\n[[apigateway.apis]]\nid = 'more'\nstages.dev = {{}}\n\
             routes.x.integration = {{ kind = 'aws_proxy', function = '{function}' }}\n"
        )
    };
    fanfare.write("fanfare.toml", &api("say"));
    let done = fanfare.run(&["check"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "fanfare.toml: no mistakes\nserverless.yml: no mistakes\n"));
    fanfare.write("fanfare.toml", &api("shout"));
    let done = fanfare.run(&["check"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.err.starts_with("fanfare.toml:6:24: no function \"shout\""), "{done:?}");
}

#[test]
fn signatures_may_be_left_out_in_development_mode_only() {
    let fanfare = Fanfare::new();
    let api =
        "[apigateway]\nconnections_auth = 'none'\n[[apigateway.apis]]\nid = 'chat'\nstages.dev = {}\nroutes.x = {}\n";
    fanfare.write("fanfare.toml", api);
    assert_eq!(fanfare.run(&["check"]).code, Some(0));
    fanfare.write("fanfare.toml", &format!("{api}[auth]\nanonymous_allow = ['subscribe:default/a']\n"));
    let done = fanfare.run(&["check"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.err.starts_with("fanfare.toml:3:") && done.err.contains("connections_auth"), "{done:?}");
}

#[test]
fn a_function_of_an_application_runs_and_finds_its_way_back() {
    let fanfare = with_app();
    // Somebody may do something, so that keys count.
    fanfare.write("fanfare.toml", "[auth]\nanonymous_allow = ['subscribe:default/a']\nmetrics_open = true\n");
    let server = Server::start(&fanfare, &["--app", "serverless.yml", "--param", "room=red", "--stage", "live"]);
    let (port, page) = (server.address.port(), &server.page);
    for line in [
        format!("    connect    ws://localhost:{port}/live\n"),
        format!("    connect    wss://localhost:{port}/live\n"),
        format!("    callbacks  http://localhost:{port}/live/@connections/ID\n"),
    ] {
        assert!(page.contains(&line), "{line} is not in {page}");
    }
    let made = fanfare.run(&["credentials", "create", "sender", "--policy", "invoke", "--format", "json"]);
    let made: Value = serde_json::from_str(&made.out).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let key = Credential::new(text(&made["AccessKeyId"]), text(&made["SecretAccessKey"]), "sender");
    // Known within a second.
    let until = Instant::now() + Duration::from_secs(20);
    let (status, answer) = loop {
        let (status, answer) = server.invoke("say", r#"{"x": 1}"#, &key);
        if status != 403 || Instant::now() > until {
            break (status, answer);
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let of = |name: &str| answer["environment"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(answer["event"]["x"], 1);
    assert_eq!(
        (of("ROOM"), of("AWS_REGION"), of("AWS_DEFAULT_REGION")),
        ("red".into(), "eu-west-3".into(), "eu-west-3".into())
    );
    assert_eq!(of("AWS_LAMBDA_FUNCTION_NAME"), "chat-live-say");
    assert_eq!(of("AWS_ENDPOINT_URL"), format!("http://127.0.0.1:{port}"));
    assert_eq!(of("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"), format!("http://127.0.0.1:{port}/live"));
    for name in ["AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"] {
        let bundle = std::fs::read(of(name)).unwrap();
        assert!(server.post_securely(&bundle, "localhost").is_ok(), "{name}");
    }
    // Its own key calls back, with its token only.
    let mut own = Credential::new(of("AWS_ACCESS_KEY_ID"), of("AWS_SECRET_ACCESS_KEY"), "");
    assert_eq!(server.invoke("chat-live-say", "{}", &own).0, 403);
    own.session_token = Some(Secret::new(of("AWS_SESSION_TOKEN")));
    assert_eq!(server.invoke("chat-live-say", "{}", &own).0, 200);

    // Clients reach the API at the address that was printed, and at no other.
    let (status, client) = server.upgrade("/live");
    assert_eq!((status, server.upgrade("/dev").0), (101, 403));

    let metrics = server.get("/metrics").1;
    for line in [
        r#"fanfare_functions_calls_total{function="chat-live-say"} 3"#,
        r#"fanfare_functions_cold_starts_total{function="chat-live-say"} 1"#,
        r#"fanfare_functions_call_seconds_count{function="chat-live-say"} 3"#,
        r#"fanfare_functions_errors_total{function="chat-live-say",error="failed"} 0"#,
        "fanfare_apigateway_connects_total{api=",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(answer["pid"].as_i64().unwrap()).unwrap());
    assert!(nix::sys::signal::kill(pid, None).is_ok());
    assert_eq!(server.stop(), Some(0));
    assert!(nix::sys::signal::kill(pid, None).is_err(), "its processes end with the server");
    let routes = std::fs::read_to_string(fanfare.folder().join("routes.log")).unwrap();
    assert_eq!(routes, "$connect\n$disconnect\n", "it was told of those who were connected until the end");
    drop(client);
}
