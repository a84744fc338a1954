//! What is wrong with a descriptor, all of it, with its lines.

use std::collections::BTreeSet;
use std::fmt;

use crate::Note;
use crate::node::Place;

/// More mistakes than this are only counted.
pub const MISTAKES_MAX: usize = 200;

/// More notes than this are dropped.
pub(crate) const NOTES_MAX: usize = 2_000;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// File, line and column, such as `serverless.yml:12:7`; the file alone where it is not to be read.
    pub origin: String,
    /// What is wrong, and what to do.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.text)
    }
}

/// A descriptor that is not accepted: everything that is wrong with it, a line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.lines())]
pub struct DescriptorError {
    /// In the order of the file; at most [`MISTAKES_MAX`].
    pub mistakes: Vec<Mistake>,
    /// Keys that [`ReadOptions::values`](crate::ReadOptions::values) should have, such as `ssm:/app/key`.
    pub missing: BTreeSet<String>,
}

impl DescriptorError {
    /// A file that is not to be read at all.
    pub(crate) fn of_file(file: &str, text: String) -> Self {
        Self { mistakes: vec![Mistake { origin: file.to_owned(), text }], missing: BTreeSet::new() }
    }

    pub(crate) fn at(place: &Place, text: impl Into<String>) -> Self {
        Self::of_file(&place.to_string(), text.into())
    }

    fn lines(&self) -> String {
        let mut lines: Vec<String> = self.mistakes.iter().map(Mistake::to_string).collect();
        if !self.missing.is_empty() {
            let keys: Vec<&str> = self.missing.iter().map(String::as_str).collect();
            lines.push(format!("values that are missing: {}", keys.join(", ")));
        }
        lines.join("\n")
    }
}

/// Collects what is wrong and what has no effect.
#[derive(Debug, Default)]
pub(crate) struct Report {
    mistakes: Vec<(Place, String)>,
    left_out: usize,
    missing: BTreeSet<String>,
    notes: Vec<(Place, String)>,
}

impl Report {
    pub(crate) fn mistake(&mut self, place: &Place, text: String) {
        // A variable may be looked at twice.
        if self.mistakes.iter().any(|(at, words)| at == place && *words == text) {
            return;
        }
        if self.mistakes.len() < MISTAKES_MAX {
            self.mistakes.push((place.clone(), text));
        } else {
            self.left_out += 1;
        }
    }

    pub(crate) fn missing(&mut self, key: &str) {
        if self.missing.len() < MISTAKES_MAX {
            self.missing.insert(key.to_owned());
        }
    }

    pub(crate) fn note(&mut self, place: &Place, text: String) {
        let is_new = !self.notes.iter().rev().take(50).any(|(at, words)| at == place && *words == text);
        if is_new && self.notes.len() < NOTES_MAX {
            self.notes.push((place.clone(), text));
        }
    }

    /// What was noted, in the order of the file, or what is wrong.
    pub(crate) fn close(mut self) -> Result<Vec<Note>, DescriptorError> {
        let by_line = |one: &(Place, String), other: &(Place, String)| {
            (&one.0.file, one.0.line, one.0.column).cmp(&(&other.0.file, other.0.line, other.0.column))
        };
        self.notes.sort_by(by_line);
        self.mistakes.sort_by(by_line);
        if self.mistakes.is_empty() {
            return Ok(self.notes.into_iter().map(|(place, text)| Note { origin: place.origin(), text }).collect());
        }
        let mut mistakes: Vec<Mistake> =
            self.mistakes.into_iter().map(|(place, text)| Mistake { origin: place.to_string(), text }).collect();
        if let (Some(last), true) = (mistakes.last_mut(), self.left_out > 0) {
            last.text = format!("{} (and {} more mistakes)", last.text, self.left_out);
        }
        Err(DescriptorError { mistakes, missing: self.missing })
    }
}
