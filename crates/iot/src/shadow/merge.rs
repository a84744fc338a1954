//! Merging, differences and metadata of JSON objects.
//!
//! All of these walk into their argument; requests are checked with [`depth`]
//! first, and the parser itself stops at 128 levels.

use serde_json::{Map, Value as Json, json};

use crate::sql::value::same_json;

type Fields = Map<String, Json>;

/// Levels of objects and arrays; a number has none.
pub(super) fn depth(json: &Json) -> usize {
    match json {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Whether there is a `null` anywhere inside an array: it could not delete anything there.
pub(super) fn has_null_in_array(json: &Json) -> bool {
    fn has_null(json: &Json) -> bool {
        match json {
            Json::Null => true,
            Json::Array(items) => items.iter().any(has_null),
            Json::Object(fields) => fields.values().any(has_null),
            _ => false,
        }
    }
    match json {
        Json::Array(items) => items.iter().any(has_null),
        Json::Object(fields) => fields.values().any(has_null_in_array),
        _ => false,
    }
}

/// Merges `change` into a section and notes in `metadata` when each value was set.
pub(super) fn merge(state: &mut Fields, metadata: &mut Fields, change: &Fields, now_s: u64) {
    for (key, new) in change {
        match new {
            Json::Null => {
                state.remove(key);
                metadata.remove(key);
            }
            Json::Object(new) => {
                // The stamp of a plain value is an object too, but not one to merge into.
                if !state.get(key).is_some_and(Json::is_object) {
                    metadata.remove(key);
                }
                merge(object_at(state, key), object_at(metadata, key), new, now_s);
            }
            _ => {
                state.insert(key.clone(), new.clone());
                metadata.insert(key.clone(), stamped(new, now_s));
            }
        }
    }
}

/// The object at `key`; whatever else is there gives way to an empty one.
fn object_at<'f>(fields: &'f mut Fields, key: &str) -> &'f mut Fields {
    let value = fields.entry(key).or_insert(Json::Null);
    if !value.is_object() {
        *value = Json::Object(Fields::new());
    }
    value.as_object_mut().expect("it was made an object just now")
}

/// The metadata of a value set now: the same shape, with a timestamp for every leaf. `null` has none.
pub(super) fn stamped(json: &Json, now_s: u64) -> Json {
    match json {
        Json::Array(items) => items.iter().map(|item| stamped(item, now_s)).collect(),
        Json::Object(fields) => {
            let stamp = |(key, value): (&String, &Json)| (key.clone(), stamped(value, now_s));
            Json::Object(fields.iter().filter(|(_, value)| !value.is_null()).map(stamp).collect())
        }
        _ => json!({"timestamp": now_s}),
    }
}

/// What `desired` has and `reported` lacks or has otherwise, with its path from
/// the root, and the metadata of exactly that. Arrays are compared whole.
pub(super) fn difference(desired: &Fields, metadata: &Fields, reported: &Fields) -> (Fields, Fields) {
    let (mut state, mut stamps) = (Fields::new(), Fields::new());
    let nothing = Fields::new();
    for (key, wanted) in desired {
        let stamp = metadata.get(key);
        match (wanted, reported.get(key)) {
            (Json::Object(wanted), Some(Json::Object(present))) => {
                let stamp = stamp.and_then(Json::as_object).unwrap_or(&nothing);
                let (inner, inner_stamps) = difference(wanted, stamp, present);
                if !inner.is_empty() {
                    state.insert(key.clone(), Json::Object(inner));
                    stamps.insert(key.clone(), Json::Object(inner_stamps));
                }
            }
            (wanted, Some(present)) if same_json(wanted, present) => {}
            _ => {
                state.insert(key.clone(), wanted.clone());
                stamps.extend(stamp.map(|stamp| (key.clone(), stamp.clone())));
            }
        }
    }
    (state, stamps)
}
