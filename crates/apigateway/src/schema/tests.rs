use proptest::prelude::*;
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

/// JSON with the words of schemas in it.
fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!("#")),
        Just(json!("#/properties/a")),
        Just(json!("string")),
        Just(json!("object")),
        (-2..5_i32).prop_map(|number| json!(number)),
    ];
    let word = prop::sample::select(vec![
        "$ref",
        "type",
        "properties",
        "a",
        "items",
        "additionalItems",
        "additionalProperties",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "enum",
        "required",
        "minLength",
        "maximum",
        "uniqueItems",
        "dependencies",
        "patternProperties",
        "pattern",
    ]);
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(word.clone(), inner, 0..4)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_schema_breaks_it(schema_of in any_schema(), value in any_schema()) {
        if let Ok(schema) = schema(schema_of) {
            let _ = schema.accepts(&Json::from(&value));
        }
    }
}
