//! What a session has yet to send to its client, and what it has sent and not seen acknowledged.
//!
//! The log is the queue: a session only remembers up to where it has taken messages from it, its
//! **cursor**. What is taken waits here until the client's window has room. A session that cannot
//! take more is **behind**; it reads on from its cursor when the client has caught up, however
//! long that takes, and nothing is kept for it alone.

use std::collections::VecDeque;
use std::sync::Arc;

use fanfare_core::{Message, Offset, TopicName};
use fanfare_mqtt_codec::{PacketId, Qos};

use crate::groups::Share;

/// Where a message came from, and so who has it when it cannot be sent.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The log: it is found again by the cursor.
    Log,
    /// A topic's retained message, sent because of a subscription.
    Retained,
    /// A shared subscription, to which it goes back.
    Shared(Share),
}

/// A message on its way to the client.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) message: Arc<Message>,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    /// Identifiers of the subscriptions it matches.
    pub(crate) ids: Box<[u32]>,
    pub(crate) source: Source,
}

/// How far the handshake of a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// PUBACK or PUBREC is awaited.
    Published,
    /// PUBCOMP is awaited.
    Released,
}

/// A message of quality 1 or 2 that has a packet id.
#[derive(Clone, Debug)]
pub(crate) struct Inflight {
    pub(crate) id: PacketId,
    pub(crate) stage: Stage,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) ids: Box<[u32]>,
    pub(crate) topic: TopicName,
    pub(crate) offset: Offset,
    /// Absent while the session is away, and once the message has arrived.
    pub(crate) message: Option<Arc<Message>>,
    pub(crate) source: Source,
    /// It was sent on this connection.
    pub(crate) is_sent: bool,
    /// It was sent on an earlier connection.
    pub(crate) is_repeated: bool,
    /// The ledger knows of it.
    pub(crate) is_recorded: bool,
}

/// What a PUBREC leads to.
#[derive(Debug)]
pub(crate) enum Received {
    /// PUBREL is due.
    Release,
    /// The client wants no more of it.
    Refused(Inflight),
    /// There is no such message.
    Unknown,
}

/// The sending half of a session.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// In the order in which they were first sent.
    pub(crate) inflight: VecDeque<Inflight>,
    pub(crate) pending: VecDeque<Outgoing>,
    pending_bytes: usize,
    /// How many of those that wait are of quality 0.
    pending_once: usize,
    last_id: u16,
    /// How many messages may be unacknowledged on this connection, and how many are.
    window: usize,
    open: usize,
    /// Everything up to here was taken from the log, or is of no concern.
    pub(crate) cursor: Offset,
    /// Messages after the cursor must be read from the log.
    pub(crate) is_behind: bool,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            inflight: VecDeque::new(),
            pending: VecDeque::new(),
            pending_bytes: 0,
            pending_once: 0,
            last_id: 0,
            window: 0,
            open: 0,
            cursor: 0,
            is_behind: false,
        }
    }
}

impl Inflight {
    /// How a message that waits looks to the ledger, which knows it without an id.
    pub(crate) fn waiting(outgoing: &Outgoing) -> Self {
        Self {
            id: PacketId::MIN,
            stage: Stage::Published,
            qos: outgoing.qos,
            retain: outgoing.retain,
            ids: outgoing.ids.clone(),
            topic: outgoing.message.topic.clone(),
            offset: outgoing.message.offset,
            message: None,
            source: outgoing.source.clone(),
            is_sent: false,
            is_repeated: false,
            is_recorded: false,
        }
    }
}

impl Outbound {
    /// What an earlier run left unacknowledged, in the order of sending.
    pub(crate) fn restore(&mut self, inflight: Vec<Inflight>) {
        self.last_id = inflight.last().map_or(0, |last| last.id.get());
        self.inflight = inflight.into();
    }

    pub(crate) fn push_all(&mut self, outgoing: impl IntoIterator<Item = Outgoing>) {
        outgoing.into_iter().for_each(|outgoing| self.push(outgoing));
    }

    /// A connection begins, whose client bears so many unacknowledged messages.
    pub(crate) fn connect(&mut self, window: u16) {
        self.window = usize::from(window);
        self.open = 0;
    }

    /// The window has room for one more.
    pub(crate) fn has_room(&self) -> bool {
        self.open < self.window
    }

    /// How many messages with ids may still be begun.
    pub(crate) fn room(&self) -> usize {
        let unsent = self.inflight.iter().rev().take_while(|inflight| !inflight.is_sent).count();
        self.window.saturating_sub(self.open + unsent)
    }

    /// Messages of quality 0 wait, so that none may pass them.
    pub(crate) fn has_pending_once(&self) -> bool {
        self.pending_once > 0
    }

    /// Nothing waits before a message that comes now.
    pub(crate) fn is_clear(&self) -> bool {
        self.pending.is_empty() && self.inflight.back().is_none_or(|last| last.is_sent)
    }

    /// A message of the log may be taken; whoever is refused is behind from now on.
    pub(crate) fn admit(&mut self, bytes: usize, count_max: usize, bytes_max: usize) -> bool {
        let is_full = self.pending.len() >= count_max || self.pending_bytes + bytes > bytes_max;
        let is_full = is_full && !self.pending.is_empty();
        self.is_behind |= is_full;
        !is_full
    }

    pub(crate) fn push(&mut self, outgoing: Outgoing) {
        self.pending_bytes += outgoing.message.payload.len();
        self.pending_once += usize::from(outgoing.qos == Qos::AtMostOnce);
        self.pending.push_back(outgoing);
    }

    pub(crate) fn pop(&mut self) -> Option<Outgoing> {
        let outgoing = self.pending.pop_front()?;
        self.pending_bytes -= outgoing.message.payload.len();
        self.pending_once -= usize::from(outgoing.qos == Qos::AtMostOnce);
        Some(outgoing)
    }

    /// Gives a message of quality 1 or 2 an id. Not before [`Outbound::has_room`].
    pub(crate) fn begin(&mut self, outgoing: Outgoing) -> &mut Inflight {
        let id = self.free_id();
        self.inflight.push_back(Inflight {
            id,
            stage: Stage::Published,
            qos: outgoing.qos,
            retain: outgoing.retain,
            ids: outgoing.ids,
            topic: outgoing.message.topic.clone(),
            offset: outgoing.message.offset,
            message: Some(outgoing.message),
            source: outgoing.source,
            is_sent: false,
            is_repeated: false,
            is_recorded: false,
        });
        self.inflight.back_mut().expect("it was just pushed")
    }

    fn free_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            // The window is far smaller than the number of ids, so that a free one is found.
            if let Some(id) = PacketId::new(self.last_id)
                && !self.inflight.iter().any(|inflight| inflight.id == id)
            {
                return id;
            }
        }
    }

    /// The next message in flight that this connection has not sent, if the window has room.
    pub(crate) fn next_unsent(&mut self) -> Option<&mut Inflight> {
        if !self.has_room() {
            return None;
        }
        let next = self.inflight.iter_mut().find(|inflight| !inflight.is_sent)?;
        next.is_sent = true;
        self.open += 1;
        Some(next)
    }

    pub(crate) fn has_unsent(&self) -> bool {
        self.inflight.back().is_some_and(|inflight| !inflight.is_sent)
    }

    /// A PUBACK has come.
    pub(crate) fn acknowledged(&mut self, id: PacketId) -> Option<Inflight> {
        self.remove(|i| i.id == id && i.qos == Qos::AtLeastOnce)
    }

    /// A PUBREC has come; `is_refused` when it says that the message was not taken.
    pub(crate) fn received(&mut self, id: PacketId, is_refused: bool) -> Received {
        let found = self.inflight.iter_mut().find(|i| i.id == id && i.qos == Qos::ExactlyOnce);
        let Some(inflight) = found else { return Received::Unknown };
        if is_refused && inflight.stage == Stage::Published {
            return self.remove(|i| i.id == id).map_or(Received::Unknown, Received::Refused);
        }
        inflight.stage = Stage::Released;
        inflight.message = None;
        Received::Release
    }

    /// A PUBCOMP has come.
    pub(crate) fn completed(&mut self, id: PacketId) -> Option<Inflight> {
        self.remove(|i| i.id == id && i.stage == Stage::Released)
    }

    /// Takes out what is not to be sent any more.
    pub(crate) fn forget(&mut self, id: PacketId) -> Option<Inflight> {
        self.remove(|i| i.id == id)
    }

    fn remove(&mut self, is_it: impl Fn(&Inflight) -> bool) -> Option<Inflight> {
        let place = self.inflight.iter().position(is_it)?;
        let removed = self.inflight.remove(place)?;
        self.open -= usize::from(removed.is_sent);
        Some(removed)
    }

    /// From where the log must be read again should everything that no ledger knows be forgotten.
    pub(crate) fn low_water(&self) -> Offset {
        let is_of_log = |source: &Source| matches!(source, Source::Log);
        let inflight = self.inflight.iter().filter(|i| is_of_log(&i.source) && !i.is_recorded).map(|i| i.offset);
        let pending = self.pending.iter().filter(|o| is_of_log(&o.source)).map(|o| o.message.offset);
        inflight.chain(pending).map(|offset| offset - 1).chain([self.cursor]).min().unwrap_or(self.cursor)
    }

    /// The connection is gone. What was taken from the log and not sent is left to the log; what
    /// came from elsewhere stays, or is returned if it belongs to a group.
    pub(crate) fn disconnect(&mut self) -> Vec<(Share, Arc<Message>)> {
        let mut returned = Vec::new();
        let mut kept = VecDeque::new();
        while let Some(outgoing) = self.pop() {
            match outgoing.source {
                Source::Log if outgoing.qos == Qos::AtMostOnce => {}
                Source::Log => {
                    self.is_behind = true;
                    self.cursor = self.cursor.min(outgoing.message.offset - 1);
                }
                Source::Shared(share) => returned.push((share, outgoing.message)),
                Source::Retained => kept.push_back(outgoing),
            }
        }
        kept.into_iter().for_each(|outgoing| self.push(outgoing));
        for inflight in &mut self.inflight {
            inflight.is_repeated |= inflight.is_sent;
            inflight.is_sent = false;
            inflight.message = None;
        }
        self.open = 0;
        returned
    }

    /// The session has ended: messages of groups that were not begun twice go back to them.
    pub(crate) fn end(&mut self) -> Vec<(Share, TopicName, Offset)> {
        let of_groups = self.inflight.drain(..).filter(|i| i.qos == Qos::AtLeastOnce);
        let shared = of_groups.filter_map(|i| match i.source {
            Source::Shared(share) => Some((share, i.topic, i.offset)),
            _ => None,
        });
        shared.collect()
    }
}
