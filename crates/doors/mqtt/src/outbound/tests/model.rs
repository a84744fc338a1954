//! Random operations, with a client that keeps books and a disk that a crash falls back to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fanfare_mqtt_codec::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::{message, topic};

#[derive(Clone, Copy, Debug)]
enum Step {
    Publish(Qos),
    Deal(Qos),
    Pump(usize),
    /// The client answers the nth of what it has not answered.
    Answer(usize),
    Refuse(usize),
    WriteDown,
    Commit,
    Reconnect(u16),
    Crash(u16),
}

fn any_step() -> impl Strategy<Value = Step> {
    let qos = || prop_oneof![Just(AtMostOnce), Just(AtLeastOnce), Just(ExactlyOnce)];
    prop_oneof![
        8 => qos().prop_map(Step::Publish),
        3 => qos().prop_map(Step::Deal),
        8 => (1usize..8).prop_map(Step::Pump),
        8 => any::<usize>().prop_map(Step::Answer),
        1 => any::<usize>().prop_map(Step::Refuse),
        4 => Just(Step::WriteDown),
        4 => Just(Step::Commit),
        2 => (1u16..5).prop_map(Step::Reconnect),
        1 => (1u16..5).prop_map(Step::Crash),
    ]
}

/// What the disk would know of a session.
#[derive(Clone, Default)]
struct Snapshot {
    cursor: Offset,
    inflight: Vec<(PacketId, Stage, Qos, Offset, Source)>,
    /// Of the connection with this number, which waits for it.
    awaited_by: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Question {
    Publish(PacketId, Qos, Offset),
    Release(PacketId),
}

struct World {
    is_durable: bool,
    outbound: Outbound,
    group: Share,
    log: Vec<(Offset, Qos)>,
    head: Offset,
    disk: Snapshot,
    on_the_way: VecDeque<Snapshot>,
    connection: usize,
    /// Dealt messages, and those of them that came back.
    dealt: BTreeMap<Offset, Qos>,
    returned: BTreeSet<Offset>,
    // The client.
    questions: Vec<Question>,
    held: BTreeSet<PacketId>,
    heard: BTreeMap<Offset, usize>,
    refused: BTreeSet<Offset>,
    has_crashed: bool,
}

impl World {
    fn new(is_durable: bool) -> Self {
        Self {
            is_durable,
            outbound: connected(2),
            group: share("g"),
            log: Vec::new(),
            head: 0,
            disk: Snapshot::default(),
            on_the_way: VecDeque::new(),
            connection: 0,
            dealt: BTreeMap::new(),
            returned: BTreeSet::new(),
            questions: Vec::new(),
            held: BTreeSet::new(),
            heard: BTreeMap::new(),
            refused: BTreeSet::new(),
            has_crashed: false,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish(qos) => self.publish(qos),
            Step::Deal(qos) => {
                self.head += 1;
                self.dealt.insert(self.head, qos);
                self.outbound.push(outgoing(self.head, qos, Source::Shared(self.group.clone())));
            }
            Step::Pump(max) => self.pump(max),
            Step::Answer(nth) => self.answer(nth, false),
            Step::Refuse(nth) => self.answer(nth, true),
            Step::WriteDown => self.write_down(),
            Step::Commit => self.commit(),
            Step::Reconnect(window) => {
                self.disconnect();
                self.resume(window);
            }
            Step::Crash(window) => self.crash(window),
        }
        self.check();
    }

    fn publish(&mut self, qos: Qos) {
        self.head += 1;
        self.log.push((self.head, qos));
        if qos == AtMostOnce {
            return self.outbound.push(outgoing(self.head, qos, Source::Log));
        }
        if !self.outbound.is_behind && self.outbound.admit(4, 3, 1_000) {
            self.outbound.cursor = self.head;
            self.outbound.push(outgoing(self.head, qos, Source::Log));
        }
    }

    fn pump(&mut self, max: usize) {
        for _ in 0..max {
            let Some(next) = self.outbound.next_due(self.is_durable) else { break };
            let question = match next.stage {
                Stage::Released => Question::Release(next.id),
                Stage::Published => {
                    assert!(next.message.is_some(), "{next:?} was not read again");
                    Question::Publish(next.id, next.qos, next.offset)
                }
            };
            self.questions.push(question);
        }
        while let Some(next) = self.outbound.pending.front()
            && (next.qos == AtMostOnce || self.outbound.room() > 0)
            && let Some(outgoing) = self.outbound.pop()
        {
            if outgoing.qos == AtMostOnce {
                *self.heard.entry(outgoing.message.offset).or_default() += 1;
            } else {
                self.outbound.begin(outgoing);
            }
        }
        if self.outbound.pending.is_empty() && self.outbound.is_behind {
            self.read_on();
        }
    }

    fn read_on(&mut self) {
        let after = self.outbound.cursor;
        let page: Vec<_> = self.log.iter().filter(|(offset, _)| *offset > after).take(3).copied().collect();
        self.outbound.is_behind = page.len() == 3;
        let last = page.last().filter(|_| self.outbound.is_behind).map_or(self.head, |(offset, _)| *offset);
        self.outbound.cursor = last.max(after);
        for (offset, qos) in page.into_iter().filter(|(_, qos)| *qos > AtMostOnce) {
            self.outbound.push(outgoing(offset, qos, Source::Log));
        }
    }

    fn answer(&mut self, nth: usize, is_refusal: bool) {
        if self.questions.is_empty() {
            return;
        }
        match self.questions.remove(nth % self.questions.len()) {
            Question::Publish(id, AtLeastOnce, offset) => {
                *self.heard.entry(offset).or_default() += 1;
                assert!(self.outbound.acknowledged(id).is_some());
            }
            Question::Publish(id, _, offset) => {
                let is_new = !self.held.contains(&id);
                if is_new && is_refusal {
                    self.refused.insert(offset);
                    assert!(matches!(self.outbound.received(id, true), Received::Refused(_)));
                    return;
                }
                if is_new {
                    self.held.insert(id);
                    *self.heard.entry(offset).or_default() += 1;
                }
                assert!(matches!(self.outbound.received(id, false), Received::Release));
            }
            Question::Release(id) => {
                self.held.remove(&id);
                assert!(self.outbound.completed(id).is_some());
            }
        }
    }

    fn write_down(&mut self) {
        let inflight = self.outbound.inflight().map(|i| (i.id, i.stage, i.qos, i.offset, i.source.clone())).collect();
        let mut snapshot = Snapshot { cursor: self.outbound.taken_through(), inflight, awaited_by: None };
        // One at a time is waited for.
        if self.on_the_way.iter().all(|other| other.awaited_by != Some(self.connection)) {
            self.outbound.recording_began();
            snapshot.awaited_by = Some(self.connection);
        }
        self.on_the_way.push_back(snapshot);
    }

    fn commit(&mut self) {
        let Some(snapshot) = self.on_the_way.pop_front() else { return };
        if snapshot.awaited_by == Some(self.connection) {
            self.outbound.recorded();
        }
        self.disk = snapshot;
    }

    fn disconnect(&mut self) {
        for (_, message) in self.outbound.disconnect() {
            assert!(self.returned.insert(message.offset), "{} came back twice", message.offset);
        }
        self.questions.clear();
        self.connection += 1;
        let inflight = self.outbound.inflight().map(|i| (i.id, i.stage, i.qos, i.offset, i.source.clone())).collect();
        let cursor = self.outbound.taken_through();
        self.on_the_way.push_back(Snapshot { cursor, inflight, awaited_by: None });
    }

    fn resume(&mut self, window: u16) {
        self.outbound.connect(window);
        self.outbound.is_behind = true;
        for (id, topic, offset) in self.outbound.wanted() {
            assert!(self.outbound.found(id, Some(message(&topic, offset, AtLeastOnce))).is_none());
        }
    }

    fn crash(&mut self, window: u16) {
        if !self.is_durable {
            return;
        }
        self.has_crashed = true;
        self.questions.clear();
        self.on_the_way.clear();
        self.connection += 1;
        let restored = |(id, stage, qos, offset, source): (PacketId, Stage, Qos, Offset, Source)| {
            Inflight::restored(id, stage, qos, false, Box::default(), topic("t"), offset, source)
        };
        self.outbound = Outbound { cursor: self.disk.cursor, ..Outbound::default() };
        self.outbound.restore(self.disk.inflight.iter().cloned().map(restored).collect());
        self.resume(window);
    }

    fn check(&self) {
        let outbound = &self.outbound;
        assert_eq!(outbound.due, outbound.inflight.iter().filter(|i| i.is_due).count());
        assert_eq!(outbound.open, outbound.inflight.iter().filter(|i| i.is_open).count());
        let ids: BTreeSet<_> = outbound.inflight.iter().map(|i| i.id).collect();
        assert_eq!(ids.len(), outbound.inflight.len(), "an id is in flight twice");
        let unreleased = outbound.inflight.iter().filter(|i| i.is_open && i.stage == Stage::Published).count();
        assert!(unreleased <= outbound.window, "{unreleased} are open in a window of {}", outbound.window);
        assert!(outbound.inflight.iter().all(|i| i.is_open || i.is_due), "what was not sent must be due");
        assert_eq!(outbound.pending_bytes, 4 * outbound.pending.len());
        let once = outbound.pending.iter().filter(|o| o.qos == AtMostOnce).count();
        assert_eq!(outbound.pending_once, once);
    }

    /// The client is well and answers everything.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.pump(8);
            self.write_down();
            while !self.on_the_way.is_empty() {
                self.commit();
            }
            self.answer(0, false);
            self.check();
            let is_done = self.outbound.is_clear() && self.outbound.inflight.is_empty() && !self.outbound.is_behind;
            if is_done && self.questions.is_empty() {
                return;
            }
        }
        panic!("it never comes to rest: {:?}", self.outbound);
    }

    fn judge(&self) {
        let count = |offset: &Offset| self.heard.get(offset).copied().unwrap_or(0);
        for (offset, qos) in &self.log {
            match qos {
                AtMostOnce => assert!(count(offset) <= 1, "{offset} of quality 0 came {} times", count(offset)),
                AtLeastOnce => assert!(count(offset) >= 1, "{offset} of quality 1 never came"),
                // A crash may bring it back to the client, which may take it then.
                ExactlyOnce if self.refused.contains(offset) => assert!(count(offset) <= 1, "{offset} of quality 2"),
                ExactlyOnce => assert_eq!(count(offset), 1, "{offset} of quality 2"),
            }
        }
        for (offset, qos) in &self.dealt {
            let is_back = self.returned.contains(offset);
            if *qos != AtLeastOnce {
                assert!(count(offset) + usize::from(is_back) <= 1, "{offset} was heard and came back");
            }
            // What a crash takes from a group's member is found by the group in the log.
            if *qos > AtMostOnce && !self.has_crashed {
                let is_settled = is_back || count(offset) > 0 || self.refused.contains(offset);
                assert!(is_settled, "{offset} was neither heard nor returned");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn nothing_is_lost_and_quality_2_comes_once(is_durable in any::<bool>(), steps in vec(any_step(), 1..200)) {
        let mut world = World::new(is_durable);
        steps.into_iter().for_each(|step| world.step(step));
        world.settle();
        world.judge();
    }
}
