//! `SELECT`: from one object to a new one.

use serde_json::{Map, Value as Json};

use super::ast::{Item, Projection, Select};
use super::error::EvalError;
use super::eval::{Run, Scope};
use super::value::Value;

impl Select {
    /// The result for one object; `None` if `WHERE` is not exactly true or the value is Undefined.
    pub(super) fn one(&self, run: &Run<'_>, scope: Scope<'_>) -> Result<Option<Json>, EvalError> {
        if !self.accepts(run, scope)? {
            return Ok(None);
        }
        match &self.projection {
            Projection::Value(value) => Ok(run.eval(scope, value)?.into_json()),
            Projection::Items(items) => project(run, scope, items),
        }
    }

    /// The nested form: over every element of an array, or once over anything else.
    pub(super) fn over(&self, run: &Run<'_>, source: Scope<'_>) -> Result<Value, EvalError> {
        match source {
            None => Ok(Value::Undefined),
            Some(Json::Array(items)) => {
                let mut results = Vec::new();
                for item in items {
                    results.extend(self.one(run, Some(item))?);
                }
                Ok(Value::Array(results))
            }
            Some(object) => Ok(self.one(run, Some(object))?.map_or(Value::Undefined, Value::from)),
        }
    }

    pub(super) fn accepts(&self, run: &Run<'_>, scope: Scope<'_>) -> Result<bool, EvalError> {
        match &self.condition {
            None => Ok(true),
            Some(condition) => Ok(run.eval(scope, condition)? == Value::Bool(true)),
        }
    }

    /// `SELECT *` or `SELECT VALUE *`: the payload as it is.
    pub(super) fn is_everything(&self) -> bool {
        match &self.projection {
            Projection::Value(value) => matches!(value, super::ast::Expr::Star),
            Projection::Items(items) => matches!(items[..], [Item::All]),
        }
    }
}

fn project(run: &Run<'_>, scope: Scope<'_>, items: &[Item]) -> Result<Option<Json>, EvalError> {
    if let [Item::All] = items {
        return scope.map(|json| run.copy(json)).transpose();
    }
    let mut object = Map::new();
    for item in items {
        match item {
            Item::All => {
                // A payload that is no object has no fields to merge.
                if let Some(Json::Object(fields)) = scope {
                    for (name, value) in fields {
                        run.charge(name.len())?;
                        object.insert(name.clone(), run.copy(value)?);
                    }
                }
            }
            Item::Named { value, name } => {
                if let Some(value) = run.eval(scope, value)?.into_json() {
                    run.charge(name.iter().map(|name| name.len() + 16).sum())?;
                    put(&mut object, name, value);
                }
            }
        }
    }
    Ok(Some(Json::Object(object)))
}

/// Puts `value` at the dotted `path`; what is in the way and no object gives way.
fn put(object: &mut Map<String, Json>, path: &[String], value: Json) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut place = object;
    for name in parents {
        let inner = place.entry(name.as_str()).or_insert(Json::Null);
        if !inner.is_object() {
            *inner = Json::Object(Map::new());
        }
        let Json::Object(inner) = inner else { return };
        place = inner;
    }
    place.insert(last.clone(), value);
}
