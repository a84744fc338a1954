//! A request: gRPC, or plain HTTP.

use std::sync::Arc;

use fanfare_door::{HttpContext, HttpResponse, HttpService};
use fanfare_momento::grpc::web::Dialect;
use fanfare_momento::http::TopicPath;
use fanfare_momento::method::Method;
use http::Request;
use http::header::CONTENT_TYPE;
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
        head.method == http::Method::POST && (Method::of_path(head.uri.path()).is_some() || dialect(head).is_some())
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

/// Answers the HTTP interface. `/topics/{topic}` with one name alone is that of AWS IoT.
pub(crate) struct TopicService(pub(crate) Arc<Shared>);

impl HttpService for TopicService {
    fn claims(&self, head: &Parts) -> bool {
        (head.method == http::Method::POST || head.method == http::Method::GET)
            && TopicPath::parse(head.uri.path()).is_some()
    }

    fn call(&self, request: Request<Incoming>, context: HttpContext) -> HttpResponse {
        let shared = self.0.clone();
        Box::pin(async move { plain::answer(shared, request, context).await })
    }
}

fn dialect(head: &Parts) -> Option<Dialect> {
    Dialect::of_content_type(head.headers.get(CONTENT_TYPE)?.to_str().ok()?)
}
