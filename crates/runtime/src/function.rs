//! One function: its processes, the calls that wait for them, and the task that keeps its times.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_functions::{ANSWER_BYTES_MAX, Answer, Call, Function, FunctionError, LaterOptions};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::config::HandlerConfig;
use crate::host::Common;
use crate::launch;
use crate::logs::Rate;
use crate::pool::{Effects, Pool, ProcessState, Rules, Work};
use crate::slots::Slots;

/// Calls of one function that wait for a process at once.
pub const WAITING_CALLS_MAX: usize = 1_000;
/// What a process at least has to become ready, as Lambda has it.
pub(crate) const INIT_MAX: Duration = Duration::from_secs(10);

/// A function whose calls go to child processes of this server.
pub struct HostedFunction {
    pub(crate) shared: Arc<Shared>,
}

/// What a function and its processes have in common.
pub(crate) struct Shared {
    pub(crate) config: HandlerConfig,
    pub(crate) arn: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) common: Arc<Common>,
    pub(crate) rate: Arc<Rate>,
    /// Places that this function shares with others, unless it has its own.
    pub(crate) is_reserved: bool,
    pool: Mutex<Pool>,
    /// Wakes the keeper.
    keeper: Arc<Notify>,
}

/// A process of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessRow {
    /// The function's name.
    pub function: Arc<str>,
    /// Counts the processes of a function from 1.
    pub number: u64,
    /// The process id, which is its group's too; `None` while its runtime is created.
    pub pid: Option<i32>,
    /// What it is at.
    pub state: ProcessState,
    /// How long it is at that already.
    pub since: Option<Duration>,
    /// Its code has changed; it finishes its call and ends.
    pub is_stale: bool,
}

/// What a function did so far, and what its processes are at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionStats {
    /// The function's name.
    pub function: Arc<str>,
    /// Calls that were made.
    pub calls: u64,
    /// Calls whose handler said that it failed, and answers that were too large.
    pub failures: u64,
    /// Calls that took too long.
    pub timeouts: u64,
    /// Processes that ended without being told to, or for using too much memory.
    pub exits: u64,
    /// Calls for which there was no room.
    pub refusals: u64,
    /// Processes begun because a call needed one.
    pub cold_starts: u64,
    /// Processes that did not become ready.
    pub start_failures: u64,
    /// Lines of the log that were dropped.
    pub lines_dropped: u64,
    /// Processes that are not ready yet.
    pub starting: usize,
    /// Processes that wait for a call, including those that are frozen.
    pub idle: usize,
    /// Processes that are stopped until the next call.
    pub frozen: usize,
    /// Processes at a call.
    pub busy: usize,
    /// Processes that were told to end.
    pub ending: usize,
    /// Calls that wait for a process.
    pub waiting: usize,
}

impl HostedFunction {
    /// What was configured.
    #[must_use]
    pub fn config(&self) -> &HandlerConfig {
        &self.shared.config
    }

    /// `arn:aws:lambda:REGION:ACCOUNT:function:NAME`.
    #[must_use]
    pub fn arn(&self) -> &Arc<str> {
        &self.shared.arn
    }

    /// What it did so far.
    #[must_use]
    pub fn stats(&self) -> FunctionStats {
        self.shared.stats()
    }

    /// Its processes, the oldest first.
    #[must_use]
    pub fn processes(&self) -> Vec<ProcessRow> {
        self.shared.processes()
    }

    /// Has processes finish what they are at and take no more, as after a change of the code.
    pub fn renew(&self) {
        self.shared.with_pool(|pool| pool.renew(Instant::now()));
    }
}

impl Function for HostedFunction {
    /// A call waits for a process that begins; its time then counts from when the process takes it. Where no process
    /// can be begun, [`FunctionError::Busy`] comes at once, or after the call's time if nobody waits for it.
    fn invoke(&self, event: Bytes, call: Call) -> Answer {
        let shared = self.shared.clone();
        Box::pin(async move { shared.invoke(event, call).await })
    }

    fn timeout(&self) -> Duration {
        self.shared.config.timeout
    }

    fn later(&self) -> LaterOptions {
        let config = &self.shared.config;
        LaterOptions {
            retries: config.retries,
            age_max: config.event_age_max,
            dead_letter_topic: config.dead_letter_topic.as_deref().map(Into::into),
        }
    }
}

/// A call whose caller left before a process took it need not be made.
struct Waiting<'a> {
    function: &'a Shared,
    ticket: u64,
    is_over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.function.pool.lock().withdraw(self.ticket);
        }
    }
}

impl Shared {
    pub(crate) fn new(config: HandlerConfig, common: Arc<Common>, slots: Slots) -> Arc<Self> {
        let name: Arc<str> = config.name.as_str().into();
        let rules = Rules {
            timeout: config.timeout,
            init_max: config.timeout.max(INIT_MAX),
            idle_timeout: config.idle_timeout,
            freeze_after: config.freeze_after,
            provisioned: config.provisioned_concurrency as usize,
            queue_max: WAITING_CALLS_MAX,
            starts_max: common.options.starts_max.max(1),
            memory_mb: config.memory_mb,
        };
        let arn = format!("arn:aws:lambda:{}:{}:function:{name}", common.options.region, common.options.account);
        let shared = Arc::new(Self {
            arn: arn.into(),
            name,
            is_reserved: config.reserved_concurrency.is_some(),
            config,
            common,
            rate: Arc::default(),
            pool: Mutex::new(Pool::new(rules, slots)),
            keeper: Arc::default(),
        });
        tokio::spawn(keep(Arc::downgrade(&shared)));
        shared
    }

    /// Changes the pool, and does in the world what follows from it. Answers too whether there was no place for a
    /// process that is needed.
    pub(crate) fn with_pool<R>(self: &Arc<Self>, change: impl FnOnce(&mut Pool) -> R) -> R {
        self.change(change).0
    }

    fn change<R>(self: &Arc<Self>, change: impl FnOnce(&mut Pool) -> R) -> (R, bool) {
        let (result, effects) = {
            let mut pool = self.pool.lock();
            let result = change(&mut pool);
            let effects = pool.take_effects();
            // Under the lock: a process that is stopped and continued must not see it the other way round.
            for (group, signal) in &effects.signals {
                send(*group, *signal);
            }
            (result, effects)
        };
        (result, self.apply(&effects))
    }

    /// Whether a process is lacking for which nothing makes room.
    fn apply(self: &Arc<Self>, effects: &Effects) -> bool {
        for &(id, is_provisioned) in &effects.starts {
            self.common.runtime.spawn(launch::run(self.clone(), id, is_provisioned));
        }
        if effects.is_due_earlier {
            self.keeper.notify_one();
        }
        effects.lacking > 0 && (self.is_reserved || !self.common.make_room(effects.lacking))
    }

    async fn invoke(self: Arc<Self>, event: Bytes, call: Call) -> Result<Bytes, FunctionError> {
        if event.len() > ANSWER_BYTES_MAX {
            return Err(FunctionError::Refused(format!("the event has more than {ANSWER_BYTES_MAX} bytes")));
        }
        if self.config.reserved_concurrency == Some(0) {
            return Err(FunctionError::Busy { limit: 0 });
        }
        let own = call.timeout;
        let began = Instant::now();
        let (answer, mut answered) = oneshot::channel();
        let ((ticket, submitted), is_lacking) = self.change(|pool| {
            let ticket = pool.ticket();
            (ticket, pool.submit(Work { ticket, event, call, answer }, began))
        });
        submitted?;
        let mut waiting = Waiting { function: &self, ticket, is_over: false };
        if is_lacking && let Some(error) = self.pool.lock().refuse(ticket) {
            return Err(error);
        }
        // Whoever gives the function all its time does not lose it to a process that has to begin first.
        let is_patient = own >= self.config.timeout;
        // The function's own end of a call comes first where both are due together, since it says more.
        let mut until = if is_patient { began + own + Duration::from_millis(500) } else { began + own };
        let result = loop {
            match tokio::time::timeout_at(until.into(), &mut answered).await {
                Ok(result) => break result.unwrap_or_else(|_| Err(stopped())),
                Err(_) => match self.pool.lock().patience(ticket, own, is_patient) {
                    Ok(later) => until = later,
                    Err(error) => break Err(error),
                },
            }
        };
        waiting.is_over = true;
        result
    }

    pub(crate) fn stats(&self) -> FunctionStats {
        let (tally, census) = {
            let pool = self.pool.lock();
            (pool.tally(), pool.census())
        };
        FunctionStats {
            function: self.name.clone(),
            calls: tally.calls,
            failures: tally.failures,
            timeouts: tally.timeouts,
            exits: tally.exits,
            refusals: tally.refusals,
            cold_starts: tally.cold_starts,
            start_failures: tally.start_failures,
            lines_dropped: self.rate.dropped(),
            starting: census.starting,
            idle: census.idle,
            frozen: census.frozen,
            busy: census.busy,
            ending: census.ending,
            waiting: census.queued,
        }
    }

    pub(crate) fn processes(&self) -> Vec<ProcessRow> {
        let mut rows = self.pool.lock().rows();
        rows.sort_unstable_by_key(|row| row.id);
        let row = |row: crate::pool::Row| ProcessRow {
            function: self.name.clone(),
            number: row.id,
            pid: row.pid,
            state: row.state,
            since: row.since.map(|since| since.elapsed()),
            is_stale: row.is_stale,
        };
        rows.into_iter().map(row).collect()
    }

    /// Where its code is.
    pub(crate) fn root(&self) -> &PathBuf {
        &self.config.root
    }
}

/// What calls are told whose process vanished with the server.
fn stopped() -> FunctionError {
    FunctionError::Refused("the server stops".to_owned())
}

/// To a process group; one that is gone is as good as told.
pub(crate) fn send(group: i32, signal: Signal) {
    killpg(Pid::from_raw(group), signal).ok();
}

/// Does what is due, for as long as the function exists.
async fn keep(function: Weak<Shared>) {
    const LONG: Duration = Duration::from_secs(3_600);
    loop {
        let Some((until, keeper)) = function.upgrade().map(|it| (it.pool.lock().sleeps_until(), it.keeper.clone()))
        else {
            return;
        };
        let until = until.unwrap_or_else(|| Instant::now() + LONG);
        tokio::time::timeout_at(until.into(), keeper.notified()).await.ok();
        if let Some(function) = function.upgrade() {
            function.with_pool(|pool| pool.expire(Instant::now()));
        }
    }
}
