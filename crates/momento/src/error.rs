//! What can go wrong, as each SDK has to hear it.
//!
//! SDKs tell errors apart by status code, some further by the trailer `err`, and the Node SDK by
//! words in the message. So every limit has both, and no message has a word of another limit.

use fanfare_core::Refusal;

use crate::credential::CredentialError;
use crate::grpc::{Code, Status};
use crate::permission::PermissionError;

/// Why a request is refused, or a stream ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// There is no such cache.
    #[error("Cache not found: {0}")]
    CacheNotFound(String),
    /// There is a cache of that name already.
    #[error("Cache already exists: {0}")]
    CacheExists(String),
    /// There is no such webhook.
    #[error("Webhook not found: {name} in cache {cache}")]
    WebhookNotFound {
        /// The cache.
        cache: String,
        /// The webhook.
        name: String,
    },
    /// The key does not allow it.
    #[error("Insufficient permissions to {0}")]
    Denied(String),
    /// The key does not count.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// Something in the request is not as it must be.
    #[error("Invalid argument: {0}")]
    InvalidArgument(String),
    /// The message is too large.
    #[error("The request limit is exceeded: the message has {bytes} bytes, {limit} are allowed")]
    MessageTooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// There are too many subscriptions.
    #[error("There are too many subscribers: {limit} are allowed")]
    TooManySubscriptions {
        /// How many there may be.
        limit: usize,
    },
    /// Requests come too fast.
    #[error("There are too many operations: {limit} a second are allowed; slow down and try again")]
    TooManyOperations {
        /// How many a second there may be.
        limit: u32,
    },
    /// Too many bytes come.
    #[error("The throughput is too high: {limit} bytes a second are allowed; slow down and try again")]
    TooManyBytes {
        /// How many a second there may be.
        limit: u64,
    },
    /// There are too many caches, webhooks or members. No SDK knows these limits.
    #[error("The limit of {limit} {what} is reached; remove some, or ask the operator for more")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// This server does not do that.
    #[error("{0} is not served here: only topics, caches as their names, tokens and webhooks are")]
    Unserved(String),
    /// It does not work now and may later.
    #[error("The server cannot do this now: {0}; try again")]
    Unavailable(String),
    /// It took longer than the caller wanted to wait.
    #[error("The time that the caller gave is over")]
    TimedOut,
    /// The server failed; its log says why.
    #[error("Internal server error")]
    Internal,
}

impl Problem {
    /// The gRPC code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::CacheNotFound(_) | Self::WebhookNotFound { .. } => Code::NotFound,
            Self::CacheExists(_) => Code::AlreadyExists,
            Self::Denied(_) => Code::PermissionDenied,
            Self::Credential(_) => Code::Unauthenticated,
            Self::InvalidArgument(_) => Code::InvalidArgument,
            Self::MessageTooLarge { .. }
            | Self::TooManySubscriptions { .. }
            | Self::TooManyOperations { .. }
            | Self::TooManyBytes { .. }
            | Self::TooMany { .. } => Code::ResourceExhausted,
            Self::Unserved(_) => Code::Unimplemented,
            Self::Unavailable(_) => Code::Unavailable,
            Self::TimedOut => Code::DeadlineExceeded,
            Self::Internal => Code::Internal,
        }
    }

    /// Value of the trailer `err`. A cache that is not found has none: with one, SDKs think of a store.
    #[must_use]
    pub fn err(&self) -> Option<&'static str> {
        match self {
            Self::WebhookNotFound { .. } => Some("item_not_found"),
            Self::MessageTooLarge { .. } => Some("request_size_limit_exceeded"),
            Self::TooManySubscriptions { .. } => Some("topic_subscriptions_limit_exceeded"),
            Self::TooManyOperations { .. } => Some("operations_rate_limit_exceeded"),
            Self::TooManyBytes { .. } => Some("throughput_rate_limit_exceeded"),
            _ => None,
        }
    }

    /// As a call ends with it.
    #[must_use]
    pub fn status(&self) -> Status {
        // The Node SDK takes this word, wherever it stands, for a call that its own user gave up.
        let message = self.to_string().replace("AbortSignal", "abort signal");
        Status { err: self.err(), ..Status::new(self.code(), message) }
    }

    /// As the HTTP interface answers it.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match self {
            Self::InvalidArgument(_) => 400,
            Self::Credential(_) => 401,
            Self::Denied(_) => 403,
            Self::CacheNotFound(_) | Self::WebhookNotFound { .. } | Self::Unserved(_) => 404,
            Self::CacheExists(_) => 409,
            Self::MessageTooLarge { .. }
            | Self::TooManySubscriptions { .. }
            | Self::TooManyOperations { .. }
            | Self::TooManyBytes { .. }
            | Self::TooMany { .. } => 429,
            Self::Unavailable(_) => 503,
            Self::TimedOut => 504,
            Self::Internal => 500,
        }
    }

    /// Its name in metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::CacheNotFound(_) => "cache_not_found",
            Self::CacheExists(_) => "cache_exists",
            Self::WebhookNotFound { .. } => "webhook_not_found",
            Self::Denied(_) => "denied",
            Self::Credential(_) => "credential",
            Self::InvalidArgument(_) => "invalid_argument",
            Self::MessageTooLarge { .. } => "message_too_large",
            Self::TooManySubscriptions { .. } => "too_many_subscriptions",
            Self::TooManyOperations { .. } => "too_many_operations",
            Self::TooManyBytes { .. } => "too_many_bytes",
            Self::TooMany { .. } => "too_many",
            Self::Unserved(_) => "unserved",
            Self::Unavailable(_) => "unavailable",
            Self::TimedOut => "timed_out",
            Self::Internal => "internal",
        }
    }
}

impl From<PermissionError> for Problem {
    fn from(error: PermissionError) -> Self {
        Self::InvalidArgument(error.to_string())
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Denied { action, space, topic } => Self::Denied(format!("{action} on {space}/{topic}")),
            Refusal::InvalidTopic { .. }
            | Refusal::InvalidFilter { .. }
            | Refusal::InvalidSpace
            | Refusal::InvalidBatch { .. } => Self::InvalidArgument(refusal.to_string()),
            Refusal::MessageTooLarge { bytes, limit } => Self::MessageTooLarge { bytes: *bytes, limit: *limit },
            Refusal::TooManySpaces { limit } => Self::TooMany { what: "caches", limit: *limit },
            Refusal::TooManySubscriptions { limit } => Self::TooManySubscriptions { limit: *limit },
            Refusal::TooManyMembers { limit } => Self::TooMany { what: "members", limit: *limit },
            Refusal::RateLimited { limit, .. } => Self::TooManyOperations { limit: *limit },
            Refusal::Overloaded | Refusal::Log(_) | Refusal::ShuttingDown => Self::Unavailable(refusal.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 6] = ["subscribers", "operations", "throughput", "request limit", "item size", "element size"];

    #[test]
    fn each_limit_has_its_word_and_its_err() {
        for (problem, word, err) in [
            (
                Problem::MessageTooLarge { bytes: 9, limit: 8 },
                Some("request limit"),
                Some("request_size_limit_exceeded"),
            ),
            (
                Problem::TooManySubscriptions { limit: 1 },
                Some("subscribers"),
                Some("topic_subscriptions_limit_exceeded"),
            ),
            (Problem::TooManyOperations { limit: 1 }, Some("operations"), Some("operations_rate_limit_exceeded")),
            (Problem::TooManyBytes { limit: 1 }, Some("throughput"), Some("throughput_rate_limit_exceeded")),
            (Problem::TooMany { what: "caches", limit: 3 }, None, None),
        ] {
            let status = problem.status();
            assert_eq!((status.code, status.err), (Code::ResourceExhausted, err), "{problem:?}");
            let found: Vec<_> = WORDS.into_iter().filter(|word| status.message.contains(word)).collect();
            assert_eq!(found, Vec::from_iter(word), "{problem:?}");
            assert_eq!(problem.http_status(), 429);
        }
    }

    #[test]
    fn codes() {
        let name = || "c".to_owned();
        for (problem, code, err, http) in [
            (Problem::CacheNotFound(name()), Code::NotFound, None, 404),
            (Problem::CacheExists(name()), Code::AlreadyExists, None, 409),
            (Problem::WebhookNotFound { cache: name(), name: name() }, Code::NotFound, Some("item_not_found"), 404),
            (Problem::Denied(name()), Code::PermissionDenied, None, 403),
            (CredentialError::Missing.into(), Code::Unauthenticated, None, 401),
            (CredentialError::Expired { at: 7 }.into(), Code::Unauthenticated, None, 401),
            (Problem::InvalidArgument(name()), Code::InvalidArgument, None, 400),
            (Problem::Unserved(name()), Code::Unimplemented, None, 404),
            (Problem::Unavailable(name()), Code::Unavailable, None, 503),
            (Problem::TimedOut, Code::DeadlineExceeded, None, 504),
            (Problem::Internal, Code::Internal, None, 500),
        ] {
            let status = problem.status();
            assert_eq!((status.code, status.err, problem.http_status()), (code, err, http), "{problem:?}");
            assert!(!status.message.is_empty());
        }
        assert_eq!(Problem::CacheNotFound("nope".into()).status().message, "Cache not found: nope");
    }

    #[test]
    fn no_name_makes_a_client_think_it_gave_up() {
        let status = Problem::CacheNotFound("AbortSignal".into()).status();
        assert!(!status.message.contains("AbortSignal"), "{status:?}");
    }

    #[test]
    fn refusals_of_the_core() {
        let denied = Refusal::Denied { action: "publish", space: "c".into(), topic: "t".into() };
        assert_eq!(Problem::from(&denied).to_string(), "Insufficient permissions to publish on c/t");
        let large = Problem::from(&Refusal::MessageTooLarge { bytes: 2, limit: 1 });
        assert_eq!(large.status().err, Some("request_size_limit_exceeded"));
        assert_eq!(Problem::from(&Refusal::InvalidSpace).code(), Code::InvalidArgument);
        assert_eq!(Problem::from(&Refusal::Overloaded).code(), Code::Unavailable);
        assert_eq!(Problem::from(&Refusal::RateLimited { limit: 5, retry_ms: 1 }).code(), Code::ResourceExhausted);
    }
}
