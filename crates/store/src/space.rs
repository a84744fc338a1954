//! What is known of each space without reading the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fanfare_core::{Offset, RecoveredSpace};
use parking_lot::RwLock;

use crate::layout::SpaceId;

/// One space of the log.
pub(crate) struct Space {
    pub(crate) name: Arc<str>,
    pub(crate) id: SpaceId,
    pub(crate) epoch: u64,
    /// The offset after the highest one that was queued.
    next: AtomicU64,
    /// On disk it says that no offset at or above this was handed out.
    reserved: AtomicU64,
    trimmed: AtomicU64,
    /// Reserved for this run; before, nothing may be appended.
    is_open: AtomicBool,
}

impl Space {
    pub(crate) fn new(name: Arc<str>, id: SpaceId, epoch: u64, reserved: Offset, trimmed: Offset) -> Self {
        Self {
            name,
            id,
            epoch,
            next: AtomicU64::new(reserved),
            reserved: AtomicU64::new(reserved),
            trimmed: AtomicU64::new(trimmed),
            is_open: AtomicBool::new(false),
        }
    }

    pub(crate) fn recovered(&self) -> RecoveredSpace {
        RecoveredSpace {
            name: self.name.clone(),
            epoch: self.epoch,
            next_offset: self.next(),
            trimmed_through: self.trimmed(),
        }
    }

    pub(crate) fn next(&self) -> Offset {
        self.next.load(Ordering::Acquire)
    }

    pub(crate) fn reserved(&self) -> Offset {
        self.reserved.load(Ordering::Acquire)
    }

    pub(crate) fn trimmed(&self) -> Offset {
        self.trimmed.load(Ordering::Acquire)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// Notes that `offset` was handed out.
    pub(crate) fn handed_out(&self, offset: Offset) {
        let next = offset.saturating_add(1);
        self.next.fetch_max(next, Ordering::AcqRel);
    }

    /// Notes a reservation that is on disk, and that the space may be used.
    pub(crate) fn reserve(&self, reserved: Offset) {
        self.reserved.fetch_max(reserved, Ordering::AcqRel);
        self.is_open.store(true, Ordering::Release);
    }

    pub(crate) fn trim(&self, offset: Offset) {
        self.trimmed.fetch_max(offset, Ordering::AcqRel);
    }
}

/// All spaces by name.
#[derive(Default)]
pub(crate) struct Spaces(RwLock<hashbrown::HashMap<Arc<str>, Arc<Space>, foldhash::fast::RandomState>>);

impl Spaces {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Space>> {
        self.0.read().get(name).cloned()
    }

    pub(crate) fn insert(&self, space: Arc<Space>) {
        self.0.write().insert(space.name.clone(), space);
    }

    /// In ascending order of id, which is the order of creation.
    pub(crate) fn all(&self) -> Vec<Arc<Space>> {
        let mut all: Vec<_> = self.0.read().values().cloned().collect();
        all.sort_by_key(|space| space.id);
        all
    }

    /// A number that no space has.
    pub(crate) fn next_id(&self) -> SpaceId {
        let spaces = self.0.read();
        spaces.values().map(|space| space.id + 1).max().unwrap_or(1)
    }
}
