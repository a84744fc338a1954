//! `$disconnect`: told once for every connection that was let in, also after a crash of the server.
//!
//! While a connection is open, a record on disk says so. It is removed when `$disconnect` has been
//! called; what a restart finds was cut off by a crash, and is told then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fanfare_apigateway::facts::Facts;
use fanfare_apigateway::frame::{Ending, disconnect_of};
use fanfare_apigateway::id::Id;
use fanfare_core::{Log, LogError, RecordTable};
use fanfare_functions::FunctionError;
use tokio::sync::{Notify, Semaphore};

use crate::apis::{ServedApi, Shared};
use crate::calling::{CallError, Request, What};

/// `$disconnect` calls at once. More wait, so that a crowd that leaves does not push aside messages.
const CALLS_MAX: usize = 64;
/// Ends that wait to be told. With so many, nobody new is let in until some have been: a crowd that comes and goes faster
/// than its function answers must not fill the memory.
const OPEN_MAX: usize = 1_000_000;
/// A function without a free place is asked again after this, and how often.
const BUSY_PAUSE: Duration = Duration::from_millis(250);
const BUSY_TRIES: usize = 40;
/// What a connection's end is where nobody said one.
const CRASHED: (u16, &str) = disconnect_of(Ending::Lost);
const DISCONNECT: &str = "$disconnect";

/// Calls of `$disconnect` that are under way.
pub(crate) struct Closings {
    turns: Semaphore,
    open: AtomicUsize,
    over: Notify,
}

impl Default for Closings {
    fn default() -> Self {
        Self { turns: Semaphore::new(CALLS_MAX), open: AtomicUsize::new(0), over: Notify::new() }
    }
}

/// One call of `$disconnect`, from the end of its connection on.
struct Closing(Arc<Shared>);

impl Closing {
    fn new(shared: Arc<Shared>) -> Self {
        shared.closings.open.fetch_add(1, Ordering::AcqRel);
        Self(shared)
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.closings.open.fetch_sub(1, Ordering::AcqRel);
        self.0.closings.over.notify_waiters();
    }
}

impl Closings {
    /// Whether one more connection may begin, whose end will have to be told.
    pub(crate) fn has_room(&self) -> bool {
        self.open.load(Ordering::Acquire) < OPEN_MAX
    }

    /// Returns once none is under way.
    pub(crate) async fn finish(&self) {
        loop {
            let over = self.over.notified();
            if self.open.load(Ordering::Acquire) == 0 {
                return;
            }
            over.await;
        }
    }
}

/// Whether the end of this API's connections must be told after a crash.
fn is_remembered(api: &ServedApi) -> bool {
    api.options().persist_disconnects && has_disconnect(api)
}

fn has_disconnect(api: &ServedApi) -> bool {
    api.compiled.route(DISCONNECT).is_some_and(|route| route.route().integration.is_some())
}

impl Shared {
    /// A connection was let in: its end will have to be told.
    pub(crate) fn remember(&self, api: &ServedApi, id: Id, facts: &Facts) {
        if !is_remembered(api) {
            return;
        }
        let Ok(value) = serde_json::to_vec(facts) else { return };
        self.put(id, Some(value.into()));
    }

    fn put(&self, id: Id, value: Option<Bytes>) {
        let log = self.gateway().core.log();
        if let Err(error) = log.put_record(RecordTable::Connections, id.as_bytes(), value, None) {
            tracing::warn!(%error, connection = %id, "the record of a connection could not be written");
        }
    }

    /// A connection has ended: `$disconnect` is called beside everything else.
    pub(crate) fn told_end(self: &Arc<Self>, api: usize, id: Id, facts: Arc<Facts>, code: u16, reason: String) {
        if !has_disconnect(&self.apis[api]) {
            return;
        }
        let closing = Closing::new(self.clone());
        self.gateway().tasks.spawn(async move {
            let shared = &closing.0;
            let request = Request { facts, moment: shared.moment(), what: What::Disconnect { code, reason } };
            shared.disconnect(api, &request).await;
            if is_remembered(&shared.apis[api]) {
                shared.put(id, None);
            }
        });
    }

    async fn disconnect(&self, api: usize, request: &Request) {
        let api = &self.apis[api];
        let Some(route) = api.compiled.route(DISCONNECT) else { return };
        for _ in 0..BUSY_TRIES {
            let Ok(_turn) = self.closings.turns.acquire().await else { return };
            match self.call(api, route, request).await {
                // Nothing of it has happened yet.
                Err(CallError::Function(FunctionError::Busy { .. })) => tokio::time::sleep(BUSY_PAUSE).await,
                // The result does not matter; a failure is in the log.
                result => {
                    let status =
                        result.as_ref().map_or_else(CallError::status, |answered| answered.status.unwrap_or(200));
                    return self.log_access(api, route.key(), request, status);
                }
            }
        }
        tracing::error!(connection = %request.facts.connection_id, "$disconnect was given up: its function is busy all the time");
    }

    /// Tells the ends of connections that a crash has cut off.
    ///
    /// # Errors
    /// The records cannot be read.
    pub(crate) fn tell_what_crashed(self: &Arc<Self>, log: &dyn Log) -> Result<(), LogError> {
        for (key, value) in log.records(RecordTable::Connections)? {
            let id = <[u8; 11]>::try_from(&key[..]).ok().map(Id::from_bytes);
            let facts: Option<Facts> = serde_json::from_slice(&value).ok();
            let api = facts.as_ref().and_then(|facts| self.apis.iter().position(|api| api.api().id == facts.api_id));
            match (id, facts, api) {
                (Some(id), Some(facts), Some(api)) if has_disconnect(&self.apis[api]) => {
                    let (code, reason) = CRASHED;
                    self.told_end(api, id, Arc::new(facts), code, reason.to_owned());
                }
                // The API, or its route, is not there any more.
                _ => log.put_record(RecordTable::Connections, &key, None, None)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_that_wait_are_bounded() {
        let closings = Closings::default();
        assert!(closings.has_room());
        closings.open.store(OPEN_MAX, Ordering::Release);
        assert!(!closings.has_room());
    }
}
