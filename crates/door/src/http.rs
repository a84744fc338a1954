//! Plain HTTP, served by hyper on the tasks: HTTP/1.1 and HTTP/2 on the same port.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::contract::TlsPeer;
use crate::gateway::Gateway;

/// Body of a response: whole, or a stream that goes on.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A body that is there as a whole.
pub fn full_body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// What a request comes with beside itself.
#[derive(Clone)]
pub struct HttpContext {
    /// Everything that is shared.
    pub gateway: Arc<Gateway>,
    /// The peer's address.
    pub peer: SocketAddr,
    /// The link is encrypted.
    pub is_secure: bool,
    /// What TLS says about the peer; `None` where the link is not encrypted.
    pub tls: Option<Arc<TlsPeer>>,
}

/// Serves a connection until its client is done or the server drains.
pub(crate) async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, context: HttpContext) {
    let gateway = context.gateway.clone();
    let mut builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let limits = gateway.limits();
    let timeout = std::time::Duration::from_millis(limits.handshake_timeout_ms);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(timeout).max_buf_size(limits.head_bytes.max(8_192));
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(256).max_header_list_size(limits.head_bytes as u32);
    let service = hyper::service::service_fn(move |request| {
        // Boxed: hyper keeps room for it as long as the answer's body lasts, which may be a stream for days.
        let answered = Box::pin(answer(request, context.clone()));
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let draining = drained(gateway.streams.draining());
    tokio::pin!(draining);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = draining => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

/// Is over when the server drains, or is gone.
pub(crate) async fn drained(mut draining: watch::Receiver<bool>) {
    let _ = draining.wait_for(|draining| *draining).await;
}

async fn answer(request: http::Request<Incoming>, context: HttpContext) -> http::Response<Body> {
    let gateway = context.gateway.clone();
    let (head, body) = request.into_parts();
    let origin = head.headers.get(http::header::ORIGIN).and_then(|o| o.to_str().ok()).map(str::to_owned);
    let policy = gateway.policy();
    let host = head.headers.get(http::header::HOST).and_then(|h| h.to_str().ok());
    let host = host.or_else(|| head.uri.authority().map(|a| a.as_str()));
    let takes_any = |head: &http::request::Parts| {
        !policy.is_development
            && gateway.routes.http(head).is_some_and(|(_, mount)| mount.service.takes_any_origin(head))
    };
    if !policy.allows_origin(origin.as_deref(), host) && !takes_any(&head) {
        gateway.metrics.limit("origin");
        return error(
            http::StatusCode::FORBIDDEN,
            "origin",
            "pages from this origin are not let in; see auth.allowed_origins",
        );
    }
    if !policy.allows_host(host) {
        gateway.metrics.limit("host");
        let message = "without keys only requests to a name of this machine are answered, such as localhost";
        return error(http::StatusCode::FORBIDDEN, "host", message);
    }
    if head.headers.contains_key(http::header::UPGRADE) && head.version == http::Version::HTTP_11 {
        return error(http::StatusCode::BAD_REQUEST, "bad_request", "an upgrade needs a connection of its own");
    }
    let is_preflight =
        head.method == http::Method::OPTIONS && head.headers.contains_key(http::header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight {
        preflight(&head)
    } else {
        match gateway.routes.http(&head) {
            Some((_, mount)) => mount.service.clone().call(http::Request::from_parts(head, body), context).await,
            None => error(http::StatusCode::NOT_FOUND, "not_found", "nothing is served under this path"),
        }
    };
    if let Some(origin) = origin.and_then(|origin| http::HeaderValue::from_str(&origin).ok()) {
        let headers = response.headers_mut();
        headers.insert(http::header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(http::header::VARY, http::HeaderValue::from_static("Origin"));
        let exposed = http::HeaderValue::from_static("Retry-After");
        // A door may have names of its own.
        headers.append(http::header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}

/// Answers what a browser asks before a request from another origin (Fetch standard, CORS).
fn preflight(head: &http::request::Parts) -> http::Response<Body> {
    let mut response = http::Response::new(full_body(""));
    *response.status_mut() = http::StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(
        http::header::ACCESS_CONTROL_ALLOW_METHODS,
        http::HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE, HEAD"),
    );
    headers.insert(http::header::ACCESS_CONTROL_MAX_AGE, http::HeaderValue::from_static("600"));
    if let Some(asked) = head.headers.get(http::header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(http::header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    response
}

/// An error as the native protocol writes it.
pub(crate) fn error(status: http::StatusCode, code: &str, message: &str) -> http::Response<Body> {
    let body = serde_json::json!({ "code": code, "message": message, "retry": false }).to_string();
    let mut response = http::Response::new(full_body(body));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

/// A stream whose first bytes were read already.
pub(crate) struct Prefixed<S> {
    prefix: Vec<u8>,
    read: usize,
    stream: S,
}

impl<S> Prefixed<S> {
    pub(crate) fn new(prefix: Vec<u8>, stream: S) -> Self {
        Self { prefix, read: 0, stream }
    }

    /// The first byte is that of a TLS handshake.
    pub(crate) fn starts_with_tls(&self) -> bool {
        self.prefix.first() == Some(&crate::greeting::TLS_HANDSHAKE)
    }

    pub(crate) fn into_parts(self) -> (Vec<u8>, S) {
        (self.prefix, self.stream)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read < self.prefix.len() {
            let count = buffer.remaining().min(self.prefix.len() - self.read);
            buffer.put_slice(&self.prefix[self.read..self.read + count]);
            self.read += count;
            if self.read == self.prefix.len() {
                self.prefix = Vec::new();
                self.read = 0;
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }
}
