//! What `@connections` wants of a connection, told to its session.

use fanfare_apigateway::frame::{Ending, disconnect_of};
use fanfare_core::Millis;
use fanfare_door::Turn;
use tokio::sync::oneshot;

use crate::session::ApiSession;

/// How a connection ends that an application has deleted.
const DELETED: (u16, &str) = disconnect_of(Ending::Deleted);

/// Something to do for a session.
pub(crate) enum Order {
    /// Send this; answers whether there was room.
    Post { bytes: bytes::Bytes, done: oneshot::Sender<bool> },
    /// Say when data last went in either direction.
    Describe { done: oneshot::Sender<Millis> },
    /// End.
    Delete { done: oneshot::Sender<()> },
}

impl ApiSession {
    pub(crate) fn obey(&mut self, order: Order, turn: &mut Turn<'_>) {
        // It has ended already: who waits sees that nobody answers.
        if self.open.is_none() {
            return;
        }
        // Whoever asked may have gone; then nobody misses the answer.
        match order {
            Order::Post { bytes, done } => {
                let room = self.served().options().queue_bytes.min(turn.gateway().limits().outbox_bytes);
                let has_room = turn.waiting_bytes() + bytes.len() <= room;
                if has_room {
                    self.send(&bytes, turn);
                }
                let _ = done.send(has_room);
            }
            Order::Describe { done } => {
                let _ = done.send(self.heard_at.max(turn.sent_at()));
            }
            Order::Delete { done } => {
                self.close(DELETED, turn);
                let _ = done.send(());
            }
        }
    }
}
