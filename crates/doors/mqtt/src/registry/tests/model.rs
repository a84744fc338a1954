//! Connections that come, wait, take over, vanish and leave in any order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const CLIENTS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Copy, Debug)]
enum Step {
    Connect {
        client: usize,
        is_clean: bool,
    },
    /// The nth of those that wait looks whether it has its turn.
    Look(usize),
    Vanish(usize),
    GiveUp(usize),
    Leave {
        nth: usize,
        expiry_s: u32,
        will: Option<u32>,
    },
    Wait(u64),
    EndAway(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let nth = any::<usize>;
    let expiry_s = prop_oneof![Just(0), Just(5), Just(60), Just(u32::MAX)];
    let will = proptest::option::of(prop_oneof![Just(0u32), Just(3), Just(90)]);
    prop_oneof![
        6 => (0..CLIENTS.len(), any::<bool>()).prop_map(|(client, is_clean)| Step::Connect { client, is_clean }),
        6 => nth().prop_map(Step::Look),
        2 => nth().prop_map(Step::Vanish),
        1 => nth().prop_map(Step::GiveUp),
        5 => (nth(), expiry_s, will).prop_map(|(nth, expiry_s, will)| Step::Leave { nth, expiry_s, will }),
        2 => (1u64..100_000).prop_map(Step::Wait),
        1 => (0..CLIENTS.len()).prop_map(Step::EndAway),
    ]
}

struct Waiting {
    client: usize,
    number: u64,
    receiver: oneshot::Receiver<Handover>,
}

#[derive(Default)]
struct World {
    registry: Registry,
    now: Millis,
    /// Connections that have a client id, with their sessions, whose serial number is the cursor.
    owners: BTreeMap<u64, (usize, Box<State>)>,
    waiting: Vec<Waiting>,
    next_connection: u64,
    next_session: u64,
    ended: BTreeSet<u64>,
    wills: usize,
    wills_spoken: usize,
}

impl World {
    fn step(&mut self, step: Step) {
        match step {
            Step::Connect { client, is_clean } => self.connect(client, is_clean),
            Step::Look(nth) => self.look(nth),
            Step::Vanish(nth) | Step::GiveUp(nth) if !self.waiting.is_empty() => {
                let gone = self.waiting.remove(nth % self.waiting.len());
                if matches!(step, Step::GiveUp(_)) {
                    self.registry.give_up(&CLIENTS[gone.client].into(), connection(gone.number));
                }
            }
            Step::Vanish(_) | Step::GiveUp(_) => {}
            Step::Leave { nth, expiry_s, will } => self.leave(nth, expiry_s, will),
            Step::Wait(ms) => {
                self.now += ms;
                let effects = self.registry.due(self.now).0;
                self.note(effects);
            }
            Step::EndAway(client) => {
                let effects = self.registry.end_away(CLIENTS[client], true).1;
                self.note(effects);
            }
        }
        self.check();
    }

    fn connect(&mut self, client: usize, is_clean: bool) {
        self.next_connection += 1;
        let number = self.next_connection;
        let (claim, effects) = claim(&self.registry, CLIENTS[client], number, is_clean);
        self.note(effects);
        match claim {
            Claim::Now(found) => self.establish(client, number, found),
            Claim::Later(other, receiver) => {
                assert!(other != connection(number));
                self.waiting.push(Waiting { client, number, receiver });
            }
            Claim::Foreign | Claim::Crowded => panic!("there is no reason"),
        }
    }

    fn look(&mut self, nth: usize) {
        if self.waiting.is_empty() {
            return;
        }
        let place = nth % self.waiting.len();
        if let Ok(handover) = self.waiting[place].receiver.try_recv() {
            let Waiting { client, number, .. } = self.waiting.remove(place);
            self.establish(client, number, handover.take());
        }
    }

    fn establish(&mut self, client: usize, number: u64, found: Found) {
        assert!(self.owners.values().all(|(other, _)| *other != client), "{} is there twice", CLIENTS[client]);
        assert_eq!(self.registry.connection(CLIENTS[client]), Some(connection(number)));
        let state = match found {
            Found::Session(state) => state,
            Found::Nothing => {
                self.next_session += 1;
                let mut state = session(CLIENTS[client], 0);
                state.outbound.cursor = self.next_session;
                state
            }
        };
        assert!(!self.ended.contains(&state.outbound.cursor), "an ended session goes on");
        self.owners.insert(number, (client, state));
    }

    fn leave(&mut self, nth: usize, expiry_s: u32, delay_s: Option<u32>) {
        let Some(number) = self.owners.keys().nth(nth % self.owners.len().max(1)).copied() else { return };
        let Some((_, mut state)) = self.owners.remove(&number) else { return };
        state.expiry_s = expiry_s;
        let spoken = delay_s.map(|delay_s| {
            self.wills += 1;
            will(delay_s)
        });
        let effects = leave(&self.registry, number, state, spoken, self.now);
        self.note(effects);
    }

    fn note(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::End(state) | Effect::Crowd(state) => {
                    assert!(self.ended.insert(state.outbound.cursor), "it ended twice")
                }
                Effect::Publish(..) => self.wills_spoken += 1,
            }
        }
    }

    fn check(&self) {
        let inner = self.registry.inner.lock();
        let away = inner.clients.values().filter(|entry| matches!(entry, Entry::Away(_))).count();
        assert_eq!(inner.away, away);
        for (at, client_id) in &inner.deadlines {
            let Some(Entry::Away(away)) = inner.clients.get(client_id) else { panic!("{client_id} is not away") };
            let is_will = away.will.as_ref().is_some_and(|(due, _)| due == at);
            assert!(away.ends_at == *at || is_will || away.will.is_none());
        }
    }

    /// Everybody goes for good, and all time passes.
    fn finish(mut self) {
        while !self.owners.is_empty() || !self.waiting.is_empty() {
            self.step(Step::Leave { nth: 0, expiry_s: 5, will: None });
            (0..self.waiting.len()).for_each(|nth| self.look(nth));
            if self.owners.is_empty() && !self.waiting.is_empty() {
                panic!("somebody waits for nobody");
            }
        }
        let effects = self.registry.due(u64::MAX - 1).0;
        self.note(effects);
        for client in CLIENTS {
            let effects = self.registry.end_away(client, true).1;
            self.note(effects);
        }
        assert_eq!(self.registry.counts(), (0, 0));
        assert_eq!(self.ended.len() as u64, self.next_session, "a session was lost");
        assert!(self.wills_spoken <= self.wills, "a will was spoken twice");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn no_session_is_lost_and_no_client_is_there_twice(steps in vec(any_step(), 1..100)) {
        let mut world = World::default();
        steps.into_iter().for_each(|step| world.step(step));
        world.finish();
    }
}
