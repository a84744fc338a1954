//! Calls on their way to a process: taken, handed out, refused, given up.

use std::time::{Duration, Instant};

use fanfare_functions::FunctionError;
use nix::sys::signal::Signal;

use super::Pool;
use super::member::{Delivery, Member, Running, State, Work};

impl Pool {
    /// Names a call before it is submitted.
    pub(crate) fn ticket(&mut self) -> u64 {
        self.last_ticket += 1;
        self.last_ticket
    }

    /// Takes a call: gives it to the process that became idle last, or has it wait.
    pub(crate) fn submit(&mut self, work: Work, now: Instant) -> Result<(), FunctionError> {
        self.tally.calls += 1;
        if self.is_stopping {
            return Err(FunctionError::Refused("the server stops".to_owned()));
        }
        let Some(work) = self.hand_out(work, now) else { return Ok(()) };
        match &self.hold {
            Some(hold) if now < hold.until && !self.has_live() => return Err(hold.error.clone()),
            _ => {}
        }
        if self.queue.len() >= self.rules.queue_max {
            self.tally.refusals += 1;
            return Err(FunctionError::Busy { limit: self.slots.limit() });
        }
        self.queue.push_back(work);
        self.balance(now);
        Ok(())
    }

    /// No process takes the call any more. Says whether it still waited.
    pub(crate) fn withdraw(&mut self, ticket: u64) -> bool {
        let place = self.queue.iter().position(|work| work.ticket == ticket);
        place.and_then(|place| self.queue.remove(place)).is_some()
    }

    /// No process takes the call, for there is no room for one. Nothing happens to calls that wait for a process which
    /// begins or ends, and to those that may wait.
    pub(crate) fn refuse(&mut self, ticket: u64) -> Option<FunctionError> {
        let waits = |work: &Work| work.ticket == ticket && !work.call.kind.waits_for_its_turn();
        let is_moving = |member: &Member| matches!(member.state, State::Starting { .. } | State::Ending { .. });
        let moving = self.members.values().filter(|member| is_moving(member)).count();
        if self.queue.len() <= moving + self.slots.free() || !self.queue.iter().any(waits) || !self.withdraw(ticket) {
            return None;
        }
        self.tally.refusals += 1;
        Some(FunctionError::Busy { limit: self.slots.limit() })
    }

    /// The caller's time, `own`, is over. Says until when it had better wait all the same: for the rest of a call that
    /// began late, or, if it `is_patient`, for a process that begins. Says otherwise why there is no answer.
    pub(crate) fn patience(&mut self, ticket: u64, own: Duration, is_patient: bool) -> Result<Instant, FunctionError> {
        let now = Instant::now();
        let taken = |member: &Member| match &member.state {
            State::Busy(run) if run.ticket == ticket => Some(run.since + own),
            _ => None,
        };
        if let Some(until) = self.members.values().find_map(taken).filter(|&until| until > now) {
            return Ok(until);
        }
        if !self.queue.iter().any(|work| work.ticket == ticket) {
            return Err(FunctionError::Timeout(own));
        }
        let starting = |member: &Member| match member.state {
            State::Starting { since } => Some(since.map(|since| since + self.rules.init_max)),
            _ => None,
        };
        let starting: Vec<_> = self.members.values().filter_map(starting).collect();
        if let Some(&until) = starting.iter().flatten().max().filter(|&&until| is_patient && until > now) {
            return Ok(until);
        }
        self.withdraw(ticket);
        match starting.first() {
            Some(None) => Err(FunctionError::Refused("its runtime is still being created; call again soon".to_owned())),
            Some(_) => Err(FunctionError::Refused("it did not start in time".to_owned())),
            None => {
                self.tally.refusals += 1;
                Err(FunctionError::Busy { limit: self.slots.limit() })
            }
        }
    }

    /// Gives a call to the process that became idle last. Gives it back if there is none.
    pub(super) fn hand_out(&mut self, mut work: Work, now: Instant) -> Option<Work> {
        while let Some(id) = self.idle.pop() {
            let Some(member) = self.members.get_mut(&id) else { continue };
            let since = State::Returning { since: now };
            let State::Idle { next, is_frozen, .. } = std::mem::replace(&mut member.state, since) else { continue };
            let Work { ticket, event, call, answer } = work;
            let delivery = Delivery {
                request_id: call.request_id.clone(),
                event,
                client_context: call.client_context.clone(),
                tail: call.tail.clone(),
                timeout: self.rules.timeout,
            };
            if is_frozen && let Some(pid) = member.pid {
                self.effects.signals.push((pid, Signal::SIGCONT));
            }
            match next.send(delivery) {
                Ok(()) => {
                    let init = member.init.take();
                    let running =
                        Running { ticket, request_id: call.request_id, since: now, tail: call.tail, answer, init };
                    self.set(id, State::Busy(running));
                    return None;
                }
                // Its connection broke just now; it may still come again.
                Err(Delivery { event, .. }) => work = Work { ticket, event, call, answer },
            }
        }
        Some(work)
    }
}
