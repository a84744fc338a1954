//! Errors of the API, in the form the AWS SDKs read.

use serde_json::{Value, json};

use crate::pattern::PatternError;

/// A refused operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", kind.name())]
pub struct ApiError {
    /// Which error, as an SDK names it.
    pub kind: ErrorKind,
    /// What happened and what to do about it.
    pub message: String,
}

/// The names of errors. All are answered with status 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The body is not JSON, or a value has the wrong type.
    Serialization,
    /// A parameter is missing, too long or contradicts another.
    Validation,
    /// A pattern cannot be read.
    InvalidEventPattern,
    /// The named rule or event bus does not exist.
    ResourceNotFound,
    /// An event bus of that name exists.
    ResourceAlreadyExists,
    /// One more would be over a limit.
    LimitExceeded,
    /// The operation does not exist here.
    UnknownOperation,
    /// The rule comes from the configuration and is changed there.
    ManagedRule,
    /// Rules that run by the clock are not offered; only patterns are.
    ScheduleNotSupported,
}

impl ErrorKind {
    /// The value of `__type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Serialization => "SerializationException",
            Self::Validation => "ValidationException",
            Self::InvalidEventPattern => "InvalidEventPatternException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::ResourceAlreadyExists => "ResourceAlreadyExistsException",
            Self::LimitExceeded => "LimitExceededException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::ManagedRule => "ManagedRuleException",
            Self::ScheduleNotSupported => "ScheduleNotSupportedException",
        }
    }
}

impl ApiError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Validation, message)
    }

    /// The HTTP status to answer with.
    #[must_use]
    pub fn status(&self) -> u16 {
        400
    }

    /// The body to answer with: `{"__type", "message"}`.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({"__type": self.kind.name(), "message": self.message})
    }
}

impl From<PatternError> for ApiError {
    fn from(error: PatternError) -> Self {
        Self::new(ErrorKind::InvalidEventPattern, error.to_string())
    }
}
