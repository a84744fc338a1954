//! What a shard knows of a connection.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use fanfare_core::{Filter, Millis, Offset, Principal, TopicName};
use fanfare_websocket::Decoder;

use crate::contract::{Goodbye, Session, UpgradeRules};
use crate::greeting::{Greeting, Upgrade};
use crate::link::Link;
use crate::outbox::Backlog;
use crate::rate::Bucket;

/// One live link. Kept small: what only some connections need is boxed and absent otherwise.
pub(crate) struct Connection {
    pub(crate) link: Link,
    pub(crate) phase: Phase,
    pub(crate) codec: Codec,
    /// Bytes of a stream that its session has not used yet.
    pub(crate) tail: Vec<u8>,
    /// Absent while the session is being told something, and before the door has opened one.
    pub(crate) session: Option<Box<dyn Session>>,
    pub(crate) principal: Arc<Principal>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) backlog: Option<Box<Backlog>>,
    pub(crate) extras: Option<Box<Extras>>,
    pub(crate) bucket: Bucket,
    pub(crate) opened_at: Millis,
    pub(crate) heard_at: Millis,
    /// When data was last written to it.
    pub(crate) sent_at: Millis,
    /// Where it is not served as all are.
    pub(crate) rules: Option<Arc<UpgradeRules>>,
    pub(crate) peer: SocketAddr,
    pub(crate) next_subscription: u16,
    /// By which its door sends to several at once.
    pub(crate) group: u16,
    pub(crate) door: u8,
    pub(crate) is_secure: bool,
    pub(crate) is_pinged: bool,
    /// Its WebSocket messages are pieces of a stream.
    pub(crate) is_tunnel: bool,
    /// The peer has sent its last byte.
    pub(crate) is_read_closed: bool,
    /// The session takes nothing now: the socket is not read.
    pub(crate) is_held: bool,
}

/// Where a connection stands in its life.
pub(crate) enum Phase {
    /// Its protocol is not known yet.
    Greeting(Box<Greeting>),
    /// A door decides about the upgrade.
    Upgrading(Box<Upgrade>),
    /// Its session is served.
    Open,
    /// The last bytes leave; then it is closed.
    Closing,
}

/// How bytes of the connection become packets.
pub(crate) enum Codec {
    Stream,
    WebSocket(Decoder),
}

/// A subscription of a connection.
pub(crate) struct Subscription {
    pub(crate) space: Arc<str>,
    pub(crate) filter: Filter,
    pub(crate) id: u16,
    pub(crate) wants_presence: bool,
    pub(crate) is_tracked: bool,
    /// In the roster: live messages reach it. Otherwise it is catching up.
    pub(crate) is_live: bool,
}

/// What few connections have.
#[derive(Default)]
pub(crate) struct Extras {
    pub(crate) catch_ups: VecDeque<CatchUp>,
    pub(crate) presences: Vec<(Arc<str>, TopicName)>,
    /// Id under which it is present: its subject when it entered, or its own id.
    pub(crate) member: Option<Arc<str>>,
    pub(crate) errands: usize,
    pub(crate) goodbye: Option<Goodbye>,
    /// The session wants to hear when everything it sent has left.
    pub(crate) awaits_clear: bool,
}

/// A subscription on its way from the past to now.
pub(crate) struct CatchUp {
    pub(crate) subscription: u16,
    pub(crate) after: Offset,
    /// It asked for whatever is kept: what was trimmed before it got there is no gap to it.
    pub(crate) is_from_beginning: bool,
    /// A page is being read from the log.
    pub(crate) is_reading: bool,
}

impl Connection {
    pub(crate) fn extras(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    pub(crate) fn subscription(&mut self, id: u16) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|subscription| subscription.id == id)
    }

    pub(crate) fn find(&self, space: &str, filter: &Filter) -> Option<u16> {
        let same = |s: &&Subscription| *s.space == *space && s.filter == *filter;
        self.subscriptions.iter().find(same).map(|s| s.id)
    }

    /// A number for a new subscription that none of the present ones has.
    pub(crate) fn free_subscription(&mut self) -> u16 {
        loop {
            let id = self.next_subscription;
            self.next_subscription = id.wrapping_add(1);
            if !self.subscriptions.iter().any(|s| s.id == id) {
                return id;
            }
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_record_stays_small() {
        assert!(size_of::<Connection>() <= 320, "{} bytes", size_of::<Connection>());
    }
}
