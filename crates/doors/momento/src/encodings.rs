//! A message is encoded once, however many read it.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::Message;
use fanfare_momento::grpc::frame;
use fanfare_momento::grpc::web::Dialect;
use fanfare_momento::wire::{SubscriptionItem, TopicItem};
use parking_lot::Mutex;

/// Messages whose encoding is remembered. Readers of one topic are at most some channels apart.
const SLOTS: usize = 512;
/// Larger ones are encoded for each reader: together they would take too much memory.
const BYTES_MAX: usize = 8 << 10;

/// The newest messages, as they travel.
#[derive(Debug)]
pub(crate) struct Encodings(Box<[[Mutex<Option<Slot>>; 2]]>);

#[derive(Debug)]
struct Slot {
    /// Held, so that no other message can stand at its address.
    message: Arc<Message>,
    frame: Bytes,
}

impl Default for Encodings {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| Default::default()).collect())
    }
}

impl Encodings {
    /// The message as an item in its frame.
    pub(crate) fn of(&self, message: &Arc<Message>, dialect: Dialect) -> Bytes {
        if message.payload.len() > BYTES_MAX {
            return encode(message, dialect);
        }
        let slots = &self.0[message.offset as usize % SLOTS];
        let mut slot = slots[usize::from(dialect == Dialect::WebText)].lock();
        if let Some(slot) = slot.as_ref().filter(|slot| Arc::ptr_eq(&slot.message, message)) {
            return slot.frame.clone();
        }
        let frame = encode(message, dialect);
        *slot = Some(Slot { message: message.clone(), frame: frame.clone() });
        frame
    }
}

fn encode(message: &Message, dialect: Dialect) -> Bytes {
    dialect.dress(frame(&SubscriptionItem::from(TopicItem::of(message))))
}
