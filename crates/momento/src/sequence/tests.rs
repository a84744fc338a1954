use proptest::prelude::*;

use super::*;
use crate::wire::subscription_item::Kind;

const NOW: Millis = 1_000;
const EPOCH: u64 = 0x5f3a;

fn at(offset: u64) -> Position {
    Position { epoch: EPOCH, offset }
}

fn resume(number: u64, page: u64) -> Resume {
    Resume { number, page }
}

fn begin(resume: Resume, head: u64, recovered: Option<bool>) -> (Sequence, Vec<Discontinuity>) {
    let (sequence, first) = Opening::plan(resume, at(head)).begin(at(head), recovered, Settings::default(), NOW);
    let mut first = first.into_iter().map(|item| item.kind.unwrap());
    assert_eq!(first.next(), Some(Kind::Heartbeat(Heartbeat {})), "a heartbeat always comes first");
    let rest = first.map(|kind| match kind {
        Kind::Discontinuity(discontinuity) => discontinuity,
        other => panic!("{other:?}"),
    });
    (sequence, rest.collect())
}

#[test]
fn pages_are_what_javascript_holds() {
    assert_eq!(page_of(EPOCH), EPOCH);
    assert_eq!(page_of(0), 1);
    assert_eq!(page_of(u64::MAX), PAGE_MAX);
}

#[test]
fn a_fresh_subscription_is_told_where_it_begins() {
    let opening = Opening::plan(resume(0, 0), at(7));
    assert_eq!((opening.since(at(7)), opening.fallback(None)), (Since::Now, None));
    let (mut sequence, first) = begin(resume(0, 0), 7, None);
    assert_eq!(first, [discontinuity(0, 7, EPOCH)]);
    assert_eq!(sequence.item(at(7), NOW), Step::Skip);
    assert_eq!(sequence.item(at(9), NOW), Step::Send(None));
    assert_eq!(sequence.item(at(9), NOW), Step::Skip);
    let (_, first) = Opening::plan(resume(0, 0), at(7)).begin(at(7), None, Settings::poll(), NOW);
    assert_eq!(first, [SubscriptionItem::from(Heartbeat {})]);
}

#[test]
fn resuming_includes_the_number() {
    let opening = Opening::plan(resume(5, EPOCH), at(7));
    assert_eq!(opening.since(at(7)), Since::After(at(4)));
    assert_eq!(opening.fallback(Some(true)), None);
    let (mut sequence, first) = begin(resume(5, EPOCH), 7, Some(true));
    assert_eq!(first, []);
    assert_eq!(sequence.item(at(5), NOW), Step::Send(None));
    assert_eq!(sequence.item(at(7), NOW), Step::Send(None));
}

#[test]
fn an_unknown_page_is_taken_for_this_one() {
    assert_eq!(Opening::plan(resume(5, 0), at(7)).since(at(7)), Since::After(at(4)));
    assert_eq!(Opening::plan(resume(1, 0), at(7)).since(at(7)), Since::After(at(0)));
}

#[test]
fn the_number_after_the_head_is_no_loss() {
    let (mut sequence, first) = begin(resume(8, EPOCH), 7, Some(true));
    assert_eq!(first, []);
    assert_eq!(sequence.item(at(8), NOW), Step::Send(None));
}

#[test]
fn who_was_further_than_the_log_is_told() {
    let opening = Opening::plan(resume(9, EPOCH), at(7));
    assert_eq!(opening.since(at(7)), Since::Now);
    let (mut sequence, first) = begin(resume(9, EPOCH), 7, None);
    assert_eq!(first, [discontinuity(8, 7, EPOCH)]);
    assert_eq!(sequence.item(at(8), NOW), Step::Send(None));
    let (_, first) = begin(resume(u64::MAX, EPOCH), 7, None);
    assert_eq!(first, [discontinuity(u64::MAX - 1, 7, EPOCH)]);
}

#[test]
fn another_page_begins_with_what_is_kept_of_this_one() {
    let opening = Opening::plan(resume(100, EPOCH + 1), at(7));
    assert_eq!((opening.since(at(7)), opening.fallback(None)), (Since::Beginning, None));
    let (mut sequence, first) = begin(resume(100, EPOCH + 1), 7, None);
    assert_eq!(first, []);
    assert_eq!(sequence.item(at(3), NOW), Step::Send(Some(discontinuity(99, 2, EPOCH))));
    assert_eq!(sequence.item(at(7), NOW), Step::Send(None));
    let (mut sequence, _) = begin(resume(100, EPOCH + 1), 7, None);
    assert_eq!(sequence.settle(at(7), NOW), Some(discontinuity(99, 7, EPOCH)), "nothing is kept");
    assert_eq!(sequence.settle(at(7), NOW), None);
}

#[test]
fn what_is_trimmed_is_told_before_the_rest() {
    let opening = Opening::plan(resume(3, EPOCH), at(9));
    assert_eq!(opening.fallback(Some(false)), Some(Since::Beginning));
    let (mut sequence, first) = begin(resume(3, EPOCH), 9, Some(false));
    assert_eq!(first, []);
    assert_eq!(sequence.item(at(2), NOW), Step::Skip);
    assert_eq!(sequence.item(at(6), NOW), Step::Send(Some(discontinuity(2, 5, EPOCH))));
}

#[test]
fn slow_clients_hear_of_what_they_lost_once() {
    let (mut sequence, _) = begin(resume(0, 0), 0, None);
    assert_eq!(sequence.item(at(1), NOW), Step::Send(None));
    sequence.lose(at(2));
    sequence.lose(at(5));
    assert_eq!(sequence.item(at(5), NOW), Step::Skip);
    assert_eq!(sequence.item(at(8), NOW), Step::Send(Some(discontinuity(1, 7, EPOCH))));
    sequence.lose(at(8));
    assert_eq!(sequence.settle(at(8), NOW), None, "it had that one");
    sequence.lose(at(9));
    assert_eq!(sequence.settle(at(11), NOW), Some(discontinuity(8, 11, EPOCH)));
    assert_eq!(sequence.item(at(12), NOW), Step::Send(None));
}

#[test]
fn a_new_numbering_on_the_way() {
    let (mut sequence, _) = begin(resume(0, 0), 41, None);
    assert_eq!(sequence.item(at(42), NOW), Step::Send(None));
    let new = Position { epoch: EPOCH + 1, offset: 3 };
    assert_eq!(sequence.item(new, NOW), Step::Send(Some(discontinuity(42, 2, EPOCH + 1))));
    assert_eq!(sequence.page(), EPOCH + 1);
}

#[test]
fn an_empty_poll_says_where_to_go_on() {
    let (sequence, _) = Opening::plan(resume(0, 0), at(7)).begin(at(7), None, Settings::poll(), NOW);
    let here = sequence.here();
    assert_eq!(here, discontinuity(7, 7, EPOCH));
    let next = Opening::plan(resume(here.new_topic_sequence + 1, here.new_sequence_page), at(9));
    assert_eq!(next.since(at(9)), Since::After(at(7)));
}

#[test]
fn heartbeats_come_when_nothing_else_does() {
    let (mut sequence, _) = begin(resume(0, 0), 0, None);
    assert_eq!(sequence.heartbeat_at(), NOW + 12_000);
    assert_eq!(sequence.tick(NOW + 11_999), None);
    assert_eq!(sequence.tick(NOW + 12_000), Some(Heartbeat {}));
    assert_eq!(sequence.tick(NOW + 12_001), None);
    sequence.item(at(1), NOW + 20_000);
    assert_eq!(sequence.heartbeat_at(), NOW + 32_000);
}

/// A client as SDKs are: it notes numbers and pages, and comes back with them.
#[derive(Debug, Default)]
struct Client {
    last: Option<u64>,
    page: u64,
    asks_for_next: bool,
    had: Vec<(u64, u64)>,
    excused: Vec<(u64, u64, u64)>,
}

impl Client {
    fn resume(&self) -> Resume {
        let number = self.last.map_or(0, |last| last + u64::from(self.asks_for_next));
        Resume { number, page: self.page }
    }

    fn take(&mut self, discontinuity: &Discontinuity) {
        let Discontinuity { last_topic_sequence, new_topic_sequence, new_sequence_page } = *discontinuity;
        let from = if new_sequence_page == self.page { last_topic_sequence } else { 0 };
        self.excused.push((new_sequence_page, from, new_topic_sequence));
        (self.last, self.page) = (Some(new_topic_sequence), new_sequence_page);
    }

    fn has_or_knows(&self, page: u64, number: u64) -> bool {
        self.had.contains(&(page, number))
            || self.excused.iter().any(|(of, last, new)| *of == page && (*last + 1..=*new).contains(&number))
    }
}

#[derive(Clone, Debug)]
enum Event {
    /// To this topic, or another one of the cache.
    Publish(bool),
    /// The oldest message is let go of.
    Trim,
    /// The client's connection breaks, and it comes back.
    Reconnect,
    /// The client's queue is full for the next messages, or it is no longer.
    Slow(bool),
    /// The numbering ends, while the client is away.
    NewEpoch,
}

/// The topic as the core has it, with the client's subscription.
struct World {
    epoch: u64,
    head: u64,
    kept: Vec<u64>,
    trimmed: u64,
    all: Vec<(u64, u64)>,
    client: Client,
    sequence: Option<Sequence>,
    is_slow: bool,
}

impl World {
    fn head(&self) -> Position {
        Position { epoch: self.epoch, offset: self.head }
    }

    fn connect(&mut self) {
        let opening = Opening::plan(self.client.resume(), self.head());
        let (mut after, recovered) = match opening.since(self.head()) {
            Since::Now => (self.head, None),
            Since::Beginning => (0, None),
            Since::After(seen) => (seen.offset, Some(seen.offset >= self.trimmed)),
        };
        if opening.fallback(recovered).is_some() {
            after = 0;
        }
        let (sequence, first) = opening.begin(self.head(), recovered, Settings::default(), 0);
        for item in &first[1..] {
            let Some(Kind::Discontinuity(discontinuity)) = &item.kind else { panic!("{item:?}") };
            self.client.take(discontinuity);
        }
        self.sequence = Some(sequence);
        self.is_slow = false;
        for offset in self.kept.clone().into_iter().filter(|offset| *offset > after) {
            self.deliver(offset);
        }
        self.settle();
    }

    fn settle(&mut self) {
        let head = self.head();
        if let Some(sequence) = &mut self.sequence
            && !self.is_slow
            && let Some(discontinuity) = sequence.settle(head, 0)
        {
            self.client.take(&discontinuity);
        }
    }

    fn deliver(&mut self, offset: u64) {
        let at = Position { epoch: self.epoch, offset };
        let Some(sequence) = &mut self.sequence else { return };
        if self.is_slow {
            sequence.lose(at);
            return;
        }
        if let Step::Send(before) = sequence.item(at, 0) {
            if let Some(discontinuity) = &before {
                self.client.take(discontinuity);
            }
            let number = (page_of(self.epoch), offset);
            let is_repetition = self.client.had.last() == Some(&number);
            assert!(!is_repetition || !self.client.asks_for_next, "{number:?} came twice");
            assert!(is_repetition || !self.client.had.contains(&number), "{number:?} came late");
            self.client.had.push(number);
            (self.client.page, self.client.last) = (number.0, Some(number.1));
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Publish(is_here) => {
                self.head += 1;
                if *is_here {
                    self.kept.push(self.head);
                    self.all.push((page_of(self.epoch), self.head));
                    self.deliver(self.head);
                }
            }
            Event::Trim if !self.kept.is_empty() => self.trimmed = self.kept.remove(0),
            Event::Trim => {}
            Event::Reconnect => self.connect(),
            Event::Slow(is_slow) => {
                self.is_slow = *is_slow;
                self.settle();
            }
            Event::NewEpoch => {
                (self.epoch, self.head, self.trimmed) = (self.epoch + 1, 0, 0);
                self.kept.clear();
                self.sequence = None;
            }
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => any::<bool>().prop_map(Event::Publish),
        2 => Just(Event::Trim),
        2 => Just(Event::Reconnect),
        2 => any::<bool>().prop_map(Event::Slow),
        1 => Just(Event::NewEpoch),
    ]
}

proptest! {
    /// Whatever happens, the client gets each message that it did not hear to be lost, in order. What
    /// was published in a numbering that ended while the client was away is beyond anybody's knowledge.
    #[test]
    fn nothing_is_lost_in_silence(events in prop::collection::vec(event(), 0..60), asks_for_next: bool) {
        let client = Client { asks_for_next, ..Client::default() };
        let mut world = World {
            epoch: EPOCH,
            head: 0,
            kept: Vec::new(),
            trimmed: 0,
            all: Vec::new(),
            client,
            sequence: None,
            is_slow: false,
        };
        world.connect();
        for event in &events {
            world.happen(event);
        }
        world.connect();
        let page = page_of(world.epoch);
        for (_, number) in world.all.iter().filter(|(of, _)| *of == page) {
            prop_assert!(world.client.has_or_knows(page, *number), "{number} of {:?}", world.client);
        }
    }
}
