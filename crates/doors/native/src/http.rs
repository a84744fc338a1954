//! The transports beside WebSocket: publish, server-sent events, streams, long poll, history.
//!
//! A request finds its route here and becomes a [`Call`]; each endpoint is a file of its own and
//! answers with a response or a [`Problem`].

mod asked;
mod call;
mod events;
mod lookup;
mod openapi;
mod poll;
mod publish;
mod query;
mod reply;
mod stream;

use ::http::header::{ALLOW, CONTENT_LENGTH};
use ::http::{HeaderValue, Method, Request, Response, StatusCode};
use fanfare_door::{Body, HttpContext, HttpResponse, HttpService, full_body};
use hyper::body::{Body as _, Incoming};

use crate::NAME;
use crate::errors::Problem;
use call::Call;

pub(crate) use reply::problem;

/// Serves everything below `/v1` that is not an upgrade.
pub(crate) struct NativeHttp;

impl HttpService for NativeHttp {
    fn call(&self, request: Request<Incoming>, context: HttpContext) -> HttpResponse {
        Box::pin(answer(request, context))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Publish,
    Stream,
    Poll,
    Tickets,
    History,
    Members,
    OpenApi,
}

/// A path with the methods that it answers.
struct Route {
    /// `{topic}` stands for one segment.
    path: &'static str,
    methods: &'static [&'static str],
    endpoint: Endpoint,
}

const READ: &[&str] = &["GET", "HEAD"];

const ROUTES: [Route; 7] = [
    Route { path: "/v1/publish", methods: &["POST"], endpoint: Endpoint::Publish },
    Route { path: "/v1/sse", methods: &["GET", "POST"], endpoint: Endpoint::Stream },
    Route { path: "/v1/poll", methods: &["GET"], endpoint: Endpoint::Poll },
    Route { path: "/v1/tickets", methods: &["POST"], endpoint: Endpoint::Tickets },
    Route { path: "/v1/topics/{topic}/history", methods: READ, endpoint: Endpoint::History },
    Route { path: "/v1/topics/{topic}/members", methods: READ, endpoint: Endpoint::Members },
    Route { path: "/v1/openapi.json", methods: READ, endpoint: Endpoint::OpenApi },
];

/// The route of a path, and what stands for `{topic}` in it, still encoded.
fn find(path: &str) -> Option<(&'static Route, &str)> {
    ROUTES.iter().find_map(|route| match route.path.split_once("{topic}") {
        None => (route.path == path).then_some((route, "")),
        Some((before, after)) => {
            let topic = path.strip_prefix(before)?.strip_suffix(after)?;
            (!topic.is_empty() && !topic.contains('/')).then_some((route, topic))
        }
    })
}

async fn answer(request: Request<Incoming>, context: HttpContext) -> Response<Body> {
    let path = request.uri().path();
    let Some((route, topic)) = find(path) else {
        return problem(&Problem::final_one("not_found", 404, format!("nothing is served at {path}")));
    };
    if !route.methods.contains(&request.method().as_str()) {
        return other_method(route, request.method());
    }
    let topic = topic.to_owned();
    let is_head = request.method() == Method::HEAD;
    let gateway = context.gateway.clone();
    let answered = match Call::new(request, &topic, context) {
        Ok(call) => dispatch(route.endpoint, call).await,
        Err(problem) => Err(problem),
    };
    let response = answered.unwrap_or_else(|refused| {
        gateway.metrics.refusal(NAME, refused.code);
        problem(&refused)
    });
    if is_head { without_body(response) } else { response }
}

async fn dispatch(endpoint: Endpoint, call: Call) -> Result<Response<Body>, Problem> {
    match endpoint {
        Endpoint::Publish => publish::publish(call).await,
        Endpoint::Stream => stream::open(call).await,
        Endpoint::Poll => poll::poll(call).await,
        Endpoint::Tickets => lookup::ticket(call).await,
        Endpoint::History => lookup::history(call).await,
        Endpoint::Members => lookup::members(call).await,
        Endpoint::OpenApi => Ok(reply::json(openapi::DOCUMENT)),
    }
}

fn other_method(route: &Route, method: &Method) -> Response<Body> {
    let allowed = route.methods.join(", ");
    let mut response = if method == Method::OPTIONS {
        let mut response = Response::new(full_body(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    } else {
        let message = format!("{} answers {allowed}", route.path);
        problem(&Problem::final_one("method_not_allowed", 405, message))
    };
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

/// The same head as the whole answer would have.
fn without_body(mut response: Response<Body>) -> Response<Body> {
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    *response.body_mut() = full_body("");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_route() {
        let found = |path| find(path).map(|(route, topic)| (route.endpoint, topic));
        assert_eq!(found("/v1/sse"), Some((Endpoint::Stream, "")));
        assert_eq!(found("/v1/topics/a%2Fb/history"), Some((Endpoint::History, "a%2Fb")));
        assert_eq!(found("/v1/topics/history/members"), Some((Endpoint::Members, "history")));
        for path in ["/v1", "/v1/", "/v1/sse/", "/v1/topics//history", "/v1/topics/a/b/history", "/v1/topics/a"] {
            assert_eq!(found(path), None, "{path}");
        }
    }
}
