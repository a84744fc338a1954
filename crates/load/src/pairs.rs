//! Many topics, each with one publisher and one subscriber that play ping-pong.

use std::time::Duration;

use anyhow::bail;

use crate::args::{Common, PairsArgs};
use crate::dialect::{Heard, Publisher, Reader};
use crate::fleet::{Fleet, Listener};
use crate::link::{Gone, Plan, Welcome};
use crate::measure::{Latencies, Patience, Window};
use crate::muster::{self, STALL};
use crate::output::Progress;
use crate::payload::{Filling, Head, head, read_head};
use crate::report::PairsReport;
use crate::target::Target;

const TURN: Duration = Duration::from_millis(100);

/// Runs the case. Connection `2 i` subscribes to topic `i`, connection `2 i + 1` publishes to it.
pub(crate) fn run(common: &Common, args: &PairsArgs) -> anyhow::Result<PairsReport> {
    let pairs = args.pairs as usize;
    let mut fleet = Fleet::new(Target::new(common)?, 2 * pairs)?;
    let base = muster::run_topic("pair");
    let topics: Vec<_> = (0..pairs).map(|pair| format!("{base}/{pair}").into()).collect();
    let plan =
        |link: usize| Plan { topic: std::rc::Rc::clone(&topics[link / 2]), is_subscriber: link.is_multiple_of(2) };
    muster::open(&mut fleet, 0, (0..2 * pairs).map(plan), common)?;
    let publishers = topics.iter().map(|topic| Publisher::new(&fleet.target, topic)).collect();
    let mut load = Load { watch: Watch::new(&fleet, args)?, fleet, publishers, bytes: Vec::new(), payload: Vec::new() };
    load.drive(u64::MAX, Duration::from_millis(args.warmup), None)?;
    load.watch.latencies.reset();
    let before = load.watch.deliveries;
    let progress = Progress::over(common, "measuring", common.cap());
    let window = Window::begin(common)?;
    load.drive(args.messages, common.cap(), Some(&progress))?;
    let cost = window.end(load.watch.deliveries - before)?;
    muster::linger(&mut load.fleet, &mut load.watch)?;
    Ok(PairsReport { pairs: args.pairs, size: args.size, cost, latency: load.watch.latencies.summary() })
}

/// The message of a pair that is under way.
#[derive(Clone, Copy)]
struct Ball {
    head: Head,
    stamp: u64,
    sequence: u64,
    is_flying: bool,
    /// The server has not taken it over yet, where it says so.
    is_unacknowledged: bool,
}

impl Ball {
    fn is_back(&self) -> bool {
        !self.is_flying && !self.is_unacknowledged
    }
}

/// Checks and counts what subscribers receive.
struct Watch {
    reader: Reader,
    filling: Filling,
    balls: Vec<Ball>,
    /// Pairs whose message has arrived and is acknowledged.
    returned: Vec<usize>,
    deliveries: u64,
    latencies: Latencies,
}

impl Watch {
    fn new(fleet: &Fleet, args: &PairsArgs) -> anyhow::Result<Self> {
        let pairs = args.pairs as usize;
        let filling = Filling::new(args.size);
        let ball = Ball { head: head(0, 0), stamp: 0, sequence: 0, is_flying: false, is_unacknowledged: false };
        Ok(Self {
            reader: Reader::new(fleet.target.dialect, filling.size()),
            filling,
            balls: vec![ball; pairs],
            returned: (0..pairs).collect(),
            deliveries: 0,
            latencies: Latencies::new()?,
        })
    }
}

impl Listener for Watch {
    fn ready(&mut self, link: usize, _: Welcome, _: u64) -> anyhow::Result<()> {
        bail!("connection {link} opened twice")
    }

    fn text(&mut self, link: usize, text: &[u8], at: u64) -> anyhow::Result<()> {
        let payload = match self.reader.read(text) {
            Heard::Message(payload) => payload,
            other => bail!("connection {link} heard {other:?}"),
        };
        let pair = link / 2;
        let ball = &mut self.balls[pair];
        if link % 2 == 1 || !ball.is_flying || !self.filling.matches(&ball.head, payload) {
            let got = read_head(payload).map(|(sequence, _)| sequence);
            bail!("pair {pair} received message {got:?} where {} comes next, once", ball.sequence);
        }
        ball.is_flying = false;
        ball.sequence += 1;
        self.latencies.record(at.saturating_sub(ball.stamp));
        self.deliveries += 1;
        if ball.is_back() {
            self.returned.push(pair);
        }
        Ok(())
    }

    fn acknowledged(&mut self, link: usize, _: u64) -> anyhow::Result<()> {
        let pair = link / 2;
        let ball = &mut self.balls[pair];
        if !std::mem::replace(&mut ball.is_unacknowledged, false) {
            bail!("pair {pair} was thanked for a message that it did not publish");
        }
        if ball.is_back() {
            self.returned.push(pair);
        }
        Ok(())
    }

    fn gone(&mut self, link: usize, why: Gone, _: u64) -> anyhow::Result<()> {
        bail!("connection {link} was {why}")
    }
}

struct Load {
    fleet: Fleet,
    watch: Watch,
    publishers: Vec<Publisher>,
    bytes: Vec<u8>,
    payload: Vec<u8>,
}

impl Load {
    /// Plays at most `messages` messages for at most `time`, and waits until all have arrived.
    fn drive(&mut self, messages: u64, time: Duration, progress: Option<&Progress>) -> anyhow::Result<()> {
        let end = self.fleet.now().saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        let mut left = messages;
        let mut patience = Patience::new(STALL);
        loop {
            let now = self.fleet.now();
            if now < end {
                left = self.serve(left)?;
            }
            if self.watch.balls.iter().all(Ball::is_back) && (now >= end || left == 0) {
                return Ok(());
            }
            if let Some(progress) = progress {
                let total = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                progress.at(total.saturating_sub(end.saturating_sub(now) / 1_000_000));
            }
            self.fleet.turn(TURN, &mut self.watch)?;
            if patience.is_over(self.watch.deliveries) {
                let pair = self.watch.balls.iter().position(|ball| !ball.is_back());
                bail!("deliveries stopped coming; pair {pair:?} waits");
            }
        }
    }

    /// Publishes the next message of every pair whose last one has arrived, at most `left`.
    fn serve(&mut self, left: u64) -> anyhow::Result<u64> {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.watch.returned.len());
        for pair in self.watch.returned.split_off(self.watch.returned.len() - count) {
            let stamp = self.fleet.now();
            let ball = &mut self.watch.balls[pair];
            ball.stamp = stamp;
            ball.head = head(ball.sequence, stamp);
            ball.is_flying = true;
            ball.is_unacknowledged = self.fleet.target.is_acknowledged();
            self.watch.filling.write(&ball.head, &mut self.payload);
            self.bytes.clear();
            self.publishers[pair].put(&mut self.bytes, &self.payload);
            self.fleet.send(2 * pair + 1, &self.bytes)?;
        }
        Ok(left - count as u64)
    }
}
