//! How others put an event, without knowing who keeps the bus.

use crate::event::EventParts;
use crate::put_events::EntryFailure;

/// Takes events for a bus. Doors hand this to one another through the binary.
pub trait EventSink: Send + Sync {
    /// Puts one event on `bus` and gives its id. What it causes happens later.
    ///
    /// # Errors
    /// As an entry of PutEvents fails.
    fn put(&self, bus: &str, parts: EventParts) -> Result<String, EntryFailure>;
}
