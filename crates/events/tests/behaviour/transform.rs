//! What an input transformer makes of an event.

use std::collections::BTreeMap;

use fanfare_events::{Context, Transformer, TransformerError};
use proptest::prelude::*;
use serde_json::{Value, json};

const CONTEXT: Context<'_> =
    Context { rule_name: "r", rule_arn: "arn:aws:events:local:0:rule/r", ingestion_ms: 1_795_262_400_999 };

fn paths(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect()
}

fn made(template: &str, detail: Value) -> String {
    let paths = paths(&[("v", "$.detail.v"), ("w", "$.detail.w[1]"), ("gone", "$.detail.gone")]);
    let transformer = Transformer::new(&paths, template).expect("the template is well formed");
    transformer.apply(&json!({"id": "1", "detail": detail}), &CONTEXT).expect("small enough")
}

#[test]
fn a_json_position_gets_json() {
    assert_eq!(made(r#"{"a": <v>}"#, json!({"v": "x\"y"})), r#"{"a": "x\"y"}"#);
    assert_eq!(made(r#"{"a": <v>}"#, json!({"v": {"b": [1, null]}})), r#"{"a": {"b":[1,null]}}"#);
    assert_eq!(made("<v>", json!({"v": 1.5})), "1.5");
    assert_eq!(made("[<v>,<w>]", json!({"v": true, "w": [0, 7]})), "[true,7]");
}

#[test]
fn a_quoted_position_gets_the_text() {
    assert_eq!(made(r#""<v> is <w>""#, json!({"v": "i-1", "w": [0, "up"]})), r#""i-1 is up""#);
    assert_eq!(made(r#"{"a": "seat <v>"}"#, json!({"v": 12})), r#"{"a": "seat 12"}"#);
    assert_eq!(made(r#""<v>""#, json!({"v": "say \"hi\"\n"})), r#""say \"hi\"\n""#, "text cannot leave its quotes");
    assert_eq!(made(r#""<v>""#, json!({"v": {"b": 1}})), r#""{\"b\":1}""#);
    assert_eq!(made(r#""\"<v>\"" "#, json!({"v": "x"})), r#""\"x\"" "#, "an escaped mark ends nothing");
    assert_eq!(made("\"<v>\"\n\"<v>\"", json!({"v": "x"})), "\"x\"\n\"x\"", "several lines");
}

#[test]
fn what_is_not_there_is_empty() {
    assert_eq!(made(r#"{"a": <gone>, "b": "-<gone>-"}"#, json!({})), r#"{"a": "", "b": "--"}"#);
}

#[test]
fn reserved_variables() {
    assert_eq!(
        made("[<aws.events.rule-name>,<aws.events.rule-arn>,<aws.events.event.ingestion-time>]", json!({})),
        r#"["r","arn:aws:events:local:0:rule/r","2026-11-21T12:00:00Z"]"#
    );
    assert_eq!(made("<aws.events.event>", json!({"v": 1})), r#"{"id":"1"}"#);
    assert_eq!(made("<aws.events.event.json>", json!({"v": 1})), r#"{"detail":{"v":1},"id":"1"}"#);
}

#[test]
fn a_bracket_that_names_nothing_is_text() {
    assert_eq!(made(r#""a < b, <v>, < v >, <>""#, json!({"v": "x"})), r#""a < b, x, < v >, <>""#);
}

#[test]
fn mistakes_are_named() {
    let new = |pairs: &[(&str, &str)], template: &str| Transformer::new(&paths(pairs), template).expect_err("refused");
    assert_eq!(new(&[], "<v>"), TransformerError::Unknown("v".to_owned()));
    assert_eq!(new(&[], "<aws.events.secret>"), TransformerError::Unknown("aws.events.secret".to_owned()));
    assert_eq!(new(&[("aws.events.event", "$")], "x"), TransformerError::Name("aws.events.event".to_owned()));
    assert_eq!(new(&[("a b", "$")], "x"), TransformerError::Name("a b".to_owned()));
    assert!(matches!(new(&[("v", "detail")], "<v>"), TransformerError::Path(name, _) if name == "v"));
    assert_eq!(new(&[], ""), TransformerError::Length);
    assert_eq!(new(&[], &"x".repeat(8_193)), TransformerError::Length);
    let many: BTreeMap<String, String> = (0..101).map(|i| (format!("v{i}"), "$".to_owned())).collect();
    assert_eq!(Transformer::new(&many, "x"), Err(TransformerError::Variables));
}

#[test]
fn the_outcome_is_bounded() {
    let transformer = Transformer::new(&paths(&[("v", "$.v")]), &"<v>".repeat(1_000)).expect("well formed");
    assert!(transformer.apply(&json!({"v": "x".repeat(200)}), &CONTEXT).is_ok());
    assert!(transformer.apply(&json!({"v": "x".repeat(300)}), &CONTEXT).is_err());
}

proptest! {
    /// Whatever an event holds, a template that is JSON around its variables
    /// stays JSON, and the text comes out as it went in.
    #[test]
    fn no_value_breaks_out(text in any::<String>()) {
        let made = made(r#"{"bare": <v>, "quoted": "a<v>b"}"#, json!({"v": text}));
        let read: Value = serde_json::from_str(&made).expect("JSON");
        prop_assert_eq!(&read["bare"], &json!(text));
        prop_assert_eq!(&read["quoted"], &json!(format!("a{text}b")));
    }

    #[test]
    fn any_template_is_read_or_refused(template in "[<>v\"\\\\aws.{}é ]{0,40}") {
        if let Ok(transformer) = Transformer::new(&paths(&[("v", "$.v")]), &template) {
            let made = transformer.apply(&json!({"v": "x"}), &CONTEXT);
            prop_assert!(made.is_ok());
        }
    }
}
