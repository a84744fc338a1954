//! `GET|POST /v1/sse`: messages as they are published, for as long as the client listens.
//!
//! The body pulls: nothing is read for a client that does not take what it was sent, and the
//! reader behind it holds a bounded number of messages and goes on from history after that.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use ::http::{HeaderValue, Method, Response};
use bytes::Bytes;
use fanfare_core::{Millis, Refusal};
use fanfare_door::{Body, Gateway, Listening, StreamItem, full_body};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::asked::Asked;
use super::call::Call;
use super::events::Format;
use crate::NAME;
use crate::errors::Problem;

/// How often a silent stream says that it lives, unless `limits.ping_interval` is shorter. Each
/// wait is up to a fifth longer or shorter, so that streams that began together drift apart.
const HEARTBEAT_MS: u64 = 15_000;
/// Messages that wait are put into one chunk up to about this size.
const CHUNK_BYTES: usize = 64 << 10;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Answers with a stream. To an `EventSource` any status but 200 is the end, so what may pass is
/// said with a 200 that ends at once.
pub(super) async fn open(mut call: Call) -> Result<Response<Body>, Problem> {
    let format = Format::asked(call.header(ACCEPT));
    match begin(&mut call, format).await {
        Ok(stream) => Ok(respond(format, stream.into_body())),
        Err(problem) if format == Format::Events && may_pass(&problem) => {
            call.gateway.metrics.refusal(NAME, problem.code);
            Ok(respond(format, full_body(refusal(&problem))))
        }
        Err(problem) => Err(problem),
    }
}

async fn begin(call: &mut Call, format: Format) -> Result<Stream, Problem> {
    let mut asked = if call.head.method == Method::POST {
        let body = call.read_body().await?;
        Asked::from_body(call, &body)?
    } else {
        Asked::from_query(call)?
    };
    asked.resume_from(call.header(LAST_EVENT_ID));
    if call.gateway.is_draining() {
        return Err(Refusal::ShuttingDown.into());
    }
    let principal = call.authenticate().await?;
    let listening = call.gateway.listen(&principal, &asked.space, asked.filters, asked.since)?;
    call.count_operation(&asked.space);
    let mut stream = Stream::new(&call.gateway, asked.space, format, listening);
    stream.begin(asked.is_lost);
    Ok(stream)
}

fn may_pass(problem: &Problem) -> bool {
    problem.retry || problem.code == "token_expired"
}

/// The whole of a stream that is not begun.
fn refusal(problem: &Problem) -> Vec<u8> {
    let mut out = Vec::new();
    Format::Events.retry(&mut out, eventsource_retry_ms());
    if problem.status == 401 {
        Format::Events.event(&mut out, "error", None, problem.fields());
    } else {
        // Nothing that the page can do about it; `curl` shows it.
        out.extend_from_slice(format!(": {}\n\n", problem.code).as_bytes());
    }
    out
}

fn respond(format: Format, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// `EventSource` comes back after exactly this time, so it differs for each.
fn eventsource_retry_ms() -> u64 {
    fastrand::u64(2_000..=4_000)
}

/// A stream that is being written.
struct Stream {
    gateway: Arc<Gateway>,
    space: Arc<str>,
    format: Format,
    listening: Listening,
    out: Vec<u8>,
    heartbeat_ms: u64,
    next_heartbeat: Instant,
    is_over: bool,
    /// Payload sizes of the messages in `out`, for the meter.
    delivered: Vec<usize>,
    opened_at: Millis,
}

impl Stream {
    fn new(gateway: &Arc<Gateway>, space: Arc<str>, format: Format, listening: Listening) -> Self {
        let opened_at = gateway.clock.now();
        gateway.meter.row(&space, NAME, |row| row.opened());
        Self {
            gateway: gateway.clone(),
            space,
            format,
            listening,
            out: Vec::new(),
            heartbeat_ms: gateway.limits().ping_interval_ms.clamp(1, HEARTBEAT_MS),
            next_heartbeat: Instant::now(),
            is_over: false,
            delivered: Vec::new(),
            opened_at,
        }
    }

    /// Writes what comes first, so that a proxy that holds back answers is found out at once.
    fn begin(&mut self, is_lost: bool) {
        let position = self.listening.position;
        let mut ready = json!({
            "connection": format!("{}.h{:x}", self.gateway.node, fastrand::u64(..)),
            "position": position.to_string(),
            "ping_ms": self.heartbeat_ms,
        });
        if let Some(recovered) = self.listening.recovered.or(is_lost.then_some(false)) {
            ready["recovered"] = recovered.into();
        }
        self.format.retry(&mut self.out, eventsource_retry_ms());
        self.format.event(&mut self.out, "ready", Some(position), ready);
    }

    fn into_body(self) -> Body {
        let chunks = futures_util::stream::unfold(self, |mut stream| async move {
            let chunk = stream.next_chunk().await?;
            Some((Ok::<_, Infallible>(Frame::data(chunk)), stream))
        });
        StreamBody::new(chunks).boxed_unsync()
    }

    /// What is there already, or the next thing that happens and what came with it.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        if self.out.is_empty() {
            match self.listening.next_before(self.next_heartbeat).await {
                Some(item) => self.write(&item),
                None => {
                    let cursor = self.listening.advance().then(|| self.listening.seen());
                    self.format.heartbeat(&mut self.out, cursor);
                }
            }
        }
        while self.out.len() < CHUNK_BYTES && !self.is_over {
            match self.listening.next_now() {
                Some(item) => self.write(&item),
                None => break,
            }
        }
        if !self.delivered.is_empty() {
            let sizes = std::mem::take(&mut self.delivered);
            self.gateway.meter.row(&self.space, NAME, |row| sizes.iter().for_each(|bytes| row.delivered(*bytes, 1)));
        }
        let spread = self.heartbeat_ms / 5;
        let wait_ms = fastrand::u64(self.heartbeat_ms - spread..=self.heartbeat_ms + spread);
        self.next_heartbeat = Instant::now() + Duration::from_millis(wait_ms);
        Some(std::mem::take(&mut self.out).into())
    }

    fn write(&mut self, item: &StreamItem) {
        match item {
            StreamItem::Message(message) => {
                self.delivered.push(message.payload.len());
                self.format.message(&mut self.out, message, false, message.position());
            }
            StreamItem::Retained(message) => {
                self.delivered.push(message.payload.len());
                self.format.message(&mut self.out, message, true, self.listening.seen());
            }
            StreamItem::Gap(position) => {
                let fields = json!({ "position": position.to_string() });
                self.format.event(&mut self.out, "gap", Some(*position), fields);
            }
            StreamItem::End(code) => {
                self.is_over = true;
                self.say_goodbye(code);
            }
        }
    }

    fn say_goodbye(&mut self, code: &'static str) {
        let spread_ms = self.gateway.limits().reconnect_spread_ms;
        let (name, message, retry_ms) = match code {
            "token_expired" => ("error", "the token expired; come back with a new one", None),
            "revoked" => ("bye", "the token was revoked", None),
            "shutting_down" => ("bye", "the server is shutting down", Some(fastrand::u64(0..=spread_ms))),
            _ => ("bye", "history cannot be read; come back later", Some(2_000 + fastrand::u64(0..=spread_ms))),
        };
        let mut fields: Value = json!({ "code": code, "message": message, "retry": retry_ms.is_some() });
        if let Some(retry_ms) = retry_ms {
            self.format.retry(&mut self.out, retry_ms);
            fields["retry_ms"] = retry_ms.into();
        }
        self.format.event(&mut self.out, name, None, fields);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let ms = self.gateway.clock.now().saturating_sub(self.opened_at);
        self.gateway.meter.row(&self.space, NAME, |row| row.closed(ms));
    }
}
