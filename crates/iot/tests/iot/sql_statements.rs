//! Whole statements: items, aliases, `*`, `WHERE`, `FROM`, payloads that are not JSON.

use fanfare_iot::sql::{Input, Output, Statement};
use serde_json::json;

fn run(statement: &str, payload: &str) -> Option<Output> {
    Statement::parse(statement).unwrap().run(&Input::new(payload.as_bytes(), "s/d7/t")).unwrap()
}

#[test]
fn items_make_an_object() {
    let payload = r#"{"temp": 30, "c": {"r": 1, "g": 2}, "name": "n"}"#;
    for (statement, expected) in [
        ("SELECT temp FROM 's/+/t'", json!({"temp": 30})),
        ("select temp*2 as t2, topic(2) as dev from 's/+/t' where temp > 20", json!({"t2": 60, "dev": "d7"})),
        ("SELECT c.r FROM 'x'", json!({"r": 1})),
        ("SELECT c.r AS out.red, c.g AS out.green FROM 'x'", json!({"out": {"red": 1, "green": 2}})),
        ("SELECT topic() FROM 'x'", json!({"topic": "s/d7/t"})),
        ("SELECT temp AS 'a b', name AS select", json!({"a b": 30, "select": "n"})),
        ("SELECT missing, temp", json!({"temp": 30})),
        ("SELECT missing", json!({})),
        ("SELECT *", json!({"temp": 30, "c": {"r": 1, "g": 2}, "name": "n"})),
        ("SELECT *, temp + 1 AS temp", json!({"temp": 31, "c": {"r": 1, "g": 2}, "name": "n"})),
        ("SELECT *, 5 AS c.b", json!({"temp": 30, "c": {"r": 1, "g": 2, "b": 5}, "name": "n"})),
        ("SELECT *, 5 AS temp.x", json!({"temp": {"x": 5}, "c": {"r": 1, "g": 2}, "name": "n"})),
        ("SELECT 1 AS temp, *", json!({"temp": 30, "c": {"r": 1, "g": 2}, "name": "n"})),
        ("SELECT VALUE c", json!({"r": 1, "g": 2})),
        ("SELECT VALUE *", json!({"temp": 30, "c": {"r": 1, "g": 2}, "name": "n"})),
        ("SELECT VALUE -temp", json!(-30)),
    ] {
        assert_eq!(run(statement, payload), Some(Output::Json(expected)), "{statement}");
    }
}

#[test]
fn value_is_also_the_name_of_a_field() {
    for (statement, expected) in [
        ("SELECT value FROM 'x'", json!({"value": 4})),
        ("SELECT value AS v FROM 'x'", json!({"v": 4})),
        ("SELECT value * 2 AS v FROM 'x'", json!({"v": 8})),
        ("SELECT value, value + 1 AS w", json!({"value": 4, "w": 5})),
        ("SELECT VALUE value", json!(4)),
    ] {
        assert_eq!(run(statement, r#"{"value": 4}"#), Some(Output::Json(expected)), "{statement}");
    }
}

#[test]
fn where_must_be_exactly_true() {
    let passes = |condition: &str| run(&format!("SELECT * FROM 'x' WHERE {condition}"), r#"{"x": 1}"#).is_some();
    assert!(passes("x = 1"));
    assert!(passes("true"));
    for condition in ["x = 2", "'true'", "1", "x", "missing", "missing > 1", "null", "NOT missing"] {
        assert!(!passes(condition), "{condition}");
    }
}

#[test]
fn where_does_not_see_aliases() {
    assert_eq!(run("SELECT x AS y FROM 't' WHERE y = 1", r#"{"x": 1}"#), None);
}

#[test]
fn a_payload_that_is_not_json_goes_through_whole() {
    assert_eq!(run("SELECT * FROM 'x'", "no json"), Some(Output::Bytes(b"no json".to_vec())));
    assert_eq!(run("SELECT VALUE * FROM 'x'", "no json"), Some(Output::Bytes(b"no json".to_vec())));
    assert_eq!(run("SELECT * FROM 'x' WHERE topic(1) = 's'", "no json"), Some(Output::Bytes(b"no json".to_vec())));
    assert_eq!(run("SELECT * FROM 'x' WHERE temp > 1", "no json"), None);
    assert_eq!(
        run("SELECT *, temp, topic(1) AS t, encode(*, 'base64') AS data FROM 'x'", "no json"),
        Some(Output::Json(json!({"t": "s", "data": "bm8ganNvbg=="})))
    );
}

#[test]
fn json_that_is_no_object_goes_through_too() {
    assert_eq!(run("SELECT * FROM 'x'", "[1, 2]"), Some(Output::Json(json!([1, 2]))));
    assert_eq!(run("SELECT *, 1 AS one FROM 'x'", "[1, 2]"), Some(Output::Json(json!({"one": 1}))));
    assert_eq!(run("SELECT VALUE get(*, 1) FROM 'x'", "[1, 2]"), Some(Output::Json(json!(2))));
}

#[test]
fn an_undefined_value_is_no_output() {
    assert_eq!(run("SELECT VALUE missing FROM 'x'", "{}"), None);
}

#[test]
fn the_filter_is_kept() {
    assert_eq!(Statement::parse("SELECT * FROM \"a/+/#\" WHERE true").unwrap().filter(), Some("a/+/#"));
    assert_eq!(Statement::parse("SELECT *").unwrap().filter(), None);
}

#[test]
fn outputs_are_compact_bytes() {
    assert_eq!(Output::Json(json!({"a": [1]})).into_bytes(), br#"{"a":[1]}"#);
    assert_eq!(Output::Bytes(vec![255]).into_bytes(), [255]);
}
