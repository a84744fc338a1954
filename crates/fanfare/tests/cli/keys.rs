//! `fanfare key`: keys for Momento's SDKs.

use std::time::{Duration, Instant};

use fanfare_momento::credential::Shape;

use crate::fanfare::Fanfare;
use crate::server::Server;

fn key(fanfare: &Fanfare, name: &str, more: &[&str]) -> String {
    let done = fanfare.run(&[&["key", "create", name][..], more].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    done.out.trim().to_owned()
}

#[test]
fn keys_of_every_form_are_shown_once_listed_and_revoked() {
    let fanfare = Fanfare::new();
    let Shape::V1(wrapped) = Shape::of(&key(&fanfare, "a", &["--endpoint", "gw.example.com"])) else {
        panic!("not v1")
    };
    assert_eq!(wrapped.endpoint, "gw.example.com");
    assert_eq!(Shape::of(&key(&fanfare, "b", &["--form", "v2"])), Shape::V2);
    let legacy = Shape::of(&key(&fanfare, "c", &["--form", "legacy", "--endpoint", "gw"]));
    assert_eq!(legacy, Shape::Legacy { control: "control.gw".into(), cache: "cache.gw".into() });
    let scope = ["--role", "subscribeonly", "--cache", "chat", "--topic-prefix", "room-"];
    key(&fanfare, "d", &[&["--form", "disposable"][..], &scope].concat());
    let done = fanfare.run(&["key", "list"]);
    assert!(done.out.contains("subscribeonly chat/room-*") && done.out.contains("everything"), "{done:?}");
    assert!(!done.out.contains(&wrapped.api_key));
    for wrong in [
        &["a"][..],
        &["with space"],
        &["e", "--form", "disposable"],
        &["e", "--cache", "chat"],
        &["e", "--endpoint", "https://x"],
        &["e", "--role", "publishonly", "--cache", "a/b"],
    ] {
        let done = fanfare.run(&[&["key", "create"][..], wrong].concat());
        assert!(done.code == Some(2) && done.out.is_empty(), "{done:?}");
    }
    assert_eq!(fanfare.run(&["key", "revoke", "a"]).code, Some(0));
    assert_eq!(fanfare.run(&["key", "revoke", "a"]).code, Some(2));
}

#[test]
fn a_running_server_knows_a_key_and_forgets_it_within_a_moment() {
    let fanfare = Fanfare::new();
    fanfare.write("fanfare.toml", "[momento]\ncaches = [\"chat\"]\n");
    let server = Server::start(&fanfare, &[]);
    let Shape::V1(wrapped) = Shape::of(&key(&fanfare, "k", &["--role", "publishonly", "--cache", "chat"])) else {
        panic!("not v1")
    };
    let publish = |path: &str| server.post(path, "hi", &[("authorization", &wrapped.api_key)]).0;
    let becomes = |status: u16| {
        let deadline = Instant::now() + Duration::from_secs(10);
        while publish("/topics/chat/t") != status {
            assert!(Instant::now() < deadline, "it never was {status}");
        }
    };
    becomes(204);
    assert_eq!(publish("/topics/default/t"), 403);
    fanfare.run(&["key", "revoke", "k"]);
    becomes(401);
}
