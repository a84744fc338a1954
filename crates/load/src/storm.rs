//! Everybody leaves at once and comes back.
//!
//! A client behaves as the protocol asks of real ones: its first attempt comes at a random moment
//! within the spread, a refusal that names a time is honoured, and after any other failure it backs off
//! with full jitter.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::bail;

use crate::args::{Common, StormArgs};
use crate::dialect::{Heard, Reader};
use crate::fleet::{Fleet, Listener};
use crate::link::{Gone, Plan, Welcome};
use crate::muster;
use crate::output::Progress;
use crate::process::Process;
use crate::report::StormReport;
use crate::target::Target;

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// Where neither the user nor the server names a spread.
const SPREAD_DEFAULT_MS: u64 = 1_000;

/// The first pause after a failure, doubled each time.
const BACKOFF_FIRST: u64 = 500 * MILLI;
const BACKOFF_MAX: u64 = 30 * SECOND;

/// How long an attempt may take.
const ATTEMPT: u64 = 10 * SECOND;

/// Attempts of one client before the run is given up.
const ATTEMPTS_MAX: u32 = 1_000;

const TURN: Duration = Duration::from_millis(20);

/// Runs the case.
pub(crate) fn run(common: &Common, args: &StormArgs) -> anyhow::Result<StormReport> {
    let clients = args.clients as usize;
    let mut fleet = Fleet::new(Target::new(common)?, clients + 1)?;
    let topic = muster::run_topic("storm");
    let plan = Plan { topic: Rc::clone(&topic), is_subscriber: true };
    let welcome = muster::open(&mut fleet, 0, (0..clients).map(|_| plan.clone()), common)?;
    let spread_ms = args.spread.or(welcome.reconnect_spread_ms).unwrap_or(SPREAD_DEFAULT_MS);
    let reader = Reader::new(fleet.target.dialect, 1);
    let mut storm = Storm::new(reader, clients, spread_ms * MILLI);
    // With --wait-restart the server is another process afterwards.
    let server = common.pid.filter(|_| !args.wait_restart).map(Process::new).transpose()?;
    let cpu = server.map(|server| server.cpu()).transpose()?;
    if args.wait_restart {
        storm.wait_for_loss(&mut fleet, common)?;
    } else {
        storm.begin(fleet.now());
        for client in 0..clients {
            fleet.cut(client);
            storm.lose(client, None, fleet.now());
        }
    }
    storm.weather(&mut fleet, &plan, common)?;
    let server_cpu_seconds = match server.zip(cpu) {
        Some((server, before)) => Some(server.cpu()?.since(&before).nanos as f64 / 1e9),
        None => None,
    };
    let publisher = Plan { topic: Rc::clone(&topic), is_subscriber: false };
    muster::open(&mut fleet, clients, std::iter::once(publisher), common)?;
    let checked = muster::check(&mut fleet, &[topic], clients..clients + 1, clients, |_| 0)?;
    Ok(storm.report(spread_ms, server_cpu_seconds, checked))
}

/// Where a client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Up,
    Waiting,
    Trying,
}

#[derive(Clone, Copy)]
struct Client {
    state: State,
    attempts: u32,
    /// Attempts since the last success or the last refusal that named a time.
    failures: u32,
    /// Tells timers of this state from older ones.
    turn: u32,
    /// Whether it came back at least once.
    is_back: bool,
}

struct Storm {
    reader: Reader,
    spread: u64,
    clients: Vec<Client>,
    /// When, which client, and its turn then.
    timers: BinaryHeap<Reverse<(u64, usize, u32)>>,
    began: Option<u64>,
    /// Since the beginning: when clients came back, when attempts were made.
    back: Vec<u64>,
    attempts: Vec<u64>,
    up: usize,
    refusals: u64,
    failures: u64,
}

impl Listener for Storm {
    fn ready(&mut self, link: usize, _: Welcome, at: u64) -> anyhow::Result<()> {
        let client = &mut self.clients[link];
        client.state = State::Up;
        client.turn += 1;
        client.failures = 0;
        self.up += 1;
        if !std::mem::replace(&mut client.is_back, true) {
            self.back.push(at - self.began.unwrap_or(at));
        }
        Ok(())
    }

    fn text(&mut self, link: usize, text: &[u8], at: u64) -> anyhow::Result<()> {
        match self.reader.read(text) {
            Heard::Bye { retry_ms, .. } => {
                // The close follows; the time that was named counts from here.
                self.begin(at);
                self.lose(link, retry_ms, at);
                Ok(())
            }
            other => bail!("client {link} heard {other:?}"),
        }
    }

    fn gone(&mut self, link: usize, why: Gone, at: u64) -> anyhow::Result<()> {
        match (self.clients[link].state, &why) {
            (_, Gone::Broken(_)) => bail!("client {link}: {why}"),
            // After `bye`, which has already been counted.
            (State::Waiting, _) => {}
            (State::Up, _) => {
                self.begin(at);
                self.lose(link, None, at);
            }
            (State::Trying, Gone::Refused { status: 503 | 429, retry_after_ms: retry_ms })
            | (State::Trying, Gone::Said { retry_ms, .. }) => self.refused(link, *retry_ms, at)?,
            (State::Trying, Gone::Refused { .. }) => bail!("client {link} was {why}"),
            (State::Trying, _) => self.failed(link, at)?,
        }
        Ok(())
    }
}

impl Storm {
    fn new(reader: Reader, clients: usize, spread: u64) -> Self {
        let client = Client { state: State::Up, attempts: 0, failures: 0, turn: 0, is_back: false };
        Self {
            reader,
            spread,
            clients: vec![client; clients],
            timers: BinaryHeap::new(),
            began: None,
            back: Vec::new(),
            attempts: Vec::new(),
            up: clients,
            refusals: 0,
            failures: 0,
        }
    }

    fn begin(&mut self, at: u64) {
        self.began.get_or_insert(at);
    }

    /// A client that was up is not any more.
    fn lose(&mut self, index: usize, retry_ms: Option<u64>, at: u64) {
        if self.clients[index].state != State::Up {
            return;
        }
        self.up -= 1;
        let wait = retry_ms.map_or_else(|| jitter(self.spread), |ms| ms.saturating_mul(MILLI));
        self.rest(index, at.saturating_add(wait));
    }

    fn refused(&mut self, index: usize, retry_ms: Option<u64>, at: u64) -> anyhow::Result<()> {
        self.refusals += 1;
        let Some(ms) = retry_ms else {
            return self.back_off(index, at);
        };
        self.clients[index].failures = 0;
        // Retry-After has whole seconds: without jitter everybody would come at their edge.
        let wait = ms.saturating_mul(MILLI).saturating_add(jitter(SECOND));
        self.rest(index, at.saturating_add(wait));
        self.give_up_late(index)
    }

    fn failed(&mut self, index: usize, at: u64) -> anyhow::Result<()> {
        self.failures += 1;
        self.back_off(index, at)
    }

    fn back_off(&mut self, index: usize, at: u64) -> anyhow::Result<()> {
        let client = &mut self.clients[index];
        let most = BACKOFF_FIRST.saturating_mul(1 << client.failures.min(16)).min(BACKOFF_MAX);
        client.failures += 1;
        self.rest(index, at.saturating_add(jitter(most)));
        self.give_up_late(index)
    }

    fn give_up_late(&self, index: usize) -> anyhow::Result<()> {
        if self.clients[index].attempts >= ATTEMPTS_MAX {
            bail!("client {index} did not come back in {ATTEMPTS_MAX} attempts");
        }
        Ok(())
    }

    fn rest(&mut self, index: usize, until: u64) {
        let client = &mut self.clients[index];
        client.state = State::Waiting;
        client.turn += 1;
        self.timers.push(Reverse((until, index, client.turn)));
    }

    fn wait_for_loss(&mut self, fleet: &mut Fleet, common: &Common) -> anyhow::Result<()> {
        let end = fleet.now().saturating_add(common.seconds * SECOND);
        let _progress = Progress::new(common, "waiting for the server to go away", 0);
        while self.began.is_none() {
            if fleet.now() > end {
                bail!("the server did not go away within {} s", common.seconds);
            }
            fleet.turn(TURN, self)?;
        }
        Ok(())
    }

    /// Goes on until everybody is back.
    fn weather(&mut self, fleet: &mut Fleet, plan: &Plan, common: &Common) -> anyhow::Result<()> {
        let end = fleet.now().saturating_add(common.seconds * SECOND);
        let total = self.clients.len();
        let progress = Progress::new(common, "coming back", total as u64);
        // A restart takes clients one after the other: those still up at first are to come.
        while self.up < total || self.back.len() < total {
            self.attempt_due(fleet, plan)?;
            fleet.turn(TURN, self)?;
            progress.at(self.up as u64);
            if fleet.now() > end {
                bail!("{} of {total} clients were back after {} s", self.up, common.seconds);
            }
        }
        Ok(())
    }

    /// Begins attempts whose time has come, and ends those that took too long.
    fn attempt_due(&mut self, fleet: &mut Fleet, plan: &Plan) -> anyhow::Result<()> {
        let now = fleet.now();
        while let Some(Reverse((due, index, turn))) = self.timers.peek().copied() {
            if due > now {
                break;
            }
            self.timers.pop();
            let client = &mut self.clients[index];
            if client.turn != turn {
                continue;
            }
            fleet.cut(index);
            if client.state == State::Trying {
                self.failed(index, now)?;
                continue;
            }
            client.state = State::Trying;
            client.attempts += 1;
            client.turn += 1;
            let timeout = Reverse((now + ATTEMPT, index, client.turn));
            self.timers.push(timeout);
            self.attempts.push(now - self.began.unwrap_or(now));
            if fleet.open(index, plan.clone()).is_err() {
                self.failed(index, now)?;
            }
        }
        Ok(())
    }

    fn report(&mut self, spread_ms: u64, server_cpu_seconds: Option<f64>, checked: u64) -> StormReport {
        self.back.sort_unstable();
        let back_ms = |share: f64| quantile(&self.back, share) / MILLI;
        StormReport {
            clients: u32::try_from(self.clients.len()).unwrap_or(u32::MAX),
            spread_ms,
            half_back_ms: back_ms(0.5),
            most_back_ms: back_ms(0.99),
            all_back_ms: back_ms(1.0),
            attempts: self.attempts.len() as u64,
            attempts_of_one_max: self.clients.iter().map(|client| client.attempts).max().unwrap_or(0),
            attempts_per_second_max: peak(&self.attempts, SECOND),
            refusals: self.refusals,
            failures: self.failures,
            server_cpu_seconds,
            checked_deliveries: checked,
        }
    }
}

/// A random time up to `most`.
fn jitter(most: u64) -> u64 {
    fastrand::u64(0..=most)
}

/// The value below which `share` of the sorted values lie.
fn quantile(sorted: &[u64], share: f64) -> u64 {
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(0)
}

/// The most times within any span of that length; times ascend.
fn peak(times: &[u64], span: u64) -> u64 {
    let mut first = 0;
    let mut most = 0;
    for (last, time) in times.iter().enumerate() {
        while times[first] + span <= *time {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::DialectName;

    fn storm(clients: usize) -> Storm {
        let mut storm = Storm::new(Reader::new(DialectName::Native, 1), clients, 5 * SECOND);
        storm.begin(0);
        storm
    }

    fn due(storm: &Storm) -> u64 {
        storm.timers.peek().map_or(0, |Reverse((due, ..))| *due)
    }

    #[test]
    fn quantiles_and_peaks() {
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!([quantile(&values, 0.5), quantile(&values, 0.99), quantile(&values, 1.0)], [50, 99, 100]);
        assert_eq!(quantile(&[], 0.5), 0);
        assert_eq!(peak(&[0, 1, 2, 10, 11, 12, 13, 30], 10), 4);
        assert_eq!(peak(&[], 10), 0);
    }

    #[test]
    fn a_named_time_is_honoured() {
        let mut storm = storm(1);
        storm.clients[0].state = State::Trying;
        let refused = Gone::Refused { status: 503, retry_after_ms: Some(7_000) };
        storm.gone(0, refused, 100).unwrap();
        assert!((7 * SECOND..=8 * SECOND + 100).contains(&(due(&storm) - 100)));
        assert_eq!((storm.refusals, storm.failures), (1, 0));
    }

    #[test]
    fn bye_counts_once_and_names_the_time() {
        let mut storm = storm(2);
        let bye = br#"{"type":"bye","code":"shutting_down","message":"","retry":true,"retry_ms":900}"#;
        storm.text(1, bye, 5).unwrap();
        storm.gone(1, Gone::Closed(1012), 6).unwrap();
        assert_eq!((storm.up, due(&storm)), (1, 900 * MILLI + 5));
        assert_eq!(storm.timers.len(), 1);
    }

    #[test]
    fn failures_back_off_up_to_a_bound() {
        let mut storm = storm(1);
        for round in 0..40_u32 {
            storm.clients[0].state = State::Trying;
            storm.timers.clear();
            storm.gone(0, Gone::Lost("reset".to_owned()), 0).unwrap();
            let most = BACKOFF_FIRST.saturating_mul(1 << round.min(16)).min(BACKOFF_MAX);
            assert!(due(&storm) <= most, "round {round}");
        }
        assert_eq!(storm.failures, 40);
    }

    #[test]
    fn a_refusal_for_good_ends_the_run() {
        let mut storm = storm(1);
        storm.clients[0].state = State::Trying;
        assert!(storm.gone(0, Gone::Refused { status: 401, retry_after_ms: None }, 0).is_err());
    }
}
