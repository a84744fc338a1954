//! What a publish answers, and that one which is refused leaves nothing behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use fanfare_core::{Core, Done, MemoryLog, Publication, Since, SpaceSettings};

use crate::support::{
    Bench, Shelf, filter, keyed, offsets, publication, retained, space, texts, topic, user, without_history,
};

fn in_memory() -> Bench {
    Bench::open(Arc::new(MemoryLog::new(1)), 2, SpaceSettings::default())
}

fn on(shelf: &Arc<Shelf>, settings: SpaceSettings) -> Bench {
    Bench::open(shelf.clone(), 2, settings)
}

/// A waiter, and how often it heard of a commit.
fn waiter() -> (Option<Done>, Arc<AtomicU32>) {
    let heard = Arc::new(AtomicU32::new(0));
    let count = heard.clone();
    let done: Done = Box::new(move |answer| {
        answer.unwrap();
        count.fetch_add(1, SeqCst);
    });
    (Some(done), heard)
}

#[test]
fn a_repeated_key_publishes_once() {
    let bench = in_memory();
    let first = bench.publish_once(&bench.ann, "t", "k", 0);
    let again = bench.publish_once(&bench.ann, "t", "k", 120_000);
    assert!(!first.is_duplicate && again.is_duplicate);
    assert_eq!(first.position, again.position);
    assert_eq!(offsets(&bench.kept("t")), [1]);
    let late = bench.publish_once(&bench.ann, "t", "k", 120_001);
    assert!(!late.is_duplicate, "the window is over");
    assert_eq!(late.position.offset, 2);
}

#[test]
fn a_key_counts_for_its_publisher_and_topic() {
    let bench = in_memory();
    for (who, name) in [("ann", "t"), ("bob", "t"), ("ann", "u")] {
        assert!(!bench.publish_once(&user(who), name, "k", 0).is_duplicate, "{who} on {name}");
    }
    assert!(bench.publish_once(&user("bob"), "t", "k", 0).is_duplicate);
}

#[test]
fn more_keys_than_are_remembered_forget_the_oldest() {
    let settings = SpaceSettings { idempotency_keys_max: 3, ..SpaceSettings::default() };
    let bench = Bench::open(Arc::new(MemoryLog::new(1)), 1, settings);
    for key in ["1", "2", "3", "4", "5"] {
        bench.publish_once(&bench.ann, "t", key, 0);
    }
    assert!(bench.publish_once(&bench.ann, "t", "5", 0).is_duplicate);
    assert!(!bench.publish_once(&bench.ann, "t", "1", 0).is_duplicate);
}

#[test]
fn a_batch_is_published_as_a_whole_or_not_at_all() {
    let mut limited = user("ann");
    limited.grant = fanfare_core::Grant::new(vec![
        fanfare_core::Rule::parse(fanfare_core::Effect::Allow, "publish:*/open", None).unwrap(),
    ]);
    let bench = Bench::open(
        Arc::new(MemoryLog::new(1)),
        1,
        SpaceSettings { message_bytes_max: 10, ..SpaceSettings::default() },
    );
    let good = || publication("open", "x");
    let elsewhere = Publication { space: "other".into(), ..good() };
    let refused = |bad: Publication| {
        let batch = vec![good(), bad, good()];
        bench.core.publish_batch(&limited, batch, 0, None).unwrap_err().code()
    };
    assert_eq!(refused(publication("closed", "x")), "denied");
    assert_eq!(refused(publication("open", "longer than ten")), "message_too_large");
    assert_eq!(refused(elsewhere), "invalid_batch");
    let too_many = (0..1_001).map(|_| good()).collect();
    assert_eq!(bench.core.publish_batch(&limited, too_many, 0, None).unwrap_err().code(), "invalid_batch");
    assert_eq!(bench.core.head(&space()).unwrap().offset, 0);
    assert!(bench.kept("#").is_empty());
    let published = bench.core.publish_batch(&limited, vec![good(), good()], 0, None).unwrap();
    assert_eq!(published.iter().map(|p| p.position.offset).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_batch_looks_at_each_key() {
    let bench = in_memory();
    bench.publish_once(&bench.ann, "t", "a", 0);
    let batch = vec![keyed("t", "a"), keyed("t", "b"), keyed("t", "b"), publication("t", "x")];
    let published = bench.core.publish_batch(&bench.ann, batch, 0, None).unwrap();
    let answers: Vec<_> = published.iter().map(|p| (p.position.offset, p.is_duplicate)).collect();
    assert_eq!(answers, [(1, true), (2, false), (2, true), (3, false)]);
    assert_eq!(offsets(&bench.kept("t")), [1, 2, 3]);
}

#[test]
fn a_repetition_waits_for_the_commit_of_the_first() {
    let shelf = Arc::new(Shelf::default());
    let bench = on(&shelf, SpaceSettings::default());
    shelf.is_lazy.store(true, SeqCst);
    bench.publish_once(&bench.ann, "t", "k", 0);
    let (done, heard_of_one) = waiter();
    assert!(bench.core.publish(&bench.ann, keyed("t", "k"), None, 0, done).unwrap().awaits_commit);
    let (done, heard_of_batch) = waiter();
    let published = bench.core.publish_batch(&bench.ann, vec![keyed("t", "k")], 0, done).unwrap();
    assert!(published[0].is_duplicate && published[0].awaits_commit);
    assert_eq!((heard_of_one.load(SeqCst), heard_of_batch.load(SeqCst)), (0, 0));
    bench.core.log().flush().unwrap();
    assert_eq!((heard_of_one.load(SeqCst), heard_of_batch.load(SeqCst)), (1, 1));
}

#[test]
fn what_is_not_kept_is_acknowledged_at_once() {
    let bench = on(&Arc::new(Shelf::default()), without_history());
    let (done, heard) = waiter();
    let published = bench.core.publish(&bench.ann, publication("t", "x"), None, 0, done).unwrap();
    assert!(!published.awaits_commit);
    assert_eq!(heard.load(SeqCst), 0);
    let (done, heard) = waiter();
    assert!(bench.core.publish(&bench.ann, retained("t", "x"), None, 0, done).unwrap().awaits_commit);
    assert_eq!(heard.load(SeqCst), 1);
}

#[test]
fn a_full_inbox_refuses_publishes_for_its_shard() {
    let bench = in_memory();
    bench.core.join(&bench.ann, &space(), &filter("busy/#"), Since::Now, 1, &mut || {}).unwrap();
    bench.inboxes[1].is_full.store(true, SeqCst);
    assert_eq!(bench.publish("busy/1", "x", 0).unwrap_err().code(), "overloaded");
    let batch = vec![publication("calm", "x"), publication("busy/1", "x")];
    assert_eq!(bench.core.publish_batch(&bench.ann, batch, 0, None).unwrap_err().code(), "overloaded");
    assert!(bench.kept("#").is_empty());
    assert_eq!(bench.publish("calm", "x", 0).unwrap().position.offset, 1, "nobody there wants it");
    bench.inboxes[1].is_full.store(false, SeqCst);
    bench.publish("busy/1", "x", 0).unwrap();
    assert_eq!(offsets(&bench.inboxes[1].messages()), [2]);
}

#[test]
fn a_failing_log_refuses_what_would_have_to_be_kept() {
    let shelf = Arc::new(Shelf::default());
    let bench = on(&shelf, SpaceSettings::default());
    let live = on(&Arc::new(Shelf::default()), without_history());
    shelf.is_failing.store(true, SeqCst);
    assert_eq!(bench.publish("t", "x", 0).unwrap_err().code(), "storage_unavailable");
    assert_eq!(bench.core.head(&space()).unwrap().offset, 0);
    shelf.is_failing.store(false, SeqCst);
    assert_eq!(bench.publish("t", "x", 0).unwrap().position.offset, 1);

    let shelf = Arc::new(Shelf::default());
    let bench = on(&shelf, without_history());
    bench.publish("t", "x", 0).unwrap();
    shelf.is_failing.store(true, SeqCst);
    assert!(bench.publish("t", "x", 0).is_ok(), "nothing of it is kept");
    let refused = bench.core.publish(&bench.ann, retained("t", "x"), None, 0, None);
    assert_eq!(refused.unwrap_err().code(), "storage_unavailable");
    drop(live);
}

fn previous_of(bench: &Bench, name: &str) -> u64 {
    bench.kept(name).last().unwrap().previous
}

#[test]
fn a_publish_that_the_log_refuses_leaves_nothing_behind() {
    let shelf = Arc::new(Shelf::default());
    let mut settings = SpaceSettings::default();
    (settings.history.count, settings.history.topics) = (3, 2);
    let bench = on(&shelf, settings);
    for text in ["1", "2", "3"] {
        bench.publish("t", text, 0).unwrap();
    }
    let before = bench.core.kept("default");
    shelf.is_full.store(true, SeqCst);
    for publication in [keyed("t", "k"), keyed("fresh", "k"), retained("t", "x"), keyed("fresher", "k")] {
        let refused = bench.core.publish(&bench.ann, publication, None, 0, None);
        assert_eq!(refused.unwrap_err().code(), "storage_unavailable");
    }
    let batch = (0..1_000).map(|n| keyed(["t", "fresh"][n % 2], &n.to_string())).collect();
    assert!(bench.core.publish_batch(&bench.ann, batch, 0, None).is_err());
    shelf.is_full.store(false, SeqCst);

    assert_eq!(bench.core.kept("default"), before);
    assert_eq!(texts(&bench.kept("#")), ["1", "2", "3"], "refused publishes push nothing out");
    let names: Vec<_> = bench.core.topics("default", "", None, 9).into_iter().map(|t| t.topic).collect();
    assert_eq!(names, [topic("t")]);
    assert!(retained_of(&bench.core, "t").is_empty());
    let next = bench.publish_once(&bench.ann, "t", "k", 0);
    assert_eq!((next.position.offset, next.is_duplicate), (4, false));
    assert_eq!(previous_of(&bench, "t"), 3);
    let elsewhere = bench.publish_once(&bench.ann, "fresh", "k", 0);
    assert_eq!((elsewhere.position.offset, elsewhere.is_duplicate), (5, false));
    bench.publish("t", "x", 0).unwrap();
    assert_eq!(previous_of(&bench, "t"), 4);
}

#[test]
fn a_refused_batch_takes_back_its_own_messages_only() {
    let shelf = Arc::new(Shelf::default());
    let mut settings = SpaceSettings::default();
    settings.history.count = 1;
    let bench = on(&shelf, settings);
    (0..5).for_each(|n| drop(bench.publish(&format!("other/{n}"), "x", 0)));
    shelf.is_full.store(true, SeqCst);
    // Each pushes out the one before: enough that what they leave in the index is swept.
    for _ in 0..3 {
        let batch = (0..1_000).map(|_| publication("t", "x")).collect();
        assert!(bench.core.publish_batch(&bench.ann, batch, 0, None).is_err());
    }
    shelf.is_full.store(false, SeqCst);
    assert_eq!(offsets(&bench.kept("#")), [1, 2, 3, 4, 5]);
    bench.publish("t", "x", 0).unwrap();
    assert_eq!(offsets(&bench.kept("#")), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_refused_retained_message_without_history_forgets_its_key() {
    let shelf = Arc::new(Shelf::default());
    let bench = on(&shelf, without_history());
    bench.publish("t", "x", 0).unwrap();
    let publication = || Publication { retain: true, ..keyed("t", "k") };
    shelf.is_full.store(true, SeqCst);
    assert!(bench.core.publish(&bench.ann, publication(), None, 0, None).is_err());
    shelf.is_full.store(false, SeqCst);
    let published = bench.core.publish(&bench.ann, publication(), None, 0, None).unwrap();
    assert_eq!((published.position.offset, published.is_duplicate), (2, false));
}

pub(crate) fn retained_of(core: &Core, text: &str) -> Vec<String> {
    let joined = core.join(&user("bob"), &space(), &filter(text), Since::Now, 0, &mut || {}).unwrap();
    core.leave("default", &filter(text), 0);
    texts(&joined.retained)
}

#[test]
fn the_last_retained_message_stands_until_an_empty_one_clears_it() {
    let bench = in_memory();
    let publish = |name, text| drop(bench.core.publish(&bench.ann, retained(name, text), None, 0, None).unwrap());
    publish("door/1", "open");
    publish("door/2", "open");
    publish("door/1", "shut");
    bench.publish("door/2", "not retained", 0).unwrap();
    assert_eq!(retained_of(&bench.core, "door/+"), ["shut", "open"]);
    assert_eq!(retained_of(&bench.core, "door/1"), ["shut"]);
    publish("door/1", "");
    assert_eq!(retained_of(&bench.core, "#"), ["open"]);
    let again = bench.core.join(&bench.ann, &space(), &filter("#"), Since::Beginning, 0, &mut || {}).unwrap();
    assert!(again.retained.is_empty(), "history tells of them already");
    assert_eq!(again.messages.len(), 5);
}
