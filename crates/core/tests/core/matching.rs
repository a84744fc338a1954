//! Finding filters by topic: the same answer as looking at each, at the cost of the topic alone.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::time::{Duration, Instant};

use fanfare_core::{Filter, Roster, Subscriber, Trie};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::support::{filter, space};

/// Few words, so that filters and topics meet; among them the empty level and one that is reserved.
fn level() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "", "$SYS", "$", "aa"])
}

pub(crate) fn any_topic() -> impl Strategy<Value = String> {
    vec(level(), 1..5).prop_map(|levels| levels.join("/")).prop_filter("topics are not empty", |t| !t.is_empty())
}

pub(crate) fn any_filter() -> impl Strategy<Value = Filter> {
    let level = prop_oneof![3 => level(), 2 => Just("+")];
    (vec(level, 0..5), any::<bool>()).prop_filter_map("filters are not empty", |(mut levels, is_below)| {
        if is_below {
            levels.push("#");
        }
        Filter::new(&levels.join("/")).ok()
    })
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_trie_finds_what_looking_at_each_filter_finds(
        steps in vec((any_filter(), any::<u8>()), 1..80),
        topics in vec(any_topic(), 1..20),
    ) {
        let mut trie = Trie::<BTreeSet<u8>>::default();
        let mut naive = BTreeMap::<Filter, BTreeSet<u8>>::new();
        for (filter, number) in steps {
            if number % 3 == 0 {
                prop_assert_eq!(trie.remove(&filter), naive.remove(&filter));
            } else {
                trie.entry(&filter).insert(number);
                naive.entry(filter.clone()).or_default().insert(number);
            }
            prop_assert_eq!(trie.get_mut(&filter).map(|value| value.clone()), naive.get(&filter).cloned());
            prop_assert_eq!(trie.len(), naive.len());
            prop_assert_eq!(trie.is_empty(), naive.is_empty());
        }
        for topic in topics {
            let mut found = Vec::new();
            trie.for_each_match(&topic, &mut |value| found.push(value.clone()));
            let mut expected: Vec<_> =
                naive.iter().filter(|(filter, _)| filter.matches(&topic)).map(|(_, value)| value.clone()).collect();
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected, "{}", topic);
        }
        for filter in naive.keys() {
            trie.remove(filter);
        }
        prop_assert!(trie.is_empty());
    }

    #[test]
    fn a_roster_finds_what_looking_at_each_subscription_finds(
        steps in vec((select(vec!["a", "a/#", "+/b", "a/b", "#"]), 0u32..150, 0u16..3, any::<u8>()), 1..600),
        topics in vec(any_topic(), 1..10),
    ) {
        let mut roster = Roster::default();
        let mut naive = BTreeMap::<(&str, u32, u16), Subscriber>::new();
        let space = space();
        for (text, connection, subscription, dice) in steps {
            let key = (text, connection, subscription);
            let filter = filter(text);
            // Mostly additions, so that one filter gathers more than the hundred that are indexed.
            if dice < 70 {
                let was_known = naive.remove(&key).is_some();
                let is_last = was_known && !naive.keys().any(|(other, ..)| *other == text);
                prop_assert_eq!(roster.remove(&space, &filter, connection, subscription), is_last);
            } else {
                let (wants_presence, is_tracked) = (dice % 2 == 0, dice % 3 == 0);
                let subscriber = Subscriber { connection, subscription, wants_presence, is_tracked };
                naive.insert(key, subscriber);
                let is_only = naive.keys().filter(|(other, ..)| *other == text).count() == 1;
                prop_assert_eq!(roster.add(&space, &filter, subscriber), is_only);
            }
        }
        for topic in topics {
            let mut found = Vec::new();
            roster.for_each_match(&space, &topic, &mut |group| found.extend_from_slice(group));
            prop_assert_eq!(roster.count(&space, &topic), found.len());
            let matching = naive.iter().filter(|((text, ..), _)| filter(text).matches(&topic));
            let mut expected: Vec<_> = matching.map(|(_, subscriber)| *subscriber).collect();
            let sort = |list: &mut Vec<Subscriber>| list.sort_by_key(|s| (s.connection, s.subscription, s.wants_presence, s.is_tracked));
            sort(&mut found);
            sort(&mut expected);
            prop_assert_eq!(found, expected, "{}", topic);
        }
    }
}

fn subscriber(connection: u32) -> Subscriber {
    Subscriber { connection, subscription: 0, wants_presence: false, is_tracked: false }
}

#[test]
fn a_large_audience_leaves_in_any_order() {
    let (mut roster, space, filter) = (Roster::default(), space(), filter("match/#"));
    for connection in 0..1_000 {
        assert_eq!(roster.add(&space, &filter, subscriber(connection)), connection == 0);
    }
    for step in 0..1_000 {
        // 7 and 1,000 have no common factor: each connection once, in a scattered order.
        assert_eq!(roster.count(&space, "match/1"), 1_000 - step as usize);
        assert_eq!(roster.remove(&space, &filter, step * 7 % 1_000, 0), step == 999);
        assert!(!roster.remove(&space, &filter, step * 7 % 1_000, 0), "gone is gone");
    }
    assert_eq!(roster.count(&space, "match/1"), 0);
}

#[test]
fn subscribing_twice_is_one_subscription_that_wants_the_latter() {
    let (mut roster, space, filter) = (Roster::default(), space(), filter("t"));
    for connection in 0..100 {
        roster.add(&space, &filter, subscriber(connection));
        roster.add(&space, &filter, Subscriber { wants_presence: true, ..subscriber(connection) });
    }
    assert_eq!(roster.count(&space, "t"), 100);
    roster.for_each_match(&space, "t", &mut |group| assert!(group.iter().all(|s| s.wants_presence)));
    (0..100).for_each(|connection| assert_eq!(roster.remove(&space, &filter, connection, 0), connection == 99));
    assert_eq!(roster.count(&space, "t"), 0);
}

/// The shortest of several runs: what else the machine does only ever adds.
fn matching_time(unrelated: usize) -> Duration {
    let mut trie = Trie::<u32>::default();
    for n in 0..unrelated {
        // Beside the topic on every level it has.
        let text = match n % 4 {
            0 => format!("x{n}/#"),
            1 => format!("game/x{n}/+"),
            2 => format!("game/+/x{n}"),
            _ => format!("game/7/x{n}"),
        };
        *trie.entry(&filter(&text)) = 1;
    }
    for text in ["game/7/score", "game/+/score", "game/#"] {
        *trie.entry(&filter(text)) = 1;
    }
    let once = || {
        let start = Instant::now();
        for _ in 0..2_000 {
            let mut sum = 0;
            trie.for_each_match(black_box("game/7/score"), &mut |one| sum += one);
            assert_eq!(sum, 3);
        }
        start.elapsed()
    };
    (0..15).map(|_| once()).min().unwrap()
}

#[test]
fn matching_costs_the_same_beside_any_number_of_unrelated_filters() {
    let (few, many) = (matching_time(1_000), matching_time(200_000));
    // Looking at each of them would take 200 times as long; caches may take some.
    assert!(many < few * 20, "{few:?} beside 1,000 filters, {many:?} beside 200,000");
}
