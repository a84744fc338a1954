//! What a connection costs that only waits: memory of the server and the kernel, and CPU.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::args::{Common, IdleArgs};
use crate::fleet::{Fleet, Listener};
use crate::link::{Gone, Plan, Welcome};
use crate::muster;
use crate::output::Progress;
use crate::process::{Memory, Process, slab_bytes};
use crate::report::{IdleMemory, IdleReport};
use crate::target::Target;

const TURN: Duration = Duration::from_millis(100);

/// A server is at rest when its memory stays within this share for this long.
const REST_SHARE: f64 = 0.002;
const REST: Duration = Duration::from_millis(1_500);
const REST_WAIT_MAX: Duration = Duration::from_secs(15);

/// How long a server may take to give memory back.
const CLOSING: Duration = Duration::from_secs(2);

/// Topics that are checked at the end, one publisher each.
const CHECKED_TOPICS_MAX: usize = 16;

/// Runs the case.
pub(crate) fn run(common: &Common, args: &IdleArgs) -> anyhow::Result<IdleReport> {
    let connections = args.connections as usize;
    let topics = args.topics.min(args.connections) as usize;
    let checked = topics.min(CHECKED_TOPICS_MAX);
    let target = Target::new(common)?;
    let (links, streams) = (target.links(connections)?, target.streams);
    let mut fleet = Fleet::new(target, links + checked)?;
    let server = common.pid.map(Process::new).transpose()?;
    let base = muster::run_topic("idle");
    let topics: Vec<Rc<str>> = (0..topics).map(|topic| format!("{base}/{topic}").into()).collect();
    let publishers = topics[..checked].iter();
    let publishers = publishers.map(|topic| Plan { topic: Rc::clone(topic), is_subscriber: false });
    // They also run every path of the server once before its memory is read.
    muster::open(&mut fleet, links, publishers, common)?;
    let before = rest(&mut fleet, server)?;
    let slab_before = slab_bytes();

    let started = Instant::now();
    let plan = |link: usize| Plan { topic: Rc::clone(&topics[link % topics.len()]), is_subscriber: true };
    muster::open(&mut fleet, 0, (0..links).map(plan), common)?;
    let opening_seconds = started.elapsed().as_secs_f64();
    let open = rest(&mut fleet, server)?;
    let slab = slab_before.zip(slab_bytes()).map(|(before, open)| open.saturating_sub(before));

    let (hold_seconds, cpu_us_per_second) = hold(&mut fleet, server, common, args)?;
    let topic_of = |subscription: usize| subscription / streams % topics.len();
    let places = links..links + checked;
    let checked_deliveries = muster::check(&mut fleet, &topics, places, connections, topic_of)?;
    let closed = server.map(|server| close(&mut fleet, links, server)).transpose()?;
    let memory = before.zip(open).zip(closed);
    Ok(IdleReport {
        connections: args.connections,
        topics: u32::try_from(topics.len()).unwrap_or(u32::MAX),
        opening_seconds,
        server: memory.map(|((before, open), closed)| per_connection(args.connections, before, open, closed)),
        slab_bytes_per_connection: slab.map(|bytes| bytes as f64 / f64::from(args.connections)),
        hold_seconds,
        cpu_us_per_second,
        checked_deliveries,
    })
}

fn per_connection(connections: u32, before: Memory, open: Memory, closed: Memory) -> IdleMemory {
    let share = |of: fn(&Memory) -> u64| (of(&open) as f64 - of(&before) as f64) / f64::from(connections);
    IdleMemory {
        anonymous_bytes_per_connection: share(|memory| memory.anonymous),
        private_bytes_per_connection: share(|memory| memory.private),
        resident_bytes_per_connection: share(|memory| memory.resident),
        before,
        open,
        closed,
    }
}

/// Nothing is to be heard while connections are idle.
struct Silence;

impl Listener for Silence {
    fn ready(&mut self, link: usize, _: Welcome, _: u64) -> anyhow::Result<()> {
        bail!("connection {link} opened twice")
    }

    fn text(&mut self, link: usize, text: &[u8], _: u64) -> anyhow::Result<()> {
        bail!("connection {link} heard in silence: {}", String::from_utf8_lossy(text))
    }

    fn gone(&mut self, link: usize, why: Gone, _: u64) -> anyhow::Result<()> {
        bail!("idle connection {link} was {why}")
    }
}

fn wait(fleet: &mut Fleet, time: Duration) -> anyhow::Result<()> {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        fleet.turn(left.min(TURN), &mut Silence)?;
    }
    Ok(())
}

/// Closes the connections, and reads the server's memory when it had time to notice.
fn close(fleet: &mut Fleet, links: usize, server: Process) -> anyhow::Result<Memory> {
    for link in 0..links {
        fleet.cut(link);
    }
    wait(fleet, CLOSING)?;
    server.memory()
}

/// Waits until the server's memory stays where it is, and reads it.
fn rest(fleet: &mut Fleet, server: Option<Process>) -> anyhow::Result<Option<Memory>> {
    let Some(server) = server else {
        wait(fleet, REST)?;
        return Ok(None);
    };
    let deadline = Instant::now() + REST_WAIT_MAX;
    let mut memory = server.memory()?;
    while Instant::now() < deadline {
        wait(fleet, REST)?;
        let earlier = std::mem::replace(&mut memory, server.memory()?);
        let change = memory.anonymous.abs_diff(earlier.anonymous) as f64;
        if change <= REST_SHARE * earlier.anonymous as f64 {
            return Ok(Some(memory));
        }
    }
    Ok(Some(memory))
}

/// The server's CPU time over some silence, in microseconds per second and connection.
fn hold(
    fleet: &mut Fleet,
    server: Option<Process>,
    common: &Common,
    args: &IdleArgs,
) -> anyhow::Result<(f64, Option<f64>)> {
    let before = server.map(|server| server.cpu()).transpose()?;
    let started = Instant::now();
    let progress = Progress::new(common, "holding", args.hold);
    for second in 0..args.hold {
        progress.at(second);
        wait(fleet, Duration::from_secs(1))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let Some(server) = server else {
        return Ok((seconds, None));
    };
    let before = before.context("no reading before")?;
    let nanos = server.cpu()?.since(&before).nanos;
    Ok((seconds, Some(nanos as f64 / 1_000.0 / seconds / f64::from(args.connections))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shared_out_and_may_shrink() {
        let memory = |bytes| Memory { resident: bytes, private: bytes, anonymous: bytes };
        let figures = per_connection(10, memory(1_000), memory(11_000), memory(900));
        assert!((figures.anonymous_bytes_per_connection - 1_000.0).abs() < 1e-9);
        let figures = per_connection(10, memory(1_000), memory(900), memory(900));
        assert!((figures.resident_bytes_per_connection + 10.0).abs() < 1e-9);
    }
}
