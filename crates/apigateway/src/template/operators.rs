//! Arithmetic and comparisons.

use std::cmp::Ordering;

use super::ast::Operator;
use super::error::Outcome;
use super::heap::Value;
use super::render::Renderer;

impl<'t> Renderer<'t, '_> {
    /// What does not go together is null; comparisons of it are false.
    pub(super) fn operate(&mut self, operator: Operator, left: &Value<'t>, right: &Value<'t>) -> Outcome<Value<'t>> {
        let order = || compare(left, right);
        Ok(match operator {
            Operator::Equal => Value::Bool(self.is_equal(left, right)?),
            Operator::Unequal => Value::Bool(!self.is_equal(left, right)?),
            Operator::Less => Value::Bool(order() == Some(Ordering::Less)),
            Operator::Greater => Value::Bool(order() == Some(Ordering::Greater)),
            Operator::AtMost => Value::Bool(order().is_some_and(Ordering::is_le)),
            Operator::AtLeast => Value::Bool(order().is_some_and(Ordering::is_ge)),
            Operator::Add if matches!(left, Value::Text(_)) || matches!(right, Value::Text(_)) => {
                let (left, right) = (self.text_of(left)?, self.text_of(right)?);
                self.budget.make(left.len() + right.len())?;
                Value::Text(format!("{left}{right}").into())
            }
            _ => match (left, right) {
                (Value::Int(left), Value::Int(right)) => of_ints(operator, *left, *right),
                _ => of_floats(operator, left, right),
            },
        })
    }

    /// Values of different kinds are equal if they print the same; null is equal to the empty text.
    pub(super) fn is_equal(&mut self, left: &Value<'t>, right: &Value<'t>) -> Outcome<bool> {
        self.budget.step(1)?;
        Ok(match (left, right) {
            (Value::Null, Value::Null) => true,
            (Value::Null, Value::Text(text)) | (Value::Text(text), Value::Null) => text.is_empty(),
            (Value::Null, _) | (_, Value::Null) => false,
            (Value::Bool(left), Value::Bool(right)) => left == right,
            (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => {
                compare(left, right) == Some(Ordering::Equal)
            }
            (Value::List(left), Value::List(right)) if left == right => true,
            (Value::Map(left), Value::Map(right)) if left == right => true,
            _ => {
                let (left, right) = (self.text_of(left)?, self.text_of(right)?);
                self.budget.read(left.len().min(right.len()))?;
                left == right
            }
        })
    }
}

fn compare(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        _ => number(left)?.partial_cmp(&number(right)?),
    }
}

#[expect(clippy::cast_precision_loss, reason = "as with every double")]
fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        _ => None,
    }
}

fn of_ints(operator: Operator, left: i64, right: i64) -> Value<'static> {
    let result = match operator {
        Operator::Add => Some(left.wrapping_add(right)),
        Operator::Subtract => Some(left.wrapping_sub(right)),
        Operator::Multiply => Some(left.wrapping_mul(right)),
        Operator::Divide if right != 0 => Some(left.wrapping_div(right)),
        Operator::Remainder if right != 0 => Some(left.wrapping_rem(right)),
        _ => None,
    };
    result.map_or(Value::Null, Value::Int)
}

fn of_floats(operator: Operator, left: &Value<'_>, right: &Value<'_>) -> Value<'static> {
    let (Some(left), Some(right)) = (number(left), number(right)) else { return Value::Null };
    match operator {
        Operator::Add => Value::Float(left + right),
        Operator::Subtract => Value::Float(left - right),
        Operator::Multiply => Value::Float(left * right),
        Operator::Divide if right != 0.0 => Value::Float(left / right),
        Operator::Remainder if right != 0.0 => Value::Float(left % right),
        _ => Value::Null,
    }
}
