//! What sessions that outlast their connections need of the core.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use bytes::Bytes;
use fanfare_core::{
    Action, Effect, Grant, Guarantee, HistorySettings, MemoryLog, Piece, Principal, Publication, Record, RecordTable,
    Refusal, Rule, Since, SpaceSettings,
};

use crate::support::{Bench, EPOCH, Shelf, filter, offsets, publication, retained, space, texts, topic};

fn bench(log: &Arc<Shelf>, history: HistorySettings) -> Bench {
    Bench::open(log.clone(), 1, SpaceSettings { history, ..SpaceSettings::default() })
}

fn off() -> HistorySettings {
    HistorySettings { count: 0, ..HistorySettings::default() }
}

fn publish_all(bench: &Bench, topic: &str, count: usize) {
    (0..count).for_each(|n| drop(bench.publish(topic, &n.to_string(), 0).unwrap()));
}

#[test]
fn what_is_held_is_kept_though_history_is_off() {
    let shelf = Arc::new(Shelf::default());
    let bench = bench(&shelf, HistorySettings { held_count: 3, ..off() });
    bench.core.hold(&space(), &filter("t/+")).unwrap();
    bench.core.hold(&space(), &filter("exact")).unwrap();
    publish_all(&bench, "t/a", 5);
    publish_all(&bench, "exact", 2);
    publish_all(&bench, "other", 2);
    let once = Publication { guarantee: Guarantee::AtMostOnce, ..publication("exact", "once") };
    bench.core.publish(&bench.ann, once, None, 0, None).unwrap();
    assert_eq!(texts(&bench.kept("t/a")), ["2", "3", "4"], "no more than held_count");
    assert_eq!(texts(&bench.kept("exact")), ["0", "1"], "quality 0 is kept for nobody");
    assert!(bench.kept("other").is_empty());
    bench.core.tick(1);
    assert_eq!(shelf.offsets("default").len(), 5);
}

#[test]
fn a_filter_is_held_until_the_last_lets_go_of_it() {
    for text in ["t", "+"] {
        let bench = bench(&Arc::default(), off());
        let has_receivers = || bench.publish("t", "x", 0).unwrap().has_receivers;
        assert!(!has_receivers());
        bench.core.hold(&space(), &filter(text)).unwrap();
        bench.core.hold(&space(), &filter(text)).unwrap();
        bench.core.release("default", &filter(text));
        assert!(has_receivers(), "{text}");
        bench.core.release("default", &filter(text));
        assert!(!has_receivers(), "{text}");
        // Once too often, and somewhere else.
        bench.core.release("default", &filter(text));
        bench.core.release("nowhere", &filter(text));
        bench.core.hold(&space(), &filter(text)).unwrap();
        assert!(has_receivers(), "{text}");
    }
}

#[test]
fn holding_raises_the_count_and_never_lowers_it() {
    for (count, held_count, expected) in [(2, 5, 5), (5, 2, 5)] {
        let bench = bench(&Arc::default(), HistorySettings { count, held_count, ..HistorySettings::default() });
        bench.core.hold(&space(), &filter("t")).unwrap();
        publish_all(&bench, "t", 9);
        publish_all(&bench, "u", 9);
        assert_eq!((bench.kept("t").len(), bench.kept("u").len()), (expected, count));
    }
}

#[test]
fn a_restart_keeps_what_is_held_and_trims_the_rest() {
    let shelf = Arc::new(Shelf::default());
    let history = HistorySettings { count: 2, held_count: 6, ..HistorySettings::default() };
    let before = bench(&shelf, history.clone());
    for text in ["held", "gone"] {
        before.core.hold(&space(), &filter(text)).unwrap();
        publish_all(&before, text, 6);
    }
    drop(before);
    let after = bench(&shelf, history);
    assert_eq!((after.kept("held").len(), after.kept("gone").len()), (6, 6), "nobody knows yet who wants what");
    after.core.hold(&space(), &filter("held")).unwrap();
    after.core.apply_counts();
    assert_eq!((after.kept("held").len(), after.kept("gone").len()), (6, 2));
    assert_eq!(shelf.offsets("default").len(), 8);
}

#[test]
fn messages_are_recalled_one_by_one() {
    for memory_bytes in [0, 1 << 20] {
        let history = HistorySettings { count: 2, memory_bytes, ..HistorySettings::default() };
        let bench = bench(&Arc::default(), history);
        bench.core.publish(&bench.ann, retained("kept", "1"), None, 0, None).unwrap();
        publish_all(&bench, "kept", 3);
        publish_all(&bench, "t", 3);
        let recall = |wanted: &[(&str, u64)]| {
            let wanted: Vec<_> = wanted.iter().map(|(name, offset)| (topic(name), *offset)).collect();
            let found = bench.core.recall("default", &wanted).unwrap();
            found.into_iter().map(|message| message.map(|message| message.offset)).collect::<Vec<_>>()
        };
        // 1 is trimmed and retained, 5 is trimmed, 6 stands in another topic, 99 nowhere.
        let wanted = [("t", 7), ("kept", 1), ("t", 5), ("t", 6), ("kept", 6), ("t", 99), ("nothing", 1), ("t", 7)];
        let expected = [Some(7), Some(1), None, Some(6), None, None, None, Some(7)];
        assert_eq!(recall(&wanted), expected);
        assert_eq!(bench.core.recall("nowhere", &[(topic("t"), 1)]).unwrap(), [None]);
    }
}

#[test]
fn what_is_still_on_its_way_to_the_disk_is_recalled() {
    let shelf = Arc::new(Shelf::default());
    let bench = bench(&shelf, HistorySettings { memory_bytes: 0, ..HistorySettings::default() });
    shelf.is_lazy.store(true, SeqCst);
    publish_all(&bench, "t", 1);
    let found = bench.core.recall("default", &[(topic("t"), 1)]).unwrap();
    assert!(found[0].is_some(), "a session would take it for trimmed, and lose it");
}

#[test]
fn retained_messages_fade_when_their_time_is_over() {
    let shelf = Arc::new(Shelf::default());
    let before = bench(&shelf, HistorySettings::default());
    let retain = |bench: &Bench, name: &str, expires_at| {
        let publication = Publication { expires_at, ..retained(name, "x") };
        bench.core.publish(&bench.ann, publication, None, 0, None).unwrap();
    };
    let standing = |bench: &Bench| {
        let joined = bench.core.join(&bench.ann, &space(), &filter("#"), Since::Now, 0, &mut || {}).unwrap();
        joined.retained.iter().map(|message| message.topic.to_string()).collect::<Vec<_>>()
    };
    retain(&before, "early", Some(100));
    retain(&before, "late", Some(200));
    retain(&before, "for-ever", None);
    // Replaced: its first time to go is forgotten.
    retain(&before, "again", Some(100));
    retain(&before, "again", Some(200));
    retain(&before, "stays", Some(100));
    retain(&before, "stays", None);
    before.core.tick(99);
    assert_eq!(standing(&before).len(), 5);
    before.core.tick(100);
    assert_eq!(standing(&before), ["again", "for-ever", "late", "stays"]);
    drop(before);
    let after = bench(&shelf, HistorySettings::default());
    assert_eq!(standing(&after), ["again", "for-ever", "late", "stays"], "the log has let go of it, too");
    after.core.tick(200);
    assert_eq!(standing(&after), ["for-ever", "stays"], "a restart knows when they fade");
}

#[test]
fn a_record_is_kept_with_its_message_or_alone_or_not_at_all() {
    let shelf = Arc::new(Shelf::default());
    for history in [HistorySettings::default(), off()] {
        let bench = bench(&shelf, history);
        let beside = |key: &'static [u8]| {
            let record =
                Record { table: RecordTable::Sessions, key: Bytes::from_static(key), value: Some(Bytes::new()) };
            Publication { beside: Some(record), ..publication("t", "x") }
        };
        let keys = || shelf.records.lock().drain(..).map(|record| record.key).collect::<Vec<_>>();
        let published = bench.core.publish(&bench.ann, beside(b"1"), None, 0, Some(Box::new(|_| {}))).unwrap();
        assert!(published.awaits_commit, "also where nothing but the record is written");
        assert_eq!(keys(), [Bytes::from_static(b"1")]);
        let head = bench.core.head(&space()).unwrap();
        shelf.is_full.store(true, SeqCst);
        let refused = bench.core.publish(&bench.ann, beside(b"2"), None, 0, None);
        assert!(matches!(refused, Err(Refusal::Log(_))));
        shelf.is_full.store(false, SeqCst);
        assert_eq!((keys(), bench.core.head(&space()).unwrap()), (vec![], head));
    }
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let piece = |c| match c {
        '*' => Piece::Any,
        '?' => Piece::AnyChar,
        c => Piece::Char(c),
    };
    pattern.chars().map(piece).collect()
}

fn literal(effect: Effect, action: Action, pattern: &str) -> Rule {
    Rule::literal(effect, action, "default", pieces(pattern))
}

#[test]
fn literal_rules_compare_texts() {
    for (pattern, text, expected) in [
        ("a/b", "a/b", true),
        ("a/*", "a/b/c", true),
        ("a/*", "a/", true),
        ("a/*", "a", false),
        ("a/?", "a/b", true),
        ("a/?", "a/bc", false),
        ("*", "#", true),
        ("a/*", "a/#", true),
        ("a/*", "a/+/c", true),
        ("a/#", "a/#", true),
        ("a/#", "a/b", false),
        ("a/+", "a/b", false),
        ("a/+", "a/+", true),
        ("a/?", "a/+", true),
        ("a/b", "a/+", false),
    ] {
        let grant = Grant::new(vec![literal(Effect::Allow, Action::Subscribe, pattern)]);
        assert_eq!(grant.allows_filter(Action::Subscribe, "default", &filter(text)), expected, "{pattern} for {text}");
        assert!(!grant.allows_filter(Action::Subscribe, "other", &filter(text)));
        assert!(!grant.allows_filter(Action::Receive, "default", &filter(text)));
        let denied = Grant::new(vec![
            literal(Effect::Allow, Action::Subscribe, "*"),
            literal(Effect::Deny, Action::Subscribe, pattern),
        ]);
        assert_eq!(denied.allows_filter(Action::Subscribe, "default", &filter(text)), !expected, "deny {pattern}");
    }
}

#[test]
fn receiving_and_retaining_follow_unless_rules_speak_of_them() {
    let publish = literal(Effect::Allow, Action::Publish, "*");
    let bench = Bench::open(Arc::new(MemoryLog::new(EPOCH)), 1, SpaceSettings::default());
    let retain = |rules: Vec<Rule>, name: &str| {
        let principal = Principal::anonymous(Grant::new(rules));
        let kept = Publication { retain: true, ..publication(name, "x") };
        bench.core.publish(&principal, kept, None, 0, None).map(|_| ())
    };
    assert!(retain(vec![publish.clone()], "a").is_ok());
    let some = vec![publish.clone(), literal(Effect::Allow, Action::Retain, "a*")];
    assert!(retain(some.clone(), "ab").is_ok());
    assert!(matches!(retain(some.clone(), "b"), Err(Refusal::Denied { action: "retain", .. })));
    let principal = Principal::anonymous(Grant::new(some.clone()));
    assert!(bench.core.publish(&principal, publication("b", "x"), None, 0, None).is_ok(), "it is not to stay");
    let denied = vec![publish, literal(Effect::Deny, Action::Retain, "c")];
    assert!(retain(denied, "c").is_err());
    let grant = Grant::new(some);
    assert_eq!([Action::Retain, Action::Receive].map(|action| grant.speaks_of(action)), [true, false]);
    assert!(!Grant::everything().speaks_of(Action::Receive));
    assert!(Grant::everything().allows(Action::Receive, "default", &topic("a")));
    assert_eq!(offsets(&bench.kept("b")).len(), 1);
}
