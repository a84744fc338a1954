//! Durable sessions leave, messages pile up, everybody comes back for them.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::args::{Common, DialectName, OfflineArgs, Phase};
use crate::dialect::Publisher;
use crate::fleet::{Fleet, Listener};
use crate::link::{Gone, Plan, Welcome};
use crate::measure::{Patience, Window};
use crate::mqtt;
use crate::muster::{self, STALL};
use crate::output::Progress;
use crate::payload::{Filling, head, read_head};
use crate::report::{Cost, OfflineReport};
use crate::target::{Session, Target};

const TURN: Duration = Duration::from_millis(100);

/// How long a session that has everything listens for what it should not hear, in nanoseconds.
const LINGER: u64 = 100_000_000;

/// The pause before sessions try again to reach a server that was killed, in nanoseconds.
const RETRY: u64 = 200_000_000;

/// How long a server that was killed may take to come back.
const RESTART: Duration = Duration::from_secs(60);

/// Connects that may be under way at once: below any server's accept queue.
const OPENING_MAX: usize = 256;

/// Messages under way where the server says nothing of its own.
const UNDER_WAY: u64 = 1_000;

/// Runs the parts of the case that were asked for.
pub(crate) fn run(common: &Common, args: &OfflineArgs) -> anyhow::Result<OfflineReport> {
    if common.dialect != DialectName::Mqtt || common.qos == 0 {
        bail!("only MQTT keeps sessions: add --dialect mqtt --qos 1");
    }
    if args.kill && common.pid.is_none() {
        bail!("--kill needs the server's process id in --pid");
    }
    let run = args.run.clone().unwrap_or_else(|| format!("{:08x}", fastrand::u32(..)));
    let topic: Rc<str> = format!("bench/{run}/offline").into();
    let mut target = Target::new(common)?;
    target.clients = run;
    let is_wanted = |phase| args.phase == Phase::All || args.phase == phase;
    let mut report = OfflineReport {
        sessions: args.sessions,
        messages: args.messages,
        size: args.size,
        leaving_seconds: None,
        publishing: None,
        draining: None,
        duplicates: 0,
        unmarked_duplicates: 0,
    };
    if is_wanted(Phase::Leave) {
        target.session = Session::Begin;
        let started = Instant::now();
        target = Visit::new(target, &topic, args, 0)?.pay(common, "leaving")?.0;
        report.leaving_seconds = Some(started.elapsed().as_secs_f64());
    }
    if is_wanted(Phase::Publish) {
        let (cost, used) = publish(target, &topic, common, args)?;
        (report.publishing, target) = (Some(cost), used);
    }
    if is_wanted(Phase::Drain) {
        target.session = Session::Resume;
        let mut visit = Visit::new(target, &topic, args, args.messages)?;
        visit.crowd.victim = common.pid.filter(|_| args.kill);
        // The clocks of a server that is killed end with it.
        let measured = Common { pid: common.pid.filter(|_| !args.kill), ..common.clone() };
        let window = Window::begin(&measured)?;
        let (_, crowd) = visit.pay(common, "coming back")?;
        report.draining = Some(window.end(crowd.deliveries)?);
        (report.duplicates, report.unmarked_duplicates) = (crowd.duplicates, crowd.unmarked);
    }
    Ok(report)
}

/// Publishes everything through one connection, as fast as the server takes it over.
fn publish(target: Target, topic: &Rc<str>, common: &Common, args: &OfflineArgs) -> anyhow::Result<(Cost, Target)> {
    let mut fleet = Fleet::new(target, 1)?;
    let plan = Plan { topic: Rc::clone(topic), is_subscriber: false };
    let welcome = muster::open(&mut fleet, 0, std::iter::once(plan), common)?;
    let under_way_max = welcome.receive_maximum.map_or(UNDER_WAY, u64::from);
    let mut publisher = Publisher::new(&fleet.target, topic);
    let (filling, mut payload, mut bytes) = (Filling::new(args.size), Vec::new(), Vec::new());
    let (mut thanks, mut published) = (Thanks(0), 0);
    let (progress, mut patience) = (Progress::new(common, "publishing", args.messages), Patience::new(STALL));
    let window = Window::begin(common)?;
    while thanks.0 < args.messages {
        bytes.clear();
        while published < args.messages && published - thanks.0 < under_way_max {
            filling.write(&head(published, 0), &mut payload);
            publisher.put(&mut bytes, &payload);
            published += 1;
        }
        fleet.send(0, &bytes)?;
        fleet.turn(TURN, &mut thanks)?;
        progress.at(thanks.0);
        if patience.is_over(thanks.0) {
            bail!("{} of {published} published messages were never acknowledged", published - thanks.0);
        }
    }
    Ok((window.end(args.messages)?, fleet.target))
}

/// Counts what the server has taken over.
struct Thanks(u64);

impl Listener for Thanks {
    fn ready(&mut self, link: usize, _: Welcome, _: u64) -> anyhow::Result<()> {
        bail!("connection {link} opened twice")
    }

    fn text(&mut self, link: usize, _: &[u8], _: u64) -> anyhow::Result<()> {
        bail!("connection {link} heard a message though it only publishes")
    }

    fn acknowledged(&mut self, _: usize, _: u64) -> anyhow::Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn gone(&mut self, link: usize, why: Gone, _: u64) -> anyhow::Result<()> {
        bail!("connection {link} was {why}")
    }
}

/// Every session connects once, hears what waits for it, and leaves; some at once.
struct Visit {
    fleet: Fleet,
    crowd: Crowd,
    plan: Plan,
    at_once: usize,
}

/// What the sessions have heard.
struct Crowd {
    filling: Filling,
    /// Messages that wait for each session.
    messages: u64,
    /// The message that each session expects.
    next: Vec<u64>,
    /// Those that have to connect.
    waiting: VecDeque<usize>,
    /// Those that are connected or try to be, and how many of them are only trying.
    present: usize,
    opening: usize,
    is_open: Vec<bool>,
    /// Those that have everything, and since when.
    served: VecDeque<(u64, usize)>,
    deliveries: u64,
    /// Messages that came again, marked as sent before and not marked.
    duplicates: u64,
    unmarked: u64,
    /// The server to kill half-way.
    victim: Option<u32>,
    was_killed: bool,
    /// Nobody tries to connect before.
    pause_until: u64,
}

impl Visit {
    fn new(target: Target, topic: &Rc<str>, args: &OfflineArgs, messages: u64) -> anyhow::Result<Self> {
        let (sessions, at_once) = (args.sessions as usize, args.at_once as usize);
        let mut fleet = Fleet::new(target, at_once.min(sessions))?;
        fleet.widen(sessions);
        let crowd = Crowd {
            filling: Filling::new(args.size),
            messages,
            next: vec![0; sessions],
            waiting: (0..sessions).collect(),
            present: 0,
            opening: 0,
            is_open: vec![false; sessions],
            served: VecDeque::new(),
            deliveries: 0,
            duplicates: 0,
            unmarked: 0,
            victim: None,
            was_killed: false,
            pause_until: 0,
        };
        Ok(Self { fleet, crowd, plan: Plan { topic: Rc::clone(topic), is_subscriber: true }, at_once })
    }

    /// Goes on until every session was there and has everything.
    fn pay(mut self, common: &Common, what: &'static str) -> anyhow::Result<(Target, Crowd)> {
        let total = self.crowd.next.len();
        let progress = Progress::new(common, what, total as u64);
        let mut patience = Patience::new(if self.crowd.victim.is_some() { RESTART } else { STALL });
        let mut farewell = Vec::new();
        mqtt::put_disconnect(&self.fleet.target, &mut farewell).map_err(|gone| anyhow::anyhow!("{gone}"))?;
        let mut left = 0;
        while left < total {
            self.let_in()?;
            self.fleet.turn(TURN, &mut self.crowd)?;
            self.crowd.strike()?;
            left += self.see_off(&farewell)?;
            progress.at(left as u64);
            if patience.is_over(self.crowd.deliveries + (left + self.crowd.present) as u64) {
                bail!(
                    "{left} of {total} sessions have everything, and nothing happens any more: {}",
                    self.crowd.plight()
                );
            }
        }
        Ok((self.fleet.target, self.crowd))
    }

    /// Connects those that wait, as many as may be there.
    fn let_in(&mut self) -> anyhow::Result<()> {
        while self.crowd.present < self.at_once
            && self.crowd.opening < OPENING_MAX
            && self.fleet.now() >= self.crowd.pause_until
        {
            let Some(session) = self.crowd.waiting.pop_front() else {
                break;
            };
            match self.fleet.open(session, self.plan.clone()) {
                Ok(()) => {
                    self.crowd.present += 1;
                    self.crowd.opening += 1;
                }
                Err(_) if self.crowd.was_killed => {
                    self.crowd.waiting.push_front(session);
                    self.crowd.pause_until = self.fleet.now() + RETRY;
                }
                Err(error) => {
                    return Err(error).with_context(|| format!("no connection to {}", self.fleet.target.address));
                }
            }
        }
        Ok(())
    }

    /// Ends the connections of those that had everything for a while, and counts them.
    fn see_off(&mut self, farewell: &[u8]) -> anyhow::Result<usize> {
        let (now, mut count) = (self.fleet.now(), 0);
        let linger = if self.fleet.target.session == Session::Resume { LINGER } else { 0 };
        while let Some((since, session)) = self.crowd.served.front().copied() {
            if since + linger > now || !self.fleet.is_flushed(session) {
                break;
            }
            self.crowd.served.pop_front();
            match self.fleet.send(session, farewell) {
                Ok(()) => count += 1,
                Err(_) if self.crowd.was_killed => self.crowd.waiting.push_back(session),
                Err(error) => return Err(error),
            }
            self.fleet.cut(session);
            self.crowd.is_open[session] = false;
            self.crowd.present -= 1;
        }
        Ok(count)
    }
}

impl Crowd {
    /// Kills the server once half of the messages have come.
    fn strike(&mut self) -> anyhow::Result<()> {
        let half = self.messages * self.next.len() as u64 / 2;
        if let Some(pid) = self.victim.filter(|_| !self.was_killed && self.deliveries >= half) {
            let pid = Pid::from_raw(i32::try_from(pid).context("--pid is not a process id")?);
            kill(pid, Signal::SIGKILL).context("the server cannot be killed")?;
            self.was_killed = true;
        }
        Ok(())
    }

    /// Who waits for what, for saying why nothing happens.
    fn plight(&self) -> String {
        let behind = (0..self.next.len()).find(|link| self.is_open[*link] && self.next[*link] < self.messages);
        let behind = behind.map(|link| format!("; session {link} is open and waits for message {}", self.next[link]));
        let (present, opening, waiting) = (self.present, self.opening, self.waiting.len());
        format!("{present} are there, {opening} of them connecting, {waiting} wait{}", behind.unwrap_or_default())
    }

    /// Whether a message came before, which may happen with a server that was killed.
    fn is_known(&self, link: usize, payload: &[u8]) -> bool {
        let sequence = read_head(payload).map_or(u64::MAX, |(sequence, _)| sequence);
        self.was_killed && sequence < self.next[link] && self.filling.matches(&head(sequence, 0), payload)
    }

    fn take(&mut self, link: usize, payload: &[u8], at: u64) -> anyhow::Result<()> {
        let next = self.next[link];
        if next >= self.messages || !self.filling.matches(&head(next, 0), payload) {
            let got = read_head(payload).map(|(sequence, _)| sequence);
            bail!("session {link} received message {got:?} where {next} of {} comes next", self.messages);
        }
        self.next[link] += 1;
        self.deliveries += 1;
        if self.next[link] == self.messages {
            self.served.push_back((at, link));
        }
        Ok(())
    }
}

impl Listener for Crowd {
    fn ready(&mut self, link: usize, _: Welcome, at: u64) -> anyhow::Result<()> {
        self.opening -= 1;
        self.is_open[link] = true;
        if self.next[link] == self.messages {
            self.served.push_back((at, link));
        }
        Ok(())
    }

    fn text(&mut self, link: usize, text: &[u8], at: u64) -> anyhow::Result<()> {
        if self.is_known(link, text) {
            self.unmarked += 1;
            return Ok(());
        }
        self.take(link, text, at)
    }

    /// A server that was killed does not know what arrived: it may repeat what it had sent, and mark as
    /// repeated what never came.
    fn repeated(&mut self, link: usize, text: &[u8], at: u64) -> anyhow::Result<()> {
        if !self.was_killed {
            bail!("session {link} received a message marked as sent before, but it never was");
        }
        if self.is_known(link, text) {
            self.duplicates += 1;
            return Ok(());
        }
        self.take(link, text, at)
    }

    fn gone(&mut self, link: usize, why: Gone, at: u64) -> anyhow::Result<()> {
        if !self.was_killed || !matches!(why, Gone::Lost(_)) {
            bail!("session {link} was {why}");
        }
        if !std::mem::replace(&mut self.is_open[link], false) {
            self.opening -= 1;
        }
        self.present -= 1;
        self.served.retain(|(_, served)| *served != link);
        self.waiting.push_back(link);
        self.pause_until = at + RETRY;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(messages: u64) -> Crowd {
        Crowd {
            filling: Filling::new(40),
            messages,
            next: vec![0; 2],
            waiting: VecDeque::new(),
            present: 2,
            opening: 0,
            is_open: vec![true; 2],
            served: VecDeque::new(),
            deliveries: 0,
            duplicates: 0,
            unmarked: 0,
            victim: None,
            was_killed: false,
            pause_until: 0,
        }
    }

    fn message(sequence: u64) -> Vec<u8> {
        let mut payload = Vec::new();
        Filling::new(40).write(&head(sequence, 0), &mut payload);
        payload
    }

    #[test]
    fn only_the_next_message_is_taken() {
        let mut crowd = crowd(2);
        crowd.text(0, &message(0), 1).unwrap();
        assert!(crowd.text(0, &message(0), 1).is_err(), "a repetition without a mark");
        assert!(crowd.text(1, &message(1), 1).is_err(), "a gap");
        crowd.text(0, &message(1), 7).unwrap();
        assert_eq!((crowd.deliveries, crowd.served.front()), (2, Some(&(7, 0))));
        assert!(crowd.text(0, &message(2), 8).is_err(), "more than was published");
    }

    #[test]
    fn repetitions_after_a_kill_are_counted_by_their_mark() {
        let mut crowd = crowd(3);
        crowd.text(0, &message(0), 1).unwrap();
        assert!(crowd.repeated(0, &message(0), 1).is_err());
        crowd.was_killed = true;
        crowd.repeated(0, &message(0), 1).unwrap();
        crowd.repeated(0, &message(1), 1).unwrap();
        assert_eq!((crowd.duplicates, crowd.unmarked, crowd.deliveries), (1, 0, 2));
        crowd.text(0, &message(1), 1).unwrap();
        assert_eq!((crowd.duplicates, crowd.unmarked, crowd.deliveries), (1, 1, 2));
        assert!(crowd.repeated(1, &message(1), 1).is_err(), "a gap is none the better for its mark");
    }

    #[test]
    fn who_is_lost_with_the_server_waits_again() {
        let mut crowd = crowd(1);
        assert!(crowd.gone(0, Gone::Lost(String::new()), 0).is_err());
        crowd.was_killed = true;
        crowd.text(0, &message(0), 1).unwrap();
        crowd.gone(0, Gone::Lost(String::new()), 5).unwrap();
        assert_eq!((crowd.waiting.len(), crowd.served.len(), crowd.present), (1, 0, 1));
    }
}
