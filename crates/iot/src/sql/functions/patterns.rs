//! Regular expressions, in linear time.

use regex::{Regex, RegexBuilder};

use super::text_of;
use crate::sql::error::EvalError;
use crate::sql::eval::Run;
use crate::sql::value::Value;

/// Longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1_024;
/// Largest compiled pattern, in bytes.
const COMPILED_BYTES_MAX: usize = 256 * 1024;
/// What compiling a pattern that is no literal costs, in bytes of work.
const COMPILING_BYTES: usize = 64 * 1024;

/// Compiles `pattern`.
///
/// # Errors
/// The reason in words: it is too long, too large, or no regular expression.
pub(in crate::sql) fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("it has {} bytes; the limit is {PATTERN_BYTES_MAX}", pattern.len()));
    }
    let built = RegexBuilder::new(pattern).size_limit(COMPILED_BYTES_MAX).dfa_size_limit(COMPILED_BYTES_MAX).build();
    // The crate draws the pattern and an arrow; the last line says what is wrong.
    built.map_err(|error| error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned())
}

/// The pattern in the second of `values`, if it is one.
pub(super) fn dynamic(run: &Run<'_>, values: &[Value]) -> Result<Option<Regex>, EvalError> {
    run.charge(COMPILING_BYTES)?;
    Ok(text_of(values, 1).and_then(|pattern| compile(&pattern).ok()))
}

pub(super) fn matches(_: &Run<'_>, values: &[Value], pattern: &Regex) -> Result<Value, EvalError> {
    Ok(text_of(values, 0).map_or(Value::Undefined, |text| Value::Bool(pattern.is_match(&text))))
}

pub(super) fn substr(_: &Run<'_>, values: &[Value], pattern: &Regex) -> Result<Value, EvalError> {
    let Some(text) = text_of(values, 0) else { return Ok(Value::Undefined) };
    Ok(pattern.find(&text).map_or(Value::Undefined, |found| Value::text(found.as_str())))
}

/// Replaces every match; `$1` and `$name` in the new text stand for groups.
pub(super) fn replace(run: &Run<'_>, values: &[Value], pattern: &Regex) -> Result<Value, EvalError> {
    let (Some(text), Some(new)) = (text_of(values, 0), text_of(values, 2)) else { return Ok(Value::Undefined) };
    let mut replaced = String::new();
    let mut done = 0;
    for groups in pattern.captures_iter(&text) {
        let Some(whole) = groups.get(0) else { continue };
        // Each match may put in as many copies of the groups as the new text has references.
        run.charge(new.len().saturating_add(new.matches('$').count().saturating_mul(whole.len())))?;
        replaced.push_str(&text[done..whole.start()]);
        groups.expand(&new, &mut replaced);
        done = whole.end();
    }
    replaced.push_str(&text[done..]);
    Ok(Value::Text(replaced))
}
