//! Calls that nobody waits for: a bounded queue with retries, in memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::function::{Call, Function, FunctionError};

/// Calls in the queue at once.
pub const QUEUE_EVENTS_MAX: usize = 10_000;
/// Bytes of all events in the queue together.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;
/// How often a call is tried.
pub const TRIES_MAX: u32 = 3;

/// What stands in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Calls.
    pub events: usize,
    /// Bytes of their events.
    pub bytes: usize,
}

pub(crate) struct Later {
    used: Arc<Mutex<Room>>,
    pause: Duration,
}

impl Default for Later {
    fn default() -> Self {
        Self::new(Duration::from_secs(1))
    }
}

/// A place in the queue, given back when the call is over.
struct Place {
    used: Arc<Mutex<Room>>,
    bytes: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut used = self.used.lock();
        used.events -= 1;
        used.bytes -= self.bytes;
    }
}

impl Later {
    pub(crate) fn new(pause: Duration) -> Self {
        Self { used: Arc::default(), pause }
    }

    pub(crate) fn waiting(&self) -> Room {
        *self.used.lock()
    }

    pub(crate) fn send(&self, name: &str, function: Arc<dyn Function>, event: Bytes) -> Result<(), FunctionError> {
        let place = self.take(event.len()).ok_or(FunctionError::QueueFull)?;
        let (name, pause) = (name.to_owned(), self.pause);
        tokio::spawn(async move {
            try_often(&name, &*function, event, pause).await;
            drop(place);
        });
        Ok(())
    }

    fn take(&self, bytes: usize) -> Option<Place> {
        let mut used = self.used.lock();
        if used.events >= QUEUE_EVENTS_MAX || used.bytes + bytes > QUEUE_BYTES_MAX {
            return None;
        }
        used.events += 1;
        used.bytes += bytes;
        Some(Place { used: self.used.clone(), bytes })
    }
}

async fn try_often(name: &str, function: &dyn Function, event: Bytes, pause: Duration) {
    // The id stays the same, so that a function can know a repetition.
    let call = Call::event(function.timeout());
    for attempt in 1..=TRIES_MAX {
        let Err(error) = function.invoke(event.clone(), call.clone()).await else { return };
        let request = &*call.request_id;
        if attempt == TRIES_MAX || !error.may_pass() {
            tracing::warn!(function = name, request, attempt, %error, "a call was given up");
            return;
        }
        tracing::debug!(function = name, request, attempt, %error, "a call is tried again");
        tokio::time::sleep(back_off(pause, attempt)).await;
    }
}

/// The pause before the try after `attempt`: doubled each time, and drawn from its upper half so
/// that calls that failed together do not come together again.
fn back_off(pause: Duration, attempt: u32) -> Duration {
    pause.saturating_mul(1 << (attempt - 1).min(16)).mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::Answer;

    struct Never;

    impl Function for Never {
        fn invoke(&self, _: Bytes, _: Call) -> Answer {
            Box::pin(std::future::pending())
        }

        fn timeout(&self) -> Duration {
            Duration::from_secs(1)
        }
    }

    #[tokio::test]
    async fn the_queue_has_bounds_of_number_and_size() {
        let later = Later::default();
        for _ in 0..QUEUE_EVENTS_MAX {
            later.send("f", Arc::new(Never), Bytes::new()).unwrap();
        }
        assert_eq!(later.send("f", Arc::new(Never), Bytes::new()), Err(FunctionError::QueueFull));
        let later = Later::default();
        later.send("f", Arc::new(Never), vec![0; QUEUE_BYTES_MAX].into()).unwrap();
        assert_eq!(later.send("f", Arc::new(Never), Bytes::from_static(b"x")), Err(FunctionError::QueueFull));
        assert_eq!(later.waiting(), Room { events: 1, bytes: QUEUE_BYTES_MAX });
    }

    #[test]
    fn pauses_grow_and_differ() {
        let second = Duration::from_secs(1);
        for attempt in 1..=3 {
            let (low, high) = (second * (1 << (attempt - 1)) / 2, second * (1 << (attempt - 1)));
            assert!((0..50).all(|_| (low..=high).contains(&back_off(second, attempt))));
        }
    }
}
