//! `$or` and arrays against a second way to decide, slow and plain: write out
//! every combination, list every scalar of the event with the elements it lies
//! in, and try every choice of scalars that agree about the elements.

use std::collections::BTreeMap;

use fanfare_events::Pattern;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What one combination asks: a path and the values that will do.
type Asked = Vec<(String, Vec<Value>)>;
/// Which object was taken of the array at a path.
type Elements = BTreeMap<String, usize>;

fn combinations(pattern: &Value, path: &str) -> Vec<Asked> {
    let mut all = vec![Vec::new()];
    for (key, value) in pattern.as_object().into_iter().flatten() {
        let below = format!("{path}/{key}");
        let choices: Vec<Asked> = match value {
            Value::Array(list) if key == "$or" => list.iter().flat_map(|one| combinations(one, path)).collect(),
            Value::Array(list) => vec![vec![(below, list.clone())]],
            inner => combinations(inner, &below),
        };
        all = all.iter().flat_map(|one| choices.iter().map(|choice| [one.clone(), choice.clone()].concat())).collect();
    }
    all
}

fn scalars(value: &Value, path: &str, within: &Elements, seen: &mut usize, out: &mut Vec<(String, Value, Elements)>) {
    match value {
        Value::Object(map) => {
            *seen += 1;
            let mut within = within.clone();
            within.insert(path.to_owned(), *seen);
            for (key, value) in map {
                scalars(value, &format!("{path}/{key}"), &within, seen, out);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| scalars(value, path, within, seen, out)),
        scalar => out.push((path.to_owned(), scalar.clone(), within.clone())),
    }
}

fn agree(asked: &[(String, Vec<Value>)], fields: &[(String, Value, Elements)], taken: &Elements) -> bool {
    let Some(((path, wanted), rest)) = asked.split_first() else {
        return true;
    };
    fields.iter().filter(|(at, value, _)| at == path && wanted.contains(value)).any(|(_, _, within)| {
        let fits = within.iter().all(|(path, element)| taken.get(path).is_none_or(|taken| taken == element));
        let both = taken.iter().chain(within).map(|(path, element)| (path.clone(), *element)).collect();
        fits && agree(rest, fields, &both)
    })
}

fn object(inner: impl Strategy<Value = Value>, fields: usize) -> impl Strategy<Value = Value> {
    btree_map("[abc]", inner, 1..=fields).prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn event() -> impl Strategy<Value = Value> {
    let inner = (0..3_u8).prop_map(Value::from).prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            object(inner.clone(), 3),
            vec(object(inner.clone(), 3), 1..4).prop_map(Value::from),
            vec(inner, 1..3).prop_map(Value::from)
        ]
    });
    object(inner, 3)
}

fn pattern() -> impl Strategy<Value = Value> {
    let leaf = vec((0..3_u8).prop_map(Value::from), 1..3).prop_map(Value::from);
    let with_or = |inner: BoxedStrategy<Value>| {
        let or = object(inner.clone(), 2);
        (object(inner, 2), proptest::option::weighted(0.6, vec(or, 2..4))).prop_map(|(mut object, or)| {
            if let Some(or) = or {
                object["$or"] = json!(or);
            }
            object
        })
    };
    with_or(leaf.prop_recursive(2, 12, 3, move |inner| with_or(inner.boxed()).boxed()).boxed())
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 20_000, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn the_tree_decides_as_the_plain_search_does(pattern in pattern(), events in vec(event(), 1..4)) {
        let combinations = combinations(&pattern, "");
        // The plain search takes exponential time.
        prop_assume!(combinations.len() <= 24 && combinations.iter().all(|asked| asked.len() <= 5));
        let compiled = Pattern::from_value(&pattern).expect("a pattern by construction");
        for event in events {
            let mut fields = Vec::new();
            scalars(&event, "", &Elements::new(), &mut 0, &mut fields);
            prop_assume!(fields.len() <= 40);
            let expected = combinations.iter().any(|asked| agree(asked, &fields, &Elements::new()));
            prop_assert_eq!(compiled.matches(&event), expected, "{} against {}", pattern, event);
        }
    }
}
