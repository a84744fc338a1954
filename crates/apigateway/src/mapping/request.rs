//! Requests to integrations.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::integration::{CompiledIntegration, Target};
use super::{IntegrationRequest, MappingError, TopicRequest, shown};
use crate::expression::{Expression, Surroundings, written};
use crate::json::Json;
use crate::message::Scope;
use crate::model::{ContentHandling, Passthrough};
use crate::template::TemplateData;

/// The header that says whether a function's result is waited for.
const INVOCATION_TYPE: &str = "X-Amz-Invocation-Type";

impl CompiledIntegration {
    /// Whether a function is called without waiting for its result.
    pub(crate) fn is_called_later(&self, scope: &Scope<'_>) -> bool {
        matches!(self.target, Target::Function(_))
            && self.parameters.header(INVOCATION_TYPE, scope).is_some_and(|kind| kind.eq_ignore_ascii_case("Event"))
    }

    /// What it is sent.
    pub(crate) fn request(&self, scope: &Scope<'_>) -> Result<IntegrationRequest, MappingError> {
        match &self.target {
            Target::Proxy(name) => {
                Ok(IntegrationRequest::Function { name: name.text(scope.stage_variables)?, event: None })
            }
            Target::Function(name) => {
                let event = Some(event(self.body(scope)?)?);
                Ok(IntegrationRequest::Function { name: name.text(scope.stage_variables)?, event })
            }
            Target::HttpProxy(url) => {
                let body = Bytes::copy_from_slice(text(scope).as_bytes());
                self.http(url.text(scope.stage_variables)?, scope, self.converted(body)?)
            }
            Target::Http(url) => self.http(url.text(scope.stage_variables)?, scope, self.body(scope)?),
            Target::Service(service) => {
                let body = self.body(scope)?;
                service.request(&self.method, &self.parameters, scope, body).map(IntegrationRequest::Aws)
            }
            Target::Mock => Ok(IntegrationRequest::Mock { status: self.mock_status(scope)? }),
            Target::Topic { topic, topic_source, payload } => {
                let payload = payload.as_ref().map(|(expression, source)| (expression, source.as_str()));
                publication(topic, topic_source, payload, scope).map(IntegrationRequest::Topic)
            }
        }
    }

    fn http(&self, url: String, scope: &Scope<'_>, body: Bytes) -> Result<IntegrationRequest, MappingError> {
        Ok(IntegrationRequest::Http {
            method: self.method.clone(),
            url: self.parameters.complete(url, scope),
            headers: self.parameters.headers(scope),
            body,
        })
    }

    fn rendered(&self, scope: &Scope<'_>) -> Result<Option<String>, MappingError> {
        self.templates.render(&Surroundings::request(scope), &TemplateData::request(scope))
    }

    /// The body by a template, or as it came where that may be.
    fn body(&self, scope: &Scope<'_>) -> Result<Bytes, MappingError> {
        if let Some(rendered) = self.rendered(scope)? {
            return self.converted(rendered.into());
        }
        match self.passthrough {
            Passthrough::Never => return Err(MappingError::UnsupportedMediaType),
            Passthrough::WhenNoTemplates if !self.templates.is_empty() => {
                return Err(MappingError::UnsupportedMediaType);
            }
            Passthrough::WhenNoTemplates | Passthrough::WhenNoMatch => {}
        }
        self.converted(Bytes::copy_from_slice(text(scope).as_bytes()))
    }

    /// Messages are text already, so that only the way to bytes is left.
    fn converted(&self, body: Bytes) -> Result<Bytes, MappingError> {
        match self.content_handling {
            Some(ContentHandling::ConvertToBinary) => decoded(&body),
            Some(ContentHandling::ConvertToText) | None => Ok(body),
        }
    }

    fn mock_status(&self, scope: &Scope<'_>) -> Result<u16, MappingError> {
        match self.rendered(scope)? {
            Some(text) => mock_status(&text).ok_or_else(|| MappingError::MockStatus(shown(&text))),
            None if self.passthrough == Passthrough::Never => Err(MappingError::UnsupportedMediaType),
            None => Ok(200),
        }
    }
}

fn text<'a>(scope: &Scope<'a>) -> &'a str {
    scope.message.map_or("", |message| message.text())
}

/// Bytes out of base64.
pub(super) fn decoded(body: &[u8]) -> Result<Bytes, MappingError> {
    STANDARD.decode(body.trim_ascii()).map(Bytes::from).map_err(|_| MappingError::NotBase64)
}

/// The body as a function's event: JSON, or an empty object where there is nothing.
fn event(body: Bytes) -> Result<Bytes, MappingError> {
    if body.trim_ascii().is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    match serde_json::from_slice::<IgnoredAny>(&body) {
        Ok(_) => Ok(body),
        Err(error) => Err(MappingError::NotJson(error.to_string())),
    }
}

/// The status in `{"statusCode": 200}`. Templates of others leave out the quotes.
fn mock_status(text: &str) -> Option<u16> {
    let status = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(members)) => match members.get("statusCode")? {
            Value::String(text) => text.trim().parse().ok()?,
            number => u16::try_from(number.as_u64()?).ok()?,
        },
        _ => {
            let (_, rest) = text.split_once("statusCode")?;
            let rest = rest.trim_start_matches(['"', '\'', ' ', '\t', '\r', '\n', ':']);
            let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..length].parse().ok()?
        }
    };
    (100..=599).contains(&status).then_some(status)
}

fn publication(
    topic: &Expression,
    topic_source: &str,
    payload: Option<(&Expression, &str)>,
    scope: &Scope<'_>,
) -> Result<TopicRequest, MappingError> {
    let around = Surroundings::request(scope);
    let topic = topic.complete_text(&around).ok_or_else(|| MappingError::Topic(topic_source.to_owned()))?;
    let (payload, is_json) = match payload {
        None => (text(scope).to_owned(), scope.message.is_some_and(|message| message.json().is_some())),
        Some((expression, source)) => match expression.only_variable() {
            None => (expression.text(&around), false),
            Some(variable) => {
                let value = variable.value(&around).ok_or_else(|| MappingError::Payload(source.to_owned()))?;
                let is_json = !matches!(value, Json::Text(_));
                (if is_json { value.to_string() } else { written(value) }, is_json)
            }
        },
    };
    Ok(TopicRequest { topic, payload: payload.into(), is_json })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_mock() {
        let table = [
            (r#"{"statusCode": 200}"#, Some(200)),
            (r#"{"statusCode": "403"}"#, Some(403)),
            ("{statusCode: 201}", Some(201)),
            ("{ 'statusCode' : 202, }", Some(202)),
            (r#"{"statusCode": 20}"#, None),
            (r#"{"statusCode": 70000}"#, None),
            ("{}", None),
            ("", None),
        ];
        for (text, status) in table {
            assert_eq!(mock_status(text), status, "{text}");
        }
    }
}
