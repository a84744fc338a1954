//! Messages that sessions handle themselves instead of having them encoded and queued.

use std::sync::Arc;

use fanfare_core::Message;

use super::Shard;
use crate::contract::Happening;

/// A message on its way to a session.
pub(crate) struct Tracked {
    pub(crate) slot: u32,
    pub(crate) subscription: u16,
    pub(crate) is_retained: bool,
    pub(crate) message: Arc<Message>,
}

impl Tracked {
    fn belongs_with(&self, other: &Self) -> bool {
        self.slot == other.slot && self.is_retained == other.is_retained && Arc::ptr_eq(&self.message, &other.message)
    }
}

impl Shard {
    /// Tells sessions of what was put aside for them: a message once, with all of the connection's
    /// subscriptions that it is for.
    pub(super) fn tell_tracked(&mut self) {
        let tracked = std::mem::take(&mut self.tracked);
        let mut subscriptions = Vec::new();
        for group in tracked.chunk_by(Tracked::belongs_with) {
            let Some(first) = group.first() else { continue };
            subscriptions.clear();
            subscriptions.extend(group.iter().map(|tracked| tracked.subscription));
            let (message, is_retained) = (&first.message, first.is_retained);
            self.tell_open(first.slot, Happening::Delivery { subscriptions: &subscriptions, message, is_retained });
            self.flush_if_much();
        }
        if self.tracked.is_empty() {
            self.tracked = tracked;
            self.tracked.clear();
        }
    }

    /// Sessions that asked for it hear that everything they sent has left.
    pub(super) fn tell_clear(&mut self) {
        for slot in std::mem::take(&mut self.clearing) {
            let Some(connection) = self.slots[slot as usize].connection.as_deref_mut() else { continue };
            let is_asked = connection.extras.as_ref().is_some_and(|extras| extras.awaits_clear);
            if connection.backlog.is_none() && is_asked {
                connection.extras().awaits_clear = false;
                self.tell_open(slot, Happening::Clear);
            }
        }
    }
}
