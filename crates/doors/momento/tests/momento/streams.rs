//! Subscriptions: how they begin, go on and end.

use std::time::{Duration, Instant};

use fanfare_core::{Grant, HistorySettings, Kind as PayloadKind, Principal, Publication, SpaceSettings, TopicName};
use fanfare_identity::Revocation;
use fanfare_momento::wire::subscription_item::Kind;
use fanfare_momento::wire::{CacheRequest, Empty, topic_value};
use fanfare_testkit::eventually;

use crate::client::Client;
use crate::world::World;

#[test]
fn a_heartbeat_and_the_beginning_come_at_once_and_then_items_in_order() {
    let world = World::open();
    world.run(async {
        let mut client = Client::connect(&world).await;
        client.publish("websocket", "t", "before").await.unwrap();
        let mut subscription = client.subscribe("websocket", "t").await.unwrap();
        let lost = subscription.begin().await;
        assert_eq!((lost.last_topic_sequence, lost.new_topic_sequence), (0, 1));
        for number in 2..50 {
            client.publish("websocket", "t", &format!("m{number}")).await.unwrap();
        }
        for number in 2..50 {
            assert_eq!(subscription.text().await, (number, format!("m{number}")));
        }
    });
}

#[test]
fn a_silent_subscription_gets_heartbeats() {
    let world = World::with(|door| door.heartbeat = Duration::from_millis(100), |_| {});
    world.run(async {
        let mut client = Client::connect(&world).await;
        let mut subscription = client.subscribe("websocket", "t").await.unwrap();
        subscription.begin().await;
        for _ in 0..3 {
            assert!(matches!(subscription.next().await, Kind::Heartbeat(_)));
        }
    });
}

#[test]
fn the_time_that_clients_give_a_subscription_is_not_kept() {
    let world = World::with(|door| door.heartbeat = Duration::from_millis(100), |_| {});
    world.run(async {
        let client = Client::connect(&world).await;
        let mut client = client.with_header("grpc-timeout", "50m");
        let mut subscription = client.subscribe("websocket", "t").await.unwrap();
        subscription.begin().await;
        for _ in 0..3 {
            subscription.next().await;
        }
        client.publish("websocket", "t", "x").await.unwrap();
        assert_eq!(subscription.text().await.1, "x");
    });
}

#[test]
fn what_was_published_between_two_subscriptions_comes_by_number() {
    let world = World::open();
    world.run(async {
        let mut client = Client::connect(&world).await;
        let page = client.subscribe("websocket", "t").await.unwrap().begin().await.new_sequence_page;
        for number in 1..=5 {
            client.publish("websocket", "t", &format!("m{number}")).await.unwrap();
        }
        let mut subscription = client.resume("websocket", "t", 3, page).await.unwrap();
        assert!(matches!(subscription.next().await, Kind::Heartbeat(_)));
        for number in 3..=5 {
            assert_eq!(subscription.text().await, (number, format!("m{number}")));
        }
        client.publish("websocket", "t", "live").await.unwrap();
        assert_eq!(subscription.text().await, (6, "live".into()));
    });
}

#[test]
fn another_page_is_told_and_what_is_kept_is_replayed() {
    let world = World::open();
    world.run(async {
        let mut client = Client::connect(&world).await;
        let page = client.subscribe("websocket", "t").await.unwrap().begin().await.new_sequence_page;
        // Nothing is there: the loss is told all the same.
        let lost = client.resume("websocket", "t", 8, page + 1).await.unwrap().begin().await;
        assert_eq!((lost.last_topic_sequence, lost.new_topic_sequence, lost.new_sequence_page), (7, 0, page));
        client.publish("websocket", "t", "kept").await.unwrap();
        let mut subscription = client.resume("websocket", "t", 8, page + 1).await.unwrap();
        let lost = subscription.begin().await;
        assert_eq!((lost.last_topic_sequence, lost.new_topic_sequence, lost.new_sequence_page), (7, 0, page));
        assert_eq!(subscription.text().await, (1, "kept".into()));
    });
}

#[test]
fn a_slow_subscriber_is_told_of_its_loss_and_stays() {
    let history = HistorySettings { count: 50, ..HistorySettings::default() };
    let world = World::with(|_| {}, |server| server.space = SpaceSettings { history, ..SpaceSettings::default() });
    world.run(async {
        let mut client = Client::connect(&world).await;
        let mut subscription = client.subscribe("websocket", "t").await.unwrap();
        subscription.begin().await;
        // Far more than windows, channel and history hold, while nobody reads.
        let payload = "x".repeat(8_000);
        let mut publisher = Client::connect(&world).await;
        for _ in 0..1_500 {
            publisher.publish("websocket", "t", &payload).await.unwrap();
        }
        publisher.publish("websocket", "t", "last").await.unwrap();
        let (mut told, mut seen) = (0, 0);
        loop {
            match subscription.next().await {
                Kind::Item(item) => {
                    assert!(item.topic_sequence_number > seen, "in order");
                    seen = item.topic_sequence_number;
                    if item.value.unwrap().kind == Some(topic_value::Kind::Text("last".to_owned())) {
                        break;
                    }
                }
                Kind::Discontinuity(lost) => {
                    assert_eq!(lost.last_topic_sequence, seen);
                    assert!(lost.new_topic_sequence > seen);
                    told += 1;
                }
                Kind::Heartbeat(_) => {}
            }
        }
        assert!(told > 0 && seen == 1_501);
    });
}

#[test]
fn a_cache_that_is_removed_ends_its_subscriptions() {
    let world = World::open();
    world.run(async {
        let mut client = Client::connect(&world).await;
        let request = CacheRequest { cache_name: "c1".to_owned() };
        let _: Empty = client.call("/control_client.ScsControl/CreateCache", &request).await.unwrap();
        let mut subscription = client.subscribe("c1", "t").await.unwrap();
        subscription.begin().await;
        let _: Empty = client.call("/control_client.ScsControl/DeleteCache", &request).await.unwrap();
        let ended = subscription.end().await;
        assert_eq!((ended.code, &*ended.message), (5, "Cache not found: c1"));
    });
}

#[test]
fn a_key_that_expires_ends_its_subscriptions() {
    let world = World::closed();
    let key = world.key(r#"{"permissions":[{"role":"subscribeonly","cache":"websocket","topic":"t"}]}"#, "k", Some(2));
    world.run(async {
        let mut client = Client::connect(&world).await.with_key(&key);
        let began = Instant::now();
        let mut subscription = client.subscribe("websocket", "t").await.unwrap();
        assert_eq!(subscription.end().await.code, 16);
        assert!(began.elapsed() < Duration::from_secs(4));
        assert_eq!(client.subscribe("websocket", "t").await.err().unwrap().message, "The API key has expired");
    });
}

#[test]
fn a_key_that_is_revoked_ends_its_subscriptions_and_no_others() {
    let world = World::closed();
    let (key, other) = (world.scoped("subscribeonly", "t", "k1"), world.scoped("publishsubscribe", "t", "k2"));
    world.run(async {
        let client = Client::connect(&world).await;
        let (mut client, mut other) = (client.with_key(&key), client.with_key(&other));
        let mut subscription = client.subscribe("websocket", "t").await.unwrap();
        let mut stays = other.subscribe("websocket", "t").await.unwrap();
        subscription.begin().await;
        stays.begin().await;
        let revocation = Revocation::Token { token_id: "k1".to_owned() };
        world.server.gateway.revoke(revocation, None).await.unwrap();
        assert_eq!(subscription.end().await.code, 16);
        assert_eq!(client.subscribe("websocket", "t").await.err().unwrap().code, 16);
        other.publish("websocket", "t", "x").await.unwrap();
        assert_eq!(stays.text().await.1, "x");
    });
}

#[test]
fn a_server_that_stops_ends_subscriptions_well() {
    let world = World::open();
    let tasks = world.server.gateway.tasks.clone();
    let mut subscription = world.run(async {
        let mut client = Client::connect(&world).await;
        let mut subscription = client.subscribe("websocket", "t").await.unwrap();
        subscription.begin().await;
        subscription
    });
    let ended = tasks.spawn(async move { subscription.end().await });
    let gateway = world.server.gateway.clone();
    world.server.drain(1_000);
    assert_eq!(tasks.block_on(ended).unwrap().code, 0);
    assert_eq!(gateway.connection_count(), 0);
}

#[test]
fn who_leaves_is_counted_out() {
    let world = World::open();
    let is_open = |world: &World| {
        world.server.gateway.meter.post();
        let totals = world.server.gateway.book.totals();
        totals.get(&("websocket".into(), "momento")).map_or(0, |tally| tally.connections())
    };
    world.run(async {
        let client = Client::connect(&world).await;
        let mut open = Vec::new();
        for _ in 0..100 {
            open.push(client.clone().subscribe("websocket", "t").await.unwrap());
        }
        for subscription in &mut open {
            subscription.begin().await;
        }
        assert_eq!(is_open(&world), 100);
        drop(open);
    });
    assert!(eventually(|| (is_open(&world) == 0).then_some(())).is_some());
}

#[test]
fn other_doors_and_this_one_hear_each_other() {
    let world = World::open();
    world.run(async {
        let mut client = Client::connect(&world).await;
        let mut subscription = client.subscribe("default", "t").await.unwrap();
        subscription.begin().await;
        let gateway = &world.server.gateway;
        let everybody = std::sync::Arc::new(Principal::anonymous(Grant::everything()));
        let put = |kind, payload: &'static [u8]| {
            let topic = TopicName::new("t").unwrap();
            Publication::new(gateway.default_space().clone(), topic, kind, payload.into())
        };
        gateway.publish(&everybody, put(PayloadKind::Text, b"text"), "other").await.unwrap();
        gateway.publish(&everybody, put(PayloadKind::Binary, &[1, 250]), "other").await.unwrap();
        assert_eq!(subscription.text().await.1, "text");
        let Kind::Item(item) = subscription.next().await else { panic!("no item") };
        assert_eq!(item.value.unwrap().kind, Some(topic_value::Kind::Binary(vec![1, 250].into())));
        let filter = fanfare_core::Filter::new("t").unwrap();
        let mut native =
            gateway.listen(&everybody, gateway.default_space(), vec![filter], fanfare_core::Since::Now).unwrap();
        client.publish("default", "t", "back").await.unwrap();
        let fanfare_door::StreamItem::Message(message) = native.next().await else { panic!("no message") };
        assert_eq!((message.kind, &*message.payload), (PayloadKind::Text, &b"back"[..]));
    });
}
