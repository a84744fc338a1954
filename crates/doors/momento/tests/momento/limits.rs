//! Bounds, as SDKs tell them apart.

use std::time::Instant;

use crate::client::Client;
use crate::world::World;

#[test]
fn a_message_may_be_so_large_and_no_larger() {
    let world = World::with(|door| door.limits.message_bytes = 100, |_| {});
    world.run(async {
        let mut client = Client::connect(&world).await;
        assert_eq!(client.publish("websocket", "t", &"x".repeat(100)).await, Ok(()));
        for bytes in [101, 100_000] {
            let ended = client.publish("websocket", "t", &"x".repeat(bytes)).await.unwrap_err();
            assert_eq!((ended.code, ended.err.as_deref()), (8, Some("request_size_limit_exceeded")), "{bytes}");
            assert!(ended.message.contains("request limit"), "{}", ended.message);
        }
    });
}

#[test]
fn subscriptions_to_one_cache() {
    let world = World::with(|door| door.limits.subscriptions = 2, |_| {});
    world.run(async {
        let mut client = Client::connect(&world).await;
        let first = client.subscribe("websocket", "t").await.unwrap();
        let _second = client.subscribe("websocket", "u").await.unwrap();
        let ended = client.subscribe("websocket", "v").await.err().unwrap();
        assert_eq!((ended.code, ended.err.as_deref()), (8, Some("topic_subscriptions_limit_exceeded")));
        assert!(ended.message.contains("subscribers"));
        assert!(client.subscribe("default", "v").await.is_ok(), "another cache has its own");
        drop(first);
        // The server hears of it a little later.
        let deadline = Instant::now() + std::time::Duration::from_secs(10);
        while client.subscribe("websocket", "v").await.is_err() {
            assert!(Instant::now() < deadline);
        }
    });
}

#[test]
fn operations_and_bytes_in_a_second() {
    let world = World::with(|door| door.limits.operations_per_second = 5, |_| {});
    world.run(async {
        let mut client = Client::connect(&world).await;
        let mut refused = None;
        for _ in 0..50 {
            refused = refused.or(client.publish("websocket", "t", "x").await.err());
        }
        let ended = refused.unwrap();
        assert_eq!((ended.code, ended.err.as_deref()), (8, Some("operations_rate_limit_exceeded")));
    });
    let world = World::with(|door| door.limits.throughput_per_second = 1_000, |_| {});
    world.run(async {
        let mut client = Client::connect(&world).await;
        assert_eq!(client.publish("websocket", "t", &"x".repeat(5_000)).await, Ok(()));
        let ended = client.publish("websocket", "t", "x").await.unwrap_err();
        assert_eq!((ended.code, ended.err.as_deref()), (8, Some("throughput_rate_limit_exceeded")));
    });
}

#[test]
fn who_is_refused_again_and_again_waits() {
    let world = World::open();
    world.run(async {
        let mut client = Client::connect(&world).await;
        let began = Instant::now();
        for _ in 0..3 {
            assert_eq!(client.subscribe("nope", "t").await.err().unwrap().code, 5);
        }
        assert!(began.elapsed().as_millis() >= 750, "nothing, then 250 and 500 milliseconds");
        let began = Instant::now();
        let mut other = Client::connect(&world).await;
        assert_eq!(other.subscribe("nope", "t").await.err().unwrap().code, 5);
        assert!(began.elapsed().as_millis() < 250, "others do not");
    });
}
