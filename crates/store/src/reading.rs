//! Reading what was committed.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::{LogError, Message, Offset, RecordTable};

use crate::engine::{Engine, read_error};
use crate::layout;
use crate::record::{self, Place, Topics};
use crate::space::Space;

/// Messages at `offsets`, in ascending order, without those that are not kept.
pub(crate) fn read(engine: &Engine, space: &Space, offsets: &[Offset]) -> Result<Vec<Arc<Message>>, LogError> {
    // Neighbours share a block: in order, each block is looked up once while it is warm.
    let mut offsets = offsets.to_vec();
    offsets.sort_unstable();
    offsets.dedup();
    let mut topics = Topics::default();
    let mut messages = Vec::with_capacity(offsets.len());
    for offset in offsets {
        let key = layout::log_key(space.id, offset);
        if let Some(value) = engine.log.get(key).map_err(read_error)? {
            messages.push(Arc::new(decode(space, offset, &value, &mut topics)?));
        }
    }
    Ok(messages)
}

/// Visits all messages of the space, then all retained ones.
pub(crate) fn replay(engine: &Engine, space: &Space, visit: &mut dyn FnMut(Message, bool)) -> Result<(), LogError> {
    let mut topics = Topics::default();
    let prefix = space.id.to_be_bytes();
    for item in engine.log.prefix(prefix) {
        let (key, value) = item.into_inner().map_err(read_error)?;
        let offset = layout::offset_of(&key).ok_or_else(|| bad_key("log"))?;
        visit(decode(space, offset, &value, &mut topics)?, false);
    }
    for item in engine.retained.prefix(prefix) {
        let value = item.value().map_err(read_error)?;
        let (offset, record) = value.split_first_chunk().ok_or_else(|| bad_key("retained"))?;
        let offset = u64::from_be_bytes(*offset);
        visit(decode(space, offset, record, &mut topics)?, true);
    }
    Ok(())
}

/// All records of a table in ascending order of key.
pub(crate) fn records(engine: &Engine, table: RecordTable) -> Result<Vec<(Bytes, Bytes)>, LogError> {
    let prefix = [layout::table_code(table)];
    engine
        .records
        .prefix(prefix)
        .map(|item| {
            let (key, value) = item.into_inner().map_err(read_error)?;
            let key = key.get(prefix.len()..).unwrap_or_default();
            Ok((Bytes::copy_from_slice(key), Bytes::copy_from_slice(&value)))
        })
        .collect()
}

fn decode(space: &Space, offset: Offset, record: &[u8], topics: &mut Topics) -> Result<Message, LogError> {
    let place = Place { space: &space.name, epoch: space.epoch, offset };
    record::decode(record, place, topics).map_err(|what| {
        let name = &space.name;
        LogError::Damaged(format!("message {offset} of space {name}: {what}").into())
    })
}

fn bad_key(keyspace: &str) -> LogError {
    LogError::Damaged(format!("an entry of {keyspace} has an unknown form").into())
}
