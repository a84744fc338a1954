//! What can go wrong.

use std::io;
use std::sync::Arc;

use crate::url::UrlError;

/// Why something did not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none.
    #[error("{url}: {reason}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: UrlError,
    },
    /// The file with certificate authorities cannot be used.
    #[error("certificates in {file}: {reason}")]
    Certificates {
        /// Its path.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server cannot be reached.
    #[error("cannot reach {server}: {reason}")]
    Unreachable {
        /// Its address.
        server: String,
        /// What the system says.
        reason: Arc<io::Error>,
    },
    /// Something answers, but not as a Fanfare server does.
    #[error("{server} does not answer as expected: {reason}")]
    Unexpected {
        /// Its address.
        server: String,
        /// What it did instead.
        reason: String,
    },
    /// The server said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// This client has a subscription to the same topic or pattern already.
    #[error("already subscribed to {0}")]
    AlreadySubscribed(String),
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

/// A refusal in the server's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// Stable; see the table in the protocol's documentation.
    pub code: String,
    /// For people.
    pub message: String,
    /// Whether the same may succeed later.
    pub retry: bool,
    /// When to try again, where the server says so.
    pub retry_ms: Option<u64>,
}

impl Error {
    /// Whether trying the same again later may help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Unexpected { .. } => true,
            Self::Refused(refusal) => refusal.retry,
            _ => false,
        }
    }

    /// When to try again, in milliseconds, where the server says so.
    pub fn retry_ms(&self) -> Option<u64> {
        match self {
            Self::Refused(refusal) => refusal.retry_ms,
            _ => None,
        }
    }
}
