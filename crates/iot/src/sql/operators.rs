//! Operators on values. What has no meaning is Undefined.

use std::cmp::Ordering;

use super::ast::{Operator, Type};
use super::value::{Numeric, Value, same_json};

/// `left operator right`.
pub(super) fn apply(operator: Operator, left: Value, right: Value) -> Value {
    match operator {
        Operator::And => logical(&left, &right, |left, right| left && right),
        Operator::Or => logical(&left, &right, |left, right| left || right),
        Operator::Equal => truth(equal(&left, &right)),
        Operator::NotEqual => truth(equal(&left, &right).map(|same| !same)),
        Operator::Less => compared(&left, &right, Ordering::is_lt),
        Operator::LessOrEqual => compared(&left, &right, Ordering::is_le),
        Operator::Greater => compared(&left, &right, Ordering::is_gt),
        Operator::GreaterOrEqual => compared(&left, &right, Ordering::is_ge),
        Operator::In => member(&left, right),
        Operator::Add => add(left, right),
        Operator::Subtract => arithmetic(&left, &right, i64::checked_sub, |left, right| left - right),
        Operator::Multiply => arithmetic(&left, &right, i64::checked_mul, |left, right| left * right),
        Operator::Divide => divided(&left, &right, i64::checked_div, |left, right| left / right),
        Operator::Remainder => divided(&left, &right, i64::checked_rem, |left, right| left % right),
    }
}

fn truth(truth: Option<bool>) -> Value {
    truth.map_or(Value::Undefined, Value::Bool)
}

fn logical(left: &Value, right: &Value, combine: fn(bool, bool) -> bool) -> Value {
    truth(left.to_bool().zip(right.to_bool()).map(|(left, right)| combine(left, right)))
}

/// `None` if either side is Undefined; different types are different.
pub(super) fn equal(left: &Value, right: &Value) -> Option<bool> {
    Some(match (left, right) {
        (Value::Undefined, _) | (_, Value::Undefined) => return None,
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Text(left), Value::Text(right)) => left == right,
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same_json(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| same_json(left, right)))
        }
        _ => match (left.number(), right.number()) {
            (Some(left), Some(right)) => order(left, right) == Some(Ordering::Equal),
            _ => false,
        },
    })
}

fn order(left: Numeric, right: Numeric) -> Option<Ordering> {
    match (left, right) {
        (Numeric::Int(left), Numeric::Int(right)) => Some(left.cmp(&right)),
        _ => left.as_f64().partial_cmp(&right.as_f64()),
    }
}

fn compared(left: &Value, right: &Value, holds: fn(Ordering) -> bool) -> Value {
    let order = left.to_number().zip(right.to_number()).and_then(|(left, right)| order(left, right));
    truth(order.map(holds))
}

fn member(left: &Value, right: Value) -> Value {
    match right {
        Value::Array(items) if *left != Value::Undefined => {
            Value::Bool(items.into_iter().any(|item| equal(left, &Value::from(item)) == Some(true)))
        }
        _ => Value::Undefined,
    }
}

/// Joins if either side is a string, otherwise adds numbers.
fn add(left: Value, right: Value) -> Value {
    if matches!(left, Value::Text(_)) || matches!(right, Value::Text(_)) {
        return match (left, right.to_text()) {
            (Value::Text(left), Some(right)) => Value::Text(left + &right),
            (left, Some(right)) => left.to_text().map_or(Value::Undefined, |left| Value::Text(left + &right)),
            _ => Value::Undefined,
        };
    }
    arithmetic(&left, &right, i64::checked_add, |left, right| left + right)
}

/// Exact on two Ints while the result fits, otherwise on floats.
fn arithmetic(left: &Value, right: &Value, exact: fn(i64, i64) -> Option<i64>, rounded: fn(f64, f64) -> f64) -> Value {
    let Some((left, right)) = left.to_number().zip(right.to_number()) else { return Value::Undefined };
    if let (Numeric::Int(left), Numeric::Int(right)) = (left, right)
        && let Some(result) = exact(left, right)
    {
        return Value::Int(result);
    }
    Value::decimal(rounded(left.as_f64(), right.as_f64()))
}

/// Like [`arithmetic`]; by zero is Undefined. Two Ints give an Int, cut towards zero.
pub(super) fn divided(
    left: &Value,
    right: &Value,
    exact: fn(i64, i64) -> Option<i64>,
    rounded: fn(f64, f64) -> f64,
) -> Value {
    if right.to_f64() == Some(0.0) {
        return Value::Undefined;
    }
    arithmetic(left, right, exact, rounded)
}

pub(super) fn negate(value: &Value) -> Value {
    match value.to_number() {
        Some(Numeric::Int(number)) => number.checked_neg().map_or(Value::decimal(-(number as f64)), Value::Int),
        Some(Numeric::Decimal(number)) => Value::decimal(-number),
        None => Value::Undefined,
    }
}

pub(super) fn not(value: &Value) -> Value {
    truth(value.to_bool().map(|truth| !truth))
}

pub(super) fn cast(value: &Value, to: Type) -> Value {
    match (to, value) {
        (Type::Text, _) => value.to_text().map_or(Value::Undefined, Value::Text),
        (Type::Int, Value::Bool(truth)) => Value::Int(i64::from(*truth)),
        (Type::Int, _) => value.to_i64().map_or(Value::Undefined, Value::Int),
        (Type::Decimal, Value::Bool(truth)) => Value::Decimal(f64::from(u8::from(*truth))),
        (Type::Decimal, _) => match value.to_number() {
            Some(Numeric::Int(number)) => Value::Int(number),
            Some(Numeric::Decimal(number)) => Value::decimal(number),
            None => Value::Undefined,
        },
        (Type::Boolean, Value::Int(number)) => Value::Bool(*number != 0),
        (Type::Boolean, Value::Decimal(number)) => Value::Bool(*number != 0.0),
        (Type::Boolean, _) => truth(value.to_bool()),
    }
}
