//! A request: what it wants, who asks, how the answer looks.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use fanfare_aws::errors::REST_JSON;
use fanfare_door::{Body, HttpContext, HttpResponse, HttpService, full_body};
use fanfare_functions::{Functions, request_id};
use fanfare_iam::Access;
use http::request::Parts;
use http::{HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::NAME;
use crate::callers::admit;
use crate::catalogue::{self, not_found};
use crate::invocation::Invocation;
use crate::problem::{Kind, Problem};
use crate::target::Operation;

/// A body must be there within this.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// How much of a body that is too large is read on and thrown away, in bytes, so that its sender
/// comes to read the answer.
const DISCARDED_BYTES_MAX: usize = 32 << 20;

/// Answers the requests of SDKs.
pub(crate) struct LambdaService {
    functions: Functions,
    access: Arc<ArcSwap<Access>>,
}

impl LambdaService {
    pub(crate) fn new(functions: Functions, access: Arc<ArcSwap<Access>>) -> Self {
        Self { functions, access }
    }
}

impl HttpService for LambdaService {
    fn call(&self, request: Request<Incoming>, context: HttpContext) -> HttpResponse {
        let (functions, access) = (self.functions.clone(), self.access.load_full());
        Box::pin(async move {
            let request_id = request_id();
            let gateway = &context.gateway;
            gateway.meter.row(gateway.default_space(), NAME, |row| row.operations += 1);
            let answered = serve(&functions, &access, request, &context, &request_id).await;
            let response = answered.unwrap_or_else(|problem| {
                tracing::debug!(request_id = &*request_id, error = problem.exception(), %problem, "a request was refused");
                gateway.metrics.refusal(NAME, problem.exception());
                problem.response()
            });
            signed_off(response, &request_id)
        })
    }
}

async fn serve(
    functions: &Functions,
    access: &Access,
    request: Request<Incoming>,
    context: &HttpContext,
    request_id: &Arc<str>,
) -> Result<Response<Body>, Problem> {
    let (head, body) = request.into_parts();
    let operation = Operation::read(&head.method, head.uri.path(), head.uri.query().unwrap_or_default())?;
    if let Operation::Invoke(target) = &operation {
        let invocation = Invocation::read(&head.headers)?;
        let event = read(body, invocation.bytes_max()).await?;
        check(access, context, &head, &event, &operation)?;
        let function = functions.get(&target.name).ok_or_else(|| not_found(access, target))?;
        return invocation.carry_out(functions, (&target.name, function), event, request_id).await;
    }
    // These have no body.
    check(access, context, &head, b"", &operation)?;
    let told = match &operation {
        Operation::GetFunction(target) => {
            let configuration = catalogue::configuration_of(functions, access, target)?;
            serde_json::json!({ "Configuration": configuration, "Tags": {} })
        }
        Operation::GetFunctionConfiguration(target) => catalogue::configuration_of(functions, access, target)?,
        _ => catalogue::list(functions, access),
    };
    Ok(Response::new(full_body(told.to_string())))
}

fn check(
    access: &Access,
    context: &HttpContext,
    head: &Parts,
    body: &[u8],
    operation: &Operation,
) -> Result<(), Problem> {
    admit(access, &context.gateway, head, body, operation)
}

/// The whole body, if it has at most so many bytes.
async fn read(body: Incoming, bytes_max: usize) -> Result<Bytes, Problem> {
    let refused = |message: &str| Problem::new(Kind::InvalidContent, message);
    match tokio::time::timeout(BODY_TIMEOUT, collect(body, bytes_max)).await {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => {
            let message = format!("Request must be smaller than {bytes_max} bytes for the InvokeFunction operation");
            Err(Problem::new(Kind::TooLarge, message))
        }
        Ok(Err(error)) => Err(refused(&format!("The body cannot be read: {error}"))),
        Err(_) => Err(refused("The body did not come within 60 seconds")),
    }
}

/// `None` when there are more bytes.
async fn collect(mut body: Incoming, bytes_max: usize) -> Result<Option<Bytes>, hyper::Error> {
    let (mut kept, mut seen) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        seen += data.len();
        if seen > bytes_max + DISCARDED_BYTES_MAX {
            break;
        }
        if seen > bytes_max {
            kept = BytesMut::new();
        } else {
            kept.extend_from_slice(&data);
        }
    }
    Ok((seen <= bytes_max).then(|| kept.freeze()))
}

/// What every answer says.
fn signed_off(mut response: Response<Body>, request_id: &str) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(REST_JSON));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}
