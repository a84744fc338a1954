//! Functions on strings. Positions count characters, from 0.

use serde_json::Value as Json;

use super::{or_undefined, text_of};
use crate::sql::error::EvalError;
use crate::sql::eval::Run;
use crate::sql::value::Value;

/// Most blanks that padding adds.
const PADDING_MAX: i64 = 1_000;

fn mapped(values: &[Value], change: impl Fn(&str) -> String) -> Value {
    or_undefined(text_of(values, 0).map(|text| Value::Text(change(&text))))
}

/// An element of an array, a character of a string, a field of an object.
pub(super) fn get(values: &[Value]) -> Value {
    let [collection, key] = values else { return Value::Undefined };
    let index = || key.to_i64().and_then(|index| usize::try_from(index).ok());
    or_undefined(match (collection, key) {
        (Value::Array(items), _) => index().and_then(|index| items.get(index)).cloned().map(Value::from),
        (Value::Text(text), _) => index().and_then(|index| text.chars().nth(index)).map(Value::text),
        (Value::Object(fields), Value::Text(name)) => fields.get(name).cloned().map(Value::from),
        _ => None,
    })
}

pub(super) fn length(values: &[Value]) -> Value {
    or_undefined(text_of(values, 0).map(|text| Value::Int(text.chars().count() as i64)))
}

pub(super) fn numbytes(values: &[Value]) -> Value {
    or_undefined(text_of(values, 0).map(|text| Value::Int(text.len() as i64)))
}

pub(super) fn upper(values: &[Value]) -> Value {
    mapped(values, str::to_uppercase)
}

pub(super) fn lower(values: &[Value]) -> Value {
    mapped(values, str::to_lowercase)
}

pub(super) fn trim(values: &[Value]) -> Value {
    mapped(values, |text| text.trim().to_owned())
}

pub(super) fn ltrim(values: &[Value]) -> Value {
    mapped(values, |text| text.trim_start().to_owned())
}

pub(super) fn rtrim(values: &[Value]) -> Value {
    mapped(values, |text| text.trim_end().to_owned())
}

fn padding(values: &[Value]) -> Option<String> {
    let count = values.get(1)?.to_i64()?.clamp(0, PADDING_MAX);
    Some(" ".repeat(usize::try_from(count).ok()?))
}

pub(super) fn lpad(values: &[Value]) -> Value {
    or_undefined(padding(values).zip(text_of(values, 0)).map(|(padding, text)| Value::Text(padding + &text)))
}

pub(super) fn rpad(values: &[Value]) -> Value {
    or_undefined(padding(values).zip(text_of(values, 0)).map(|(padding, text)| Value::Text(text + &padding)))
}

pub(super) fn chr(values: &[Value]) -> Value {
    let code = values.first().and_then(Value::to_i64).and_then(|code| u8::try_from(code).ok());
    or_undefined(code.filter(u8::is_ascii).map(|code| Value::text(char::from(code))))
}

/// Joins arrays and single values if there is an array, otherwise texts.
pub(super) fn concat(values: &[Value]) -> Value {
    match values {
        [] => Value::Undefined,
        [one] => one.clone(),
        _ if values.iter().any(|value| matches!(value, Value::Array(_))) => {
            let mut joined: Vec<Json> = Vec::new();
            for value in values {
                match value {
                    Value::Array(items) => joined.extend(items.iter().cloned()),
                    other => joined.extend(other.clone().into_json()),
                }
            }
            Value::Array(joined)
        }
        _ if values.iter().any(|value| matches!(value, Value::Text(_))) => {
            or_undefined(values.iter().map(Value::to_text).collect::<Option<String>>().map(Value::Text))
        }
        _ => Value::Undefined,
    }
}

/// From the first position to before the second; positions outside are moved to the nearest end.
pub(super) fn substring(values: &[Value]) -> Value {
    let place = |index: usize| {
        let number = values.get(index)?.to_f64()?.floor().max(0.0);
        Some(if number >= 1e15 { usize::MAX } else { number as usize })
    };
    let (Some(text), Some(from)) = (text_of(values, 0), place(1)) else { return Value::Undefined };
    let to = match values.get(2) {
        None => usize::MAX,
        Some(_) => match place(2) {
            Some(to) => to,
            None => return Value::Undefined,
        },
    };
    Value::Text(text.chars().skip(from).take(to.saturating_sub(from)).collect())
}

fn both(values: &[Value], check: impl Fn(&str, &str) -> Value) -> Value {
    or_undefined(text_of(values, 0).zip(text_of(values, 1)).map(|(text, part)| check(&text, &part)))
}

pub(super) fn startswith(values: &[Value]) -> Value {
    both(values, |text, part| Value::Bool(text.starts_with(part)))
}

pub(super) fn endswith(values: &[Value]) -> Value {
    both(values, |text, part| Value::Bool(text.ends_with(part)))
}

/// The first position, or -1.
pub(super) fn indexof(values: &[Value]) -> Value {
    both(values, |text, part| {
        let place = text.find(part).map(|at| text[..at].chars().count() as i64);
        Value::Int(place.unwrap_or(-1))
    })
}

pub(super) fn replace(run: &Run<'_>, values: &[Value]) -> Result<Value, EvalError> {
    let (Some(text), Some(part), Some(new)) = (text_of(values, 0), text_of(values, 1), text_of(values, 2)) else {
        return Ok(Value::Undefined);
    };
    // Counted first: a short statement must not make a long text longer and longer.
    let count = text.matches(&part).count();
    run.charge(text.len().saturating_add(count.saturating_mul(new.len())))?;
    Ok(Value::Text(text.replace(&part, &new)))
}
