//! Policy documents, read strictly.

use std::sync::Arc;

use fanfare_core::Effect;
use serde_json::{Map, Value};

use crate::condition::Condition;
use crate::context::Context;
use crate::error::{Place, PolicyError};
use crate::glob::Glob;
use crate::json;
use crate::resource::Resource;

const VERSION: &str = "2012-10-17";

/// How long a document may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most characters that are not white space.
    pub chars_max: usize,
    /// Most bytes, white space and all.
    pub bytes_max: usize,
}

/// What AWS IoT takes, 2,048 characters, with white space within reason: 32,768 bytes.
impl Default for Limits {
    fn default() -> Self {
        Self { chars_max: 2_048, bytes_max: 32_768 }
    }
}

/// A policy document that has been understood in full.
///
/// Not supported, and refused by name: `NotAction`, `NotResource`, `Principal`, `NotPrincipal`, the
/// suffix `IfExists` of condition operators, default values of variables.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub(crate) statements: Box<[Statement]>,
}

impl Document {
    /// Reads a document within the default [`Limits`].
    ///
    /// # Errors
    /// [`PolicyError`] says what is wrong, where, and what to do.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        Self::parse_within(text, Limits::default())
    }

    /// Reads a document within other limits.
    ///
    /// # Errors
    /// [`PolicyError`] says what is wrong, where, and what to do.
    pub fn parse_within(text: &str, limits: Limits) -> Result<Self, PolicyError> {
        if text.len() > limits.bytes_max {
            return Err(PolicyError::TooManyBytes { bytes: text.len(), max: limits.bytes_max });
        }
        let chars = text.chars().filter(|c| !c.is_whitespace()).count();
        if chars > limits.chars_max {
            return Err(PolicyError::TooLong { chars, max: limits.chars_max });
        }
        let value: Value = serde_json::from_str(text).map_err(|error| PolicyError::Json(error.to_string()))?;
        if let Some(key) = json::duplicate_key(text) {
            return Err(PolicyError::DuplicateKey(key));
        }
        Self::from_value(&value)
    }

    fn from_value(value: &Value) -> Result<Self, PolicyError> {
        let place = Place::default();
        let fields = Fields::of(value, &place, "write {\"Version\": \"2012-10-17\", \"Statement\": [...]}")?;
        fields.know(&["Version", "Id", "Statement"], "Version, Id, Statement")?;
        match fields.map.get("Version") {
            Some(Value::String(version)) if version == VERSION => {}
            found => return Err(PolicyError::Version(found.map_or("missing".to_owned(), Value::to_string))),
        }
        let statements = match fields.map.get("Statement") {
            Some(Value::Array(list)) => list.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        if statements.is_empty() {
            return Err(fields.missing("Statement"));
        }
        let statements = statements.iter().enumerate().map(|(index, value)| Statement::parse(value, index));
        Ok(Self { statements: statements.collect::<Result<_, _>>()? })
    }

    /// How many statements there are.
    pub fn statements(&self) -> usize {
        self.statements.len()
    }
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statement {
    pub(crate) sid: Option<Arc<str>>,
    pub(crate) effect: Effect,
    /// Lower case: actions are compared without regard to case.
    actions: Box<[Glob]>,
    pub(crate) resources: Box<[Resource]>,
    pub(crate) conditions: Box<[Condition]>,
}

impl Statement {
    fn parse(value: &Value, index: usize) -> Result<Self, PolicyError> {
        let mut place = Place { statement: Some(index), sid: None };
        let what = "write {\"Effect\": ..., \"Action\": ..., \"Resource\": ...}";
        let sid = match value.get("Sid") {
            None => None,
            Some(Value::String(sid)) => Some(sid.as_str()),
            Some(_) => return Err(PolicyError::Value { place, key: "Sid".to_owned(), expected: "a text" }),
        };
        place.sid = sid.map(Box::from);
        let fields = Fields::of(value, &place, what)?;
        fields.check_supported()?;
        let known = ["Sid", "Effect", "Action", "Resource", "Condition"];
        fields.know(&known, "Sid, Effect, Action, Resource, Condition")?;
        let actions = fields.list("Action")?.into_iter().map(|action| parse_action(action, &place));
        let resources = fields.list("Resource")?.into_iter().map(|resource| Resource::parse(resource, &place));
        let conditions = fields.map.get("Condition").map(|value| Condition::parse_all(value, &place)).transpose()?;
        Ok(Self {
            sid: sid.map(Arc::from),
            effect: fields.effect()?,
            actions: actions.collect::<Result<_, _>>()?,
            resources: resources.collect::<Result<_, _>>()?,
            conditions: conditions.unwrap_or_default().into(),
        })
    }

    /// Whether it speaks about `action`, given in lower case.
    pub(crate) fn concerns(&self, action: &str) -> bool {
        self.actions.iter().any(|pattern| pattern.matches(action))
    }

    /// Whether a resource holds what the client calls itself.
    pub(crate) fn uses_client_id(&self) -> bool {
        self.resources.iter().any(Resource::uses_client_id)
    }

    /// Whether its conditions hold for `context`.
    pub(crate) fn conditions_hold(&self, context: &Context) -> bool {
        self.conditions.iter().all(|condition| condition.holds(context))
    }

    /// Whether a condition admits what a CONNECT asks for by name.
    pub(crate) fn is_about_connect(&self) -> bool {
        self.conditions.iter().any(Condition::is_about_connect)
    }
}

fn parse_action(action: &str, place: &Place) -> Result<Glob, PolicyError> {
    let is_name = |text: &str, signs: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || signs.contains(c))
    };
    let has_form =
        || action.split_once(':').is_some_and(|(service, name)| is_name(service, "-") && is_name(name, "*?"));
    if action == "*" || has_form() {
        return Ok(Glob::parse(&action.to_ascii_lowercase()));
    }
    Err(PolicyError::Action { place: place.clone(), action: action.to_owned() })
}

/// An object of the document, with the place for errors.
struct Fields<'a> {
    map: &'a Map<String, Value>,
    place: &'a Place,
}

impl<'a> Fields<'a> {
    fn of(value: &'a Value, place: &'a Place, what: &'static str) -> Result<Self, PolicyError> {
        let map = value.as_object().ok_or_else(|| PolicyError::NotAnObject { place: place.clone(), what })?;
        Ok(Self { map, place })
    }

    fn know(&self, keys: &[&str], known: &'static str) -> Result<(), PolicyError> {
        match self.map.keys().find(|key| !keys.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(PolicyError::UnknownKey { place: self.place.clone(), key: key.clone(), known }),
        }
    }

    fn check_supported(&self) -> Result<(), PolicyError> {
        let attached = "the policy is for whom it is attached to, leave it out";
        for (key, instead) in [
            ("NotAction", "list what is meant in Action, and use Deny for exceptions"),
            ("NotResource", "list what is meant in Resource, and use Deny for exceptions"),
            ("Principal", attached),
            ("NotPrincipal", attached),
        ] {
            if self.map.contains_key(key) {
                return Err(PolicyError::NotSupported { place: self.place.clone(), key, instead });
            }
        }
        Ok(())
    }

    fn effect(&self) -> Result<Effect, PolicyError> {
        match self.map.get("Effect") {
            None => Err(self.missing("Effect")),
            Some(Value::String(word)) if word == "Allow" => Ok(Effect::Allow),
            Some(Value::String(word)) if word == "Deny" => Ok(Effect::Deny),
            Some(found) => Err(PolicyError::Effect { place: self.place.clone(), found: found.to_string() }),
        }
    }

    /// A text, or a list of texts that is not empty.
    fn list(&self, key: &'static str) -> Result<Vec<&'a str>, PolicyError> {
        let texts: Option<Vec<_>> = match self.map.get(key) {
            None => return Err(self.missing(key)),
            Some(Value::Array(values)) => values.iter().map(Value::as_str).collect(),
            Some(one) => one.as_str().map(|text| vec![text]),
        };
        let expected = "a text, or a list of texts that is not empty";
        let wrong = || PolicyError::Value { place: self.place.clone(), key: key.to_owned(), expected };
        texts.filter(|texts| !texts.is_empty()).ok_or_else(wrong)
    }

    fn missing(&self, key: &'static str) -> PolicyError {
        PolicyError::Missing { place: self.place.clone(), key }
    }
}
