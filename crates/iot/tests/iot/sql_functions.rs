//! Functions.

use fanfare_iot::sql::{EvalError, Input, Output, Properties, Statement};
use serde_json::{Value, json};

use crate::sql_language::{check, value};

#[test]
fn on_strings() {
    check(&[
        ("length(s)", "5"),
        ("length('né')", "2"),
        ("numbytes('€')", "3"),
        ("length(false)", "5"),
        ("length(nil)", "undefined"),
        ("upper(s)", "\"HELLO\""),
        ("lower('ABC')", "\"abc\""),
        ("lower(['HELLO'])", "\"[\\\"hello\\\"]\""),
        ("trim('  x ')", "\"x\""),
        ("ltrim(' h i ')", "\"h i \""),
        ("rtrim(' h i ')", "\" h i\""),
        ("lpad(1, 3)", "\"   1\""),
        ("rpad('hello', 2)", "\"hello  \""),
        ("length(lpad('', 5000))", "1000"),
        ("chr(65)", "\"A\""),
        ("chr(300)", "undefined"),
        ("concat('a', 1, true)", "\"a1true\""),
        ("concat([1, 2], 'x', [3])", "[1, 2, \"x\", 3]"),
        ("concat()", "undefined"),
        ("concat(1, 2)", "undefined"),
        ("substring('012345', 2)", "\"2345\""),
        ("substring('012345', 1, 3)", "\"12\""),
        ("substring('012345', -50, 50)", "\"012345\""),
        ("substring('012345', 3, 1)", "\"\""),
        ("substring('012345', 2.745)", "\"2345\""),
        ("substring(true, 1.2)", "\"rue\""),
        ("substring(false, -2.411E247)", "\"false\""),
        ("substring('x', 'y')", "undefined"),
        ("startswith('ranger', 'ran')", "true"),
        ("endswith('cat', 'at')", "true"),
        ("endswith('cat', nil)", "undefined"),
        ("indexof('abcd', 'bc')", "1"),
        ("indexof('abcd', 'x')", "-1"),
        ("replace('abcdabcd', 'b', 'x')", "\"axcdaxcd\""),
        ("replace('abc', 'z', 'x')", "\"abc\""),
        ("get(['a', 'b', 'c'], 1)", "\"b\""),
        ("get({'a': 'b'}, 'a')", "\"b\""),
        ("get('abc', 1)", "\"b\""),
        ("get(a, 9)", "undefined"),
        ("get(*, 'odd key')", "1"),
    ]);
}

#[test]
fn on_patterns() {
    check(&[
        ("regexp_matches('aaaa', 'a{2,}')", "true"),
        ("regexp_matches('aaaa', 'b')", "false"),
        ("regexp_matches(s, '^h\\w+o$')", "true"),
        ("regexp_matches(s, 'h' + 'el')", "true"),
        ("regexp_matches(s, '(' + s)", "undefined"),
        ("regexp_matches(nil, 'a')", "undefined"),
        ("regexp_substr('hihihello', '(hi)*')", "\"hihi\""),
        ("regexp_substr('abc', 'x')", "undefined"),
        ("regexp_replace('abcd', 'bc', 'x')", "\"axd\""),
        ("regexp_replace('abcd', 'b(.*)d', '$1')", "\"ac\""),
        ("regexp_replace('a1b22', '[0-9]+', '#')", "\"a#b#\""),
    ]);
}

#[test]
fn on_numbers() {
    check(&[
        ("abs(-5)", "5"),
        ("abs('-2.5')", "2.5"),
        ("abs(true)", "undefined"),
        ("floor(-1.2)", "-2"),
        ("floor('1.9')", "1"),
        ("ceil(1.2)", "2"),
        ("ceil(-1.2)", "-1"),
        ("round(1.5)", "2"),
        ("round(-1.5)", "-2"),
        ("round(1.2)", "1"),
        ("floor(1e300)", "undefined"),
        ("trunc(2.3123, 2)", "2.31"),
        ("trunc(2.00, 5)", "2"),
        ("mod(8, 3)", "2"),
        ("mod(8, 0)", "undefined"),
        ("power(2, 5)", "32"),
        ("power(-1, 0.5)", "undefined"),
        ("sqrt(9)", "3"),
        ("sqrt(-1)", "undefined"),
        ("sign(-7)", "-1"),
        ("nanvl(missing, 3)", "3"),
        ("bitand(13, 5)", "5"),
        ("cast('1.9' AS Int)", "1"),
        ("cast(true AS Int)", "1"),
        ("cast(2.5 AS String)", "\"2.5\""),
        ("cast(7 AS nvarchar)", "\"7\""),
        ("cast('5E-1' AS Decimal)", "0.5"),
        ("cast('+5' AS Decimal)", "undefined"),
        ("cast(0 AS Boolean)", "false"),
        ("cast('True' AS bool)", "true"),
        ("cast('yes' AS bool)", "undefined"),
        ("cast(nil AS String)", "undefined"),
        ("cast(a AS Int)", "undefined"),
        ("isNull(nil)", "true"),
        ("isnull(missing)", "false"),
        ("isUndefined(missing)", "true"),
        ("isUndefined(floor([1, 2]))", "true"),
        ("isUndefined(nil)", "false"),
    ]);
}

#[test]
fn on_bytes() {
    check(&[
        ("encode('hi', 'base64')", "\"aGk=\""),
        ("encode('hi', 'hex')", "undefined"),
        ("decode('eyJ0IjogMzN9', 'base64').t", "33"),
        ("decode('aGk=', 'base64')", "\"hi\""),
        ("decode('%', 'base64')", "null"),
        ("md5('hello')", "\"5d41402abc4b2a76b9719d911017c592\""),
        ("sha1('hello')", "\"aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d\""),
        ("sha256('hello')", "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\""),
        ("md5(nil)", "undefined"),
    ]);
}

#[test]
fn on_time() {
    check(&[
        ("timestamp()", "1795263000123"),
        ("parse_time('yyyy-MM-dd HH:mm:ss.SSS z', 0)", "\"1970-01-01 00:00:00.000 UTC\""),
        ("parse_time(\"yyyy.MM.dd G 'at' HH:mm:ss z\", 1497028786000)", "\"2017.06.09 AD at 17:19:46 UTC\""),
        ("parse_time('HH:mm Z', 0, '+01:30')", "\"01:30 +0130\""),
        ("parse_time('EEE, d MMMM yy hh a', 1000)", "\"Thu, 1 January 70 12 AM\""),
        ("parse_time('yyyy', 0, 'America/Belize')", "undefined"),
        ("parse_time('yyyy', 'x')", "undefined"),
        ("time_to_epoch('2020-04-03 09:45:18 UTC+01:00', 'yyyy-MM-dd HH:mm:ss VV')", "1585903518000"),
        ("time_to_epoch('18 December 2015', 'dd MMMM yyyy')", "1450396800000"),
        ("time_to_epoch('2007-12-03 10:15:30.592', 'yyyy-MM-dd HH:mm:ss.SSS')", "1196676930592"),
        ("time_to_epoch('12:30 PM', 'hh:mm a')", "45000000"),
        ("time_to_epoch('2020-13-01', 'yyyy-MM-dd')", "undefined"),
        ("time_to_epoch('2020-01-01 rest', 'yyyy-MM-dd')", "undefined"),
    ]);
}

fn about(expression: &str, input: &Input<'_>) -> Option<Value> {
    let statement = Statement::parse(&format!("SELECT VALUE {expression}")).unwrap();
    match statement.run(input).unwrap() {
        Some(Output::Json(json)) => Some(json),
        None => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn about_the_message() {
    let user = [("k".to_owned(), "1".to_owned()), ("x".to_owned(), "2".to_owned()), ("k".to_owned(), "3".to_owned())];
    let lookup =
        |thing: &str, shadow: Option<&str>| (thing == "T").then(|| json!({"state": {"reported": {"shadow": shadow}}}));
    let mut input = Input::new(b"\xff\x00", "a/b/c");
    input.client_id = Some("client");
    input.principal = Some("someone");
    input.account_id = "123456789012";
    input.trace_id = "trace";
    input.user_properties = &user;
    input.shadow = Some(&lookup);
    input.properties = Properties {
        content_type: Some("text/plain"),
        response_topic: Some("r/t"),
        correlation_data: Some(b"\x01\x02"),
        is_utf8: Some(true),
        expiry_s: Some(60),
    };
    for (expression, expected) in [
        ("topic()", json!("a/b/c")),
        ("topic(2)", json!("b")),
        ("clientid()", json!("client")),
        ("principal()", json!("someone")),
        ("accountid()", json!("123456789012")),
        ("traceid()", json!("trace")),
        ("encode(*, 'base64')", json!("/wA=")),
        ("get_mqtt_property('content_type')", json!("text/plain")),
        ("get_mqtt_property('response_topic')", json!("r/t")),
        ("get_mqtt_property('correlation_data')", json!("AQI=")),
        ("get_mqtt_property('format_indicator')", json!("UTF8_DATA")),
        ("get_mqtt_property('message_expiry')", json!(60)),
        ("get_user_properties('k')", json!(["1", "3"])),
        ("get_user_properties()", json!([{"k": "1"}, {"x": "2"}, {"k": "3"}])),
        ("get_thing_shadow('T', 'arn:aws:iam::1:role/r').state.reported", json!({"shadow": null})),
        ("get_thing_shadow('T', 'S', 'arn:aws:iam::1:role/r').state.reported.shadow", json!("S")),
    ] {
        assert_eq!(about(expression, &input), Some(expected), "{expression}");
    }
    for expression in ["topic(0)", "topic(9)", "get_mqtt_property('x')", "get_user_properties('y')", "field"] {
        assert_eq!(about(expression, &input), None, "{expression}");
    }
    assert_eq!(about("get_thing_shadow('U', 'S')", &input), None);
}

#[test]
fn a_message_over_http_has_no_client() {
    let input = Input::new(b"{}", "$aws/rules/rule/Buildings/5");
    assert_eq!(about("clientid()", &input), Some(json!("n/a")));
    assert_eq!(about("traceid()", &input), None);
    assert_eq!(about("topic()", &input), Some(json!("Buildings/5")));
    assert_eq!(about("topic(2)", &input), Some(json!("5")));
}

#[test]
fn uuids_are_random_and_of_version_4() {
    let (Some(Value::String(one)), Some(Value::String(other))) = (value("newuuid()"), value("newuuid()")) else {
        panic!("a UUID is a string");
    };
    assert_ne!(one, other);
    assert_eq!((one.len(), &one[14..15]), (36, "4"));
    assert!(matches!(&one[19..20], "8" | "9" | "a" | "b"), "{one}");
}

#[test]
fn a_statement_cannot_blow_up_a_message() {
    let mut expression = "s".to_owned();
    for _ in 0..40 {
        expression = format!("replace({expression}, 'a', 'aaaaaaaaaaaaaaaaaaaa')");
    }
    let statement = Statement::parse(&format!("SELECT VALUE {expression}")).unwrap();
    let outcome = statement.run(&Input::new(br#"{"s": "a"}"#, "t"));
    assert!(matches!(outcome, Err(EvalError::TooMuchWork { .. })), "{outcome:?}");
}

#[test]
fn shadows_are_not_looked_up_for_ever() {
    let asked = std::cell::Cell::new(0);
    let lookup = |_: &str, _: Option<&str>| {
        asked.set(asked.get() + 1);
        None
    };
    let payload = json!({"items": vec![1; 10_000]}).to_string();
    let mut input = Input::new(payload.as_bytes(), "t");
    input.shadow = Some(&lookup);
    let statement = Statement::parse("SELECT VALUE (SELECT VALUE get_thing_shadow('T') FROM items)").unwrap();
    assert!(matches!(statement.run(&input), Err(EvalError::TooMuchWork { .. })));
    assert!((1..30).contains(&asked.get()), "{}", asked.get());
}

#[test]
fn patterns_are_not_compiled_for_ever() {
    let payload = json!({"items": vec!["(a|b)*"; 10_000]}).to_string();
    let statement = Statement::parse("SELECT VALUE (SELECT VALUE regexp_matches('ab', *) FROM items)").unwrap();
    assert!(matches!(statement.run(&Input::new(payload.as_bytes(), "t")), Err(EvalError::TooMuchWork { .. })));
    let fixed = Statement::parse("SELECT VALUE (SELECT VALUE regexp_matches(*, '^.a.b') FROM items)").unwrap();
    assert!(fixed.run(&Input::new(payload.as_bytes(), "t")).is_ok());
}
