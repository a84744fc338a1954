use super::*;
use crate::testing::will;

mod model;

const MAX: usize = 1_000;

fn connection(number: u64) -> ConnectionId {
    ConnectionId::parse(&format!("n.{number:x}"), "n").unwrap()
}

fn session(client_id: &str, expiry_s: u32) -> Box<State> {
    Box::new(State::new(client_id.into(), None, expiry_s))
}

fn claim(registry: &Registry, client_id: &str, number: u64, is_clean: bool) -> (Claim, Vec<Effect>) {
    registry.claim(&client_id.into(), &None, is_clean, connection(number))
}

/// Claims for somebody who need not wait.
fn found(registry: &Registry, client_id: &str, number: u64, is_clean: bool) -> (Found, Vec<Effect>) {
    match claim(registry, client_id, number, is_clean) {
        (Claim::Now(found), effects) => (found, effects),
        _ => panic!("{client_id} is not free"),
    }
}

fn waits(registry: &Registry, client_id: &str, number: u64, is_clean: bool) -> oneshot::Receiver<Handover> {
    match claim(registry, client_id, number, is_clean) {
        (Claim::Later(_, receiver), _) => receiver,
        _ => panic!("{client_id} is free"),
    }
}

fn leave(registry: &Registry, number: u64, state: Box<State>, will: Option<Box<Will>>, now: Millis) -> Vec<Effect> {
    let mut parting = registry.leave(connection(number), Leaving { state, will, now }, MAX);
    std::mem::take(&mut parting.effects)
}

fn names(effects: &[Effect]) -> Vec<&'static str> {
    let name = |effect: &Effect| match effect {
        Effect::Publish(..) => "publish",
        Effect::Crowd(_) => "crowd",
        Effect::End(_) => "end",
    };
    effects.iter().map(name).collect()
}

fn expiry(found: Found) -> Option<u32> {
    match found {
        Found::Nothing => None,
        Found::Session(state) => Some(state.expiry_s),
    }
}

#[test]
fn a_session_waits_for_its_client() {
    let registry = Registry::default();
    assert!(matches!(found(&registry, "a", 1, false), (Found::Nothing, effects) if effects.is_empty()));
    assert_eq!(registry.connection("a"), Some(connection(1)));
    assert!(leave(&registry, 1, session("a", 60), None, 0).is_empty());
    assert_eq!((registry.counts(), registry.connection("a")), ((0, 1), None));
    assert_eq!(registry.with_away("a", |state| state.expiry_s), Some(60));
    assert_eq!(expiry(found(&registry, "a", 2, false).0), Some(60));
    assert_eq!(registry.counts(), (1, 0));
    assert_eq!(registry.due(u64::MAX - 1).1, None, "nobody is away any more");
}

#[test]
fn sessions_end_at_once_or_when_their_time_is_over() {
    let registry = Registry::default();
    found(&registry, "now", 1, false);
    assert_eq!(names(&leave(&registry, 1, session("now", 0), None, 0)), ["end"]);
    found(&registry, "later", 2, false);
    leave(&registry, 2, session("later", 10), None, 5_000);
    found(&registry, "never", 3, false);
    leave(&registry, 3, session("never", u32::MAX), None, 5_000);
    let (effects, next) = registry.due(14_999);
    assert!(effects.is_empty());
    assert_eq!(next, Some(15_000));
    let (effects, next) = registry.due(15_000);
    assert_eq!((names(&effects), next), (vec!["end"], None));
    assert_eq!(registry.counts(), (0, 1));
}

#[test]
fn a_clean_start_ends_what_was_there() {
    let registry = Registry::default();
    found(&registry, "a", 1, false);
    leave(&registry, 1, session("a", 60), Some(will(30)), 0);
    let (found, effects) = found(&registry, "a", 2, true);
    // The session ends, and with it the delay of its will.
    assert!(matches!(found, Found::Nothing));
    assert_eq!(names(&effects), ["publish", "end"]);
    assert!(registry.due(u64::MAX - 1).0.is_empty());
}

#[test]
fn a_will_is_due_at_once_after_its_delay_or_with_the_session() {
    for (delay_s, expiry_s, due) in [(0, 60, 0), (5, 60, 5_000), (90, 60, 60_000), (5, 0, 0), (5, u32::MAX, 5_000)] {
        let registry = Registry::default();
        found(&registry, "a", 1, false);
        let mut effects = leave(&registry, 1, session("a", expiry_s), Some(will(delay_s)), 0);
        if due > 0 {
            assert!(effects.is_empty() && registry.due(due - 1).0.is_empty(), "{delay_s} {expiry_s}");
            effects = registry.due(due).0;
        }
        assert_eq!(names(&effects)[0], "publish", "{delay_s} {expiry_s}");
        let is_over = due >= u64::from(expiry_s) * 1_000;
        assert_eq!(effects.len(), 1 + usize::from(is_over), "{delay_s} {expiry_s}");
        assert_eq!(registry.counts().1, usize::from(!is_over));
    }
}

#[test]
fn who_comes_back_in_time_cancels_the_will() {
    let registry = Registry::default();
    found(&registry, "a", 1, false);
    leave(&registry, 1, session("a", 60), Some(will(5)), 0);
    assert!(found(&registry, "a", 2, false).1.is_empty());
    assert!(registry.due(5_000).0.is_empty());
    // Whoever comes after it was spoken does not.
    leave(&registry, 2, session("a", 60), Some(will(5)), 10_000);
    assert_eq!(names(&registry.due(15_000).0), ["publish"]);
    assert!(found(&registry, "a", 3, false).1.is_empty());
}

#[test]
fn who_comes_second_waits_until_the_first_has_let_go() {
    let registry = Registry::default();
    found(&registry, "a", 1, false);
    let mut second = waits(&registry, "a", 2, false);
    let mut third = waits(&registry, "a", 3, false);
    assert!(second.try_recv().is_err());
    assert!(registry.is_wanted_elsewhere(connection(1), Some(&session("a", 60))));
    assert!(leave(&registry, 1, session("a", 60), None, 0).is_empty());
    assert!(third.try_recv().is_err());
    assert_eq!(expiry(second.try_recv().unwrap().take()), Some(60));
    assert_eq!(registry.connection("a"), Some(connection(2)));
    // The first may leave as often as it likes.
    assert!(leave(&registry, 1, session("a", 60), None, 0).is_empty());
    leave(&registry, 2, session("a", 70), None, 0);
    assert_eq!(expiry(third.try_recv().unwrap().take()), Some(70));
    assert!(!registry.is_wanted_elsewhere(connection(3), Some(&session("a", 70))));
}

#[test]
fn a_take_over_speaks_the_will_unless_it_may_wait() {
    for (delay_s, is_clean, expected) in
        [(0, false, vec!["publish"]), (9, false, vec![]), (9, true, vec!["publish", "end"])]
    {
        let registry = Registry::default();
        found(&registry, "a", 1, false);
        let mut second = waits(&registry, "a", 2, is_clean);
        let effects = leave(&registry, 1, session("a", 60), Some(will(delay_s)), 100);
        assert_eq!(names(&effects), expected);
        assert_eq!(matches!(second.try_recv().unwrap().take(), Found::Session(_)), !is_clean);
    }
}

#[test]
fn nobody_has_the_client_id_before_the_ended_session_is_gone() {
    for (expiry_s, max) in [(0, MAX), (60, 0)] {
        let registry = Registry::default();
        found(&registry, "a", 1, false);
        let leaving = Leaving { state: session("a", expiry_s), will: None, now: 0 };
        let parting = registry.leave(connection(1), leaving, max);
        assert_eq!(parting.effects.len(), 1);
        let mut second = waits(&registry, "a", 2, false);
        assert!(second.try_recv().is_err());
        drop(parting);
        assert!(matches!(second.try_recv().unwrap().take(), Found::Nothing));
    }
    let registry = Registry::default();
    found(&registry, "a", 1, false);
    let mut second = waits(&registry, "a", 2, true);
    let parting = registry.leave(connection(1), Leaving { state: session("a", 60), will: None, now: 0 }, MAX);
    assert!(second.try_recv().is_err(), "what the first had is still there");
    drop(parting);
    assert!(second.try_recv().is_ok());
}

#[test]
fn a_session_that_does_not_last_is_not_handed_over() {
    let registry = Registry::default();
    found(&registry, "a", 1, false);
    let mut second = waits(&registry, "a", 2, false);
    assert_eq!(names(&leave(&registry, 1, session("a", 0), Some(will(9)), 0)), ["publish", "end"]);
    assert!(matches!(second.try_recv().unwrap().take(), Found::Nothing));
}

#[test]
fn a_handover_that_nobody_takes_goes_to_the_next_or_is_put_away() {
    let registry = Registry::default();
    found(&registry, "a", 1, false);
    let second = waits(&registry, "a", 2, false);
    let mut third = waits(&registry, "a", 3, false);
    drop(second);
    leave(&registry, 1, session("a", 60), None, 1_000);
    let handover = third.try_recv().unwrap();
    assert_eq!(registry.connection("a"), Some(connection(3)));
    drop(handover);
    assert_eq!((registry.counts(), registry.due(0).1), ((0, 1), Some(61_000)));
    assert_eq!(expiry(found(&registry, "a", 4, false).0), Some(60));
}

#[test]
fn a_session_that_goes_to_nobody_but_a_clean_start_is_ended() {
    let registry = Registry::default();
    found(&registry, "a", 1, false);
    let second = waits(&registry, "a", 2, false);
    let mut third = waits(&registry, "a", 3, true);
    drop(second);
    assert!(leave(&registry, 1, session("a", 60), None, 0).is_empty());
    assert!(matches!(third.try_recv().unwrap().take(), Found::Nothing));
    assert_eq!(names(&registry.due(0).0), ["end"], "what it held must be let go of");
    assert!(registry.due(u64::MAX - 1).0.is_empty());
}

#[tokio::test]
async fn whoever_watches_hears_that_a_session_was_put_away() {
    let registry = Registry::default();
    found(&registry, "a", 1, false);
    let second = waits(&registry, "a", 2, false);
    let changed = registry.changed.clone();
    leave(&registry, 1, session("a", 60), None, 0);
    drop(second);
    let woken = tokio::time::timeout(std::time::Duration::from_secs(10), changed.notified()).await;
    assert!(woken.is_ok(), "otherwise it would outlive its time");
}

#[test]
fn who_gives_up_is_passed_over() {
    let registry = Registry::default();
    found(&registry, "a", 1, false);
    let mut second = waits(&registry, "a", 2, false);
    let mut third = waits(&registry, "a", 3, false);
    registry.give_up(&"a".into(), connection(2));
    leave(&registry, 1, session("a", 60), None, 0);
    assert!(second.try_recv().is_err());
    assert!(third.try_recv().is_ok());
}

#[test]
fn sessions_belong_to_their_subject() {
    let registry = Registry::default();
    let (ann, ben): (Option<Arc<str>>, Option<Arc<str>>) = (Some("ann".into()), Some("ben".into()));
    let id: Arc<str> = "a".into();
    let ask = |who: &Option<Arc<str>>, number| registry.claim(&id, who, true, connection(number)).0;
    assert!(matches!(ask(&ann, 1), Claim::Now(_)));
    assert!(matches!(ask(&ben, 2), Claim::Foreign) && matches!(ask(&None, 2), Claim::Foreign));
    let state = Box::new(State::new(id.clone(), ann.clone(), 60));
    leave(&registry, 1, state, None, 0);
    assert!(matches!(ask(&ben, 2), Claim::Foreign) && matches!(ask(&None, 2), Claim::Foreign));
    assert_eq!(registry.counts(), (0, 1), "nobody has ended it");
    assert!(matches!(ask(&ann, 3), Claim::Now(_)));
}

#[test]
fn only_so_many_may_wait_for_one_id() {
    let registry = Registry::default();
    found(&registry, "a", 1, false);
    let waiting: Vec<_> = (0..WAITERS_MAX as u64).map(|number| waits(&registry, "a", 2 + number, false)).collect();
    assert!(matches!(claim(&registry, "a", 9_999, false).0, Claim::Crowded));
    drop(waiting);
    leave(&registry, 1, session("a", 60), None, 0);
    assert_eq!(registry.counts(), (0, 1), "all of them had gone");
}

#[test]
fn no_more_sessions_wait_than_allowed() {
    let registry = Registry::default();
    for (number, client_id) in (1..).zip(["a", "b", "c"]) {
        found(&registry, client_id, number, false);
    }
    let away = |number, client_id, will| {
        let leaving = Leaving { state: session(client_id, 60), will, now: 0 };
        std::mem::take(&mut registry.leave(connection(number), leaving, 2).effects)
    };
    assert!(away(1, "a", None).is_empty() && away(2, "b", None).is_empty());
    assert_eq!(names(&away(3, "c", Some(will(5)))), ["publish", "crowd"]);
    assert_eq!(registry.counts(), (0, 2));
}

#[test]
fn a_session_that_is_away_can_be_ended() {
    for (with_will, expected) in [(true, vec!["publish", "end"]), (false, vec!["end"])] {
        let registry = Registry::default();
        assert!(!registry.end_away("a", with_will).0);
        found(&registry, "a", 1, false);
        assert!(!registry.end_away("a", with_will).0, "it is connected");
        leave(&registry, 1, session("a", 60), Some(will(30)), 0);
        let (is_ended, effects) = registry.end_away("a", with_will);
        assert!(is_ended);
        assert_eq!(names(&effects), expected);
        assert_eq!((registry.counts(), registry.due(0).1), ((0, 0), None));
    }
}

#[test]
fn restored_sessions_count_from_when_they_were_left() {
    let registry = Registry::default();
    assert!(registry.restore(session("a", 60), Some(will(10)), 1_000).is_empty());
    assert_eq!(names(&registry.restore(session("b", 60), Some(will(0)), 1_000)), ["publish"]);
    let (effects, next) = registry.due(11_000);
    assert_eq!((names(&effects), next), (vec!["publish"], Some(61_000)));
    // A session that did not last, with a will that the crash kept from being spoken.
    registry.restore(session("c", 0), Some(will(5)), 20_000);
    assert_eq!(names(&registry.due(20_000).0), ["publish", "end"]);
}
