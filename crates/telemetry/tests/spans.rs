//! Logging can be set up once in a process, so all of it is one test.
#![cfg(test)]
#![cfg(feature = "otlp")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use fanfare_telemetry::{LogFormat, LogOptions, TelemetryError, init};

/// One request: its first line and its body.
fn answer_one(stream: TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request).unwrap();
    let mut body_len = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(len) = line.strip_prefix("content-length:") {
            body_len = len.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; body_len];
    reader.read_exact(&mut body).unwrap();
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    (request.trim().to_owned(), body)
}

#[test]
fn a_span_reaches_the_collector_before_the_guard_is_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/", listener.local_addr().unwrap());
    let (tx, rx) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = tx.send(answer_one(stream.unwrap()));
        }
    });
    let options = |filter, otlp_endpoint| LogOptions { format: LogFormat::Json, filter, otlp_endpoint };

    let refused = init(&options("info,=,", None)).unwrap_err();
    assert!(matches!(refused, TelemetryError::Filter { .. }), "{refused}");
    let refused = init(&options("info", Some("https://collector".into()))).unwrap_err();
    assert!(matches!(refused, TelemetryError::Exporter { .. }), "{refused}");

    let guard = init(&options("info", Some(endpoint))).unwrap();
    tracing::info_span!(target: "fanfare_test", "a turn of the wheel").in_scope(|| tracing::info!("turning"));
    tracing::info_span!(target: "somebody_else", "not ours").in_scope(|| {});
    let refused = init(&options("info", None)).unwrap_err();
    assert!(matches!(refused, TelemetryError::AlreadyInitialised), "{refused}");
    drop(guard);

    let (request, body) = rx.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(request, "POST /v1/traces HTTP/1.1");
    let holds = |text: &str| body.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("a turn of the wheel") && holds("service.name") && holds("fanfare"));
    assert!(!holds("not ours"));
}
