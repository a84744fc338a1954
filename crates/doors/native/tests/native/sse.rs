//! `GET|POST /v1/sse`, as events and as lines.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use fanfare_core::HistorySettings;
use fanfare_door::DriverLimits;
use fanfare_identity::Revocation;
use fanfare_testkit::eventually;
use serde_json::json;

use crate::client::{get, post};
use crate::server::{is_subscribed, now, publish, start, start_with, strict_gate, token, token_for};

#[test]
fn a_stream_begins_with_where_it_stands() {
    let server = start();
    let before = publish(&server, "other", "x");
    let mut stream = get(server.address, "/v1/sse?topic=room").open();
    assert_eq!(stream.status, 200);
    assert_eq!(stream.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(stream.header("cache-control"), Some("no-store, no-transform"));
    assert_eq!(stream.header("x-accel-buffering"), Some("no"));
    let retry = stream.block().unwrap().retry.unwrap();
    assert!((2_000..=4_000).contains(&retry), "{retry}");
    let ready = stream.block().unwrap();
    assert_eq!((&*ready.name, ready.id.clone()), ("ready", Some(before.to_string())));
    assert_eq!(ready.data["position"], before.to_string());
    assert_eq!((&ready.data["ping_ms"], ready.data.get("recovered")), (&json!(15_000), None));
    assert!(ready.data["connection"].as_str().unwrap().starts_with("test."));
    let position = publish(&server, "room", "hello");
    let message = stream.expect("message");
    assert_eq!(message.id, Some(position.to_string()));
    assert_eq!((&message.data["topic"], message.text()), (&json!("room"), "hello"));
    assert_eq!(message.data.get("type"), None);
}

#[test]
fn each_connection_gets_its_own_retry() {
    let server = start();
    let retries: HashSet<_> =
        (0..12).map(|_| get(server.address, "/v1/sse?topic=t").open().block().unwrap().retry.unwrap()).collect();
    assert!(retries.len() > 1, "{retries:?}");
}

#[test]
fn json_over_several_lines_arrives_on_one() {
    let server = start();
    let mut events = get(server.address, "/v1/sse?topic=t").open();
    let mut lines = get(server.address, "/v1/sse?topic=t").header("Accept", "application/x-ndjson").open();
    events.expect("ready");
    assert_eq!(lines.object().unwrap()["type"], "ready");
    let body = "{\"topic\":\"t\",\"data\":{\r\n \"a\":\n\"x\\ny\"}}";
    assert_eq!(post(server.address, "/v1/publish", body).send().status, 200);
    assert_eq!(events.expect("message").data["data"], json!({"a": "x\ny"}));
    assert_eq!(lines.object().unwrap()["data"], json!({"a": "x\ny"}));
}

#[test]
fn the_last_event_id_counts_more_than_since() {
    let server = start();
    let positions: Vec<_> = (0..5).map(|n| publish(&server, "t", n.to_string()).to_string()).collect();
    let path = format!("/v1/sse?topic=t&since={}", positions[0]);
    let mut stream = get(server.address, &path).header("Last-Event-ID", &*positions[2]).open();
    let ready = stream.expect("ready");
    assert_eq!((&ready.data["recovered"], ready.id.as_ref()), (&json!(true), Some(&positions[2])));
    assert_eq!([stream.expect("message").text(), stream.expect("message").text()], ["3", "4"]);
    let mut stream = get(server.address, &path).header("Last-Event-ID", "").open();
    assert_eq!(stream.expect("ready").data["recovered"], json!(true));
    assert_eq!(stream.expect("message").text(), "1");
}

#[test]
fn a_place_that_is_lost_is_no_error_to_a_browser() {
    let server = start();
    let head = publish(&server, "t", "x").to_string();
    let open = || get(server.address, "/v1/sse?topic=t");
    let foreign = get(server.address, "/v1/sse?topic=t&since=ffffffffff-1");
    let named = ["nonsense", "ffffffffff-1", "0-0"].map(|id| open().header("Last-Event-ID", id));
    for request in named.into_iter().chain([foreign]) {
        let ready = request.open().expect("ready");
        assert_eq!((&ready.data["recovered"], ready.id.as_ref()), (&json!(false), Some(&head)));
    }
    let mut stream = open().header("Last-Event-ID", "nonsense").open();
    stream.expect("ready");
    let next = publish(&server, "t", "next").to_string();
    assert_eq!(stream.expect("message").id, Some(next), "it goes on from now");
    let refused = get(server.address, "/v1/sse?topic=t&since=nonsense").send();
    assert_eq!(refused.refusal(), (400, "bad_request".into()));
}

#[test]
fn a_request_says_what_it_wants_to_hear() {
    let server = start();
    for query in ["", "?space=a", "?topic=a%2B", "?pattern=a%23", "?topic=t&space=a%2Fb", "?topic=t&token=x"] {
        assert_eq!(get(server.address, format!("/v1/sse{query}")).send().status, 400, "{query}");
    }
    let many: Vec<_> = (0..33).map(|n| format!("topic={n}")).collect();
    assert_eq!(get(server.address, format!("/v1/sse?{}", many.join("&"))).send().status, 400);
    let body = json!({"topics": ["a", "a"], "patterns": ["a/+", "#"], "space": "s", "since": ""}).to_string();
    let mut stream = post(server.address, "/v1/sse", body).open();
    stream.expect("ready");
    for topic in ["a", "a/b", "c"] {
        let message = json!({"topic": topic, "text": topic, "space": "s"}).to_string();
        post(server.address, "/v1/publish", message).send();
    }
    for topic in ["a", "a/b", "c"] {
        assert_eq!(stream.expect("message").text(), topic, "each once, whatever number of filters match");
    }
    let mut stream = get(server.address, "/v1/sse?pattern=room/+").open();
    stream.expect("ready");
    publish(&server, "room/1", "x");
    assert_eq!(stream.expect("message").text(), "x");
}

#[test]
fn lines_carry_the_same() {
    let limits = DriverLimits { ping_interval_ms: 50, ..DriverLimits::default() };
    let server = start_with(|options| options.limits = limits);
    publish(&server, "t", "old");
    let mut stream = get(server.address, "/v1/sse?topic=t&since=all").header("Accept", "application/x-ndjson").open();
    assert_eq!(stream.header("content-type"), Some("application/x-ndjson"));
    let ready = stream.object().unwrap();
    assert_eq!((&ready["type"], &ready["recovered"], &ready["ping_ms"]), (&json!("ready"), &json!(true), &json!(50)));
    let message = stream.object().unwrap();
    assert_eq!((&message["type"], &message["text"]), (&json!("message"), &json!("old")));
    assert_eq!(stream.object().unwrap(), json!({}));
    let elsewhere = publish(&server, "elsewhere", "x").to_string();
    while stream.object().unwrap() != json!({ "position": elsewhere }) {}
    server.drain(0);
    let bye = std::iter::from_fn(|| stream.object()).find(|object| object.get("type").is_some()).unwrap();
    assert_eq!((&bye["type"], &bye["code"]), (&json!("bye"), &json!("shutting_down")));
    assert_eq!(stream.object(), None);
}

#[test]
fn a_silent_stream_beats_and_keeps_its_place_up_to_date() {
    let limits = DriverLimits { ping_interval_ms: 100, ..DriverLimits::default() };
    let server = start_with(|options| options.limits = limits);
    let mut stream = get(server.address, "/v1/sse?topic=quiet").open();
    assert_eq!(stream.expect("ready").data["ping_ms"], json!(100));
    let began = Instant::now();
    for _ in 0..5 {
        let beat = stream.block().unwrap();
        assert_eq!((beat.comment.as_deref(), beat.id, &*beat.name), (Some("ka"), None, ""));
    }
    // Five waits of 80 ms at least; the first may have begun a little before the clock here.
    assert!(began.elapsed() > Duration::from_millis(350), "{:?}", began.elapsed());
    let elsewhere = publish(&server, "busy", "x");
    let beat = std::iter::from_fn(|| stream.block()).find(|block| block.id.is_some()).unwrap();
    assert_eq!((beat.id, &*beat.name), (Some(elsewhere.to_string()), ""));
}

#[test]
fn a_draining_server_says_when_to_come_back() {
    let server = start();
    let mut stream = get(server.address, "/v1/sse?topic=t").open();
    stream.expect("ready");
    let late = post(server.address, "/v1/sse", r#"{"topics":["t"]}"#).hold_body();
    let late_lines = post(server.address, "/v1/sse", r#"{"topics":["t"]}"#).header("Accept", "application/x-ndjson");
    let late_lines = late_lines.hold_body();
    let gateway = server.gateway.clone();
    let draining = std::thread::spawn(move || server.drain(100));
    let retry = stream.block().unwrap().retry.unwrap();
    let bye = stream.expect("bye");
    assert_eq!((&bye.data["code"], &bye.data["retry"]), (&json!("shutting_down"), &json!(true)));
    assert_eq!(bye.data["retry_ms"], json!(retry), "an EventSource waits as long as others are told to");
    assert_eq!(stream.line(), None);
    assert!(eventually(|| gateway.is_draining().then_some(())).is_some());
    let mut late = late.finish();
    assert_eq!(late.status, 200);
    let first = late.block().unwrap();
    assert!((2_000..=4_000).contains(&first.retry.unwrap()));
    assert!(late.event().is_none(), "it ends without an event");
    let late_lines = late_lines.finish();
    assert_eq!((late_lines.status, late_lines.header("retry-after")), (503, Some("2")));
    draining.join().unwrap();
}

#[test]
fn too_many_streams_may_come_later() {
    let limits = DriverLimits { streams: 1, ..DriverLimits::default() };
    let server = start_with(|options| options.limits = limits);
    let mut first = get(server.address, "/v1/sse?topic=t").open();
    first.expect("ready");
    let mut second = get(server.address, "/v1/sse?topic=t").open();
    assert_eq!(second.status, 200);
    assert!(second.block().unwrap().retry.is_some());
    assert!(second.event().is_none());
    let lines = get(server.address, "/v1/sse?topic=t").header("Accept", "application/x-ndjson").send();
    assert_eq!(lines.refusal(), (503, "overloaded".into()));
    assert_eq!(lines.header("retry-after"), Some("1"));
    drop(first);
    let again = || {
        let mut stream = get(server.address, "/v1/sse?topic=t").open();
        stream.event().filter(|event| event.name == "ready")
    };
    assert!(eventually(again).is_some(), "a client that is gone takes no place");
}

#[test]
fn an_expired_token_is_told_in_the_stream() {
    let server = start_with(|options| options.gate = Some(strict_gate()));
    let expired = token_for("ann", &["*:default/*"], 1_000, now() - 10_000);
    let mut stream = get(server.address, "/v1/sse?topic=t").bearer(&expired).open();
    assert_eq!(stream.status, 200);
    assert!(stream.block().unwrap().retry.is_some());
    let error = stream.expect("error");
    assert_eq!(error.data["code"], "token_expired");
    assert_eq!(stream.line(), None);
    let lines = get(server.address, "/v1/sse?topic=t").bearer(&expired).header("Accept", "application/x-ndjson");
    assert_eq!(lines.send().refusal(), (401, "token_expired".into()));
    let short = token_for("ann", &["*:default/*"], 1_000, now());
    let mut stream = get(server.address, "/v1/sse?topic=t").bearer(&short).open();
    stream.expect("ready");
    assert_eq!(stream.expect("error").data["code"], "token_expired", "it expires while it is used");
    assert_eq!(stream.line(), None);
}

#[test]
fn what_is_refused_for_good_has_its_status() {
    let server = start_with(|options| options.gate = Some(strict_gate()));
    let token = token(&["subscribe:default/mine/*"]);
    let open = |query: &str| get(server.address, format!("/v1/sse?{query}"));
    assert_eq!(open("topic=t").send().refusal(), (401, "unauthorized".into()));
    assert_eq!(open("topic=t").bearer("nonsense").send().refusal(), (401, "token_malformed".into()));
    assert_eq!(open("topic=t").bearer(&token).send().refusal(), (403, "denied".into()));
    assert_eq!(open("topic=mine/a&topic=t").bearer(&token).send().refusal(), (403, "denied".into()));
    assert_eq!(open("topic=mine/a&space=secret").bearer(&token).send().refusal(), (403, "denied".into()));
    let spaces = server.gateway.core.spaces(None, 10);
    assert!(!spaces.iter().any(|space| &**space == "secret"), "a refused request makes no space");
    let mut stream = open("topic=mine/a").bearer(&token).open();
    stream.expect("ready");
    publish(&server, "t", "not for ann");
    publish(&server, "mine/a", "for ann");
    assert_eq!(stream.expect("message").text(), "for ann");
}

#[test]
fn a_revoked_stream_ends() {
    let server = start();
    let token = token_for("bob", &["*:default/*"], 60_000, now());
    let mut stream = get(server.address, "/v1/sse?topic=t").bearer(&token).open();
    stream.expect("ready");
    let revocation = Revocation::Subject { subject: "bob".into(), issued_before: None };
    let began = Instant::now();
    server.gateway.tasks.block_on(server.gateway.revoke(revocation, None)).unwrap();
    let bye = stream.expect("bye");
    assert_eq!((&bye.data["code"], &bye.data["retry"]), (&json!("revoked"), &json!(false)));
    assert!(began.elapsed() < Duration::from_secs(10), "it need not wait for a heartbeat");
    assert_eq!(stream.line(), None);
    assert_eq!(get(server.address, "/v1/sse?topic=t").bearer(&token).send().refusal(), (401, "token_revoked".into()));
}

#[test]
fn a_client_that_goes_away_is_forgotten() {
    let server = start();
    let mut one = get(server.address, "/v1/sse?topic=t").open();
    let mut other = get(server.address, "/v1/sse?topic=t").open();
    one.expect("ready");
    other.expect("ready");
    let counted = || server.gateway.meter.row(server.gateway.default_space(), "native", |row| row.clone());
    assert_eq!((counted().connections(), counted().operations), (2, 2));
    drop(one);
    assert!(eventually(|| (counted().connections() == 1).then_some(())).is_some());
    publish(&server, "t", "four");
    assert_eq!(other.expect("message").text(), "four");
    assert_eq!((counted().messages_out, counted().bytes_out), (1, 4));
    drop(other);
    assert!(eventually(|| (!is_subscribed(&server, "t")).then_some(())).is_some());
}

#[test]
fn a_thousand_messages_are_caught_up_with_while_more_come() {
    let server = start();
    for n in 0..1_000 {
        publish(&server, &format!("t/{}", n % 4), n.to_string());
    }
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            for n in 1_000..2_000 {
                publish(&server, &format!("t/{}", n % 4), n.to_string());
            }
        });
        let mut stream = get(server.address, "/v1/sse?topic=t/0&topic=t/1&pattern=t/%2B&since=all").open();
        assert_eq!(stream.expect("ready").data["recovered"], json!(true));
        for n in 0..2_000 {
            assert_eq!(stream.expect("message").text(), n.to_string());
        }
        publishing.join().unwrap();
    });
}

#[test]
fn a_reader_that_is_too_slow_is_told_of_the_gap() {
    let history = HistorySettings { count: 50, ..HistorySettings::default() };
    let server = start_with(|options| options.space.history = history);
    let mut stream = get(server.address, "/v1/sse?topic=t").open();
    stream.expect("ready");
    // More than sockets and channel take while nobody reads.
    let text = "x".repeat(64 << 10);
    for n in 0..1_500 {
        publish(&server, "t", format!("{n} {text}"));
    }
    let mut next = 0;
    let mut gaps = 0;
    while next < 1_500 {
        let event = stream.event().unwrap();
        if event.name == "gap" {
            assert_eq!(event.id.as_deref(), event.data["position"].as_str());
            gaps += 1;
            let after: u64 = event.id.unwrap().rsplit_once('-').unwrap().1.parse().unwrap();
            assert!(after > next, "the gap stands where messages are missing");
            next = after;
            continue;
        }
        let number: u64 = event.text().split(' ').next().unwrap().parse().unwrap();
        assert_eq!(number, next, "nothing is missing but in a gap, and nothing comes twice");
        next += 1;
    }
    assert!(gaps >= 1);
}
