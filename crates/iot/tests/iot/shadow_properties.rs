//! Shadows against a naive model, with random updates.

use fanfare_iot::shadow::{Shadow, ShadowName};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![any::<bool>().prop_map(Value::from), (0..3_i64).prop_map(Value::from), "[a-b]".prop_map(Value::from)]
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let key = select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned);
    vec((key, value), 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

/// What may stand in a section: values, arrays, objects, and nulls that delete.
fn section() -> impl Strategy<Value = Value> {
    let start = prop_oneof![3 => leaf(), 1 => Just(Value::Null), 1 => vec(leaf(), 0..3).prop_map(Value::from)];
    object(start.prop_recursive(3, 12, 4, object))
}

fn request() -> impl Strategy<Value = Value> {
    let part = || prop_oneof![1 => Just(None), 1 => Just(Some(Value::Null)), 6 => section().prop_map(Some)];
    (part(), part()).prop_map(|(desired, reported)| {
        let mut state = Map::new();
        state.extend(desired.map(|section| ("desired".to_owned(), section)));
        state.extend(reported.map(|section| ("reported".to_owned(), section)));
        json!({"state": state})
    })
}

/// A list of paths and leaves: the model that a merge is checked against.
type Leaves = std::collections::BTreeMap<Vec<String>, Value>;

/// Sets every leaf of `change`; a value clears what is below and above it, an object only makes way for itself.
fn model(leaves: &mut Leaves, path: &[String], change: &Value) {
    let under = |leaves: &mut Leaves| leaves.retain(|other, _| !other.starts_with(path));
    match change {
        Value::Object(fields) => {
            leaves.remove(path);
            // The object itself is a leaf of its own kind, so that empty ones are seen.
            let mut marker = path.to_vec();
            marker.push(String::new());
            leaves.insert(marker, Value::Null);
            for (key, value) in fields {
                let mut inner = path.to_vec();
                inner.push(key.clone());
                model(leaves, &inner, value);
            }
        }
        Value::Null => under(leaves),
        value => {
            under(leaves);
            leaves.insert(path.to_vec(), value.clone());
        }
    }
}

fn leaves_of(value: &Value) -> Leaves {
    let mut leaves = Leaves::new();
    model(&mut leaves, &[], value);
    leaves
}

fn is_subset(desired: &Value, reported: &Value) -> bool {
    match (desired, reported) {
        (Value::Object(desired), Value::Object(reported)) => {
            desired.iter().all(|(key, value)| reported.get(key).is_some_and(|other| is_subset(value, other)))
        }
        (desired, reported) => desired == reported,
    }
}

/// Where metadata have the shape of the state, with a timestamp at every leaf.
fn is_stamped(state: &Value, metadata: &Value) -> bool {
    match (state, metadata) {
        (Value::Object(state), Value::Object(metadata)) => {
            state.len() == metadata.len()
                && state.iter().all(|(key, value)| metadata.get(key).is_some_and(|stamp| is_stamped(value, stamp)))
        }
        (Value::Array(state), Value::Array(metadata)) => {
            state.len() == metadata.len() && state.iter().zip(metadata).all(|(value, stamp)| is_stamped(value, stamp))
        }
        (_, stamp) => stamp["timestamp"].is_u64(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn updates_equal_the_model(requests in vec(request(), 1..12), delete_at in any::<prop::sample::Index>()) {
        let name = ShadowName::new("t", None).unwrap();
        let mut shadow = Shadow::default();
        let (mut desired, mut reported): (Option<Leaves>, Option<Leaves>) = (None, None);
        let delete_at = delete_at.index(requests.len() * 2);
        let mut version = 0;
        for (now, request) in requests.iter().enumerate() {
            if now == delete_at && shadow.exists() {
                shadow.delete(&name, b"", 0).unwrap();
                (desired, reported) = (None, None);
            }
            let updated = shadow.update(request.to_string().as_bytes(), now as u64).unwrap();
            for (leaves, change) in [(&mut desired, &request["state"].get("desired")), (&mut reported, &request["state"].get("reported"))] {
                match change {
                    None => {}
                    Some(Value::Null) => *leaves = None,
                    Some(change) => model(leaves.get_or_insert_default(), &[], change),
                }
            }
            let document = shadow.get(&name, b"", 0).unwrap();
            let state = &document["state"];
            prop_assert_eq!(state.get("desired").map(leaves_of), desired.clone());
            prop_assert_eq!(state.get("reported").map(leaves_of), reported.clone());

            prop_assert!(shadow.version() > version);
            version = shadow.version();
            prop_assert_eq!(&updated.accepted["version"], version);
            prop_assert_eq!(&updated.accepted["state"], &request["state"]);

            let empty = json!({});
            let (wanted, present) =
                (state.get("desired").unwrap_or(&empty), state.get("reported").unwrap_or(&empty));
            prop_assert_eq!(updated.delta.is_none(), is_subset(wanted, present), "{} {}", wanted, present);
            if let Some(delta) = &updated.delta {
                prop_assert!(is_subset(&delta["state"], wanted));
                prop_assert!(is_stamped(&delta["state"], &delta["metadata"]));
                prop_assert_eq!(&delta["state"], &state["delta"]);
            }
            for section in ["desired", "reported"] {
                if let Some(part) = state.get(section) {
                    prop_assert!(is_stamped(part, &document["metadata"][section]), "{}", document);
                }
            }
            prop_assert_eq!(&Shadow::from_bytes(&shadow.to_bytes()).unwrap(), &shadow);
        }
    }

    #[test]
    fn reporting_the_difference_ends_it(first in request(), now in 0..10_u64) {
        let mut shadow = Shadow::default();
        if let Some(delta) = shadow.update(first.to_string().as_bytes(), now).unwrap().delta {
            let report = json!({"state": {"reported": delta["state"]}});
            let updated = shadow.update(report.to_string().as_bytes(), now).unwrap();
            prop_assert_eq!(updated.delta, None);
        }
    }

    #[test]
    fn any_bytes_are_answered(request in vec(any::<u8>(), 0..64), text in any::<String>()) {
        let mut shadow = Shadow::default();
        let name = ShadowName::new("t", None).unwrap();
        for bytes in [request.as_slice(), text.as_bytes(), format!("{{\"state\":{{\"desired\":{text}}}}}").as_bytes()] {
            drop(shadow.update(bytes, 0));
            drop(shadow.get(&name, bytes, 0));
            drop(shadow.delete(&name, bytes, 0));
        }
    }
}
