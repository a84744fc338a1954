//! How many processes there may be: one count for all functions, and one for each that has its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire};

/// A number of places, each for one process. Cheap to clone; all clones are one count.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    count: Arc<Count>,
}

#[derive(Debug)]
struct Count {
    used: AtomicUsize,
    limit: AtomicUsize,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    count: Arc<Count>,
}

impl Slots {
    pub(crate) fn new(limit: usize) -> Self {
        Self { count: Arc::new(Count { used: AtomicUsize::new(0), limit: AtomicUsize::new(limit) }) }
    }

    pub(crate) fn take(&self) -> Option<Slot> {
        let limit = self.limit();
        let take = |used: usize| (used < limit).then_some(used + 1);
        self.count.used.fetch_update(AcqRel, Acquire, take).ok()?;
        Some(Slot { count: self.count.clone() })
    }

    pub(crate) fn limit(&self) -> usize {
        self.count.limit.load(Acquire)
    }

    /// Places that can be taken now.
    pub(crate) fn free(&self) -> usize {
        self.limit().saturating_sub(self.count.used.load(Acquire))
    }

    /// Takes places away for good, if at least one is left.
    pub(crate) fn shrink(&self, by: usize) -> bool {
        let shrink = |limit: usize| limit.checked_sub(by).filter(|&left| left > 0);
        self.count.limit.fetch_update(AcqRel, Acquire, shrink).is_ok()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.count.used.fetch_sub(1, AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back() {
        let slots = Slots::new(2);
        let (first, second) = (slots.take(), slots.take());
        assert!(first.is_some() && second.is_some() && slots.take().is_none());
        drop(first);
        assert_eq!(slots.free(), 1);
        assert!(slots.take().is_some());
        assert!(!slots.shrink(2) && slots.shrink(1) && slots.limit() == 1);
    }
}
