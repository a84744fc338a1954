//! Values of expressions.

use super::ast::{Block, Expression, Operator};
use super::error::{Outcome, Place};
use super::heap::{List, Map, Value};
use super::references::Seen;
use super::render::Renderer;

impl<'t> Renderer<'t, '_> {
    pub(super) fn value(&mut self, expression: &'t Expression) -> Outcome<Value<'t>> {
        self.budget.step(1)?;
        self.budget.enter()?;
        let value = self.value_within(expression)?;
        self.budget.leave();
        Ok(value)
    }

    fn value_within(&mut self, expression: &'t Expression) -> Outcome<Value<'t>> {
        match expression {
            Expression::Null => Ok(Value::Null),
            Expression::Bool(value) => Ok(Value::Bool(*value)),
            Expression::Int(value) => Ok(Value::Int(*value)),
            Expression::Float(value) => Ok(Value::Float(*value)),
            Expression::Text(text) => Ok(Value::Text(text.clone())),
            Expression::Interpolated(block) => self.interpolated(block),
            Expression::List(items) => {
                let items = self.values(items)?;
                Ok(self.heap.add_list(List { items, is_json: false }))
            }
            Expression::Range(ends, place) => self.range(&ends.0, &ends.1, *place),
            Expression::Map(entries) => self.map(entries),
            Expression::Reference(reference) => Ok(match self.look(reference)? {
                Seen::Value(value) => value,
                Seen::Missing { .. } => Value::Null,
            }),
            Expression::Not(inner) => Ok(Value::Bool(!self.value(inner)?.is_true())),
            Expression::Negative(inner) => Ok(match self.value(inner)? {
                Value::Int(value) => Value::Int(value.wrapping_neg()),
                Value::Float(value) => Value::Float(-value),
                _ => Value::Null,
            }),
            Expression::Binary(..) => self.row(expression),
        }
    }

    pub(super) fn values(&mut self, expressions: &'t [Expression]) -> Outcome<Vec<Value<'t>>> {
        expressions.iter().map(|expression| self.value(expression)).collect()
    }

    fn interpolated(&mut self, block: &'t Block) -> Outcome<Value<'t>> {
        Ok(Value::Text(self.captured(block)?.into()))
    }

    fn map(&mut self, entries: &'t [(Expression, Expression)]) -> Outcome<Value<'t>> {
        let mut map = Map::default();
        for (key, value) in entries {
            let key = self.value(key)?;
            let key = self.text_of(&key)?;
            map.put(key, self.value(value)?);
        }
        Ok(self.heap.add_map(map))
    }

    /// `[1..9]`, or downwards.
    fn range(&mut self, first: &'t Expression, last: &'t Expression, place: Place) -> Outcome<Value<'t>> {
        let (first, last) = (self.value(first)?, self.value(last)?);
        let (Value::Int(first), Value::Int(last)) = (first, last) else {
            return Err(place.error("a range needs two whole numbers, as in [1..9]"));
        };
        self.budget.place = place;
        self.budget.step(usize::try_from(first.abs_diff(last)).unwrap_or(usize::MAX))?;
        let items: Vec<Value<'t>> = match first <= last {
            true => (first..=last).map(Value::Int).collect(),
            false => (last..=first).rev().map(Value::Int).collect(),
        };
        Ok(self.heap.add_list(List { items, is_json: false }))
    }

    /// Operators of one row, from the left. They hold each other on their left sides, as deep as the row
    /// is long.
    fn row(&mut self, expression: &'t Expression) -> Outcome<Value<'t>> {
        let mut row = Vec::new();
        let mut first = expression;
        while let Expression::Binary(operator, sides) = first {
            row.push((*operator, &sides.1));
            first = &sides.0;
        }
        let mut left = self.value(first)?;
        for (operator, right) in row.into_iter().rev() {
            self.budget.step(1)?;
            left = match operator {
                Operator::And => Value::Bool(left.is_true() && self.value(right)?.is_true()),
                Operator::Or => Value::Bool(left.is_true() || self.value(right)?.is_true()),
                _ => {
                    let right = self.value(right)?;
                    self.operate(operator, &left, &right)?
                }
            };
        }
        Ok(left)
    }
}
