//! `GET /v1/poll`

use std::time::{Duration, Instant};

use fanfare_core::HistorySettings;
use fanfare_testkit::eventually;
use serde_json::{Value, json};

use crate::client::{get, post};
use crate::server::{is_subscribed, publish, start, start_with, strict_gate, token};

fn texts(answer: &Value) -> Vec<&str> {
    answer["messages"].as_array().unwrap().iter().map(|message| message["text"].as_str().unwrap()).collect()
}

#[test]
fn the_first_call_answers_with_a_cursor() {
    let server = start();
    let head = publish(&server, "t", "before");
    let reply = get(server.address, "/v1/poll?topic=t").send();
    assert_eq!(reply.json(), json!({"cursor": head.to_string(), "messages": [], "gap": false, "more": false}));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let empty = get(server.address, format!("/v1/poll?topic=t&since={head}&wait=0")).send().json();
    assert_eq!(empty, json!({"cursor": head.to_string(), "messages": [], "gap": false, "more": false}));
}

#[test]
fn a_waiting_poll_wakes_and_can_be_repeated() {
    let server = start();
    let cursor = get(server.address, "/v1/poll?topic=t").send().json()["cursor"].as_str().unwrap().to_owned();
    let path = format!("/v1/poll?topic=t&since={cursor}&wait=50");
    let (began, path_in) = (Instant::now(), path.clone());
    let address = server.address;
    let waiting = std::thread::spawn(move || get(address, path_in).send().json());
    assert!(eventually(|| is_subscribed(&server, "t").then_some(())).is_some());
    let batch = json!({"messages": [{"topic": "t", "text": "1"}, {"topic": "t", "text": "2"}]}).to_string();
    post(server.address, "/v1/publish", batch).send();
    let answer = waiting.join().unwrap();
    assert!(began.elapsed() < Duration::from_secs(15), "it woke");
    assert_eq!(texts(&answer), ["1", "2"], "the second came with the first");
    assert_eq!(get(server.address, path).send().json(), answer, "the same call, the same answer");
    assert_eq!(answer["cursor"], answer["messages"][1]["position"]);
    assert!(eventually(|| (!is_subscribed(&server, "t")).then_some(())).is_some());
    let counted = server.gateway.meter.row(server.gateway.default_space(), "native", |row| row.clone());
    assert_eq!((counted.messages_out, counted.operations), (4, 3));
}

#[test]
fn answers_are_pages() {
    let server = start();
    for n in 0..250 {
        publish(&server, "t", n.to_string());
    }
    let (mut since, mut all, mut sizes) = ("all".to_owned(), Vec::new(), Vec::new());
    loop {
        let answer = get(server.address, format!("/v1/poll?topic=t&since={since}&wait=0")).send().json();
        sizes.push(texts(&answer).len());
        all.extend(texts(&answer).into_iter().map(str::to_owned));
        answer["cursor"].as_str().unwrap().clone_into(&mut since);
        if answer["more"] == json!(false) {
            break;
        }
    }
    assert_eq!(sizes, [100, 100, 50]);
    assert!(all.iter().enumerate().all(|(n, text)| *text == n.to_string()));
}

#[test]
fn an_answer_has_at_most_256_kib() {
    let server = start();
    let text = "x".repeat(100 << 10);
    for _ in 0..3 {
        publish(&server, "t", text.clone());
    }
    publish(&server, "t", "y".repeat(500 << 10));
    let mut since = "all".to_owned();
    let mut counts = Vec::new();
    for _ in 0..3 {
        let reply = get(server.address, format!("/v1/poll?topic=t&since={since}&wait=0")).send();
        let answer = reply.json();
        counts.push(texts(&answer).len());
        assert!(counts.len() == 3 || reply.body.len() < (256 << 10) + 200);
        answer["cursor"].as_str().unwrap().clone_into(&mut since);
        assert_eq!(answer["more"], json!(counts.len() < 3));
    }
    assert_eq!(counts, [2, 1, 1], "one message that is larger comes alone");
}

#[test]
fn a_lost_place_is_a_gap_with_a_fresh_cursor() {
    let history = HistorySettings { count: 5, ..HistorySettings::default() };
    let server = start_with(|options| options.space.history = history);
    let first = publish(&server, "t", "0");
    let mut head = first;
    for n in 1..20 {
        head = publish(&server, "t", n.to_string());
    }
    for since in [first.to_string(), "ffffffffff-3".to_owned()] {
        let answer = get(server.address, format!("/v1/poll?topic=t&since={since}")).send().json();
        assert_eq!(answer, json!({"cursor": head.to_string(), "messages": [], "gap": true, "more": false}));
    }
    let answer = get(server.address, "/v1/poll?topic=t&since=all").send().json();
    assert_eq!((texts(&answer), &answer["gap"]), (vec!["15", "16", "17", "18", "19"], &json!(false)));
}

#[test]
fn the_cursor_of_a_quiet_topic_moves_on() {
    let history = HistorySettings { topics: 2, ..HistorySettings::default() };
    let server = start_with(|options| options.space.history = history);
    let mut cursor = publish(&server, "quiet", "x").to_string();
    for round in 0..5 {
        for topic in 0..10 {
            publish(&server, &format!("busy-{round}-{topic}"), "x");
            // Between two of its polls some topics come and go.
            if topic % 2 == 1 {
                let path = format!("/v1/poll?topic=quiet&since={cursor}&wait=0");
                let answer = get(server.address, path).send().json();
                assert_eq!((&answer["gap"], texts(&answer).len()), (&json!(false), 0));
                answer["cursor"].as_str().unwrap().clone_into(&mut cursor);
            }
        }
    }
}

#[test]
fn requests_are_checked() {
    let server = start();
    for query in ["", "?topic=t&wait=56", "?topic=t&wait=x", "?topic=t&since=x", "?topic=t&topic=%2B"] {
        assert_eq!(get(server.address, format!("/v1/poll{query}")).send().refusal().0, 400, "{query}");
    }
    let head = publish(&server, "t", "x");
    let path = format!("/v1/poll?topic=t&since={head}");
    let preferred = get(server.address, path).header("Prefer", "wait=0").send();
    assert_eq!(preferred.json()["messages"], json!([]));
    let server = start_with(|options| options.gate = Some(strict_gate()));
    assert_eq!(get(server.address, "/v1/poll?topic=t").send().refusal(), (401, "unauthorized".into()));
    let mine = token(&["subscribe:default/mine"]);
    assert_eq!(get(server.address, "/v1/poll?topic=t").bearer(&mine).send().refusal(), (403, "denied".into()));
    assert_eq!(get(server.address, "/v1/poll?topic=mine").bearer(&mine).send().status, 200);
}

#[test]
fn a_draining_server_lets_polls_go() {
    let server = start();
    let head = publish(&server, "t", "x");
    let address = server.address;
    let path = format!("/v1/poll?topic=t&since={head}&wait=50");
    let waiting = std::thread::spawn(move || get(address, path).send());
    assert!(eventually(|| is_subscribed(&server, "t").then_some(())).is_some());
    server.drain(100);
    let reply = waiting.join().unwrap();
    assert_eq!((reply.status, &reply.json()["cursor"]), (200, &json!(head.to_string())));
}
