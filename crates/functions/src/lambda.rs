//! A function behind the Invoke interface of Lambda: AWS itself, or a server that speaks as it does.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use fanfare_aws::credentials::Credential;
use fanfare_aws::sigv4::{self, PayloadHash, Signing, sign_headers};
use http::{Request, Uri, header};
use serde_json::{Value, json};

use crate::ANSWER_BYTES_MAX;
use crate::caller::HttpCaller;
use crate::function::{Answer, Call, CallKind, Function, FunctionError, LOG_TAIL_BYTES_MAX, LaterOptions, LogTail};
use crate::webhook::Turns;

/// Settings of a [`RemoteLambda`].
#[derive(Clone, Debug)]
pub struct RemoteLambdaOptions {
    /// Scheme, host and port, such as `https://lambda.eu-central-1.amazonaws.com`.
    pub endpoint: Uri,
    /// Its name there: letters, digits, `-` and `_`, perhaps with `:` and a version or alias.
    pub name: String,
    /// The region that signatures are for.
    pub region: String,
    /// Signs the calls; without it they are not signed.
    pub credential: Option<Credential>,
    /// How long a call may take where the caller has no opinion.
    pub timeout: Duration,
    /// Calls at once.
    pub concurrency: usize,
    /// It is AWS's Runtime Interface Emulator, in a container with a function. That says of failures only in the body
    /// that they are some, and takes one call at a time.
    pub is_emulator: bool,
}

/// A function behind the Invoke interface of Lambda.
pub struct RemoteLambda {
    caller: HttpCaller,
    options: RemoteLambdaOptions,
    turns: Turns,
    later: LaterOptions,
}

impl RemoteLambda {
    /// A function of another server.
    #[must_use]
    pub fn new(caller: HttpCaller, options: RemoteLambdaOptions) -> Self {
        Self { caller, turns: Turns::new(options.concurrency), options, later: LaterOptions::default() }
    }

    /// The same, with calls that nobody waits for made again as `later` says, until the other server
    /// has taken them.
    #[must_use]
    pub fn with_later(self, later: LaterOptions) -> Self {
        Self { later, ..self }
    }

    fn request(&self, event: Bytes, call: &Call) -> Result<Request<Bytes>, FunctionError> {
        let wrong = |reason: String| FunctionError::Refused(reason);
        let options = &self.options;
        let (name, qualifier) = options.name.split_once(':').unwrap_or((&options.name, ""));
        let path = format!("/2015-03-31/functions/{name}/invocations");
        let query = if qualifier.is_empty() { String::new() } else { format!("Qualifier={qualifier}") };
        let invocation = match call.kind {
            CallKind::RequestResponse | CallKind::InTurn => "RequestResponse",
            CallKind::Event => "Event",
        };
        let authority = options.endpoint.authority().ok_or_else(|| wrong("the endpoint has no host".to_owned()))?;
        let plain =
            [("host", authority.as_str()), ("content-type", "application/json"), ("x-amz-invocation-type", invocation)];
        let context = call.client_context.as_deref().map(|context| ("x-amz-client-context", context));
        let tail = call.tail.as_ref().map(|_| ("x-amz-log-type", "Tail"));
        let headers: Vec<_> = plain.into_iter().chain(context).chain(tail).collect();
        let signed = match &options.credential {
            None => Vec::new(),
            Some(credential) => {
                let payload = PayloadHash::Bytes(&event);
                let request =
                    sigv4::Request { method: "POST", raw_path: &path, raw_query: &query, headers: &headers, payload };
                let signing = Signing::new(credential, &options.region, "lambda", now_ms());
                sign_headers(&request, &signing).map_err(|error| wrong(error.to_string()))?
            }
        };
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        let scheme = options.endpoint.scheme_str().unwrap_or("https");
        let mut request = Request::post(format!("{scheme}://{authority}{target}"));
        for (name, value) in headers.iter().skip(1).copied().chain(signed.iter().map(|(n, v)| (*n, v.as_str()))) {
            request = request.header(name, value);
        }
        request.header(header::HOST, authority.as_str()).body(event).map_err(|error| wrong(error.to_string()))
    }
}

impl Function for RemoteLambda {
    fn invoke(&self, event: Bytes, call: Call) -> Answer {
        let (caller, turns, is_emulator) = (self.caller.clone(), self.turns.clone(), self.options.is_emulator);
        // Signatures last for minutes, so signing before the turn comes does no harm.
        let request = self.request(event, &call);
        Box::pin(async move {
            let deadline = tokio::time::Instant::now() + call.timeout;
            let _turn = turns.take(&call).await?;
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let response = caller.send(request?, left, ANSWER_BYTES_MAX).await?;
            if !response.status().is_success() {
                return Err(FunctionError::Status(response.status().as_u16()));
            }
            let is_failure = response.headers().contains_key("x-amz-function-error");
            if let (Some(tail), Some(told)) = (&call.tail, response.headers().get("x-amz-log-result")) {
                fill(tail, told.as_bytes());
            }
            let body = response.into_body();
            if is_emulator {
                return emulated(body);
            }
            if is_failure { Err(FunctionError::Handler(body)) } else { Ok(body) }
        })
    }

    fn timeout(&self) -> Duration {
        self.options.timeout
    }

    fn later(&self) -> LaterOptions {
        self.later.clone()
    }
}

/// What the emulator's body means: errors look like answers, and a timeout is bare text.
fn emulated(body: Bytes) -> Result<Bytes, FunctionError> {
    match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Object(object)) => {
            let has = |name: &str| object.contains_key(name);
            let is_failure = has("errorMessage") && has("errorType") && !has("statusCode");
            if is_failure { Err(FunctionError::Handler(body)) } else { Ok(body) }
        }
        Err(_) if body.starts_with(b"Task timed out") => {
            let said = String::from_utf8_lossy(&body);
            let payload = json!({ "errorType": "Sandbox.Timedout", "errorMessage": said.trim() });
            Err(FunctionError::Handler(payload.to_string().into()))
        }
        _ => Ok(body),
    }
}

/// Takes over what the other server tells of the function's log.
fn fill(tail: &LogTail, told: &[u8]) {
    let Ok(log) = BASE64.decode(told) else { return };
    *tail.lock() = log[log.len().saturating_sub(LOG_TAIL_BYTES_MAX)..].to_vec();
}

fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emulator_says_of_failures_only_in_the_body() {
        for fine in
            [r#"{"statusCode":200,"errorMessage":"m","errorType":"E"}"#, r#"{"errorMessage":"m"}"#, "null", "text"]
        {
            assert_eq!(emulated(fine.into()).unwrap(), fine);
        }
        for failed in [r#"{"errorMessage":"m","errorType":"E"}"#, "Task timed out after 3.00 seconds"] {
            assert!(matches!(emulated(failed.into()), Err(FunctionError::Handler(_))), "{failed}");
        }
    }
}
