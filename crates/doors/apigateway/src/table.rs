//! Who is connected, by the id that applications know.

use std::sync::Arc;

use fanfare_apigateway::facts::Facts;
use fanfare_apigateway::id::Id;
use fanfare_door::ConnectionId;
use hashbrown::HashMap;
use parking_lot::RwLock;

/// Locks among which connections are spread, a power of two.
const PARTS: usize = 16;

/// A connection that exists for `@connections`.
#[derive(Clone)]
pub(crate) struct Connected {
    /// Where its session is.
    pub(crate) connection: ConnectionId,
    /// Which API.
    pub(crate) api: usize,
    /// What does not change.
    pub(crate) facts: Arc<Facts>,
}

/// All connections of the door.
#[derive(Default)]
pub(crate) struct Table {
    parts: [RwLock<HashMap<Id, Connected, foldhash::fast::RandomState>>; PARTS],
}

impl Table {
    fn part(&self, id: Id) -> &RwLock<HashMap<Id, Connected, foldhash::fast::RandomState>> {
        // Ids are random, so any byte spreads them.
        &self.parts[usize::from(id.as_bytes()[0]) % PARTS]
    }

    /// The connection exists from now on.
    pub(crate) fn insert(&self, id: Id, connected: Connected) {
        self.part(id).write().insert(id, connected);
    }

    /// It does not exist any more.
    pub(crate) fn remove(&self, id: Id) {
        let mut part = self.part(id).write();
        part.remove(&id);
        // After a crowd has left, its room is given back.
        if part.capacity() > 64 && part.len() < part.capacity() / 8 {
            part.shrink_to(64);
        }
    }

    pub(crate) fn get(&self, id: Id) -> Option<Connected> {
        self.part(id).read().get(&id).cloned()
    }
}
