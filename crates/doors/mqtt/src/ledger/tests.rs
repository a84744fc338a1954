use fanfare_core::{CoreLimits, Log, SpaceSettings};
use fanfare_mqtt_codec::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use fanfare_testkit::TestLog;

use super::*;
use crate::outbound::{Received, Recording};
use crate::testing::{id, outgoing, share, will};

fn ledger() -> (Arc<TestLog>, Ledger) {
    let log = Arc::new(TestLog::default());
    let core = Core::open(log.clone(), Vec::new(), CoreLimits::default(), [], SpaceSettings::default()).unwrap();
    (log, Ledger::new(Arc::new(core)))
}

fn session(client_id: &str) -> State {
    State::new(client_id.into(), Some("ann".into()), 60)
}

fn subscription(text: &str, filter: &str) -> Subscription {
    Subscription {
        text: text.into(),
        filter: Filter::new(filter).unwrap(),
        share: None,
        qos: ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        id: Some(268_435_455),
        since: 7,
        number: Some(3),
        is_held: true,
        counted: None,
    }
}

fn restored(ledger: &Ledger) -> Restored {
    ledger.restore().unwrap()
}

#[test]
fn an_empty_ledger_holds_nothing() {
    let found = restored(&ledger().1);
    assert!(found.sessions.is_empty() && found.groups.is_empty());
}

#[test]
fn a_session_comes_back_with_its_subscriptions() {
    let (_, ledger) = ledger();
    let mut state = session("a");
    let plain = subscription("x/+", "x/+");
    let quiet =
        Subscription { qos: AtMostOnce, no_local: false, retain_as_published: false, id: None, ..plain.clone() };
    state.subscriptions = vec![plain, subscription("$share/group/y/#", "y/#"), quiet];
    assert!(ledger.put_main(&state, None, Some(1_234), None));
    let found = restored(&ledger).sessions.pop().unwrap();
    assert_eq!((&*found.state.client_id, found.state.subject.as_deref()), ("a", Some("ann")));
    assert_eq!((found.state.expiry_s, found.left_at, found.state.is_recorded), (60, Some(1_234), true));
    assert!(found.will.is_none());
    assert_eq!(found.shares, [(1, "group".to_owned())]);
    for (before, after) in state.subscriptions.iter().zip(&found.state.subscriptions) {
        assert_eq!((&before.text, &before.filter, before.qos), (&after.text, &after.filter, after.qos));
        assert_eq!((before.id, before.since), (after.id, after.since));
        assert_eq!((before.no_local, before.retain_as_published), (after.no_local, after.retain_as_published));
        assert_eq!((after.number, after.is_held), (None, false), "these belong to a run");
    }
    assert_eq!(found.state.subscriptions.len(), 3);
}

#[test]
fn a_will_comes_back_whole() {
    let (_, ledger) = ledger();
    let headers = Headers {
        content_type: Some("text/plain".into()),
        response_topic: Some("answers".into()),
        correlation: Some(Bytes::from_static(b"\0\xff")),
        is_utf8: Some(false),
    };
    let full = Will {
        payload: Bytes::from_static(b"\xff\0"),
        kind: Kind::Binary,
        guarantee: Guarantee::ExactlyOnce,
        retain: true,
        expiry_s: Some(9),
        headers: Some(Box::new(headers)),
        properties: vec![("a".into(), "1".into()), ("a".into(), "2".into())],
        ..*will(5)
    };
    for before in [full, *will(0)] {
        ledger.put_main(&session("a"), Some(&before), None, None);
        let after = restored(&ledger).sessions.pop().unwrap().will.unwrap();
        assert_eq!((&before.topic, &before.payload, before.kind), (&after.topic, &after.payload, after.kind));
        assert_eq!((before.guarantee, before.retain), (after.guarantee, after.retain));
        assert_eq!((before.delay_s, before.expiry_s), (after.delay_s, after.expiry_s));
        assert_eq!((&before.headers, &before.properties), (&after.headers, &after.properties));
        assert_eq!(after.principal.subject.as_deref(), Some("ann"));
    }
}

#[test]
fn what_is_in_flight_comes_back_in_order() {
    let (_, ledger) = ledger();
    let mut state = session("a");
    let outbound = &mut state.outbound;
    outbound.connect(10);
    outbound.begin(outgoing(3, ExactlyOnce, Source::Log));
    outbound.begin(outgoing(4, AtLeastOnce, Source::Shared(share("g"))));
    outbound.begin(Outgoing { retain: true, ids: [5, 6].into(), ..outgoing(2, AtLeastOnce, Source::Retained) });
    assert_eq!(outbound.next_due(false).map(|next| next.id), Some(id(1)));
    assert!(matches!(outbound.received(id(1), false), Received::Release));
    outbound.cursor = 9;
    outbound.push(outgoing(1, AtLeastOnce, Source::Retained));
    outbound.push(outgoing(8, AtLeastOnce, Source::Log));
    ledger.put_main(&state, None, None, None);
    assert!(ledger.put_flight(&state, 0xfa, None));
    let found = restored(&ledger).sessions.pop().unwrap();
    assert_eq!((found.epoch, found.state.outbound.cursor), (0xfa, 7), "8 waits and is read again");
    let seen: Vec<_> = found.inflight.iter().map(|m| (m.id, m.stage, m.row.qos, m.row.offset)).collect();
    let expected = [
        (Some(id(1)), Stage::Released, 2, 3),
        (Some(id(2)), Stage::Published, 1, 4),
        (Some(id(3)), Stage::Published, 1, 2),
    ];
    assert_eq!(seen, expected);
    assert_eq!(found.inflight[1].row.share, Some(("g".into(), "t".into())));
    assert!(found.inflight[2].row.is_retained && found.inflight[2].row.retain);
    assert_eq!(*found.inflight[2].row.ids, [5, 6]);
    let waiting: Vec<_> = found.waiting.iter().map(|m| (m.id, m.row.offset, &*m.row.topic)).collect();
    assert_eq!(waiting, [(None, 1, "t")]);
    assert!(state.outbound.inflight().all(|inflight| inflight.recording == Recording::Due), "the caller says that");
}

#[test]
fn ids_that_were_received_come_and_go() {
    let (log, ledger) = ledger();
    let state = session("a");
    ledger.put_main(&state, None, None, None);
    for number in [1, 256, 65_535] {
        let Record { table, key, value } = Ledger::received("a", id(number));
        log.put_record(table, &key, value, None).unwrap();
    }
    ledger.forget_received("a", id(256), None);
    let found = restored(&ledger).sessions.pop().unwrap();
    assert_eq!(found.state.received.into_iter().collect::<Vec<_>>(), [id(1), id(65_535)]);
}

#[test]
fn clients_with_similar_names_are_kept_apart() {
    let (_, ledger) = ledger();
    for client_id in ["a", "a\u{1}", "aa", "a m", "\u{10ffff}"] {
        let mut state = session(client_id);
        state.subscriptions.push(subscription(client_id, client_id));
        state.outbound.cursor = client_id.len() as u64;
        ledger.put_main(&state, None, None, None);
        ledger.put_flight(&state, 1, None);
    }
    let found = restored(&ledger).sessions;
    assert_eq!(found.len(), 5);
    for session in found {
        assert_eq!(*session.state.client_id, *session.state.subscriptions[0].text);
        assert_eq!(session.state.outbound.cursor, session.state.client_id.len() as u64);
    }
}

#[test]
fn groups_come_back_with_their_place() {
    let (_, ledger) = ledger();
    let position = Position { epoch: 3, offset: 99 };
    ledger.put_group("g", "a/#", position);
    ledger.put_group("h", "b", position);
    ledger.forget_group("h", "b");
    ledger.put_main(&session("g"), None, None, None);
    let found = restored(&ledger);
    assert_eq!(found.groups, [("g".to_owned(), "a/#".to_owned(), position)]);
    assert_eq!(found.sessions.len(), 1);
}

#[test]
fn a_session_that_is_over_leaves_nothing() {
    let (log, ledger) = ledger();
    let mut state = session("a");
    state.received.insert(id(9));
    ledger.put_main(&state, Some(&will(1)), None, None);
    ledger.put_flight(&state, 1, None);
    let Record { table, key, value } = Ledger::received("a", id(9));
    log.put_record(table, &key, value, None).unwrap();
    assert_eq!(log.table(RecordTable::Sessions).len(), 3);
    ledger.forget(&state);
    assert!(log.table(RecordTable::Sessions).is_empty());
}

#[test]
fn leftovers_of_a_session_that_is_over_are_passed_by() {
    let (_, ledger) = ledger();
    ledger.put_flight(&session("a"), 1, None);
    ledger.put_main(&session("b"), None, None, None);
    let found = restored(&ledger).sessions;
    assert_eq!(found.iter().map(|session| &*session.state.client_id).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_store_that_takes_nothing_says_so() {
    let (log, ledger) = ledger();
    log.set_failing(true);
    let done = || -> Option<Done> { Some(Box::new(|_| panic!("it was not taken"))) };
    assert!(!ledger.put_main(&session("a"), None, None, done()));
    assert!(!ledger.put_flight(&session("a"), 1, done()));
    assert!(!ledger.forget_received("a", id(1), done()));
}

#[test]
fn damaged_records_are_errors_that_name_them() {
    let main = br#"{"subject":null,"expiry_s":1,"subscriptions":[{"text":"FILTER","qos":QOS,"no_local":false,
        "retain_as_published":false,"id":null,"since":0}],"left_at":null,"will":WILL}"#;
    let main = |filter: &str, qos: &str, will: &str| {
        let text = std::str::from_utf8(main).unwrap();
        text.replace("FILTER", filter).replace("QOS", qos).replace("WILL", will).into_bytes()
    };
    let will = |topic: &str, payload: &str, kind: u8, correlation: &str| {
        let row = format!(
            r#"{{"topic":"{topic}","payload":"{payload}","kind":{kind},"guarantee":0,"retain":false,"delay_s":0,
            "expiry_s":null,"content_type":null,"response_topic":null,"correlation":{correlation},"is_utf8":null,
            "properties":[]}}"#
        );
        main("a", "1", &row)
    };
    let cases: Vec<(&[u8], Vec<u8>)> = vec![
        (b"a\0m", b"{}".to_vec()),
        (b"a\0m", b"not json".to_vec()),
        (b"a\0f", b"[]".to_vec()),
        (b"a\0r", Vec::new()),
        (b"a\0r\0\0", Vec::new()),
        (b"a\0r\0\x01\x02", Vec::new()),
        (b"a\0x", Vec::new()),
        (b"a\0", Vec::new()),
        (b"no zero", Vec::new()),
        (b"\xff\0m", main("a", "1", "null")),
        (b"\0g\0ga", b"{}".to_vec()),
        (b"\0g", b"{\"epoch\":1,\"offset\":1}".to_vec()),
        (b"a\0m", main("a/#/b", "1", "null")),
        (b"a\0m", main("a", "3", "null")),
        (b"a\0m", will("a/#", "", 1, "null")),
        (b"a\0m", will("a", "?", 1, "null")),
        (b"a\0m", will("a", "", 77, "null")),
        (b"a\0m", will("a", "", 1, "\"?\"")),
    ];
    for (key, value) in cases {
        let (log, ledger) = ledger();
        log.set_record(RecordTable::Sessions, key, &value);
        let error = ledger.restore().err();
        let Some(LogError::Damaged(what)) = error else { panic!("{}: {error:?}", key.escape_ascii()) };
        assert!(what.contains("session"), "{what}");
    }
    let (log, ledger) = ledger();
    log.set_record(RecordTable::Sessions, b"a\0m", &will("a", "aGk=", 1, "\"aGk=\""));
    assert!(ledger.restore().is_ok(), "the cases are damaged where they say");
}
