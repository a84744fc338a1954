//! What a core finds when it is opened again on the same log.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use fanfare_core::{Joined, Position, Since, SpaceSettings};

use crate::publishing::retained_of;
use crate::support::{Bench, EPOCH, Shelf, filter, offsets, retained, space, without_history};

fn open(shelf: &Arc<Shelf>, settings: SpaceSettings) -> Bench {
    Bench::open(shelf.clone(), 1, settings)
}

fn counting(count: usize) -> SpaceSettings {
    let mut settings = SpaceSettings::default();
    settings.history.count = count;
    settings
}

impl Bench {
    fn resume(&self, text: &str, offset: u64) -> Joined {
        let since = Since::After(Position { epoch: EPOCH, offset });
        self.core.join(&self.ann, &space(), &filter(text), since, 0, &mut || {}).unwrap()
    }
}

#[test]
fn numbering_history_and_keys_go_on() {
    let shelf = Arc::new(Shelf::default());
    let bench = open(&shelf, SpaceSettings::default());
    bench.publish("t", "x", 0).unwrap();
    let first = bench.publish_once(&bench.ann, "t", "k", 1_000);
    drop(bench);
    let bench = open(&shelf, SpaceSettings::default());
    let again = bench.publish_once(&bench.ann, "t", "k", 100_000);
    assert!(again.is_duplicate);
    assert_eq!(again.position, first.position);
    assert!(!bench.publish_once(&bench.ann, "t", "k", 121_001).is_duplicate);
    assert_eq!(offsets(&bench.kept("t")), [1, 2, 3]);
    assert_eq!(bench.kept("t")[2].previous, 2);
    let joined = bench.resume("t", 1);
    assert_eq!((joined.recovered, offsets(&joined.messages)), (Some(true), vec![2, 3]));
}

#[test]
fn a_key_used_again_after_its_window_is_still_known() {
    let shelf = Arc::new(Shelf::default());
    let bench = open(&shelf, SpaceSettings::default());
    bench.publish_once(&bench.ann, "t", "k", 0);
    bench.publish_once(&bench.ann, "t", "k", 130_000);
    let bench = open(&shelf, SpaceSettings::default());
    assert!(bench.publish_once(&bench.ann, "t", "k", 140_000).is_duplicate);
}

#[test]
fn retained_messages_survive() {
    let shelf = Arc::new(Shelf::default());
    for settings in [SpaceSettings::default(), without_history()] {
        let bench = open(&shelf, settings.clone());
        let publish = |name, text| drop(bench.core.publish(&bench.ann, retained(name, text), None, 0, None).unwrap());
        publish("a", "1");
        publish("a", "2");
        publish("b", "3");
        publish("b", "");
        let bench = open(&shelf, settings);
        assert_eq!(retained_of(&bench.core, "#"), ["2"]);
    }
}

#[test]
fn a_lower_count_applies_at_once_and_reaches_the_log() {
    let shelf = Arc::new(Shelf::default());
    let bench = open(&shelf, SpaceSettings::default());
    for name in ["t", "u"] {
        (0..100).for_each(|_| drop(bench.publish(name, "x", 0).unwrap()));
    }
    let bench = open(&shelf, counting(2));
    bench.core.apply_counts();
    assert_eq!(offsets(&bench.kept("#")), [99, 100, 199, 200]);
    bench.core.tick(0);
    assert_eq!(shelf.offsets("default"), [99, 100, 199, 200]);
    assert_eq!(bench.resume("t", 97).recovered, Some(false));
    assert_eq!(bench.resume("t", 98).recovered, Some(true));
}

#[test]
fn trims_reach_the_log_also_when_it_was_full_for_a_while() {
    let shelf = Arc::new(Shelf::default());
    let bench = open(&shelf, counting(1));
    (0..10).for_each(|_| drop(bench.publish("t", "x", 0).unwrap()));
    shelf.is_full.store(true, SeqCst);
    bench.core.tick(0);
    bench.core.configure([], Some(without_history()));
    bench.publish("t", "x", 0).unwrap();
    shelf.is_full.store(false, SeqCst);
    bench.core.tick(0);
    assert_eq!(shelf.offsets("default"), []);
}

#[test]
fn more_trims_than_fit_one_batch_go_in_several() {
    let shelf = Arc::new(Shelf::default());
    let bench = open(&shelf, SpaceSettings::default());
    for n in 0..9_000 {
        bench.publish(&format!("t{}", n % 30), "x", 0).unwrap();
    }
    let bench = open(&shelf, counting(1));
    bench.core.apply_counts();
    assert_eq!(shelf.offsets("default").len(), 30);
}

#[test]
fn a_restart_does_not_make_up_for_what_was_never_kept() {
    let shelf = Arc::new(Shelf::default());
    let bench = open(&shelf, SpaceSettings::default());
    bench.publish("t", "kept", 0).unwrap();
    bench.core.configure([], Some(without_history()));
    bench.publish("t", "passed", 0).unwrap();
    assert_eq!(bench.resume("t", 1).recovered, Some(false));
    // The head is known from what the log was given last.
    bench.core.configure([], Some(SpaceSettings::default()));
    bench.publish("t", "kept", 0).unwrap();
    let bench = open(&shelf, SpaceSettings::default());
    for text in ["t", "#", "elsewhere"] {
        assert_eq!(bench.resume(text, 1).recovered, Some(false), "{text}");
        assert_eq!(bench.resume(text, 2).recovered, Some(true), "{text}");
    }
    let bench = open(&shelf, without_history());
    assert_eq!(bench.resume("t", 2).recovered, Some(false));
}
