//! Whatever is written or sent, nothing panics.

use fanfare_iot::sql::{Input, Statement, Template};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const WORDS: [&str; 62] = [
    "SELECT",
    "VALUE",
    "*",
    "FROM",
    "'a/+'",
    "WHERE",
    "AS",
    "a",
    "b.c",
    "a[0]",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    ":",
    "+",
    "-",
    "*",
    "/",
    "%",
    "=",
    "<>",
    "<",
    ">",
    "AND",
    "OR",
    "NOT",
    "IN",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "'é'",
    "\"q\"",
    "`n`",
    "1",
    "2.5",
    "9223372036854775807",
    "1e308",
    "null",
    "true",
    "topic(1)",
    "cast(a AS Int)",
    "substring(a, 1, 2)",
    "replace(a, '', 'xx')",
    "regexp_replace(a, '', '$0$0')",
    "decode(a, 'base64')",
    "parse_time('yyyy', a)",
    "time_to_epoch(a, 'yyyy')",
    "concat(a, b)",
    "power(a, b)",
    "round(a)",
    "mod(a, b)",
    "get(a, b)",
    "lpad(a, b)",
    "(SELECT VALUE a FROM b)",
    "abs(a)",
];

const SEEDS: [&str; 5] = [
    "SELECT temp * 2 AS t2, topic(2) AS dev FROM 's/+/t' WHERE temp > 20",
    "SELECT *, (SELECT n, v FROM list WHERE n = 'temp') AS l.x FROM 'a/#' WHERE a IN [1, '2', {\"x\": null}]",
    "SELECT CASE a WHEN 1 THEN -b ELSE NOT c END AS d, cast(e AS String) AS f, `g h`.\"i\"[0] AS j",
    "SELECT VALUE regexp_replace(a, '(b)+', '$1') FROM \"x\"",
    "SELECT encode(*, 'base64') AS raw, parse_time('yyyy.MM.dd G ''at'' z', timestamp()) AS at, 1.5e-3 AS n",
];

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Into::into),
            vec((select(vec!["a", "b", "c", "n", "list"]), inner), 0..5)
                .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// Parses and, if that works, runs; also as a template.
fn try_out(text: &str, payload: &[u8]) {
    let input = Input::new(payload, "s/d7/t");
    match Statement::parse(text) {
        Ok(statement) => drop(statement.run(&input)),
        Err(error) => assert!(error.column <= text.chars().count() + 1 && !error.to_string().is_empty()),
    }
    if let Ok(template) = Template::parse(&format!("x/${{{text}}}")) {
        drop(template.render(&input));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>()) {
        try_out(&text, b"{}");
    }

    #[test]
    fn any_words_are_parsed_or_refused(words in vec(select(&WORDS[..]), 0..24), payload in json()) {
        let text = words.join(" ");
        let payload = payload.to_string();
        try_out(&text, payload.as_bytes());
        try_out(&format!("SELECT VALUE {text}"), payload.as_bytes());
    }

    #[test]
    fn mutated_statements_are_parsed_or_refused(
        seed in select(&SEEDS[..]), at in any::<prop::sample::Index>(), cut in 0..6_usize, new in ".{0,3}"
    ) {
        let chars: Vec<char> = seed.chars().collect();
        let at = at.index(chars.len());
        let text: String =
            chars[..at].iter().copied().chain(new.chars()).chain(chars.iter().copied().skip(at + cut)).collect();
        try_out(&text, br#"{"a": 1, "list": [{"n": "temp"}]}"#);
    }

    #[test]
    fn any_json_is_evaluated(payload in json()) {
        let payload = payload.to_string();
        for seed in SEEDS {
            try_out(seed, payload.as_bytes());
        }
    }

    #[test]
    fn functions_take_any_values(function in select(vec![
        "get", "concat", "startswith", "endswith", "indexof", "mod", "power", "trunc", "lpad", "rpad", "bitand",
        "encode", "decode", "regexp_matches", "regexp_substr", "parse_time", "time_to_epoch", "nanvl", "substring",
    ]), a in json(), b in json()) {
        let payload = serde_json::json!({"a": a, "b": b}).to_string();
        try_out(&format!("SELECT VALUE {function}(a, b)"), payload.as_bytes());
    }

    #[test]
    fn numbers_behave_like_floats(left in -1_000_000_i64..1_000_000, right in -1_000_000_i64..1_000_000) {
        let statement = Statement::parse("SELECT a + b AS sum, a * b AS product, a < b AS less, a - b AS difference");
        let payload = serde_json::json!({"a": left, "b": right}).to_string();
        let output = statement.unwrap().run(&Input::new(payload.as_bytes(), "t")).unwrap().unwrap();
        let expected = serde_json::json!({
            "sum": left + right, "product": left * right, "less": left < right, "difference": left - right
        });
        prop_assert_eq!(output, fanfare_iot::sql::Output::Json(expected));
    }
}
