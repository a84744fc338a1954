//! Identity sources, and what the answer of an authorizer means.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::facts::text_of;
use crate::headers;
use crate::model::{Authorizer, Options};
use crate::policy::{self, Decision};

/// Bytes of an authorizer's answer at most.
pub const ANSWER_BYTES_MAX: usize = 8_192;

/// What a function says, as its error or its answer, to have a client refused with 401.
const UNAUTHORIZED: &str = "Unauthorized";

/// Members of an answer that mean something.
const MEMBERS: [&str; 4] = ["principalId", "policyDocument", "context", "usageIdentifierKey"];

/// Characters of a function's own words in a reason.
const WORDS_CHARS_MAX: usize = 200;

/// What becomes of an upgrade.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It goes on.
    Allow(Admitted),
    /// 401: the function said so.
    Unauthorized,
    /// 403: the policy denies it or does not allow it.
    Denied,
    /// 500: the function failed, or its answer cannot be used.
    Failed {
        /// What went wrong, for the log. Clients are not told.
        reason: String,
    },
}

/// Who is let in.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// Who it is.
    pub principal_id: String,
    /// What events carry as `requestContext.authorizer`.
    pub authorizer: Map<String, Value>,
    /// The API key that the function found for the client.
    pub usage_key: Option<String>,
    /// Peculiarities of the answer that are worth a line in the log.
    pub warnings: Vec<String>,
}

/// The first identity source that is not there or empty, as it is configured. The authorizer is not
/// called then, and the client gets 401. `query` is the query as it came.
#[must_use]
pub fn missing_source(
    authorizer: &Authorizer,
    headers: &[(String, String)],
    query: &str,
    stage_variables: &BTreeMap<String, String>,
    context: &Map<String, Value>,
) -> Option<String> {
    // Older templates write several sources as one text.
    let sources = authorizer.identity_sources.iter().flat_map(|text| text.split(',')).map(str::trim);
    let mut sources = sources.filter(|source| !source.is_empty()).peekable();
    sources.peek()?;
    let parameters = headers::query(query);
    let is_there = |source: &str| match Source::parse(source) {
        Some(Source::Header(name)) => headers::header(headers, name).is_some_and(|value| !value.is_empty()),
        Some(Source::Query(name)) => {
            parameters.get(name).and_then(|values| values.last()).is_some_and(|value| !value.is_empty())
        }
        Some(Source::StageVariable(name)) => stage_variables.get(name).is_some_and(|value| !value.is_empty()),
        Some(Source::Context(path)) => in_context(context, path),
        None => false,
    };
    sources.find(|source| !is_there(source)).map(str::to_owned)
}

enum Source<'a> {
    Header(&'a str),
    Query(&'a str),
    StageVariable(&'a str),
    Context(&'a str),
}

impl<'a> Source<'a> {
    /// `route.request.header.X` and the like, also `$request.header.X` as HTTP APIs write it and
    /// `method.request.header.X` as REST APIs do.
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix('$').unwrap_or(text);
        if let Some(name) = text.strip_prefix("stageVariables.") {
            return Some(Self::StageVariable(name));
        }
        if let Some(path) = text.strip_prefix("context.") {
            return Some(Self::Context(path));
        }
        let text = text.strip_prefix("route.").or_else(|| text.strip_prefix("method.")).unwrap_or(text);
        let (kind, name) = text.strip_prefix("request.")?.split_once('.')?;
        match kind {
            "header" => Some(Self::Header(name)),
            "querystring" => Some(Self::Query(name)),
            _ => None,
        }
    }
}

fn in_context(context: &Map<String, Value>, path: &str) -> bool {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let mut value = context.get(first);
    for name in rest.split('.').filter(|name| !name.is_empty()) {
        value = value.and_then(|value| value.get(name));
    }
    value.is_some_and(|value| !value.is_null() && *value != "")
}

/// What the answer of an authorizer means for the route with `method_arn` and a client at
/// `source_ip`. `latency_ms` is how long the function took.
#[must_use]
pub fn judge(answer: &[u8], method_arn: &str, source_ip: IpAddr, options: &Options, latency_ms: u64) -> Verdict {
    verdict(answer, method_arn, source_ip, options, latency_ms).unwrap_or_else(|reason| Verdict::Failed { reason })
}

/// What it means that an authorizer failed: its error as JSON, with `errorMessage`.
#[must_use]
pub fn judge_error(payload: &[u8]) -> Verdict {
    let error: Value = serde_json::from_slice(payload).unwrap_or_default();
    let message = error.get("errorMessage").unwrap_or(&error).as_str().unwrap_or("no error message");
    if message == UNAUTHORIZED {
        return Verdict::Unauthorized;
    }
    let words: String = message.chars().take(WORDS_CHARS_MAX).collect();
    Verdict::Failed { reason: format!("the authorizer failed: {words}") }
}

fn verdict(
    answer: &[u8],
    method_arn: &str,
    source_ip: IpAddr,
    options: &Options,
    latency_ms: u64,
) -> Result<Verdict, String> {
    if answer.len() > ANSWER_BYTES_MAX {
        return Err(format!("the authorizer's answer has {} bytes; {ANSWER_BYTES_MAX} are allowed", answer.len()));
    }
    let answer: Value =
        serde_json::from_slice(answer).map_err(|error| format!("the authorizer's answer is not JSON: {error}"))?;
    if answer == UNAUTHORIZED {
        return Ok(Verdict::Unauthorized);
    }
    let Value::Object(mut answer) = answer else {
        return Err("the authorizer's answer must be an object with `principalId` and `policyDocument`".to_owned());
    };
    let document = answer.get("policyDocument").ok_or("the authorizer's answer has no `policyDocument`")?;
    let decision = policy::evaluate(document, policy::INVOKE, method_arn, source_ip);
    let mut authorizer = context(answer.remove("context"), options)?;
    match decision {
        Decision::Allowed => {}
        Decision::Denied | Decision::NotMatched => return Ok(Verdict::Denied),
        Decision::Malformed(reason) => return Err(format!("the authorizer's policy: {reason}")),
    }
    let Some(principal_id) = answer.get("principalId").and_then(Value::as_str).filter(|id| !id.is_empty()) else {
        return Err("the authorizer lets somebody in but does not say whom: `principalId` must be text".to_owned());
    };
    authorizer.insert("principalId".to_owned(), principal_id.into());
    if options.integration_latency {
        authorizer.insert("integrationLatency".to_owned(), latency_ms.into());
    }
    let principal_id = principal_id.to_owned();
    let mut warnings = unknown_members(&answer);
    let usage_key = usage_key(&answer, &mut warnings);
    Ok(Verdict::Allow(Admitted { principal_id, authorizer, usage_key, warnings }))
}

/// What the function wants to be passed on: text, numbers and booleans.
fn context(value: Option<Value>, options: &Options) -> Result<Map<String, Value>, String> {
    let mut context = match value {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(context)) => context,
        Some(_) => return Err("the authorizer's `context` must be an object".to_owned()),
    };
    for (name, value) in &mut context {
        match value {
            Value::String(_) => {}
            Value::Number(_) | Value::Bool(_) if options.stringify_context => *value = text_of(value).into(),
            Value::Number(_) | Value::Bool(_) => {}
            Value::Null | Value::Array(_) | Value::Object(_) => {
                return Err(format!("the authorizer's `context.{name}` must be text, a number or a boolean"));
            }
        }
    }
    Ok(context)
}

fn unknown_members(answer: &Map<String, Value>) -> Vec<String> {
    let unknown = answer.keys().filter(|name| !MEMBERS.contains(&name.as_str()));
    unknown
        .map(|name| format!("the authorizer's answer has a member {name:?} that means nothing; leave it out"))
        .collect()
}

fn usage_key(answer: &Map<String, Value>, warnings: &mut Vec<String>) -> Option<String> {
    match answer.get("usageIdentifierKey") {
        Some(Value::String(key)) => Some(key.clone()),
        None | Some(Value::Null) => None,
        Some(_) => {
            warnings.push("the authorizer's `usageIdentifierKey` is not text and is ignored".to_owned());
            None
        }
    }
}

#[cfg(test)]
mod tests;
