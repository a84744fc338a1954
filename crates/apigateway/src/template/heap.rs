//! Values of a rendering. Lists and maps live in one place and are named by number, so that values
//! that hold each other neither leak nor are taken down level by level.

use std::collections::HashMap;
use std::sync::Arc;

use super::ast::Block;

/// A value. Copies of a list or map are the same list or map.
#[derive(Clone, Debug)]
pub(super) enum Value<'t> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    List(ListId),
    Map(MapId),
    /// `$input`.
    Input,
    /// `$util`.
    Util,
    /// `$foreach`: which of the loops that run.
    Loop(usize),
    /// What `#define` keeps.
    Block(&'t Block),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListId(usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MapId(usize);

#[derive(Debug, Default)]
pub(super) struct List<'t> {
    pub(super) items: Vec<Value<'t>>,
    /// It comes from JSON and prints as JSON.
    pub(super) is_json: bool,
}

/// A map that keeps the order of its keys.
#[derive(Debug, Default)]
pub(super) struct Map<'t> {
    entries: Vec<(Arc<str>, Value<'t>)>,
    positions: HashMap<Arc<str>, usize>,
    /// It comes from JSON; what is missing in it prints nothing.
    pub(super) is_json: bool,
}

impl<'t> Map<'t> {
    pub(super) fn of_json() -> Self {
        Self { is_json: true, ..Self::default() }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value<'t>> {
        self.positions.get(key).map(|&at| &self.entries[at].1)
    }

    /// Puts a value in, and gives the one that was there.
    pub(super) fn put(&mut self, key: Arc<str>, value: Value<'t>) -> Option<Value<'t>> {
        if let Some(&at) = self.positions.get(&key) {
            return Some(std::mem::replace(&mut self.entries[at].1, value));
        }
        self.positions.insert(Arc::clone(&key), self.entries.len());
        self.entries.push((key, value));
        None
    }

    /// Takes a value out. Costs a look at every entry.
    pub(super) fn remove(&mut self, key: &str) -> Option<Value<'t>> {
        let at = self.positions.remove(key)?;
        let (_, value) = self.entries.remove(at);
        for position in self.positions.values_mut().filter(|position| **position > at) {
            *position -= 1;
        }
        Some(value)
    }

    pub(super) fn entries(&self) -> &[(Arc<str>, Value<'t>)] {
        &self.entries
    }
}

/// All lists and maps of one rendering.
#[derive(Debug, Default)]
pub(super) struct Heap<'t> {
    lists: Vec<List<'t>>,
    maps: Vec<Map<'t>>,
}

impl<'t> Heap<'t> {
    pub(super) fn add_list(&mut self, list: List<'t>) -> Value<'t> {
        Value::List(self.new_list(list))
    }

    pub(super) fn new_list(&mut self, list: List<'t>) -> ListId {
        self.lists.push(list);
        ListId(self.lists.len() - 1)
    }

    pub(super) fn add_map(&mut self, map: Map<'t>) -> Value<'t> {
        self.maps.push(map);
        Value::Map(MapId(self.maps.len() - 1))
    }

    pub(super) fn list(&self, id: ListId) -> &List<'t> {
        &self.lists[id.0]
    }

    pub(super) fn list_mut(&mut self, id: ListId) -> &mut List<'t> {
        &mut self.lists[id.0]
    }

    pub(super) fn map(&self, id: MapId) -> &Map<'t> {
        &self.maps[id.0]
    }

    pub(super) fn map_mut(&mut self, id: MapId) -> &mut Map<'t> {
        &mut self.maps[id.0]
    }
}

impl Value<'_> {
    /// Null, `false` and the empty text are not true.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Null | Self::Bool(false) => false,
            Self::Text(text) => !text.is_empty(),
            _ => true,
        }
    }
}
