//! What answers of integrations become.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::{Regex, RegexBuilder};

use super::integration::{CompiledIntegration, Target};
use super::request::decoded;
use super::templates::Templates;
use super::{IntegrationAnswer, Mapped, MappingError, shown};
use crate::check::Notes;
use crate::expression::Surroundings;
use crate::message::{MessageText, Scope};
use crate::model::{ContentHandling, IntegrationResponse};
use crate::template::TemplateData;

/// The key that fits everything.
const DEFAULT: &str = "$default";
/// The most memory of one expression over an answer, in bytes.
const PATTERN_SIZE_MAX: usize = 256 * 1024;
/// What `$connect` is answered where a function failed: there is no status of its own.
const FUNCTION_FAILED: u16 = 502;

/// All responses of one integration.
#[derive(Debug)]
pub(super) struct Responses {
    all: Vec<Response>,
    /// Error messages select among them, not statuses.
    is_function: bool,
}

#[derive(Debug)]
struct Response {
    /// Absent for `$default`.
    pattern: Option<Regex>,
    templates: Templates,
    content_handling: Option<ContentHandling>,
}

impl Responses {
    pub(super) fn compile(responses: &[IntegrationResponse], is_function: bool, notes: &mut Notes<'_>) -> Self {
        let compiled = responses.iter().filter_map(|response| {
            let mut notes = notes.within("responses");
            let mut notes = notes.within(&response.key);
            let pattern = match response.key.as_str() {
                DEFAULT => None,
                key => Some(notes.keep("key", pattern(key))?),
            };
            let selection = response.template_selection_expression.as_deref();
            let templates = Templates::compile(&response.templates, selection, "templates", &mut notes);
            Some(Response { pattern, templates, content_handling: response.content_handling })
        });
        Self { all: compiled.collect(), is_function }
    }

    /// The one for an answer; `None` where there are none at all.
    fn choose(&self, answer: &IntegrationAnswer, body: &MessageText<'_>) -> Result<Option<&Response>, MappingError> {
        if self.all.is_empty() {
            return Ok(None);
        }
        let default = self.all.iter().find(|response| response.pattern.is_none());
        let text = self.selecting_text(answer, body);
        if self.is_function && text.is_empty() && default.is_some() {
            return Ok(default);
        }
        let is_for = |response: &&Response| response.pattern.as_ref().is_some_and(|pattern| pattern.is_match(&text));
        let found = self.all.iter().find(is_for).or(default);
        found.map(Some).ok_or_else(|| MappingError::Response(shown(&text)))
    }

    fn selecting_text(&self, answer: &IntegrationAnswer, body: &MessageText<'_>) -> String {
        if !self.is_function {
            return answer.status.to_string();
        }
        let in_body = || Some(body.json()?.get("errorMessage")?.as_text()?.to_owned());
        answer.error_message.clone().or_else(in_body).unwrap_or_default()
    }
}

/// `/expression/` over the whole of a status or error message.
fn pattern(key: &str) -> Result<Regex, String> {
    let inner = key.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    let inner = inner.ok_or("write $default or a regular expression between slashes, such as /4\\d\\d/")?;
    RegexBuilder::new(&format!("^(?:{inner})$")).size_limit(PATTERN_SIZE_MAX).build().map_err(|error| error.to_string())
}

impl CompiledIntegration {
    /// What an answer becomes.
    pub(crate) fn response(&self, scope: &Scope<'_>, answer: &IntegrationAnswer) -> Result<Mapped, MappingError> {
        let status = if answer.error_message.is_some() { FUNCTION_FAILED } else { answer.status };
        if matches!(self.target, Target::HttpProxy(_)) {
            return Ok(Mapped { status, body: answer.body.to_vec() });
        }
        let body = MessageText::from_bytes(&answer.body);
        let Some(response) = self.responses.choose(answer, &body)? else {
            return match &answer.error_message {
                // What a function says of its failure is not for clients, unless somebody wants that.
                Some(message) => Err(MappingError::Function(shown(message))),
                None => Ok(Mapped { status, body: answer.body.to_vec() }),
            };
        };
        Ok(Mapped { status, body: response.body(scope, answer, &body)? })
    }
}

impl Response {
    fn body(
        &self,
        scope: &Scope<'_>,
        answer: &IntegrationAnswer,
        body: &MessageText<'_>,
    ) -> Result<Vec<u8>, MappingError> {
        let encoded = match self.content_handling {
            Some(ContentHandling::ConvertToText) => Some(STANDARD.encode(&answer.body)),
            Some(ContentHandling::ConvertToBinary) | None => None,
        };
        let encoded = encoded.as_deref().map(MessageText::new);
        let body = encoded.as_ref().unwrap_or(body);
        let around = Surroundings { scope, answer: Some((answer, body)) };
        let rendered = self.templates.render(&around, &TemplateData::response(scope, body))?;
        let bytes = match (rendered, &encoded) {
            (Some(rendered), _) => rendered.into_bytes(),
            (None, Some(encoded)) => encoded.text().as_bytes().to_vec(),
            (None, None) => answer.body.to_vec(),
        };
        match self.content_handling {
            Some(ContentHandling::ConvertToBinary) => Ok(decoded(&bytes)?.to_vec()),
            Some(ContentHandling::ConvertToText) | None => Ok(bytes),
        }
    }
}
