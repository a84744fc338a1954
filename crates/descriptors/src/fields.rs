//! Reading a map so that nothing in it is overlooked: each key is used, noted, refused, or unknown.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::nearest::hint;
use crate::node::{Entry, Node, Place, Value};
use crate::scope::Scope;

/// A map that is being read. [`Fields::finish`] complains about what nobody asked for.
#[must_use = "finish() finds the keys that nobody knows"]
pub(crate) struct Fields<'s> {
    scope: &'s Scope<'s>,
    /// Such as `functions.hello`, for errors.
    pub(crate) what: String,
    pub(crate) place: Place,
    node: Node,
    asked: Vec<&'static str>,
}

impl<'s> Fields<'s> {
    /// Begins to read a map. What is no map is a mistake, and read as an empty one.
    pub(crate) fn new(scope: &'s Scope<'s>, what: impl Into<String>, node: &Node) -> Self {
        let (what, place) = (what.into(), node.place.clone());
        let node = scope.resolve(node);
        if !matches!(node.value, Value::Map(_)) && !node.is_void() {
            scope.mistake(&place, format!("{what} must be a map, and this is {}", node.kind()));
        }
        Self { scope, what, place, node, asked: Vec::new() }
    }

    fn entry(&mut self, key: &'static str) -> Option<&Entry> {
        self.asked.push(key);
        self.node.entries().iter().find(|entry| *entry.key == *key)
    }

    /// Where a key stands, or the map if it does not.
    pub(crate) fn place_of(&self, key: &str) -> Place {
        let entry = self.node.entries().iter().find(|entry| *entry.key == *key);
        entry.map_or_else(|| self.place.clone(), |entry| entry.place.clone())
    }

    /// What stands under a key, worked out. Nothing for null and for what could not be found out.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Node> {
        let scope = self.scope;
        let node = self.entry(key)?.value.clone();
        let node = scope.resolve(&node);
        (!node.is_void()).then_some(node)
    }

    /// As [`Fields::get`], and it is a mistake if the key is not there.
    pub(crate) fn required(&mut self, key: &'static str) -> Option<Node> {
        if self.entry(key).is_none_or(|entry| matches!(entry.value.value, Value::Null)) {
            // What is broken as a whole is complained about already.
            if !matches!(self.node.value, Value::Broken) {
                self.scope.mistake(&self.place, format!("{} has no `{key}`; add it", self.what));
            }
            return None;
        }
        self.get(key)
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Option<String> {
        let node = self.get(key)?;
        self.scope.text(&node)
    }

    pub(crate) fn required_text(&mut self, key: &'static str) -> Option<String> {
        let node = self.required(key)?;
        self.scope.text(&node)
    }

    pub(crate) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let node = self.get(key)?;
        let truth = match &node.value {
            Value::Text(scalar) => scalar.truth(),
            _ => None,
        };
        if truth.is_none() {
            self.scope.mistake(&node.place, format!("`{key}` must be true or false"));
        }
        truth
    }

    /// A whole number within bounds.
    pub(crate) fn number(&mut self, key: &'static str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let node = self.get(key)?;
        // 30.0 is a whole number too, in JSON.
        let number = node.as_text().and_then(|text| text.strip_suffix(".0").unwrap_or(text).parse().ok());
        let number = number.filter(|number| bounds.contains(number));
        if number.is_none() {
            let text = format!("`{key}` must be a whole number from {} to {}", bounds.start(), bounds.end());
            self.scope.mistake(&node.place, text);
        }
        number
    }

    /// One of some words.
    pub(crate) fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let text = format!("`{key}` is {text:?}; it must be one of {}", known.join(", "));
            self.scope.mistake(&self.place_of(key), text);
        }
        found
    }

    /// A number that is not negative.
    pub(crate) fn rate(&mut self, key: &'static str) -> Option<f64> {
        let node = self.get(key)?;
        let number = node.as_text().and_then(|text| text.parse::<f64>().ok());
        let number = number.filter(|number| number.is_finite() && *number >= 0.0);
        if number.is_none() {
            self.scope.mistake(&node.place, format!("`{key}` must be a number that is not negative"));
        }
        number
    }

    /// Keys and texts.
    pub(crate) fn texts(&mut self, key: &'static str) -> BTreeMap<String, String> {
        self.get(key).map(|node| self.scope.texts(&node)).unwrap_or_default()
    }

    /// A list of texts; one text is a list of one.
    pub(crate) fn list(&mut self, key: &'static str) -> Vec<Node> {
        self.get(key).map(|node| self.scope.items(&node, true)).unwrap_or_default()
    }

    /// Keys that are read and have no effect here.
    pub(crate) fn noted(&mut self, keys: &[&'static str], why: &str) {
        for key in keys {
            if let Some(entry) = self.entry(key) {
                let (place, text) = (entry.place.clone(), format!("`{key}` has no effect here: {why}"));
                self.scope.note(&place, text);
            }
        }
    }

    /// Keys that change what the application does, and cannot be followed.
    pub(crate) fn refused(&mut self, keys: &[&'static str], why: &str) {
        for key in keys {
            if let Some(entry) = self.entry(key) {
                let (place, text) = (entry.place.clone(), format!("`{key}` is not supported: {why}"));
                self.scope.mistake(&place, text);
            }
        }
    }

    /// Complains about keys that nobody asked for.
    pub(crate) fn finish(self) {
        for entry in self.node.entries() {
            if entry.key.starts_with("x-") {
                self.scope.note(&entry.place, format!("`{}` is nobody's key and has no effect here", entry.key));
            } else if !self.asked.contains(&&*entry.key) {
                let near = hint(&entry.key, self.asked.iter().copied());
                let text = format!("{} has an unknown key {:?}{near}; correct it or remove it", self.what, entry.key);
                self.scope.mistake(&entry.place, text);
            }
        }
    }
}
