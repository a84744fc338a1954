//! Functions by name, called at once or later.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_core::{Log, LogError};
use fanfare_queue::Room;
use parking_lot::RwLock;
use tokio::runtime::Handle;

use crate::function::{Call, Function, FunctionError};
use crate::later::{Later, Pauses};
use crate::letters::DeadLetters;

/// Functions by name. Cheap to clone; all clones are one registry.
#[derive(Clone)]
pub struct Functions {
    inner: Arc<Inner>,
}

struct Inner {
    by_name: RwLock<HashMap<Box<str>, Arc<dyn Function>>>,
    later: Later,
}

impl Default for Functions {
    fn default() -> Self {
        Self::new()
    }
}

impl Functions {
    /// No functions, and an empty queue that a restart empties. What is sent is worked on at once,
    /// and there are no dead letters.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Later::in_memory(Pauses::default()))
    }

    /// The same, with other pauses before a call that nobody waits for is tried again: this one at
    /// first, whatever failed, and then twice that each time.
    #[must_use]
    pub fn with_pause(pause: Duration) -> Self {
        Self::of(Later::in_memory(Pauses { failed: pause, busy: pause, busy_max: pause * 300 }))
    }

    /// No functions, and the queue that `log` holds: calls that nobody waits for outlive the process.
    /// They are taken in from now on, and made after [`Functions::start`].
    ///
    /// # Errors
    /// The queue cannot be read.
    pub fn durable(log: Arc<dyn Log>, pauses: Pauses) -> Result<Self, LogError> {
        Later::open(log, pauses).map(Self::of)
    }

    fn of(later: Later) -> Self {
        Self { inner: Arc::new(Inner { by_name: RwLock::default(), later }) }
    }

    /// Begins to make the calls of the queue, also those of an earlier run, as tasks of `tasks`. Once
    /// is enough.
    pub fn start(&self, tasks: &Handle, letters: Option<Arc<dyn DeadLetters>>) {
        self.inner.later.start(self, tasks, letters);
    }

    /// For an orderly end: begins no further call of the queue, and waits for those that are under way,
    /// at most `within`. What is not made then stays on disk; what was under way too, and is made again.
    pub async fn drain(&self, within: Duration) {
        self.inner.later.drain(within).await;
    }

    /// Adds a function, or replaces the one of that name.
    pub fn insert(&self, name: &str, function: Arc<dyn Function>) {
        self.inner.by_name.write().insert(name.into(), function);
    }

    /// The function of a name or ARN.
    #[must_use]
    pub fn get(&self, name_or_arn: &str) -> Option<Arc<dyn Function>> {
        self.inner.by_name.read().get(function_name(name_or_arn)).cloned()
    }

    /// Calls a function and waits for its answer, for `timeout` or as long as the function's own.
    ///
    /// # Errors
    /// [`FunctionError`].
    pub async fn call(
        &self,
        name_or_arn: &str,
        event: Bytes,
        timeout: Option<Duration>,
    ) -> Result<Bytes, FunctionError> {
        let function = self.find(name_or_arn)?;
        let timeout = timeout.unwrap_or_else(|| function.timeout());
        function.invoke(event, Call::waiting(timeout)).await
    }

    /// As [`Functions::call`], but a function that is busy takes the call when its turn comes.
    ///
    /// # Errors
    /// [`FunctionError`].
    pub async fn call_in_turn(
        &self,
        name_or_arn: &str,
        event: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, FunctionError> {
        self.find(name_or_arn)?.invoke(event, Call::in_turn(timeout)).await
    }

    /// Queues a call that nobody waits for, as soon as this is first polled. The answer comes when the
    /// call is on disk; it is made also when this is dropped before. How it is tried again says
    /// [`Function::later`]. It may be made twice, with the same request id. To be called on a task.
    ///
    /// # Errors
    /// [`FunctionError::Unknown`], [`FunctionError::QueueFull`] and [`FunctionError::NotKept`]; what
    /// happens later is in the log and goes to the function's dead letter topic.
    pub async fn send(&self, name_or_arn: &str, event: Bytes) -> Result<(), FunctionError> {
        self.send_call(name_or_arn, event, &Call::event(Duration::ZERO)).await
    }

    /// The same with the request id and the client context of `call`; its other members are the
    /// queue's business.
    ///
    /// # Errors
    /// As [`Functions::send`].
    pub async fn send_call(&self, name_or_arn: &str, event: Bytes, call: &Call) -> Result<(), FunctionError> {
        self.find(name_or_arn)?;
        self.inner.later.send(self, function_name(name_or_arn), event, call).await
    }

    /// Calls in the queue that are not done yet.
    #[must_use]
    pub fn waiting(&self) -> Room {
        self.inner.later.waiting()
    }

    /// The names of all functions, in their order.
    #[must_use]
    pub fn names(&self) -> Vec<Box<str>> {
        let mut names: Vec<_> = self.inner.by_name.read().keys().cloned().collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn later(&self) -> &Later {
        &self.inner.later
    }

    fn find(&self, name_or_arn: &str) -> Result<Arc<dyn Function>, FunctionError> {
        self.get(name_or_arn).ok_or_else(|| FunctionError::Unknown(function_name(name_or_arn).to_owned()))
    }
}

/// The plain name in a function's name, `NAME:ALIAS` or `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:ALIAS]`,
/// also in its shorter form `ACCOUNT:function:NAME`.
#[must_use]
pub fn function_name(name_or_arn: &str) -> &str {
    let name = name_or_arn.split_once(":function:").map_or(name_or_arn, |(_, name)| name);
    name.split(':').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_arns() {
        for text in [
            "notify",
            "notify:live",
            "arn:aws:lambda:eu-central-1:000000000000:function:notify",
            "arn:aws:lambda:eu-central-1:000000000000:function:notify:7",
            "000000000000:function:notify",
        ] {
            assert_eq!(function_name(text), "notify", "{text}");
        }
        assert_eq!(function_name("myfunction:live"), "myfunction");
    }
}
