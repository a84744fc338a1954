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
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(value: Value) -> Result<Schema, SchemaError> {
        Schema::compile("Model", &BTreeMap::from([("Model".to_owned(), value)]))
    }

    fn accepts(schema_of: &Value, value: &Value) -> bool {
        schema(schema_of.clone()).unwrap().accepts(&Json::from(value))
    }

    /// A schema, what it accepts, what it refuses.
    fn table() -> Vec<(Value, Vec<Value>, Vec<Value>)> {
        vec![
            (json!({}), vec![json!(null), json!([1])], vec![]),
            (json!({"type": "integer"}), vec![json!(1), json!(2.0)], vec![json!(1.5), json!("1"), json!(null)]),
            (json!({"type": ["string", "null"]}), vec![json!("a"), json!(null)], vec![json!(1), json!({})]),
            (json!({"enum": ["a", 1, {"b": [2]}]}), vec![json!("a"), json!(1.0), json!({"b": [2]})], vec![json!("b")]),
            (
                json!({"minimum": 1, "maximum": 3, "exclusiveMaximum": true}),
                vec![json!(1), json!("x")],
                vec![json!(3), json!(0)],
            ),
            (json!({"multipleOf": 0.01}), vec![json!(0.07), json!(19.99), json!(3)], vec![json!(0.075)]),
            (
                json!({"minLength": 2, "maxLength": 3, "pattern": "^é"}),
                vec![json!("éa"), json!(1)],
                vec![json!("é"), json!("éabc"), json!("aé")],
            ),
            (
                json!({"items": {"type": "number"}, "minItems": 1, "maxItems": 2}),
                vec![json!([1])],
                vec![json!([]), json!([1, 2, 3]), json!(["a"])],
            ),
            (json!({"uniqueItems": true}), vec![json!([1, "1", [1]])], vec![json!([1, 2, 1.0]), json!([{}, {}])]),
            (
                json!({"items": [{"type": "string"}], "additionalItems": false}),
                vec![json!([]), json!(["a"])],
                vec![json!(["a", 1]), json!([1])],
            ),
            (
                json!({"required": ["a"], "properties": {"a": {"type": "string"}}, "additionalProperties": false}),
                vec![json!({"a": "x"}), json!(1)],
                vec![json!({}), json!({"a": 1}), json!({"a": "x", "b": 1})],
            ),
            (
                json!({"patternProperties": {"^n_": {"type": "number"}}, "additionalProperties": {"type": "string"}}),
                vec![json!({"n_a": 1, "b": "x"})],
                vec![json!({"n_a": "x"}), json!({"b": 1})],
            ),
            (json!({"minProperties": 1, "maxProperties": 1}), vec![json!({"a": 1})], vec![json!({})]),
            (
                json!({"dependencies": {"a": ["b"], "c": {"required": ["d"]}}}),
                vec![json!({"a": 1, "b": 1})],
                vec![json!({"a": 1}), json!({"c": 1})],
            ),
            (json!({"allOf": [{"minimum": 1}, {"maximum": 2}]}), vec![json!(1)], vec![json!(3)]),
            (json!({"anyOf": [{"type": "string"}, {"minimum": 5}]}), vec![json!("a"), json!(5)], vec![json!(1)]),
            (json!({"oneOf": [{"minimum": 1}, {"minimum": 5}]}), vec![json!(2)], vec![json!(6), json!(0)]),
            (json!({"not": {"type": "null"}}), vec![json!(1)], vec![json!(null)]),
            (
                json!({"definitions": {"room": {"type": "string"}}, "properties": {"r": {"$ref": "#/definitions/room"}}}),
                vec![json!({"r": "x"})],
                vec![json!({"r": 1})],
            ),
            (
                json!({"type": "object", "properties": {"child": {"$ref": "#"}}}),
                vec![json!({"child": {"child": {}}})],
                vec![json!({"child": {"child": 1}})],
            ),
        ]
    }

    #[test]
    fn what_schemas_accept() {
        for (schema, good, bad) in table() {
            for value in good {
                assert!(accepts(&schema, &value), "{schema} accepts {value}");
            }
            for value in bad {
                assert!(!accepts(&schema, &value), "{schema} refuses {value}");
            }
        }
    }

    #[test]
    fn other_models_are_found_by_address_and_by_name() {
        let models = BTreeMap::from([
            ("Room".to_owned(), json!({"type": "string"})),
            (
                "Join".to_owned(),
                json!({"properties": {
                    "a": {"$ref": "https://apigateway.amazonaws.com/restapis/abc/models/Room"},
                    "b": {"$ref": "Room"},
                }}),
            ),
        ]);
        let join = Schema::compile("Join", &models).unwrap();
        assert!(join.accepts(&Json::from(&json!({"a": "x", "b": "y"}))));
        assert!(!join.accepts(&Json::from(&json!({"a": 1}))));
        assert!(!join.accepts(&Json::from(&json!({"b": 1}))));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let table = [
            (json!(1), "#"),
            (json!({"type": "text"}), "#/type"),
            (json!({"properties": {"a": {"pattern": "("}}}), "#/properties/a/pattern"),
            (json!({"properties": {"a": {"if": {}}}}), "#/properties/a/if"),
            (json!({"$ref": "#/definitions/no"}), "#/$ref"),
            (json!({"$ref": "Nobody"}), "#/$ref"),
            (json!({"required": "a"}), "#/required"),
            (json!({"minLength": -1}), "#/minLength"),
            (json!({"exclusiveMinimum": 3}), "#/exclusiveMinimum"),
            (json!({"multipleOf": 0}), "#/multipleOf"),
            (json!({"anyOf": []}), "#/anyOf"),
        ];
        for (value, at) in table {
            assert_eq!(schema(value.clone()).unwrap_err().at, at, "{value}");
        }
        let deep = (0..NESTING_MAX + 1).fold(json!({}), |inner, _| json!({"not": inner}));
        assert!(schema(deep).is_err());
    }

    #[test]
    fn schemas_without_an_end_refuse() {
        assert!(!accepts(&json!({"$ref": "#"}), &json!(1)));
        assert!(!accepts(&json!({"allOf": [{"$ref": "#"}]}), &json!(1)));
        // Each round doubles the work.
        assert!(!accepts(&json!({"not": {"anyOf": [{"not": {"$ref": "#"}}, {"$ref": "#"}]}}), &json!(1)));
    }
}
