//! Why the core said no. Each door maps these to its own protocol's words, in one table.

use crate::ports::LogError;

/// An operation that was refused. [`Refusal::code`] is stable and part of our interfaces.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// The principal's grant does not cover the operation.
    #[error("not allowed to {action} on {space}/{topic}")]
    Denied {
        /// What was attempted.
        action: &'static str,
        /// In which space.
        space: Box<str>,
        /// On which topic or filter.
        topic: Box<str>,
    },
    /// The topic name is not one.
    #[error("invalid topic: {reason}")]
    InvalidTopic {
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The filter is not one.
    #[error("invalid topic pattern: {reason}")]
    InvalidFilter {
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The space name is not one.
    #[error("invalid space name: 1 to 128 bytes without '/', spaces and control characters")]
    InvalidSpace,
    /// Payload and properties together are larger than the space allows.
    #[error("the message has {bytes} bytes, {limit} are allowed")]
    MessageTooLarge {
        /// What the message weighs.
        bytes: usize,
        /// `message_bytes_max` of the space.
        limit: usize,
    },
    /// There are as many spaces as `spaces_max` allows.
    #[error("there are already {limit} spaces; raise limits.spaces to allow more")]
    TooManySpaces {
        /// `spaces_max`.
        limit: usize,
    },
    /// The connection holds as many subscriptions as `subscriptions_max` allows.
    #[error("this connection already has {limit} subscriptions")]
    TooManySubscriptions {
        /// `subscriptions_max`.
        limit: usize,
    },
    /// The topic has as many members as `presence_members_max` allows.
    #[error("this topic already has {limit} members")]
    TooManyMembers {
        /// `presence_members_max` of the space.
        limit: usize,
    },
    /// The connection publishes faster than `publish_rate` allows.
    #[error("publishing too fast; allowed are {limit} messages per second")]
    RateLimited {
        /// Messages per second.
        limit: u32,
        /// When to try again.
        retry_ms: u64,
    },
    /// Deliveries wait in such number that taking more would break the queue's bound.
    #[error("the server is overloaded; nothing was published")]
    Overloaded,
    /// The log cannot take the message.
    #[error("the message could not be kept: {0}")]
    Log(#[from] LogError),
    /// A batch holds publications for more than one space, none, or too many.
    #[error("invalid batch: {reason}")]
    InvalidBatch {
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The server is going away.
    #[error("the server is shutting down")]
    ShuttingDown,
}

impl Refusal {
    /// The stable code of this refusal, the same in every door that shows codes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Denied { .. } => "denied",
            Self::InvalidTopic { .. } => "invalid_topic",
            Self::InvalidFilter { .. } => "invalid_pattern",
            Self::InvalidSpace => "invalid_space",
            Self::MessageTooLarge { .. } => "message_too_large",
            Self::TooManySpaces { .. } => "too_many_spaces",
            Self::TooManySubscriptions { .. } => "too_many_subscriptions",
            Self::TooManyMembers { .. } => "too_many_members",
            Self::RateLimited { .. } => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Log(_) => "storage_unavailable",
            Self::InvalidBatch { .. } => "invalid_batch",
            Self::ShuttingDown => "shutting_down",
        }
    }

    /// When the same request may succeed later: after how many milliseconds to try again.
    pub fn retry_ms(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_ms, .. } => Some(*retry_ms),
            Self::Overloaded => Some(500),
            Self::Log(_) | Self::ShuttingDown => Some(2_000),
            _ => None,
        }
    }
}
