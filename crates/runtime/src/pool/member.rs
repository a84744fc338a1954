//! One process as the pool sees it, and a call on its way through it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_functions::{Call, FunctionError, LogTail};
use tokio::sync::oneshot;

use crate::logs::Report;
use crate::memory;
use crate::slots::Slot;

/// Where the answer of a call goes.
pub(crate) type AnswerTo = oneshot::Sender<Result<Bytes, FunctionError>>;

/// A call that waits for a process.
pub(crate) struct Work {
    /// Names it among those that wait.
    pub(crate) ticket: u64,
    pub(crate) event: Bytes,
    pub(crate) call: Call,
    pub(crate) answer: AnswerTo,
}

/// What a process is given.
pub(crate) struct Delivery {
    pub(crate) request_id: Arc<str>,
    pub(crate) event: Bytes,
    pub(crate) client_context: Option<Arc<str>>,
    pub(crate) tail: Option<LogTail>,
    /// How long the handler may take.
    pub(crate) timeout: Duration,
}

/// A call that a process works on.
pub(crate) struct Running {
    pub(crate) ticket: u64,
    pub(crate) request_id: Arc<str>,
    pub(crate) since: Instant,
    pub(crate) tail: Option<LogTail>,
    pub(crate) answer: AnswerTo,
    /// How long the process took to be ready, if this is its first call.
    pub(crate) init: Option<Duration>,
}

impl Running {
    /// Tells the caller, who may have left.
    pub(crate) fn finish(self, result: Result<Bytes, FunctionError>, now: Instant, pid: Option<i32>, memory_mb: u32) {
        if let Some(tail) = &self.tail {
            let peak_kb = pid.map_or(0, memory::peak_kb);
            let took = now.duration_since(self.since);
            Report { request: &self.request_id, took, init: self.init, memory_mb, peak_kb }.write(tail);
        }
        self.answer.send(result).ok();
    }
}

/// What a process is at.
pub(crate) enum State {
    /// It does not ask for work yet. `since` is when it began, which is after its runtime was created.
    Starting { since: Option<Instant> },
    /// It asks for work.
    Idle { next: oneshot::Sender<Delivery>, since: Instant, is_frozen: bool },
    /// It has a call.
    Busy(Running),
    /// It answered, and will ask for work.
    Returning { since: Instant },
    /// It was told to end, and is killed at that time.
    Ending { kill_at: Option<Instant> },
}

pub(crate) struct Member {
    pub(crate) state: State,
    /// Also names its process group.
    pub(crate) pid: Option<i32>,
    /// Its code has changed; it gets no more calls.
    pub(crate) is_stale: bool,
    /// How long it took to be ready, until the first call has told it.
    pub(crate) init: Option<Duration>,
    pub(crate) _slot: Slot,
}

impl Member {
    pub(crate) fn new(slot: Slot) -> Self {
        Self { state: State::Starting { since: None }, pid: None, is_stale: false, init: None, _slot: slot }
    }

    /// Whether it will take calls, now or soon.
    pub(crate) fn is_live(&self) -> bool {
        !self.is_stale && !matches!(self.state, State::Ending { .. })
    }
}
