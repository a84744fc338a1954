//! What can be wrong with a policy document, and where.

use std::fmt;

/// A part of a document: a statement by its position from zero, or the document itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Position in the list of statements, from zero; `None` for the document as a whole.
    pub statement: Option<usize>,
    /// The statement's `Sid`, if it has one.
    pub sid: Option<Box<str>>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.statement, &self.sid) {
            (None, _) => f.write_str("document"),
            (Some(index), None) => write!(f, "Statement[{index}]"),
            (Some(index), Some(sid)) => write!(f, "Statement[{index}] ({sid:?})"),
        }
    }
}

/// A policy that is not accepted. Every message says what, where and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Too many characters that are not white space.
    #[error("document: {chars} characters without white space, at most {max} are allowed; split it into several")]
    TooLong {
        /// Characters that are not white space.
        chars: usize,
        /// [`Limits::chars_max`](crate::Limits::chars_max).
        max: usize,
    },
    /// Too many bytes, white space and all.
    #[error("document: {bytes} bytes, at most {max} are allowed; remove white space")]
    TooManyBytes {
        /// Length of the text.
        bytes: usize,
        /// [`Limits::bytes_max`](crate::Limits::bytes_max).
        max: usize,
    },
    /// Not JSON.
    #[error("document: not JSON: {0}")]
    Json(String),
    /// The same key twice in one object: readers would disagree about which one counts.
    #[error("document: the key {0:?} occurs twice in one object; merge the two")]
    DuplicateKey(String),
    /// Something else where an object is needed.
    #[error("{place}: expected an object; {what}")]
    NotAnObject {
        /// Where.
        place: Place,
        /// What to write instead.
        what: &'static str,
    },
    /// `Version` is missing or another one.
    #[error("document: Version is {0}; write \"Version\": \"2012-10-17\"")]
    Version(String),
    /// A key that no policy has.
    #[error("{place}: unknown key {key:?}; known are {known}")]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// The keys that are known there.
        known: &'static str,
    },
    /// A key that policies of other kinds have.
    #[error("{place}: {key} is not supported; {instead}")]
    NotSupported {
        /// Where.
        place: Place,
        /// The key.
        key: &'static str,
        /// What to write instead.
        instead: &'static str,
    },
    /// A key that must be there.
    #[error("{place}: {key} is missing; add it")]
    Missing {
        /// Where.
        place: Place,
        /// The key.
        key: &'static str,
    },
    /// `Effect` is another word.
    #[error("{place}: Effect is {found}; write \"Allow\" or \"Deny\"")]
    Effect {
        /// Where.
        place: Place,
        /// What stands there, as JSON.
        found: String,
    },
    /// A value of the wrong kind.
    #[error("{place}: {key} must be {expected}")]
    Value {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// What it must be.
        expected: &'static str,
    },
    /// An action without service.
    #[error("{place}: action {action:?} is not of the form service:Name, such as iot:Publish; \"*\" stands for all")]
    Action {
        /// Where.
        place: Place,
        /// The action.
        action: String,
    },
    /// A resource that is no ARN.
    #[error("{place}: resource {resource:?} is not an ARN, such as arn:aws:iot:*:*:topic/a; \"*\" stands for all")]
    Resource {
        /// Where.
        place: Place,
        /// The resource.
        resource: String,
    },
    /// A `${...}` that is neither a variable nor an escape.
    #[error("{place}: {variable:?} is no variable; write ${{service:Name}}, or ${{$}} for a dollar sign")]
    Variable {
        /// Where.
        place: Place,
        /// From `${` on.
        variable: String,
    },
    /// A condition operator that is not known.
    #[error("{place}: unknown condition operator {operator:?}; known are {known}")]
    Operator {
        /// Where.
        place: Place,
        /// The operator.
        operator: String,
        /// Those that are known.
        known: &'static str,
    },
    /// A value that a condition cannot compare with.
    #[error("{place}: {test} cannot compare with {value:?}; write {expected}")]
    Condition {
        /// Where.
        place: Place,
        /// Operator and key, as in `Bool on aws:SecureTransport`.
        test: String,
        /// The value.
        value: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A name that no policy may have.
    #[error("policy name {0:?}: use 1 to 128 letters, digits and signs of _+=,.@-")]
    Name(String),
    /// A second policy of the same name for one principal.
    #[error("policy {0:?} is attached twice; attach it once")]
    NameTaken(String),
    /// Too many policies for one principal.
    #[error("a principal has at most {max} policies; merge some")]
    TooManyDocuments {
        /// [`DOCUMENTS_MAX`](crate::DOCUMENTS_MAX).
        max: usize,
    },
}
