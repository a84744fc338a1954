//! Selection expressions: text out of what is known of a request.
//!
//! | written                                                   | gives                              |
//! |-----------------------------------------------------------|------------------------------------|
//! | `$request.body.action`, `${request.body.action}`          | a member of the message            |
//! | `${request.body.service}/${request.body.action}`          | two of them, with a slash          |
//! | `$request.header.x-api-key`, `$request.querystring.token` | of the upgrade                     |
//! | `$context.routeKey`, `$stageVariables.name`               | as they say                        |
//! | `$integration.response.statuscode` and `.header.NAME`, `.multivalueheader.NAME`, `.body.PATH` | of an answer |
//! | `action`, `\$default`, `$default`                         | itself                             |
//!
//! What is missing or null is the empty text. Numbers and booleans are written as in JSON, a list
//! as `[1, 2]`, an object as JSON. Values are put in once: a `$` in them means nothing.

use crate::json::Json;
use crate::json_path::{Found, JsonPath, JsonPathError};
use crate::mapping::IntegrationAnswer;
use crate::message::{MessageText, Scope};

/// The longest expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 4096;

/// An expression that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// Over [`EXPRESSION_BYTES_MAX`].
    #[error("the expression has {0} bytes, at most {EXPRESSION_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// `${` without `}`.
    #[error("${{ at character {0} is not closed; write }}")]
    Open(usize),
    /// Not a variable.
    #[error(
        "unknown variable {0:?}; known are request.body.PATH, request.header.NAME, request.querystring.NAME, \
         context.NAME, stageVariables.NAME and integration.response.*; write \\$ for a dollar sign"
    )]
    Variable(String),
    /// A variable that has no name after its last dot.
    #[error("the variable {0:?} lacks a name")]
    Nameless(String),
    /// The path into a body.
    #[error(transparent)]
    Path(#[from] JsonPathError),
    /// `'` at one end only, or nothing at all.
    #[error("the value {0:?} is no variable and no text; write 'text' for a text")]
    Quote(String),
}

/// An expression, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    parts: Vec<Part>,
    /// The names, where the expression is nothing but a member of the message.
    body_names: Option<Vec<Box<str>>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Variable(Variable),
}

/// Something that has a value in a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Variable {
    /// The message, or what is at a path in it.
    Body(Option<JsonPath>),
    Header(String),
    Headers(String),
    Query(String),
    Queries(String),
    Context(String),
    OfStage(String),
    Status,
    ResponseHeader(String),
    ResponseHeaders(String),
    ResponseBody(Option<JsonPath>),
}

/// What variables are looked up in.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) scope: &'a Scope<'a>,
    /// An integration's answer and its body.
    pub(crate) answer: Option<(&'a IntegrationAnswer, &'a MessageText<'a>)>,
}

impl<'a> Surroundings<'a> {
    pub(crate) fn request(scope: &'a Scope<'a>) -> Self {
        Self { scope, answer: None }
    }
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// Unknown variables, paths that cannot be read, braces that are not closed.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(ExpressionError::TooLong(text.len()));
        }
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at..];
            if rest.starts_with("\\$") {
                plain.push('$');
                at += 2;
            } else if let Some((name, length)) = variable_at(rest, at)? {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Variable(Variable::parse(name)?));
                at += length;
            } else {
                plain.push(c);
                at += c.len_utf8();
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        let body_names = match parts.as_slice() {
            [Part::Variable(Variable::Body(Some(path)))] => path.names().filter(|names| !names.is_empty()),
            _ => None,
        };
        Ok(Self { parts, body_names })
    }

    /// What it gives for a request.
    #[must_use]
    pub fn evaluate(&self, scope: &Scope<'_>) -> String {
        self.text(&Surroundings::request(scope))
    }

    pub(crate) fn text(&self, surroundings: &Surroundings<'_>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Variable(variable) => out.push_str(&variable.text(surroundings).unwrap_or_default()),
            }
        }
        out
    }

    /// The text with every variable in it found and not empty; `None` where one is not.
    pub(crate) fn complete_text(&self, surroundings: &Surroundings<'_>) -> Option<String> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Variable(variable) => {
                    out.push_str(&variable.text(surroundings).filter(|text| !text.is_empty())?);
                }
            }
        }
        Some(out)
    }

    /// Its only part, where that is a variable.
    pub(crate) fn only_variable(&self) -> Option<&Variable> {
        match self.parts.as_slice() {
            [Part::Variable(variable)] => Some(variable),
            _ => None,
        }
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(variable) => Some(variable),
            Part::Text(_) => None,
        })
    }

    /// The names of the member of the message that it gives, where it is nothing else.
    pub(crate) fn body_names(&self) -> Option<&[Box<str>]> {
        self.body_names.as_deref()
    }
}

/// The variable that a text begins with, and how long it is with its sign and braces.
fn variable_at(text: &str, at: usize) -> Result<Option<(&str, usize)>, ExpressionError> {
    if let Some(inner) = text.strip_prefix("${") {
        let length = closing(inner).ok_or(ExpressionError::Open(at))?;
        return Ok(Some((&inner[..length], length + 3)));
    }
    let Some(inner) = text.strip_prefix('$') else { return Ok(None) };
    let length = bare_length(inner);
    if length == 0 || &inner[..length] == "default" {
        return Ok(None);
    }
    Ok(Some((&inner[..length], length + 1)))
}

/// Where the brace closes that is not in quotes.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '}' => return Some(at),
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None => {}
        }
    }
    None
}

/// How far a variable without braces goes: names, dots, hyphens and what stands in brackets.
fn bare_length(text: &str) -> usize {
    let mut end = 0;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c == '[' && end > 0 {
            let Some(length) = text[at..].find(']') else { break };
            at += length + 1;
            end = at;
        } else if c.is_alphanumeric() || matches!(c, '_' | '-') {
            at += c.len_utf8();
            end = at;
        } else if c == '.' {
            at += 1;
        } else {
            break;
        }
    }
    end
}

impl Variable {
    /// Reads a variable without its sign and braces; `route.request` is the same as `request`.
    pub(crate) fn parse(text: &str) -> Result<Self, ExpressionError> {
        let name = text.strip_prefix("route.").unwrap_or(text);
        if let Some(path) = body_path(name, "request.body") {
            return Ok(Self::Body(path?));
        }
        if let Some(path) = body_path(name, "integration.response.body") {
            return Ok(Self::ResponseBody(path?));
        }
        if name == "integration.response.statuscode" {
            return Ok(Self::Status);
        }
        let named: [(&str, MakeVariable); 8] = [
            ("request.header.", Self::Header),
            ("request.multivalueheader.", Self::Headers),
            ("request.querystring.", Self::Query),
            ("request.multivaluequerystring.", Self::Queries),
            ("context.", Self::Context),
            ("stageVariables.", Self::OfStage),
            ("integration.response.header.", Self::ResponseHeader),
            ("integration.response.multivalueheader.", Self::ResponseHeaders),
        ];
        for (prefix, make) in named {
            match name.strip_prefix(prefix) {
                Some("") => return Err(ExpressionError::Nameless(text.to_owned())),
                Some(rest) => return Ok(make(rest.to_owned())),
                None => {}
            }
        }
        Err(ExpressionError::Variable(text.to_owned()))
    }

    /// Its value; for what stands in JSON that value as it is, otherwise a text.
    pub(crate) fn value(&self, around: &Surroundings<'_>) -> Option<Json> {
        let scope = around.scope;
        let text = |text: &str| Some(Json::Text(text.to_owned()));
        match self {
            Self::Body(path) => in_body(scope.message?, path.as_ref()),
            Self::ResponseBody(path) => in_body(around.answer?.1, path.as_ref()),
            Self::Context(name) => scope.context_value(name).map(Json::from),
            Self::Header(name) => text(scope.header_values(name).last()?),
            Self::Headers(name) => text(&joined(scope.header_values(name))?),
            Self::Query(name) => text(scope.query_values(name).last()?),
            Self::Queries(name) => text(&joined(scope.query_values(name))?),
            Self::OfStage(name) => text(scope.stage_variables.get(name)?),
            Self::Status => text(&around.answer?.0.status.to_string()),
            Self::ResponseHeader(name) => text(around.answer?.0.header_values(name).last()?),
            Self::ResponseHeaders(name) => text(&joined(around.answer?.0.header_values(name))?),
        }
    }

    /// Its value as text; `None` where it is missing.
    pub(crate) fn text(&self, around: &Surroundings<'_>) -> Option<String> {
        self.value(around).map(written)
    }

    /// Whether it can have a value while somebody asks to be let in.
    pub(crate) fn is_of_upgrade(&self) -> bool {
        self.is_of_request() && !matches!(self, Self::Body(_))
    }

    /// Whether it can have a value before an integration answered.
    pub(crate) fn is_of_request(&self) -> bool {
        !matches!(self, Self::Status | Self::ResponseHeader(_) | Self::ResponseHeaders(_) | Self::ResponseBody(_))
    }
}

type MakeVariable = fn(String) -> Variable;
type BodyPath = Result<Option<JsonPath>, ExpressionError>;

/// The path after a prefix, if that is what a name begins with.
fn body_path(name: &str, prefix: &str) -> Option<BodyPath> {
    let rest = name.strip_prefix(prefix)?;
    if rest.is_empty() {
        return Some(Ok(None));
    }
    rest.starts_with(['.', '[']).then(|| Ok(Some(JsonPath::parse(rest)?)))
}

fn in_body(message: &MessageText<'_>, path: Option<&JsonPath>) -> Option<Json> {
    let Some(path) = path else {
        return Some(message.json().cloned().unwrap_or_else(|| Json::Text(message.text().to_owned())));
    };
    match path.find(message.json()?) {
        Found::Nothing => None,
        Found::One(json) => Some(json.clone()),
        Found::Many(all) => Some(Json::List(all.into_iter().cloned().collect())),
    }
}

fn joined(values: Vec<&str>) -> Option<String> {
    (!values.is_empty()).then(|| values.join(","))
}

/// A value as text.
pub(crate) fn written(json: Json) -> String {
    match json {
        Json::Null => String::new(),
        Json::Text(text) => text,
        Json::List(items) => format!("[{}]", items.into_iter().map(written).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// The value of a request parameter or an identity source: one variable, with or without its sign,
/// or a text in quotes.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterValue(ParameterKind);

#[derive(Clone, Debug, PartialEq)]
enum ParameterKind {
    Static(String),
    Variable(Variable),
}

impl ParameterValue {
    /// Reads `route.request.header.NAME`, `$request.header.NAME`, `route.request.querystring.NAME`,
    /// `route.request.body.PATH`, `context.NAME`, `stageVariables.NAME` or `'text'`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let text = text.trim();
        if let Some(inner) = text.strip_prefix('\'') {
            let inner = inner.strip_suffix('\'').ok_or_else(|| ExpressionError::Quote(text.to_owned()))?;
            return Ok(Self(ParameterKind::Static(inner.to_owned())));
        }
        let name = text.strip_prefix('$').unwrap_or(text);
        let name = name.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(name);
        if name.is_empty() {
            return Err(ExpressionError::Quote(text.to_owned()));
        }
        Ok(Self(ParameterKind::Variable(Variable::parse(name)?)))
    }

    /// What it is in a request; `None` where it is missing.
    #[must_use]
    pub fn evaluate(&self, scope: &Scope<'_>) -> Option<String> {
        match &self.0 {
            ParameterKind::Static(text) => Some(text.clone()),
            ParameterKind::Variable(variable) => variable.text(&Surroundings::request(scope)),
        }
    }

    pub(crate) fn variable(&self) -> Option<&Variable> {
        match &self.0 {
            ParameterKind::Static(_) => None,
            ParameterKind::Variable(variable) => Some(variable),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    const MESSAGE: &str = r#"{"service": "chat", "action": "join", "data": {"room": "r1"}, "n": 7, "a": [1, 2],
        "yes": true, "none": null, "list": ["x", {"b": [1]}]}"#;

    fn evaluate(text: &str) -> String {
        let message = MessageText::new(MESSAGE);
        let context = json!({"routeKey": "send", "authorizer": {"level": 3, "a.b": "dotted"}});
        let headers = [("X-Api-Key".to_owned(), "one".to_owned()), ("x-api-key".to_owned(), "two".to_owned())];
        let query = [("token".to_owned(), "$context.routeKey".to_owned())];
        let scope = Scope {
            message: Some(&message),
            headers: &headers,
            query: &query,
            context: context.as_object().unwrap(),
            stage_variables: &BTreeMap::from([("fn".to_owned(), "orders".to_owned())]),
        };
        let answer = IntegrationAnswer {
            status: 404,
            headers: vec![("X-A".to_owned(), "1".to_owned()), ("x-a".to_owned(), "2".to_owned())],
            body: br#"{"errorMessage": "no such room"}"#.as_slice().into(),
            error_message: None,
        };
        let body = MessageText::from_bytes(&answer.body);
        let around = Surroundings { scope: &scope, answer: Some((&answer, &body)) };
        Expression::parse(text).unwrap().text(&around)
    }

    #[test]
    fn what_expressions_give() {
        let table = [
            ("$request.body.action", "join"),
            ("${request.body.action}", "join"),
            ("${request.body.service}/${request.body.action}", "chat/join"),
            ("$request.body.service/$request.body.action", "chat/join"),
            ("${request.body.action}-${request.body.nope}", "join-"),
            ("$request.body.data.room", "r1"),
            ("$request.body['data']['room']", "r1"),
            ("$request.body.n", "7"),
            ("$request.body.yes", "true"),
            ("$request.body.none", ""),
            ("$request.body.a", "[1, 2]"),
            ("$request.body.a[-1]", "2"),
            ("$request.body.list", r#"[x, {"b":[1]}]"#),
            ("$request.body.data", r#"{"room":"r1"}"#),
            ("${request.body..room}", "[r1]"),
            ("action", "action"),
            ("\\$default", "$default"),
            ("$default", "$default"),
            ("a$", "a$"),
            ("5$ \\$request.body.action", "5$ $request.body.action"),
            ("$request.header.x-api-key", "two"),
            ("$request.multivalueheader.X-API-KEY", "one,two"),
            ("$request.querystring.token", "$context.routeKey"),
            ("$request.querystring.Token", ""),
            ("$context.routeKey.", "send."),
            ("$context.authorizer.level", "3"),
            ("$context.authorizer.a.b", "dotted"),
            ("$stageVariables.fn", "orders"),
            ("$route.request.body.action", "join"),
            ("$integration.response.statuscode", "404"),
            ("$integration.response.header.x-A", "2"),
            ("${integration.response.multivalueheader.x-a}", "1,2"),
            ("$integration.response.body.errorMessage", "no such room"),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(evaluate(text), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read() {
        for text in
            ["${request.body.a", "$request.boddy.a", "$request.header.", "${}", "${request.body.a[}", "$x", "$5"]
        {
            assert!(Expression::parse(text).is_err(), "{text}");
        }
        assert!(Expression::parse(&"x".repeat(EXPRESSION_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn values_of_parameters() {
        for text in ["route.request.header.A", "$request.header.A", "context.a.b", "stageVariables.x", "'0'", "''"] {
            assert!(ParameterValue::parse(text).is_ok(), "{text}");
        }
        for text in ["", "'0", "0", "request.header.", "header.A", "$"] {
            assert!(ParameterValue::parse(text).is_err(), "{text}");
        }
    }
}
