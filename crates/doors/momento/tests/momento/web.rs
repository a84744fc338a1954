//! gRPC as browsers speak it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fanfare_momento::grpc::frame;
use fanfare_momento::grpc::web::TextDecoder;
use fanfare_momento::wire::{PublishRequest, SubscriptionRequest, topic_value};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use crate::client::Client;
use crate::world::World;

const PUBLISH: &str = "/cache_client.pubsub.Pubsub/Publish";
const SUBSCRIBE: &str = "/cache_client.pubsub.Pubsub/Subscribe";
const PAGE: &str = "http://localhost:3000";

/// One request over HTTP/1.1, as an XMLHttpRequest makes it.
async fn ask(world: &World, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Response<Incoming> {
    let socket = tokio::net::TcpStream::connect(world.server.address).await.unwrap();
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost").header("origin", PAGE);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap()
}

const TEXT: [(&str, &str); 3] =
    [("content-type", "application/grpc-web-text"), ("accept", "application/grpc-web-text"), ("x-grpc-web", "1")];

fn publish(cache: &str, text: &str) -> String {
    let value = Some(topic_value::Kind::Text(text.to_owned()).into());
    STANDARD.encode(frame(&PublishRequest { cache_name: cache.to_owned(), topic: "t".to_owned(), value }))
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let (mut decoder, mut out) = (TextDecoder::new(), Vec::new());
    decoder.push(text, &mut out).unwrap();
    decoder.finish().unwrap();
    out
}

#[test]
fn a_page_may_ask_before_it_sends() {
    let world = World::open();
    world.run(async {
        let wanted = "authorization, agent, runtime-version, cache, X-User-Agent, X-Grpc-Web, grpc-timeout";
        let headers = [("access-control-request-method", "POST"), ("access-control-request-headers", wanted)];
        let answer = ask(&world, "OPTIONS", PUBLISH, &headers, String::new()).await;
        assert!(answer.status().is_success());
        let header = |name: &str| answer.headers()[name].to_str().unwrap();
        assert_eq!(header("access-control-allow-origin"), PAGE);
        assert_eq!(header("access-control-allow-headers"), wanted);
        assert!(header("access-control-allow-methods").contains("POST"));
    });
}

#[test]
fn a_publish_and_a_refusal_are_whole_bodies_with_status_200() {
    let world = World::open();
    world.run(async {
        let answer = ask(&world, "POST", PUBLISH, &TEXT, publish("websocket", "hi")).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"application/grpc-web-text+proto".parse().unwrap())
        );
        assert_eq!(answer.headers()["access-control-allow-origin"], PAGE);
        let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap().to_owned();
        assert!(exposed.contains("grpc-status") && exposed.contains("err"), "{exposed}");
        let body = decoded(&answer.into_body().collect().await.unwrap().to_bytes());
        assert_eq!(body, [&[0, 0, 0, 0, 0, 0x80, 0, 0, 0, 30][..], b"grpc-status:0\r\ngrpc-message:\r\n"].concat());
        let answer = ask(&world, "POST", PUBLISH, &TEXT, publish("nope", "hi")).await;
        assert_eq!(answer.status(), 200);
        let body = decoded(&answer.into_body().collect().await.unwrap().to_bytes());
        assert!(body.ends_with(b"grpc-status:5\r\ngrpc-message:Cache not found: nope\r\n"));
        let answer = ask(&world, "POST", PUBLISH, &TEXT, "no base64!".to_owned()).await;
        let body = decoded(&answer.into_body().collect().await.unwrap().to_bytes());
        assert!(body.windows(13).any(|part| part == b"grpc-status:3"));
    });
}

#[test]
fn a_subscription_comes_piece_by_piece() {
    let world = World::open();
    world.run(async {
        let request = SubscriptionRequest { cache_name: "websocket".into(), topic: "t".into(), ..Default::default() };
        let answer = ask(&world, "POST", SUBSCRIBE, &TEXT, STANDARD.encode(frame(&request))).await;
        let mut body = answer.into_body();
        let mut read = Vec::new();
        let mut next = async |marker: &[u8]| {
            while !read.windows(marker.len()).any(|part| part == marker) {
                let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
                assert_eq!(data.len() % 4, 0, "each piece is whole");
                read.extend(decoded(&data));
            }
        };
        next(&[0, 0, 0, 0, 2, 0x1a, 0]).await;
        let text = "gr\u{fc}\u{df}e \u{1f600}";
        Client::connect(&world).await.publish("websocket", "t", text).await.unwrap();
        next(text.as_bytes()).await;
    });
}
