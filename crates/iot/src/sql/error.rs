//! What can be wrong with a statement, and with running one.

use std::borrow::Cow;
use std::fmt;

/// A statement or template that cannot be used, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SqlError {
    /// Place of the problem: characters from the start, the first is 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: SqlProblem,
}

impl SqlError {
    pub(crate) fn new(column: usize, problem: SqlProblem) -> Self {
        Self { column, problem }
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.problem)
    }
}

impl std::error::Error for SqlError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.problem)
    }
}

/// The kinds of [`SqlError`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqlProblem {
    /// Something else stands where the grammar wants `expected`.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What would be right here.
        expected: Cow<'static, str>,
        /// What stands here.
        found: String,
    },
    /// A character that begins nothing.
    #[error("{0:?} means nothing here; strings need quotes, unusual field names backquotes")]
    Character(char),
    /// A quote that is opened and never closed.
    #[error("this {0} is not closed")]
    Unclosed(char),
    /// A function that does not exist.
    #[error("there is no function {0}()")]
    UnknownFunction(String),
    /// A function of AWS that is not offered here.
    #[error("{0}() is not supported; it needs a service of AWS or is out of use")]
    UnsupportedFunction(String),
    /// A known function with too few or too many arguments.
    #[error("{name}() takes {expected} arguments, not {found}")]
    ArgumentCount {
        /// The function.
        name: &'static str,
        /// How many it takes, in words.
        expected: String,
        /// How many there are.
        found: usize,
    },
    /// A type that `cast` does not know.
    #[error("{0} is no type; use String, Int, Decimal or Boolean")]
    UnknownType(String),
    /// A regular expression that cannot be used, with the reason.
    #[error("this regular expression cannot be used: {0}")]
    Pattern(String),
    /// The `FROM` text is no MQTT topic filter.
    #[error("this is no topic filter: {0}")]
    Filter(&'static str),
    /// More characters than [`STATEMENT_CHARS_MAX`](super::STATEMENT_CHARS_MAX).
    #[error("it has {0} characters; the limit is {max}", max = super::STATEMENT_CHARS_MAX)]
    TooLong(usize),
    /// Nested deeper than [`DEPTH_MAX`](super::DEPTH_MAX).
    #[error("nested deeper than {max} levels", max = super::DEPTH_MAX)]
    TooDeep,
    /// A list longer than [`ITEMS_MAX`](super::ITEMS_MAX).
    #[error("a list has more than {max} items", max = super::ITEMS_MAX)]
    TooManyItems,
}

/// A statement or template that could not be finished for one message.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The run would have produced or looked at more than its allowance: 4 MiB
    /// and 32 times the payload. Guards against statements that blow up small messages.
    #[error("the statement asks for more than {limit} bytes of work on this message; make it simpler")]
    TooMuchWork {
        /// The allowance in bytes.
        limit: u64,
    },
    /// A `${..}` whose value is Undefined: nothing can be put in its place.
    #[error("${{{expression}}} is undefined for this message; check the field's name or guard it with WHERE")]
    UndefinedTemplate {
        /// The text between the braces.
        expression: String,
    },
}
