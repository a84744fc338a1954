//! Publish and polls without gRPC.

use std::time::Duration;

use bytes::Bytes;
use fanfare_functions::{HttpCaller, Reach};
use http::{Request, Response};
use serde_json::{Value, json};

use crate::client::Client;
use crate::world::World;

async fn ask(world: &World, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
    let mut request = Request::builder().method(method).uri(format!("http://{}{target}", world.server.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let caller = HttpCaller::new(Reach::Anywhere, None).unwrap();
    let request = request.body(Bytes::from(body.to_owned())).unwrap();
    caller.send(request, Duration::from_secs(10), 8 << 20).await.unwrap()
}

async fn poll(world: &World, query: &str) -> Value {
    let answer = ask(world, "GET", &format!("/topics/websocket/a{query}"), &[], "").await;
    assert_eq!(answer.status(), 200);
    serde_json::from_slice(answer.body()).unwrap()
}

#[test]
fn a_post_publishes_text_or_bytes() {
    let world = World::open();
    world.run(async {
        let mut client = Client::connect(&world).await;
        let mut subscription = client.subscribe("websocket", "a/b c").await.unwrap();
        subscription.begin().await;
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let answer = ask(&world, "POST", "/topics/websocket/a%2Fb%20c", &form, "hi").await;
        assert_eq!((answer.status().as_u16(), answer.body().len()), (204, 0));
        assert_eq!(subscription.text().await.1, "hi");
        let octets = [("content-type", "application/octet-stream")];
        ask(&world, "POST", "/topics/websocket/a%2Fb%20c", &octets, "hi").await;
        assert!(format!("{:?}", subscription.next().await).contains("Binary"));
    });
}

#[test]
fn refusals_have_their_status() {
    let world = World::with(|door| door.limits.message_bytes = 10, |_| {});
    let key = world.scoped("publishonly", "a", "k");
    world.run(async {
        let status = async |target: &str, headers: &[(&str, &str)], body: &str| {
            let answer = ask(&world, "POST", target, headers, body).await;
            if answer.status() != 204 {
                let body: Value = serde_json::from_slice(answer.body()).unwrap();
                assert!(body["code"].is_string() && body["message"].is_string());
            }
            answer.status().as_u16()
        };
        let with_key = format!("/topics/websocket/a?token={key}");
        assert_eq!(status(&with_key, &[], "hi").await, 204);
        assert_eq!(status("/topics/websocket/a", &[("authorization", &key)], "hi").await, 204);
        assert_eq!(status(&with_key, &[("authorization", &key)], "hi").await, 400);
        assert_eq!(status("/topics/websocket/a?token=garbage", &[], "hi").await, 401);
        assert_eq!(status(&format!("/topics/websocket/b?token={key}"), &[], "hi").await, 403);
        assert_eq!(status("/topics/nope/a", &[], "hi").await, 404);
        assert_eq!(status("/topics/websocket/a", &[], "more than ten bytes").await, 429);
    });
}

#[test]
fn polls_wait_and_lose_nothing_between_them() {
    let world = World::with(|door| door.poll_hold = Duration::from_millis(300), |_| {});
    world.run(async {
        let mut client = Client::connect(&world).await;
        let (first, ()) = tokio::join!(poll(&world, "?sequence_number=0&sequence_page=0"), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            client.publish("websocket", "a", "one").await.unwrap();
        });
        let item = &first["items"][0]["item"];
        assert_eq!((&item["value"], &item["topic_sequence_number"]), (&json!({"text": "one"}), &json!(1)));
        for text in ["two", "three"] {
            client.publish("websocket", "a", text).await.unwrap();
        }
        let page = &item["sequence_page"];
        let next = poll(&world, &format!("?sequence_number=2&sequence_page={page}")).await;
        let texts: Vec<_> =
            next["items"].as_array().unwrap().iter().map(|item| &item["item"]["value"]["text"]).collect();
        assert_eq!(texts, [&json!("two"), &json!("three")]);
        let nothing = poll(&world, &format!("?sequence_number=4&sequence_page={page}")).await;
        assert_eq!(nothing, json!({"items": []}));
    });
}

#[test]
fn a_first_poll_that_finds_nothing_says_where_it_is() {
    let world = World::with(|door| door.poll_hold = Duration::from_millis(50), |_| {});
    world.run(async {
        let mut client = Client::connect(&world).await;
        client.publish("websocket", "a", "before").await.unwrap();
        let first = poll(&world, "").await;
        let place = &first["items"][0]["discontinuity"];
        assert_eq!((&place["last_topic_sequence"], &place["new_topic_sequence"]), (&json!(1), &json!(1)));
        client.publish("websocket", "a", "between").await.unwrap();
        let page = &place["new_sequence_page"];
        let next = poll(&world, &format!("?sequence_number=2&sequence_page={page}")).await;
        assert_eq!(next["items"][0]["item"]["value"]["text"], "between");
    });
}
