//! What references mean.

use std::sync::Arc;

use super::ast::{Access, Expression, Reference};
use super::error::Outcome;
use super::heap::{Map, Value};
use super::render::Renderer;
use crate::json::Json;

/// What is there without `#set`; what is missing in it prints nothing.
const BUILT_IN: [&str; 4] = ["input", "util", "context", "stageVariables"];

/// What a reference leads to.
#[derive(Debug)]
pub(super) enum Seen<'t> {
    /// Not null.
    Value(Value<'t>),
    /// Nothing. Where that is silent, nothing is printed for it.
    Missing { is_silent: bool },
}

impl<'t> Seen<'t> {
    pub(super) fn of(value: Option<Value<'t>>, is_silent: bool) -> Self {
        match value {
            None | Some(Value::Null) => Self::Missing { is_silent },
            Some(value) => Self::Value(value),
        }
    }

    pub(super) fn some(value: Value<'t>) -> Self {
        Self::of(Some(value), false)
    }
}

impl<'t> Renderer<'t, '_> {
    pub(super) fn look(&mut self, reference: &'t Reference) -> Outcome<Seen<'t>> {
        Ok(match self.follow(reference, &reference.accesses)? {
            Seen::Missing { .. } if BUILT_IN.contains(&&*reference.name) => Seen::Missing { is_silent: true },
            seen => seen,
        })
    }

    /// Goes along some of the accesses. Of nothing there is nothing more.
    fn follow(&mut self, reference: &'t Reference, accesses: &'t [Access]) -> Outcome<Seen<'t>> {
        self.budget.place = reference.place;
        self.budget.step(1)?;
        let mut seen = self.named(&reference.name)?;
        for access in accesses {
            self.budget.step(1)?;
            let value = match seen {
                Seen::Value(value) => value,
                Seen::Missing { .. } => return Ok(seen),
            };
            seen = match access {
                Access::Property(name) => self.property(&value, name)?,
                Access::Index(index) => self.item(&value, index)?,
                Access::Call(name, arguments) => {
                    let arguments = self.values(arguments)?;
                    self.budget.place = reference.place;
                    self.call(&value, name, arguments)?
                }
            };
        }
        Ok(seen)
    }

    fn named(&mut self, name: &str) -> Outcome<Seen<'t>> {
        if let Some(value) = self.names.get(name) {
            return Ok(Seen::of(Some(value.clone()), true));
        }
        let value = match name {
            "input" => Value::Input,
            "util" => Value::Util,
            "context" => self.context()?,
            "stageVariables" => self.stage_variables()?,
            "foreach" if !self.loops.is_empty() => Value::Loop(self.loops.len() - 1),
            "velocityCount" => return Ok(Seen::of(self.loops.last().map(|round| count(round.index + 1)), false)),
            _ => Value::Null,
        };
        Ok(Seen::some(value))
    }

    fn context(&mut self) -> Outcome<Value<'t>> {
        if let Some(value) = &self.context {
            return Ok(value.clone());
        }
        let mut map = Map::of_json();
        for (name, value) in self.data.scope.context {
            let value = self.json_value(&Json::from(value))?;
            map.put(name.as_str().into(), value);
        }
        let value = self.heap.add_map(map);
        self.context = Some(value.clone());
        Ok(value)
    }

    fn stage_variables(&mut self) -> Outcome<Value<'t>> {
        if let Some(value) = &self.stage_variables {
            return Ok(value.clone());
        }
        let mut map = Map::of_json();
        for (name, value) in self.data.scope.stage_variables {
            let value = self.new_text(value)?;
            map.put(name.as_str().into(), value);
        }
        let value = self.heap.add_map(map);
        self.stage_variables = Some(value.clone());
        Ok(value)
    }

    fn property(&mut self, value: &Value<'t>, name: &str) -> Outcome<Seen<'t>> {
        Ok(match value {
            Value::Map(id) => {
                let map = self.heap.map(*id);
                Seen::of(map.get(name).cloned(), map.is_json)
            }
            Value::List(id) => {
                let list = self.heap.list(*id);
                let is_empty = (name == "empty").then_some(Value::Bool(list.items.is_empty()));
                Seen::of(is_empty, list.is_json)
            }
            Value::Text(text) => Seen::of((name == "empty").then_some(Value::Bool(text.is_empty())), false),
            Value::Input if name == "body" => self.body()?,
            Value::Loop(at) => self.of_loop(*at, name),
            _ => Seen::Missing { is_silent: false },
        })
    }

    /// `$foreach.index` and the like.
    pub(super) fn of_loop(&self, at: usize, name: &str) -> Seen<'t> {
        // A loop that is over has nothing to say.
        let value = self.loops.get(at).and_then(|round| match name {
            "index" => Some(count(round.index)),
            "count" => Some(count(round.index + 1)),
            "hasNext" => Some(Value::Bool(round.index + 1 < round.total)),
            "first" | "isFirst" => Some(Value::Bool(round.index == 0)),
            "last" | "isLast" => Some(Value::Bool(round.index + 1 == round.total)),
            "parent" => at.checked_sub(1).map(Value::Loop),
            "topmost" => Some(Value::Loop(0)),
            _ => None,
        });
        Seen::of(value, false)
    }

    fn item(&mut self, value: &Value<'t>, index: &'t Expression) -> Outcome<Seen<'t>> {
        let index = self.value(index)?;
        self.item_at(value, &index)
    }

    /// What stands in a list or map under an index or key.
    pub(super) fn item_at(&mut self, value: &Value<'t>, index: &Value<'t>) -> Outcome<Seen<'t>> {
        match value {
            Value::Map(id) => {
                let key = self.text_of(index)?;
                let map = self.heap.map(*id);
                Ok(Seen::of(map.get(&key).cloned(), map.is_json))
            }
            Value::List(id) => {
                let list = self.heap.list(*id);
                let at = position(index);
                Ok(Seen::of(at.and_then(|at| list.items.get(at).cloned()), list.is_json))
            }
            _ => Ok(Seen::Missing { is_silent: false }),
        }
    }

    /// `#set`.
    pub(super) fn set(&mut self, target: &'t Reference, value: &'t Expression) -> Outcome<()> {
        let value = self.value(value)?;
        let Some((last, path)) = target.accesses.split_last() else {
            self.names.insert(&target.name, value);
            return Ok(());
        };
        let holder = self.follow(target, path)?;
        let key = match last {
            Access::Property(name) => Value::Text(name.clone()),
            Access::Index(index) => self.value(index)?,
            Access::Call(..) => return self.budget.fail("a method cannot be set; write $x.name or $x[0]"),
        };
        self.budget.place = target.place;
        match holder {
            Seen::Value(Value::Map(id)) => {
                let key: Arc<str> = self.text_of(&key)?;
                self.heap.map_mut(id).put(key, value);
                Ok(())
            }
            Seen::Value(Value::List(id)) => self.set_item(id, &key, value).map(drop),
            _ => self.budget.fail(format!("{} cannot be set: it is in no map and no list", target.source)),
        }
    }
}

/// A count as a value.
pub(super) fn count(count: usize) -> Value<'static> {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A position in a list, from its front.
pub(super) fn position(value: &Value<'_>) -> Option<usize> {
    match value {
        Value::Int(at) => usize::try_from(*at).ok(),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}
