//! Reads schemas.

use std::collections::{BTreeMap, HashMap};

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::{
    Dependency, Items, Kind, ListRules, NESTING_MAX, NODES_MAX, Node, NodeId, NumberRules, ObjectRules, Others, Schema,
    SchemaError, TextRules,
};
use crate::json::Json;

/// The most memory of one pattern, in bytes.
const PATTERN_SIZE_MAX: usize = 256 * 1024;
/// Where references to other models lead.
const MODELS: &str = "/models/";

/// Words that are looked at.
const WORDS: [&str; 27] = [
    "$ref",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "dependencies",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "properties",
    "required",
    "type",
    "uniqueItems",
];

/// Words that only describe.
const DESCRIBING: [&str; 12] = [
    "$schema",
    "id",
    "title",
    "description",
    "default",
    "definitions",
    "format",
    "example",
    "examples",
    "readOnly",
    "xml",
    "externalDocs",
];

type Outcome<T> = Result<T, SchemaError>;

impl Schema {
    /// Reads the model of that name; the others are there for references.
    ///
    /// # Errors
    /// Words and values that draft 4 does not have, references that lead nowhere, or more than
    /// [`NESTING_MAX`] levels and [`NODES_MAX`] schemas.
    pub fn compile(name: &str, models: &BTreeMap<String, Value>) -> Outcome<Self> {
        let mut reader = Reader { models, nodes: Vec::new(), known: HashMap::new(), nesting: 0 };
        let nothing = Value::Null;
        let root = models.get(name).unwrap_or(&nothing);
        reader.schema(root, &Place { model: name, pointer: "#".to_owned() })?;
        Ok(Self { nodes: reader.nodes })
    }
}

/// Where a schema stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place<'m> {
    model: &'m str,
    /// Such as `#/properties/a`.
    pointer: String,
}

impl Place<'_> {
    fn within(&self, name: &str) -> Self {
        let name = name.replace('~', "~0").replace('/', "~1");
        Self { model: self.model, pointer: format!("{}/{name}", self.pointer) }
    }

    fn error<T>(&self, problem: impl Into<String>) -> Outcome<T> {
        Err(SchemaError { at: self.pointer.clone(), problem: problem.into() })
    }
}

struct Reader<'m> {
    models: &'m BTreeMap<String, Value>,
    nodes: Vec<Node>,
    /// What is read already, or being read.
    known: HashMap<Place<'m>, NodeId>,
    nesting: usize,
}

impl<'m> Reader<'m> {
    /// Reads a schema and all in it. The first one is the root.
    fn schema(&mut self, value: &'m Value, place: &Place<'m>) -> Outcome<NodeId> {
        if let Some(&id) = self.known.get(place) {
            return Ok(id);
        }
        let Value::Object(members) = value else { return place.error("a schema is an object") };
        if self.nodes.len() == NODES_MAX {
            return place.error(format!("the model has more than {NODES_MAX} schemas in it"));
        }
        if self.nesting == NESTING_MAX {
            return place.error(format!("more than {NESTING_MAX} schemas within each other; use definitions"));
        }
        let is_known = |word: &str| WORDS.contains(&word) || DESCRIBING.contains(&word) || word.starts_with("x-");
        if let Some(word) = members.keys().find(|word| !is_known(word)) {
            return place.within(word).error("draft 4 has no such word; remove it");
        }
        let id = self.nodes.len();
        self.nodes.push(Node::default());
        self.known.insert(place.clone(), id);
        self.nesting += 1;
        self.nodes[id] = self.node(members, place)?;
        self.nesting -= 1;
        Ok(id)
    }

    fn node(&mut self, members: &'m Map<String, Value>, place: &Place<'m>) -> Outcome<Node> {
        if let Some(reference) = members.get("$ref") {
            let reference = Some(self.reference(reference, place)?);
            return Ok(Node { reference, ..Node::default() });
        }
        let one_of_values = match members.get("enum") {
            None => None,
            Some(Value::Array(values)) => Some(values.iter().map(Json::from).collect()),
            Some(_) => return place.within("enum").error("write a list of values"),
        };
        let not = members.get("not").map(|value| self.schema(value, &place.within("not"))).transpose()?;
        Ok(Node {
            reference: None,
            kinds: members.get("type").map(|value| kinds(value, &place.within("type"))).transpose()?,
            one_of_values,
            number: number_rules(members, place)?,
            text: text_rules(members, place)?,
            list: self.list_rules(members, place)?,
            object: self.object_rules(members, place)?,
            all_of: self.several("allOf", members, place)?,
            any_of: self.several("anyOf", members, place)?,
            one_of: self.several("oneOf", members, place)?,
            not,
        })
    }

    fn reference(&mut self, value: &'m Value, place: &Place<'m>) -> Outcome<NodeId> {
        let here = place.within("$ref");
        let Value::String(text) = value else { return here.error("write a reference, such as #/definitions/NAME") };
        let (model, pointer) = text.split_once('#').unwrap_or((text, ""));
        let model = match model.rsplit_once(MODELS) {
            Some((_, name)) => name,
            None if model.is_empty() => place.model,
            None => model,
        };
        let nowhere = || here.error(format!("{text:?} leads nowhere; known models are {}", self.names()));
        let Some((model, root)) = self.models.get_key_value(model) else { return nowhere() };
        let Some(found) = root.pointer(pointer) else { return nowhere() };
        self.schema(found, &Place { model, pointer: format!("#{pointer}") })
    }

    fn names(&self) -> String {
        self.models.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    fn several(&mut self, name: &str, members: &'m Map<String, Value>, place: &Place<'m>) -> Outcome<Vec<NodeId>> {
        let place = place.within(name);
        match members.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) if !values.is_empty() => self.each(values, &place),
            Some(_) => place.error("write a list of schemas"),
        }
    }

    fn each(&mut self, values: &'m [Value], place: &Place<'m>) -> Outcome<Vec<NodeId>> {
        values.iter().enumerate().map(|(at, value)| self.schema(value, &place.within(&at.to_string()))).collect()
    }

    fn others(&mut self, name: &str, members: &'m Map<String, Value>, place: &Place<'m>) -> Outcome<Others> {
        Ok(match members.get(name) {
            None | Some(Value::Bool(true)) => Others::Anything,
            Some(Value::Bool(false)) => Others::Nothing,
            Some(value) => Others::Schema(self.schema(value, &place.within(name))?),
        })
    }

    fn list_rules(&mut self, members: &'m Map<String, Value>, place: &Place<'m>) -> Outcome<ListRules> {
        let items = match members.get("items") {
            None => Items::Any,
            Some(Value::Array(values)) => {
                let places = self.each(values, &place.within("items"))?;
                Items::Places(places, self.others("additionalItems", members, place)?)
            }
            Some(value) => Items::Each(self.schema(value, &place.within("items"))?),
        };
        Ok(ListRules {
            fewest: count("minItems", members, place)?,
            most: count("maxItems", members, place)?,
            is_unique: flag("uniqueItems", members, place)?,
            items,
        })
    }

    fn object_rules(&mut self, members: &'m Map<String, Value>, place: &Place<'m>) -> Outcome<ObjectRules> {
        let mut rules = ObjectRules {
            fewest: count("minProperties", members, place)?,
            most: count("maxProperties", members, place)?,
            others: self.others("additionalProperties", members, place)?,
            ..ObjectRules::default()
        };
        if let Some(value) = members.get("required") {
            rules.required = names(value, &place.within("required"))?;
        }
        for (name, value) in object("properties", members, place)? {
            let id = self.schema(value, &place.within("properties").within(name))?;
            rules.properties.insert(name.clone(), id);
        }
        for (text, value) in object("patternProperties", members, place)? {
            let place = place.within("patternProperties").within(text);
            rules.patterns.push((pattern(text, &place)?, self.schema(value, &place)?));
        }
        for (name, value) in object("dependencies", members, place)? {
            let place = place.within("dependencies").within(name);
            let dependency = match value {
                Value::Array(_) => Dependency::Names(names(value, &place)?),
                _ => Dependency::Schema(self.schema(value, &place)?),
            };
            rules.dependencies.push((name.clone(), dependency));
        }
        Ok(rules)
    }
}

fn number_rules(members: &Map<String, Value>, place: &Place<'_>) -> Outcome<NumberRules> {
    let multiple_of = number("multipleOf", members, place)?;
    if multiple_of.is_some_and(|size| size <= 0.0) {
        return place.within("multipleOf").error("write a number above 0");
    }
    Ok(NumberRules {
        least: number("minimum", members, place)?,
        is_above_least: flag("exclusiveMinimum", members, place)?,
        most: number("maximum", members, place)?,
        is_below_most: flag("exclusiveMaximum", members, place)?,
        multiple_of,
    })
}

fn text_rules(members: &Map<String, Value>, place: &Place<'_>) -> Outcome<TextRules> {
    let here = place.within("pattern");
    let pattern = match members.get("pattern") {
        None => None,
        Some(Value::String(text)) => Some(pattern(text, &here)?),
        Some(_) => return here.error("write a regular expression"),
    };
    Ok(TextRules {
        shortest: count("minLength", members, place)?,
        longest: count("maxLength", members, place)?,
        pattern,
    })
}

fn kinds(value: &Value, place: &Place<'_>) -> Outcome<Vec<Kind>> {
    let names = match value {
        Value::Array(names) if !names.is_empty() => names.as_slice(),
        one => std::slice::from_ref(one),
    };
    let kind = |name: &Value| match name.as_str() {
        Some("null") => Ok(Kind::Null),
        Some("boolean") => Ok(Kind::Boolean),
        Some("integer") => Ok(Kind::Integer),
        Some("number") => Ok(Kind::Number),
        Some("string") => Ok(Kind::Text),
        Some("array") => Ok(Kind::List),
        Some("object") => Ok(Kind::Object),
        _ => place.error("write null, boolean, integer, number, string, array, object, or a list of them"),
    };
    names.iter().map(kind).collect()
}

fn pattern(text: &str, place: &Place<'_>) -> Outcome<Regex> {
    let built = RegexBuilder::new(text).size_limit(PATTERN_SIZE_MAX).build();
    built.or_else(|error| place.error(format!("no regular expression that is understood here: {error}")))
}

fn number(name: &str, members: &Map<String, Value>, place: &Place<'_>) -> Outcome<Option<f64>> {
    match members.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map_or_else(|| place.within(name).error("write a number"), |n| Ok(Some(n))),
    }
}

fn count(name: &str, members: &Map<String, Value>, place: &Place<'_>) -> Outcome<Option<u64>> {
    match members.get(name) {
        None => Ok(None),
        Some(value) => value.as_u64().map_or_else(|| place.within(name).error("write a count"), |n| Ok(Some(n))),
    }
}

fn flag(name: &str, members: &Map<String, Value>, place: &Place<'_>) -> Outcome<bool> {
    match members.get(name) {
        None => Ok(false),
        Some(value) => value.as_bool().map_or_else(|| place.within(name).error("write true or false"), Ok),
    }
}

fn names(value: &Value, place: &Place<'_>) -> Outcome<Vec<String>> {
    let all = value.as_array().and_then(|names| names.iter().map(|name| Some(name.as_str()?.to_owned())).collect());
    all.map_or_else(|| place.error("write a list of names"), Ok)
}

fn object<'m>(
    name: &str,
    members: &'m Map<String, Value>,
    place: &Place<'_>,
) -> Outcome<impl Iterator<Item = (&'m String, &'m Value)>> {
    match members.get(name) {
        None => Ok(None.into_iter().flatten()),
        Some(Value::Object(members)) => Ok(Some(members.iter()).into_iter().flatten()),
        Some(_) => place.within(name).error("write an object"),
    }
}
