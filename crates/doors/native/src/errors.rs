//! The native door's words for what the core and the gate refuse. The table in `docs/protocol.md`.

use fanfare_core::Refusal;
use fanfare_identity::TokenError;
use serde_json::{Value, json};

/// A request that was refused, as clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Stable code.
    pub(crate) code: &'static str,
    /// A sentence that says what happened and what to do.
    pub(crate) message: String,
    /// HTTP status of the same.
    pub(crate) status: u16,
    /// Whether the same request may succeed later.
    pub(crate) retry: bool,
    /// And after how many milliseconds to try.
    pub(crate) retry_ms: Option<u64>,
}

impl Problem {
    /// The request is not what the protocol says.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self { code: "bad_request", message: message.into(), status: 400, retry: false, retry_ms: None }
    }

    /// A problem that trying again does not solve.
    pub(crate) fn final_one(code: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), status, retry: false, retry_ms: None }
    }

    /// The fields of an `error` frame, without `type` and `id`.
    pub(crate) fn fields(&self) -> Value {
        let mut value = json!({ "code": self.code, "message": self.message, "retry": self.retry });
        if let Some(retry_ms) = self.retry_ms {
            value["retry_ms"] = retry_ms.into();
        }
        value
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::Denied { .. } => 403,
            Refusal::InvalidTopic { .. }
            | Refusal::InvalidFilter { .. }
            | Refusal::InvalidSpace
            | Refusal::InvalidBatch { .. } => 400,
            Refusal::MessageTooLarge { .. } => 413,
            Refusal::TooManySpaces { .. }
            | Refusal::TooManySubscriptions { .. }
            | Refusal::TooManyMembers { .. }
            | Refusal::RateLimited { .. } => 429,
            Refusal::Overloaded | Refusal::Log(_) | Refusal::ShuttingDown => 503,
        };
        let retry_ms = refusal.retry_ms();
        Self { code: refusal.code(), message: refusal.to_string(), status, retry: retry_ms.is_some(), retry_ms }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let code = if error == TokenError::Missing { "unauthorized" } else { error.code() };
        let retry = error.retryable();
        Self { code, message: error.to_string(), status: 401, retry, retry_ms: retry.then_some(1_000) }
    }
}
