//! What a function is, how it is called and how it can fail.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::caller::CallerError;

/// What a function answers, when it does.
pub type Answer = Pin<Box<dyn Future<Output = Result<Bytes, FunctionError>> + Send>>;

/// User code. Implementations bound how many calls run at once, and end a call at its timeout.
pub trait Function: Send + Sync + 'static {
    /// Calls it with an event, which is JSON, and answers with what it returns. Dropping the
    /// answer gives the call up; the function may still run to its end.
    fn invoke(&self, event: Bytes, call: Call) -> Answer;

    /// How long a call may take where the caller has no opinion.
    fn timeout(&self) -> Duration;

    /// How calls that nobody waits for are made again, and what becomes of those that never succeed.
    fn later(&self) -> LaterOptions {
        LaterOptions::default()
    }
}

/// How calls that nobody waits for are made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaterOptions {
    /// Further tries after a handler failed: 0 to 2.
    pub retries: u32,
    /// A call that is older than this is given up: 60 s to 6 h.
    pub age_max: Duration,
    /// Topic of the default space to which calls go that were given up.
    pub dead_letter_topic: Option<Arc<str>>,
}

/// As Lambda has them.
impl Default for LaterOptions {
    fn default() -> Self {
        Self { retries: 2, age_max: Duration::from_secs(6 * 3_600), dead_letter_topic: None }
    }
}

/// The end of what a call wrote to its log, at most [`LOG_TAIL_BYTES_MAX`].
pub type LogTail = Arc<Mutex<Vec<u8>>>;

/// Bytes of a [`LogTail`].
pub const LOG_TAIL_BYTES_MAX: usize = 4_096;

/// One call of a function.
#[derive(Clone, Debug)]
pub struct Call {
    /// Names the call in logs, on both sides.
    pub request_id: Arc<str>,
    /// When the caller stops waiting.
    pub timeout: Duration,
    /// Whether somebody waits.
    pub kind: CallKind,
    /// What the caller says of itself: JSON in base64, as Lambda's clients send it.
    pub client_context: Option<Arc<str>>,
    /// Where the function's log goes too, as far as the function has one.
    pub tail: Option<LogTail>,
}

/// Whether somebody waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// Yes. A function that is busy says so at once.
    RequestResponse,
    /// Yes, and rather for its turn, within the timeout, than to hear that the function is busy.
    InTurn,
    /// No. The call waits its turn within its timeout, and the answer is thrown away.
    Event,
}

impl CallKind {
    /// It waits while the function is busy.
    #[must_use]
    pub fn waits_for_its_turn(self) -> bool {
        self != Self::RequestResponse
    }
}

impl Call {
    /// A call that is waited for, with a request id of its own.
    #[must_use]
    pub fn waiting(timeout: Duration) -> Self {
        Self::new(timeout, CallKind::RequestResponse)
    }

    /// A call that is waited for, and waits its turn where the function is busy, with a request id of its own.
    #[must_use]
    pub fn in_turn(timeout: Duration) -> Self {
        Self::new(timeout, CallKind::InTurn)
    }

    /// A call that nobody waits for, with a request id of its own.
    #[must_use]
    pub fn event(timeout: Duration) -> Self {
        Self::new(timeout, CallKind::Event)
    }

    fn new(timeout: Duration, kind: CallKind) -> Self {
        Self { request_id: request_id(), timeout, kind, client_context: None, tail: None }
    }
}

/// A random UUID (RFC 9562, version 4), for calls and events.
#[must_use]
pub fn request_id() -> Arc<str> {
    let bits = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]).into()
}

/// Why a call brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FunctionError {
    /// No function has this name.
    #[error("there is no function {0:?}; name it in the configuration under [functions]")]
    Unknown(String),
    /// It did not answer in time.
    #[error("the function did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// As many calls as allowed run already.
    #[error("{limit} calls of the function run already; raise its concurrency or call it less")]
    Busy {
        /// How many may.
        limit: usize,
    },
    /// The queue of calls that nobody waits for is full.
    #[error("the queue of calls has no room; functions are slower than what is sent to them")]
    QueueFull,
    /// A call that nobody waits for could not be written to disk.
    #[error("the call could not be kept: {0}")]
    NotKept(String),
    /// It could not be reached, or may not be.
    #[error("the function could not be called: {0}")]
    Refused(String),
    /// A web server answered with this status, which is not one of success.
    #[error("the function answered with HTTP status {0}")]
    Status(u16),
    /// The answer is larger than allowed, in bytes.
    #[error("the answer of the function has more than {0} bytes")]
    TooLarge(usize),
    /// The handler itself failed. Holds what it says: `errorMessage`, `errorType` and more.
    #[error("the function failed: {}", String::from_utf8_lossy(&.0[..payload_shown(.0)]))]
    Handler(Bytes),
}

/// How much of a handler's error is shown, in bytes.
fn payload_shown(payload: &[u8]) -> usize {
    payload.len().min(512)
}

impl FunctionError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unknown(_) | Self::TooLarge(_) => false,
            Self::Status(status) => matches!(status, 408 | 429 | 500..),
            _ => true,
        }
    }
}

impl From<CallerError> for FunctionError {
    fn from(error: CallerError) -> Self {
        match error {
            CallerError::Timeout(after) => Self::Timeout(after),
            CallerError::TooLarge(limit) => Self::TooLarge(limit),
            error => Self::Refused(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_uuids() {
        let id = Call::waiting(Duration::ZERO).request_id;
        let parts: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert!(id[14..].starts_with('4') && id[19..].starts_with(['8', '9', 'a', 'b']), "{id}");
    }

    #[test]
    fn what_will_never_work_is_not_tried_again() {
        assert!(!FunctionError::Status(400).may_pass() && !FunctionError::Unknown("f".into()).may_pass());
        assert!(FunctionError::Status(503).may_pass() && FunctionError::Status(429).may_pass());
    }
}
