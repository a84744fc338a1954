//! Paths into JSON: a part of JSONPath.
//!
//! | written             | means                                       |
//! |---------------------|---------------------------------------------|
//! | `$`                 | everything; may be left out                 |
//! | `.name`, `['name']` | a member                                    |
//! | `[0]`, `[-1]`       | an item from the front, from the back       |
//! | `[*]`, `.*`         | all items, or the values of all members     |
//! | `..name`            | members of that name at any depth           |

use crate::json::Json;

/// Steps in one path.
pub const STEPS_MAX: usize = 64;
/// Values that one search looks at; what comes after them is not found.
const VISITS_MAX: usize = 100_000;

/// A path into JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Name(Box<str>),
    Index(i64),
    Every,
    Anywhere(Box<str>),
}

/// A path that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at character {at} of the path {path:?}; write $.name, ['name'], [0], [*] or ..name")]
pub struct JsonPathError {
    path: String,
    at: usize,
    problem: &'static str,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Found<'j> {
    /// Nothing.
    Nothing,
    /// What a path without wildcards names.
    One(&'j Json),
    /// What a path with wildcards names, perhaps nothing.
    Many(Vec<&'j Json>),
}

impl JsonPath {
    /// Reads a path.
    ///
    /// # Errors
    /// Something else than the module's table lists, or more than [`STEPS_MAX`] steps.
    pub fn parse(text: &str) -> Result<Self, JsonPathError> {
        let mut reader = Reader { text, at: 0 };
        let mut steps = Vec::new();
        if !reader.take("$") && !text.is_empty() && !text.starts_with(['.', '[']) {
            steps.push(Step::Name(reader.name()?));
        }
        while reader.at < text.len() {
            if steps.len() == STEPS_MAX {
                return Err(reader.error("too many steps"));
            }
            steps.push(reader.step()?);
        }
        Ok(Self { steps })
    }

    /// The names, where the path has nothing but names.
    pub(crate) fn names(&self) -> Option<Vec<Box<str>>> {
        let name = |step: &Step| match step {
            Step::Name(name) => Some(name.clone()),
            _ => None,
        };
        self.steps.iter().map(name).collect()
    }

    /// Looks it up.
    #[must_use]
    pub fn find<'j>(&self, root: &'j Json) -> Found<'j> {
        self.find_counting(root, &mut 0)
    }

    /// Whether it is everything.
    pub(crate) fn is_root(&self) -> bool {
        self.steps.is_empty()
    }

    /// Looks it up, and adds how many values were looked at.
    pub(crate) fn find_counting<'j>(&self, root: &'j Json, visits: &mut usize) -> Found<'j> {
        if self.steps.iter().all(|step| matches!(step, Step::Name(_) | Step::Index(_))) {
            let found = self.steps.iter().try_fold(root, |json, step| single(json, step));
            return found.map_or(Found::Nothing, Found::One);
        }
        let mut here = vec![root];
        for step in &self.steps {
            let mut next = Vec::new();
            for json in here {
                several(json, step, &mut next, visits);
            }
            here = next;
        }
        Found::Many(here)
    }
}

fn single<'j>(json: &'j Json, step: &Step) -> Option<&'j Json> {
    match (json, step) {
        (Json::Object(members), Step::Name(name)) => members.get(name),
        (Json::List(items), Step::Index(index)) => {
            let at = if *index < 0 { i64::try_from(items.len()).ok()?.checked_add(*index)? } else { *index };
            items.get(usize::try_from(at).ok()?)
        }
        _ => None,
    }
}

fn several<'j>(json: &'j Json, step: &Step, found: &mut Vec<&'j Json>, visits: &mut usize) {
    match step {
        Step::Name(_) | Step::Index(_) => {
            *visits += 1;
            if *visits <= VISITS_MAX {
                found.extend(single(json, step));
            }
        }
        Step::Every => children(json, |child| {
            *visits += 1;
            if *visits <= VISITS_MAX {
                found.push(child);
            }
        }),
        Step::Anywhere(name) => anywhere(json, name, found, visits),
    }
}

fn anywhere<'j>(json: &'j Json, name: &str, found: &mut Vec<&'j Json>, visits: &mut usize) {
    let mut open = vec![json];
    while let Some(json) = open.pop() {
        *visits += 1;
        if *visits > VISITS_MAX {
            return;
        }
        found.extend(json.get(name));
        let from = open.len();
        children(json, |child| open.push(child));
        open[from..].reverse();
    }
}

fn children<'j>(json: &'j Json, mut tell: impl FnMut(&'j Json)) {
    match json {
        Json::List(items) => items.iter().for_each(tell),
        Json::Object(members) => members.iter().for_each(|(_, value)| tell(value)),
        _ => {}
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, wanted: &str) -> bool {
        let is_there = self.text[self.at..].starts_with(wanted);
        if is_there {
            self.at += wanted.len();
        }
        is_there
    }

    fn step(&mut self) -> Result<Step, JsonPathError> {
        if self.take("..") {
            return Ok(Step::Anywhere(self.name()?));
        }
        if self.take(".*") {
            return Ok(Step::Every);
        }
        if self.take(".") {
            return Ok(Step::Name(self.name()?));
        }
        if !self.take("[") {
            return Err(self.error("expected . or ["));
        }
        let step = self.bracketed()?;
        if self.take("]") { Ok(step) } else { Err(self.error("expected ]")) }
    }

    fn bracketed(&mut self) -> Result<Step, JsonPathError> {
        if self.take("*") {
            return Ok(Step::Every);
        }
        for quote in ["'", "\""] {
            if self.take(quote) {
                let Some(length) = self.text[self.at..].find(quote) else {
                    return Err(self.error("a quoted name does not end"));
                };
                let name = Box::from(&self.text[self.at..self.at + length]);
                self.at += length + quote.len();
                return Ok(Step::Name(name));
            }
        }
        let rest = &self.text[self.at..];
        let length = rest.find(']').unwrap_or(rest.len());
        let Ok(index) = rest[..length].trim().parse() else {
            return Err(self.error("expected a position, * or a quoted name"));
        };
        self.at += length;
        Ok(Step::Index(index))
    }

    fn name(&mut self) -> Result<Box<str>, JsonPathError> {
        let rest = &self.text[self.at..];
        let is_end = |c: char| matches!(c, '.' | '[' | ']' | '(' | ')' | '\'' | '"' | '*' | '$') || c.is_whitespace();
        let length = rest.find(is_end).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.error("expected a name"));
        }
        self.at += length;
        Ok(Box::from(&rest[..length]))
    }

    fn error(&self, problem: &'static str) -> JsonPathError {
        JsonPathError { path: self.text.chars().take(200).collect(), at: self.at, problem }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(path: &str) -> String {
        let json = Json::parse(r#"{"a": {"b": [1, {"b": 2}, 3]}, "x y": "s", "c-d": {"b": null}}"#).unwrap();
        match JsonPath::parse(path).unwrap().find(&json) {
            Found::Nothing => "nothing".to_owned(),
            Found::One(json) => json.to_string(),
            Found::Many(all) => all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        }
    }

    #[test]
    fn members_items_and_wildcards() {
        assert_eq!(found("$.a.b[0]"), "1");
        assert_eq!(found("a.b[-1]"), "3");
        assert_eq!(found("$['a'][\"b\"][1].b"), "2");
        assert_eq!(found("$['x y']"), r#""s""#);
        assert_eq!(found("$.c-d.b"), "null");
        assert_eq!(found("$.a.b[*]"), r#"1 {"b":2} 3"#);
        assert_eq!(found("$..b"), r#"[1,{"b":2},3] 2 null"#);
        assert_eq!(found("$.a.*[0]"), "1");
        assert_eq!(found("$.a.b[3]"), "nothing");
        assert_eq!(found("$.a.b[-4]"), "nothing");
        assert_eq!(found("$.a.b.c"), "nothing");
        assert_eq!(found("$..nothing"), "");
        assert_eq!(found(""), found("$"));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for path in ["$.", "$[", "$[x]", "$['x", "$[?(@.a)]", "$.a b", "$x", "$...a", "$[0", "$[1:2]", ".", "[]"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
        assert!(JsonPath::parse(&".a".repeat(STEPS_MAX + 1)).is_err());
    }

    #[test]
    fn a_search_that_multiplies_is_bounded() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
        let json = Json::parse(&deep).unwrap();
        let Found::Many(all) = JsonPath::parse(&"..a".repeat(20)).unwrap().find(&json) else {
            panic!("a path with wildcards finds many")
        };
        assert!(all.len() <= VISITS_MAX);
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser_or_a_search(text in r#"([$.\[\]*'"ab01é -]|\.\.){0,30}"#) {
            if let Ok(path) = JsonPath::parse(&text) {
                let _ = path.find(&Json::parse(r#"{"a": {"b": [1, {"b": [[0]]}]}}"#).unwrap());
            }
        }
    }
}
