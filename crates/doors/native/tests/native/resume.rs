//! One position serves every transport.

use fanfare_websocket::{MessageKind, encode_message_masked};
use serde_json::{Value, json};

use crate::client::get;
use crate::server::{publish, start};

#[test]
fn a_client_changes_its_transport_and_goes_on() {
    let server = start();
    for n in 0..10 {
        publish(&server, if n % 2 == 0 { "t" } else { "u" }, n.to_string());
    }
    let query = "topic=t&pattern=%2B";
    let mut events = get(server.address, format!("/v1/sse?{query}&since=all")).open();
    events.expect("ready");
    let seen: Vec<_> = (0..3).map(|_| events.expect("message")).collect();
    assert_eq!(seen.iter().map(|event| event.text()).collect::<Vec<_>>(), ["0", "1", "2"]);
    let cursor = seen[2].id.clone().unwrap();

    let answer = get(server.address, format!("/v1/poll?{query}&since={cursor}")).send().json();
    let texts: Vec<_> = answer["messages"].as_array().unwrap().iter().map(|m| m["text"].clone()).collect();
    assert_eq!(texts, ["3", "4", "5", "6", "7", "8", "9"]);
    let cursor = answer["messages"][1]["position"].as_str().unwrap().to_owned();

    let path = format!("/v1/sse?{query}&since={cursor}");
    let mut lines = get(server.address, path).header("Accept", "application/x-ndjson").open();
    assert_eq!(lines.object().unwrap()["recovered"], json!(true));
    let line = lines.object().unwrap();
    assert_eq!(line["text"], "5");
    let cursor = line["position"].as_str().unwrap().to_owned();

    let history = get(server.address, format!("/v1/topics/t/history?since={cursor}&limit=1")).send().json();
    assert_eq!(history["messages"][0]["text"], "6");
    let cursor = history["position"].as_str().unwrap().to_owned();

    let received = over_websocket(&server, &cursor);
    assert_eq!(received, ["7", "8", "9"]);
}

/// What a WebSocket client gets that resumes `+` there, up to the last message.
fn over_websocket(server: &fanfare_testkit::TestServer, since: &str) -> Vec<String> {
    use std::io::{Read, Write};
    let mut socket = std::net::TcpStream::connect(server.address).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let upgrade = "GET /v1/connect HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(upgrade.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let connect = json!({"type": "connect", "id": 1, "resume": [{"pattern": "+", "since": since}]}).to_string();
    let mut frame = Vec::new();
    encode_message_masked(&mut frame, MessageKind::Text, connect.as_bytes(), [1, 2, 3, 4]);
    socket.write_all(&frame).unwrap();
    let mut received = Vec::new();
    while received.last().is_none_or(|text| text != "9") {
        let mut start = [0; 2];
        socket.read_exact(&mut start).unwrap();
        let length = match start[1] {
            126 => {
                let mut length = [0; 2];
                socket.read_exact(&mut length).unwrap();
                usize::from(u16::from_be_bytes(length))
            }
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        socket.read_exact(&mut payload).unwrap();
        let frame: Value = serde_json::from_slice(&payload).unwrap();
        if frame["type"] == "message" {
            received.push(frame["text"].as_str().unwrap().to_owned());
        }
    }
    received
}
