//! Who is on a topic, and what others hear of it.

use std::sync::Arc;

use fanfare_core::{Delivery, MemoryLog, PresenceChange, Refusal, Since, SpaceSettings};

use crate::support::{Bench, filter, space, topic};

fn bench() -> Bench {
    let settings = SpaceSettings { presence_lease_ms: 1_000, presence_members_max: 5, ..SpaceSettings::default() };
    let bench = Bench::open(Arc::new(MemoryLog::new(1)), 1, settings);
    bench.core.join(&bench.ann, &space(), &filter("room"), Since::Now, 0, &mut || {}).unwrap();
    bench
}

impl Bench {
    fn enter(&self, id: &str, data: &'static str, now: u64) {
        self.core.enter(&self.ann, &space(), &topic("room"), &id.into(), data.into(), now).unwrap();
    }

    fn exit(&self, id: &str, now: u64) {
        self.core.exit("default", &topic("room"), &id.into(), now);
    }

    /// Ticks and tells what the subscriber has heard since.
    fn heard(&self, now: u64) -> Vec<(PresenceChange, String)> {
        self.core.tick(now);
        let mut heard = Vec::new();
        self.inboxes[0].drain(|delivery| match delivery {
            Delivery::Presence(event) => heard.push((event.change, event.member.id.to_string())),
            Delivery::Message(_) => {}
        });
        heard
    }

    fn members(&self, after: Option<&str>, limit: usize) -> (Vec<String>, bool) {
        let (page, has_more) = self.core.members(&self.ann, "default", &topic("room"), after, limit).unwrap();
        (page.into_iter().map(|member| member.id.to_string()).collect(), has_more)
    }
}

use PresenceChange::{Join, Leave, Update};

#[test]
fn coming_back_within_the_lease_is_not_noticed() {
    let bench = bench();
    bench.enter("ann", "", 0);
    assert_eq!(bench.heard(0), [(Join, "ann".into())]);
    bench.exit("ann", 100);
    assert_eq!(bench.heard(1_099), []);
    assert_eq!(bench.members(None, 9).0, ["ann"], "still a member");
    bench.enter("ann", "", 1_099);
    assert_eq!(bench.heard(50_000), []);
    assert_eq!(bench.members(None, 9).0, ["ann"]);
}

#[test]
fn who_stays_away_leaves_when_the_lease_is_over() {
    let bench = bench();
    bench.enter("ann", "", 0);
    bench.exit("ann", 100);
    assert_eq!(bench.heard(1_099), [(Join, "ann".into())]);
    assert_eq!(bench.heard(1_100), [(Leave, "ann".into())]);
    assert_eq!(bench.heard(9_999), []);
    assert_eq!(bench.core.topics("default", "", None, 9)[0].members, 0);
    bench.enter("ann", "", 10_000);
    assert_eq!(bench.heard(10_000), [(Join, "ann".into())]);
}

#[test]
fn who_says_that_it_leaves_is_gone_at_once() {
    let bench = bench();
    bench.enter("ann", "", 0);
    bench.enter("ann", "", 0);
    assert_eq!(bench.heard(0), [(Join, "ann".into())]);
    bench.core.withdraw("default", &topic("room"), &"ann".into(), 100);
    assert_eq!(bench.members(None, 9).0, ["ann"], "with its other connection");
    bench.core.withdraw("default", &topic("room"), &"ann".into(), 200);
    assert_eq!(bench.members(None, 9).0, [""; 0]);
    assert_eq!(bench.heard(200), [(Leave, "ann".into())]);
}

#[test]
fn a_member_leaves_with_its_last_connection() {
    let bench = bench();
    (0..3).for_each(|_| bench.enter("ann", "", 0));
    assert_eq!(bench.heard(0), [(Join, "ann".into())]);
    bench.exit("ann", 0);
    bench.exit("ann", 0);
    assert_eq!(bench.heard(5_000), []);
    bench.exit("ann", 5_000);
    bench.exit("ann", 5_900);
    assert_eq!(bench.heard(6_000), [(Leave, "ann".into())], "a surplus exit does not prolong the lease");
}

#[test]
fn a_member_that_says_something_else_is_updated_once() {
    let bench = bench();
    let update = |data: &'static str| {
        bench.core.update_member(&bench.ann, &space(), &topic("room"), "ann", data.into(), 0).unwrap();
    };
    update("lost");
    assert_eq!(bench.heard(0), [], "nobody is there");
    bench.enter("ann", "1", 0);
    update("2");
    update("2");
    bench.enter("ann", "3", 0);
    assert_eq!(bench.heard(0), [Join, Update, Update].map(|change| (change, "ann".to_owned())));
    let (members, _) = bench.core.members(&bench.ann, "default", &topic("room"), None, 1).unwrap();
    assert_eq!(members[0].data, "3");
}

#[test]
fn members_come_in_pages_and_have_a_limit() {
    let bench = bench();
    for id in ["d", "a", "e", "c", "b"] {
        bench.enter(id, "", 0);
    }
    assert_eq!(bench.members(None, 2), (vec!["a".into(), "b".into()], true));
    assert_eq!(bench.members(Some("b"), 2), (vec!["c".into(), "d".into()], true));
    assert_eq!(bench.members(Some("d"), 2), (vec!["e".into()], false));
    let sixth = bench.core.enter(&bench.ann, &space(), &topic("room"), &"f".into(), "".into(), 0);
    assert_eq!(sixth, Err(Refusal::TooManyMembers { limit: 5 }));
    bench.enter("a", "", 0);
    bench.exit("b", 0);
    bench.heard(1_000);
    bench.enter("f", "", 1_000);
}

#[test]
fn a_member_that_is_refused_leaves_no_topic_behind() {
    let settings = SpaceSettings { presence_members_max: 0, ..SpaceSettings::default() };
    let bench = Bench::open(Arc::new(MemoryLog::new(1)), 1, settings);
    let entered = bench.core.enter(&bench.ann, &space(), &topic("room"), &"ann".into(), "".into(), 0);
    assert_eq!(entered, Err(Refusal::TooManyMembers { limit: 0 }));
    assert_eq!(bench.core.topics("default", "", None, 9), []);
}
