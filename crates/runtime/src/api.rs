//! The Runtime API: what a process asks for work and tells its answers. One listener belongs to one process; its port
//! is how the process is known.
//!
//! The paths, names and errors are those of Lambda's own interface, version 2018-06-01.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use fanfare_functions::{ANSWER_BYTES_MAX, FunctionError};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::failure;
use crate::function::Shared;
use crate::logs::{Flusher, Journal};
use crate::pool::{Delivery, OutOfState, ProcessId};

const BASE: &str = "/2018-06-01";
/// Connections of one process at once; its client needs one.
const CONNECTIONS_MAX: usize = 8;
/// What is read and thrown away of a body that is too large, so that the client still reads why.
const EXCESS_BYTES_MAX: usize = 64 << 20;

type Answer = Response<Full<Bytes>>;

/// One process, as its Runtime API sees it.
pub(crate) struct Api {
    pub(crate) function: Arc<Shared>,
    pub(crate) id: ProcessId,
    pub(crate) journal: Arc<Journal>,
    pub(crate) flushers: [Flusher; 2],
}

/// Serves one process until the task is ended.
pub(crate) async fn serve(listener: TcpListener, api: Arc<Api>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        if connections.len() >= CONNECTIONS_MAX {
            continue;
        }
        stream.set_nodelay(true).ok();
        let api = api.clone();
        connections.spawn(async move {
            let answer = service_fn(|request| {
                let api = api.clone();
                async move { Ok::<_, Infallible>(api.answer(request).await) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            http.title_case_headers(true).serve_connection(TokioIo::new(stream), answer).await.ok();
        });
    }
}

/// Tells the pool when a process does not ask any longer, though it was given nothing.
struct Asking<'a> {
    api: &'a Api,
    is_over: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.api.function.with_pool(|pool| pool.left(self.api.id, Instant::now()));
        }
    }
}

impl Api {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let Some(path) = head.uri.path().strip_prefix(BASE) else { return not_found() };
        let parts: Vec<_> = path.trim_start_matches('/').split('/').take(5).collect();
        match (&head.method, &parts[..]) {
            (&Method::GET, ["ping"]) => plain(StatusCode::OK, Bytes::from_static(b"pong")),
            (&Method::GET, ["runtime", "invocation", "next"]) => self.next().await,
            (&Method::POST, ["runtime", "invocation", id, "response"]) => self.response(id, body).await,
            (&Method::POST, ["runtime", "invocation", id, "error"]) => self.error(id, &head.headers, body).await,
            (&Method::POST, ["runtime", "init", "error"]) => self.init_error(&head.headers, body).await,
            _ => not_found(),
        }
    }

    /// Held open until there is work: the clients of Lambda break when they are told anything else.
    async fn next(&self) -> Answer {
        let Ok(delivery) = self.function.with_pool(|pool| pool.next(self.id, Instant::now())) else {
            return out_of_state();
        };
        let mut asking = Asking { api: self, is_over: false };
        let delivery = delivery.await;
        asking.is_over = true;
        match delivery {
            Ok(delivery) => self.deliver(delivery),
            // The process gets no more work, and ends by a signal.
            Err(_) => std::future::pending().await,
        }
    }

    fn deliver(&self, delivery: Delivery) -> Answer {
        self.journal.begin(&delivery.request_id, delivery.tail.as_ref());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let deadline = (now + delivery.timeout).as_millis().to_string();
        let mut response = Response::builder()
            .header(header::CONTENT_TYPE, "application/json")
            .header("Lambda-Runtime-Aws-Request-Id", &*delivery.request_id)
            .header("Lambda-Runtime-Deadline-Ms", deadline)
            .header("Lambda-Runtime-Invoked-Function-Arn", &*self.function.arn)
            .header("Lambda-Runtime-Trace-Id", trace_id(now.as_secs()));
        if let Some(context) = &delivery.client_context {
            response = response.header("Lambda-Runtime-Client-Context", &**context);
        }
        response.body(Full::new(delivery.event)).unwrap_or_else(|_| not_found())
    }

    async fn response(&self, id: &str, body: Incoming) -> Answer {
        let (result, reply) = match read(body, ANSWER_BYTES_MAX).await {
            Read::Whole(body, None) => (Ok(body), accepted()),
            Read::Whole(_, Some(kind)) => {
                let said = failure::payload(&kind, "the handler failed while it wrote its answer");
                (Err(FunctionError::Handler(said)), accepted())
            }
            Read::TooLarge => (Err(FunctionError::TooLarge(ANSWER_BYTES_MAX)), too_large()),
            Read::Broken => return refused(StatusCode::BAD_REQUEST, "InvalidRequest", "the body broke off"),
        };
        self.complete(id, result, reply).await
    }

    async fn error(&self, id: &str, headers: &HeaderMap, body: Incoming) -> Answer {
        let Some(said) = said(headers, body).await else { return too_large() };
        self.complete(id, Err(FunctionError::Handler(said)), accepted()).await
    }

    /// What was written before the answer belongs to its call.
    async fn complete(&self, id: &str, result: Result<Bytes, FunctionError>, reply: Answer) -> Answer {
        self.flush().await;
        match self.function.with_pool(|pool| pool.complete(self.id, id, result, Instant::now())) {
            Ok(()) => {
                self.journal.end();
                reply
            }
            Err(OutOfState) => refused(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
        }
    }

    async fn init_error(&self, headers: &HeaderMap, body: Incoming) -> Answer {
        let Some(said) = said(headers, body).await else { return too_large() };
        self.flush().await;
        let error = FunctionError::Handler(said);
        self.function.with_pool(|pool| pool.start_failed(self.id, &error, Instant::now()));
        accepted()
    }

    async fn flush(&self) {
        let [stdout, stderr] = &self.flushers;
        tokio::join!(stdout.flush(), stderr.flush());
    }
}

/// How reading a body ended.
enum Read {
    /// With the type of the error that a trailer tells, for answers that are written bit by bit.
    Whole(Bytes, Option<String>),
    TooLarge,
    Broken,
}

async fn read(mut body: Incoming, max: usize) -> Read {
    let (mut kept, mut total, mut failed) = (BytesMut::new(), 0_usize, None);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Read::Broken };
        match frame.into_data() {
            Ok(data) => {
                total = total.saturating_add(data.len());
                if total <= max {
                    kept.extend_from_slice(&data);
                } else if total > EXCESS_BYTES_MAX {
                    break;
                }
            }
            Err(frame) => failed = frame.trailers_ref().and_then(error_type),
        }
    }
    if total > max { Read::TooLarge } else { Read::Whole(kept.freeze(), failed) }
}

/// What a process says of a failure. Clients that say nothing at least name its type.
async fn said(headers: &HeaderMap, body: Incoming) -> Option<Bytes> {
    match read(body, ANSWER_BYTES_MAX).await {
        Read::Whole(body, _) if !body.is_empty() => Some(body),
        Read::Whole(..) | Read::Broken => {
            let kind = error_type(headers).unwrap_or_else(|| "Runtime.Unknown".to_owned());
            Some(failure::payload(&kind, "the runtime did not say why"))
        }
        Read::TooLarge => None,
    }
}

fn error_type(headers: &HeaderMap) -> Option<String> {
    headers.get("lambda-runtime-function-error-type")?.to_str().ok().map(str::to_owned)
}

/// A trace of its own for each call, in the form of X-Ray.
fn trace_id(seconds: u64) -> String {
    let (root, parent) = (fastrand::u128(..) >> 32, fastrand::u64(..));
    format!("Root=1-{seconds:08x}-{root:024x};Parent={parent:016x};Sampled=0")
}

fn plain(status: StatusCode, body: Bytes) -> Answer {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn refused(status: StatusCode, kind: &str, message: &str) -> Answer {
    plain(status, failure::payload(kind, message))
}

fn accepted() -> Answer {
    plain(StatusCode::ACCEPTED, Bytes::from_static(b"{\"status\":\"OK\"}\n"))
}

fn too_large() -> Answer {
    let message = format!("Exceeded maximum allowed payload size ({ANSWER_BYTES_MAX} bytes).");
    refused(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
}

fn out_of_state() -> Answer {
    refused(StatusCode::FORBIDDEN, "InvalidStateTransition", "the process has not answered its call yet")
}

fn not_found() -> Answer {
    refused(StatusCode::NOT_FOUND, "NotFound", "the Runtime API has no such path")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_have_the_form_of_x_ray() {
        let trace = trace_id(0x5759_e988);
        let widths: Vec<_> = trace.split([';', '=', '-']).map(str::len).collect();
        assert_eq!(widths, [4, 1, 8, 24, 6, 16, 7, 1], "{trace}");
    }
}
