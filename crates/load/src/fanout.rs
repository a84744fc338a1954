//! One publisher, many subscribers of one topic.

use std::time::Duration;

use anyhow::bail;

use crate::args::{Common, FanoutArgs};
use crate::dialect::{Heard, Publisher, Reader};
use crate::fleet::{Fleet, Listener};
use crate::link::{Gone, Plan, Welcome};
use crate::measure::{Latencies, Patience, Window};
use crate::muster::{self, STALL};
use crate::output::Progress;
use crate::payload::{Filling, Ledger, read_head};
use crate::report::FanoutReport;
use crate::target::Target;

/// Messages that may be under way at a fixed rate.
const UNDER_WAY_MAX: usize = 65_536;

const TURN: Duration = Duration::from_millis(100);

/// A poll sleeps in whole milliseconds; what is due sooner is waited for awake.
const SLEEP_MIN: Duration = Duration::from_millis(2);

/// Runs the case.
pub(crate) fn run(common: &Common, args: &FanoutArgs) -> anyhow::Result<FanoutReport> {
    let subscribers = args.subscribers as usize;
    let target = Target::new(common)?;
    let links = target.links(subscribers)?;
    let mut fleet = Fleet::new(target, links + 1)?;
    let topic = muster::run_topic("fanout");
    let plans = (0..=links).map(|link| Plan { topic: topic.clone(), is_subscriber: link < links });
    let plans: Vec<Plan> = plans.collect();
    let welcome = muster::open(&mut fleet, 0, plans.into_iter(), common)?;
    let under_way_max = welcome.receive_maximum.map_or(u64::MAX, u64::from);
    if u64::from(args.burst) > under_way_max {
        bail!("--burst: the server takes {under_way_max} messages before it acknowledges one");
    }
    fleet.target.check_burst(args.burst, args.size)?;
    let mut load = Load {
        publisher: Publisher::new(&fleet.target, &topic),
        watch: Watch::new(&fleet, args)?,
        fleet,
        args,
        under_way_max,
        bytes: Vec::new(),
        payload: Vec::new(),
    };
    load.drive(u64::MAX, Duration::from_millis(args.warmup), None)?;
    load.watch.latencies.reset();
    let (messages, deliveries) = (load.watch.ledger.published(), load.watch.deliveries);
    let progress = Progress::over(common, "measuring", common.cap());
    let window = Window::begin(common)?;
    load.drive(args.messages, common.cap(), Some(&progress))?;
    let cost = window.end(load.watch.deliveries - deliveries)?;
    muster::linger(&mut load.fleet, &mut load.watch)?;
    Ok(FanoutReport {
        subscribers: args.subscribers,
        size: args.size,
        burst: args.burst,
        messages: load.watch.ledger.published() - messages,
        cost,
        latency: load.watch.latencies.summary(),
    })
}

/// Checks and counts what subscribers receive.
struct Watch {
    reader: Reader,
    filling: Filling,
    ledger: Ledger,
    /// The publisher's connection, behind those of the subscribers.
    publisher: usize,
    /// The sequence that each subscriber expects.
    next: Vec<u64>,
    deliveries: u64,
    /// Messages that the server has acknowledged; `None` where it does not.
    acknowledged: Option<u64>,
    latencies: Latencies,
}

impl Watch {
    fn new(fleet: &Fleet, args: &FanoutArgs) -> anyhow::Result<Self> {
        let filling = Filling::new(args.size);
        Ok(Self {
            reader: Reader::new(fleet.target.dialect, filling.size()),
            filling,
            ledger: Ledger::new(UNDER_WAY_MAX, fleet.target.is_ordered()),
            publisher: args.subscribers as usize / fleet.target.streams,
            next: vec![0; args.subscribers as usize],
            deliveries: 0,
            acknowledged: fleet.target.is_acknowledged().then_some(0),
            latencies: Latencies::new()?,
        })
    }

    /// Deliveries that are still to come.
    fn missing(&self) -> u64 {
        self.ledger.published() * self.next.len() as u64 - self.deliveries
    }

    /// Messages that the server has not acknowledged yet.
    fn unacknowledged(&self) -> u64 {
        self.acknowledged.map_or(0, |acknowledged| self.ledger.published() - acknowledged)
    }

    /// The subscriber that is furthest behind, and what it waits for.
    fn last(&self) -> (usize, u64) {
        let slowest = self.next.iter().copied().enumerate().min_by_key(|(_, next)| *next);
        slowest.unwrap_or_default()
    }

    fn complain(&self, link: usize, next: u64, payload: &[u8]) -> anyhow::Error {
        let published = self.ledger.published();
        let expected =
            self.ledger.get(next).and_then(|(head, _)| read_head(head)).map_or(next, |(expected, _)| expected);
        match read_head(payload) {
            _ if next + self.ledger.capacity() < published => anyhow::anyhow!(
                "subscriber {link} is {} messages behind: the rate is more than it gets",
                published - next
            ),
            Some((got, _)) if got != expected => anyhow::anyhow!(
                "subscriber {link} received message {got} where {expected} comes next ({published} published)"
            ),
            _ => anyhow::anyhow!("subscriber {link} received message {next} with other bytes than were sent"),
        }
    }
}

impl Listener for Watch {
    fn ready(&mut self, link: usize, _: Welcome, _: u64) -> anyhow::Result<()> {
        bail!("connection {link} opened twice")
    }

    #[inline]
    fn text(&mut self, link: usize, text: &[u8], at: u64) -> anyhow::Result<()> {
        let payload = match self.reader.read(text) {
            Heard::Message(payload) => payload,
            other => bail!("connection {link} heard {other:?}"),
        };
        let Some(next) = self.next.get_mut(link) else {
            bail!("the publisher received a message though it subscribed to nothing");
        };
        if *next == self.ledger.ordered() {
            self.ledger.order(read_head(payload));
        }
        match self.ledger.get(*next) {
            Some((head, stamp)) if self.filling.matches(head, payload) => {
                *next += 1;
                self.deliveries += 1;
                self.latencies.record(at.saturating_sub(*stamp));
                Ok(())
            }
            _ => {
                let next = *next;
                Err(self.complain(link, next, payload))
            }
        }
    }

    fn acknowledged(&mut self, link: usize, _: u64) -> anyhow::Result<()> {
        match &mut self.acknowledged {
            Some(count) if *count < self.ledger.published() && link == self.publisher => *count += 1,
            _ => bail!("connection {link} was thanked for a message that it did not publish"),
        }
        Ok(())
    }

    fn gone(&mut self, link: usize, why: Gone, _: u64) -> anyhow::Result<()> {
        bail!("connection {link} was {why}")
    }
}

struct Load<'a> {
    fleet: Fleet,
    watch: Watch,
    publisher: Publisher,
    args: &'a FanoutArgs,
    /// Messages that the server takes before it has acknowledged one.
    under_way_max: u64,
    bytes: Vec<u8>,
    payload: Vec<u8>,
}

impl Load<'_> {
    /// Publishes at most `messages` for at most `time`, and waits until all have arrived.
    fn drive(&mut self, messages: u64, time: Duration, progress: Option<&Progress>) -> anyhow::Result<()> {
        let start = self.fleet.now();
        let base = self.watch.ledger.published();
        let span = nanos(time);
        loop {
            let passed = self.fleet.now() - start;
            let done = self.watch.ledger.published() - base;
            let left = messages.saturating_sub(done);
            if passed >= span || left == 0 {
                return self.settle();
            }
            if let Some(progress) = progress {
                progress.at(passed / 1_000_000);
            }
            let burst = left.min(u64::from(self.args.burst));
            match self.args.rate {
                None => {
                    self.publish(burst, self.fleet.now())?;
                    self.settle()?;
                }
                Some(rate) => self.keep_up(burst, start + done * 1_000_000_000 / u64::from(rate))?,
            }
        }
    }

    /// Publishes the next burst of a fixed rate when it is due. Its stamp is when it was due, so that
    /// waiting behind a slow server counts as latency.
    fn keep_up(&mut self, burst: u64, due: u64) -> anyhow::Result<()> {
        let now = self.fleet.now();
        let has_room = self.watch.unacknowledged() + burst <= self.under_way_max;
        if now >= due && has_room && self.fleet.is_flushed(self.watch.publisher) {
            self.publish(burst, due)?;
        }
        let wait = Duration::from_nanos(due.saturating_sub(now));
        let sleep = if wait < SLEEP_MIN { Duration::ZERO } else { wait - SLEEP_MIN / 2 };
        self.fleet.turn(sleep.min(TURN), &mut self.watch)
    }

    /// Writes a burst in one piece.
    fn publish(&mut self, burst: u64, stamp: u64) -> anyhow::Result<()> {
        self.bytes.clear();
        for _ in 0..burst {
            let head = self.watch.ledger.publish(stamp);
            self.watch.filling.write(&head, &mut self.payload);
            self.publisher.put(&mut self.bytes, &self.payload);
        }
        self.fleet.send(self.watch.publisher, &self.bytes)
    }

    /// Waits until everybody has everything, and the publisher's thanks.
    fn settle(&mut self) -> anyhow::Result<()> {
        let mut patience = None;
        loop {
            let (missing, unacknowledged) = (self.watch.missing(), self.watch.unacknowledged());
            if missing + unacknowledged == 0 {
                return Ok(());
            }
            self.fleet.turn(TURN, &mut self.watch)?;
            let patience = patience.get_or_insert_with(|| Patience::new(STALL));
            if patience.is_over(self.watch.missing() + self.watch.unacknowledged()) {
                let (link, next) = self.watch.last();
                bail!(
                    "{missing} deliveries never came: subscriber {link} waits for message {next} of {}; \
                     {unacknowledged} messages were not acknowledged",
                    self.watch.ledger.published()
                );
            }
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
