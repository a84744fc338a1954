//! JSON as it was sent: members keep their order, as templates that print them expect.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// A JSON value. At most 128 levels deep where it was read from text.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number; integers beyond 64 bits are approximate.
    Number(Number),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(Members),
}

/// The members of an object, in their order. Of equal names the last counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Members {
    entries: Vec<(String, Json)>,
    /// Positions in `entries`, ordered by name.
    by_name: Vec<u32>,
}

impl Members {
    fn new(mut entries: Vec<(String, Json)>) -> Self {
        let mut by_name = sorted(&entries);
        if by_name.windows(2).any(|pair| entries[pair[0] as usize].0 == entries[pair[1] as usize].0) {
            entries = without_duplicates(entries, &by_name);
            by_name = sorted(&entries);
        }
        Self { entries, by_name }
    }

    /// The member of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        let found = self.by_name.binary_search_by(|&at| self.entries[at as usize].0.as_str().cmp(name)).ok()?;
        Some(&self.entries[self.by_name[found] as usize].1)
    }

    /// Names and values in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Json)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn sorted(entries: &[(String, Json)]) -> Vec<u32> {
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    let mut by_name: Vec<u32> = (0..count).collect();
    by_name.sort_by(|&a, &b| entries[a as usize].0.cmp(&entries[b as usize].0));
    by_name
}

/// The first of equal names keeps its place and gets the value of the last.
fn without_duplicates(mut entries: Vec<(String, Json)>, by_name: &[u32]) -> Vec<(String, Json)> {
    let mut keep = vec![true; entries.len()];
    let mut first = 0;
    for at in 1..by_name.len() {
        let (earlier, later) = (by_name[first] as usize, by_name[at] as usize);
        if entries[earlier].0 == entries[later].0 {
            entries[earlier].1 = std::mem::replace(&mut entries[later].1, Json::Null);
            keep[later] = false;
        } else {
            first = at;
        }
    }
    let mut keep = keep.into_iter();
    entries.retain(|_| keep.next().unwrap_or(true));
    entries
}

impl Json {
    /// Reads a text; `None` where it is not JSON, or too deep.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The member of that name, of an object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Compact, in the order of the members.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(members) => {
                Self::Object(Members::new(members.iter().map(|(name, value)| (name.clone(), value.into())).collect()))
            }
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members.iter() {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Json::Object(Members::new(entries)))
    }
}

/// What stands at the end of a path of names, without keeping anything else of the text. `Err` where
/// the text is not a JSON object. Of other members only the form is looked at.
pub(crate) fn pick(text: &str, names: &[Box<str>]) -> Result<Option<Json>, NotAnObject> {
    if !text.trim_start().starts_with('{') {
        return Err(NotAnObject);
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = Pick(names).deserialize(&mut reader).map_err(|_| NotAnObject)?;
    reader.end().map_err(|_| NotAnObject)?;
    Ok(found)
}

/// A text is not a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAnObject;

struct Pick<'p>(&'p [Box<str>]);

impl<'de> DeserializeSeed<'de> for Pick<'_> {
    type Value = Option<Json>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() { Json::deserialize(deserializer).map(Some) } else { deserializer.deserialize_any(self) }
    }
}

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Option<Json>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some((name, rest)) = self.0.split_first() else { return Ok(None) };
        let mut found = None;
        while let Some(is_wanted) = map.next_key_seed(IsName(name))? {
            if is_wanted {
                found = map.next_value_seed(Pick(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

struct IsName<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_keep_their_order_and_the_last_of_a_name_counts() {
        let json = Json::parse(r#"{"b": 1, "a": {"z": [true, null, 1.5], "y": "é"}, "b": 2}"#).unwrap();
        assert_eq!(json.to_string(), r#"{"b":2,"a":{"z":[true,null,1.5],"y":"é"}}"#);
        assert_eq!(json.get("b"), Some(&Json::Number(2.into())));
        assert_eq!(json.get("c"), None);
    }

    #[test]
    fn one_member_is_picked_without_the_rest() {
        let names = |text: &str| text.split('.').map(Box::from).collect::<Vec<Box<str>>>();
        let text = r#"{"x": [{"action": "no"}], "action": "first", "data": {"room": {"n": 7}}, "action": "join"}"#;
        assert_eq!(pick(text, &names("action")), Ok(Some(Json::Text("join".to_owned()))));
        assert_eq!(pick(text, &names("data.room.n")), Ok(Some(Json::Number(7.into()))));
        assert_eq!(pick(text, &names("x.action")), Ok(None));
        for text in ["[]", "x", "", r#"{"action": "join"} x"#, r#"{"action": "join""#, "\"action\""] {
            assert_eq!(pick(text, &names("action")), Err(NotAnObject), "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            any::<i32>().prop_map(|number| number.to_string()),
            "[a-cé]{0,3}".prop_map(|text| format!("{text:?}")),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec(("[abc]", inner), 0..4).prop_map(|members| {
                    let members: Vec<String> =
                        members.into_iter().map(|(name, value)| format!("{name:?}: {value}")).collect();
                    format!("{{{}}}", members.join(", "))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn picking_finds_what_reading_finds(text in any_json(), names in prop::collection::vec("[abc]", 1..3)) {
            let json = Json::parse(&text).unwrap();
            let names: Vec<Box<str>> = names.into_iter().map(Box::from).collect();
            let read = match &json {
                Json::Object(_) => Ok(names.iter().try_fold(&json, |json, name| json.get(name)).cloned()),
                _ => Err(NotAnObject),
            };
            prop_assert_eq!(pick(&text, &names), read);
        }

        #[test]
        fn what_is_written_reads_the_same(text in any_json()) {
            let json = Json::parse(&text).unwrap();
            prop_assert_eq!(Json::parse(&json.to_string()), Some(json));
        }

        #[test]
        fn no_text_breaks_it(text in r#"[{}\[\],:"a1\\ ]{0,40}"#) {
            let read = Json::parse(&text).is_some_and(|json| matches!(json, Json::Object(_)));
            prop_assert_eq!(pick(&text, &["a".into()]).is_ok(), read);
        }
    }
}
