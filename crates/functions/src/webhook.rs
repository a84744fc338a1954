//! A function that is a web server: the event is posted to it, and its body is the answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ANSWER_BYTES_MAX;
use crate::caller::HttpCaller;
use crate::function::{Answer, Call, CallKind, Function, FunctionError, LaterOptions};

/// Settings of a [`Webhook`].
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// Where the event is posted to; `http` or `https`.
    pub url: Uri,
    /// How long a call may take where the caller has no opinion.
    pub timeout: Duration,
    /// Calls at once.
    pub concurrency: usize,
}

/// A function that is a web server. `POST` with the event as `application/json` and the request
/// id as `x-request-id`; a status of 200 to 299 is success.
pub struct Webhook {
    caller: HttpCaller,
    options: WebhookOptions,
    turns: Turns,
    later: LaterOptions,
}

impl Webhook {
    /// A function behind an address.
    #[must_use]
    pub fn new(caller: HttpCaller, options: WebhookOptions) -> Self {
        Self { caller, turns: Turns::new(options.concurrency), options, later: LaterOptions::default() }
    }

    /// The same, with calls that nobody waits for made again as `later` says.
    #[must_use]
    pub fn with_later(self, later: LaterOptions) -> Self {
        Self { later, ..self }
    }
}

impl Function for Webhook {
    fn invoke(&self, event: Bytes, call: Call) -> Answer {
        let (caller, turns, url) = (self.caller.clone(), self.turns.clone(), self.options.url.clone());
        Box::pin(async move {
            let deadline = tokio::time::Instant::now() + call.timeout;
            let _turn = turns.take(&call).await?;
            let request = Request::post(url)
                .header(header::CONTENT_TYPE, "application/json")
                .header("x-request-id", &*call.request_id)
                .body(event)
                .map_err(|error| FunctionError::Refused(error.to_string()))?;
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let response = caller.send(request, left, ANSWER_BYTES_MAX).await?;
            match response.status().is_success() {
                true => Ok(response.into_body()),
                false => Err(FunctionError::Status(response.status().as_u16())),
            }
        })
    }

    fn timeout(&self) -> Duration {
        self.options.timeout
    }

    fn later(&self) -> LaterOptions {
        self.later.clone()
    }
}

/// Bounds how many calls of a function run at once.
#[derive(Clone)]
pub(crate) struct Turns {
    free: Arc<Semaphore>,
    limit: usize,
}

impl Turns {
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(limit)), limit }
    }

    /// Whoever is waited for is told at once that there is no turn.
    pub(crate) async fn take(&self, call: &Call) -> Result<OwnedSemaphorePermit, FunctionError> {
        let busy = || FunctionError::Busy { limit: self.limit };
        match call.kind {
            CallKind::RequestResponse => self.free.clone().try_acquire_owned().map_err(|_| busy()),
            CallKind::InTurn | CallKind::Event => {
                let turn = tokio::time::timeout(call.timeout, self.free.clone().acquire_owned()).await;
                turn.ok().and_then(Result::ok).ok_or_else(busy)
            }
        }
    }
}
