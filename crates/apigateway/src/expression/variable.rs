//! What variables of expressions mean.

use super::ExpressionError;
use crate::json::Json;
use crate::json_path::{Found, JsonPath};
use crate::mapping::IntegrationAnswer;
use crate::message::{MessageText, Scope};

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
