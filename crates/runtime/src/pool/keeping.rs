//! What happens when nothing happens: timeouts, idleness, and what the host asks for.

use std::time::Instant;

use fanfare_functions::FunctionError;
use nix::sys::signal::Signal;

use super::member::{Member, Running, State};
use super::{Census, Pool, ProcessId, ProcessState, Row, Tally};
use crate::{failure, logs};

impl Pool {
    /// When [`expire`](Self::expire) has something to do; `None` never. The keeper sleeps until then.
    pub(crate) fn sleeps_until(&mut self) -> Option<Instant> {
        let members = self.members.keys().filter_map(|&id| self.deadline(id));
        let hold = self.hold.as_ref().filter(|_| self.is_started && self.rules.provisioned > 0).map(|hold| hold.until);
        let waiting = if self.queue.is_empty() { None } else { self.hold.as_ref().map(|hold| hold.until) };
        let returning = if self.queue.is_empty() { None } else { self.return_at() };
        self.wakes_at = members.chain(hold).chain(waiting).chain(returning).min();
        self.wakes_at
    }

    fn return_at(&self) -> Option<Instant> {
        let at = |member: &Member| match member.state {
            State::Returning { since } => Some(since + super::RETURN_SOON),
            _ => None,
        };
        let now = Instant::now();
        self.members.values().filter_map(at).filter(|&at| at > now).min()
    }

    /// When something happens to a process though it does nothing.
    pub(super) fn deadline(&self, id: ProcessId) -> Option<Instant> {
        let rules = &self.rules;
        match &self.members.get(&id)?.state {
            State::Starting { since } => since.map(|since| since + rules.init_max),
            State::Busy(run) => Some(run.since + rules.timeout),
            State::Returning { since } => Some(*since + rules.timeout),
            State::Ending { kill_at } => *kill_at,
            State::Idle { since, is_frozen, .. } => {
                let freeze = rules.freeze_after.filter(|_| !is_frozen).map(|after| *since + after);
                let end = self.has_surplus().then(|| *since + rules.idle_timeout);
                freeze.into_iter().chain(end).min()
            }
        }
    }

    /// Whether there are more processes than are provisioned.
    fn has_surplus(&self) -> bool {
        let provisioned = if self.is_started { self.rules.provisioned } else { 0 };
        self.members.values().filter(|member| member.is_live()).nth(provisioned).is_some()
    }

    /// Does what is due.
    pub(crate) fn expire(&mut self, now: Instant) {
        let is_due = |&id: &ProcessId| self.deadline(id).is_some_and(|at| at <= now);
        let mut due: Vec<_> = self.members.keys().copied().filter(is_due).collect();
        // Older processes go first.
        due.sort_unstable();
        for id in due {
            self.overdue(id, now);
        }
        self.balance(now);
    }

    fn overdue(&mut self, id: ProcessId, now: Instant) {
        let init_max = self.rules.init_max;
        match self.members.get(&id).map(|member| &member.state) {
            Some(State::Starting { .. }) => {
                let error = FunctionError::Handler(failure::init_timed_out(init_max));
                self.start_failed(id, &error, now);
                self.kill(id);
            }
            Some(State::Busy(_)) => {
                self.tally.timeouts += 1;
                let after = self.rules.timeout;
                self.fail(id, now, |run| {
                    let line = failure::timed_out(&run.request_id, after);
                    run.tail.iter().for_each(|tail| logs::append(tail, format!("{line}\n").as_bytes()));
                    FunctionError::Timeout(after)
                });
            }
            Some(State::Returning { .. } | State::Ending { .. }) => self.kill(id),
            Some(State::Idle { .. }) => self.rest(id, now),
            None => {}
        }
    }

    /// An idle process is frozen, and later ended.
    fn rest(&mut self, id: ProcessId, now: Instant) {
        let (has_surplus, idle_timeout) = (self.has_surplus(), self.rules.idle_timeout);
        let Some(Member { state: State::Idle { since, is_frozen, .. }, pid, .. }) = self.members.get_mut(&id) else {
            return;
        };
        if has_surplus && now >= *since + idle_timeout {
            self.end(id, now);
        } else if !std::mem::replace(is_frozen, true) {
            self.effects.signals.extend(pid.map(|pid| (pid, Signal::SIGSTOP)));
        }
    }

    /// Ends a process with its call.
    fn fail(&mut self, id: ProcessId, now: Instant, error: impl FnOnce(&Running) -> FunctionError) {
        let memory_mb = self.rules.memory_mb;
        let Some(member) = self.members.get_mut(&id) else { return };
        let pid = member.pid;
        if let State::Busy(run) = std::mem::replace(&mut member.state, State::Ending { kill_at: None }) {
            let error = error(&run);
            run.finish(Err(error), now, pid, memory_mb);
        }
        self.kill(id);
    }

    /// A process uses more memory than it may.
    pub(crate) fn over_memory(&mut self, id: ProcessId, now: Instant) {
        let limit = self.rules.memory_mb;
        self.tally.exits += 1;
        if matches!(self.members.get(&id), Some(Member { state: State::Starting { .. }, .. })) {
            let error = FunctionError::Handler(failure::out_of_memory("none", limit));
            self.start_failed(id, &error, now);
        }
        self.fail(id, now, |run| FunctionError::Handler(failure::out_of_memory(&run.request_id, limit)));
    }

    /// Processes that may be using memory: those at a call, and those that start.
    pub(crate) fn working(&self) -> Vec<(ProcessId, i32)> {
        let is_working = |member: &Member| matches!(member.state, State::Busy(_) | State::Starting { .. });
        let working = self.members.iter().filter(|(_, member)| is_working(member));
        working.filter_map(|(&id, member)| Some((id, member.pid?))).collect()
    }

    /// Since when the process is without work that could best be missed, and its name.
    pub(crate) fn spare(&self) -> Option<(Instant, ProcessId)> {
        if !self.has_surplus() || !self.queue.is_empty() {
            return None;
        }
        let since = |(&id, member): (&ProcessId, &Member)| match member.state {
            State::Idle { since, .. } | State::Returning { since } => Some((since, id)),
            _ => None,
        };
        self.members.iter().filter_map(since).min()
    }

    /// Ends a process that can be missed.
    pub(crate) fn evict(&mut self, id: ProcessId, now: Instant) {
        let is_spare = |member: &Member| matches!(member.state, State::Idle { .. } | State::Returning { .. });
        if self.members.get(&id).is_some_and(is_spare) {
            self.end(id, now);
        }
    }

    /// Provisioned processes are begun.
    pub(crate) fn start(&mut self, now: Instant) {
        self.is_started = true;
        self.balance(now);
    }

    /// The code changed: processes finish what they are at, and take no more.
    pub(crate) fn renew(&mut self, now: Instant) {
        self.hold = None;
        let ids: Vec<_> = self.members.keys().copied().collect();
        for id in ids {
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.is_stale = true;
            if !matches!(member.state, State::Busy(_) | State::Ending { .. }) {
                self.end(id, now);
            }
        }
        self.balance(now);
    }

    /// No more calls. Those that run may end; the others are told so.
    pub(crate) fn stop(&mut self, now: Instant) {
        self.is_stopping = true;
        for work in self.queue.drain(..) {
            work.answer.send(Err(FunctionError::Refused("the server stops".to_owned()))).ok();
        }
        self.end_all(now, |state| !matches!(state, State::Busy(_)));
    }

    /// Calls that run have had their time.
    pub(crate) fn stop_busy(&mut self, now: Instant) {
        self.end_all_busy(now);
    }

    fn end_all_busy(&mut self, now: Instant) {
        let busy: Vec<_> =
            self.members.iter().filter(|(_, m)| matches!(m.state, State::Busy(_))).map(|(&id, _)| id).collect();
        for id in busy {
            self.interrupt(id, now);
        }
    }

    /// Ends a process with its call, politely.
    fn interrupt(&mut self, id: ProcessId, now: Instant) {
        let memory_mb = self.rules.memory_mb;
        let Some(member) = self.members.get_mut(&id) else { return };
        let pid = member.pid;
        if let State::Busy(run) = std::mem::replace(&mut member.state, State::Returning { since: now }) {
            run.finish(Err(FunctionError::Refused("the server stops".to_owned())), now, pid, memory_mb);
        }
        self.end(id, now);
    }

    fn end_all(&mut self, now: Instant, which: impl Fn(&State) -> bool) {
        let ids: Vec<_> = self.members.iter().filter(|(_, member)| which(&member.state)).map(|(&id, _)| id).collect();
        for id in ids {
            let is_ending = matches!(self.members.get(&id), Some(Member { state: State::Ending { .. }, .. }));
            if !is_ending {
                self.end(id, now);
            }
        }
    }

    /// Kills what is left.
    pub(crate) fn kill_all(&mut self) {
        let ids: Vec<_> = self.members.keys().copied().collect();
        for id in ids {
            self.kill(id);
        }
    }

    /// Processes, whatever they are at.
    pub(crate) fn processes(&self) -> usize {
        self.members.values().filter(|member| member.pid.is_some()).count()
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    pub(crate) fn census(&self) -> Census {
        let mut census = Census { queued: self.queue.len(), ..Census::default() };
        for member in self.members.values() {
            match member.state {
                State::Starting { .. } => census.starting += 1,
                State::Idle { is_frozen, .. } => {
                    census.idle += 1;
                    census.frozen += usize::from(is_frozen);
                }
                State::Busy(_) | State::Returning { .. } => census.busy += 1,
                State::Ending { .. } => census.ending += 1,
            }
        }
        census
    }

    /// What each process is at, and since when where that is known.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let row = |(&id, member): (&ProcessId, &Member)| {
            let (state, since) = match &member.state {
                State::Starting { since } => (ProcessState::Starting, *since),
                State::Idle { since, is_frozen: true, .. } => (ProcessState::Frozen, Some(*since)),
                State::Idle { since, .. } => (ProcessState::Idle, Some(*since)),
                State::Busy(run) => (ProcessState::Busy, Some(run.since)),
                State::Returning { since } => (ProcessState::Busy, Some(*since)),
                State::Ending { .. } => (ProcessState::Ending, None),
            };
            Row { id, pid: member.pid, state, since, is_stale: member.is_stale }
        };
        self.members.iter().map(row).collect()
    }
}
