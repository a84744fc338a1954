//! Finds what a request is about, lets the caller in, and writes the answer.

use std::sync::{Arc, Once};
use std::time::Instant;

use fanfare_door::{Body, Gateway, HttpContext, HttpResponse, HttpService, full_body};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, header};
use hyper::body::{Body as _, Incoming};

use crate::page::ConsolePage;
use crate::problem::Problem;
use crate::request::{Answer, Call, Query, decode};
use crate::{NAME, Operations, StartPage, auth, connections, info, messages, plain, revocations, topics, usage};

/// What all requests share.
pub(crate) struct Service {
    pub(crate) operations: Operations,
    pub(crate) started: Instant,
    /// Gauges are registered with the first scrape: only requests know the gateway.
    pub(crate) observed: Once,
    page: Option<ConsolePage>,
}

impl Service {
    pub(crate) fn new(operations: Operations, started: Instant) -> Self {
        let page = (operations.start_page == StartPage::Plain).then(ConsolePage::new);
        Self { operations, started, observed: Once::new(), page }
    }
}

/// Answers requests of all mounts.
pub(crate) struct Router {
    service: Arc<Service>,
}

impl Router {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self { service }
    }
}

impl HttpService for Router {
    fn call(&self, request: Request<Incoming>, context: HttpContext) -> HttpResponse {
        let service = self.service.clone();
        Box::pin(async move {
            let gateway = context.gateway;
            let is_head = request.method() == Method::HEAD;
            let mut response = match respond(service, request, &gateway).await {
                Ok(response) => response,
                Err(problem) => {
                    gateway.metrics.refusal(NAME, problem.code);
                    problem.response()
                }
            };
            let headers = response.headers_mut();
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
            if is_head { without_body(response) } else { response }
        })
    }
}

async fn respond(
    service: Arc<Service>,
    request: Request<Incoming>,
    gateway: &Arc<Gateway>,
) -> Result<Response<Body>, Problem> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if let Some(path) = path.strip_prefix("/admin/v1/") {
        let caller = auth::admit(&service.operations, &parts, gateway).await?;
        let query = Query::read(parts.uri.query())?;
        let call = Call { caller, query, body, gateway: gateway.clone(), service };
        return administer(&parts.method, path, call).await.map(json);
    }
    match (path.as_str(), &service.page) {
        ("/healthz", _) => require_get(&parts).map(|()| plain::health()),
        ("/readyz", _) => require_get(&parts).and_then(|()| plain::readiness(gateway)),
        ("/metrics", _) => {
            require_get(&parts)?;
            if !service.operations.metrics_open {
                auth::admit(&service.operations, &parts, gateway).await?.require_server()?;
            }
            plain::metrics(&service, gateway).await
        }
        ("/" | "/console", Some(_)) => require_get(&parts).map(|()| plain::redirect("/console/")),
        ("/console/", Some(page)) => require_get(&parts).map(|()| page.response()),
        _ => Err(Problem::not_found("nothing is served under this path")),
    }
}

fn require_get(parts: &Parts) -> Result<(), Problem> {
    let is_get = parts.method == Method::GET || parts.method == Method::HEAD;
    is_get.then_some(()).ok_or_else(|| Problem::method("GET, HEAD"))
}

/// What the administration is asked about.
#[derive(Debug, PartialEq, Eq)]
enum Resource {
    Connections,
    Connection(String),
    ConnectionSend(String),
    User(String),
    UserSend(String),
    Spaces,
    SpaceSend(String),
    Topics(String),
    Topic(String, String),
    Members(String, String),
    History(String, String),
    Publish,
    Revoke,
    Revocations,
    Usage,
    UsageNow,
    Info,
}

impl Resource {
    /// Finds it by the path below `/admin/v1/`. Segments are decoded one by one, so that a topic
    /// may hold an encoded `/`.
    fn find(path: &str) -> Result<Self, Problem> {
        let segments: Vec<&str> = path.split('/').collect();
        Ok(match *segments {
            ["connections"] => Self::Connections,
            ["connections", id] => Self::Connection(decode(id)?),
            ["connections", id, "send"] => Self::ConnectionSend(decode(id)?),
            ["users", subject] => Self::User(decode(subject)?),
            ["users", subject, "send"] => Self::UserSend(decode(subject)?),
            ["spaces"] => Self::Spaces,
            ["spaces", space, "send"] => Self::SpaceSend(decode(space)?),
            ["spaces", space, "topics"] => Self::Topics(decode(space)?),
            ["spaces", space, "topics", topic] => Self::Topic(decode(space)?, decode(topic)?),
            ["spaces", space, "topics", topic, "members"] => Self::Members(decode(space)?, decode(topic)?),
            ["spaces", space, "topics", topic, "history"] => Self::History(decode(space)?, decode(topic)?),
            ["publish"] => Self::Publish,
            ["revoke"] => Self::Revoke,
            ["revocations"] => Self::Revocations,
            ["usage"] => Self::Usage,
            ["usage", "now"] => Self::UsageNow,
            ["info"] => Self::Info,
            _ => return Err(Problem::not_found("there is no such call; see docs/admin.md")),
        })
    }

    /// The methods it answers, as `Allow` lists them.
    fn methods(&self) -> &'static str {
        match self {
            Self::Connection(_) => "GET, HEAD, DELETE",
            Self::User(_) => "DELETE",
            Self::ConnectionSend(_) | Self::UserSend(_) | Self::SpaceSend(_) | Self::Publish | Self::Revoke => "POST",
            _ => "GET, HEAD",
        }
    }
}

async fn administer(method: &Method, path: &str, call: Call) -> Answer {
    let resource = Resource::find(path)?;
    let allow = resource.methods();
    if !allow.split(", ").any(|allowed| allowed == method.as_str()) {
        return Err(Problem::method(allow));
    }
    match resource {
        Resource::Connections => connections::list(&call).await,
        Resource::Connection(id) if *method == Method::DELETE => connections::kick(&call, &id).await,
        Resource::Connection(id) => connections::show(&call, &id).await,
        Resource::ConnectionSend(id) => connections::send(call, &id).await,
        Resource::User(subject) => connections::kick_user(&call, &subject).await,
        Resource::UserSend(subject) => connections::send_to_user(call, &subject).await,
        Resource::Spaces => topics::spaces(&call).await,
        Resource::SpaceSend(space) => connections::send_to_space(call, &space).await,
        Resource::Topics(space) => topics::list(&call, space).await,
        Resource::Topic(space, topic) => topics::show(&call, &space, &topic),
        Resource::Members(space, topic) => topics::members(&call, space, &topic).await,
        Resource::History(space, topic) => messages::history(&call, &space, &topic).await,
        Resource::Publish => messages::publish(call).await,
        Resource::Revoke => revocations::revoke(call).await,
        Resource::Revocations => revocations::list(&call),
        Resource::Usage => usage::by_day(&call),
        Resource::UsageNow => usage::now(&call),
        Resource::Info => info::info(&call),
    }
}

fn json(body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(full_body(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer to HEAD: everything but the body.
fn without_body(mut response: Response<Body>) -> Response<Body> {
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    response.map(|_| full_body(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_one_by_one() {
        let found = Resource::find("spaces/my%20space/topics/a%2Fb/members").unwrap();
        assert_eq!(found, Resource::Members("my space".into(), "a/b".into()));
        assert_eq!(Resource::find("users/%C3%A4/send").unwrap(), Resource::UserSend("ä".into()));
        for path in ["", "connections/a/b", "spaces/x", "usage/then", "info/", "users/%FF"] {
            assert!(Resource::find(path).is_err(), "{path}");
        }
    }
}
