//! What can be wrong with a template, and where.

/// A template that is not accepted, or could not be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct TemplateError {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong and what to do.
    pub problem: String,
}

/// A place in a template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Place {
    pub(super) fn error(self, problem: impl Into<String>) -> TemplateError {
        TemplateError { line: self.line, column: self.column, problem: problem.into() }
    }
}

pub(super) type Outcome<T> = Result<T, TemplateError>;
