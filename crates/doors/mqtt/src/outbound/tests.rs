use fanfare_mqtt_codec::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};

use super::*;
use crate::testing::{id, outgoing, share};

mod model;

fn connected(window: u16) -> Outbound {
    let mut outbound = Outbound::default();
    outbound.connect(window);
    outbound
}

/// Begins messages of the log with these qualities, at offsets 1, 2, 3 and so on.
fn begun(window: u16, qualities: &[Qos]) -> Outbound {
    let mut outbound = connected(window);
    for (offset, qos) in (1..).zip(qualities) {
        outbound.begin(outgoing(offset, *qos, Source::Log));
        outbound.cursor = offset;
    }
    outbound
}

/// Ids of everything that may leave now, in order; those of PUBREL are negative.
fn sent(outbound: &mut Outbound, must_be_recorded: bool) -> Vec<i32> {
    let next = || {
        let next = outbound.next_due(must_be_recorded)?;
        let id = i32::from(next.id.get());
        Some(if next.stage == Stage::Released { -id } else { id })
    };
    std::iter::from_fn(next).collect()
}

fn record(outbound: &mut Outbound) {
    outbound.recording_began();
    outbound.recorded();
}

#[test]
fn no_more_is_sent_than_the_window_allows() {
    let mut outbound = begun(2, &[AtLeastOnce; 4]);
    assert_eq!(sent(&mut outbound, true), [1, 2]);
    assert_eq!(outbound.room(), 0);
    assert_eq!(outbound.acknowledged(id(1)).map(|done| done.offset), Some(1));
    assert_eq!(sent(&mut outbound, true), [3]);
    // A message that was received keeps its place until it is complete.
    let mut outbound = begun(1, &[ExactlyOnce, AtLeastOnce]);
    assert_eq!(sent(&mut outbound, false), [1]);
    assert!(matches!(outbound.received(id(1), false), Received::Release));
    assert_eq!(sent(&mut outbound, false), [-1]);
    assert!(outbound.completed(id(1)).is_some());
    assert_eq!(sent(&mut outbound, false), [2]);
}

#[test]
fn room_is_what_the_window_leaves() {
    let mut outbound = begun(3, &[AtLeastOnce, AtLeastOnce]);
    assert_eq!(outbound.room(), 1);
    sent(&mut outbound, true);
    assert_eq!(outbound.room(), 1);
    outbound.acknowledged(id(1));
    assert_eq!(outbound.room(), 2);
    outbound.disconnect();
    outbound.connect(1);
    assert_eq!(outbound.room(), 0, "what is in flight comes first");
}

#[test]
fn room_counts_what_is_held_behind_a_release() {
    let mut outbound = begun(3, &[ExactlyOnce, ExactlyOnce]);
    record(&mut outbound);
    assert_eq!(sent(&mut outbound, true), [1, 2]);
    outbound.received(id(2), false);
    record(&mut outbound);
    outbound.disconnect();
    outbound.connect(3);
    outbound.inflight[0].recording = Recording::Due;
    assert_eq!(sent(&mut outbound, true), [-2], "the first is not on disk");
    assert_eq!(outbound.room(), 1);
}

#[test]
fn ids_are_not_used_twice_at_once() {
    let mut outbound = begun(100, &[AtLeastOnce; 3]);
    sent(&mut outbound, true);
    outbound.acknowledged(id(1));
    outbound.acknowledged(id(3));
    outbound.last_id = u16::MAX - 1;
    for offset in 10..13 {
        outbound.begin(outgoing(offset, AtLeastOnce, Source::Log));
    }
    // Behind 65,535 comes 1, and 2 is still in flight.
    assert_eq!(sent(&mut outbound, true), [65_535, 1, 3]);
}

#[test]
fn acks_of_the_wrong_kind_change_nothing() {
    let mut outbound = begun(10, &[AtLeastOnce, ExactlyOnce]);
    assert!(outbound.acknowledged(id(1)).is_none(), "it was not sent yet");
    assert!(matches!(outbound.received(id(2), false), Received::Unknown), "nor was this");
    sent(&mut outbound, false);
    assert!(outbound.acknowledged(id(2)).is_none());
    assert!(matches!(outbound.received(id(1), false), Received::Unknown));
    assert!(outbound.completed(id(1)).is_none() && outbound.completed(id(2)).is_none());
    assert!(outbound.acknowledged(id(7)).is_none());
    assert!(matches!(outbound.received(id(7), true), Received::Unknown));
    assert_eq!(outbound.inflight().count(), 2);
    assert_eq!(outbound.open, 2);
}

#[test]
fn a_refused_message_is_done_with() {
    let mut outbound = begun(1, &[ExactlyOnce, ExactlyOnce]);
    sent(&mut outbound, false);
    let Received::Refused(refused) = outbound.received(id(1), true) else { panic!("it was taken") };
    assert_eq!(refused.offset, 1);
    assert_eq!(sent(&mut outbound, false), [2]);
    // Once it was taken a refusal comes too late: PUBREL is said again.
    assert!(matches!(outbound.received(id(2), false), Received::Release));
    assert_eq!(sent(&mut outbound, false), [-2]);
    assert!(matches!(outbound.received(id(2), true), Received::Release));
    assert!(matches!(outbound.received(id(2), false), Received::Release));
    assert_eq!(sent(&mut outbound, false), [-2], "once for both");
}

#[test]
fn quality_2_waits_for_the_disk_and_others_wait_behind_it() {
    let mut outbound = begun(10, &[AtLeastOnce, ExactlyOnce, AtLeastOnce]);
    assert_eq!(sent(&mut outbound, true), [1], "the third must not pass the second");
    outbound.recording_began();
    assert!(sent(&mut outbound, true).is_empty());
    outbound.recorded();
    assert_eq!(sent(&mut outbound, true), [2, 3]);
    // So does PUBREL; it holds up nobody.
    outbound.received(id(2), false);
    outbound.begin(outgoing(4, AtLeastOnce, Source::Log));
    assert_eq!(sent(&mut outbound, true), [4]);
    record(&mut outbound);
    assert_eq!(sent(&mut outbound, true), [-2]);
}

#[test]
fn releases_pass_publishes_that_wait() {
    let mut outbound = begun(1, &[ExactlyOnce, AtLeastOnce]);
    sent(&mut outbound, false);
    outbound.received(id(1), false);
    outbound.begin(outgoing(3, ExactlyOnce, Source::Log));
    assert_eq!(sent(&mut outbound, false), [-1]);
}

#[test]
fn what_began_after_a_record_was_written_is_not_in_it() {
    let mut outbound = begun(10, &[ExactlyOnce]);
    outbound.recording_began();
    outbound.begin(outgoing(2, ExactlyOnce, Source::Log));
    outbound.recorded();
    assert_eq!(sent(&mut outbound, true), [1]);
    assert!(outbound.has_unrecorded());
    record(&mut outbound);
    assert_eq!(sent(&mut outbound, true), [2]);
}

#[test]
fn a_new_connection_is_sent_everything_again_in_order() {
    let mut outbound = begun(10, &[AtLeastOnce, ExactlyOnce, AtLeastOnce, ExactlyOnce]);
    record(&mut outbound);
    assert_eq!(outbound.next_due(true).map(|next| next.id), Some(id(1)));
    assert_eq!(outbound.next_due(true).map(|next| next.id), Some(id(2)));
    outbound.received(id(2), false);
    record(&mut outbound);
    outbound.disconnect();
    outbound.connect(10);
    let wanted: Vec<_> = outbound.wanted().into_iter().map(|(id, _, offset)| (id.get(), offset)).collect();
    assert_eq!(wanted, [(1, 1), (3, 3), (4, 4)], "a release needs no message");
    let flags: Vec<_> = outbound.inflight().map(|inflight| inflight.is_repeated).collect();
    assert_eq!(flags, [true, true, false, false], "only what has left was sent before");
    assert_eq!(sent(&mut outbound, true), [1, -2, 3, 4]);
}

#[test]
fn what_was_not_seen_on_disk_is_written_down_again_by_the_next_connection() {
    let mut outbound = begun(10, &[ExactlyOnce]);
    outbound.recording_began();
    outbound.disconnect();
    outbound.connect(10);
    assert!(outbound.has_unrecorded());
    assert!(sent(&mut outbound, true).is_empty());
    record(&mut outbound);
    assert_eq!(sent(&mut outbound, true), [1]);
}

#[test]
fn what_was_trimmed_meanwhile_is_forgotten() {
    let mut outbound = begun(10, &[AtLeastOnce, AtLeastOnce]);
    outbound.disconnect();
    outbound.connect(10);
    assert_eq!(outbound.found(id(1), None).map(|lost| lost.offset), Some(1));
    assert!(outbound.found(id(2), Some(crate::testing::message("t", 2, AtLeastOnce))).is_none());
    assert_eq!(sent(&mut outbound, true), [2]);
    assert!(outbound.wanted().is_empty());
}

#[test]
fn the_log_is_read_again_from_the_first_that_waits() {
    let mut outbound = begun(1, &[AtLeastOnce]);
    for offset in [5, 7] {
        outbound.push(outgoing(offset, AtLeastOnce, Source::Log));
        outbound.cursor = offset;
    }
    outbound.push(outgoing(3, AtMostOnce, Source::Log));
    assert_eq!(outbound.taken_through(), 4);
    assert!(outbound.disconnect().is_empty());
    assert_eq!((outbound.cursor, outbound.is_behind, outbound.pending.len()), (4, true, 0));
}

#[test]
fn what_is_in_no_log_goes_back_or_stays() {
    let group = share("g");
    let mut outbound = connected(1);
    outbound.cursor = 9;
    outbound.push(outgoing(1, AtLeastOnce, Source::Shared(group.clone())));
    outbound.push(outgoing(2, AtMostOnce, Source::Shared(group)));
    outbound.push(outgoing(3, AtLeastOnce, Source::Retained));
    outbound.push(outgoing(4, AtMostOnce, Source::Retained));
    let returned: Vec<_> = outbound.disconnect().iter().map(|(_, message)| message.offset).collect();
    assert_eq!(returned, [1, 2]);
    let kept: Vec<_> = outbound.pending.iter().map(|outgoing| outgoing.message.offset).collect();
    assert_eq!((kept, outbound.cursor), (vec![3], 9));
}

#[test]
fn messages_of_groups_outlive_the_session() {
    let group = share("g");
    let mut outbound = connected(10);
    outbound.begin(outgoing(1, AtLeastOnce, Source::Shared(group.clone())));
    outbound.begin(outgoing(2, ExactlyOnce, Source::Shared(group)));
    outbound.begin(outgoing(3, AtLeastOnce, Source::Log));
    outbound.disconnect();
    let ended: Vec<_> = outbound.end().iter().map(|orphan| (orphan.offset, orphan.qos)).collect();
    assert_eq!(ended, [(1, AtLeastOnce), (2, ExactlyOnce)]);
}

#[test]
fn a_full_queue_refuses_but_takes_one_message_of_any_size() {
    let mut outbound = connected(1);
    assert!(outbound.admit(1_000, 2, 10), "nothing waits");
    outbound.push(outgoing(1, AtLeastOnce, Source::Log));
    assert!(outbound.admit(6, 2, 10) && !outbound.is_behind);
    assert!(!outbound.admit(7, 2, 10) && outbound.is_behind);
    outbound.push(outgoing(2, AtLeastOnce, Source::Log));
    assert!(!outbound.admit(0, 2, 10));
    outbound.pop();
    assert!(outbound.admit(6, 2, 10), "what left counts no more");
}

#[test]
fn waiting_messages_of_quality_0_are_counted() {
    let mut outbound = connected(1);
    assert!(outbound.is_clear());
    outbound.push(outgoing(1, AtLeastOnce, Source::Log));
    assert!(!outbound.has_pending_once() && !outbound.is_clear());
    outbound.push(outgoing(2, AtMostOnce, Source::Log));
    assert!(outbound.has_pending_once());
    outbound.pop();
    outbound.pop();
    assert!(!outbound.has_pending_once() && outbound.is_clear() && outbound.pending_bytes == 0);
}

#[test]
fn what_a_crash_may_have_repeated_is_marked() {
    let mut outbound = connected(10);
    outbound.suspect_through = 2;
    for (offset, qos) in [(1, AtLeastOnce), (2, ExactlyOnce), (3, AtLeastOnce)] {
        outbound.begin(outgoing(offset, qos, Source::Log));
    }
    outbound.begin(outgoing(1, AtLeastOnce, Source::Retained));
    let flags: Vec<_> = outbound.inflight().map(|inflight| inflight.is_repeated).collect();
    assert_eq!(flags, [true, false, false, false]);
}
