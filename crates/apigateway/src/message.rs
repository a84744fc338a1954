//! A message, read as JSON when somebody asks.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::json::Json;

/// A text of a client, or the body of an answer. It is read as JSON once, at the first need.
#[derive(Debug)]
pub struct MessageText<'t> {
    text: Cow<'t, str>,
    json: OnceLock<Option<Json>>,
}

impl<'t> MessageText<'t> {
    /// Wraps a text. Nothing is read yet.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        Self { text: Cow::Borrowed(text), json: OnceLock::new() }
    }

    /// Wraps bytes; what is not UTF-8 in them is replaced.
    #[must_use]
    pub fn from_bytes(bytes: &'t [u8]) -> Self {
        Self { text: String::from_utf8_lossy(bytes), json: OnceLock::new() }
    }

    /// The text as it came.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text as JSON; `None` where it is not JSON, or more than 128 levels deep.
    pub fn json(&self) -> Option<&Json> {
        self.json.get_or_init(|| Json::parse(&self.text)).as_ref()
    }

    /// The JSON, if it was read already.
    pub(crate) fn known(&self) -> Option<Option<&Json>> {
        self.json.get().map(Option::as_ref)
    }
}

/// What is known of a request beside the API.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The message; none for `$connect` and `$disconnect`.
    pub message: Option<&'a MessageText<'a>>,
    /// Headers of the upgrade, in any case.
    pub headers: &'a [(String, String)],
    /// The upgrade's query, decoded.
    pub query: &'a [(String, String)],
    /// The `$context`: `connectionId`, `routeKey`, `authorizer`, `identity` and so on.
    pub context: &'a Map<String, Value>,
    /// The stage's variables.
    pub stage_variables: &'a BTreeMap<String, String>,
}

impl<'a> Scope<'a> {
    /// The values of a header, in their order.
    pub(crate) fn header_values(&self, name: &str) -> Vec<&'a str> {
        values(self.headers, |header| header.eq_ignore_ascii_case(name))
    }

    /// The values of a parameter, in their order.
    pub(crate) fn query_values(&self, name: &str) -> Vec<&'a str> {
        values(self.query, |parameter| parameter == name)
    }

    /// What stands in the context under names joined by dots. A name with dots in it is found, too.
    pub(crate) fn context_value(&self, path: &str) -> Option<&'a Value> {
        look_up(self.context, path, 0)
    }
}

fn values(pairs: &[(String, String)], is_wanted: impl Fn(&str) -> bool) -> Vec<&str> {
    pairs.iter().filter(|(name, _)| is_wanted(name)).map(|(_, value)| value.as_str()).collect()
}

/// Levels of the context that are looked at.
const CONTEXT_LEVELS: usize = 8;

fn look_up<'a>(map: &'a Map<String, Value>, path: &str, level: usize) -> Option<&'a Value> {
    if let Some(value) = map.get(path) {
        return Some(value);
    }
    let (name, rest) = path.split_once('.')?;
    match map.get(name)? {
        Value::Object(inner) if level < CONTEXT_LEVELS => look_up(inner, rest, level + 1),
        _ => None,
    }
}
