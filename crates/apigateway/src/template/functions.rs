//! `$input` and `$util`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::Outcome;
use super::heap::{List, Map, Value};
use super::java;
use super::references::Seen;
use super::render::Renderer;
use crate::json::Json;
use crate::json_path::{Found, JsonPath};

/// What `$input` has.
pub(super) const OF_INPUT: [&str; 4] = ["body", "json", "path", "params"];
/// What `$util` has.
pub(super) const OF_UTIL: [&str; 6] =
    ["escapeJavaScript", "parseJson", "urlEncode", "urlDecode", "base64Encode", "base64Decode"];

impl<'t> Renderer<'t, '_> {
    /// `$input.body`; an empty object where there is nothing.
    pub(super) fn body(&mut self) -> Outcome<Seen<'t>> {
        let text = self.data.body.map_or("", |body| body.text());
        self.new_text(if text.is_empty() { "{}" } else { text }).map(Seen::some)
    }

    pub(super) fn of_input(&mut self, name: &str, arguments: &[Value<'t>]) -> Outcome<Seen<'t>> {
        match (name, arguments) {
            ("json", [path]) => self.input_json(path),
            ("json", []) => self.input_json(&Value::Null),
            ("path", [path]) => self.input_path(path),
            ("params", []) => self.all_params(),
            ("params", [name]) => {
                let name = self.text_of(name)?;
                self.param(&name)
            }
            ("body", []) => self.body(),
            _ => self.budget.fail(format!(
                "$input has no {name} with {} arguments; it has body, json(path), path(path), params() and params(name)",
                arguments.len()
            )),
        }
    }

    /// The path that an argument says; null is everything.
    fn json_path(&mut self, argument: &Value<'t>) -> Outcome<JsonPath> {
        let text = match argument {
            Value::Null => "$".into(),
            value => self.text_of(value)?,
        };
        self.budget.read(text.len())?;
        JsonPath::parse(&text).or_else(|error| self.budget.fail(error.to_string()))
    }

    /// What a path finds in the body; looking at it is work.
    fn found<'j>(&mut self, path: &JsonPath, json: &'j Json) -> Outcome<Found<'j>> {
        let mut visits = 0;
        let found = path.find_counting(json, &mut visits);
        self.budget.step(visits)?;
        Ok(found)
    }

    /// Text of JSON. What is missing is an empty string, so that the text around it stays JSON.
    fn input_json(&mut self, argument: &Value<'t>) -> Outcome<Seen<'t>> {
        let path = self.json_path(argument)?;
        let Some(body) = self.data.body.filter(|body| !body.text().trim().is_empty()) else {
            return self.new_text(if path.is_root() { "{}" } else { "\"\"" }).map(Seen::some);
        };
        let text = match body.json() {
            None if path.is_root() => Json::Text(body.text().to_owned()).to_string(),
            None => "\"\"".to_owned(),
            Some(json) => match self.found(&path, json)? {
                Found::Nothing => "\"\"".to_owned(),
                Found::One(json) => json.to_string(),
                Found::Many(all) => serde_json::to_string(&all).unwrap_or_default(),
            },
        };
        self.new_text(&text).map(Seen::some)
    }

    fn input_path(&mut self, argument: &Value<'t>) -> Outcome<Seen<'t>> {
        let path = self.json_path(argument)?;
        let Some(body) = self.data.body else { return Ok(Seen::Missing { is_silent: true }) };
        let value = match body.json() {
            None if path.is_root() => self.new_text(body.text())?,
            None => Value::Null,
            Some(json) => match self.found(&path, json)? {
                Found::Nothing => Value::Null,
                Found::One(json) => self.json_value(json)?,
                Found::Many(all) => {
                    let items = all.into_iter().map(|json| self.json_value(json)).collect::<Outcome<_>>()?;
                    self.heap.add_list(List { items, is_json: true })
                }
            },
        };
        Ok(Seen::of(Some(value), true))
    }

    /// Of equal names the last counts.
    fn all_params(&mut self) -> Outcome<Seen<'t>> {
        let mut all = Map::of_json();
        let scope = self.data.scope;
        for (name, pairs) in [("path", &[][..]), ("querystring", scope.query), ("header", scope.headers)] {
            let mut map = Map::of_json();
            for (name, value) in pairs {
                self.budget.make(name.len())?;
                map.put(name.as_str().into(), self.new_text(value)?);
            }
            all.put(name.into(), self.heap.add_map(map));
        }
        Ok(Seen::some(self.heap.add_map(all)))
    }

    /// A parameter of the query, otherwise a header.
    fn param(&mut self, name: &str) -> Outcome<Seen<'t>> {
        let scope = self.data.scope;
        self.budget.step(scope.query.len() + scope.headers.len())?;
        let value = scope.query_values(name).last().or(scope.header_values(name).last()).copied();
        match value {
            Some(value) => self.new_text(value).map(Seen::some),
            None => Ok(Seen::Missing { is_silent: true }),
        }
    }

    pub(super) fn of_util(&mut self, name: &str, arguments: &[Value<'t>]) -> Outcome<Seen<'t>> {
        let [argument] = arguments else {
            return self.budget.fail(format!("$util.{name} takes one argument, not {}", arguments.len()));
        };
        if matches!(argument, Value::Null) {
            return Ok(Seen::Missing { is_silent: true });
        }
        let text = self.text_of(argument)?;
        self.budget.read(text.len())?;
        let made = match name {
            "escapeJavaScript" => java::escape_javascript(&text),
            "urlEncode" => java::url_encode(&text),
            "urlDecode" => java::url_decode(&text),
            "base64Encode" => STANDARD.encode(text.as_bytes()),
            "base64Decode" => match STANDARD.decode(text.trim()) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(_) => return self.budget.fail("$util.base64Decode was given something else than base64"),
            },
            "parseJson" => {
                let Some(json) = Json::parse(&text) else {
                    return self.budget.fail("$util.parseJson was given something else than JSON");
                };
                return Ok(Seen::of(Some(self.json_value(&json)?), true));
            }
            _ => return self.budget.fail(format!("$util has no {name}; it has {}", OF_UTIL.join(", "))),
        };
        self.new_text(&made).map(Seen::some)
    }
}
