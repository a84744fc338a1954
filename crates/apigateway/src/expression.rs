//! Selection expressions: text out of what is known of a request.
//!
//! | written                                                   | gives                              |
//! |-----------------------------------------------------------|------------------------------------|
//! | `$request.body.action`, `${request.body.action}`          | a member of the message            |
//! | `${request.body.service}/${request.body.action}`          | two of them, with a slash          |
//! | `$request.header.x-api-key`, `$request.querystring.token` | of the upgrade                     |
//! | `$context.routeKey`, `$stageVariables.name`               | as they say                        |
//! | `$integration.response.statuscode` and `.header.NAME`, `.multivalueheader.NAME`, `.body.PATH` | of an answer |
//! | `action`, `\$default`, `$default`                         | itself                             |
//!
//! What is missing or null is the empty text. Numbers and booleans are written as in JSON, a list
//! as `[1, 2]`, an object as JSON. Values are put in once: a `$` in them means nothing.

mod parameter;
mod variable;

use crate::json_path::JsonPathError;
use crate::message::Scope;

pub use parameter::ParameterValue;
pub(crate) use variable::{Surroundings, Variable, written};

/// The longest expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 4096;

/// An expression that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// Over [`EXPRESSION_BYTES_MAX`].
    #[error("the expression has {0} bytes, at most {EXPRESSION_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// `${` without `}`.
    #[error("${{ at character {0} is not closed; write }}")]
    Open(usize),
    /// Not a variable.
    #[error(
        "unknown variable {0:?}; known are request.body.PATH, request.header.NAME, request.querystring.NAME, \
         context.NAME, stageVariables.NAME and integration.response.*; write \\$ for a dollar sign"
    )]
    Variable(String),
    /// A variable that has no name after its last dot.
    #[error("the variable {0:?} lacks a name")]
    Nameless(String),
    /// The path into a body.
    #[error(transparent)]
    Path(#[from] JsonPathError),
    /// `'` at one end only, or nothing at all.
    #[error("the value {0:?} is no variable and no text; write 'text' for a text")]
    Quote(String),
}

/// An expression, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    parts: Vec<Part>,
    /// The names, where the expression is nothing but a member of the message.
    body_names: Option<Vec<Box<str>>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Variable(Variable),
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// Unknown variables, paths that cannot be read, braces that are not closed.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(ExpressionError::TooLong(text.len()));
        }
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at..];
            if rest.starts_with("\\$") {
                plain.push('$');
                at += 2;
            } else if let Some((name, length)) = variable_at(rest, at)? {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Variable(Variable::parse(name)?));
                at += length;
            } else {
                plain.push(c);
                at += c.len_utf8();
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        let body_names = match parts.as_slice() {
            [Part::Variable(Variable::Body(Some(path)))] => path.names().filter(|names| !names.is_empty()),
            _ => None,
        };
        Ok(Self { parts, body_names })
    }

    /// What it gives for a request.
    #[must_use]
    pub fn evaluate(&self, scope: &Scope<'_>) -> String {
        self.text(&Surroundings::request(scope))
    }

    pub(crate) fn text(&self, surroundings: &Surroundings<'_>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Variable(variable) => out.push_str(&variable.text(surroundings).unwrap_or_default()),
            }
        }
        out
    }

    /// The text with every variable in it found and not empty; `None` where one is not.
    pub(crate) fn complete_text(&self, surroundings: &Surroundings<'_>) -> Option<String> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Variable(variable) => {
                    out.push_str(&variable.text(surroundings).filter(|text| !text.is_empty())?);
                }
            }
        }
        Some(out)
    }

    /// Its only part, where that is a variable.
    pub(crate) fn only_variable(&self) -> Option<&Variable> {
        match self.parts.as_slice() {
            [Part::Variable(variable)] => Some(variable),
            _ => None,
        }
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(variable) => Some(variable),
            Part::Text(_) => None,
        })
    }

    /// The names of the member of the message that it gives, where it is nothing else.
    pub(crate) fn body_names(&self) -> Option<&[Box<str>]> {
        self.body_names.as_deref()
    }
}

/// The variable that a text begins with, and how long it is with its sign and braces.
fn variable_at(text: &str, at: usize) -> Result<Option<(&str, usize)>, ExpressionError> {
    if let Some(inner) = text.strip_prefix("${") {
        let length = closing(inner).ok_or(ExpressionError::Open(at))?;
        return Ok(Some((&inner[..length], length + 3)));
    }
    let Some(inner) = text.strip_prefix('$') else { return Ok(None) };
    let length = bare_length(inner);
    if length == 0 || &inner[..length] == "default" {
        return Ok(None);
    }
    Ok(Some((&inner[..length], length + 1)))
}

/// Where the brace closes that is not in quotes.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '}' => return Some(at),
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None => {}
        }
    }
    None
}

/// How far a variable without braces goes: names, dots, hyphens and what stands in brackets.
fn bare_length(text: &str) -> usize {
    let mut end = 0;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c == '[' && end > 0 {
            let Some(length) = text[at..].find(']') else { break };
            at += length + 1;
            end = at;
        } else if c.is_alphanumeric() || matches!(c, '_' | '-') {
            at += c.len_utf8();
            end = at;
        } else if c == '.' {
            at += 1;
        } else {
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests;
