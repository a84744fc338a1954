//! Why a rule is refused.

use crate::sql::SqlError;

/// A rule, or a set of rules, that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The name is empty, too long or has other characters.
    #[error("{0:?} is no name of a rule; use 1 to 128 letters, digits and underscores")]
    Name(String),
    /// More actions than [`ACTIONS_MAX`](super::ACTIONS_MAX).
    #[error("the rule has {0} actions; the limit is {max}", max = super::ACTIONS_MAX)]
    TooManyActions(usize),
    /// More rules than [`RULES_MAX`](super::RULES_MAX).
    #[error("there are {0} rules; the limit is {max}", max = super::RULES_MAX)]
    TooManyRules(usize),
    /// Two rules of one name.
    #[error("there are two rules named {0}; rename one")]
    Duplicate(String),
    /// A version of the language that does not exist.
    #[error("there is no SQL version {0:?}; use 2016-03-23 or 2015-10-08")]
    Version(String),
    /// The statement cannot be parsed.
    #[error("the statement is not valid: {0}")]
    Sql(#[from] SqlError),
    /// A kind of action that is not offered.
    #[error("the action {kind:?} is not supported; use republish, lambda or http")]
    UnsupportedAction {
        /// The kind as the request names it.
        kind: String,
    },
    /// A part of an action that is not offered, and must not be ignored either.
    #[error("the option {0} is not supported; leave it out")]
    UnsupportedOption(&'static str),
    /// An address whose host is not fixed: messages must not choose where the server connects to.
    #[error("the address {0:?} must begin with http:// or https://, a fixed host and '/' before the first ${{..}}")]
    Address(String),
    /// The request is no JSON of the expected shape.
    #[error("{place} is not valid: {reason}")]
    Shape {
        /// Which part of the request.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
}
