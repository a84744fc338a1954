//! A parsed rule statement.

use serde_json::Value as Json;

use super::ast::Select;
use super::error::{EvalError, SqlError};
use super::eval::Run;
use super::input::Input;
use super::parser;

/// What a statement makes of a message.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// A JSON value.
    Json(Json),
    /// The payload as it came: `SELECT *` on something that is not JSON.
    Bytes(Vec<u8>),
}

impl Output {
    /// What is sent on: JSON without blanks, or the bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Json(json) => json.to_string().into_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// A statement, ready to run on any number of messages.
#[derive(Debug)]
pub struct Statement {
    text: String,
    select: Select,
    filter: Option<String>,
}

impl Statement {
    /// Parses a statement.
    ///
    /// # Errors
    /// [`SqlError`] says what was expected, and at which column.
    pub fn parse(text: &str) -> Result<Self, SqlError> {
        let (select, filter) = parser::statement(text)?;
        Ok(Self { text: text.to_owned(), select, filter })
    }

    /// The statement as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The topic filter of `FROM`; without one only Basic Ingest reaches the rule.
    #[must_use]
    pub fn filter(&self) -> Option<&str> {
        self.filter.as_deref()
    }

    /// Runs on one message, whatever its topic. `None`: `WHERE` was not exactly
    /// true, or the value of `SELECT VALUE` is Undefined, or a payload that is
    /// not JSON was asked for its fields by `WHERE`.
    ///
    /// # Errors
    /// [`EvalError::TooMuchWork`] for a statement that would blow up this message.
    pub fn run(&self, input: &Input<'_>) -> Result<Option<Output>, EvalError> {
        let run = Run::new(input);
        let scope = input.json();
        if scope.is_none() && self.select.is_everything() {
            let accepts = self.select.accepts(&run, scope)?;
            return Ok(accepts.then(|| Output::Bytes(input.payload().to_vec())));
        }
        Ok(self.select.one(&run, scope)?.map(Output::Json))
    }
}
