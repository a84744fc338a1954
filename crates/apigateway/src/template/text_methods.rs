//! Methods of texts. Positions count UTF-16 units, as in Java.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::error::Outcome;
use super::heap::{List, Value};
use super::java;
use super::limits::PATTERN_BYTES_MAX;
use super::references::{Seen, count, position};
use super::render::Renderer;

/// The most memory of one pattern, in bytes.
const PATTERN_SIZE_MAX: usize = 128 * 1024;
/// Patterns of one rendering.
const PATTERNS_MAX: usize = 64;
/// What it costs to read a pattern.
const PATTERN_STEPS: usize = 2_000;
/// Bytes of a text, times bytes of a pattern, that are searched in one step.
const SEARCHED_A_STEP: usize = 256;
/// Patterns count as if they were at least so long: short ones can repeat much.
const PATTERN_BYTES_LEAST: usize = 16;

impl<'t> Renderer<'t, '_> {
    pub(super) fn of_text(&mut self, text: &str, name: &str, arguments: &[Value<'t>]) -> Outcome<Option<Seen<'t>>> {
        self.budget.read(text.len())?;
        let texts = arguments.iter().map(|argument| self.text_of(argument)).collect::<Outcome<Vec<Arc<str>>>>()?;
        for argument in &texts {
            self.budget.read(argument.len())?;
        }
        if let Some(value) = question(text, name, &texts) {
            return Ok(Some(Seen::some(value)));
        }
        if let Some(seen) = self.by_position(text, name, arguments)? {
            return Ok(Some(seen));
        }
        if let Some(seen) = self.by_pattern(text, name, &texts)? {
            return Ok(Some(seen));
        }
        let made = match (name, texts.as_slice()) {
            ("toLowerCase", []) => text.to_lowercase(),
            ("toUpperCase", []) => text.to_uppercase(),
            ("trim" | "strip", []) => text.trim().to_owned(),
            ("concat", [more]) => format!("{text}{more}"),
            ("replace", [from, to]) => {
                let times = if from.is_empty() { text.chars().count() + 1 } else { text.matches(&**from).count() };
                self.budget.make(times.saturating_mul(to.len()))?;
                text.replace(&**from, to)
            }
            _ => return Ok(None),
        };
        self.new_text(&made).map(|text| Some(Seen::some(text)))
    }

    fn by_position(&mut self, text: &str, name: &str, arguments: &[Value<'t>]) -> Outcome<Option<Seen<'t>>> {
        let (from, to) = match (name, arguments) {
            ("substring", [from]) => (position(from), Some(units(text))),
            ("substring", [from, to]) => (position(from), position(to)),
            ("charAt", [at]) => (position(at), position(at).and_then(|at| at.checked_add(1))),
            _ => return Ok(None),
        };
        let part = from.zip(to).and_then(|(from, to)| text.get(byte_at(text, from)?..byte_at(text, to)?));
        match part {
            Some(part) => self.new_text(part).map(|text| Some(Seen::some(text))),
            None => self.budget.fail(format!("{name} asks for a position that the text of {} has not", units(text))),
        }
    }

    fn by_pattern(&mut self, text: &str, name: &str, texts: &[Arc<str>]) -> Outcome<Option<Seen<'t>>> {
        let (pattern, with) = match (name, texts) {
            ("matches" | "split", [pattern]) => (pattern, None),
            ("replaceAll" | "replaceFirst", [pattern, with]) => (pattern, Some(with)),
            _ => return Ok(None),
        };
        let source = if name == "matches" { format!("^(?:{pattern})$") } else { pattern.to_string() };
        let regex = self.pattern(&source)?;
        self.budget.step(text.len().saturating_mul(source.len().max(PATTERN_BYTES_LEAST)) / SEARCHED_A_STEP)?;
        Ok(Some(match (name, with) {
            ("matches", _) => Seen::some(Value::Bool(regex.is_match(text))),
            (_, Some(with)) => self.replaced(text, &regex, with, name == "replaceFirst")?,
            _ => {
                let parts = java::split(text, &regex);
                self.budget.step(parts.len())?;
                let items = parts.into_iter().map(|part| self.new_text(part)).collect::<Outcome<_>>()?;
                Seen::some(self.heap.add_list(List { items, is_json: false }))
            }
        }))
    }

    fn replaced(&mut self, text: &str, regex: &Regex, with: &str, only_first: bool) -> Outcome<Seen<'t>> {
        let mut out = String::new();
        let mut end = 0;
        let groups = with.matches('$').count();
        for captures in regex.captures_iter(text).take(if only_first { 1 } else { usize::MAX }) {
            let Some(found) = captures.get(0) else { break };
            self.budget.step(1)?;
            self.budget.write(&mut out, &text[end..found.start()])?;
            // Groups lie within the match, so that this is the most that they can make.
            self.budget.make(with.len().saturating_add(groups.saturating_mul(found.len())))?;
            self.budget.write(&mut out, &java::replacement(&captures, with))?;
            end = found.end();
        }
        self.budget.write(&mut out, &text[end..])?;
        Ok(Seen::some(Value::Text(out.into())))
    }

    fn pattern(&mut self, source: &str) -> Outcome<Regex> {
        if let Some(known) = self.patterns.get(source) {
            return Ok(known.clone());
        }
        if source.len() > PATTERN_BYTES_MAX {
            return self.budget.fail(format!("a regular expression has at most {PATTERN_BYTES_MAX} bytes"));
        }
        self.budget.step(PATTERN_STEPS)?;
        let built = RegexBuilder::new(source).size_limit(PATTERN_SIZE_MAX).build();
        let Ok(regex) = built else {
            return self.budget.fail("a regular expression cannot be read, is too large, or looks ahead or back");
        };
        if self.patterns.len() < PATTERNS_MAX {
            self.patterns.insert(source.to_owned(), regex.clone());
        }
        Ok(regex)
    }
}

/// Methods that look at texts only.
fn question(text: &str, name: &str, texts: &[Arc<str>]) -> Option<Value<'static>> {
    let at = |found: Option<usize>| found.map_or(Value::Int(-1), |at| count(units(&text[..at])));
    Some(match (name, texts) {
        ("length", []) => count(units(text)),
        ("isEmpty", []) => Value::Bool(text.is_empty()),
        ("isBlank", []) => Value::Bool(text.trim().is_empty()),
        ("contains", [part]) => Value::Bool(text.contains(&**part)),
        ("startsWith", [part]) => Value::Bool(text.starts_with(&**part)),
        ("endsWith", [part]) => Value::Bool(text.ends_with(&**part)),
        ("equalsIgnoreCase", [other]) => Value::Bool(text.to_lowercase() == other.to_lowercase()),
        ("indexOf", [part]) => at(text.find(&**part)),
        ("lastIndexOf", [part]) => at(text.rfind(&**part)),
        _ => return None,
    })
}

fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The byte at which a unit begins; `None` beyond the end and within a pair.
fn byte_at(text: &str, wanted: usize) -> Option<usize> {
    let mut units = 0;
    for (at, c) in text.char_indices() {
        if units >= wanted {
            return (units == wanted).then_some(at);
        }
        units += c.len_utf16();
    }
    (units == wanted).then_some(text.len())
}
