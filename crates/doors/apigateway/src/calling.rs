//! One request to an integration: what it is sent, and what its answer means.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fanfare_apigateway::compiled::{CompiledRoute, IntegrationAnswer, IntegrationRequest, MessageText, Scope};
use fanfare_apigateway::event::{UpgradeView, connect_event, disconnect_event, message_event};
use fanfare_apigateway::facts::{Facts, Moment};
use fanfare_apigateway::mapping::MappingError;
use fanfare_apigateway::model::{Integration, IntegrationKind};
use fanfare_apigateway::proxy::ProxyAnswer;
use fanfare_functions::{CallerError, FunctionError};
use http::{HeaderName, HeaderValue, Request as HttpRequest, Response};
use serde_json::Value;

use crate::apis::{ServedApi, Shared};
use crate::endpoints::EndpointError;

/// The largest answer of a web server or service, in bytes: a function's.
const ANSWER_BYTES_MAX: usize = 6 << 20;

/// What Lambda answers for a call that nobody waits for.
const TAKEN: u16 = 202;

/// The upgrade request, as far as events and templates show it.
#[derive(Clone, Debug)]
pub(crate) struct Upgrade {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) query: String,
    pub(crate) is_secure: bool,
    pub(crate) port: u16,
    pub(crate) trace_id: String,
}

impl Upgrade {
    pub(crate) fn view(&self) -> UpgradeView<'_> {
        UpgradeView {
            headers: &self.headers,
            query: &self.query,
            is_secure: self.is_secure,
            port: self.port,
            trace_id: &self.trace_id,
        }
    }

    /// Names and values of the query, decoded.
    pub(crate) fn query_pairs(&self) -> Vec<(String, String)> {
        fanfare_apigateway::headers::query_pairs(&self.query)
    }
}

/// What an integration is asked about.
pub(crate) struct Request {
    pub(crate) facts: Arc<Facts>,
    pub(crate) moment: Moment,
    pub(crate) what: What,
}

/// What has happened.
pub(crate) enum What {
    /// Somebody wants in.
    Connect(Arc<Upgrade>),
    /// A message came. Its text is base64 where it was bytes.
    Message { id: String, text: String, is_base64: bool },
    /// The connection has ended.
    Disconnect { code: u16, reason: String },
}

impl What {
    /// As `eventType` names it.
    pub(crate) fn event_type(&self) -> &'static str {
        match self {
            Self::Connect(_) => "CONNECT",
            Self::Message { .. } => "MESSAGE",
            Self::Disconnect { .. } => "DISCONNECT",
        }
    }
}

/// What an integration has answered.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// Its status; absent where a function gave none.
    pub(crate) status: Option<u16>,
    /// For the client of a two-way route, or with a refusal of `$connect`.
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) subprotocol: Option<String>,
    pub(crate) subscribe: Vec<String>,
    pub(crate) unsubscribe: Vec<String>,
}

/// Why an integration has not answered, or not in a way that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("{0}")]
    Function(#[from] FunctionError),
    #[error("{0}")]
    Http(#[from] CallerError),
    #[error("{0}")]
    Endpoint(#[from] EndpointError),
    #[error("{0}")]
    Mapping(#[from] MappingError),
    #[error("its answer cannot be used: {0}")]
    Malformed(String),
    #[error("the message is not as the route's model wants it")]
    InvalidBody,
    #[error("it did not answer within the {0} ms of the integration")]
    TimedOut(u64),
}

impl CallError {
    /// The integration took too long.
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::Http(CallerError::Timeout(_)))
            || matches!(self, Self::Function(FunctionError::Timeout(_)))
    }

    /// As access logs have it.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::InvalidBody => 400,
            error if error.is_timeout() => 504,
            _ => 500,
        }
    }

    /// There is no template for what came.
    pub(crate) fn is_unsupported_media(&self) -> bool {
        matches!(self, Self::Mapping(MappingError::UnsupportedMediaType))
    }
}

impl Shared {
    /// Asks the route's integration. A route without one answers at once with 200.
    ///
    /// # Errors
    /// [`CallError`]; it is in the log already, with the place of the configuration.
    pub(crate) async fn call(
        &self,
        api: &ServedApi,
        route: &CompiledRoute,
        request: &Request,
    ) -> Result<Answered, CallError> {
        let Some(integration) = &route.route().integration else {
            return Ok(Answered { status: Some(200), ..Answered::default() });
        };
        let began = Instant::now();
        let limit = Duration::from_millis(integration.timeout_ms);
        let asked = tokio::time::timeout(limit, self.ask(route, integration, request)).await;
        let answered = asked.unwrap_or(Err(CallError::TimedOut(integration.timeout_ms)));
        api.counts.integration(began.elapsed(), answered.is_err());
        if let Err(error) = &answered {
            tracing::warn!(
                api = %api.api().id, route = %route.key(), at = %integration.origin, request = %request.moment.request_id,
                function = integration.function.as_deref(), uri = integration.uri.as_deref(), %error,
                "an integration failed"
            );
        }
        answered
    }

    async fn ask(
        &self,
        route: &CompiledRoute,
        integration: &Integration,
        request: &Request,
    ) -> Result<Answered, CallError> {
        let message = match &request.what {
            What::Message { text, .. } => Some(MessageText::new(text)),
            _ => None,
        };
        let (headers, query) = match &request.what {
            What::Connect(upgrade) => (&upgrade.headers[..], upgrade.query_pairs()),
            _ => (&[][..], Vec::new()),
        };
        // A proxy needs no context: it gets the event.
        let context = match integration.kind {
            IntegrationKind::AwsProxy => serde_json::Map::new(),
            _ => request.context(route.key()),
        };
        let scope = Scope {
            message: message.as_ref(),
            headers,
            query: &query,
            context: &context,
            stage_variables: &request.facts.stage_variables,
        };
        match route.integration_request(&scope)? {
            IntegrationRequest::Function { name, event: None } => {
                let event = request.event(route.key());
                let answer = self.functions.call_in_turn(&name, event.into(), timeout(integration)).await?;
                proxied(&answer, integration)
            }
            IntegrationRequest::Function { name, event: Some(event) } if route.is_called_later(&scope) => {
                self.functions.send(&name, event).await?;
                mapped(route, &scope, &answer_of(TAKEN))
            }
            IntegrationRequest::Function { name, event: Some(event) } => {
                let called = self.functions.call_in_turn(&name, event, timeout(integration)).await;
                mapped(route, &scope, &function_answer(called)?)
            }
            IntegrationRequest::Http { method, url, headers, body } => {
                let built = http_request(&method, &url, &headers, body, request, integration)?;
                let response = self.http.send(built, timeout(integration), ANSWER_BYTES_MAX).await?;
                match integration.kind {
                    IntegrationKind::HttpProxy => Ok(passed_on(response)),
                    _ => mapped(route, &scope, &http_answer(response)),
                }
            }
            IntegrationRequest::Aws(service) => {
                let response = self.endpoints.send(&self.http, service, timeout(integration)).await?;
                mapped(route, &scope, &http_answer(response))
            }
            IntegrationRequest::Mock { status } => mapped(route, &scope, &answer_of(status)),
            // Sessions publish by themselves; what comes here is `$connect` or `$disconnect`.
            IntegrationRequest::Topic(topic) => {
                self.publish(&topic).await.map_err(|refusal| CallError::Malformed(refusal.to_string()))?;
                Ok(Answered { status: Some(200), ..Answered::default() })
            }
        }
    }
}

fn timeout(integration: &Integration) -> Duration {
    Duration::from_millis(integration.timeout_ms)
}

impl Request {
    /// `$context` for templates and logs.
    pub(crate) fn context(&self, route_key: &str) -> serde_json::Map<String, Value> {
        let message_id = match &self.what {
            What::Message { id, .. } => Some(id.as_str()),
            _ => None,
        };
        self.facts.context(&self.moment, route_key, self.what.event_type(), message_id)
    }

    /// The event that a proxied function gets.
    fn event(&self, route_key: &str) -> Vec<u8> {
        match &self.what {
            What::Connect(upgrade) => connect_event(&self.facts, &upgrade.view(), &self.moment),
            What::Message { id, text, is_base64 } => {
                message_event(&self.facts, &self.moment, route_key, id, text, *is_base64)
            }
            What::Disconnect { code, reason } => disconnect_event(&self.facts, &self.moment, *code, reason),
        }
    }
}

/// A function's own answer, with status and body in it.
fn proxied(answer: &[u8], integration: &Integration) -> Result<Answered, CallError> {
    let answer = ProxyAnswer::read(answer).map_err(|error| CallError::Malformed(error.to_string()))?;
    for warning in &answer.warnings {
        tracing::warn!(function = integration.function.as_deref(), at = %integration.origin, "{warning}");
    }
    Ok(Answered {
        status: answer.status,
        body: answer.body.map(|body| bytes_of(body, answer.is_base64)),
        subprotocol: answer.subprotocol,
        subscribe: answer.subscribe,
        unsubscribe: answer.unsubscribe,
    })
}

/// Only upgrades and two-way routes use a body. Base64 that is none stays as it is.
fn bytes_of(body: String, is_base64: bool) -> Vec<u8> {
    let decoded = is_base64.then(|| STANDARD.decode(&body).ok()).flatten();
    decoded.unwrap_or_else(|| body.into_bytes())
}

fn mapped(route: &CompiledRoute, scope: &Scope<'_>, answer: &IntegrationAnswer) -> Result<Answered, CallError> {
    let mapped = route.integration_response(scope, answer)?;
    Ok(Answered { status: Some(mapped.status), body: Some(mapped.body), ..Answered::default() })
}

/// What templates see of a function that was called without a proxy.
fn function_answer(called: Result<Bytes, FunctionError>) -> Result<IntegrationAnswer, FunctionError> {
    let (body, error_message) = match called {
        Ok(body) => (body, None),
        Err(FunctionError::Handler(payload)) => {
            let error: Option<Value> = serde_json::from_slice(&payload).ok();
            let message = error.as_ref().and_then(|error| error.get("errorMessage")?.as_str()).unwrap_or_default();
            let message = message.to_owned();
            (payload, Some(message))
        }
        Err(error) => return Err(error),
    };
    Ok(IntegrationAnswer { status: 200, headers: Vec::new(), body, error_message })
}

/// An answer that has a status alone.
fn answer_of(status: u16) -> IntegrationAnswer {
    IntegrationAnswer { status, headers: Vec::new(), body: Bytes::new(), error_message: None }
}

fn http_answer(response: Response<Bytes>) -> IntegrationAnswer {
    let (head, body) = response.into_parts();
    let headers = head.headers.iter().filter_map(|(name, value)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())) //
    });
    IntegrationAnswer { status: head.status.as_u16(), headers: headers.collect(), body, error_message: None }
}

/// A web server's answer, as it is.
fn passed_on(response: Response<Bytes>) -> Answered {
    let subprotocol = response.headers().get("sec-websocket-protocol").and_then(|value| value.to_str().ok());
    Answered {
        status: Some(response.status().as_u16()),
        subprotocol: subprotocol.map(str::to_owned),
        body: Some(response.into_body().into()),
        ..Answered::default()
    }
}

/// Headers that belong to one connection, or that would make a web server take the request for an
/// upgrade of its own.
fn is_forwarded(name: &str) -> bool {
    const KEPT_BACK: [&str; 10] = [
        "connection",
        "upgrade",
        "host",
        "content-length",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "proxy-authorization",
        "proxy-connection",
    ];
    let name = name.to_ascii_lowercase();
    !name.starts_with("sec-websocket-") && !KEPT_BACK.contains(&name.as_str())
}

fn http_request(
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: Bytes,
    request: &Request,
    integration: &Integration,
) -> Result<HttpRequest<Bytes>, CallError> {
    let mut all: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut url = url.to_owned();
    if let (IntegrationKind::HttpProxy, What::Connect(upgrade)) = (integration.kind, &request.what) {
        for (name, value) in upgrade.headers.iter().filter(|(name, _)| is_forwarded(name)) {
            all.entry(name.to_ascii_lowercase()).or_default().push(value);
        }
        if !upgrade.query.is_empty() {
            url = format!("{url}{}{}", if url.contains('?') { '&' } else { '?' }, upgrade.query);
        }
    }
    for (name, value) in headers {
        all.insert(name.to_ascii_lowercase(), vec![value]);
    }
    let malformed = |what: String| CallError::Malformed(what);
    let mut builder = HttpRequest::builder().method(method).uri(&url);
    for (name, values) in &all {
        let name = HeaderName::try_from(name).map_err(|error| malformed(format!("header {name:?}: {error}")))?;
        for value in values {
            let value = HeaderValue::from_str(value).map_err(|error| malformed(format!("header {name}: {error}")))?;
            builder = builder.header(&name, value);
        }
    }
    // The query is the client's, and may hold a token.
    let place = url.split('?').next().unwrap_or_default();
    builder.body(body).map_err(|error| malformed(format!("the request to {place} cannot be made: {error}")))
}
