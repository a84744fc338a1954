//! What a reading knows: options, files, variables, resources; and what came of it so far.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value as Json;

use crate::error::Report;
use crate::files::Files;
use crate::intrinsics;
use crate::node::{self, Node, Place, Value};
use crate::template::Template;
use crate::variables::{self, Variables};
use crate::{DescriptorError, Note, ReadOptions};

/// Steps and bytes that working out variables and calls may take in one reading.
const WORK_MAX: usize = 4 << 20;

/// Variables and calls may lie this deep in each other.
const DEPTH_MAX: usize = 64;

/// One reading.
pub(crate) struct Scope<'o> {
    pub(crate) options: &'o ReadOptions,
    pub(crate) files: Files,
    /// Of a serverless.yml.
    pub(crate) variables: Option<Variables>,
    pub(crate) template: Template,
    /// The stack's name.
    pub(crate) stack: String,
    pub(crate) region: String,
    report: RefCell<Report>,
    work: Cell<usize>,
    depth: Cell<usize>,
}

impl<'o> Scope<'o> {
    pub(crate) fn new(options: &'o ReadOptions, folder: PathBuf) -> Self {
        Self {
            options,
            files: Files::new(folder),
            variables: None,
            template: Template::default(),
            stack: String::new(),
            region: options.region.clone().unwrap_or_else(|| "us-east-1".to_owned()),
            report: RefCell::default(),
            work: Cell::new(0),
            depth: Cell::new(0),
        }
    }

    pub(crate) fn mistake(&self, place: &Place, text: impl Into<String>) {
        self.report.borrow_mut().mistake(place, text.into());
    }

    pub(crate) fn note(&self, place: &Place, text: impl Into<String>) {
        self.report.borrow_mut().note(place, text.into());
    }

    pub(crate) fn close(self) -> Result<Vec<Note>, DescriptorError> {
        self.report.into_inner().close()
    }

    /// What the user gave for a key such as `ssm:/app/key`, or a mistake that asks for it.
    pub(crate) fn given(&self, key: &str, place: &Place) -> Option<String> {
        let value = self.options.values.get(key).cloned();
        if value.is_none() {
            self.report.borrow_mut().missing(key);
            self.mistake(place, format!("the value of {key:?} is not known here; give it under `values`"));
        }
        value
    }

    /// Counts work; false when there was too much of it.
    pub(crate) fn spend(&self, work: usize, place: &Place) -> bool {
        let spent = self.work.get().saturating_add(work);
        if self.work.get() <= WORK_MAX && spent > WORK_MAX {
            self.mistake(place, "working out variables takes too much; use fewer, or shorter ones");
        }
        self.work.set(spent);
        spent <= WORK_MAX
    }

    /// Runs `inner` one level deeper; `None` when that is too deep, which a circle is in the end.
    pub(crate) fn deeper<T>(&self, place: &Place, inner: impl FnOnce() -> T) -> Option<T> {
        if self.depth.get() >= DEPTH_MAX {
            self.mistake(place, "goes in a circle, or references lie too deep in each other; write the value itself");
            return None;
        }
        self.depth.set(self.depth.get() + 1);
        let result = inner();
        self.depth.set(self.depth.get() - 1);
        Some(result)
    }

    /// The node with its own variables and calls worked out. What lies in a list or a map stays as it is.
    pub(crate) fn resolve(&self, node: &Node) -> Node {
        if !self.spend(1, &node.place) {
            return Node::broken(&node.place);
        }
        let broken = || Node::broken(&node.place);
        match &node.value {
            Value::Text(scalar) if self.variables.is_some() && scalar.text.contains("${") => {
                let inner = || variables::expand(self, &scalar.text, &node.place);
                let made = self.deeper(&node.place, inner).unwrap_or_else(broken);
                if node::is_call(&made) { self.resolve_call(&made) } else { self.resolve_dynamic(made) }
            }
            Value::Text(_) => self.resolve_dynamic(node.clone()),
            Value::Map(_) => self.resolve_call(node),
            _ => node.clone(),
        }
    }

    fn resolve_call(&self, node: &Node) -> Node {
        let Some((name, argument)) = node::call(node) else { return node.clone() };
        let inner = || intrinsics::evaluate(self, name, argument, &node.place);
        self.deeper(&node.place, inner).unwrap_or_else(|| Node::broken(&node.place))
    }

    /// `{{resolve:ssm:/app/key}}` is a value that the user gives.
    fn resolve_dynamic(&self, node: Node) -> Node {
        let Some(text) = node.as_text().filter(|text| text.contains("{{resolve:")) else { return node };
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, tail)) = rest.split_once("{{resolve:") {
            let Some((key, after)) = tail.split_once("}}") else {
                self.mistake(&node.place, "`{{resolve:` has no `}}`");
                return Node::broken(&node.place);
            };
            let Some(value) = self.given(key, &node.place) else { return Node::broken(&node.place) };
            out.push_str(before);
            out.push_str(&value);
            rest = after;
        }
        out.push_str(rest);
        Node::text(out, &node.place)
    }

    /// The text of a node that is to be text.
    pub(crate) fn text(&self, node: &Node) -> Option<String> {
        let node = self.resolve(node);
        match &node.value {
            Value::Text(scalar) => self.spend(scalar.text.len(), &node.place).then(|| scalar.text.to_string()),
            Value::Absent | Value::Broken => None,
            _ => {
                self.mistake(&node.place, format!("text is expected here, and this is {}", node.kind()));
                None
            }
        }
    }

    /// The items of a list, each worked out. A single text is a list of one where `is_lenient`.
    pub(crate) fn items(&self, node: &Node, is_lenient: bool) -> Vec<Node> {
        let node = self.resolve(node);
        match &node.value {
            Value::List(items) => items
                .iter()
                .map(|item| self.resolve(item))
                .filter(|item| !matches!(item.value, Value::Absent))
                .collect(),
            Value::Text(_) if is_lenient => vec![node],
            Value::Absent | Value::Broken | Value::Null => Vec::new(),
            _ => {
                self.mistake(&node.place, format!("a list is expected here, and this is {}", node.kind()));
                Vec::new()
            }
        }
    }

    /// Keys and texts of a map, those without a value left out.
    pub(crate) fn texts(&self, node: &Node) -> BTreeMap<String, String> {
        let node = self.resolve(node);
        if !matches!(node.value, Value::Map(_)) && !node.is_void() {
            self.mistake(&node.place, format!("a map is expected here, and this is {}", node.kind()));
        }
        let pairs = node.entries().iter().filter_map(|entry| {
            let value = self.resolve(&entry.value);
            let text = if value.is_void() { None } else { self.text(&value) };
            Some((entry.key.to_string(), text?))
        });
        pairs.collect()
    }

    /// All of a node as JSON. `None` when a part of it is broken.
    pub(crate) fn json(&self, node: &Node, rename: fn(&str) -> String) -> Option<Json> {
        let node = self.resolve(node);
        let inner = || match &node.value {
            Value::Null => Some(Json::Null),
            Value::Text(scalar) => self.spend(scalar.text.len(), &node.place).then(|| scalar.to_json()),
            Value::Absent | Value::Broken => None,
            Value::List(items) => {
                let made: Vec<Option<Json>> = items.iter().map(|item| self.json(item, rename)).collect();
                made.into_iter().collect::<Option<_>>().map(Json::Array)
            }
            Value::Map(entries) => {
                let made: Vec<_> =
                    entries.iter().map(|entry| Some((rename(&entry.key), self.json(&entry.value, rename)?))).collect();
                made.into_iter().collect::<Option<_>>().map(Json::Object)
            }
        };
        self.deeper(&node.place, inner).flatten()
    }
}
