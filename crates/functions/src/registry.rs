//! Functions by name, called at once or later.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::function::{Call, Function, FunctionError};
use crate::later::{Later, Room};

/// Functions by name. Cheap to clone; all clones are one registry.
#[derive(Clone, Default)]
pub struct Functions {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    by_name: RwLock<HashMap<Box<str>, Arc<dyn Function>>>,
    later: Later,
}

impl Functions {
    /// No functions, and an empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with another time before the second try of a call that nobody waits for (the
    /// third comes after twice that); one second otherwise.
    #[must_use]
    pub fn with_pause(pause: Duration) -> Self {
        let inner = Inner { later: Later::new(pause), ..Inner::default() };
        Self { inner: Arc::new(inner) }
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

    /// Queues a call that nobody waits for. It is tried [`TRIES_MAX`](crate::TRIES_MAX) times. To be
    /// called on a task.
    ///
    /// # Errors
    /// [`FunctionError::Unknown`] and [`FunctionError::QueueFull`]; what happens later is in the log.
    pub fn send(&self, name_or_arn: &str, event: Bytes) -> Result<(), FunctionError> {
        let function = self.find(name_or_arn)?;
        self.inner.later.send(function_name(name_or_arn), function, event)
    }

    /// Calls in the queue that are not done yet.
    #[must_use]
    pub fn waiting(&self) -> Room {
        self.inner.later.waiting()
    }

    fn find(&self, name_or_arn: &str) -> Result<Arc<dyn Function>, FunctionError> {
        self.get(name_or_arn).ok_or_else(|| FunctionError::Unknown(function_name(name_or_arn).to_owned()))
    }
}

/// The plain name in a function's name, `NAME:ALIAS` or `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:ALIAS]`,
/// also in its shorter form `ACCOUNT:function:NAME`.
#[must_use]
pub fn function_name(name_or_arn: &str) -> &str {
    let name = name_or_arn.split_once("function:").map_or(name_or_arn, |(_, name)| name);
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
    }
}
