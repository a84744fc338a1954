//! A configuration as it was written: values, each with the place it came from. Files, variables
//! and flags all become trees, which are then checked and laid over one another.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Origin, Problem};

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where.
    pub origin: Origin,
    /// What.
    pub value: Tree,
}

/// What was written.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    /// A table.
    Table(Vec<Entry>),
    /// A list.
    List(Vec<Node>),
    /// Anything else.
    Leaf(toml::Value),
}

/// One entry of a table.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its key.
    pub name: String,
    /// Where the key was written.
    pub origin: Origin,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// An empty table.
    pub(super) fn empty() -> Self {
        Self { origin: Origin::Default, value: Tree::Table(Vec::new()) }
    }

    /// Puts `value` at `path`, making the tables on the way.
    pub(super) fn insert(&mut self, path: &[String], node: Node) {
        let Some((name, rest)) = path.split_first() else {
            *self = node;
            return;
        };
        if !matches!(self.value, Tree::Table(_)) {
            self.value = Tree::Table(Vec::new());
        }
        let Tree::Table(entries) = &mut self.value else {
            return;
        };
        if let Some(entry) = entries.iter_mut().find(|entry| entry.name == *name) {
            return entry.node.insert(rest, node);
        }
        let origin = node.origin.clone();
        let mut inner = Self { origin: origin.clone(), value: Tree::Table(Vec::new()) };
        inner.insert(rest, node);
        entries.push(Entry { name: name.clone(), origin, node: inner });
    }

    /// Lays `upper` over this: its tables are merged in, its other values replace.
    pub(super) fn overlay(&mut self, upper: Node) {
        match (&mut self.value, upper.value) {
            (Tree::Table(lower), Tree::Table(upper)) => {
                for entry in upper {
                    match lower.iter_mut().find(|e| e.name == entry.name) {
                        Some(below) => below.node.overlay(entry.node),
                        None => lower.push(entry),
                    }
                }
            }
            (_, value) => {
                *self = Self { origin: upper.origin, value };
            }
        }
    }

    /// The plain value.
    pub(super) fn to_value(&self) -> toml::Value {
        match &self.value {
            Tree::Table(entries) => {
                let pairs = entries.iter().map(|e| (e.name.clone(), e.node.to_value()));
                toml::Value::Table(pairs.collect())
            }
            Tree::List(nodes) => toml::Value::Array(nodes.iter().map(Node::to_value).collect()),
            Tree::Leaf(value) => value.clone(),
        }
    }

    /// Where each key was written, by its path with dots; lists count as `name[0]`.
    pub(super) fn origins(&self) -> BTreeMap<String, Origin> {
        let mut origins = BTreeMap::new();
        self.collect_origins("", &mut origins);
        origins
    }

    fn collect_origins(&self, path: &str, origins: &mut BTreeMap<String, Origin>) {
        origins.insert(path.to_owned(), self.origin.clone());
        match &self.value {
            Tree::Table(entries) => {
                for entry in entries {
                    entry.node.collect_origins(&join(path, &entry.name), origins);
                }
            }
            Tree::List(nodes) => {
                for (index, node) in nodes.iter().enumerate() {
                    node.collect_origins(&format!("{path}[{index}]"), origins);
                }
            }
            Tree::Leaf(_) => {}
        }
    }
}

/// `path.name`.
pub(super) fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// Reads the text of a file. What cannot be read as TOML becomes mistakes; the rest is in the tree.
pub(super) fn read(name: &str, text: &str) -> (Node, Vec<Mistake>) {
    let place = Place { name: Arc::from(name), text };
    let (table, errors) = DeTable::parse_recoverable(text);
    let mistakes = errors.iter().map(|error| Mistake {
        origin: place.at(error.span().unwrap_or(0..0)),
        key: String::new(),
        problem: Problem::Syntax(error.message().lines().collect::<Vec<_>>().join(", ")),
    });
    let mistakes = mistakes.collect();
    let origin = place.at(0..0);
    let node = Node { origin, value: place.table(table.into_inner()) };
    (node, mistakes)
}

/// Reads the text of a variable that holds a list or table in TOML's notation.
pub(super) fn read_value(text: &str, origin: &Origin) -> Result<Node, String> {
    let (value, errors) = DeValue::parse_recoverable(text);
    match errors.first() {
        Some(error) => Err(error.message().to_owned()),
        None => Ok(Node { origin: origin.clone(), value: convert(value.into_inner(), &|_| origin.clone()) }),
    }
}

struct Place<'a> {
    name: Arc<str>,
    text: &'a str,
}

impl Place<'_> {
    fn at(&self, span: Range<usize>) -> Origin {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Origin::File {
            name: self.name.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn table(&self, table: DeTable<'_>) -> Tree {
        convert_table(table, &|span| self.at(span))
    }
}

type Locate<'a> = &'a dyn Fn(Range<usize>) -> Origin;

fn convert_table(table: DeTable<'_>, locate: Locate<'_>) -> Tree {
    let mut entries: Vec<(Range<usize>, Entry)> = Vec::new();
    for (key, value) in table {
        let span = key.span();
        let entry = Entry {
            origin: locate(span.clone()),
            name: key.into_inner().into_owned(),
            node: convert_node(value, locate),
        };
        entries.push((span, entry));
    }
    // Mistakes are told in the order of the file, not of the alphabet.
    entries.sort_by_key(|(span, _)| span.start);
    Tree::Table(entries.into_iter().map(|(_, entry)| entry).collect())
}

fn convert_node(value: Spanned<DeValue<'_>>, locate: Locate<'_>) -> Node {
    Node { origin: locate(value.span()), value: convert(value.into_inner(), locate) }
}

fn convert(value: DeValue<'_>, locate: Locate<'_>) -> Tree {
    match value {
        DeValue::Table(table) => convert_table(table, locate),
        DeValue::Array(items) => Tree::List(items.into_iter().map(|item| convert_node(item, locate)).collect()),
        DeValue::String(text) => Tree::Leaf(text.into_owned().into()),
        DeValue::Integer(number) => {
            let digits = number.as_str();
            Tree::Leaf(match i64::from_str_radix(digits, number.radix()) {
                Ok(number) => number.into(),
                Err(_) => digits.to_owned().into(),
            })
        }
        DeValue::Float(number) => Tree::Leaf(match number.as_str().parse::<f64>() {
            Ok(number) => number.into(),
            Err(_) => number.as_str().to_owned().into(),
        }),
        DeValue::Boolean(switch) => Tree::Leaf(switch.into()),
        DeValue::Datetime(time) => Tree::Leaf(time.into()),
    }
}

/// A plain value that was written at `origin`.
pub(super) fn plain(value: toml::Value, origin: &Origin) -> Node {
    let value = match value {
        toml::Value::Array(items) => Tree::List(items.into_iter().map(|item| plain(item, origin)).collect()),
        toml::Value::Table(pairs) => {
            let entry = |(name, value)| Entry { name, origin: origin.clone(), node: plain(value, origin) };
            Tree::Table(pairs.into_iter().map(entry).collect())
        }
        value => Tree::Leaf(value),
    };
    Node { origin: origin.clone(), value }
}
