//! Messages of the server's own, and retained messages page by page.

use std::sync::Arc;

use fanfare_core::{MemoryLog, Publication, RETAINED_PAGE_MAX, Since, SpaceSettings};

use crate::support::{Bench, Shelf, filter, offsets, publication, retained, space, texts, topic};

fn subscribe(bench: &Bench, text: &str) -> Vec<String> {
    let joined = bench.core.join(&bench.ann, &space(), &filter(text), Since::Now, 0, &mut || {});
    texts(&joined.unwrap().retained)
}

#[test]
fn what_is_passed_reaches_subscribers_and_is_not_kept() {
    let shelf = Arc::new(Shelf::default());
    let bench = Bench::open(shelf.clone(), 1, SpaceSettings::default());
    assert!(!bench.core.pass(publication("$SYS/a", "unheard"), 0).unwrap());
    subscribe(&bench, "$SYS/#");
    bench.publish("t", "kept", 0).unwrap();
    assert!(bench.core.is_wanted("default", "$SYS/a") && !bench.core.is_wanted("default", "t"));
    assert!(bench.core.pass(publication("$SYS/a", "heard"), 0).unwrap());
    assert_eq!(texts(&bench.inboxes[0].messages()), ["heard"]);
    assert_eq!(texts(&bench.kept("$SYS/#")), [""; 0]);
    assert_eq!(shelf.offsets("default"), offsets(&bench.kept("t")));
    // A reader of other topics goes on from before it without a loss.
    let seen = fanfare_core::Position { epoch: bench.core.head(&space()).unwrap().epoch, offset: 1 };
    assert!(bench.core.is_complete_after("default", &filter("t"), seen));
}

#[test]
fn what_is_passed_with_retain_waits_for_subscribers_in_memory() {
    let bench = Bench::open(Arc::new(MemoryLog::new(1)), 1, SpaceSettings::default());
    let head = bench.core.head(&space()).unwrap();
    for text in ["1", "2"] {
        bench.core.pass(retained("$SYS/uptime", text), 0).unwrap();
    }
    assert_eq!(bench.core.head(&space()).unwrap(), head, "no offset is used up for nobody");
    assert_eq!(subscribe(&bench, "#"), [""; 0]);
    assert_eq!(
        (subscribe(&bench, "$SYS/#"), subscribe(&bench, "$SYS/uptime")),
        (vec!["2".to_owned()], vec!["2".to_owned()])
    );
    bench.core.leave("default", &filter("$SYS/uptime"), 0);
    assert!(bench.core.topics("default", "", None, 10).is_empty() && bench.core.retained_count("default") == 0);
}

#[test]
fn retained_messages_are_read_page_by_page() {
    let bench = Bench::open(Arc::new(MemoryLog::new(1)), 1, SpaceSettings::default());
    for name in ["!", "b", "a/1", "$SYS/x", "$aws/y", "a", "%", "c"] {
        bench.core.publish(&bench.ann, retained(name, name), None, 0, None).unwrap();
    }
    let empty = Publication { payload: Default::default(), ..retained("c", "") };
    bench.core.publish(&bench.ann, empty, None, 0, None).unwrap();
    let page =
        |after: Option<&str>, limit| texts(&bench.core.retained_page("default", after.map(topic).as_ref(), limit));
    assert_eq!(page(None, 100), ["!", "%", "a", "a/1", "b"]);
    assert_eq!(page(None, 2), ["!", "%"]);
    assert_eq!(page(Some("%"), 2), ["a", "a/1"]);
    assert_eq!(page(Some("a/1"), 2), ["b"]);
    assert_eq!((page(Some("b"), 2).len(), page(None, 0).len()), (0, 0));
    assert_eq!(texts(&bench.core.retained("default", &topic("a/1")).into_iter().collect::<Vec<_>>()), ["a/1"]);
    assert!(bench.core.retained("default", &topic("c")).is_none());
    assert!(bench.core.retained_page("nowhere", None, 10).is_empty());
    for number in 0..RETAINED_PAGE_MAX + 5 {
        bench.core.publish(&bench.ann, retained(&format!("n/{number}"), "x"), None, 0, None).unwrap();
    }
    assert_eq!(page(None, usize::MAX).len(), RETAINED_PAGE_MAX);
}
