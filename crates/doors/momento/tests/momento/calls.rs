//! Calls that are answered once.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::RecordTable;
use fanfare_momento::grpc::frame;
use fanfare_momento::wire::{
    self, ApiTokenResponse, CacheRequest, Empty, Expires, GenerateDisposableTokenRequest,
    GenerateDisposableTokenResponse, ListCachesRequest, ListCachesResponse, RefreshApiTokenRequest,
};
use fanfare_testkit::TestLog;

use crate::client::{Client, Ended};
use crate::world::World;

const CREATE: &str = "/control_client.ScsControl/CreateCache";
const DELETE: &str = "/control_client.ScsControl/DeleteCache";
const FLUSH: &str = "/control_client.ScsControl/FlushCache";
const LIST: &str = "/control_client.ScsControl/ListCaches";
const DISPOSABLE: &str = "/token.Token/GenerateDisposableToken";
const KEY: &str = "/auth.Auth/GenerateApiToken";
const REFRESH: &str = "/auth.Auth/RefreshApiToken";

fn cache(name: &str) -> CacheRequest {
    CacheRequest { cache_name: name.to_owned() }
}

async fn names(client: &mut Client) -> Vec<String> {
    let list: ListCachesResponse = client.call(LIST, &ListCachesRequest::default()).await.unwrap();
    assert!(list.cache.iter().all(|cache| cache.cache_limits.is_some() && cache.topic_limits.is_some()));
    list.cache.into_iter().map(|cache| cache.cache_name).collect()
}

#[test]
fn caches_are_made_listed_and_removed() {
    let world = World::open();
    world.run(async {
        let mut client = Client::connect(&world).await;
        assert_eq!(client.call(CREATE, &cache("c1")).await, Ok(Empty {}));
        assert_eq!(client.call::<Empty>(CREATE, &cache("c1")).await.unwrap_err().code, 6);
        assert_eq!(names(&mut client).await, ["c1", "default", "websocket"]);
        assert_eq!(client.call::<Empty>(CREATE, &cache("a/b")).await.unwrap_err().code, 3);
        assert_eq!(client.call(DELETE, &cache("c1")).await, Ok(Empty {}));
        assert_eq!(client.call::<Empty>(DELETE, &cache("c1")).await.unwrap_err().code, 5);
        assert_eq!(client.call::<Empty>(FLUSH, &cache("c1")).await.unwrap_err().code, 5);
        assert_eq!(client.call::<Empty>(DELETE, &cache("websocket")).await.unwrap_err().code, 3, "it is configured");
        let ended = client.publish("c1", "t", "x").await.unwrap_err();
        assert_eq!(ended, Ended { code: 5, message: "Cache not found: c1".into(), err: None });
    });
}

#[test]
fn caches_outlive_the_server() {
    let log = Arc::new(TestLog::default());
    let world = World::on_log(log.clone());
    world.run(async {
        let mut client = Client::connect(&world).await;
        let _: Empty = client.call(CREATE, &cache("kept")).await.unwrap();
        let _: Empty = client.call(CREATE, &cache("removed")).await.unwrap();
        let _: Empty = client.call(DELETE, &cache("removed")).await.unwrap();
    });
    drop(world);
    assert_eq!(log.table(RecordTable::Caches).len(), 1);
    let world = World::on_log(log);
    world.run(async {
        let mut client = Client::connect(&world).await;
        assert_eq!(names(&mut client).await, ["default", "kept", "websocket"]);
        assert_eq!(client.publish("kept", "t", "x").await, Ok(()));
    });
}

#[test]
fn a_flushed_cache_has_nothing_to_replay() {
    let world = World::open();
    world.run(async {
        let mut client = Client::connect(&world).await;
        client.publish("websocket", "t", "old").await.unwrap();
        let _: Empty = client.call(FLUSH, &cache("websocket")).await.unwrap();
        let mut subscription = client.resume("websocket", "t", 1, 0).await.unwrap();
        let lost = subscription.begin().await;
        assert_eq!((lost.last_topic_sequence, lost.new_topic_sequence), (0, 1));
        client.publish("websocket", "t", "new").await.unwrap();
        assert_eq!(subscription.text().await, (2, "new".into()));
    });
}

#[test]
fn nobody_gets_in_without_a_key() {
    let world = World::closed();
    let root = world.key(r#"{"permissions":"superuser"}"#, "root", None);
    world.run(async {
        let plain = Client::connect(&world).await;
        for key in [None, Some(""), Some("Bearer"), Some("garbage")] {
            let mut client = key.map_or(plain.clone(), |key| plain.with_key(key));
            assert_eq!(client.publish("websocket", "t", "x").await.unwrap_err().code, 16, "{key:?}");
            assert_eq!(client.call::<Empty>(CREATE, &cache("c")).await.unwrap_err().code, 16, "{key:?}");
        }
        let mut root = plain.with_key(&root);
        assert_eq!(root.publish("websocket", "t", "x").await, Ok(()));
        assert_eq!(root.call(CREATE, &cache("c")).await, Ok(Empty {}));
        // Without a key this is answered all the same.
        assert_eq!(plain.clone().call("/cache_client.Ping/Ping", &Empty {}).await, Ok(Empty {}));
    });
}

#[test]
fn a_key_allows_what_it_says_and_no_more_in_development_mode_too() {
    let world = World::open();
    let writer = world.scoped("publishonly", "mine", "w");
    world.run(async {
        let plain = Client::connect(&world).await;
        assert_eq!(plain.clone().publish("websocket", "any", "x").await, Ok(()), "nobody may do everything here");
        assert_eq!(plain.with_key("garbage").publish("websocket", "any", "x").await.unwrap_err().code, 16);
        let mut writer = plain.with_key(&writer);
        assert_eq!(writer.publish("websocket", "mine", "x").await, Ok(()));
        assert_eq!(writer.publish("websocket", "other", "x").await.unwrap_err().code, 7);
        assert_eq!(writer.publish("nope", "mine", "x").await.unwrap_err().code, 7, "what is there is not told");
        assert_eq!(writer.subscribe("websocket", "mine").await.err().unwrap().code, 7);
        for path in [CREATE, DELETE, FLUSH, LIST, "/webhook.Webhook/ListWebhooks"] {
            assert_eq!(writer.call::<Empty>(path, &cache("c")).await.unwrap_err().code, 7, "{path}");
        }
    });
}

fn disposable(key: &str, seconds: u32) -> GenerateDisposableTokenRequest {
    let statement = r#"{"permissions":[{"role":"publishsubscribe","cache":"websocket","topic":{"prefix":"room-"}}]}"#;
    let permissions = fanfare_momento::permission::Permissions::from_json(statement).unwrap();
    GenerateDisposableTokenRequest {
        expires: Some(Expires { valid_for_seconds: seconds }),
        auth_token: key.to_owned(),
        permissions: Some(permissions.to_wire()),
        token_id: "u1".to_owned(),
    }
}

#[test]
fn super_users_make_tokens_and_others_do_not() {
    let world = World::closed();
    let root = world.key(r#"{"permissions":"superuser"}"#, "root", None);
    let reader = world.scoped("subscribeonly", "a", "r");
    world.run(async {
        // The key is in the request, whatever stands in the metadata.
        let mut client = Client::connect(&world).await;
        let made: GenerateDisposableTokenResponse = client.call(DISPOSABLE, &disposable(&root, 300)).await.unwrap();
        assert_eq!(made.endpoint, "gw.example.com");
        let now = world.server.gateway.clock.now() / 1_000;
        assert!((now + 298..=now + 301).contains(&made.valid_until));
        let mut holder = client.with_key(&made.api_key);
        assert_eq!(holder.publish("websocket", "room-7", "x").await, Ok(()));
        assert_eq!(holder.publish("websocket", "hall", "x").await.unwrap_err().code, 7);
        let code = async |client: &mut Client, key: &str, seconds| {
            client
                .call::<GenerateDisposableTokenResponse>(DISPOSABLE, &disposable(key, seconds))
                .await
                .unwrap_err()
                .code
        };
        assert_eq!(code(&mut client, &root, 26 * 3_600).await, 3);
        assert_eq!(code(&mut client, &reader, 300).await, 7);
        assert_eq!(code(&mut client, &made.api_key, 300).await, 7);
        assert_eq!(code(&mut client, "", 300).await, 16);
        assert_eq!(code(&mut client, "garbage", 300).await, 16);
    });
}

#[test]
fn keys_that_last_are_refreshed() {
    let world = World::open();
    world.run(async {
        let mut client = Client::connect(&world).await;
        let request = wire::GenerateApiTokenRequest {
            expiry: Some(wire::expiry::Expiry::Expires(Expires { valid_for_seconds: 60 })),
            permissions: disposable("", 1).permissions,
            ..Default::default()
        };
        let made: ApiTokenResponse = client.call(KEY, &request).await.unwrap();
        let refresh =
            RefreshApiTokenRequest { api_key: made.api_key.clone(), refresh_token: made.refresh_token.clone() };
        let again: ApiTokenResponse = client.call(REFRESH, &refresh).await.unwrap();
        assert_ne!(again.api_key, made.api_key);
        assert_eq!(client.with_key(&again.api_key).publish("websocket", "room-1", "x").await, Ok(()));
        assert_eq!(
            client.with_key(&made.refresh_token).publish("websocket", "room-1", "x").await.unwrap_err().code,
            16
        );
        let wrong = RefreshApiTokenRequest { api_key: made.refresh_token, refresh_token: made.api_key };
        assert_eq!(client.call::<ApiTokenResponse>(REFRESH, &wrong).await.unwrap_err().code, 16);
    });
}

#[test]
fn what_is_not_served_is_said_and_the_connection_lives() {
    let world = World::open();
    world.run(async {
        let mut client = Client::connect(&world).await;
        for path in ["/cache_client.Scs/Get", "/auth.Auth/Login", "/leaderboard.Leaderboard/X", "/some.Other/Call"] {
            assert_eq!(client.call::<Empty>(path, &Empty {}).await.unwrap_err().code, 12, "{path}");
        }
        assert_eq!(client.publish("websocket", "t", "x").await, Ok(()));
    });
}

#[test]
fn bodies_that_are_no_request_are_refused() {
    let world = World::open();
    world.run(async {
        let mut client = Client::connect(&world).await;
        let path = "/cache_client.pubsub.Pubsub/Publish";
        let two = [frame(&cache("a")), frame(&cache("a"))].concat();
        for (body, code) in [
            (Bytes::new(), 3),
            (Bytes::from_static(b"\0\0\0\0"), 3),
            (Bytes::from_static(b"\0\0\0\0\x02\x0a"), 3),
            (Bytes::from_static(b"\0\0\0\0\x02\xff\xff"), 3),
            (Bytes::from_static(b"\x01\0\0\0\0"), 12),
            (Bytes::from_static(b"\0\xff\xff\xff\xff"), 8),
            (two.into(), 3),
            (frame(&cache("websocket")), 3),
        ] {
            assert_eq!(client.call_with(path, body.clone()).await.unwrap_err().code, code, "{body:?}");
        }
        assert_eq!(client.publish("websocket", "t", "x").await, Ok(()));
    });
}
