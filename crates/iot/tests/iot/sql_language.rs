//! Expressions: operators, coercions, paths, literals.

use fanfare_iot::sql::{Input, Output, Statement};
use serde_json::{Value, json};

/// The payload that the tables speak of.
pub(crate) const PAYLOAD: &str = r#"{
    "i": 7, "d": 2.5, "whole": 10.0, "s": "hello", "n": "12.5", "t": true, "f": "FALSE", "nil": null,
    "a": [1, 2, 3], "o": {"k": "v", "deep": {"x": [10, {"y": 1}]}}, "odd key": 1, "value": 5, "End": 9,
    "list": [{"n": "temp", "v": 20}, {"n": "hum", "v": 40}, {"n": "temp", "v": 22}], "big": 9223372036854775807
}"#;

/// The value of `expression`, or `None` for Undefined.
pub(crate) fn value(expression: &str) -> Option<Value> {
    let statement = format!("SELECT VALUE {expression} FROM 'x'");
    let statement = Statement::parse(&statement).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let mut input = Input::new(PAYLOAD.as_bytes(), "s/dev7/t");
    input.timestamp_ms = 1_795_263_000_123;
    match statement.run(&input).unwrap_or_else(|error| panic!("{expression}: {error}")) {
        Some(Output::Json(json)) => Some(json),
        None => None,
        other => panic!("{expression}: {other:?}"),
    }
}

/// Checks `(expression, JSON text or "undefined")` rows.
pub(crate) fn check(rows: &[(&str, &str)]) {
    for (expression, expected) in rows {
        let expected: Option<Value> = match *expected {
            "undefined" => None,
            text => Some(serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))),
        };
        assert_eq!(value(expression), expected, "{expression}");
    }
}

#[test]
fn arithmetic() {
    check(&[
        ("1 + 2", "3"),
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 2 - 3", "5"),
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("7 / 2.0", "3.5"),
        ("6 / 2.0", "3"),
        ("7 % 4", "3"),
        ("7.5 % 2", "1.5"),
        ("1 / 0", "undefined"),
        ("1.0 / 0", "undefined"),
        ("1 % 0", "undefined"),
        ("'6' * '2'", "12"),
        ("'6' - 1", "5"),
        ("'x' - 1", "undefined"),
        ("true * 2", "undefined"),
        ("nil + 1", "undefined"),
        ("missing + 1", "undefined"),
        ("[1] + 1", "undefined"),
        ("i + d", "9.5"),
        ("-i", "-7"),
        ("- -i", "7"),
        ("-'2'", "-2"),
        ("-t", "undefined"),
        ("9223372036854775807 + 1", "9.223372036854776e18"),
        ("big * big * 1e300", "undefined"),
        ("big", "9223372036854775807"),
        ("whole", "10"),
        ("1e3", "1000"),
        ("2.50", "2.5"),
    ]);
}

#[test]
fn joining() {
    check(&[
        ("'a' + 'b'", "\"ab\""),
        ("'a' + 1", "\"a1\""),
        ("1 + 'a'", "\"1a\""),
        ("1 + 2 + 'a'", "\"3a\""),
        ("'a' + 1 + 2", "\"a12\""),
        ("d + 's'", "\"2.5s\""),
        ("'is ' + t", "\"is true\""),
        ("'x' + a", "\"x[1,2,3]\""),
        ("'x' + nil", "undefined"),
        ("'x' + missing", "undefined"),
    ]);
}

#[test]
fn comparing() {
    check(&[
        ("i > 5", "true"),
        ("i >= 7", "true"),
        ("i < 7", "false"),
        ("i <= 7.0", "true"),
        ("n > 12", "true"),
        ("'2' < '10'", "true"),
        ("'b' > 'a'", "undefined"),
        ("nil < 1", "undefined"),
        ("missing > 1", "undefined"),
        ("t > 0", "undefined"),
        ("i = 7", "true"),
        ("i = 7.0", "true"),
        ("i = '7'", "false"),
        ("i <> '7'", "true"),
        ("i != 8", "true"),
        ("s = 'hello'", "true"),
        ("s = 'Hello'", "false"),
        ("nil = null", "true"),
        ("nil <> null", "false"),
        ("nil = 0", "false"),
        ("missing = 1", "undefined"),
        ("missing <> 1", "undefined"),
        ("missing = missing", "undefined"),
        ("a = [1, 2, 3]", "true"),
        ("a = [1, 2.0, 3]", "true"),
        ("a = [3, 2, 1]", "false"),
        ("{'x': 1, 'y': 2} = {'y': 2, 'x': 1}", "true"),
        ("t = 'true'", "false"),
        ("big = 9223372036854775806", "false"),
    ]);
}

#[test]
fn logic() {
    check(&[
        ("t AND true", "true"),
        ("t and false", "false"),
        ("false OR t", "true"),
        ("NOT t", "false"),
        ("not f", "true"),
        ("t AND f", "false"),
        ("'TRUE' AND t", "true"),
        ("t AND 1", "undefined"),
        ("t OR missing", "undefined"),
        ("NOT 1", "undefined"),
        ("NOT missing", "undefined"),
        ("true OR false AND false", "true"),
        ("(true OR false) AND false", "false"),
        ("NOT i = 8", "true"),
        ("i > 5 AND d < 3", "true"),
    ]);
}

#[test]
fn membership_and_case() {
    check(&[
        ("i IN [1, 7]", "true"),
        ("i in [1, '7']", "false"),
        ("2 IN a", "true"),
        ("missing IN [1]", "undefined"),
        ("i IN 7", "undefined"),
        ("i IN []", "false"),
        ("CASE i WHEN 7 THEN 'seven' WHEN 8 THEN 'eight' END", "\"seven\""),
        ("CASE i WHEN 1 THEN 'one' ELSE 'many' END", "\"many\""),
        ("CASE i WHEN 1 THEN 'one' END", "undefined"),
        ("CASE missing WHEN 1 THEN 'one' ELSE 'none' END", "\"none\""),
        ("CASE i > 5 WHEN true THEN CASE s WHEN 'hello' THEN 1 ELSE 2 END END", "1"),
    ]);
}

#[test]
fn paths() {
    check(&[
        ("o.k", "\"v\""),
        ("o.deep.x[0]", "10"),
        ("o.deep.x[1].y", "1"),
        ("o.deep.x[i - 7]", "10"),
        ("o['k']", "\"v\""),
        ("o.\"k\"", "\"v\""),
        ("`odd key`", "1"),
        ("*", PAYLOAD),
        ("a[3]", "undefined"),
        ("a[-1]", "undefined"),
        ("a.x", "undefined"),
        ("o.k.z", "undefined"),
        ("s[0]", "undefined"),
        ("O.k", "undefined"),
        ("`End`", "9"),
        ("value", "5"),
        ("value + 1", "6"),
        ("[4, 5][1]", "5"),
        ("{'x': 8}.x", "8"),
        ("nil", "null"),
        ("nil.x", "undefined"),
    ]);
}

#[test]
fn literals() {
    check(&[
        ("[1, 'two', i, missing, null]", "[1, \"two\", 7, null]"),
        ("{'a': 1, b: s, \"c\": missing}", "{\"a\": 1, \"b\": \"hello\"}"),
        ("[]", "[]"),
        ("{}", "{}"),
        ("[[1], {'x': [2]}]", "[[1], {\"x\": [2]}]"),
        ("'it''s'", "\"it's\""),
        ("\"say \"\"hi\"\"\"", "\"say \\\"hi\\\"\""),
        ("'\\d'", "\"\\\\d\""),
        ("TRUE", "true"),
        ("Null", "null"),
        ("'é'", "\"é\""),
        ("99999999999999999999", "1e20"),
    ]);
}

#[test]
fn nested_selects() {
    check(&[
        ("(SELECT n, v FROM list WHERE n = 'temp')", r#"[{"n":"temp","v":20},{"n":"temp","v":22}]"#),
        ("(SELECT VALUE v FROM list)", "[20, 40, 22]"),
        ("(SELECT VALUE v FROM list WHERE v > 20)[0]", "40"),
        ("(SELECT VALUE * FROM a WHERE true)", "[1, 2, 3]"),
        ("(SELECT k FROM o)", "{\"k\": \"v\"}"),
        ("(SELECT VALUE k FROM o)", "\"v\""),
        ("(SELECT VALUE missing FROM list)", "[]"),
        ("(SELECT x FROM missing)", "undefined"),
        ("(SELECT *, v * 2 AS twice FROM list WHERE n = 'hum')", r#"[{"n":"hum","v":40,"twice":80}]"#),
        ("(SELECT VALUE (SELECT VALUE y FROM x[1]) FROM o.deep)", "1"),
    ]);
}

#[test]
fn a_decimal_that_is_whole_stays_exact() {
    assert_eq!(value("power(2, 62)"), Some(json!(4_611_686_018_427_387_904_f64)));
}
