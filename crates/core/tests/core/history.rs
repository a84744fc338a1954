//! Catching up with memory and log: the cases that a reader would notice. The model test beside
//! this plays them at random.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use fanfare_core::{Joined, MemoryLog, Offset, Position, Since, SpaceSettings};

use crate::support::{Bench, EPOCH, Shelf, filter, offsets, retained, space};

fn after(offset: Offset) -> Since {
    Since::After(Position { epoch: EPOCH, offset })
}

impl Bench {
    fn join(&self, text: &str, since: Since) -> Joined {
        self.core.join(&self.ann, &space(), &filter(text), since, 0, &mut || {}).unwrap()
    }
}

fn in_memory() -> Bench {
    Bench::open(Arc::new(MemoryLog::new(EPOCH)), 1, SpaceSettings::default())
}

/// Keeps everything on the shelf and nothing in memory.
fn cold(shelf: &Arc<Shelf>) -> Bench {
    let mut settings = SpaceSettings::default();
    settings.history.memory_bytes = 0;
    Bench::open(shelf.clone(), 1, settings)
}

#[test]
fn positions_of_another_numbering_or_of_the_future_recover_nothing() {
    let bench = in_memory();
    bench.publish("t", "x", 0).unwrap();
    for position in [Position { epoch: EPOCH + 1, offset: 0 }, Position { epoch: EPOCH, offset: 2 }] {
        let joined = bench.join("t", Since::After(position));
        assert_eq!((joined.recovered, joined.messages.len()), (Some(false), 0));
        assert_eq!(joined.position.offset, 1, "where to go on from");
    }
    assert_eq!(bench.join("t", after(1)).recovered, Some(true));
}

#[test]
fn a_reader_far_behind_reads_pages_and_joins_again() {
    let bench = in_memory();
    (0..200).for_each(|_| drop(bench.publish("t", "x", 0).unwrap()));
    let joined = bench.join("t", Since::Beginning);
    assert_eq!((joined.behind, joined.messages.len()), (Some(0), 0));
    bench.publish("t", "x", 0).unwrap();
    assert!(bench.inboxes[0].messages().is_empty(), "it is not live yet");
    let page = bench.core.page("default", &filter("t"), 0, 150, 1 << 20, true).unwrap().unwrap();
    assert_eq!((page.messages.len(), page.is_head, page.has_gap), (150, false, false));
    let joined = bench.join("t", after(page.next));
    assert_eq!((joined.behind, joined.recovered), (None, Some(true)));
    assert_eq!(offsets(&joined.messages), (151..=201).collect::<Vec<_>>());
    bench.publish("t", "x", 0).unwrap();
    assert_eq!(offsets(&bench.inboxes[0].messages()), [202]);
}

#[test]
fn waiting_deliveries_are_handed_out_before_a_join_reads_history() {
    let bench = in_memory();
    bench.join("t", Since::Now);
    bench.publish("t", "x", 0).unwrap();
    let mut drained = Vec::new();
    let mut drain = || drained.extend(bench.inboxes[0].messages());
    let joined = bench.core.join(&bench.ann, &space(), &filter("t"), Since::Beginning, 0, &mut drain).unwrap();
    assert_eq!((offsets(&drained), offsets(&joined.messages)), (vec![1], vec![1]));
    assert!(bench.inboxes[0].messages().is_empty(), "the new subscriber does not see it twice");
}

#[test]
fn what_memory_let_go_is_read_from_the_log() {
    let bench = cold(&Arc::new(Shelf::default()));
    (0..10).for_each(|_| drop(bench.publish("t", "x", 0).unwrap()));
    assert_eq!(bench.core.kept("default").2, 0);
    assert!(bench.core.page("default", &filter("t"), 0, 9, 1 << 20, true).unwrap().is_none());
    assert_eq!(offsets(&bench.kept("+")), (1..=10).collect::<Vec<_>>());
}

#[test]
fn what_is_still_on_its_way_to_the_disk_is_not_missing_from_a_page() {
    let shelf = Arc::new(Shelf::default());
    let bench = cold(&shelf);
    bench.publish("t", "x", 0).unwrap();
    shelf.is_lazy.store(true, SeqCst);
    bench.publish("t", "x", 0).unwrap();
    let page = bench.core.page("default", &filter("t"), 0, 9, 1 << 20, false).unwrap().unwrap();
    assert_eq!((offsets(&page.messages), page.has_gap), (vec![1, 2], false));
}

#[test]
fn a_page_tells_of_what_was_trimmed_while_it_was_read() {
    let shelf = Arc::new(Shelf::default());
    let bench = Arc::new(cold(&shelf));
    (0..5).for_each(|_| drop(bench.publish("t", "x", 0).unwrap()));
    let tick = bench.clone();
    *shelf.before_read.lock() = Some(Box::new(move || tick.core.tick(u64::MAX)));
    let page = bench.core.page("default", &filter("t"), 0, 9, 1 << 20, false).unwrap().unwrap();
    assert!(page.messages.is_empty() && page.has_gap);
}

#[test]
fn messages_go_when_their_age_is_over_however_many_they_are() {
    let bench = in_memory();
    for n in 0..5_000 {
        bench.publish(&format!("t{}", n % 10), "x", 0).unwrap();
    }
    bench.core.tick(24 * 60 * 60 * 1_000);
    assert_eq!(bench.core.kept("default").0, 5_000);
    bench.core.tick(24 * 60 * 60 * 1_000 + 1);
    assert_eq!(bench.core.kept("default"), (0, 0, 0));
}

#[test]
fn history_that_was_off_for_a_while_is_not_complete() {
    let bench = in_memory();
    bench.publish("t", "x", 0).unwrap();
    bench.core.configure([], Some(crate::support::without_history()));
    bench.publish("t", "x", 0).unwrap();
    bench.core.configure([], Some(SpaceSettings::default()));
    assert_eq!(bench.join("t", after(1)).recovered, Some(false));
    assert_eq!(bench.join("t", after(2)).recovered, Some(true));
    bench.publish("t", "x", 0).unwrap();
    assert_eq!(bench.kept("t").last().unwrap().previous, 2, "a reader that has 2 has missed nothing");
}

#[test]
fn history_answers_whether_it_is_everything() {
    let bench = in_memory();
    (0..5).for_each(|_| drop(bench.publish("t", "x", 0).unwrap()));
    let ask = |since, limit| bench.core.history(&bench.ann, &space(), &filter("t"), since, limit).unwrap();
    let (page, position, recovered) = ask(Since::Beginning, 3);
    assert_eq!((offsets(&page.messages), position.offset, recovered), (vec![1, 2, 3], 3, true));
    let (page, position, recovered) = ask(after(3), 3);
    assert_eq!((offsets(&page.messages), position.offset, recovered), (vec![4, 5], 5, true));
    let (page, position, recovered) = ask(after(9), 3);
    assert_eq!((page.messages.len(), position.offset, recovered), (0, 5, false));
}

#[test]
fn a_space_that_is_forgotten_keeps_its_numbering_and_nothing_else() {
    let shelf = Arc::new(Shelf::default());
    for bench in [in_memory(), cold(&shelf)] {
        for number in 0..500 {
            bench.publish(&format!("t{}", number % 7), "x", 0).unwrap();
        }
        bench.core.publish(&bench.ann, retained("r", "last"), None, 0, None).unwrap();
        bench.core.forget(&space());
        assert_eq!(bench.core.kept(&space()).0, 0);
        assert_eq!(bench.core.retained_count(&space()), 0);
        assert_eq!(bench.join("#", after(3)).recovered, Some(false), "what is gone is a loss");
        assert_eq!(bench.publish("t", "new", 0).unwrap().position.offset, 502);
        assert_eq!(offsets(&bench.kept("#")), [502]);
        bench.core.forget("unknown");
    }
    assert_eq!(shelf.offsets("default"), [502], "the log forgets, too");
}
