//! Answers that are there as a whole.

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use ::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use fanfare_door::{Body, full_body};

use crate::errors::Problem;

/// JSON with the status 200.
pub(super) fn json(body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full_body(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A problem as a response.
pub(crate) fn problem(problem: &Problem) -> Response<Body> {
    let mut response = json(problem.fields().to_string());
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(retry_ms) = problem.retry_ms {
        headers.insert(RETRY_AFTER, retry_ms.div_ceil(1_000).max(1).into());
    }
    if problem.status == 401 {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
