//! A request: gRPC, or plain HTTP.

use std::sync::Arc;

use fanfare_door::{HttpContext, HttpResponse, HttpService};
use fanfare_momento::grpc::web::Dialect;
use fanfare_momento::http::TopicPath;
use fanfare_momento::method::Method;
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use hyper::body::Incoming;

use crate::shared::Shared;
use crate::{grpc, http as plain};

/// Answers gRPC, in all dialects.
pub(crate) struct CallService(pub(crate) Arc<Shared>);

impl HttpService for CallService {
    /// Calls of the original's services, and whatever else is gRPC: nobody else here speaks it, and a
    /// client of it does not understand another answer.
    fn claims(&self, head: &Parts) -> bool {
        let is_known = || Method::of_path(head.uri.path()).is_some();
        match head.method {
            http::Method::POST => is_known() || dialect(head).is_some(),
            // What a page asks before it sends.
            http::Method::OPTIONS => is_known(),
            _ => false,
        }
    }

    fn takes_any_origin(&self, _head: &Parts) -> bool {
        true
    }

    fn call(&self, request: Request<Incoming>, context: HttpContext) -> HttpResponse {
        let shared = self.0.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let dialect = dialect(&head).unwrap_or(Dialect::Grpc);
            grpc::answer(shared, head, body, context, dialect).await
        })
    }
}

/// What AWS IoT's publish may have in its query, and nobody else.
const OF_IOT: [&str; 6] = ["qos", "retain", "contentType", "messageExpiry", "responseTopic", "X-Amz-Signature"];

/// Answers the HTTP interface. AWS IoT publishes under the same paths: `/topics/{topic}`, where a topic
/// may have two levels.
pub(crate) struct TopicService(pub(crate) Arc<Shared>);

impl HttpService for TopicService {
    fn claims(&self, head: &Parts) -> bool {
        let Some(path) = TopicPath::parse(head.uri.path()) else { return false };
        match head.method {
            http::Method::GET | http::Method::OPTIONS => true,
            http::Method::POST if is_of_iot(head) => false,
            http::Method::POST => has_key(head) || self.0.caches.get(&path.cache).is_some(),
            _ => false,
        }
    }

    fn takes_any_origin(&self, _head: &Parts) -> bool {
        true
    }

    fn call(&self, request: Request<Incoming>, context: HttpContext) -> HttpResponse {
        let shared = self.0.clone();
        Box::pin(async move { plain::answer(shared, request, context).await })
    }
}

/// Who signs as AWS has it, or gives a message properties of MQTT, means AWS IoT.
fn is_of_iot(head: &Parts) -> bool {
    let is_signed = authorization(head).is_some_and(|value| value.starts_with("AWS4-"));
    let has_properties = head.headers.keys().any(|name| name.as_str().starts_with("x-amz-mqtt5-"));
    is_signed || has_properties || names(head).any(|name| OF_IOT.contains(&name))
}

/// Keys of this door's stand alone in their header, or in the query.
fn has_key(head: &Parts) -> bool {
    let is_key = |value: &str| !value.is_empty() && !value.starts_with("Bearer ");
    authorization(head).is_some_and(is_key) || names(head).any(|name| name == "token")
}

fn authorization(head: &Parts) -> Option<&str> {
    head.headers.get(AUTHORIZATION)?.to_str().ok()
}

/// Names of the query's parameters.
fn names(head: &Parts) -> impl Iterator<Item = &str> {
    head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split('=').next())
}

fn dialect(head: &Parts) -> Option<Dialect> {
    Dialect::of_content_type(head.headers.get(CONTENT_TYPE)?.to_str().ok()?)
}
