//! The same over HTTP/2 with prior knowledge.

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::server::{publish, start};

#[test]
fn streams_and_requests_share_one_connection() {
    let server = start();
    server.gateway.tasks.block_on(async {
        let socket = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        let request = |method: &str, path: &str, body: &'static str| {
            let uri = format!("http://localhost{path}");
            Request::builder().method(method).uri(uri).body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap()
        };
        let stream = client.send_request(request("GET", "/v1/sse?topic=t", "")).await.unwrap();
        assert_eq!(stream.status(), StatusCode::OK);
        let mut stream = stream.into_body();
        let mut read = String::new();
        let mut read_until = async |end: &str| {
            while !read.contains(end) {
                let frame = stream.frame().await.unwrap().unwrap();
                read.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
            }
        };
        read_until("event: ready").await;
        let answer = client.send_request(request("POST", "/v1/publish?topic=t", "over two")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        read_until("\"text\":\"over two\"").await;
        let head = publish(&server, "t", "x");
        let poll = client.send_request(request("GET", &format!("/v1/poll?topic=t&since={head}&wait=50"), ""));
        let publishing = async {
            publish(&server, "t", "wakes the poll");
            client.clone()
        };
        let (poll, mut other) = tokio::join!(poll, publishing);
        let body = poll.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert!(std::str::from_utf8(&body).unwrap().contains("wakes the poll"));
        let head = other.send_request(request("HEAD", "/v1/openapi.json", "")).await.unwrap();
        assert!(head.headers()["content-length"].to_str().unwrap().parse::<usize>().unwrap() > 1_000);
        assert!(head.into_body().collect().await.unwrap().to_bytes().is_empty());
    });
}
