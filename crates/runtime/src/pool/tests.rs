//! The pool without processes: what it decides, and what holds whatever happens.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use fanfare_functions::{Call, CallKind};
use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn rules() -> Rules {
    Rules {
        timeout: 3 * SECOND,
        init_max: 10 * SECOND,
        idle_timeout: 60 * SECOND,
        freeze_after: Some(SECOND),
        provisioned: 0,
        queue_max: 4,
        starts_max: 4,
        memory_mb: 128,
    }
}

type Answered = oneshot::Receiver<Result<Bytes, FunctionError>>;

/// A pool, and the world that does what the pool says.
struct World {
    pool: Pool,
    slots: Slots,
    now: Instant,
    /// Processes that were begun and are not gone.
    processes: HashSet<ProcessId>,
    deliveries: HashMap<ProcessId, oneshot::Receiver<Delivery>>,
    at_work: HashMap<ProcessId, Delivery>,
    answers: Vec<Answered>,
}

impl World {
    fn new(limit: usize, change: impl FnOnce(&mut Rules)) -> Self {
        let (mut rules, slots) = (rules(), Slots::new(limit));
        change(&mut rules);
        let (processes, deliveries, at_work) = Default::default();
        let pool = Pool::new(rules, slots.clone());
        Self { pool, slots, now: Instant::now(), processes, deliveries, at_work, answers: Vec::new() }
    }

    fn submit(&mut self, kind: CallKind) -> Result<u64, FunctionError> {
        let (answer, answered) = oneshot::channel();
        let call = Call { kind, ..Call::waiting(SECOND) };
        let ticket = self.pool.ticket();
        self.pool.submit(Work { ticket, event: Bytes::new(), call, answer }, self.now)?;
        self.answers.push(answered);
        self.settle();
        Ok(ticket)
    }

    /// Begins what the pool wants begun, and brings deliveries to their processes.
    fn settle(&mut self) -> Effects {
        let effects = self.pool.take_effects();
        for (id, _) in &effects.starts {
            self.processes.insert(*id);
            self.pool.launched(*id, i32::try_from(*id).unwrap() + 1_000_000, self.now);
        }
        for (&id, delivery) in &mut self.deliveries {
            if let Ok(delivery) = delivery.try_recv() {
                self.at_work.insert(id, delivery);
            }
        }
        self.deliveries.retain(|id, _| !self.at_work.contains_key(id));
        effects
    }

    fn next(&mut self, id: ProcessId) {
        if let Ok(delivery) = self.pool.next(id, self.now) {
            self.deliveries.insert(id, delivery);
        }
        self.settle();
    }

    fn answer(&mut self, id: ProcessId) {
        if let Some(work) = self.at_work.remove(&id) {
            // The pool may have given the call up already.
            self.pool.complete(id, &work.request_id, Ok(Bytes::new()), self.now).ok();
        }
        self.settle();
    }

    fn exit(&mut self, id: ProcessId) {
        if self.processes.remove(&id) {
            self.at_work.remove(&id);
            self.deliveries.remove(&id);
            self.pool.exited(id, "exit status 1", self.now);
        }
        self.settle();
    }

    fn pass(&mut self, time: Duration) -> Vec<(i32, Signal)> {
        self.now += time;
        self.pool.expire(self.now);
        self.settle().signals
    }

    fn answered(&mut self, index: usize) -> Option<Result<Bytes, FunctionError>> {
        self.answers[index].try_recv().ok()
    }
}

#[test]
fn calls_begin_processes_and_the_last_idle_one_is_taken_first() {
    let mut world = World::new(10, |_| {});
    for _ in 0..3 {
        world.submit(CallKind::RequestResponse).unwrap();
    }
    assert_eq!(world.processes, HashSet::from([1, 2, 3]));
    for id in 1..=3 {
        world.next(id);
    }
    for id in [2, 3, 1] {
        world.answer(id);
        world.next(id);
    }
    world.submit(CallKind::RequestResponse).unwrap();
    assert_eq!(world.at_work.keys().copied().collect::<Vec<_>>(), [1]);
    assert_eq!(world.pool.census(), Census { idle: 2, busy: 1, ..Census::default() });
}

#[test]
fn a_call_that_is_lacking_a_place_is_refused_and_one_that_nobody_waits_for_is_not() {
    let mut world = World::new(1, |_| {});
    world.submit(CallKind::RequestResponse).unwrap();
    world.next(1);
    let waited_for = world.submit(CallKind::RequestResponse).unwrap();
    assert_eq!(world.pool.refuse(waited_for), Some(FunctionError::Busy { limit: 1 }));
    let later = world.submit(CallKind::Event).unwrap();
    assert_eq!(world.pool.refuse(later), None);
    world.answer(1);
    world.next(1);
    assert!(world.at_work.contains_key(&1), "it has its turn");
}

#[test]
fn a_call_waits_while_a_process_ends() {
    let mut world = World::new(1, |_| {});
    world.submit(CallKind::RequestResponse).unwrap();
    world.next(1);
    let signals = world.pass(3 * SECOND);
    assert_eq!(signals, [(1_000_001, Signal::SIGKILL)]);
    assert_eq!(world.answered(0), Some(Err(FunctionError::Timeout(3 * SECOND))));
    let ticket = world.submit(CallKind::RequestResponse).unwrap();
    assert_eq!(world.pool.refuse(ticket), None);
    world.exit(1);
    assert_eq!(world.processes, HashSet::from([2]));
}

#[test]
fn idle_processes_are_frozen_and_then_ended() {
    let mut world = World::new(1, |_| {});
    world.submit(CallKind::RequestResponse).unwrap();
    world.next(1);
    world.answer(1);
    world.next(1);
    assert_eq!(world.pass(SECOND), [(1_000_001, Signal::SIGSTOP)]);
    assert_eq!(world.pass(SECOND), []);
    assert_eq!(world.pass(60 * SECOND), [(1_000_001, Signal::SIGTERM), (1_000_001, Signal::SIGCONT)]);
    assert_eq!(world.pass(2 * SECOND), [(1_000_001, Signal::SIGKILL)], "it did not go by itself");
    world.exit(1);
    assert_eq!(world.pool.processes(), 0);
    assert_eq!(world.pool.sleeps_until(), None, "nothing is left to be kept");
}

#[test]
fn few_processes_begin_together_and_calls_that_end_make_others_needless() {
    let mut world = World::new(10, |rules| rules.starts_max = 2);
    for _ in 0..4 {
        let ticket = world.submit(CallKind::RequestResponse).unwrap();
        assert_eq!(world.pool.refuse(ticket), None, "there are places");
    }
    assert_eq!(world.processes, HashSet::from([1, 2]));
    world.next(1);
    assert_eq!(world.processes, HashSet::from([1, 2, 3]), "the next begins when one is ready");
    for _ in 0..3 {
        world.answer(1);
        world.next(1);
    }
    world.next(2);
    world.next(3);
    assert_eq!(world.processes.len(), 3, "the first one has done their work");
}

#[test]
fn the_queue_has_an_end() {
    let mut world = World::new(1, |_| {});
    for _ in 0..4 {
        world.submit(CallKind::Event).unwrap();
    }
    assert_eq!(world.submit(CallKind::Event), Err(FunctionError::Busy { limit: 1 }));
}

#[test]
fn a_process_that_uses_too_much_before_it_is_ready_counts_as_one_that_failed_to_start() {
    let mut world = World::new(1, |_| {});
    world.submit(CallKind::RequestResponse).unwrap();
    world.pool.over_memory(1, world.now);
    let Some(Err(FunctionError::Handler(said))) = world.answered(0) else { panic!("not told") };
    assert!(String::from_utf8_lossy(&said).contains("Runtime.OutOfMemory"));
    world.exit(1);
    assert!(matches!(world.submit(CallKind::RequestResponse), Err(FunctionError::Handler(_))), "there is a pause");
}

#[test]
fn a_process_that_is_told_to_end_before_it_is_there_gives_its_place_back() {
    let mut world = World::new(1, |_| {});
    world.submit(CallKind::RequestResponse).unwrap();
    world.pool.renew(world.now);
    world.pool.start_failed(1, &FunctionError::QueueFull, world.now);
    world.exit(1);
    assert_eq!(world.processes, HashSet::from([2]), "the call that waits has another");
}

#[test]
fn a_call_waits_for_a_process_that_begins_if_it_has_the_time() {
    let mut world = World::new(1, |_| {});
    let ticket = world.submit(CallKind::RequestResponse).unwrap();
    assert_eq!(world.pool.patience(ticket, SECOND, true), Ok(world.now + 10 * SECOND));
    assert!(matches!(world.pool.patience(ticket, SECOND, false), Err(FunctionError::Refused(_))));
    let ticket = world.submit(CallKind::RequestResponse).unwrap();
    world.next(1);
    assert_eq!(world.pool.patience(ticket, SECOND, true), Ok(world.now + SECOND), "its time begins with the process");
    assert!(matches!(world.pool.patience(ticket, Duration::ZERO, true), Err(FunctionError::Timeout(_))));
}

#[derive(Clone, Debug)]
enum Step {
    Submit(bool),
    Next(u64),
    Answer(u64),
    Exit(u64),
    Leave(u64),
    Fail(u64),
    Pass(u64),
    Renew,
}

fn step() -> impl Strategy<Value = Step> {
    let id = 1_u64..12;
    prop_oneof![
        4 => any::<bool>().prop_map(Step::Submit),
        6 => id.clone().prop_map(Step::Next),
        4 => id.clone().prop_map(Step::Answer),
        2 => id.clone().prop_map(Step::Exit),
        1 => id.clone().prop_map(Step::Leave),
        1 => id.prop_map(Step::Fail),
        2 => (0_u64..20_000).prop_map(Step::Pass),
        1 => Just(Step::Renew),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whatever_happens_places_are_not_exceeded_and_every_call_is_answered(
        steps in prop::collection::vec(step(), 0..80),
        provisioned in 0_usize..3,
    ) {
        let mut world = World::new(3, |rules| rules.provisioned = provisioned);
        world.pool.start(world.now);
        world.settle();
        for step in steps {
            match step {
                Step::Submit(waits) => {
                    let kind = if waits { CallKind::RequestResponse } else { CallKind::Event };
                    world.submit(kind).ok();
                }
                Step::Next(id) => world.next(id),
                Step::Answer(id) => world.answer(id),
                Step::Exit(id) => world.exit(id),
                Step::Leave(id) => {
                    world.deliveries.remove(&id);
                    world.pool.left(id, world.now);
                }
                Step::Fail(id) => world.pool.start_failed(id, &FunctionError::QueueFull, world.now),
                Step::Pass(ms) => {
                    world.pass(Duration::from_millis(ms));
                }
                Step::Renew => world.pool.renew(world.now),
            }
            world.settle();
            let census = world.pool.census();
            let all = census.starting + census.idle + census.busy + census.ending;
            prop_assert!(all <= 3, "{census:?}");
            prop_assert_eq!(world.pool.idle.len(), census.idle);
            prop_assert!(world.pool.idle.iter().collect::<HashSet<_>>().len() == census.idle, "none is there twice");
        }
        world.pool.stop(world.now);
        world.pool.stop_busy(world.now);
        world.pool.kill_all();
        for id in world.processes.clone() {
            world.exit(id);
        }
        prop_assert_eq!(world.pool.processes(), 0);
        let places: Vec<_> = (0..3).map_while(|_| world.slots.take()).collect();
        prop_assert_eq!(places.len(), 3, "places came back");
        for answered in &mut world.answers {
            prop_assert!(!matches!(answered.try_recv(), Err(oneshot::error::TryRecvError::Empty)), "a call waits forever");
        }
    }
}
