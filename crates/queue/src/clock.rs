//! The time of day, which tests can move.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanfare_core::Millis;
use tokio::time::Instant;

/// The time of day in milliseconds since 1970. It is read once and then passes as tokio's time
/// does, so that it never goes back, and stands still where a test has paused that.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    began_at: Millis,
}

impl Clock {
    /// Reads the system's clock.
    #[must_use]
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), began_at: millis(since_epoch) }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.began_at + millis(self.began.elapsed())
    }
}

/// A duration in whole milliseconds.
pub(crate) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
