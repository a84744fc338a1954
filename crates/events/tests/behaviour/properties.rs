//! What holds for any JSON.

use fanfare_events::Pattern;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-5e9..5e9_f64).prop_map(Value::from),
        "[a-cA-C*é]{0,4}".prop_map(Value::from),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        "[a-c]",
        Just("$or".to_owned()),
        Just("anything-but".to_owned()),
        Just("prefix".to_owned()),
        Just("suffix".to_owned()),
        Just("wildcard".to_owned()),
        Just("numeric".to_owned()),
        Just("cidr".to_owned()),
        Just("exists".to_owned()),
        Just("equals-ignore-case".to_owned()),
    ];
    let leaf = prop_oneof![scalar(), Just(json!(">")), Just(json!("10.0.0.0/8"))];
    leaf.prop_recursive(5, 48, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(key.clone(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Objects of scalars and of objects: events without arrays.
fn plain_event() -> impl Strategy<Value = Value> {
    let fields = |inner: BoxedStrategy<Value>| {
        btree_map("[a-e]{1,3}", inner, 1..4).prop_map(|map| Value::Object(map.into_iter().collect()))
    };
    fields(scalar().prop_recursive(3, 24, 3, move |inner| fields(inner.boxed()).boxed()).boxed())
}

/// The pattern that asks for every scalar of an event.
fn exact(event: &Value) -> Value {
    match event {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), exact(value))).collect::<Map<_, _>>().into(),
        scalar => json!([scalar]),
    }
}

/// Tries every meaning of every star.
fn naive_wildcard(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|skip| naive_wildcard(rest, &text[skip..])),
        [c, rest @ ..] => text.first() == Some(c) && naive_wildcard(rest, &text[1..]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_json_is_a_pattern_or_refused(pattern in any_json(), event in any_json()) {
        let by_value = Pattern::from_value(&pattern);
        let by_text = Pattern::parse(&pattern.to_string());
        prop_assert_eq!(by_value.is_ok(), by_text.is_ok());
        if let (Ok(by_value), Ok(by_text)) = (by_value, by_text) {
            prop_assert_eq!(by_value.matches(&event), by_text.matches(&event));
        }
    }

    #[test]
    fn any_text_is_a_pattern_or_refused(text in "[\\[\\]{}\":,$orax1*\\\\ ]{0,60}") {
        let _ = Pattern::parse(&text);
    }

    #[test]
    fn an_event_matches_its_own_pattern(event in plain_event()) {
        let pattern = Pattern::from_value(&exact(&event)).expect("scalars in objects are a pattern");
        prop_assert!(pattern.matches(&event));
        let mut more = event.clone();
        more["another"] = json!([{"field": 1}]);
        prop_assert!(pattern.matches(&more), "what is not asked for does not matter");
        let around = Pattern::from_value(&json!({"in": exact(&event)})).expect("a pattern one level deeper");
        prop_assert!(around.matches(&json!({"in": [{"in": 1}, [event]]})), "an element of an array is as good");
    }

    #[test]
    fn anything_but_is_the_complement(denied in vec(scalar(), 1..4), value in scalar()) {
        let denied: Vec<Value> = denied.iter().filter(|one| {
            std::mem::discriminant(*one) == std::mem::discriminant(&denied[0])
        }).cloned().collect();
        let event = json!({"x": value});
        let wanted = Pattern::from_value(&json!({"x": denied})).expect("scalars are matchers");
        let others = Pattern::from_value(&json!({"x": [{"anything-but": denied}]})).expect("scalars of one type");
        prop_assert_ne!(wanted.matches(&event), others.matches(&event));
        let nothing = Value::Object(Map::new());
        prop_assert!(!others.matches(&nothing));
    }

    #[test]
    fn anything_but_a_text_test_is_the_complement(
        name in prop::sample::select(vec!["prefix", "suffix", "equals-ignore-case", "wildcard"]),
        operand in "[a-cA-C]{1,2}",
        value in scalar(),
    ) {
        let event = json!({"x": value});
        let wanted = Pattern::from_value(&json!({"x": [{name: operand}]})).expect("a text test");
        let others = Pattern::from_value(&json!({"x": [{"anything-but": {name: operand}}]})).expect("its complement");
        prop_assert_ne!(wanted.matches(&event), others.matches(&event));
    }

    #[test]
    fn a_wildcard_is_what_the_naive_matcher_says(pattern in "[ab*]{0,8}", text in "[ab]{0,12}") {
        prop_assume!(!pattern.contains("**"));
        let compiled = Pattern::from_value(&json!({"x": [{"wildcard": pattern}]})).expect("no double stars");
        let naive = naive_wildcard(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
        prop_assert_eq!(compiled.matches(&json!({"x": text})), naive, "{} against {}", pattern, text);
    }
}
