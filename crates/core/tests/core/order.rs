//! Several threads publish to one space; every shard sees every topic in one order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use fanfare_core::{Delivery, MemoryLog, Message, ShardId, Since, SpaceSettings};

use crate::support::{Bench, Shelf, filter, publication, space, without_history};

const SHARDS: usize = 4;
const PUBLISHES: usize = 1_500;

/// One shard's thread: publishes, hands on what it must deliver itself at once, and drains its
/// inbox between turns. The answer is what its subscriber saw.
fn run_shard(bench: &Bench, shard: ShardId, busy: &AtomicUsize) -> Vec<Arc<Message>> {
    let mut seen = Vec::new();
    let inbox = &bench.inboxes[usize::from(shard)];
    let drain = |seen: &mut Vec<Arc<Message>>| {
        inbox.drain(|delivery| match delivery {
            Delivery::Message(message) => seen.push(message),
            Delivery::Presence(_) => {}
        });
    };
    for n in 0..PUBLISHES {
        let publication = publication(["a", "b", "c"][n % 3], "x");
        let published = bench.core.publish(&bench.ann, publication, Some(shard), 0, None).unwrap();
        seen.extend(published.deliver_here);
        // Not after every publish: a turn handles many packets.
        if n % (2 + usize::from(shard)) == 0 {
            drain(&mut seen);
        }
        if n % 64 == 0 {
            std::thread::yield_now();
        }
    }
    busy.fetch_sub(1, SeqCst);
    while busy.load(SeqCst) > 0 {
        std::thread::yield_now();
    }
    drain(&mut seen);
    seen
}

fn check(bench: &Bench) {
    for shard in 0..SHARDS {
        bench.core.join(&bench.ann, &space(), &filter("#"), Since::Now, shard as ShardId, &mut || {}).unwrap();
    }
    let busy = AtomicUsize::new(SHARDS);
    let seen: Vec<_> = std::thread::scope(|scope| {
        let busy = &busy;
        let shards: Vec<_> =
            (0..SHARDS).map(|shard| scope.spawn(move || run_shard(bench, shard as ShardId, busy))).collect();
        shards.into_iter().map(|shard| shard.join().unwrap()).collect()
    });
    for (shard, seen) in seen.iter().enumerate() {
        assert_eq!(seen.len(), SHARDS * PUBLISHES, "shard {shard} saw each message once");
        let is_ascending = seen.windows(2).all(|pair| pair[0].offset < pair[1].offset);
        assert!(is_ascending, "shard {shard} saw the order of the space");
    }
}

#[test]
fn every_shard_sees_one_order() {
    for _ in 0..5 {
        check(&Bench::open(Arc::new(MemoryLog::new(1)), SHARDS, without_history()));
    }
    check(&Bench::open(Arc::new(Shelf::default()), SHARDS, SpaceSettings::default()));
}

#[test]
fn a_message_goes_behind_those_that_wait_in_the_publishers_own_inbox() {
    let bench = Bench::open(Arc::new(MemoryLog::new(1)), 2, SpaceSettings::default());
    bench.core.join(&bench.ann, &space(), &filter("a"), Since::Now, 0, &mut || {}).unwrap();
    let publish = |from| bench.core.publish(&bench.ann, publication("a", "x"), Some(from), 0, None).unwrap();
    assert_eq!(publish(0).deliver_here.map(|m| m.offset), Some(1), "its inbox is quiet");
    assert!(publish(1).deliver_here.is_none(), "shard 1 has no subscriber");
    assert!(publish(0).deliver_here.is_none(), "offset 2 waits before it");
    let inbox = &bench.inboxes[0];
    inbox.drain(|delivery| {
        let Delivery::Message(message) = delivery else { return };
        // Published while an earlier message is still being handed out.
        if message.offset == 2 {
            assert!(publish(0).deliver_here.is_none());
        }
    });
    assert_eq!(inbox.messages().iter().map(|m| m.offset).collect::<Vec<_>>(), [4]);
    assert!(publish(0).deliver_here.is_some());
}
