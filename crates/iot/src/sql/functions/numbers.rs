//! Functions on numbers, and tests for missing values.

use super::or_undefined;
use crate::sql::operators;
use crate::sql::value::{Numeric, Value};

/// Most decimal places that `trunc` keeps; a 64-bit float has no more.
const PLACES_MAX: i64 = 17;

fn number(values: &[Value]) -> Option<Numeric> {
    values.first().and_then(Value::to_number)
}

fn rounded(values: &[Value], round: fn(f64) -> f64) -> Value {
    match number(values) {
        Some(Numeric::Int(number)) => Value::Int(number),
        Some(Numeric::Decimal(number)) => Value::whole(round(number)),
        None => Value::Undefined,
    }
}

/// A function on floats; a result that is no finite number is Undefined.
pub(super) fn float(values: &[Value], function: fn(f64) -> f64) -> Value {
    number(values).map_or(Value::Undefined, |number| Value::decimal(function(number.as_f64())))
}

pub(super) fn abs(values: &[Value]) -> Value {
    match number(values) {
        Some(Numeric::Int(number)) => number.checked_abs().map_or(Value::decimal((number as f64).abs()), Value::Int),
        Some(Numeric::Decimal(number)) => Value::decimal(number.abs()),
        None => Value::Undefined,
    }
}

pub(super) fn sign(values: &[Value]) -> Value {
    match number(values).map(Numeric::as_f64) {
        Some(number) if number > 0.0 => Value::Int(1),
        Some(number) if number < 0.0 => Value::Int(-1),
        Some(_) => Value::Int(0),
        None => Value::Undefined,
    }
}

pub(super) fn floor(values: &[Value]) -> Value {
    rounded(values, f64::floor)
}

pub(super) fn ceil(values: &[Value]) -> Value {
    rounded(values, f64::ceil)
}

/// To the nearest Int; halves go away from zero.
pub(super) fn round(values: &[Value]) -> Value {
    rounded(values, f64::round)
}

/// Cuts off all but so many decimal places.
pub(super) fn trunc(values: &[Value]) -> Value {
    let places = values.get(1).and_then(Value::to_i64);
    match (number(values), places) {
        (Some(Numeric::Int(number)), Some(_)) => Value::Int(number),
        (Some(Numeric::Decimal(number)), Some(places)) => {
            let scale = 10_f64.powi(i32::try_from(places.clamp(0, PLACES_MAX)).unwrap_or_default());
            let cut = (number * scale).trunc() / scale;
            // So large a number has no such decimals to lose.
            if cut.is_finite() { Value::Decimal(cut) } else { Value::Decimal(number) }
        }
        _ => Value::Undefined,
    }
}

pub(super) fn remainder(values: &[Value]) -> Value {
    let [left, right] = values else { return Value::Undefined };
    operators::divided(left, right, i64::checked_rem, |left, right| left % right)
}

pub(super) fn power(values: &[Value]) -> Value {
    let exponent = values.get(1).and_then(Value::to_f64);
    or_undefined(number(values).zip(exponent).map(|(base, exponent)| Value::decimal(base.as_f64().powf(exponent))))
}

pub(super) fn bits(values: &[Value], combine: fn(i64, i64) -> i64) -> Value {
    let right = values.get(1).and_then(Value::to_i64);
    let left = values.first().and_then(Value::to_i64);
    or_undefined(left.zip(right).map(|(left, right)| Value::Int(combine(left, right))))
}

pub(super) fn rand(_: &[Value]) -> Value {
    Value::Decimal(fastrand::f64())
}

/// The first value, or the second if the first is missing.
pub(super) fn nanvl(values: &[Value]) -> Value {
    match values {
        [Value::Undefined | Value::Null, second] => second.clone(),
        [first, _] => first.clone(),
        _ => Value::Undefined,
    }
}

pub(super) fn is_null(values: &[Value]) -> Value {
    Value::Bool(matches!(values, [Value::Null]))
}

pub(super) fn is_undefined(values: &[Value]) -> Value {
    Value::Bool(matches!(values, [Value::Undefined]))
}
