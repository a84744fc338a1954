//! One call: its headers, its outcome.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use fanfare_door::{Body, full_body};
use fanfare_functions::{Call, Function, FunctionError, Functions, LogTail};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::de::IgnoredAny;
use serde_json::json;

use crate::problem::{Kind, Problem};

/// The largest event of a call that is waited for, in bytes, as Lambda has it.
pub const REQUEST_BYTES_MAX: usize = 6 << 20;
/// The largest event of a call that nobody waits for, in bytes, as Lambda has it.
pub const EVENT_BYTES_MAX: usize = 1 << 20;
/// The longest client context, in bytes of base64, as Lambda has it.
const CONTEXT_BYTES_MAX: usize = 3_583;
/// There is one version of each function.
const VERSION: HeaderValue = HeaderValue::from_static("$LATEST");

/// How a function is to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    kind: InvocationKind,
    wants_tail: bool,
    client_context: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InvocationKind {
    RequestResponse,
    Event,
    DryRun,
}

impl Invocation {
    /// Reads the headers of a request.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let kind = match text(headers, "x-amz-invocation-type")? {
            None | Some("" | "RequestResponse") => InvocationKind::RequestResponse,
            Some("Event") => InvocationKind::Event,
            Some("DryRun") => InvocationKind::DryRun,
            Some(_) => return Err(wrong("X-Amz-Invocation-Type is RequestResponse, Event or DryRun")),
        };
        let wants_tail = match text(headers, "x-amz-log-type")? {
            None | Some("" | "None") => false,
            Some("Tail") => true,
            Some(_) => return Err(wrong("X-Amz-Log-Type is None or Tail")),
        };
        let client_context = text(headers, "x-amz-client-context")?.map(client_context).transpose()?;
        Ok(Self { kind, wants_tail, client_context })
    }

    /// How large the event may be, in bytes.
    pub(crate) fn bytes_max(&self) -> usize {
        match self.kind {
            InvocationKind::Event => EVENT_BYTES_MAX,
            _ => REQUEST_BYTES_MAX,
        }
    }

    /// Calls `function`, or has it called later by its `name`.
    pub(crate) async fn carry_out(
        self,
        functions: &Functions,
        (name, function): (&str, Arc<dyn Function>),
        event: Bytes,
        request_id: &Arc<str>,
    ) -> Result<Response<Body>, Problem> {
        let event = checked(event)?;
        let (timeout, request_id) = (function.timeout(), request_id.clone());
        match self.kind {
            InvocationKind::DryRun => Ok(empty(StatusCode::NO_CONTENT)),
            InvocationKind::Event => {
                let call = Call { request_id, client_context: self.client_context, ..Call::event(timeout) };
                functions.send_call(name, event, &call).await?;
                Ok(empty(StatusCode::ACCEPTED))
            }
            InvocationKind::RequestResponse => {
                let tail = self.wants_tail.then(LogTail::default);
                let (client_context, kept) = (self.client_context, tail.clone());
                let call = Call { request_id: request_id.clone(), client_context, tail, ..Call::waiting(timeout) };
                let outcome = function.invoke(event, call).await;
                answer(outcome, kept.as_ref(), &request_id)
            }
        }
    }
}

fn wrong(message: &str) -> Problem {
    Problem::new(Kind::InvalidParameter, message)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Problem> {
    let text = headers.get(name).map(|value| value.to_str()).transpose();
    text.map_err(|_| wrong(&format!("the header {name} is no text")))
}

fn client_context(base64: &str) -> Result<Arc<str>, Problem> {
    let refused = |message: &str| Problem::new(Kind::InvalidContent, message);
    if base64.len() > CONTEXT_BYTES_MAX {
        return Err(refused("The client context has more than 3583 bytes of base64"));
    }
    let is_json = BASE64.decode(base64).is_ok_and(|json| is_json(&json));
    if is_json { Ok(base64.into()) } else { Err(refused("The client context is no JSON in base64")) }
}

fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// The event, if it is one: JSON. Nothing stands for an empty object.
fn checked(event: Bytes) -> Result<Bytes, Problem> {
    if event.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    let refused = || Problem::new(Kind::InvalidContent, "Could not parse request body into json");
    if is_json(&event) { Ok(event) } else { Err(refused()) }
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full_body(""));
    *response.status_mut() = status;
    response
}

/// What a caller hears that waited. A handler's failure is an answer too.
fn answer(
    outcome: Result<Bytes, FunctionError>,
    tail: Option<&LogTail>,
    request_id: &str,
) -> Result<Response<Body>, Problem> {
    let (body, has_failed) = match outcome {
        Ok(body) => (body, false),
        Err(error) => (failure(error, request_id)?, true),
    };
    let mut response = Response::new(full_body(body));
    let headers = response.headers_mut();
    headers.insert("x-amz-executed-version", VERSION);
    if has_failed {
        headers.insert("x-amz-function-error", HeaderValue::from_static("Unhandled"));
    }
    if let Some(tail) = tail.map(|tail| BASE64.encode(&*tail.lock())) {
        headers.extend(HeaderValue::from_str(&tail).ok().map(|tail| (LOG_RESULT, tail)));
    }
    Ok(response)
}

const LOG_RESULT: http::HeaderName = http::HeaderName::from_static("x-amz-log-result");

/// What Lambda says of a function that failed. All else is a problem of the call.
fn failure(error: FunctionError, request_id: &str) -> Result<Bytes, Problem> {
    let seconds = |time: Duration| time.as_secs_f64();
    let (kind, message) = match error {
        FunctionError::Handler(payload) => return Ok(payload),
        FunctionError::Timeout(after) => {
            let message = format!("RequestId: {request_id} Error: Task timed out after {:.2} seconds", seconds(after));
            ("Sandbox.Timedout", message)
        }
        FunctionError::TooLarge(limit) => {
            let message = format!("Response payload size exceeded maximum allowed payload size ({limit} bytes).");
            ("Function.ResponseSizeTooLarge", message)
        }
        // A web server's: user code, which ran.
        FunctionError::Status(status) if status != 429 => ("Function.Status", error.to_string()),
        error => return Err(error.into()),
    };
    Ok(json!({ "errorType": kind, "errorMessage": message }).to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<Invocation, Problem> {
        let pairs = pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
        Invocation::read(&pairs.collect())
    }

    #[test]
    fn headers_have_defaults_and_no_other_words() {
        let plain = read(&[]).unwrap();
        assert_eq!(
            (plain.kind, plain.wants_tail, plain.bytes_max()),
            (InvocationKind::RequestResponse, false, 6 << 20)
        );
        let event = read(&[("x-amz-invocation-type", "Event"), ("x-amz-log-type", "Tail")]).unwrap();
        assert_eq!((event.kind, event.wants_tail, event.bytes_max()), (InvocationKind::Event, true, 1 << 20));
        for pair in [("x-amz-invocation-type", "event"), ("x-amz-log-type", "All")] {
            assert_eq!(read(&[pair]).unwrap_err().kind, Kind::InvalidParameter);
        }
    }

    #[test]
    fn a_client_context_is_json_in_base64_and_not_too_long() {
        let longest = BASE64.encode(format!("\"{}\"", "x".repeat(2_683)));
        assert_eq!(longest.len(), 3_580);
        for right in ["e30=", &longest] {
            let read = read(&[("x-amz-client-context", right)]).unwrap();
            assert_eq!(read.client_context.as_deref(), Some(right));
        }
        let too_long = BASE64.encode(format!("\"{}\"", "x".repeat(2_686)));
        for wrong in ["e30", "{}", "bm8=", "", &too_long] {
            assert_eq!(read(&[("x-amz-client-context", wrong)]).unwrap_err().kind, Kind::InvalidContent, "{wrong}");
        }
    }

    #[test]
    fn events_are_json() {
        for right in ["{}", "null", " [1, \"\u{e4}\"] ", "7"] {
            assert_eq!(checked(right.to_owned().into()).unwrap(), right);
        }
        assert_eq!(checked(Bytes::new()).unwrap(), "{}");
        for wrong in [&b"{"[..], b"text", b"{} {}", b"\"\xff\""] {
            assert_eq!(checked(wrong.into()).unwrap_err().kind, Kind::InvalidContent);
        }
        let deep = "[".repeat(1 << 20);
        assert!(checked(deep.into()).is_err(), "however deep");
    }
}
