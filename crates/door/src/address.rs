//! What a connection is called.

use std::fmt;

/// Identifies a connection on this node for as long as the process runs. Its text carries the
/// node's name, so that any node can tell whose it is: `<node>.<hex>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

impl ConnectionId {
    pub(crate) fn new(shard: u8, slot: u32, generation: u32) -> Self {
        let generation = u64::from(generation & 0xFF_FFFF);
        Self(u64::from(shard) << 56 | generation << 32 | u64::from(slot))
    }

    pub(crate) fn shard(self) -> u8 {
        (self.0 >> 56) as u8
    }

    pub(crate) fn slot(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 32) as u32 & 0xFF_FFFF
    }

    /// The id as clients and operators see it.
    pub fn text(self, node: &str) -> String {
        format!("{node}.{:x}", self.0)
    }

    /// Reads an id that [`ConnectionId::text`] wrote on the node `node`; `None` for anything else.
    pub fn parse(text: &str, node: &str) -> Option<Self> {
        let (owner, number) = text.rsplit_once('.')?;
        if owner != node || number.is_empty() || !number.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u64::from_str_radix(number, 16).ok().map(Self)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}
