//! Running expressions on one message.

use std::borrow::Cow;
use std::cell::Cell;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use serde_json::{Map, Value as Json};

use super::ast::{Expr, Step};
use super::error::EvalError;
use super::functions::Function;
use super::input::Input;
use super::operators;
use super::value::{Value, weight};

/// Work that every run may do, whatever the size of its message, in bytes.
const WORK_BYTES: u64 = 4 * 1024 * 1024;
/// Work that each byte of the payload adds.
const WORK_BYTES_PER_PAYLOAD_BYTE: u64 = 32;
/// What looking at one node of the tree counts, in bytes.
const NODE_BYTES: usize = 4;

/// One run: its message, and how much work is left.
pub(super) struct Run<'a> {
    pub(super) input: &'a Input<'a>,
    limit: u64,
    left: Cell<u64>,
}

/// The object that fields are taken from: the payload, or an item of a nested `SELECT`.
pub(super) type Scope<'a> = Option<&'a Json>;

impl<'a> Run<'a> {
    pub(super) fn new(input: &'a Input<'a>) -> Self {
        let payload_bytes = input.payload().len() as u64;
        let limit = WORK_BYTES.saturating_add(payload_bytes.saturating_mul(WORK_BYTES_PER_PAYLOAD_BYTE));
        Self { input, limit, left: Cell::new(limit) }
    }

    /// Takes `bytes` from the allowance; call it before doing the work.
    pub(super) fn charge(&self, bytes: usize) -> Result<(), EvalError> {
        let left = self.left.get().checked_sub(bytes as u64);
        self.left.set(left.ok_or(EvalError::TooMuchWork { limit: self.limit })?);
        Ok(())
    }

    /// A copy of `json`, paid for.
    pub(super) fn copy(&self, json: &Json) -> Result<Json, EvalError> {
        self.charge(weight(json))?;
        Ok(json.clone())
    }

    pub(super) fn eval(&self, scope: Scope<'_>, expr: &Expr) -> Result<Value, EvalError> {
        self.charge(NODE_BYTES)?;
        Ok(match expr {
            Expr::Literal(_) | Expr::Star | Expr::Field(_) | Expr::Path { .. } => match self.find(scope, expr)? {
                Some(Cow::Borrowed(json)) => Value::from(self.copy(json)?),
                Some(Cow::Owned(json)) => Value::from(json),
                None => Value::Undefined,
            },
            Expr::Array(items) => Value::Array(self.array(scope, items)?),
            Expr::Object(fields) => Value::Object(self.object(scope, fields)?),
            Expr::Negate(inner) => operators::negate(&self.eval(scope, inner)?),
            Expr::Not(inner) => operators::not(&self.eval(scope, inner)?),
            Expr::Chain { first, rest } => {
                let mut left = self.eval(scope, first)?;
                for (operator, right) in rest {
                    let right = self.eval(scope, right)?;
                    self.charge(left.bytes() + right.bytes())?;
                    left = operators::apply(*operator, left, right);
                }
                left
            }
            Expr::Case { subject, branches, otherwise } => self.case(scope, subject, branches, otherwise.as_deref())?,
            Expr::Cast(inner, to) => operators::cast(&self.eval(scope, inner)?, *to),
            Expr::Call { function, arguments, pattern } => self.call(scope, function, arguments, pattern.as_ref())?,
            Expr::Nested { select, source } => {
                let source = self.find(scope, source)?;
                select.over(self, source.as_deref())?
            }
        })
    }

    /// The value of `expr`, without a copy where it stands in the message or the statement.
    pub(super) fn find<'s>(&self, scope: Scope<'s>, expr: &'s Expr) -> Result<Option<Cow<'s, Json>>, EvalError> {
        Ok(match expr {
            Expr::Literal(json) => Some(Cow::Borrowed(json)),
            Expr::Star => scope.map(Cow::Borrowed),
            Expr::Field(name) => scope.and_then(|json| json.get(name)).map(Cow::Borrowed),
            Expr::Path { base, steps } => {
                let mut found = self.find(scope, base)?;
                for step in steps {
                    self.charge(NODE_BYTES)?;
                    let Some(json) = found else { break };
                    found = match step {
                        Step::Name(name) => member(json, name),
                        Step::Index(index) => element(json, &self.eval(scope, index)?),
                    };
                }
                found
            }
            _ => self.eval(scope, expr)?.into_json().map(Cow::Owned),
        })
    }

    fn array(&self, scope: Scope<'_>, items: &[Expr]) -> Result<Vec<Json>, EvalError> {
        let mut array = Vec::with_capacity(items.len());
        for item in items {
            array.extend(self.eval(scope, item)?.into_json());
        }
        Ok(array)
    }

    fn object(&self, scope: Scope<'_>, fields: &[(String, Expr)]) -> Result<Map<String, Json>, EvalError> {
        let mut object = Map::new();
        for (name, value) in fields {
            if let Some(value) = self.eval(scope, value)?.into_json() {
                self.charge(name.len())?;
                object.insert(name.clone(), value);
            }
        }
        Ok(object)
    }

    fn case(
        &self,
        scope: Scope<'_>,
        subject: &Expr,
        branches: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
    ) -> Result<Value, EvalError> {
        let subject = self.eval(scope, subject)?;
        for (when, then) in branches {
            if operators::equal(&subject, &self.eval(scope, when)?) == Some(true) {
                return self.eval(scope, then);
            }
        }
        otherwise.map_or(Ok(Value::Undefined), |otherwise| self.eval(scope, otherwise))
    }

    fn call(
        &self,
        scope: Scope<'_>,
        function: &Function,
        arguments: &[Expr],
        pattern: Option<&Regex>,
    ) -> Result<Value, EvalError> {
        // The only function that sees a payload that is not JSON.
        if function.name == "encode"
            && let [Expr::Star, scheme] = arguments
            && scope.is_none_or(|scope| self.input.json().is_some_and(|whole| std::ptr::eq(whole, scope)))
        {
            let is_base64 = self.eval(scope, scheme)? == Value::text("base64");
            self.charge(self.input.payload().len() * 2)?;
            return Ok(if is_base64 { Value::Text(STANDARD.encode(self.input.payload())) } else { Value::Undefined });
        }
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(self.eval(scope, argument)?);
        }
        function.call(self, &values, pattern)
    }
}

fn member<'s>(json: Cow<'s, Json>, name: &str) -> Option<Cow<'s, Json>> {
    match json {
        Cow::Borrowed(json) => json.get(name).map(Cow::Borrowed),
        Cow::Owned(Json::Object(mut fields)) => fields.remove(name).map(Cow::Owned),
        Cow::Owned(_) => None,
    }
}

/// `[0]` of an array, `['name']` of an object.
fn element<'s>(json: Cow<'s, Json>, index: &Value) -> Option<Cow<'s, Json>> {
    if let Value::Text(name) = index
        && json.is_object()
    {
        return member(json, name);
    }
    let index = usize::try_from(index.to_i64()?).ok()?;
    match json {
        Cow::Borrowed(json) => json.get(index).map(Cow::Borrowed),
        Cow::Owned(Json::Array(mut items)) if index < items.len() => Some(Cow::Owned(items.swap_remove(index))),
        Cow::Owned(_) => None,
    }
}
