//! Methods of lists, maps and numbers.

use std::sync::Arc;

use super::error::Outcome;
use super::heap::{List, ListId, Map, MapId, Value};
use super::references::{Seen, count, position};
use super::render::Renderer;

/// Items of a list that a change in its middle moves in one step.
const MOVED_A_STEP: usize = 16;

impl<'t> Renderer<'t, '_> {
    /// Calls a method. One that is not there is an error: templates are not written for that.
    pub(super) fn call(&mut self, value: &Value<'t>, name: &str, arguments: Vec<Value<'t>>) -> Outcome<Seen<'t>> {
        match (value, name, arguments.as_slice()) {
            (Value::Input, ..) => return self.of_input(name, &arguments),
            (Value::Util, ..) => return self.of_util(name, &arguments),
            (Value::Loop(at), _, []) => return Ok(self.of_loop(*at, name)),
            (_, "toString", []) => return self.text_of(value).map(|text| Seen::some(Value::Text(text))),
            (_, "equals", [other]) => return Ok(Seen::some(Value::Bool(self.is_equal(value, other)?))),
            _ => {}
        }
        let found = match value {
            Value::Text(text) => self.of_text(&text.clone(), name, &arguments)?,
            Value::List(id) => self.of_list(*id, name, &arguments)?,
            Value::Map(id) => self.of_map(*id, name, &arguments)?,
            Value::Int(_) | Value::Float(_) => self.of_number(value, name, &arguments)?,
            _ => None,
        };
        match found {
            Some(seen) => Ok(seen),
            None => {
                let kind = kind(value);
                self.budget.fail(format!("{kind} has no method {name} with {} arguments", arguments.len()))
            }
        }
    }

    fn of_list(&mut self, id: ListId, name: &str, arguments: &[Value<'t>]) -> Outcome<Option<Seen<'t>>> {
        let length = self.heap.list(id).items.len();
        Ok(Some(match (name, arguments) {
            ("size", []) => Seen::some(count(length)),
            ("isEmpty", []) => Seen::some(Value::Bool(length == 0)),
            ("get", [index]) => match position(index) {
                Some(at) if at < length => self.item_at(&Value::List(id), index)?,
                _ => return self.out_of_range(length),
            },
            ("set", [index, item]) => Seen::of(Some(self.set_item(id, index, item.clone())?), true),
            ("add", [item]) => {
                self.heap.list_mut(id).items.push(item.clone());
                Seen::some(Value::Bool(true))
            }
            ("add", [index, item]) => {
                let Some(at) = position(index).filter(|at| *at <= length) else { return self.out_of_range(length) };
                self.budget.step(length / MOVED_A_STEP)?;
                self.heap.list_mut(id).items.insert(at, item.clone());
                Seen::Missing { is_silent: true }
            }
            ("addAll", [Value::List(other)]) => {
                let more = self.heap.list(*other).items.clone();
                self.budget.step(more.len())?;
                let is_changed = !more.is_empty();
                self.heap.list_mut(id).items.extend(more);
                Seen::some(Value::Bool(is_changed))
            }
            ("remove", [index @ Value::Int(_)]) => {
                let Some(at) = position(index).filter(|at| *at < length) else { return self.out_of_range(length) };
                self.budget.step(length / MOVED_A_STEP)?;
                Seen::of(Some(self.heap.list_mut(id).items.remove(at)), true)
            }
            ("contains", [item]) => Seen::some(Value::Bool(self.find(id, item)?.is_some())),
            ("indexOf", [item]) => Seen::some(self.find(id, item)?.map_or(Value::Int(-1), count)),
            ("subList", [from, to]) => {
                let (Some(from), Some(to)) = (position(from), position(to).filter(|to| *to <= length)) else {
                    return self.out_of_range(length);
                };
                if from > to {
                    return self.out_of_range(length);
                }
                self.budget.step(to - from)?;
                let list = self.heap.list(id);
                let part = List { items: list.items[from..to].to_vec(), is_json: list.is_json };
                Seen::some(self.heap.add_list(part))
            }
            _ => return Ok(None),
        }))
    }

    fn out_of_range<T>(&self, length: usize) -> Outcome<T> {
        self.budget.fail(format!("there is no such position in a list of {length} items"))
    }

    /// Puts an item into its place, and gives the one that was there.
    pub(super) fn set_item(&mut self, id: ListId, index: &Value<'t>, item: Value<'t>) -> Outcome<Value<'t>> {
        let length = self.heap.list(id).items.len();
        let place = position(index).and_then(|at| self.heap.list_mut(id).items.get_mut(at));
        match place {
            Some(place) => Ok(std::mem::replace(place, item)),
            None => self.out_of_range(length),
        }
    }

    fn find(&mut self, id: ListId, wanted: &Value<'t>) -> Outcome<Option<usize>> {
        for at in 0..self.heap.list(id).items.len() {
            let item = self.heap.list(id).items[at].clone();
            if self.is_equal(&item, wanted)? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    fn of_map(&mut self, id: MapId, name: &str, arguments: &[Value<'t>]) -> Outcome<Option<Seen<'t>>> {
        let length = self.heap.map(id).entries().len();
        Ok(Some(match (name, arguments) {
            ("size", []) => Seen::some(count(length)),
            ("isEmpty", []) => Seen::some(Value::Bool(length == 0)),
            ("get", [key]) => self.item_at(&Value::Map(id), key)?,
            ("getOrDefault", [key, other]) => match self.item_at(&Value::Map(id), key)? {
                Seen::Missing { .. } => Seen::some(other.clone()),
                seen @ Seen::Value(_) => seen,
            },
            ("put", [key, item]) => {
                let key = self.text_of(key)?;
                let map = self.heap.map_mut(id);
                let is_json = map.is_json;
                Seen::of(map.put(key, item.clone()), is_json)
            }
            ("putAll", [Value::Map(other)]) => {
                let more = self.heap.map(*other).entries().to_vec();
                self.budget.step(more.len())?;
                for (key, item) in more {
                    self.heap.map_mut(id).put(key, item);
                }
                Seen::Missing { is_silent: true }
            }
            ("remove", [key]) => {
                let key = self.text_of(key)?;
                self.budget.step(length)?;
                Seen::of(self.heap.map_mut(id).remove(&key), true)
            }
            ("containsKey", [key]) => {
                let key = self.text_of(key)?;
                Seen::some(Value::Bool(self.heap.map(id).get(&key).is_some()))
            }
            ("containsValue", [item]) => {
                let values = self.part(id, |_, value| value.clone())?;
                Seen::some(Value::Bool(self.find(values, item)?.is_some()))
            }
            ("keySet", []) => Seen::some(Value::List(self.part(id, |key, _| Value::Text(key.clone()))?)),
            ("values", []) => Seen::some(Value::List(self.part(id, |_, value| value.clone())?)),
            ("entrySet", []) => self.entries(id)?,
            // The methods of an entry, which is a map with `key` and `value`.
            ("getKey", []) => Seen::of(self.heap.map(id).get("key").cloned(), true),
            ("getValue", []) => Seen::of(self.heap.map(id).get("value").cloned(), true),
            _ => return Ok(None),
        }))
    }

    /// Something of every entry, as a new list.
    fn part(&mut self, id: MapId, of: impl Fn(&Arc<str>, &Value<'t>) -> Value<'t>) -> Outcome<ListId> {
        let map = self.heap.map(id);
        let items: Vec<Value<'t>> = map.entries().iter().map(|(key, value)| of(key, value)).collect();
        self.budget.step(items.len())?;
        Ok(self.heap.new_list(List { items, is_json: false }))
    }

    fn entries(&mut self, id: MapId) -> Outcome<Seen<'t>> {
        let entries = self.heap.map(id).entries().to_vec();
        let mut items = Vec::new();
        for (key, value) in entries {
            self.budget.step(8)?;
            let mut entry = Map::of_json();
            entry.put("key".into(), Value::Text(key));
            entry.put("value".into(), value);
            items.push(self.heap.add_map(entry));
        }
        Ok(Seen::some(self.heap.add_list(List { items, is_json: false })))
    }

    fn of_number(&mut self, value: &Value<'t>, name: &str, arguments: &[Value<'t>]) -> Outcome<Option<Seen<'t>>> {
        let value = match (name, arguments, value) {
            ("intValue" | "longValue", [], Value::Int(value)) => Value::Int(*value),
            #[expect(clippy::cast_possible_truncation, reason = "Java cuts off, too")]
            ("intValue" | "longValue", [], Value::Float(value)) => Value::Int(*value as i64),
            #[expect(clippy::cast_precision_loss, reason = "as with every double")]
            ("doubleValue" | "floatValue", [], Value::Int(value)) => Value::Float(*value as f64),
            ("doubleValue" | "floatValue", [], Value::Float(value)) => Value::Float(*value),
            // Templates reach Integer.parseInt through any number.
            ("parseInt" | "parseLong" | "valueOf", [text], Value::Int(_)) => {
                let text = self.text_of(text)?;
                match text.parse() {
                    Ok(number) => Value::Int(number),
                    Err(_) => return self.budget.fail(format!("{name} was given something else than a whole number")),
                }
            }
            ("parseDouble" | "parseFloat" | "valueOf", [text], _) => {
                let text = self.text_of(text)?;
                match text.trim().parse() {
                    Ok(number) => Value::Float(number),
                    Err(_) => return self.budget.fail(format!("{name} was given something else than a number")),
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(Seen::some(value)))
    }
}

fn kind(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Int(_) | Value::Float(_) => "a number",
        Value::Text(_) => "a text",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        Value::Input => "$input",
        Value::Util => "$util",
        Value::Loop(_) => "$foreach",
        Value::Block(_) => "a #define",
    }
}
