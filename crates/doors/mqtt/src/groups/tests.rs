use super::*;
use crate::testing::{message, share};
use fanfare_mqtt_codec::Qos::AtLeastOnce;

fn connection(number: u64) -> Option<ConnectionId> {
    ConnectionId::parse(&format!("n.{number:x}"), "n")
}

/// A group whose members are connected.
fn group(members: &[&str]) -> Share {
    let group = share("g");
    for (number, member) in (1..).zip(members) {
        group.join(&Arc::from(*member), connection(number), true);
    }
    group
}

fn pick(group: &Group, refused_by: &[Arc<str>]) -> Option<String> {
    group.state.lock().pick(refused_by).map(|(client_id, _)| client_id.to_string())
}

/// Deals a message out as the group does.
fn deal(group: &Group, offset: Offset) -> Option<String> {
    let member = pick(group, &[])?;
    let mut state = group.state.lock();
    state.in_hand.insert(offset);
    state.dealt = state.dealt.max(offset);
    Some(member)
}

fn returned(group: &Group) -> Vec<Offset> {
    group.state.lock().returned.iter().map(|card| card.message.offset).collect()
}

#[test]
fn members_have_their_turn() {
    let group = group(&["a", "b", "c"]);
    let turns: Vec<_> = (1..=6).filter_map(|offset| deal(&group, offset)).collect();
    assert_eq!(turns, ["a", "b", "c", "a", "b", "c"]);
    group.depart("b");
    let turns: Vec<_> = (7..=9).filter_map(|offset| deal(&group, offset)).collect();
    assert_eq!(turns, ["a", "c", "a"], "who is away gets nothing");
    assert!(!group.remove("a") && !group.remove("b"));
    assert_eq!(deal(&group, 10).as_deref(), Some("c"));
    assert!(group.remove("c"), "that was the last one");
    assert_eq!(deal(&group, 11), None);
}

#[test]
fn who_comes_back_is_the_same_member() {
    let group = group(&["a"]);
    deal(&group, 1);
    group.depart("a");
    group.join(&"a".into(), connection(9), false);
    let state = group.state.lock();
    assert_eq!((state.members.len(), state.members[0].in_hand), (1, 1));
    assert_eq!((state.members[0].connection, state.has_durable()), (connection(9), false));
}

#[test]
fn a_busy_member_gets_no_more_until_it_is_done() {
    let group = group(&["a"]);
    for offset in 1..=IN_HAND_MAX as u64 {
        assert!(deal(&group, offset).is_some());
    }
    assert_eq!(deal(&group, 999), None);
    group.done("a", 1);
    assert!(deal(&group, 999).is_some());
}

#[test]
fn nothing_before_the_low_water_is_wanted_again() {
    let group = group(&["a", "b"]);
    assert_eq!(group.low_water(), 0);
    (1..=4).for_each(|offset| drop(deal(&group, offset)));
    assert_eq!(group.low_water(), 0, "all are in hand");
    group.done("a", 3);
    group.done("a", 1);
    assert_eq!(group.low_water(), 1);
    group.give_back("b", vec![message("t", 2, AtLeastOnce)]);
    group.done("b", 4);
    assert_eq!((group.low_water(), returned(&group)), (1, vec![2]));
    group.state.lock().returned.clear();
    assert_eq!(group.low_water(), 4);
    deal(&group, 5);
    group.give_back_unread("a", crate::testing::topic("t"), 5);
    assert_eq!(group.low_water(), 4, "it is still to be read again");
}

#[test]
fn what_is_refused_is_offered_to_others() {
    let group = group(&["a", "b"]);
    let a: Arc<str> = "a".into();
    deal(&group, 1);
    group.refuse(&a, message("t", 1, AtLeastOnce));
    let card = group.state.lock().returned.pop_front().unwrap();
    assert_eq!(card.refused_by, [a]);
    assert_eq!(pick(&group, &card.refused_by).as_deref(), Some("b"));
    group.state.lock().refusals.insert(1, card.refused_by);
    group.refuse(&"b".into(), card.message);
    let state = group.state.lock();
    let refused_by = &state.returned[0].refused_by;
    assert!(state.is_refused(refused_by), "nobody is left");
    assert!(!state.is_refused(&[]) && state.refusals.is_empty());
    assert!(state.members.iter().all(|member| member.in_hand == 0));
}

#[test]
fn a_message_that_reaches_nobody_goes_back() {
    let group = group(&["a"]);
    let dealt = |offset| Dealt {
        share: group.clone(),
        client_id: "a".into(),
        message: Some(message("t", offset, AtLeastOnce)),
    };
    deal(&group, 1);
    drop(dealt(1));
    assert_eq!((returned(&group), group.state.lock().members[0].in_hand), (vec![1], 0));
    deal(&group, 2);
    assert!(dealt(2).take().is_some());
    assert_eq!(returned(&group), [1]);
}

#[test]
fn sessions_of_an_earlier_run_keep_what_they_have() {
    let group = group(&["a"]);
    group.claim(&"a".into(), 7);
    let state = group.state.lock();
    assert!(state.claimed.contains(&7) && state.in_hand.contains(&7));
    assert_eq!(state.members[0].in_hand, 1);
}
