//! What of a client's conversation outlives its connection.

use std::collections::BTreeSet;
use std::sync::Arc;

use fanfare_core::{Filter, FilterSet, Message, Millis, Offset};
use fanfare_mqtt_codec::{PacketId, Qos};

use crate::groups::Share;
use crate::iot::lifecycle::Ending;
use crate::outbound::Outbound;
use crate::sys::Counted;
use crate::translate::quality;

/// A subscription as the client made it.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    /// As the client wrote it, `$share/name/` and all.
    pub(crate) text: Box<str>,
    pub(crate) filter: Filter,
    /// The group it belongs to, when it is shared.
    pub(crate) share: Option<Share>,
    pub(crate) qos: Qos,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) id: Option<u32>,
    /// Only messages after this are for it.
    pub(crate) since: Offset,
    /// Its number on the present connection.
    pub(crate) number: Option<u16>,
    /// The core keeps messages for it.
    pub(crate) is_held: bool,
    /// For the count of all of them; absent until it has a place in a session.
    pub(crate) counted: Option<Counted>,
}

/// How a message is to be sent, after all subscriptions that match were asked.
#[derive(Debug, Default)]
pub(crate) struct Match {
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) ids: Vec<u32>,
}

/// A session's state.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) client_id: Arc<str>,
    /// Whose session it is; nobody else may take it over.
    pub(crate) subject: Option<Arc<str>>,
    /// How long it outlives the connection, in seconds; `u32::MAX` is for ever.
    pub(crate) expiry_s: u32,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) outbound: Outbound,
    /// The ledger holds something of it.
    pub(crate) is_recorded: bool,
    /// Ids of messages of quality 2 that were taken and not released.
    pub(crate) received: BTreeSet<PacketId>,
    /// When and why its last connection ended, if that was in this run.
    pub(crate) left: Option<(Millis, Ending)>,
}

impl State {
    pub(crate) fn new(client_id: Arc<str>, subject: Option<Arc<str>>, expiry_s: u32) -> Self {
        let (subscriptions, outbound, received) = Default::default();
        Self { client_id, subject, expiry_s, subscriptions, outbound, is_recorded: false, received, left: None }
    }

    /// It outlives its connection, so that the ledger must know of it.
    pub(crate) fn is_durable(&self) -> bool {
        self.expiry_s > 0
    }

    pub(crate) fn find(&self, text: &str) -> Option<usize> {
        self.subscriptions.iter().position(|subscription| *subscription.text == *text)
    }

    /// Filters of the subscriptions whose messages are taken from the log.
    pub(crate) fn filters(&self) -> FilterSet {
        let from_log = |s: &&Subscription| s.share.is_none() && s.qos > Qos::AtMostOnce;
        self.subscriptions.iter().filter(from_log).map(|s| &s.filter).collect()
    }

    /// What the subscriptions with these numbers say of a message that the driver brings.
    pub(crate) fn match_numbers(&self, numbers: &[u16], message: &Message) -> Option<Match> {
        let subscriptions = self.subscriptions.iter().filter(|s| s.number.is_some_and(|n| numbers.contains(&n)));
        self.combine(subscriptions, message)
    }

    /// What all subscriptions together say of a message that was read from the log.
    pub(crate) fn match_topic(&self, message: &Message) -> Option<Match> {
        let is_for =
            |s: &&Subscription| s.share.is_none() && s.since < message.offset && s.filter.matches(&message.topic);
        self.combine(self.subscriptions.iter().filter(is_for), message)
    }

    /// One copy for all of them: the best quality, and every identifier.
    fn combine<'a>(&self, subscriptions: impl Iterator<Item = &'a Subscription>, message: &Message) -> Option<Match> {
        let is_own = message.origin.as_deref() == Some(&*self.client_id);
        let mut combined: Option<Match> = None;
        for subscription in subscriptions.filter(|s| !(s.no_local && is_own)) {
            let combined = combined.get_or_insert_default();
            combined.qos = combined.qos.max(subscription.qos);
            combined.retain |= subscription.retain_as_published && message.is_retained;
            combined.ids.extend(subscription.id);
        }
        if let Some(combined) = &mut combined {
            combined.qos = combined.qos.min(quality(message));
        }
        combined
    }
}

#[cfg(test)]
mod tests;
