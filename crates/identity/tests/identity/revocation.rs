//! Revoking, and that it outlives a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fanfare_core::{LogError, Millis, Principal};
use fanfare_identity::{Gate, MintRequest, Revocation, RevocationError, Revocations, Revoked, TokenError};

use crate::support::{FakeLog, NOW, Pair, SECRET, admitted, config, refused};

fn subject(name: &str, issued_before: Option<Millis>) -> Revocation {
    Revocation::Subject { subject: name.into(), issued_before }
}

fn token_id(id: &str) -> Revocation {
    Revocation::Token { token_id: id.into() }
}

fn principal(name: &str, id: &str, issued_at: Option<Millis>) -> Principal {
    Principal { subject: Some(name.into()), token_id: Some(id.into()), issued_at, ..Principal::default() }
}

fn load(log: &Arc<FakeLog>, now: Millis) -> Revocations {
    Revocations::load(log.clone(), now).unwrap()
}

#[test]
fn each_kind_revokes_what_it_names() {
    let list = load(&Arc::default(), NOW);
    let is_revoked = |name, id, issued_at| list.is_revoked(&principal(name, id, issued_at), NOW);
    list.revoke(subject("ann", Some(NOW)), None, NOW, None).unwrap();
    assert!(is_revoked("ann", "1", Some(NOW - 1)));
    assert!(is_revoked("ann", "1", None));
    assert!(!is_revoked("ann", "1", Some(NOW)));
    list.revoke(subject("bob", None), None, NOW, None).unwrap();
    assert!(is_revoked("bob", "1", Some(NOW + 1_000_000)));
    list.revoke(token_id("7"), Some(NOW + 60_000), NOW, None).unwrap();
    assert!(is_revoked("cid", "7", Some(NOW)));
    assert!(!is_revoked("cid", "8", Some(NOW)));
    let all = Revocation::IssuedBefore { issued_before: NOW - 500 };
    list.revoke(all, None, NOW, None).unwrap();
    assert!(is_revoked("dan", "9", Some(NOW - 501)));
    assert!(is_revoked("dan", "9", None));
    assert!(!is_revoked("dan", "9", Some(NOW - 500)));
    assert!(!list.is_revoked(&Principal::default(), NOW), "anonymous");
    assert_eq!((list.generation(), list.len(), list.list(10).len()), (4, 4, 4));
}

#[test]
fn the_gate_refuses_revoked_tokens_remembered_or_not() {
    let list = Arc::new(load(&Arc::default(), NOW));
    let gate = Gate::new(&config(), list.clone()).unwrap();
    let pair = Pair::secret(None, SECRET);
    let request = MintRequest {
        sub: Some("ann".into()),
        jti: Some("7".into()),
        ttl_ms: 60_000,
        issued_at: NOW,
        ..MintRequest::default()
    };
    let token = fanfare_identity::mint(&pair.signing, &request).unwrap();
    let live = admitted(gate.verify(&token, NOW));
    list.revoke(token_id("7"), Some(NOW + 65_000), NOW, None).unwrap();
    assert_eq!(refused(gate.verify(&token, NOW)), TokenError::Revoked);
    assert!(list.is_revoked(&live, NOW), "shards find the live connection");
    admitted(gate.verify(&pair.token("ann", &[]), NOW));
    list.revoke(subject("ann", Some(NOW + 1)), None, NOW, None).unwrap();
    assert_eq!(refused(gate.verify(&pair.token("ann", &[]), NOW)), TokenError::Revoked);
    let again = MintRequest { issued_at: NOW + 1_000, jti: None, ..request };
    let token = fanfare_identity::mint(&pair.signing, &again).unwrap();
    admitted(gate.verify(&token, NOW + 1_000));
}

#[test]
fn a_restart_forgets_nothing_but_what_has_ended() {
    let log = Arc::new(FakeLog::default());
    let list = load(&log, NOW);
    let is_kept = Arc::new(AtomicBool::new(false));
    let kept = is_kept.clone();
    let done = Box::new(move |result: Result<(), LogError>| {
        kept.store(result.is_ok(), Ordering::SeqCst);
    });
    list.revoke(subject("ann \"é\" /", Some(NOW)), None, NOW, Some(done)).unwrap();
    assert!(is_kept.load(Ordering::SeqCst));
    list.revoke(token_id("7"), Some(NOW + 60_000), NOW, None).unwrap();
    let all = Revocation::IssuedBefore { issued_before: 5 };
    list.revoke(all, Some(NOW + 90_000), NOW, None).unwrap();
    let sorted = |list: &Revocations| {
        let mut entries: Vec<_> = list.list(10).iter().map(|e| format!("{e:?}")).collect();
        entries.sort();
        entries
    };
    let before = sorted(&list);
    drop(list);
    let list = load(&log, NOW);
    assert_eq!(sorted(&list), before);
    assert!(list.is_revoked(&principal("ann \"é\" /", "1", None), NOW));
    drop(list);
    let list = load(&log, NOW + 60_000);
    assert_eq!((list.len(), log.records.lock().len()), (2, 2));
}

#[test]
fn entries_end_and_are_pruned_from_memory_and_disk() {
    let log = Arc::new(FakeLog::default());
    let list = load(&log, NOW);
    list.revoke(token_id("7"), Some(NOW + 10), NOW, None).unwrap();
    list.revoke(subject("ann", None), Some(NOW + 20), NOW, None).unwrap();
    let ann = principal("ann", "1", None);
    assert!(list.is_revoked(&ann, NOW + 19));
    assert!(!list.is_revoked(&ann, NOW + 20), "ended, though not pruned");
    assert_eq!(list.prune(NOW + 10), 1);
    assert_eq!((list.len(), log.records.lock().len()), (1, 1));
    assert_eq!(list.prune(NOW + 20), 1);
    assert!(list.is_empty() && log.records.lock().is_empty());
}

#[test]
fn a_revocation_is_never_weakened_by_another() {
    let log = Arc::new(FakeLog::default());
    let list = load(&log, NOW);
    let ann = |issued_at| principal("ann", "1", Some(issued_at));
    list.revoke(subject("ann", None), None, NOW, None).unwrap();
    list.revoke(subject("ann", Some(NOW)), None, NOW, None).unwrap();
    list.revoke(subject("ann", None), Some(NOW + 1), NOW, None).unwrap();
    assert!(list.is_revoked(&ann(NOW + 5), NOW + 5));
    list.revoke(token_id("7"), None, NOW, None).unwrap();
    list.revoke(token_id("7"), Some(NOW + 1), NOW, None).unwrap();
    assert!(list.is_revoked(&principal("x", "7", None), NOW + 5));
    let again = load(&log, NOW + 5);
    assert!(again.is_revoked(&ann(NOW + 5), NOW + 5));
    assert!(again.is_revoked(&principal("x", "7", None), NOW + 5));
}

#[test]
fn signing_out_everywhere_again_and_again_takes_one_entry() {
    let log = Arc::new(FakeLog::default());
    let list = load(&log, NOW);
    for day in 0..100 {
        list.revoke(subject("ann", Some(NOW + day)), None, NOW, None).unwrap();
    }
    assert_eq!((list.len(), log.records.lock().len()), (1, 1));
    assert_eq!(list.generation(), 100);
}

#[test]
fn the_list_is_bounded_and_makes_room_from_what_has_ended() {
    let log = Arc::new(FakeLog::default());
    let list = Revocations::load_bounded(log.clone(), NOW, 2).unwrap();
    list.revoke(token_id("1"), Some(NOW + 10), NOW, None).unwrap();
    list.revoke(token_id("2"), None, NOW, None).unwrap();
    let error = list.revoke(token_id("3"), None, NOW, None).unwrap_err();
    assert!(matches!(error, RevocationError::Full { max: 2 }));
    // Repeating one that is there needs no room.
    list.revoke(token_id("2"), None, NOW, None).unwrap();
    list.revoke(token_id("3"), None, NOW + 10, None).unwrap();
    assert_eq!((list.len(), log.records.lock().len()), (2, 2));
    let error = list.revoke(subject("", None), None, NOW, None).unwrap_err();
    assert!(matches!(error, RevocationError::Name));
}

#[test]
fn failing_storage_is_told_and_the_revocation_is_in_force() {
    let log = Arc::new(FakeLog::default());
    let list = load(&log, NOW);
    *log.failure.lock() = Some(LogError::Failing("disk full".into()));
    let error = list.revoke(token_id("7"), None, NOW, None).unwrap_err();
    assert!(matches!(error, RevocationError::NotKept(_)), "{error}");
    assert!(list.is_revoked(&principal("x", "7", None), NOW));
    *log.failure.lock() = None;
    list.revoke(token_id("7"), None, NOW, None).unwrap();
    assert_eq!(load(&log, NOW).len(), 1);
}

#[test]
fn a_damaged_record_stops_the_start() {
    let log = Arc::new(FakeLog::default());
    let damaged = ("{\"kind\":\"planet\"}".into(), "{}".into());
    log.records.lock().insert(damaged.0, damaged.1);
    let error = Revocations::load(log, NOW).unwrap_err();
    assert!(error.to_string().contains("planet"), "{error}");
}

#[test]
fn an_entry_is_plain_json_for_operators() {
    let entry = Revoked { revocation: subject("ann", Some(5)), until: None };
    let text = serde_json::to_string(&entry).unwrap();
    let expected = r#"{"kind":"subject","subject":"ann","issued_before":5,"until":null}"#;
    assert_eq!(text, expected);
    assert_eq!(serde_json::from_str::<Revoked>(&text).unwrap(), entry);
}
