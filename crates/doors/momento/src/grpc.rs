//! One message in, one out, in the dialect of the client.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_door::{Body, HttpContext, full_body};
use fanfare_momento::Problem;
use fanfare_momento::credential::presented;
use fanfare_momento::grpc::web::{Dialect, TextDecoder};
use fanfare_momento::grpc::{Code, Decoder, FrameError, Status, parse_timeout};
use fanfare_momento::limits::request_bytes_max;
use fanfare_momento::method::Method;
use futures_util::stream;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};

use crate::shared::Shared;
use crate::{NAME, subscribing, unary};

/// A request must be there within this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a call ends badly.
pub(crate) struct Failure {
    /// As the client hears it.
    pub(crate) status: Status,
    /// Its name in metrics.
    pub(crate) name: &'static str,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { status: problem.status(), name: problem.name() }
    }
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Self {
        let name = if matches!(error, FrameError::TooLarge { .. }) { "message_too_large" } else { "frame" };
        Self { status: error.status(), name }
    }
}

/// Answers a call, whatever it is.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    head: Parts,
    body: Incoming,
    context: HttpContext,
    dialect: Dialect,
) -> Response<Body> {
    let gateway = context.gateway.clone();
    let answered = match Method::of_path(head.uri.path()) {
        Some(Method::Subscribe) => subscribing::answer(&shared, &head, body, &context, dialect).await,
        Some(Method::Unserved) | None => Err(Problem::Unserved(head.uri.path().to_owned()).into()),
        Some(method) => {
            let called = unary::call(&shared, method, &head, body, dialect);
            let frame = match timeout(&head) {
                Some(longest) => {
                    tokio::time::timeout(longest, called).await.unwrap_or_else(|_| Err(Problem::TimedOut.into()))
                }
                None => called.await,
            };
            frame.map(|frame| whole(dialect, frame))
        }
    };
    answered.unwrap_or_else(|failure| {
        gateway.metrics.refusal(NAME, failure.name);
        refusal(dialect, &failure.status)
    })
}

fn timeout(head: &Parts) -> Option<Duration> {
    parse_timeout(head.headers.get("grpc-timeout")?.to_str().ok()?)
}

/// The key in the metadata.
pub(crate) fn key(head: &Parts) -> Option<std::borrow::Cow<'_, str>> {
    presented(head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()))
}

/// Reads the one message of a request.
pub(crate) async fn read(shared: &Shared, body: Incoming, dialect: Dialect) -> Result<Bytes, Failure> {
    let limit = request_bytes_max(shared.options.limits.message_bytes);
    let read = read_only(body, Decoder::new(limit), dialect);
    tokio::time::timeout(REQUEST_TIMEOUT, read).await.unwrap_or_else(|_| Err(Problem::TimedOut.into()))
}

async fn read_only(mut body: Incoming, mut decoder: Decoder, dialect: Dialect) -> Result<Bytes, Failure> {
    let mut text = (dialect == Dialect::WebText).then(TextDecoder::new);
    let (mut plain, mut first, mut count) = (Vec::new(), None, 0);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(Problem::InvalidArgument("the request ended early".into()).into()) };
        let Ok(piece) = frame.into_data() else { continue };
        match &mut text {
            Some(text) => {
                plain.clear();
                text.push(&piece, &mut plain)?;
                decoder.push(&plain);
            }
            None => decoder.push(&piece),
        }
        while let Some(message) = decoder.next_message()? {
            count += 1;
            if count > 1 {
                return Err(FrameError::Count(count).into());
            }
            first = Some(message);
        }
    }
    if let Some(text) = &text {
        text.finish()?;
    }
    decoder.finish()?;
    first.ok_or_else(|| FrameError::Count(0).into())
}

/// A message of a request as what it is to be.
///
/// # Errors
/// It is something else.
pub(crate) fn parse<M: prost::Message + Default>(message: Bytes) -> Result<M, Problem> {
    M::decode(message).map_err(|error| Problem::InvalidArgument(format!("the request cannot be read: {error}")))
}

/// A good answer of one message, in its frame.
fn whole(dialect: Dialect, frame: Bytes) -> Response<Body> {
    let ok = Status::ok();
    let body = match dialect.end(&ok) {
        Some(end) => full_body([dialect.dress(frame), end].concat()),
        None => {
            let frames = [Frame::data(frame), Frame::trailers(trailers(&ok))].map(Ok::<_, Infallible>);
            StreamBody::new(stream::iter(frames)).boxed_unsync()
        }
    };
    respond(dialect, body)
}

/// An answer without a message. Where there are trailers they stand among the headers, as gRPC has
/// it for calls that end at once.
pub(crate) fn refusal(dialect: Dialect, status: &Status) -> Response<Body> {
    match dialect.end(status) {
        Some(end) => respond(dialect, full_body(end)),
        None => {
            let mut response = respond(dialect, full_body(Bytes::new()));
            response.headers_mut().extend(trailers(status));
            response
        }
    }
}

/// The head of an answer that has this body.
pub(crate) fn respond(dialect: Dialect, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(dialect.content_type()));
    if dialect != Dialect::Grpc {
        headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        for (name, value) in fanfare_momento::cors::answer("*") {
            if name == "access-control-expose-headers"
                && let Ok(value) = HeaderValue::from_str(&value)
            {
                headers.insert(name, value);
            }
        }
    }
    response
}

/// A status as trailers.
pub(crate) fn trailers(status: &Status) -> HeaderMap {
    let pairs = status.trailers();
    let lines = pairs.iter().filter_map(|(name, value)| {
        Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?)) //
    });
    lines.collect()
}

/// The end of a stream in its dialect.
pub(crate) fn last_frame(dialect: Dialect, status: &Status) -> Frame<Bytes> {
    match dialect.end(status) {
        Some(end) => Frame::data(end),
        None => Frame::trailers(trailers(status)),
    }
}

/// Whether a stream has come to a good end, for metrics.
pub(crate) fn is_good(status: &Status) -> bool {
    status.code == Code::Ok
}
