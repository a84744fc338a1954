//! How fast messages become durable on this machine: `append_speed [messages] [directory]`.
//!
//! Prints messages per second, CPU microseconds per message of the whole process, the worst
//! waiting time, and how long opening and replaying take afterwards.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "an example that prints")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fanfare_core::{Guarantee, Kind, Log, LogBatch, LogError, Message, RecoveredSpace, TopicName};
use fanfare_store::{EmbeddedLog, StoreOptions};
use nix::sys::resource::{UsageWho, getrusage};

const PAYLOAD_BYTES: usize = 200;
const TOPICS: u64 = 1_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(1_000_000, |text| text.parse().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let dir = arguments.next().map_or(temporary.path().to_path_buf(), Into::into);
    for (name, in_flight, is_awaited) in [
        ("one at a time", 1, true),
        ("64 in flight", 64, true),
        ("512 in flight", 512, true),
        ("10,000 in flight", 10_000, true),
        ("nobody waits", 50_000, false),
    ] {
        let count = if in_flight == 1 { count / 100 } else { count };
        append(&dir, name, count, in_flight, is_awaited);
    }
    replay(&dir);
}

fn append(dir: &Path, name: &str, count: u64, in_flight: u64, is_awaited: bool) {
    let (log, _) = EmbeddedLog::open(dir, StoreOptions::default()).unwrap();
    let space = log.open_space(&name.into()).unwrap();
    let topics: Vec<_> = (0..TOPICS).map(|number| TopicName::new(&format!("topic/{number}")).unwrap()).collect();
    let (done, answers) = std::sync::mpsc::channel();
    let worst = Arc::new(AtomicU64::new(0));
    let (begin, cpu) = (Instant::now(), cpu());
    for number in 0..count {
        if is_awaited && number >= in_flight {
            answers.recv().unwrap();
        }
        loop {
            let message = message(&space, space.next_offset + number, &topics);
            let mut batch = LogBatch { space: space.name.clone(), messages: vec![message], ..LogBatch::default() };
            if is_awaited {
                let (done, worst, since) = (done.clone(), worst.clone(), Instant::now());
                batch.done = Some(Box::new(move |answer| {
                    answer.unwrap();
                    let waited = u64::try_from(since.elapsed().as_micros()).unwrap();
                    worst.fetch_max(waited, Ordering::Relaxed);
                    // The last answers come when nobody counts any more.
                    let _ = done.send(());
                }));
            }
            match log.append(batch) {
                Ok(()) => break,
                Err(LogError::QueueFull) => std::thread::sleep(Duration::from_micros(200)),
                other => other.unwrap(),
            }
        }
    }
    log.flush().unwrap();
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{name:>17}: {:>9.0} messages/s, {:>5.1} µs CPU each, worst wait {:>6.1} ms, {} MiB on disk",
        count as f64 / seconds,
        (cpu_since(cpu) * 1e6) / count as f64,
        worst.load(Ordering::Relaxed) as f64 / 1e3,
        log.disk_bytes() >> 20,
    );
    log.close().unwrap();
}

fn message(space: &RecoveredSpace, offset: u64, topics: &[TopicName]) -> Arc<Message> {
    // Half of it does not compress.
    let mut payload = [b'x'; PAYLOAD_BYTES];
    let mut state = offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for byte in &mut payload[..PAYLOAD_BYTES / 2] {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = state as u8;
    }
    let topic = (state % TOPICS) as usize;
    Arc::new(Message {
        space: space.name.clone(),
        topic: topics[topic].clone(),
        payload: payload.to_vec().into(),
        kind: Kind::Binary,
        publisher: None,
        properties: Vec::new(),
        origin: None,
        headers: None,
        guarantee: Guarantee::default(),
        expires_at: None,
        idempotency_key: None,
        time: 1_800_000_000_000 + offset,
        epoch: space.epoch,
        offset,
        previous: offset.saturating_sub(TOPICS),
        is_retained: false,
    })
}

fn replay(dir: &Path) {
    let begin = Instant::now();
    let (log, report) = EmbeddedLog::open(dir, StoreOptions::default()).unwrap();
    println!("opened in {:?}: {report:?}", begin.elapsed());
    let (begin, cpu, mut count) = (Instant::now(), cpu(), 0_u64);
    for space in log.spaces().unwrap() {
        log.replay(&space, &mut |_, _| count += 1).unwrap();
    }
    println!(
        "replayed {count} messages in {:?}, {:.2} s of CPU per million",
        begin.elapsed(),
        cpu_since(cpu) * 1e6 / count as f64,
    );
    let rss = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = rss.lines().find(|line| line.starts_with("VmHWM"));
    println!("memory at most: {}", peak.unwrap_or("unknown"));
}

fn cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn cpu_since(begin: f64) -> f64 {
    cpu() - begin
}
