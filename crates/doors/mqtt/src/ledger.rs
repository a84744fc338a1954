//! Sessions on disk: small records beside the log, so that a restart finds every session where it stood.
//!
//! The key of a record is the client id, a zero byte (which no client id holds), and what it is:
//!
//! | kind | further key | holds |
//! |---|---|---|
//! | `m` | | expiry, subscriptions, will, and since when the client is away |
//! | `f` | | the cursor, what is in flight towards the client, and retained messages that wait |
//! | `r` | packet id | an id of quality 2 that the client has yet to release |
//! | `g` | filter | (under the name of a group instead of a client id, behind a zero byte) how far it has read |
//!
//! What is in flight is one record, written at most once in a turn however much was sent. Quality 2
//! waits for it, before PUBLISH and again before PUBREL; quality 1 does not: what a crash leaves out
//! of it is sent again.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fanfare_core::{
    Core, Done, Filter, Grant, Guarantee, Headers, Kind, LogError, Millis, Offset, Position, Principal, Record,
    RecordTable, TopicName,
};
use fanfare_mqtt_codec::{PacketId, Qos};
use serde::{Deserialize, Serialize};

use crate::outbound::{Inflight, Outgoing, Source, Stage};
use crate::state::{State, Subscription};
use crate::will::Will;

mod restore;

pub(crate) use restore::{Restored, RestoredMessage, RestoredSession};

/// Writes and reads the records.
pub(crate) struct Ledger {
    core: Arc<Core>,
}

#[derive(Serialize, Deserialize)]
struct MainRow {
    subject: Option<Box<str>>,
    expiry_s: u32,
    subscriptions: Vec<SubscriptionRow>,
    /// Absent while the client is connected.
    left_at: Option<Millis>,
    will: Option<WillRow>,
}

#[derive(Serialize, Deserialize)]
struct SubscriptionRow {
    text: Box<str>,
    qos: u8,
    no_local: bool,
    retain_as_published: bool,
    id: Option<u32>,
    since: Offset,
}

#[derive(Serialize, Deserialize)]
struct WillRow {
    topic: Box<str>,
    payload: String,
    kind: u8,
    guarantee: u8,
    retain: bool,
    delay_s: u32,
    expiry_s: Option<u32>,
    content_type: Option<Box<str>>,
    response_topic: Option<Box<str>>,
    correlation: Option<String>,
    is_utf8: Option<bool>,
    properties: Vec<(Box<str>, Box<str>)>,
}

#[derive(Serialize, Deserialize)]
struct CursorRow {
    epoch: u64,
    offset: Offset,
}

#[derive(Serialize, Deserialize)]
struct FlightRow {
    cursor: CursorRow,
    messages: Vec<MessageRow>,
}

#[derive(Serialize, Deserialize)]
struct MessageRow {
    /// 0 for one that waits.
    id: u16,
    is_released: bool,
    qos: u8,
    retain: bool,
    ids: Box<[u32]>,
    topic: Box<str>,
    offset: Offset,
    source: SourceRow,
}

#[derive(Serialize, Deserialize)]
enum SourceRow {
    Log,
    Retained,
    Shared { name: Box<str>, filter: Box<str> },
}

impl Ledger {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The session as a whole; `left_at` when the client is away.
    pub(crate) fn put_main(
        &self,
        state: &State,
        will: Option<&Will>,
        left_at: Option<Millis>,
        done: Option<Done>,
    ) -> bool {
        let row = MainRow {
            subject: state.subject.as_deref().map(Box::from),
            expiry_s: state.expiry_s,
            subscriptions: state.subscriptions.iter().map(subscription_row).collect(),
            left_at,
            will: will.map(will_row),
        };
        self.put(key(&state.client_id, b'm', &[]), Some(json(&row)), done)
    }

    /// How far the client has come, in the numbering `epoch`. `false` when the store took nothing,
    /// so that `done` is never called.
    pub(crate) fn put_flight(&self, state: &State, epoch: u64, done: Option<Done>) -> bool {
        let outbound = &state.outbound;
        let waiting = outbound.pending.iter().filter(|outgoing| matches!(outgoing.source, Source::Retained));
        let messages = outbound.inflight().map(inflight_row).chain(waiting.map(waiting_row));
        let row =
            FlightRow { cursor: CursorRow { epoch, offset: outbound.taken_through() }, messages: messages.collect() };
        self.put(key(&state.client_id, b'f', &[]), Some(json(&row)), done)
    }

    /// The record that the client has sent a message of quality 2 under this id; it goes with the message.
    pub(crate) fn received(client_id: &str, id: PacketId) -> Record {
        let key = key(client_id, b'r', &id.get().to_be_bytes()).into();
        Record { table: RecordTable::Sessions, key, value: Some(Bytes::new()) }
    }

    pub(crate) fn forget_received(&self, client_id: &str, id: PacketId, done: Option<Done>) -> bool {
        self.put(key(client_id, b'r', &id.get().to_be_bytes()), None, done)
    }

    /// The session is over.
    pub(crate) fn forget(&self, state: &State) {
        let client_id = &state.client_id;
        for id in &state.received {
            self.forget_received(client_id, *id, None);
        }
        self.put(key(client_id, b'f', &[]), None, None);
        // Nobody waits for it, but it shall be on disk soon: who has ended a session wants no more of it.
        self.put(key(client_id, b'm', &[]), None, Some(Box::new(|_| {})));
    }

    pub(crate) fn put_group(&self, name: &str, filter: &str, position: Position) {
        let row = CursorRow { epoch: position.epoch, offset: position.offset };
        self.put(group_key(name, filter), Some(json(&row)), None);
    }

    pub(crate) fn forget_group(&self, name: &str, filter: &str) {
        self.put(group_key(name, filter), None, None);
    }

    /// `false` when the store took nothing, so that `done` is never called.
    fn put(&self, key: Vec<u8>, value: Option<Bytes>, done: Option<Done>) -> bool {
        match self.core.log().put_record(RecordTable::Sessions, &key, value, done) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "a record of a session could not be kept");
                false
            }
        }
    }

    /// Every session and group that the store holds.
    ///
    /// # Errors
    /// The store cannot be read, or holds what was never written.
    pub(crate) fn restore(&self) -> Result<Restored, LogError> {
        let rows = self.core.log().records(RecordTable::Sessions)?;
        restore::restore(rows)
    }
}

fn key(client_id: &str, kind: u8, rest: &[u8]) -> Vec<u8> {
    [client_id.as_bytes(), &[0, kind], rest].concat()
}

fn group_key(name: &str, filter: &str) -> Vec<u8> {
    [&[0], name.as_bytes(), &[0, b'g'], filter.as_bytes()].concat()
}

fn json(row: &impl Serialize) -> Bytes {
    serde_json::to_vec(row).unwrap_or_default().into()
}

fn subscription_row(subscription: &Subscription) -> SubscriptionRow {
    SubscriptionRow {
        text: subscription.text.clone(),
        qos: subscription.qos.as_u8(),
        no_local: subscription.no_local,
        retain_as_published: subscription.retain_as_published,
        id: subscription.id,
        since: subscription.since,
    }
}

fn inflight_row(inflight: &Inflight) -> MessageRow {
    MessageRow {
        id: inflight.id.get(),
        is_released: inflight.stage == Stage::Released,
        qos: inflight.qos.as_u8(),
        retain: inflight.retain,
        ids: inflight.ids.clone(),
        topic: Box::from(&*inflight.topic),
        offset: inflight.offset,
        source: source_row(&inflight.source),
    }
}

fn waiting_row(outgoing: &Outgoing) -> MessageRow {
    MessageRow {
        id: 0,
        is_released: false,
        qos: outgoing.qos.as_u8(),
        retain: outgoing.retain,
        ids: outgoing.ids.clone(),
        topic: Box::from(&*outgoing.message.topic),
        offset: outgoing.message.offset,
        source: source_row(&outgoing.source),
    }
}

fn source_row(source: &Source) -> SourceRow {
    match source {
        Source::Log => SourceRow::Log,
        Source::Retained => SourceRow::Retained,
        Source::Shared(share) => SourceRow::Shared { name: share.name.clone(), filter: share.filter.as_str().into() },
    }
}

fn will_row(will: &Will) -> WillRow {
    let headers = will.headers.as_deref().cloned().unwrap_or_default();
    WillRow {
        topic: Box::from(&*will.topic),
        payload: STANDARD.encode(&will.payload),
        kind: will.kind.code(),
        guarantee: will.guarantee.code(),
        retain: will.retain,
        delay_s: will.delay_s,
        expiry_s: will.expiry_s,
        content_type: headers.content_type,
        response_topic: headers.response_topic,
        correlation: headers.correlation.map(|bytes| STANDARD.encode(bytes)),
        is_utf8: headers.is_utf8,
        properties: will.properties.clone(),
    }
}

/// The will of a session whose server was restarted. The right to it was checked when it was made.
fn will(row: WillRow, subject: Option<Arc<str>>) -> Option<Will> {
    let correlation = row.correlation.map(|text| STANDARD.decode(text)).transpose().ok()?;
    let headers = Headers {
        content_type: row.content_type,
        response_topic: row.response_topic,
        correlation: correlation.map(Bytes::from),
        is_utf8: row.is_utf8,
    };
    Some(Will {
        topic: TopicName::new(&row.topic).ok()?,
        payload: STANDARD.decode(row.payload).ok()?.into(),
        kind: Kind::from_code(row.kind)?,
        guarantee: Guarantee::from_code(row.guarantee)?,
        retain: row.retain,
        delay_s: row.delay_s,
        expiry_s: row.expiry_s,
        headers: (!headers.is_empty()).then(|| Box::new(headers)),
        properties: row.properties,
        principal: Arc::new(Principal { subject, ..Principal::anonymous(Grant::everything()) }),
    })
}

fn qos(code: u8) -> Option<Qos> {
    Qos::from_u8(code)
}

fn filter(text: &str) -> Option<Filter> {
    Filter::new(text).ok()
}

#[cfg(test)]
mod tests;
