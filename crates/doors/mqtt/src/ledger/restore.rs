//! From records to sessions.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::{LogError, Millis, Position};
use fanfare_mqtt_codec::{PacketId, check_filter};

use super::{CursorRow, FlightRow, MainRow, MessageRow, SourceRow, filter, qos, will};
use crate::outbound::Stage;
use crate::state::{State, Subscription};
use crate::will::Will;

/// What a restart finds.
#[derive(Default)]
pub(crate) struct Restored {
    pub(crate) sessions: Vec<RestoredSession>,
    /// Name, filter and place of every group.
    pub(crate) groups: Vec<(String, String, Position)>,
}

/// A session as its records tell.
pub(crate) struct RestoredSession {
    pub(crate) state: State,
    /// Numbering that its cursor belongs to.
    pub(crate) epoch: u64,
    /// Name of the group for each of the state's subscriptions that is shared, by place.
    pub(crate) shares: Vec<(usize, String)>,
    /// In the order of sending.
    pub(crate) inflight: Vec<RestoredMessage>,
    pub(crate) waiting: Vec<RestoredMessage>,
    pub(crate) will: Option<Will>,
    pub(crate) left_at: Option<Millis>,
}

/// A message that the session has yet to bring to its client.
pub(crate) struct RestoredMessage {
    /// `None` for one that waits.
    pub(crate) id: Option<PacketId>,
    pub(crate) stage: Stage,
    pub(crate) row: RestoredRow,
}

/// What is known of it.
pub(crate) struct RestoredRow {
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) ids: Box<[u32]>,
    pub(crate) topic: Box<str>,
    pub(crate) offset: u64,
    /// Name and filter of its group; `None` when it stands in the log or is retained.
    pub(crate) share: Option<(Box<str>, Box<str>)>,
    pub(crate) is_retained: bool,
}

pub(super) fn restore(rows: Vec<(Bytes, Bytes)>) -> Result<Restored, LogError> {
    let mut restored = Restored::default();
    let mut current: Option<Gathering> = None;
    for (key, value) in rows {
        let damaged = || damaged(&key);
        if key.first() == Some(&0) {
            restored.groups.push(group(&key, &value).ok_or_else(damaged)?);
            continue;
        }
        let (client_id, kind, rest) = split(&key).ok_or_else(damaged)?;
        if current.as_ref().is_none_or(|gathering| gathering.client_id != client_id) {
            restored.sessions.extend(finish(current.take())?);
            current = Some(Gathering { client_id: client_id.to_owned(), ..Gathering::default() });
        }
        if let Some(gathering) = &mut current {
            gathering.add(kind, rest, &value).ok_or_else(damaged)?;
        }
    }
    restored.sessions.extend(finish(current)?);
    Ok(restored)
}

fn damaged(key: &[u8]) -> LogError {
    LogError::Damaged(format!("a session's record has an unknown form: {:?}", key.escape_ascii().to_string()).into())
}

/// `None` for nothing, and for leftovers of a session that is over.
fn finish(gathering: Option<Gathering>) -> Result<Option<RestoredSession>, LogError> {
    let Some(mut gathering) = gathering else { return Ok(None) };
    let Some(main) = gathering.main.take() else { return Ok(None) };
    let key = super::key(&gathering.client_id, b'm', &[]);
    gathering.finish(main).map(Some).ok_or_else(|| damaged(&key))
}

fn split(key: &[u8]) -> Option<(&str, u8, &[u8])> {
    let zero = key.iter().position(|byte| *byte == 0)?;
    let (client_id, rest) = key.split_at(zero);
    let (kind, rest) = rest.get(1..)?.split_first()?;
    Some((std::str::from_utf8(client_id).ok()?, *kind, rest))
}

fn group(key: &[u8], value: &[u8]) -> Option<(String, String, Position)> {
    let (name, _, filter) = split(key.get(1..)?)?;
    let row: CursorRow = serde_json::from_slice(value).ok()?;
    let filter = std::str::from_utf8(filter).ok()?;
    Some((name.to_owned(), filter.to_owned(), Position { epoch: row.epoch, offset: row.offset }))
}

/// The records of one client, as they come.
#[derive(Default)]
struct Gathering {
    client_id: String,
    main: Option<MainRow>,
    flight: Option<FlightRow>,
    received: Vec<PacketId>,
}

impl Gathering {
    fn add(&mut self, kind: u8, rest: &[u8], value: &[u8]) -> Option<()> {
        let number = || Some(u16::from_be_bytes(rest.try_into().ok()?));
        match kind {
            b'm' => self.main = Some(serde_json::from_slice(value).ok()?),
            b'f' => self.flight = Some(serde_json::from_slice(value).ok()?),
            b'r' => self.received.push(PacketId::new(number()?)?),
            _ => return None,
        }
        Some(())
    }

    /// `None` when `main` holds what was never written.
    fn finish(self, main: MainRow) -> Option<RestoredSession> {
        let Self { client_id, flight, received, .. } = self;
        let FlightRow { cursor, messages } =
            flight.unwrap_or(FlightRow { cursor: CursorRow { epoch: 0, offset: 0 }, messages: Vec::new() });
        let (inflight, waiting) = messages.into_iter().map(message).partition(|message| message.id.is_some());
        let subject = main.subject.map(Arc::from);
        let mut state = State::new(client_id.into(), subject.clone(), main.expiry_s);
        let mut shares = Vec::new();
        for row in main.subscriptions {
            let parts = check_filter(&row.text).ok()?;
            let (filter, qos) = (filter(parts.filter)?, qos(row.qos)?);
            shares.extend(parts.group.map(|group| (state.subscriptions.len(), group.to_owned())));
            state.subscriptions.push(Subscription {
                filter,
                share: None,
                qos,
                no_local: row.no_local,
                retain_as_published: row.retain_as_published,
                id: row.id,
                since: row.since,
                number: None,
                is_held: false,
                counted: None,
                text: row.text,
            });
        }
        state.outbound.cursor = cursor.offset;
        state.received.extend(received);
        state.is_recorded = true;
        let will = match main.will {
            Some(row) => Some(will(row, subject)?),
            None => None,
        };
        Some(RestoredSession { state, epoch: cursor.epoch, shares, inflight, waiting, will, left_at: main.left_at })
    }
}

fn message(row: MessageRow) -> RestoredMessage {
    let stage = if row.is_released { Stage::Released } else { Stage::Published };
    let is_retained = matches!(row.source, SourceRow::Retained);
    let share = match row.source {
        SourceRow::Shared { name, filter } => Some((name, filter)),
        SourceRow::Log | SourceRow::Retained => None,
    };
    let MessageRow { id, qos, retain, ids, topic, offset, .. } = row;
    let row = RestoredRow { qos, retain, ids, topic, offset, share, is_retained };
    RestoredMessage { id: PacketId::new(id), stage, row }
}
