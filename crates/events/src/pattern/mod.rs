//! Event patterns: which events a rule wants.
//!
//! A pattern is a JSON object in the shape of the events it describes. Its
//! leaves are arrays, any element of which may match; all its fields must.
//!
//! | matcher | form |
//! | --- | --- |
//! | exact | `["a", 300, true, null]` |
//! | beginning, end | `{"prefix": "a"}`, `{"suffix": "a"}`, also `{"prefix": {"equals-ignore-case": "a"}}` |
//! | any case | `{"equals-ignore-case": "a"}`, letter by letter |
//! | wildcard | `{"wildcard": "a*b"}`; `\*` and `\\` stand for themselves, `**` is refused |
//! | others | `{"anything-but": ..}`: a scalar, scalars of one type, or an object with one of the four above, each a string or a list |
//! | numbers | `{"numeric": [">", 0, "<=", 5]}` with `= < <= > >=`; a lower bound comes before an upper one |
//! | addresses | `{"cidr": "10.0.0.0/24"}`, IPv4 and IPv6 |
//! | presence | `{"exists": true}` or `false`; an object is not a present value, an empty array neither |
//! | either | `"$or": [{..}, {..}]` at any level |
//!
//! Numbers compare by value, so `300` is `300.0`. In an event, an array
//! matches if any element does, arrays inside arrays are taken apart, and two
//! fields asked below one array have to come from one element. `$or` is always
//! the operator: a field of that name cannot be asked for. Of a key written
//! twice the last one counts.

mod compile;
mod matcher;
mod text;
mod tree;
mod wildcard;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::limits::{PATTERN_CHARS_MAX, PATTERN_COMBINATIONS_MAX, PATTERN_DEPTH_MAX};

/// A pattern ready to be held against events.
///
/// Serialises as its own text.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    text: String,
    root: tree::Node,
}

impl Pattern {
    /// Reads a pattern of at most [`PATTERN_CHARS_MAX`] characters.
    ///
    /// # Errors
    /// Names the place in the pattern and what is wrong there.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.chars().count() > PATTERN_CHARS_MAX {
            return Err(PatternError::at(&[], Reason::Length));
        }
        let value: Value =
            serde_json::from_str(text).map_err(|error| PatternError::at(&[], Reason::Json(error.to_string())))?;
        Ok(Self { root: compile::pattern(&value)?, text: text.to_owned() })
    }

    /// Takes a pattern that is JSON already; its compact text is what counts.
    ///
    /// # Errors
    /// As [`Pattern::parse`].
    pub fn from_value(value: &Value) -> Result<Self, PatternError> {
        let root = compile::pattern(value)?;
        let text = value.to_string();
        if text.chars().count() > PATTERN_CHARS_MAX {
            return Err(PatternError::at(&[], Reason::Length));
        }
        Ok(Self { root, text })
    }

    /// Whether an event matches.
    ///
    /// Takes at most pattern size times event size; if an `$or` asks for a
    /// name that is also asked beside it, that for each of at most
    /// [`PATTERN_COMBINATIONS_MAX`] combinations.
    #[must_use]
    pub fn matches(&self, event: &Value) -> bool {
        self.root.matches(event)
    }

    /// The pattern as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Why a pattern is refused, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PatternError {
    path: String,
    reason: Reason,
}

impl PatternError {
    fn at(path: &[&str], reason: Reason) -> Self {
        Self { path: path.join("."), reason }
    }

    /// The names that lead to the place, joined by dots; empty for the whole.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event pattern is not valid. Reason: {}", self.reason)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, " at {}", self.path) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("longer than {PATTERN_CHARS_MAX} characters")]
    Length,
    #[error("not JSON: {0}")]
    Json(String),
    #[error("a pattern is a JSON object")]
    NotAnObject,
    #[error("an empty object asks for nothing; leave it out or ask for a field")]
    EmptyObject,
    #[error("an empty array can match nothing; list at least one value")]
    EmptyArray,
    #[error("a field is asked with an array of values or an object of fields; put the value in [ ]")]
    NeitherArrayNorObject,
    #[error("an array inside the array of values; list the values themselves")]
    ArrayInside,
    #[error("deeper than {PATTERN_DEPTH_MAX} levels")]
    Depth,
    #[error("$or takes an array of at least two objects")]
    Or,
    #[error("its $or make more than {PATTERN_COMBINATIONS_MAX} combinations; split the rule")]
    Combinations,
    #[error("a matcher is an object with exactly one key")]
    OneMatcher,
    #[error("unrecognized match type {0:?}")]
    UnknownMatcher(String),
    #[error("the operand of {0:?} does not fit it")]
    Operand(String),
    #[error("wildcard: {0}")]
    Wildcard(&'static str),
}
