//! Values as text, and JSON as values.

use std::sync::Arc;

use super::budget::Budget;
use super::error::Outcome;
use super::heap::{Heap, List, Map, Value};
use super::java;
use super::render::Renderer;
use crate::json::Json;

/// Steps for one entry of a map: it costs more memory than other values.
const ENTRY_STEPS: usize = 4;

impl<'t> Renderer<'t, '_> {
    /// A value as it prints.
    pub(super) fn text_of(&mut self, value: &Value<'t>) -> Outcome<Arc<str>> {
        match value {
            Value::Text(text) => Ok(text.clone()),
            Value::Block(block) => Ok(self.captured(block)?.into()),
            value => {
                let mut out = String::new();
                let mut printer = Printer { heap: &self.heap, budget: &mut self.budget };
                printer.print(value, false, &mut out)?;
                Ok(out.into())
            }
        }
    }

    /// JSON as a value. JSON is at most 128 levels deep where it comes from text.
    pub(super) fn json_value(&mut self, json: &Json) -> Outcome<Value<'t>> {
        self.budget.step(1)?;
        match json {
            Json::Null => Ok(Value::Null),
            Json::Bool(value) => Ok(Value::Bool(*value)),
            Json::Number(number) => {
                Ok(number.as_i64().map(Value::Int).or_else(|| number.as_f64().map(Value::Float)).unwrap_or(Value::Null))
            }
            Json::Text(text) => self.new_text(text),
            Json::List(items) => {
                self.budget.enter()?;
                let items = items.iter().map(|item| self.json_value(item)).collect::<Outcome<_>>()?;
                self.budget.leave();
                Ok(self.heap.add_list(List { items, is_json: true }))
            }
            Json::Object(members) => {
                self.budget.enter()?;
                let mut map = Map::of_json();
                for (name, value) in members.iter() {
                    self.budget.step(ENTRY_STEPS)?;
                    self.budget.make(name.len())?;
                    map.put(name.into(), self.json_value(value)?);
                }
                self.budget.leave();
                Ok(self.heap.add_map(map))
            }
        }
    }

    pub(super) fn new_text(&mut self, text: &str) -> Outcome<Value<'t>> {
        self.budget.make(text.len())?;
        Ok(Value::Text(text.into()))
    }
}

struct Printer<'r, 't> {
    heap: &'r Heap<'t>,
    budget: &'r mut Budget,
}

impl Printer<'_, '_> {
    fn print(&mut self, value: &Value<'_>, as_json: bool, out: &mut String) -> Outcome<()> {
        match value {
            Value::Null => self.budget.write(out, "null"),
            Value::Bool(value) => self.budget.write(out, if *value { "true" } else { "false" }),
            Value::Int(value) => self.budget.write(out, &value.to_string()),
            Value::Float(value) => self.budget.write(out, &java::float(*value)),
            Value::Text(text) if as_json => self.quoted(text, out),
            Value::Text(text) => self.budget.write(out, text),
            Value::List(id) => self.list(self.heap.list(*id), as_json, out),
            Value::Map(id) => self.map(self.heap.map(*id), as_json, out),
            Value::Input | Value::Util | Value::Loop(_) | Value::Block(_) => Ok(()),
        }
    }

    fn quoted(&mut self, text: &str, out: &mut String) -> Outcome<()> {
        self.budget.write(out, &Json::Text(text.to_owned()).to_string())
    }

    fn list(&mut self, list: &List<'_>, as_json: bool, out: &mut String) -> Outcome<()> {
        let as_json = as_json || list.is_json;
        self.budget.enter()?;
        self.budget.write(out, "[")?;
        for (at, item) in list.items.iter().enumerate() {
            if at > 0 {
                self.budget.write(out, if as_json { "," } else { ", " })?;
            }
            self.print(item, as_json, out)?;
        }
        self.budget.leave();
        self.budget.write(out, "]")
    }

    fn map(&mut self, map: &Map<'_>, as_json: bool, out: &mut String) -> Outcome<()> {
        self.budget.enter()?;
        self.budget.write(out, "{")?;
        for (at, (key, value)) in map.entries().iter().enumerate() {
            if at > 0 {
                self.budget.write(out, if as_json { "," } else { ", " })?;
            }
            if as_json {
                self.quoted(key, out)?;
                self.budget.write(out, ":")?;
            } else {
                self.budget.write(out, key)?;
                self.budget.write(out, "=")?;
            }
            self.print(value, as_json, out)?;
        }
        self.budget.leave();
        self.budget.write(out, "}")
    }
}
