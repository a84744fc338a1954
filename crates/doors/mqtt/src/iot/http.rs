//! The HTTP data plane of AWS IoT: publish, retained messages, connections, shadows.
//!
//! A request finds its route by the raw path, proves who it comes from, and becomes a [`Call`];
//! what it asks for is in a file of its own and answers with JSON or a [`Problem`].

mod call;
mod connections;
mod direct;
mod message;
mod retained;
mod things;
mod topics;

use std::sync::Arc;

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use ::http::{HeaderValue, Request, Response, StatusCode};
use fanfare_aws::errors::DataPlaneError;
use fanfare_core::Refusal;
use fanfare_door::{Body, HttpContext, HttpMount, HttpResponse, HttpService, full_body};
use hyper::body::Incoming;
use serde_json::Value as Json;
use tokio::sync::Semaphore;

use super::uuid;
use crate::NAME;
use crate::hub::Hub;
use call::Call;

/// The service behind all of its paths.
pub(crate) struct DataPlane {
    hub: Arc<Hub>,
    /// Direct messages whose acknowledgements are awaited.
    direct: Arc<Semaphore>,
}

impl DataPlane {
    pub(crate) fn mounts(hub: &Arc<Hub>) -> Vec<HttpMount> {
        let direct = Arc::new(Semaphore::new(hub.options.direct_messages_max));
        let service: Arc<dyn HttpService> = Arc::new(Self { hub: hub.clone(), direct });
        let paths = ["/topics", "/retainedMessage", "/connections", "/things", "/api/things/shadow", "/endpoint"];
        paths.map(|prefix| HttpMount { prefix, service: service.clone() }).into()
    }
}

impl HttpService for DataPlane {
    fn call(&self, request: Request<Incoming>, context: HttpContext) -> HttpResponse {
        Box::pin(answer(self.hub.clone(), self.direct.clone(), request, context))
    }
}

/// Why a request is not granted.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: DataPlaneError,
    message: String,
}

type Answer = Result<Option<Json>, Problem>;

impl Problem {
    fn new(kind: DataPlaneError, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(DataPlaneError::InvalidRequest, message)
    }

    fn forbidden() -> Self {
        Self::new(DataPlaneError::Forbidden, "Forbidden")
    }

    fn not_found(message: impl Into<String>) -> Self {
        Self::new(DataPlaneError::ResourceNotFound, message)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = match &refusal {
            Refusal::Denied { .. } => return Self::forbidden(),
            Refusal::MessageTooLarge { .. } => DataPlaneError::RequestEntityTooLarge,
            Refusal::RateLimited { .. } | Refusal::Overloaded => DataPlaneError::Throttling,
            Refusal::Log(_) | Refusal::ShuttingDown => DataPlaneError::ServiceUnavailable,
            _ => DataPlaneError::InvalidRequest,
        };
        Self::new(kind, refusal.to_string())
    }
}

/// What a request is about. Names are still percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route<'p> {
    Publish(&'p str),
    Retained(&'p str),
    RetainedList,
    Connection(&'p str),
    Subscriptions(&'p str),
    Direct(&'p str),
    Shadow(&'p str),
    NamedShadows(&'p str),
    Endpoint,
}

impl<'p> Route<'p> {
    fn find(path: &'p str) -> Option<Self> {
        if let Some(topic) = path.strip_prefix("/topics/") {
            return Some(Self::Publish(topic));
        }
        if let Some(topic) = path.strip_prefix("/retainedMessage").filter(|rest| !rest.is_empty()) {
            let topic = topic.strip_prefix('/')?;
            return Some(if topic.is_empty() { Self::RetainedList } else { Self::Retained(topic) });
        }
        if let Some(rest) = path.strip_prefix("/connections/") {
            return match rest.split_once('/') {
                None => Some(Self::Connection(rest)),
                Some((id, "subscriptions")) => Some(Self::Subscriptions(id)),
                Some((id, "messages")) => Some(Self::Direct(id)),
                Some(_) => None,
            };
        }
        if let Some(thing) = path.strip_prefix("/things/").and_then(|rest| rest.strip_suffix("/shadow")) {
            return Some(Self::Shadow(thing));
        }
        if let Some(thing) = path.strip_prefix("/api/things/shadow/ListNamedShadowsForThing/") {
            return Some(Self::NamedShadows(thing));
        }
        match path {
            "/retainedMessage" => Some(Self::RetainedList),
            "/endpoint" => Some(Self::Endpoint),
            _ => None,
        }
    }

    fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Publish(_) | Self::Direct(_) => &["POST"],
            Self::Connection(_) => &["GET", "DELETE"],
            Self::Shadow(_) => &["GET", "POST", "DELETE"],
            _ => &["GET"],
        }
    }
}

async fn answer(
    hub: Arc<Hub>,
    direct: Arc<Semaphore>,
    request: Request<Incoming>,
    context: HttpContext,
) -> Response<Body> {
    let trace_id = uuid();
    let metrics = context.gateway.metrics.clone();
    match serve(hub, direct, request, context, &trace_id).await {
        Ok(body) => success(body),
        Err(problem) => {
            tracing::debug!(
                trace_id,
                error = problem.kind.exception(),
                message = problem.message,
                "a request was refused"
            );
            metrics.refusal(NAME, problem.kind.exception());
            refusal(&problem, &trace_id)
        }
    }
}

async fn serve(
    hub: Arc<Hub>,
    direct: Arc<Semaphore>,
    request: Request<Incoming>,
    context: HttpContext,
    trace_id: &str,
) -> Answer {
    let path = request.uri().path().to_owned();
    let route = Route::find(&path).ok_or_else(|| Problem::not_found("There is nothing at this path"))?;
    let method = request.method().clone();
    if !route.methods().contains(&method.as_str()) {
        let message = format!("This path answers {}", route.methods().join(", "));
        return Err(Problem::new(DataPlaneError::MethodNotAllowed, message));
    }
    let call = Call::new(hub, request, context).await?;
    match route {
        Route::Publish(topic) => topics::publish(&call, topic, trace_id).await,
        Route::Retained(topic) => retained::get(&call, topic),
        Route::RetainedList => retained::list(&call),
        Route::Connection(id) if method == ::http::Method::DELETE => connections::delete(&call, id).await,
        Route::Connection(id) => connections::get(&call, id).await,
        Route::Subscriptions(id) => connections::subscriptions(&call, id).await,
        Route::Direct(id) => direct::send(&call, id, &direct, trace_id).await,
        Route::Shadow(thing) => things::shadow(&call, thing, &method).await,
        Route::NamedShadows(thing) => things::named(&call, thing),
        Route::Endpoint => Ok(Some(serde_json::json!({ "endpointAddress": call.host() }))),
    }
}

fn success(body: Option<Json>) -> Response<Body> {
    let mut response = Response::new(full_body(body.map(|json| json.to_string()).unwrap_or_default()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(fanfare_aws::errors::REST_JSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refusal(problem: &Problem, trace_id: &str) -> Response<Body> {
    let answer = problem.kind.answer(&problem.message, trace_id);
    let mut response = Response::new(full_body(answer.body.clone()));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers() {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_route() {
        assert_eq!(Route::find("/topics/a/b%2Fc"), Some(Route::Publish("a/b%2Fc")));
        assert_eq!(Route::find("/topics//a/"), Some(Route::Publish("/a/")));
        assert_eq!(Route::find("/retainedMessage"), Some(Route::RetainedList));
        assert_eq!(Route::find("/retainedMessage/a%2Fb"), Some(Route::Retained("a%2Fb")));
        assert_eq!(Route::find("/connections/c%2F1"), Some(Route::Connection("c%2F1")));
        assert_eq!(Route::find("/connections/c/subscriptions"), Some(Route::Subscriptions("c")));
        assert_eq!(Route::find("/connections/c/messages"), Some(Route::Direct("c")));
        assert_eq!(Route::find("/things/t/shadow"), Some(Route::Shadow("t")));
        assert_eq!(Route::find("/api/things/shadow/ListNamedShadowsForThing/t"), Some(Route::NamedShadows("t")));
        for path in
            ["/topics", "/connections", "/connections/c/others", "/things/t", "/things/t/shadow/x", "/retainedMessages"]
        {
            assert_eq!(Route::find(path), None, "{path}");
        }
    }
}
