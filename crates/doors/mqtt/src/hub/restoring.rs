//! Sessions of an earlier run take their places again.

use std::sync::Arc;

use fanfare_core::{Position, TopicName};
use fanfare_mqtt_codec::Qos;

use super::Hub;
use crate::ledger::{Restored, RestoredMessage, RestoredSession};
use crate::outbound::{Inflight, Outgoing, Source};
use crate::state::State;
use crate::sys::Counted;
use crate::will::Will;

pub(super) fn take_back(hub: &Arc<Hub>, restored: Restored) {
    let Restored { sessions, groups } = restored;
    let place = |name: &str, filter: &str| groups.iter().find(|(n, f, _)| n == name && f == filter).map(|g| g.2);
    let (count, now) = (sessions.len(), hub.now());
    for session in sessions {
        // Whoever was connected when the server went down has been away since now.
        let left_at = session.left_at.unwrap_or(now);
        let (state, will) = rebuild(hub, session, &place);
        let effects = hub.registry.restore(Box::new(state), will.map(Box::new), left_at);
        hub.carry_out(effects);
    }
    if count > 0 {
        tracing::info!(count, "sessions of an earlier run wait for their clients");
    }
}

fn rebuild(
    hub: &Arc<Hub>,
    session: RestoredSession,
    place: &dyn Fn(&str, &str) -> Option<Position>,
) -> (State, Option<Will>) {
    let RestoredSession { mut state, epoch, shares, inflight, waiting, will, left_at } = session;
    let head = hub.head();
    if left_at.is_none() {
        state.outbound.suspect_through = head.offset;
    }
    if epoch != head.epoch {
        state.outbound.cursor = head.offset;
    }
    state.outbound.is_behind = true;
    for (number, name) in shares {
        let filter = state.subscriptions[number].filter.clone();
        let since = place(&name, filter.as_str());
        let is_durable = state.is_durable();
        let share = hub.groups.join(hub, (&name, &filter), since, &state.client_id, None, is_durable);
        state.subscriptions[number].share = Some(share);
    }
    for subscription in &mut state.subscriptions {
        subscription.counted = Some(Counted::new(&hub.subscriptions));
        if state.expiry_s > 0 && subscription.qos > Qos::AtMostOnce {
            subscription.is_held = hub.gateway().core.hold(hub.space(), &subscription.filter).is_ok();
        }
    }
    let mut entries = Vec::new();
    for message in inflight {
        let source = source(&state, &message);
        if let Source::Shared(share) = &source {
            share.claim(&state.client_id, message.row.offset);
        }
        entries.extend(rebuild_inflight(message, source));
    }
    state.outbound.restore(entries);
    for message in &waiting {
        // Read again at once: there are few of them, and the log is not busy yet.
        if let Some(outgoing) = rebuild_waiting(hub, message) {
            state.outbound.push(outgoing);
        }
    }
    (state, will)
}

/// A message of a group that the session has left is nobody's but its own.
fn source(state: &State, message: &RestoredMessage) -> Source {
    let of_group = message.row.share.as_ref().and_then(|(name, filter)| {
        let shares = state.subscriptions.iter().filter_map(|subscription| subscription.share.as_ref());
        shares.into_iter().find(|share| share.name == *name && *share.filter.as_str() == **filter)
    });
    match of_group {
        Some(share) => Source::Shared(share.clone()),
        None if message.row.is_retained => Source::Retained,
        None => Source::Log,
    }
}

fn rebuild_inflight(message: RestoredMessage, source: Source) -> Option<Inflight> {
    let RestoredMessage { id, stage, row } = message;
    let (qos, topic) = (Qos::from_u8(row.qos)?, TopicName::new(&row.topic).ok()?);
    Some(Inflight::restored(id?, stage, qos, row.retain, row.ids, topic, row.offset, source))
}

fn rebuild_waiting(hub: &Hub, message: &RestoredMessage) -> Option<Outgoing> {
    let row = &message.row;
    let wanted = [(TopicName::new(&row.topic).ok()?, row.offset)];
    let message = hub.gateway().core.recall(hub.space(), &wanted).ok()?.pop()??;
    Some(Outgoing {
        message,
        qos: Qos::from_u8(row.qos)?,
        retain: row.retain,
        ids: row.ids.clone(),
        source: Source::Retained,
    })
}
