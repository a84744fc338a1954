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

/// What the disk knows of a message's stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recording {
    /// Nothing yet.
    Due,
    /// It is on its way there.
    Underway,
    /// All.
    Done,
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
    pub(crate) recording: Recording,
    /// It was sent on an earlier connection.
    pub(crate) is_repeated: bool,
    /// The packet of its stage has yet to be sent on this connection.
    is_due: bool,
    /// It counts against the window.
    is_open: bool,
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
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    /// In the order in which they were first sent.
    inflight: VecDeque<Inflight>,
    /// Taken, but without an id so far.
    pub(crate) pending: VecDeque<Outgoing>,
    pending_bytes: usize,
    /// How many of those that wait are of quality 0.
    pending_once: usize,
    last_id: u16,
    /// How many messages may be unacknowledged on this connection, and how many are.
    window: usize,
    open: usize,
    /// How many packets are due.
    due: usize,
    /// Everything up to here was taken from the log, or is of no concern.
    pub(crate) cursor: Offset,
    /// Messages after the cursor must be read from the log.
    pub(crate) is_behind: bool,
    /// Messages of the log up to here may have been sent before a crash, which took the record of it.
    pub(crate) suspect_through: Offset,
}

impl Inflight {
    /// A message that an earlier run of the server has sent.
    #[expect(clippy::too_many_arguments, reason = "each is a field of a record")]
    pub(crate) fn restored(
        id: PacketId,
        stage: Stage,
        qos: Qos,
        retain: bool,
        ids: Box<[u32]>,
        topic: TopicName,
        offset: Offset,
        source: Source,
    ) -> Self {
        let (message, recording) = (None, Recording::Done);
        let is_repeated = true;
        let (is_due, is_open) = (true, false);
        Self { id, stage, qos, retain, ids, topic, offset, message, source, recording, is_repeated, is_due, is_open }
    }
}

impl Outbound {
    /// A connection begins, whose client bears so many unacknowledged messages.
    pub(crate) fn connect(&mut self, window: u16) {
        self.window = usize::from(window);
    }

    /// What an earlier run left unacknowledged, in the order of sending.
    pub(crate) fn restore(&mut self, inflight: Vec<Inflight>) {
        self.last_id = inflight.last().map_or(0, |last| last.id.get());
        self.due = inflight.len();
        self.inflight = inflight.into();
    }

    pub(crate) fn inflight(&self) -> impl Iterator<Item = &Inflight> {
        self.inflight.iter()
    }

    /// How many messages with ids may still be begun.
    pub(crate) fn room(&self) -> usize {
        self.window.saturating_sub(self.inflight.len())
    }

    /// Nothing waits before a message that comes now.
    pub(crate) fn is_clear(&self) -> bool {
        self.pending.is_empty() && self.due == 0
    }

    /// Messages of quality 0 wait, so that none may pass them.
    pub(crate) fn has_pending_once(&self) -> bool {
        self.pending_once > 0
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

    /// Gives a message of quality 1 or 2 an id. Not without [`Outbound::room`].
    pub(crate) fn begin(&mut self, outgoing: Outgoing) {
        let id = self.free_id();
        self.due += 1;
        // Quality 2 is recorded before it is sent. Of quality 1 nobody knows: it is marked as a
        // repetition, from which nobody may conclude that there was a first one.
        let is_suspect = matches!(outgoing.source, Source::Log) && outgoing.message.offset <= self.suspect_through;
        let is_repeated = is_suspect && outgoing.qos == Qos::AtLeastOnce;
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
            recording: Recording::Due,
            is_repeated,
            is_due: true,
            is_open: false,
        });
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

    /// The next message whose packet is due and may leave: within the window, in order, and, where
    /// quality 2 `must_be_recorded`, not before the disk knows of it.
    pub(crate) fn next_due(&mut self, must_be_recorded: bool) -> Option<&mut Inflight> {
        if self.due == 0 {
            return None;
        }
        let has_room = self.open < self.window;
        let mut is_publish_held = false;
        let place = self.inflight.iter().position(|inflight| {
            let is_exact = inflight.qos == Qos::ExactlyOnce;
            let is_held = must_be_recorded && is_exact && inflight.recording != Recording::Done;
            match inflight.stage {
                _ if !inflight.is_due => false,
                Stage::Released => !is_held,
                Stage::Published => {
                    is_publish_held |= is_held || !has_room;
                    !is_publish_held
                }
            }
        })?;
        self.due -= 1;
        let next = self.inflight.get_mut(place)?;
        next.is_due = false;
        if !next.is_open {
            next.is_open = true;
            self.open += 1;
        }
        Some(next)
    }

    /// A PUBACK has come.
    pub(crate) fn acknowledged(&mut self, id: PacketId) -> Option<Inflight> {
        self.remove(|i| i.id == id && i.qos == Qos::AtLeastOnce && i.is_open)
    }

    /// A PUBREC has come; `is_refused` when it says that the message was not taken.
    pub(crate) fn received(&mut self, id: PacketId, is_refused: bool) -> Received {
        let found = self.inflight.iter_mut().find(|i| i.id == id && i.qos == Qos::ExactlyOnce && i.is_open);
        let Some(inflight) = found else { return Received::Unknown };
        if is_refused && inflight.stage == Stage::Published {
            return self.forget(id).map_or(Received::Unknown, Received::Refused);
        }
        if inflight.stage == Stage::Published {
            inflight.stage = Stage::Released;
            inflight.recording = Recording::Due;
            inflight.message = None;
        }
        if !inflight.is_due {
            inflight.is_due = true;
            self.due += 1;
        }
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
        self.open -= usize::from(removed.is_open);
        self.due -= usize::from(removed.is_due);
        Some(removed)
    }

    /// Messages in flight that must be read again, now that there is a connection.
    pub(crate) fn wanted(&self) -> Vec<(PacketId, TopicName, Offset)> {
        let unread = self.inflight.iter().filter(|i| i.stage == Stage::Published && i.message.is_none());
        unread.map(|i| (i.id, i.topic.clone(), i.offset)).collect()
    }

    /// A message in flight was read again, or is not there any more: then it is forgotten.
    pub(crate) fn found(&mut self, id: PacketId, message: Option<Arc<Message>>) -> Option<Inflight> {
        if message.is_none() {
            return self.forget(id);
        }
        if let Some(inflight) = self.inflight.iter_mut().find(|inflight| inflight.id == id) {
            inflight.message = message;
        }
        None
    }

    /// What is written down now is on its way to the disk.
    pub(crate) fn recording_began(&mut self) {
        for inflight in self.inflight.iter_mut().filter(|i| i.recording == Recording::Due) {
            inflight.recording = Recording::Underway;
        }
    }

    /// What was on its way to the disk is there.
    pub(crate) fn recorded(&mut self) {
        for inflight in self.inflight.iter_mut().filter(|i| i.recording == Recording::Underway) {
            inflight.recording = Recording::Done;
        }
    }

    /// Something waits until the disk knows of it.
    pub(crate) fn has_unrecorded(&self) -> bool {
        self.inflight.iter().any(|i| i.qos == Qos::ExactlyOnce && i.recording != Recording::Done)
    }

    /// Up to where the log need not be read again, if everything in flight is known.
    pub(crate) fn taken_through(&self) -> Offset {
        let pending = self.pending.iter().filter(|o| matches!(o.source, Source::Log) && o.qos > Qos::AtMostOnce);
        pending.map(|outgoing| outgoing.message.offset - 1).chain([self.cursor]).min().unwrap_or(self.cursor)
    }

    /// The connection is gone. What was taken from the log and not begun is left to the log; what
    /// came from elsewhere stays, or is returned if it belongs to a group.
    pub(crate) fn disconnect(&mut self) -> Vec<(Share, Arc<Message>)> {
        self.cursor = self.taken_through();
        self.is_behind = true;
        let mut returned = Vec::new();
        let mut kept = Vec::new();
        while let Some(outgoing) = self.pop() {
            match outgoing.source {
                Source::Log => {}
                Source::Shared(share) => returned.push((share, outgoing.message)),
                Source::Retained if outgoing.qos > Qos::AtMostOnce => kept.push(outgoing),
                Source::Retained => {}
            }
        }
        kept.into_iter().for_each(|outgoing| self.push(outgoing));
        for inflight in &mut self.inflight {
            inflight.is_repeated |= inflight.is_open;
            inflight.is_open = false;
            inflight.is_due = true;
            inflight.message = None;
            if inflight.recording == Recording::Underway {
                // Nobody is left to hear that it has arrived.
                inflight.recording = Recording::Due;
            }
        }
        self.due = self.inflight.len();
        self.open = 0;
        returned
    }

    /// The session has ended: what becomes of messages of groups that it had in flight.
    pub(crate) fn end(&mut self) -> Vec<Orphan> {
        let shared = self.inflight.drain(..).filter_map(|i| match i.source {
            Source::Shared(share) => Some(Orphan { share, topic: i.topic, offset: i.offset, qos: i.qos }),
            _ => None,
        });
        shared.collect()
    }
}

/// A message of a group whose session has ended before it was acknowledged. Quality 1 is for
/// another member; quality 2 may have arrived, and nobody else may have it.
#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) share: Share,
    pub(crate) topic: TopicName,
    pub(crate) offset: Offset,
    pub(crate) qos: Qos,
}

#[cfg(test)]
mod tests;
