//! Several filters read together, against a plain list.

use std::sync::Arc;

use fanfare_core::{FilterSet, HistorySettings, Log, MemoryLog, Offset, SpaceSettings};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::matching::{any_filter, any_topic};
use crate::support::{Bench, EPOCH, Shelf, filter, offsets};

fn set(filters: &[&str]) -> FilterSet {
    let filters: Vec<_> = filters.iter().map(|text| filter(text)).collect();
    filters.iter().collect()
}

#[test]
fn a_set_matches_what_one_of_its_filters_matches() {
    let empty = set(&[]);
    assert!(empty.is_empty() && !empty.matches("a"));
    let topics = set(&["a", "b/c"]);
    assert!(!topics.is_empty() && topics.matches("b/c") && !topics.matches("b"));
    let mixed = set(&["a", "b/+", "#"]);
    assert!(mixed.matches("b/c") && mixed.matches("z/z") && !mixed.matches("$SYS/a"));
}

/// All pages after `after`; says too whether any of them had a gap.
fn read_all(bench: &Bench, filters: &FilterSet, after: Offset, count: usize, bytes: usize) -> (Vec<Offset>, bool) {
    let (mut found, mut has_gap, mut next) = (Vec::new(), false, after);
    loop {
        let page = bench.core.page_of_set("default", filters, next, count, bytes, false).unwrap().unwrap();
        assert!(page.messages.len() <= count);
        found.extend(offsets(&page.messages));
        has_gap |= page.has_gap;
        if page.is_head {
            assert!(page.next >= bench.core.head(&crate::support::space()).unwrap().offset);
            return (found, has_gap);
        }
        assert!(page.next > next, "a page that is not the last goes on");
        next = page.next;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_page_of_a_set_holds_what_is_kept_and_tells_what_is_not(
        filters in vec(any_filter(), 0..6),
        topics in vec(any_topic(), 1..8),
        published in vec(any::<prop::sample::Index>(), 0..80),
        after in any::<prop::sample::Index>(),
        count in 1usize..9,
        bytes in prop::sample::select(vec![1usize, 200, 1 << 20]),
        kept in prop::sample::select(vec![2usize, 7, 1_000]),
        memory_bytes in prop::sample::select(vec![0u64, 500, 1 << 20]),
        is_durable in any::<bool>(),
    ) {
        let log: Arc<dyn Log> = if is_durable { Arc::new(Shelf::default()) } else { Arc::new(MemoryLog::new(EPOCH)) };
        // Without a log, memory is all there is.
        let memory_bytes = if is_durable { memory_bytes } else { 1 << 20 };
        let history = HistorySettings { count: kept, memory_bytes, ..HistorySettings::default() };
        let bench = Bench::open(log, 0, SpaceSettings { history, ..SpaceSettings::default() });
        let names: Vec<&str> = published.iter().map(|index| &**index.get(&topics)).collect();
        names.iter().for_each(|name| drop(bench.publish(name, "x", 0).unwrap()));
        let set: FilterSet = filters.iter().collect();
        let after = after.index(names.len() + 1) as Offset;
        let all: Vec<(Offset, &str)> = (1..).zip(names.iter().copied()).collect();
        let matches = |name: &str| filters.iter().any(|filter| filter.matches(name));
        let later = |offset: Offset, name: &str| all.iter().filter(|(o, n)| *o > offset && *n == name).count();
        let (mut expected, mut is_lost) = (Vec::new(), false);
        for (offset, name) in all.iter().filter(|(offset, name)| *offset > after && matches(name)) {
            if later(*offset, name) < kept { expected.push(*offset) } else { is_lost = true }
        }
        let (found, has_gap) = read_all(&bench, &set, after, count, bytes);
        prop_assert_eq!(found, expected);
        if after > 0 && is_lost {
            prop_assert!(has_gap, "something after {} was trimmed", after);
        }
        if kept == 1_000 {
            prop_assert!(!has_gap, "nothing was trimmed");
        }
    }
}

#[test]
fn a_gap_is_one_of_what_was_asked_for() {
    let history = HistorySettings { count: 2, ..HistorySettings::default() };
    let settings = SpaceSettings { history, ..SpaceSettings::default() };
    let bench = Bench::open(Arc::new(MemoryLog::new(EPOCH)), 0, settings);
    bench.publish("quiet", "1", 0).unwrap();
    (0..5).for_each(|_| drop(bench.publish("busy", "x", 0).unwrap()));
    let gap = |filters: &[&str], after| read_all(&bench, &set(filters), after, 9, 1 << 20).1;
    assert!(gap(&["busy"], 1) && gap(&["+"], 1) && gap(&["quiet", "busy"], 3));
    assert!(!gap(&["quiet"], 1) && !gap(&["busy"], 4), "it was there, or not asked for");
    assert!(!gap(&["busy"], 0), "whoever begins has missed nothing");
}

#[test]
fn a_page_that_needs_the_disk_says_so() {
    let history = HistorySettings { memory_bytes: 0, ..HistorySettings::default() };
    let bench = Bench::open(Arc::new(Shelf::default()), 0, SpaceSettings { history, ..SpaceSettings::default() });
    bench.publish("a", "1", 0).unwrap();
    let page = |text, is_memory_only| {
        let page = bench.core.page_of_set("default", &set(&[text]), 0, 9, 1 << 20, is_memory_only).unwrap();
        page.map(|page| page.messages.len())
    };
    assert_eq!([page("a", true), page("a", false), page("b", true)], [None, Some(1), Some(0)]);
    let nowhere = bench.core.page_of_set("nowhere", &set(&["a"]), 5, 9, 1 << 20, true).unwrap().unwrap();
    assert!(nowhere.is_head && nowhere.messages.is_empty() && nowhere.next == 5);
}
