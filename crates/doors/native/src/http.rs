//! The transports beside WebSocket: publish, server-sent events, streams, long poll, history.

use fanfare_door::{Body, HttpContext, HttpResponse, HttpService, full_body};

use crate::errors::Problem;

/// Serves everything below `/v1` that is not an upgrade.
pub(crate) struct NativeHttp;

impl HttpService for NativeHttp {
    fn call(&self, request: ::http::Request<hyper::body::Incoming>, _context: HttpContext) -> HttpResponse {
        let path = request.uri().path().to_owned();
        Box::pin(async move { problem(&Problem::final_one("not_found", 404, format!("nothing is served at {path}"))) })
    }
}

/// A problem as a response.
pub(crate) fn problem(problem: &Problem) -> ::http::Response<Body> {
    let mut response = ::http::Response::new(full_body(problem.fields().to_string()));
    *response.status_mut() =
        ::http::StatusCode::from_u16(problem.status).unwrap_or(::http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(::http::header::CONTENT_TYPE, ::http::HeaderValue::from_static("application/json"));
    if let Some(retry_ms) = problem.retry_ms {
        headers.insert(::http::header::RETRY_AFTER, retry_ms.div_ceil(1_000).max(1).into());
    }
    response
}
