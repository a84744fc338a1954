//! Which process takes which call: a state machine without input or output. What is to be done in the world, it says
//! as [`Effects`].
//!
//! ```text
//! Starting -> Idle <-> Busy -> Returning -> Idle        any of them -> Ending -> gone
//! ```
//!
//! | module    | story                                                     |
//! |-----------|-----------------------------------------------------------|
//! | `calls`   | calls: taken, handed out, refused, given up               |
//! | `member`  | one process, and a call on its way through it             |
//! | `hold`    | functions that cannot start are not started again at once |
//! | `keeping` | what happens when nothing happens: timeouts, idleness     |

mod calls;
mod hold;
mod keeping;
mod member;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_functions::FunctionError;
use nix::sys::signal::Signal;
use tokio::sync::oneshot;

use crate::failure;
use crate::slots::Slots;
use hold::Hold;
pub(crate) use member::{Delivery, Work};
use member::{Member, State};

/// Names a process within its function.
pub(crate) type ProcessId = u64;

/// So long after SIGTERM a process is killed.
const GRACE: Duration = Duration::from_secs(2);
/// So long a process that has answered counts as one that is about to take the next call.
const RETURN_SOON: Duration = Duration::from_millis(50);

/// What a pool goes by.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) timeout: Duration,
    pub(crate) init_max: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) freeze_after: Option<Duration>,
    pub(crate) provisioned: usize,
    pub(crate) queue_max: usize,
    /// So many processes begin at once.
    pub(crate) starts_max: usize,
    pub(crate) memory_mb: u32,
}

/// What is to be done once the pool's lock is free.
#[derive(Default)]
pub(crate) struct Effects {
    /// To process groups, in this order.
    pub(crate) signals: Vec<(i32, Signal)>,
    /// Processes to begin; the flag tells those that are provisioned.
    pub(crate) starts: Vec<(ProcessId, bool)>,
    /// So many processes more would be needed and have no slot.
    pub(crate) lacking: usize,
    /// The keeper sleeps too long.
    pub(crate) is_due_earlier: bool,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) timeouts: u64,
    pub(crate) exits: u64,
    pub(crate) refusals: u64,
    pub(crate) cold_starts: u64,
    pub(crate) start_failures: u64,
}

/// How many processes are at what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) starting: usize,
    pub(crate) idle: usize,
    pub(crate) frozen: usize,
    pub(crate) busy: usize,
    pub(crate) ending: usize,
    pub(crate) queued: usize,
}

/// What a process is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// It does not ask for work yet.
    Starting,
    /// It waits for a call.
    Idle,
    /// It waits for a call, and is stopped meanwhile.
    Frozen,
    /// It works on a call.
    Busy,
    /// It was told to end.
    Ending,
}

/// One process.
pub(crate) struct Row {
    pub(crate) id: ProcessId,
    pub(crate) pid: Option<i32>,
    pub(crate) state: ProcessState,
    pub(crate) since: Option<Instant>,
    pub(crate) is_stale: bool,
}

/// A request that does not fit what the process is at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutOfState;

pub(crate) struct Pool {
    rules: Rules,
    slots: Slots,
    members: HashMap<ProcessId, Member>,
    /// The last one became idle last, and is taken first, so that the others may go.
    idle: Vec<ProcessId>,
    queue: VecDeque<Work>,
    hold: Option<Hold>,
    /// Provisioned processes are wanted.
    is_started: bool,
    is_stopping: bool,
    last_id: ProcessId,
    last_ticket: u64,
    /// When the keeper wakes.
    wakes_at: Option<Instant>,
    effects: Effects,
    tally: Tally,
}

impl Pool {
    pub(crate) fn new(rules: Rules, slots: Slots) -> Self {
        Self {
            rules,
            slots,
            members: HashMap::new(),
            idle: Vec::new(),
            queue: VecDeque::new(),
            hold: None,
            is_started: false,
            is_stopping: false,
            last_id: 0,
            last_ticket: 0,
            wakes_at: None,
            effects: Effects::default(),
            tally: Tally::default(),
        }
    }

    pub(crate) fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// The process asks for work. What it is given comes through the receiver, which never ends
    /// for a process that gets no more.
    pub(crate) fn next(&mut self, id: ProcessId, now: Instant) -> Result<oneshot::Receiver<Delivery>, OutOfState> {
        let (next, delivery) = oneshot::channel();
        let is_stopping = self.is_stopping;
        let member = self.members.get_mut(&id).ok_or(OutOfState)?;
        match member.state {
            State::Starting { since } => {
                member.init = since.map(|since| now.duration_since(since));
                self.hold = None;
            }
            State::Returning { .. } => {}
            State::Ending { .. } => return Ok(delivery),
            State::Idle { .. } | State::Busy(_) => return Err(OutOfState),
        }
        if member.is_stale || is_stopping {
            self.end(id, now);
            return Ok(delivery);
        }
        self.set(id, State::Idle { next, since: now, is_frozen: false });
        self.idle.push(id);
        self.balance(now);
        Ok(delivery)
    }

    /// The process does not ask any longer, though it was given nothing.
    pub(crate) fn left(&mut self, id: ProcessId, now: Instant) {
        if let Some(Member { state: State::Idle { .. }, .. }) = self.members.get(&id) {
            self.idle.retain(|&idle| idle != id);
            self.set(id, State::Returning { since: now });
        }
    }

    /// The process answered a call.
    pub(crate) fn complete(
        &mut self,
        id: ProcessId,
        request_id: &str,
        result: Result<Bytes, FunctionError>,
        now: Instant,
    ) -> Result<(), OutOfState> {
        let is_its = |member: &&mut Member| matches!(&member.state, State::Busy(run) if &*run.request_id == request_id);
        let member = self.members.get_mut(&id).filter(is_its).ok_or(OutOfState)?;
        if let State::Busy(run) = std::mem::replace(&mut member.state, State::Returning { since: now }) {
            self.tally.failures += u64::from(result.is_err());
            run.finish(result, now, member.pid, self.rules.memory_mb);
        }
        self.plan(now + self.rules.timeout);
        if self.is_stopping || self.members.get(&id).is_some_and(|member| member.is_stale) {
            self.end(id, now);
        }
        Ok(())
    }

    /// The process exists.
    pub(crate) fn launched(&mut self, id: ProcessId, pid: i32, now: Instant) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.pid = Some(pid);
        match member.state {
            State::Starting { .. } => self.set(id, State::Starting { since: Some(now) }),
            State::Ending { .. } => self.effects.signals.push((pid, Signal::SIGKILL)),
            // It was quicker than whoever began it.
            _ => {}
        }
    }

    /// The process could not be begun, says that it cannot start, or ended before it was ready.
    pub(crate) fn start_failed(&mut self, id: ProcessId, error: &FunctionError, now: Instant) {
        let is_starting = |member: &&Member| matches!(member.state, State::Starting { .. });
        let Some(member) = self.members.get(&id).filter(is_starting) else { return };
        let has_process = member.pid.is_some();
        self.tally.start_failures += 1;
        if has_process {
            // It ends by itself, after it has written what it has to say.
            self.set(id, State::Ending { kill_at: Some(now + GRACE) });
        } else {
            self.members.remove(&id);
        }
        let hold = Hold::after(self.hold.take(), error.clone(), now);
        self.plan(hold.until);
        self.hold = Some(hold);
        let count = if self.has_live() { 1 } else { self.queue.len() };
        for work in self.queue.drain(..count.min(self.queue.len())) {
            work.answer.send(Err(error.clone())).ok();
        }
    }

    /// The process is gone.
    pub(crate) fn exited(&mut self, id: ProcessId, how: &str, now: Instant) {
        let starting = matches!(self.members.get(&id), Some(Member { state: State::Starting { .. }, .. }));
        if starting {
            let request_id = self.queue.front().map_or_else(|| "none".into(), |work| work.call.request_id.clone());
            let error = FunctionError::Handler(failure::exit(&request_id, how));
            self.start_failed(id, &error, now);
        }
        let Some(member) = self.members.remove(&id) else { return };
        match member.state {
            State::Busy(run) => {
                self.tally.exits += 1;
                let payload = failure::exit(&run.request_id, how);
                run.finish(Err(FunctionError::Handler(payload)), now, None, self.rules.memory_mb);
            }
            State::Idle { .. } | State::Returning { .. } => {
                self.tally.exits += 1;
                self.idle.retain(|&idle| idle != id);
            }
            State::Starting { .. } | State::Ending { .. } => {}
        }
        drop(member._slot);
        self.balance(now);
    }

    /// Gives waiting calls to idle processes, and begins as many processes as are missing.
    pub(crate) fn balance(&mut self, now: Instant) {
        if self.is_stopping {
            return;
        }
        while !self.idle.is_empty()
            && let Some(work) = self.queue.pop_front()
        {
            if let Some(work) = self.hand_out(work, now) {
                self.queue.push_front(work);
                break;
            }
        }
        let provisioned = if self.is_started { self.rules.provisioned } else { 0 };
        if self.queue.is_empty() && provisioned == 0 {
            return;
        }
        let (live, coming) = self.count_coming(now);
        let spare = provisioned.saturating_sub(live);
        let wanted = self.queue.len().saturating_sub(coming).max(spare);
        if matches!(&self.hold, Some(hold) if now < hold.until) {
            return;
        }
        self.effects.lacking += wanted.saturating_sub(self.slots.free());
        // One that failed before is tried with a single process. Otherwise those that begin together share the
        // processors; more of them would all be ready later, and calls that end meanwhile may make them needless.
        let starting = self.members.values().filter(|member| matches!(member.state, State::Starting { .. })).count();
        let most = if self.hold.is_some() { 1 } else { self.rules.starts_max };
        for index in 0..wanted.min(most.saturating_sub(starting)) {
            let Some(slot) = self.slots.take() else { return };
            self.last_id += 1;
            let is_provisioned = index < spare;
            self.tally.cold_starts += u64::from(!is_provisioned);
            self.members.insert(self.last_id, Member::new(slot));
            self.effects.starts.push((self.last_id, is_provisioned));
            self.effects.is_due_earlier = true;
        }
    }

    /// Live processes, and those of them that will soon ask for work.
    fn count_coming(&mut self, now: Instant) -> (usize, usize) {
        let (mut live, mut coming, mut look_again) = (0, 0, None);
        for member in self.members.values().filter(|member| member.is_live()) {
            live += 1;
            match member.state {
                State::Starting { .. } => coming += 1,
                State::Returning { since } if now < since + RETURN_SOON => {
                    coming += 1;
                    look_again = Some(since + RETURN_SOON);
                }
                _ => {}
            }
        }
        if let Some(at) = look_again.filter(|_| !self.queue.is_empty()) {
            self.plan(at);
        }
        (live, coming)
    }

    fn has_live(&self) -> bool {
        self.members.values().any(Member::is_live)
    }

    /// Tells a process to end, at once if it is not at a call.
    fn end(&mut self, id: ProcessId, now: Instant) {
        let Some(member) = self.members.get(&id) else { return };
        if let Some(pid) = member.pid {
            self.effects.signals.push((pid, Signal::SIGTERM));
            if matches!(member.state, State::Idle { is_frozen: true, .. }) {
                self.effects.signals.push((pid, Signal::SIGCONT));
            }
        }
        self.idle.retain(|&idle| idle != id);
        self.set(id, State::Ending { kill_at: Some(now + GRACE) });
    }

    fn kill(&mut self, id: ProcessId) {
        let Some(member) = self.members.get(&id) else { return };
        self.effects.signals.extend(member.pid.map(|pid| (pid, Signal::SIGKILL)));
        self.idle.retain(|&idle| idle != id);
        self.set(id, State::Ending { kill_at: None });
    }

    fn set(&mut self, id: ProcessId, state: State) {
        if let Some(member) = self.members.get_mut(&id) {
            member.state = state;
        }
        if let Some(at) = self.deadline(id) {
            self.plan(at);
        }
    }

    /// Sees to it that the keeper is awake at that time.
    fn plan(&mut self, at: Instant) {
        if self.wakes_at.is_none_or(|wakes_at| at < wakes_at) {
            self.wakes_at = Some(at);
            self.effects.is_due_earlier = true;
        }
    }
}
