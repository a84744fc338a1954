use fanfare_mqtt_codec::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};

use super::*;
use crate::testing::message;

fn subscription(number: u16, filter: &str, qos: Qos) -> Subscription {
    Subscription {
        text: filter.into(),
        filter: Filter::new(filter).unwrap(),
        share: None,
        qos,
        no_local: false,
        retain_as_published: false,
        id: None,
        since: 0,
        number: Some(number),
        is_held: false,
        counted: None,
    }
}

fn state(subscriptions: Vec<Subscription>) -> State {
    State { subscriptions, ..State::new("me".into(), None, 60) }
}

#[test]
fn the_best_quality_counts_but_no_better_than_was_published() {
    let state = state(vec![subscription(1, "t", AtMostOnce), subscription(2, "#", ExactlyOnce)]);
    for published in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
        let message = message("t", 1, published);
        assert_eq!(state.match_numbers(&[1, 2], &message).map(|m| m.qos), Some(published));
        assert_eq!(state.match_numbers(&[1], &message).map(|m| m.qos), Some(AtMostOnce));
        assert_eq!(state.match_topic(&message).map(|m| m.qos), Some(published));
    }
    assert!(state.match_numbers(&[9], &message("t", 1, AtLeastOnce)).is_none());
}

#[test]
fn every_identifier_is_named() {
    let with_id = |number, filter, id| Subscription { id: Some(id), ..subscription(number, filter, AtLeastOnce) };
    let state =
        state(vec![with_id(1, "t", 7), with_id(2, "#", 3), subscription(3, "+", AtLeastOnce), with_id(4, "u", 9)]);
    let message = message("t", 1, AtLeastOnce);
    assert_eq!(state.match_topic(&message).map(|m| m.ids), Some(vec![7, 3]));
    assert_eq!(state.match_numbers(&[2, 3], &message).map(|m| m.ids), Some(vec![3]));
}

#[test]
fn own_messages_are_left_out_where_that_was_asked() {
    let no_local = Subscription { no_local: true, id: Some(1), ..subscription(1, "t", ExactlyOnce) };
    let state = state(vec![no_local, Subscription { id: Some(2), ..subscription(2, "#", AtLeastOnce) }]);
    let own = Message { origin: Some("me".into()), ..(*message("t", 1, ExactlyOnce)).clone() };
    let heard = state.match_topic(&own).unwrap();
    assert_eq!((heard.qos, heard.ids), (AtLeastOnce, vec![2]));
    assert!(state.match_numbers(&[1], &own).is_none());
    let other = Message { origin: Some("you".into()), ..own };
    assert_eq!(state.match_topic(&other).map(|m| m.ids), Some(vec![1, 2]));
}

#[test]
fn the_retain_flag_is_kept_for_those_who_want_it() {
    let as_published = Subscription { retain_as_published: true, ..subscription(1, "t", AtLeastOnce) };
    let state = state(vec![as_published, subscription(2, "#", AtLeastOnce)]);
    let plain = message("t", 1, AtLeastOnce);
    let retained = Message { is_retained: true, ..(*plain).clone() };
    assert_eq!(state.match_topic(&retained).map(|m| m.retain), Some(true));
    assert_eq!(state.match_numbers(&[2], &retained).map(|m| m.retain), Some(false));
    assert_eq!(state.match_topic(&plain).map(|m| m.retain), Some(false));
}

#[test]
fn the_log_is_read_for_what_came_after_subscribing() {
    let state = state(vec![
        Subscription { since: 5, id: Some(1), ..subscription(1, "t", AtLeastOnce) },
        Subscription { since: 9, id: Some(2), ..subscription(2, "#", ExactlyOnce) },
    ]);
    let ids = |offset| state.match_topic(&message("t", offset, ExactlyOnce)).map(|m| m.ids);
    assert_eq!([ids(5), ids(6), ids(9), ids(10)], [None, Some(vec![1]), Some(vec![1]), Some(vec![1, 2])]);
}

#[test]
fn groups_and_quality_0_read_no_log() {
    let shared = Subscription { share: Some(crate::testing::share("g")), ..subscription(1, "shared", AtLeastOnce) };
    let state = state(vec![shared, subscription(2, "once", AtMostOnce), subscription(3, "log/#", AtLeastOnce)]);
    let filters = state.filters();
    assert_eq!(["shared", "once", "log/x"].map(|topic| filters.matches(topic)), [false, false, true]);
    assert!(state.match_topic(&message("shared", 1, AtLeastOnce)).is_none());
}

#[test]
fn subscriptions_are_found_as_they_were_written() {
    let state = state(vec![subscription(1, "a", AtLeastOnce), subscription(2, "b", AtLeastOnce)]);
    assert_eq!((state.find("b"), state.find("B")), (Some(1), None));
}
