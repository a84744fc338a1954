//! Random publishes, limits and readers against a model that keeps plain lists.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use fanfare_core::{Filter, HistorySettings, Joined, Log, MemoryLog, Offset, Position, Since, SpaceSettings};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::support::{Bench, EPOCH, Shelf, filter, keyed, offsets, publication, space};

const TOPICS: [&str; 5] = ["a", "b", "c/x", "c/y", "$d"];
const FILTERS: [&str; 6] = ["a", "c/x", "c/+", "#", "+", "$d"];
const READERS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Publish { topic: usize, len: usize, from: Option<u8> },
    Burst { topic: usize, count: usize },
    RefusedPublish { topic: usize },
    Wait { ms: u64 },
    Join { reader: usize, filter: usize, since: Choice },
    Read { reader: usize, count: usize },
    Drain { reader: usize },
    Reopen,
}

#[derive(Clone, Copy, Debug)]
enum Choice {
    Now,
    Beginning,
    /// Somewhere on the way to the head, in 256ths, or beyond it.
    After(u8),
    Resume,
    OtherEpoch,
}

fn any_step() -> impl Strategy<Value = Step> {
    let (topic, reader) = (0..TOPICS.len(), 0..READERS);
    let from = proptest::option::of(0..READERS as u8);
    let since = prop_oneof![
        Just(Choice::Now),
        Just(Choice::Beginning),
        any::<u8>().prop_map(Choice::After),
        Just(Choice::Resume),
        Just(Choice::OtherEpoch),
    ];
    prop_oneof![
        8 => (topic.clone(), 0usize..200, from).prop_map(|(topic, len, from)| Step::Publish { topic, len, from }),
        2 => (topic.clone(), 1usize..60).prop_map(|(topic, count)| Step::Burst { topic, count }),
        1 => topic.prop_map(|topic| Step::RefusedPublish { topic }),
        2 => (1u64..60).prop_map(|ms| Step::Wait { ms }),
        4 => (reader.clone(), 0..FILTERS.len(), since).prop_map(|(reader, filter, since)| Step::Join { reader, filter, since }),
        6 => (reader.clone(), 1usize..40).prop_map(|(reader, count)| Step::Read { reader, count }),
        3 => reader.prop_map(|reader| Step::Drain { reader }),
        1 => Just(Step::Reopen),
    ]
}

fn any_limits() -> impl Strategy<Value = HistorySettings> {
    let count = select(vec![1, 3, 40, 1_000]);
    let bytes = select(vec![600, 5_000, 1 << 30]);
    let memory_bytes = select(vec![0, 300, 2_000, 1 << 30]);
    (count, select(vec![50, 100_000]), bytes, memory_bytes, select(vec![2, 100])).prop_map(
        |(count, age_ms, bytes, memory_bytes, topics)| HistorySettings {
            count,
            age_ms,
            bytes,
            memory_bytes,
            topics,
            held_count: 0,
        },
    )
}

#[derive(Clone, Debug)]
struct Published {
    offset: Offset,
    topic: usize,
    weight: u64,
    time: u64,
    is_kept: bool,
}

/// Every message that was ever published, in order; the limits look at all of them each time.
struct Naive {
    all: Vec<Published>,
    limits: HistorySettings,
    has_log: bool,
}

impl Naive {
    fn head(&self) -> Offset {
        self.all.len() as Offset
    }

    fn publish(&mut self, topic: usize, len: usize, time: u64) {
        let weight = (len + TOPICS[topic].len() + 64) as u64;
        self.all.push(Published { offset: self.head() + 1, topic, weight, time, is_kept: true });
        let of_topic = |p: &&mut Published| p.is_kept && p.topic == topic;
        let surplus = self.all.iter_mut().filter(of_topic).count().saturating_sub(self.limits.count);
        self.all.iter_mut().filter(of_topic).take(surplus).for_each(|p| p.is_kept = false);
        self.trim(time);
    }

    fn trim(&mut self, now: u64) {
        while let Some(oldest) = self.all.iter().position(|p| p.is_kept) {
            let kept = || self.all.iter().filter(|p| p.is_kept);
            let weight: u64 = kept().map(|p| p.weight).sum();
            let topics = (0..TOPICS.len()).filter(|topic| kept().any(|p| p.topic == *topic)).count();
            let is_over = weight > self.limits.bytes
                || topics > self.limits.topics
                || self.all[oldest].time + self.limits.age_ms < now
                || (!self.has_log && weight > self.limits.memory_bytes);
            if !is_over {
                return;
            }
            self.all[oldest].is_kept = false;
        }
    }

    fn matching<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = &'a Published> {
        self.all.iter().filter(|p| filter.matches(TOPICS[p.topic]))
    }

    fn kept(&self, filter: &Filter) -> Vec<Offset> {
        self.matching(filter).filter(|p| p.is_kept).map(|p| p.offset).collect()
    }

    /// A reader of `filter` at `offset` cannot be given everything any more.
    fn has_lost(&self, filter: &Filter, offset: Offset) -> bool {
        self.matching(filter).any(|p| p.offset > offset && !p.is_kept)
    }

    /// The core has no excuse for not recovering: nothing at all has gone since, or the one topic
    /// that is asked for still holds what the reader saw last.
    fn must_recover(&self, filter: &Filter, offset: Offset) -> bool {
        let has_all = self.all.iter().all(|p| p.offset <= offset || p.is_kept);
        let holds_seen = filter.is_exact() && self.kept(filter).first().is_some_and(|first| *first <= offset);
        has_all || holds_seen && !self.has_lost(filter, offset)
    }

    /// Checks what the core says of completeness.
    fn judge(&self, filter: &Filter, offset: Offset, says_complete: bool) {
        if says_complete {
            assert!(!self.has_lost(filter, offset), "{filter} after {offset} is said to be complete");
        } else {
            assert!(!self.must_recover(filter, offset), "{filter} after {offset} is said to have a gap");
        }
    }
}

enum State {
    Away,
    /// Reads pages after the offset.
    Behind(Offset),
    Live,
}

struct Reader {
    filter: Filter,
    state: State,
    /// Everything that matches and came after this must arrive.
    start: Offset,
    /// Arrived of what came before `start`: of the past only what was kept when it was read.
    past_len: usize,
    is_from_beginning: bool,
    got: Vec<Offset>,
}

struct World {
    bench: Bench,
    shelf: Option<Arc<Shelf>>,
    settings: SpaceSettings,
    naive: Naive,
    readers: Vec<Reader>,
    now: u64,
}

impl World {
    fn new(limits: HistorySettings, is_durable: bool) -> Self {
        let shelf = is_durable.then(|| Arc::new(Shelf::default()));
        let log: Arc<dyn Log> = match &shelf {
            Some(shelf) => shelf.clone(),
            None => Arc::new(MemoryLog::new(EPOCH)),
        };
        let settings = SpaceSettings { history: limits.clone(), ..SpaceSettings::default() };
        let reader = || Reader {
            filter: filter("a"),
            state: State::Away,
            start: 0,
            past_len: 0,
            is_from_beginning: false,
            got: Vec::new(),
        };
        Self {
            bench: Bench::open(log, READERS, settings.clone()),
            shelf,
            settings,
            naive: Naive { all: Vec::new(), limits, has_log: is_durable },
            readers: (0..READERS).map(|_| reader()).collect(),
            now: 1_000,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish { topic, len, from } => self.publish(topic, len, from),
            Step::Burst { topic, count } => (0..count).for_each(|n| self.publish(topic, n % 7, None)),
            Step::RefusedPublish { topic } => self.publish_refused(topic),
            Step::Wait { ms } => {
                self.now += ms;
                self.bench.core.tick(self.now);
                self.naive.trim(self.now);
            }
            Step::Join { reader, filter: number, since } => self.join(reader, filter(FILTERS[number]), since),
            Step::Read { reader, count } => self.read(reader, count),
            Step::Drain { reader } => self.drain(reader),
            Step::Reopen => self.reopen(),
        }
        let kept = self.naive.all.iter().filter(|p| p.is_kept);
        let (len, weight) = kept.fold((0, 0), |(len, weight), p| (len + 1, weight + p.weight));
        let (kept, kept_weight, memory_weight) = self.bench.core.kept("default");
        assert_eq!((kept, kept_weight), (len, weight));
        assert!(memory_weight <= self.settings.history.memory_bytes);
    }

    fn publish(&mut self, topic: usize, len: usize, from: Option<u8>) {
        let publication = publication(TOPICS[topic], &"x".repeat(len));
        let published = self.bench.core.publish(&self.bench.ann, publication, from, self.now, None).unwrap();
        self.naive.publish(topic, len, self.now);
        assert_eq!(published.position, Position { epoch: EPOCH, offset: self.naive.head() });
        if let Some(message) = published.deliver_here {
            let reader = &mut self.readers[usize::from(from.unwrap())];
            assert!(matches!(reader.state, State::Live));
            reader.got.push(message.offset);
        }
        // One publish trims a bounded number of messages; the model knows no such bound.
        self.bench.core.tick(self.now);
    }

    fn publish_refused(&mut self, topic: usize) {
        let Some(shelf) = &self.shelf else { return };
        let topics = self.bench.core.topics("default", "", None, 99);
        shelf.is_full.store(true, SeqCst);
        let name = TOPICS[topic];
        assert!(self.bench.core.publish(&self.bench.ann, keyed(name, "k"), None, self.now, None).is_err());
        let batch = TOPICS.map(|name| keyed(name, "k")).to_vec();
        assert!(self.bench.core.publish_batch(&self.bench.ann, batch, self.now, None).is_err());
        shelf.is_full.store(false, SeqCst);
        assert_eq!(self.bench.core.topics("default", "", None, 99), topics);
        assert_eq!(self.bench.core.head(&space()).unwrap().offset, self.naive.head());
    }

    fn join(&mut self, number: usize, filter: Filter, choice: Choice) {
        self.bench.core.leave("default", &self.readers[number].filter, number as u8);
        self.bench.inboxes[number].messages();
        let head = self.naive.head();
        let at = |offset| Since::After(Position { epoch: EPOCH, offset });
        let reader = &mut self.readers[number];
        let is_same = reader.filter == filter;
        let since = match choice {
            Choice::Now => Since::Now,
            Choice::Beginning => Since::Beginning,
            Choice::After(part) => at((head + 2) * Offset::from(part) / 256),
            Choice::Resume => at(reader.got.last().copied().filter(|_| is_same).unwrap_or(reader.start)),
            Choice::OtherEpoch => Since::After(Position { epoch: EPOCH + 1, offset: head }),
        };
        *reader = Reader {
            filter,
            state: State::Away,
            start: head,
            past_len: 0,
            // Who has seen nothing of a space reads it from its beginning, too.
            is_from_beginning: since == Since::Beginning || since == at(0),
            got: Vec::new(),
        };
        if let Since::After(seen) = since {
            reader.start = seen.offset;
        }
        self.enter(number, since, 0);
    }

    /// Joins, and checks what the core answers.
    fn enter(&mut self, number: usize, since: Since, after: Offset) {
        let filter = self.readers[number].filter.clone();
        let mut drained = Vec::new();
        let mut drain = || drained.extend(self.bench.inboxes[number].messages());
        let joined = self.bench.core.join(&self.bench.ann, &space(), &filter, since, number as u8, &mut drain).unwrap();
        assert!(drained.is_empty(), "nothing was on its way to a reader that is not live");
        assert_eq!(joined.position, Position { epoch: EPOCH, offset: self.naive.head() });
        match since {
            Since::Now => assert_eq!(joined.recovered, None),
            Since::Beginning => assert_eq!(joined.recovered, Some(true)),
            Since::After(seen) => {
                let is_known = seen.epoch == EPOCH && seen.offset <= self.naive.head();
                assert!(is_known || joined.recovered == Some(false));
                if is_known {
                    self.naive.judge(&filter, seen.offset, joined.recovered == Some(true));
                }
            }
        }
        self.take(number, joined, after);
    }

    fn take(&mut self, number: usize, joined: Joined, after: Offset) {
        let reader = &mut self.readers[number];
        reader.got.extend(offsets(&joined.messages));
        if let Some(after) = joined.behind {
            assert!(joined.messages.is_empty());
            reader.state = State::Behind(after);
            return;
        }
        reader.state = State::Live;
        if joined.recovered == Some(false) {
            assert!(joined.messages.is_empty(), "all or nothing");
            (reader.start, reader.past_len, reader.is_from_beginning) = (joined.position.offset, 0, false);
            reader.got.clear();
        } else if reader.is_from_beginning {
            let rest: Vec<_> = self.naive.kept(&reader.filter).into_iter().filter(|offset| *offset > after).collect();
            assert_eq!(offsets(&joined.messages), rest);
            (reader.start, reader.past_len) = (joined.position.offset, reader.got.len());
        }
    }

    /// One page of a reader that is behind, and at the head another try to join.
    fn read(&mut self, number: usize, count: usize) {
        let State::Behind(after) = self.readers[number].state else { return };
        let filter = self.readers[number].filter.clone();
        let from_memory = self.bench.core.page("default", &filter, after, count, 1 << 20, true).unwrap();
        let page = self.bench.core.page("default", &filter, after, count, 1 << 20, false).unwrap().unwrap();
        if let Some(same) = from_memory {
            assert_eq!((offsets(&same.messages), same.next), (offsets(&page.messages), page.next));
        }
        let kept = self.naive.kept(&filter).into_iter().filter(|offset| *offset > after);
        let expected: Vec<_> = kept.clone().take(count).collect();
        assert_eq!(offsets(&page.messages), expected);
        assert_eq!(page.is_head, kept.count() <= count);
        if after > 0 {
            self.naive.judge(&filter, after, !page.has_gap);
        }
        let reader = &mut self.readers[number];
        // Whoever begins at the beginning misses nothing that went before it was read.
        if page.has_gap && !reader.is_from_beginning {
            reader.state = State::Away;
            return;
        }
        reader.got.extend(expected);
        reader.state = State::Behind(page.next);
        if page.is_head {
            let at = Position { epoch: EPOCH, offset: page.next };
            let since = if page.next == 0 { Since::Beginning } else { Since::After(at) };
            self.enter(number, since, page.next);
        }
    }

    fn drain(&mut self, number: usize) {
        let messages = self.bench.inboxes[number].messages();
        let reader = &mut self.readers[number];
        reader.got.extend(offsets(&messages));
        assert!(reader.got.is_sorted_by(|a, b| a < b), "{:?}", reader.got);
        let (filter, start) = (&reader.filter, reader.start);
        let mut expected = self.naive.matching(filter).map(|p| p.offset).filter(|offset| *offset > start);
        let arrived = reader.got[reader.past_len..].iter().copied();
        match reader.state {
            State::Live => assert!(arrived.eq(expected), "{filter} after {start}"),
            State::Behind(_) | State::Away if reader.is_from_beginning => {}
            // So far without a gap.
            State::Behind(_) | State::Away => assert!(arrived.zip(&mut expected).all(|(a, b)| a == b)),
        }
    }

    fn reopen(&mut self) {
        let Some(shelf) = self.shelf.clone() else { return };
        (0..READERS).for_each(|number| self.drain(number));
        let kept: BTreeMap<_, _> = FILTERS.map(|text| (text, self.naive.kept(&filter(text)))).into();
        self.bench = Bench::open(shelf, READERS, self.settings.clone());
        for (text, expected) in kept {
            assert_eq!(offsets(&self.bench.kept(text)), expected);
        }
        self.readers.iter_mut().for_each(|reader| reader.state = State::Away);
        // Memory is filled again from the log; a tick brings nothing else.
        self.bench.core.tick(self.now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn readers_get_everything_once_or_are_told_that_they_cannot(
        limits in any_limits(),
        is_durable in any::<bool>(),
        steps in vec(any_step(), 1..120),
    ) {
        let mut world = World::new(limits, is_durable);
        steps.into_iter().for_each(|step| world.step(step));
        // Everybody gets to the head in the end.
        for number in 0..READERS {
            for _ in 0..200 {
                world.read(number, 50);
            }
            prop_assert!(!matches!(world.readers[number].state, State::Behind(_)));
            world.drain(number);
        }
        let mut kept: Vec<_> = TOPICS.iter().flat_map(|name| offsets(&world.bench.kept(name))).collect();
        kept.sort_unstable();
        let expected: Vec<_> = world.naive.all.iter().filter(|p| p.is_kept).map(|p| p.offset).collect();
        prop_assert_eq!(kept, expected);
    }
}
