//! One item: its age, its next try, its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_core::Millis;
use tokio::time::sleep;

use crate::clock::millis;
use crate::form::{Key, Progress};
use crate::queue::Shared;

/// One item of a [`Queue`](crate::Queue). It takes up room as long as it lives. Dropped unfinished
/// it stays on disk, and a restart finds it.
#[derive(Debug)]
pub struct Item<H> {
    /// What the work is about.
    pub head: H,
    /// Its larger part.
    pub body: Bytes,
    pub(crate) since: Millis,
    pub(crate) progress: Progress,
    pub(crate) place: Place,
}

/// An item's room and records.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: u64,
    pub(crate) bytes: usize,
    /// There is a progress record.
    pub(crate) has_progress: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.give_back(self.bytes);
    }
}

impl<H> Item<H> {
    /// How far the work has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// When it was put, in milliseconds since 1970.
    #[must_use]
    pub fn since(&self) -> Millis {
        self.since
    }

    /// How long ago it was put.
    #[must_use]
    pub fn age(&self) -> Duration {
        Duration::from_millis(self.place.shared.clock.now().saturating_sub(self.since))
    }

    /// Waits until the next try is due, at most for `longest`, should the clock have been put back.
    pub async fn due(&self, longest: Duration) {
        let left = self.progress.due.saturating_sub(self.place.shared.clock.now());
        if left > 0 {
            sleep(Duration::from_millis(left).min(longest)).await;
        }
    }

    /// Writes down that one more try was made, whether it counts as a failure, and that the next
    /// one is due after `pause`. Nobody waits for the disk: what a crash takes of this makes for one
    /// try more.
    pub fn put_off(&mut self, is_failure: bool, pause: Duration) {
        let due = self.place.shared.clock.now().saturating_add(millis(pause));
        let Progress { tries, failures, .. } = self.progress;
        self.progress = Progress { tries: tries + 1, failures: failures + u32::from(is_failure), due };
        self.place.has_progress = true;
        self.place.shared.write(Key::Progress(self.place.id), Some(self.progress.write()));
    }

    /// The work is done, or given up: it is not to come back.
    pub fn finish(self) {
        // In this order: a progress record without its item is cleared away at the next start.
        self.place.shared.write(Key::Item(self.place.id), None);
        if self.place.has_progress {
            self.place.shared.write(Key::Progress(self.place.id), None);
        }
    }
}
