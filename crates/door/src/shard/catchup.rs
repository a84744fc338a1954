//! From a position to now: resume, first history and falling behind are one piece of code.

use std::sync::Arc;

use fanfare_core::{HistoryPage, Offset, Position, Refusal, Since, Subscriber};

use super::Shard;
use crate::address::ConnectionId;
use crate::contract::{Happening, Outgoing};
use crate::inbox::Command;

/// Messages and bytes that one step sends.
const PAGE_MESSAGES: usize = 64;
const PAGE_BYTES: usize = 64 << 10;

impl Shard {
    /// One step for every connection that is catching up and has room.
    pub(super) fn catch_up(&mut self) {
        for slot in std::mem::take(&mut self.catching) {
            self.catch_up_one(slot);
        }
    }

    fn catch_up_one(&mut self, slot: u32) {
        let Some(connection) = self.slots[slot as usize].connection.as_deref_mut() else { return };
        if !connection.is_open() || connection.backlog.is_some() {
            return;
        }
        let Some(catch_up) = connection.extras.as_mut().and_then(|extras| extras.catch_ups.front_mut()) else { return };
        if catch_up.is_reading {
            return;
        }
        let (id, after) = (catch_up.subscription, catch_up.after);
        let Some(subscription) = connection.subscription(id) else {
            self.finish_catch_up(slot);
            return;
        };
        let (space, filter) = (subscription.space.clone(), subscription.filter.clone());
        match self.gateway.core.page(&space, &filter, after, PAGE_MESSAGES, PAGE_BYTES, true) {
            Ok(Some(page)) => self.take_page(slot, id, after, page),
            Ok(None) => self.read_page(slot, id, space, filter, after),
            Err(refusal) => self.fail_catch_up(slot, id, &refusal),
        }
    }

    /// The page stands in the log: a task reads it.
    fn read_page(
        &mut self,
        slot: u32,
        subscription: u16,
        space: Arc<str>,
        filter: fanfare_core::Filter,
        after: Offset,
    ) {
        if let Some(catch_up) = self.connection_mut(slot).extras().catch_ups.front_mut() {
            catch_up.is_reading = true;
        }
        let (gateway, inbox, connection) = (self.gateway.clone(), self.inbox.clone(), self.id_of(slot));
        self.gateway.tasks.spawn_blocking(move || {
            let page = gateway.core.page(&space, &filter, after, PAGE_MESSAGES, PAGE_BYTES, false);
            inbox.command(Command::Page { connection, subscription, page });
        });
    }

    pub(super) fn on_page(
        &mut self,
        connection: ConnectionId,
        subscription: u16,
        page: Result<Option<HistoryPage>, Refusal>,
    ) {
        let Some(slot) = self.find(connection) else { return };
        let front = self.connection_mut(slot).extras().catch_ups.front_mut();
        let Some(catch_up) = front.filter(|c| c.subscription == subscription && c.is_reading) else { return };
        catch_up.is_reading = false;
        let after = catch_up.after;
        match page {
            Ok(Some(page)) => self.take_page(slot, subscription, after, page),
            Ok(None) => self.catching.push(slot),
            Err(refusal) => self.fail_catch_up(slot, subscription, &refusal),
        }
    }

    fn take_page(&mut self, slot: u32, id: u16, after: Offset, page: HistoryPage) {
        let front = self.connection_mut(slot).extras().catch_ups.front();
        if page.has_gap && front.is_some_and(|catch_up| !catch_up.is_from_beginning) {
            self.tell_open(slot, Happening::Gap { subscription: id });
        }
        for message in &page.messages {
            self.send_outgoing(slot, id, Outgoing::Message(message), message);
        }
        let next = page.next.max(after);
        if let Some(catch_up) = self.connection_mut(slot).extras().catch_ups.front_mut() {
            catch_up.after = next;
        }
        if page.is_head {
            self.go_live(slot, id, next);
        } else {
            self.catching.push(slot);
        }
    }

    /// The past is sent: join the present, unless it has moved on by more than a step.
    fn go_live(&mut self, slot: u32, id: u16, after: Offset) {
        let connection = self.connection_mut(slot);
        let principal = connection.principal.clone();
        let Some(subscription) = connection.subscription(id) else { return };
        let (space, filter) = (subscription.space.clone(), subscription.filter.clone());
        let (wants_presence, is_tracked) = (subscription.wants_presence, subscription.is_tracked);
        let since = match self.gateway.core.head(&space) {
            Ok(head) if after > 0 => Since::After(Position { epoch: head.epoch, offset: after }),
            _ => Since::Beginning,
        };
        let joined = match self.join(&principal, &space, &filter, since) {
            Ok(joined) => joined,
            Err(refusal) => return self.fail_catch_up(slot, id, &refusal),
        };
        if joined.recovered == Some(false) {
            self.tell_open(slot, Happening::Gap { subscription: id });
        }
        for message in &joined.messages {
            self.send_outgoing(slot, id, Outgoing::Message(message), message);
        }
        if joined.behind.is_some() {
            self.catching.push(slot);
            return;
        }
        self.roster.add(&space, &filter, Subscriber { connection: slot, subscription: id, wants_presence, is_tracked });
        if let Some(subscription) = self.connection_mut(slot).subscription(id) {
            subscription.is_live = true;
        }
        self.finish_catch_up(slot);
    }

    fn finish_catch_up(&mut self, slot: u32) {
        let catch_ups = &mut self.connection_mut(slot).extras().catch_ups;
        catch_ups.pop_front();
        if !catch_ups.is_empty() {
            self.catching.push(slot);
        }
    }

    /// Its log cannot be read: the session hears of a gap and that the subscription has ended.
    fn fail_catch_up(&mut self, slot: u32, id: u16, refusal: &Refusal) {
        tracing::warn!(connection = ?self.id_of(slot), %refusal, "a subscription could not catch up");
        self.finish_catch_up(slot);
        self.tell_open(slot, Happening::Gap { subscription: id });
        self.tell_open(slot, Happening::Unsubscribed { subscription: id });
        self.drop_subscription(slot, id, false);
    }
}
