//! The end of a turn: one write to every touched connection.

use std::io;

use fanfare_core::SlowConsumer;

use super::{Due, DueWhat, Shard};
use crate::connection::Phase;
use crate::contract::Goodbye;
use crate::outbox::Backlog;

impl Shard {
    /// Writes what this turn has for each connection, and ends those that cannot be served.
    pub(super) fn flush(&mut self) {
        if !self.fanout.has_output() {
            return;
        }
        self.write_out();
        if !self.endings.is_empty() {
            self.settle();
            self.flush();
        }
    }

    /// Writes. What a socket does not take waits in the connection's backlog until it is writable
    /// again. Nothing is ended: this may be in the middle of a session's turn, whose connection
    /// must last, or of a join, which holds its space locked.
    pub(super) fn write_out(&mut self) {
        let dirty = self.fanout.take_dirty();
        let mut scratch = std::mem::take(&mut self.scratch);
        for slot in &dirty {
            if let Err(error) = self.flush_one(*slot, &mut scratch) {
                tracing::debug!(connection = ?self.id_of(*slot), %error, "writing failed");
                self.destroy_later.push((*slot, self.generation_of(*slot)));
            }
            self.fanout.mark_clean(*slot);
        }
        self.scratch = scratch;
        self.fanout.end_turn(dirty);
    }

    fn flush_one(&mut self, slot: u32, scratch: &mut Vec<u8>) -> io::Result<()> {
        let Some(connection) = self.slots[slot as usize].connection.as_deref_mut() else { return Ok(()) };
        let mut written = 0;
        if connection.backlog.is_none() {
            let output = self.fanout.output(slot, scratch);
            // Control frames (RFC 6455, 5.5) are no data.
            if output.first().is_some_and(|first| first & 0x08 == 0) {
                connection.sent_at = self.now;
            }
            written = match connection.link.write(output) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            if written == output.len() {
                if connection.is_closing() {
                    self.after_last_write(slot);
                }
                return Ok(());
            }
        }
        self.put_in_backlog(slot, written);
        Ok(())
    }

    fn put_in_backlog(&mut self, slot: u32, written: usize) {
        let now = self.now;
        let Some(connection) = self.slots[slot as usize].connection.as_deref_mut() else { return };
        if connection.is_open() && connection.backlog.as_ref().is_some_and(|b| b.is_given_up) {
            return;
        }
        let is_new = connection.backlog.is_none();
        let backlog = connection.backlog.get_or_insert_with(|| Box::new(Backlog::new(now)));
        let mut skip = written;
        self.fanout.for_each_frame(slot, &mut |bytes, topic| {
            if skip >= bytes.len() {
                skip -= bytes.len();
            } else {
                backlog.push(bytes, skip, topic);
                skip = 0;
            }
        });
        let waiting = backlog.bytes();
        if is_new {
            let generation = self.slots[slot as usize].generation;
            self.wheel.add(now + self.limits.outbox_age_ms, Due { slot, generation, what: DueWhat::Backlog });
        }
        if waiting > self.limits.outbox_bytes {
            self.relieve(slot);
        }
    }

    /// The outbox is over its bound: apply the rule of the connection's space.
    fn relieve(&mut self, slot: u32) {
        let bytes_max = self.limits.outbox_bytes;
        let Some(connection) = self.slots[slot as usize].connection.as_deref_mut() else { return };
        if connection.is_closing() {
            return;
        }
        let space = connection.subscriptions.first().map(|s| s.space.clone());
        let rule = match &space {
            Some(space) => self.gateway.core.space_settings(space).slow_consumer,
            None => SlowConsumer::Disconnect,
        };
        let door = self.gateway.doors[connection.door as usize].name();
        let dropped = connection.backlog.as_mut().and_then(|backlog| backlog.relieve(rule, bytes_max));
        match dropped {
            Some(count) => {
                if let Some(space) = space {
                    self.meter.row(&space, door).dropped += count;
                }
            }
            None => self.give_up_on(slot),
        }
    }

    /// The connection reads too slowly: what waits is dropped, and it is told where it stands.
    fn give_up_on(&mut self, slot: u32) {
        if let Some(backlog) = &mut self.connection_mut(slot).backlog {
            backlog.is_given_up = true;
        }
        self.gateway.metrics.limit("outbox");
        self.endings.push((slot, self.generation_of(slot), Goodbye::SlowConsumer));
    }

    /// The backlog's age is looked at when it began and as long as it lasts.
    pub(super) fn on_backlog_due(&mut self, slot: u32) {
        let (now, age_max) = (self.now, self.limits.outbox_age_ms);
        let Some(connection) = self.slots[slot as usize].connection.as_deref_mut() else { return };
        let Some(backlog) = &connection.backlog else { return };
        let stuck_ms = backlog.stuck_ms(now);
        if stuck_ms < age_max {
            let generation = self.slots[slot as usize].generation;
            self.wheel.add(now + age_max - stuck_ms, Due { slot, generation, what: DueWhat::Backlog });
        } else if !connection.is_closing() {
            self.give_up_on(slot);
        }
    }

    /// The socket takes bytes again.
    pub(super) fn on_writable(&mut self, slot: u32) {
        let now = self.now;
        let mut scratch = std::mem::take(&mut self.scratch);
        let Some(connection) = self.slots[slot as usize].connection.as_deref_mut() else { return };
        let done = match connection.backlog.as_mut() {
            Some(backlog) => backlog.write_to(&mut connection.link, &mut scratch, now),
            None if connection.link.wants_write() => connection
                .link
                .flush()
                .map(|()| true)
                .or_else(|error| if error.kind() == io::ErrorKind::WouldBlock { Ok(false) } else { Err(error) }),
            None => Ok(true),
        };
        self.scratch = scratch;
        match done {
            Ok(false) => {}
            Ok(true) => {
                let had_backlog = connection.backlog.take().is_some();
                let is_closing = matches!(connection.phase, Phase::Closing);
                if had_backlog && connection.extras.as_ref().is_some_and(|e| e.awaits_clear) {
                    self.clearing.push(slot);
                }
                if had_backlog && connection.extras.as_ref().is_some_and(|e| !e.catch_ups.is_empty()) {
                    self.catching.push(slot);
                }
                if is_closing {
                    self.after_last_write(slot);
                }
            }
            Err(error) => {
                tracing::debug!(connection = ?self.id_of(slot), %error, "writing failed");
                self.destroy(slot);
            }
        }
    }
}
