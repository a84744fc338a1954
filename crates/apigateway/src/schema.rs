//! Request models: JSON Schema, draft 4, as far as it says something about a message on its own.
//!
//! References lead within the schema (`#`, `#/definitions/NAME` and other pointers) or to other models
//! (`https://apigateway.amazonaws.com/restapis/ID/models/NAME`, or the bare name). `format` and what
//! only describes says nothing. Other words are mistakes, so that nobody relies on what is not looked
//! at.

mod compile;
mod evaluate;

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;
use serde_json::Value;

use crate::check::Notes;
use crate::json::Json;

/// Schemas within one document, after references.
pub const NODES_MAX: usize = 10_000;
/// Schemas within each other, where they are written.
pub const NESTING_MAX: usize = 64;

/// All models of an API.
#[derive(Debug, Default)]
pub(crate) struct Schemas(BTreeMap<String, Arc<Schema>>);

impl Schemas {
    /// Reads all models; what is wrong goes to the notes, under the model's name.
    pub(crate) fn compile(models: &BTreeMap<String, Value>, notes: &mut Notes<'_>) -> Self {
        let all = models.keys().filter_map(|name| {
            let schema = notes.keep(name, Schema::compile(name, models))?;
            Some((name.clone(), Arc::new(schema)))
        });
        Self(all.collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Schema>> {
        self.0.get(name)
    }
}

/// One schema, read.
#[derive(Debug)]
pub struct Schema {
    nodes: Vec<Node>,
}

/// A schema that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {problem}")]
pub struct SchemaError {
    /// Where in the model, such as `#/properties/room`.
    pub at: String,
    /// What is wrong and what to do.
    pub problem: String,
}

/// Place of a schema in its document's list.
type NodeId = usize;

#[derive(Debug, Default)]
struct Node {
    /// Takes the place of everything else.
    reference: Option<NodeId>,
    kinds: Option<Vec<Kind>>,
    one_of_values: Option<Vec<Json>>,
    number: NumberRules,
    text: TextRules,
    list: ListRules,
    object: ObjectRules,
    all_of: Vec<NodeId>,
    any_of: Vec<NodeId>,
    one_of: Vec<NodeId>,
    not: Option<NodeId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Null,
    Boolean,
    Integer,
    Number,
    Text,
    List,
    Object,
}

#[derive(Debug, Default)]
struct NumberRules {
    least: Option<f64>,
    is_above_least: bool,
    most: Option<f64>,
    is_below_most: bool,
    multiple_of: Option<f64>,
}

#[derive(Debug, Default)]
struct TextRules {
    shortest: Option<u64>,
    longest: Option<u64>,
    pattern: Option<Regex>,
}

#[derive(Debug, Default)]
struct ListRules {
    fewest: Option<u64>,
    most: Option<u64>,
    is_unique: bool,
    items: Items,
}

#[derive(Debug, Default)]
enum Items {
    #[default]
    Any,
    Each(NodeId),
    /// One for each place, and what may follow.
    Places(Vec<NodeId>, Others),
}

/// What is not named.
#[derive(Clone, Copy, Debug, Default)]
enum Others {
    #[default]
    Anything,
    Nothing,
    Schema(NodeId),
}

#[derive(Debug, Default)]
struct ObjectRules {
    fewest: Option<u64>,
    most: Option<u64>,
    required: Vec<String>,
    properties: BTreeMap<String, NodeId>,
    patterns: Vec<(Regex, NodeId)>,
    others: Others,
    dependencies: Vec<(String, Dependency)>,
}

#[derive(Debug)]
enum Dependency {
    Names(Vec<String>),
    Schema(NodeId),
}

#[cfg(test)]
mod tests;
