//! Substitution templates: text with `${expression}` in it.

use super::ast::Expr;
use super::error::{EvalError, SqlError, SqlProblem};
use super::eval::Run;
use super::input::Input;
use super::parser::{check_length, expression};
use super::value::Value;

/// A text whose `${..}` are replaced for every message, always from the
/// original message, never from what `SELECT` made of it.
#[derive(Debug)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Expression { text: String, expr: Expr },
}

impl Template {
    /// Parses a template; text without `${` is a template too.
    ///
    /// # Errors
    /// [`SqlError`] with the column in the whole text.
    pub fn parse(text: &str) -> Result<Self, SqlError> {
        check_length(text)?;
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            let column = text.chars().count() - behind.chars().count() + 1;
            let end = closing_brace(behind).ok_or(SqlError::new(column - 1, SqlProblem::Unclosed('{')))?;
            let (inner, after) = behind.split_at(end);
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Expression { text: inner.to_owned(), expr: expression(inner, column)? });
            rest = &after[1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The template as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text before the first `${`.
    pub(crate) fn fixed_start(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// Whether the text is the same for every message.
    pub(crate) fn is_fixed(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// The text for one message. Strings go in as they are, arrays and objects as JSON.
    ///
    /// # Errors
    /// [`EvalError::UndefinedTemplate`] names an expression without a value.
    pub fn render(&self, input: &Input<'_>) -> Result<String, EvalError> {
        let run = Run::new(input);
        let mut rendered = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => rendered.push_str(text),
                Part::Expression { text, expr } => {
                    let value = match run.eval(input.json(), expr)? {
                        Value::Null => "null".to_owned(),
                        value => {
                            value.to_text().ok_or_else(|| EvalError::UndefinedTemplate { expression: text.clone() })?
                        }
                    };
                    run.charge(value.len())?;
                    rendered.push_str(&value);
                }
            }
        }
        Ok(rendered)
    }
}

impl<'de> serde::Deserialize<'de> for Template {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|error| serde::de::Error::custom(format!("in the template {text:?}, {error}")))
    }
}

/// Where the brace that ends the expression stands, past braces and quotes inside it.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(at),
            (None, '}') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}
