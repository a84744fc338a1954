//! What tasks are given of the topics they listen to: everything, once, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanfare_core::{Filter, Grant, HistorySettings, Kind, Principal, Publication, Refusal, Since, TopicName};
use fanfare_door::{Listening, StreamItem};
use fanfare_identity::Revocation;
use fanfare_testkit::TestServer;
use tokio::time::Instant;

use crate::server::{everybody, is_subscribed, publish, start, start_with};

fn listen(server: &TestServer, filters: &[&str], since: Since) -> Listening {
    let filters = filters.iter().map(|filter| Filter::new(filter).unwrap()).collect();
    server.gateway.listen(&everybody(), server.gateway.default_space(), filters, since).unwrap()
}

/// The next item within some seconds.
fn next(server: &TestServer, listening: &mut Listening) -> StreamItem {
    let soon = Duration::from_secs(10);
    let item = server.gateway.tasks.block_on(async { tokio::time::timeout(soon, listening.next()).await });
    item.expect("an item comes")
}

fn text(item: StreamItem) -> String {
    match item {
        StreamItem::Message(message) => String::from_utf8(message.payload.to_vec()).unwrap(),
        other => panic!("a message was expected, not {other:?}"),
    }
}

/// Nothing more is there, once everything that was published is handed out.
fn is_quiet(listening: &mut Listening) -> bool {
    listening.advance();
    listening.next_now().is_none()
}

#[test]
fn a_reader_that_falls_behind_reads_on_from_history() {
    let server = start();
    let mut listening = listen(&server, &["t/+"], Since::Now);
    for round in 0..3 {
        // More than the channel holds, each time anew.
        for n in 0..700 {
            publish(&server, &format!("t/{}", n % 3), format!("{round} {n}"));
        }
        for n in 0..700 {
            assert_eq!(text(next(&server, &mut listening)), format!("{round} {n}"));
        }
        assert!(is_quiet(&mut listening));
    }
    publish(&server, "t/1", "live again");
    assert_eq!(text(next(&server, &mut listening)), "live again");
}

#[test]
fn several_filters_are_one_ordered_stream_under_load() {
    let server = start_with(|options| {
        options.space.history = HistorySettings { count: 100_000, ..HistorySettings::default() };
    });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for publisher in 0..3 {
            let (server, done) = (&server, &done);
            scope.spawn(move || {
                let mut n = 0;
                while !done.load(Ordering::Relaxed) && n < 20_000 {
                    publish(server, ["a", "b/1", "b/2", "elsewhere"][(n + publisher) % 4], "x");
                    n += 1;
                }
            });
        }
        for reader in 0..2 {
            let mut listening = listen(&server, &["a", "b/+", "b/1", "#"][..3 + reader], Since::Beginning);
            let mut last: fanfare_core::Offset = 0;
            let mut previous = std::collections::HashMap::new();
            for count in 0..5_000 {
                let StreamItem::Message(message) = next(&server, &mut listening) else {
                    panic!("a message was expected")
                };
                assert!(message.offset > last, "in the order of the space, each once");
                last = message.offset;
                let expected = previous.insert(message.topic.clone(), message.offset).unwrap_or(0);
                assert_eq!(message.previous, expected, "nothing of a topic is left out");
                if count % 1_000 == 0 {
                    // Enough for the channel to run over while nobody reads.
                    for _ in 0..600 {
                        publish(&server, "b/1", "x");
                    }
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_dropped_wait_loses_nothing() {
    let server = start();
    for n in 0..600 {
        publish(&server, "t", n.to_string());
    }
    let mut listening = listen(&server, &["t"], Since::Beginning);
    let mut expected = 0;
    let mut published = 600;
    while expected < 900 {
        let at_once = Instant::now();
        let item = server.gateway.tasks.block_on(async { tokio::time::timeout_at(at_once, listening.next()).await });
        if let Ok(item) = item {
            assert_eq!(text(item), expected.to_string());
            expected += 1;
        } else if published < 900 {
            publish(&server, "t", published.to_string());
            published += 1;
        } else {
            assert_eq!(text(next(&server, &mut listening)), expected.to_string());
            expected += 1;
        }
    }
}

#[test]
fn a_deadline_does_not_cut_off_history() {
    let server = start();
    publish(&server, "t", "kept");
    let mut listening = listen(&server, &["t"], Since::Beginning);
    let now = Instant::now();
    let item = server.gateway.tasks.block_on(listening.next_before(now)).unwrap();
    assert_eq!(text(item), "kept");
    assert!(server.gateway.tasks.block_on(listening.next_before(now)).is_none());
}

#[test]
fn whoever_begins_now_gets_retained_messages_first() {
    let server = start();
    let retain = |topic: &str, text: &'static str| {
        let name = TopicName::new(topic).unwrap();
        let space = server.gateway.default_space().clone();
        let mut publication = Publication::new(space, name, Kind::Text, text.as_bytes().into());
        publication.retain = true;
        server.gateway.core.publish(&everybody(), publication, None, 1, None).unwrap();
    };
    retain("a/1", "one");
    retain("a/2", "two");
    let mut listening = listen(&server, &["a/+", "a/1"], Since::Now);
    publish(&server, "a/1", "live");
    let mut retained = Vec::new();
    for _ in 0..2 {
        let StreamItem::Retained(message) = next(&server, &mut listening) else { panic!("retained ones come first") };
        retained.push(message.topic.to_string());
    }
    assert_eq!(retained, ["a/1", "a/2"], "each topic's once");
    assert_eq!(text(next(&server, &mut listening)), "live");
    let mut resumed = listen(&server, &["a/+"], Since::After(listening.seen()));
    assert!(is_quiet(&mut resumed), "who resumes has them");
}

#[test]
fn without_history_only_the_head_can_be_resumed() {
    let history = HistorySettings { count: 0, ..HistorySettings::default() };
    let server = start_with(|options| options.space.history = history);
    let head = publish(&server, "t", "1");
    let mut listening = listen(&server, &["t"], Since::After(head));
    assert_eq!(listening.recovered, Some(true));
    publish(&server, "t", "2");
    assert_eq!(text(next(&server, &mut listening)), "2", "and nothing is called a gap that is none");
    let mut late = listen(&server, &["t"], Since::After(head));
    assert_eq!((late.recovered, late.position), (Some(false), listening.seen()));
    assert!(is_quiet(&mut late));
    // What does not fit the channel is lost here, and said to be.
    for n in 0..1_000 {
        publish(&server, "t", n.to_string());
    }
    let mut gap = None;
    for n in 0..1_000 {
        match next(&server, &mut listening) {
            StreamItem::Gap(position) => {
                gap = Some(position);
                break;
            }
            item => assert_eq!(text(item), n.to_string()),
        }
    }
    assert_eq!(gap, Some(server.gateway.core.head(server.gateway.default_space()).unwrap()));
    publish(&server, "t", "after the gap");
    assert_eq!(text(next(&server, &mut listening)), "after the gap");
}

#[test]
fn what_was_gone_before_is_no_gap_to_whoever_wants_all_that_is_kept() {
    let history = HistorySettings { count: 300, ..HistorySettings::default() };
    let server = start_with(|options| options.space.history = history);
    for n in 0..290 {
        publish(&server, "long", n.to_string());
    }
    for _ in 0..400 {
        publish(&server, "trimmed", "x");
    }
    let mut listening = listen(&server, &["long", "trimmed"], Since::Beginning);
    for _ in 0..590 {
        assert!(matches!(next(&server, &mut listening), StreamItem::Message(_)));
    }
    assert!(is_quiet(&mut listening));
}

#[test]
fn a_revoked_reader_gets_nothing_more() {
    let server = start();
    let principal = Arc::new(Principal { subject: Some("bob".into()), issued_at: Some(1), ..(*everybody()).clone() });
    let filters = || vec![Filter::new("t").unwrap()];
    let space = server.gateway.default_space();
    publish(&server, "t", "kept");
    let mut live = server.gateway.listen(&principal, space, filters(), Since::Now).unwrap();
    let mut past = server.gateway.listen(&principal, space, filters(), Since::Beginning).unwrap();
    publish(&server, "t", "waits in the channel");
    let revocation = Revocation::Subject { subject: "bob".into(), issued_before: None };
    server.gateway.tasks.block_on(server.gateway.revoke(revocation, None)).unwrap();
    for listening in [&mut live, &mut past] {
        assert!(matches!(next(&server, listening), StreamItem::End("revoked")));
        assert!(matches!(next(&server, listening), StreamItem::End("revoked")), "and it stays so");
    }
    let mut late = server.gateway.listen(&principal, space, filters(), Since::Now).unwrap();
    assert!(matches!(next(&server, &mut late), StreamItem::End("revoked")), "its credential was checked too early");
}

#[test]
fn a_reader_ends_with_its_token() {
    let server = start();
    let expires_at = Some(server.gateway.clock.now() + 50);
    let principal = Arc::new(Principal { expires_at, ..(*everybody()).clone() });
    let filters = vec![Filter::new("t").unwrap()];
    let mut listening = server.gateway.listen(&principal, server.gateway.default_space(), filters, Since::Now).unwrap();
    assert!(matches!(next(&server, &mut listening), StreamItem::End("token_expired")));
}

#[test]
fn a_dropped_reader_leaves_and_others_stay() {
    let server = start();
    let first = listen(&server, &["t", "u"], Since::Now);
    let mut second = listen(&server, &["t"], Since::Now);
    assert!(is_subscribed(&server, "t") && is_subscribed(&server, "u"));
    drop(first);
    assert!(is_subscribed(&server, "t") && !is_subscribed(&server, "u"));
    publish(&server, "t", "x");
    assert_eq!(text(next(&server, &mut second)), "x");
    drop(second);
    assert!(!is_subscribed(&server, "t"));
}

#[test]
fn a_refused_reader_leaves_nothing_behind() {
    let server = start();
    let nobody = Arc::new(Principal::anonymous(Grant::nothing()));
    let filters = vec![Filter::new("t").unwrap()];
    let refused = server.gateway.listen(&nobody, &"secret".into(), filters, Since::Now);
    assert!(matches!(refused.err(), Some(Refusal::Denied { .. })));
    assert!(server.gateway.core.spaces(None, 10).is_empty());
    assert!(!is_subscribed(&server, "t"));
}
