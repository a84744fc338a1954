//! A request: who asks, for what, and how the answer looks.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use fanfare_aws::errors::{ErrorAnswer, JSON_1_1};
use fanfare_aws::sigv4::{PayloadHash, Request as Signed};
use fanfare_door::{Body, Gateway, HttpContext, HttpResponse, HttpService, full_body};
use fanfare_functions::request_id;
use fanfare_iam::Access;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use crate::board::Board;
use crate::callers;

/// The largest request body, in bytes: a full PutEvents with every byte of its details escaped.
const BODY_BYTES_MAX: usize = 2 << 20;
/// A body must be there within this.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// What stands before the operation in `X-Amz-Target`.
const TARGET_PREFIX: &str = "AWSEvents.";

/// Answers the requests of SDKs.
pub(crate) struct EventsService {
    board: Arc<Board>,
    access: Arc<ArcSwap<Access>>,
}

impl EventsService {
    pub(crate) fn new(board: Arc<Board>, access: Arc<ArcSwap<Access>>) -> Self {
        Self { board, access }
    }
}

impl HttpService for EventsService {
    /// The path is shared with the start page and other services of AWS.
    fn claims(&self, head: &Parts) -> bool {
        head.method == Method::POST && head.uri.path() == "/" && operation(head).is_some()
    }

    fn call(&self, request: Request<Incoming>, context: HttpContext) -> HttpResponse {
        let (board, access) = (self.board.clone(), self.access.load_full());
        Box::pin(async move {
            let answered = answer(request, &context.gateway, &board, &access).await;
            response(answered)
        })
    }
}

fn operation(head: &Parts) -> Option<&str> {
    head.headers.get("x-amz-target")?.to_str().ok()?.strip_prefix(TARGET_PREFIX)
}

async fn answer(
    request: Request<Incoming>,
    gateway: &Gateway,
    board: &Arc<Board>,
    access: &Access,
) -> Result<String, ErrorAnswer> {
    let (head, body) = request.into_parts();
    let operation = operation(&head).unwrap_or_default();
    let body = read(body).await?;
    admit(&head, &body, operation, access, gateway)?;
    board.call(operation, &body).await
}

async fn read(body: Incoming) -> Result<Bytes, ErrorAnswer> {
    let refused = |message: &str| ErrorAnswer::json_1_1("ValidationException", message);
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(refused(&format!("The body could not be read, or has more than {BODY_BYTES_MAX} bytes."))),
        Err(_) => Err(refused("The body did not come within 30 seconds.")),
    }
}

fn admit(head: &Parts, body: &[u8], operation: &str, access: &Access, gateway: &Gateway) -> Result<(), ErrorAnswer> {
    let mut headers: Vec<(&str, &str)> =
        head.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    if !head.headers.contains_key(http::header::HOST)
        && let Some(authority) = head.uri.authority()
    {
        headers.push(("host", authority.as_str()));
    }
    let request = Signed {
        method: head.method.as_str(),
        raw_path: head.uri.path(),
        raw_query: head.uri.query().unwrap_or_default(),
        headers: &headers,
        payload: PayloadHash::Bytes(body),
    };
    callers::admit(access, &request, operation, gateway.clock.now())
        .inspect_err(|_| gateway.metrics.refusal(crate::NAME, "not_admitted"))
}

fn response(answered: Result<String, ErrorAnswer>) -> Response<Body> {
    let (status, body) = match answered {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => (StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST), error.body),
    };
    let mut response = Response::new(full_body(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(JSON_1_1));
    if let Ok(id) = HeaderValue::from_str(&request_id()) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}
