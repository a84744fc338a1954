//! How far durable rules have come, on disk: one small record for each.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::{Core, LogError, Position, RecordTable};
use hashbrown::HashMap;

/// Writes and reads the places of rules.
#[derive(Clone)]
pub(super) struct Cursors {
    core: Arc<Core>,
}

impl Cursors {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The places of all rules by name. A record that cannot be read counts as none.
    pub(super) fn read(&self) -> Result<HashMap<String, Position>, LogError> {
        let records = self.core.log().records(RecordTable::Rules)?;
        let place = |(key, value): (Bytes, Bytes)| {
            let name = String::from_utf8(key.to_vec()).ok()?;
            Some((name, std::str::from_utf8(&value).ok()?.parse().ok()?))
        };
        Ok(records.into_iter().filter_map(place).collect())
    }

    pub(super) fn put(&self, rule: &str, position: Position) {
        self.write(rule, Some(position.to_string().into()));
    }

    pub(super) fn forget(&self, rule: &str) {
        self.write(rule, None);
    }

    /// If it fails, a restart begins further back: nothing is lost by that.
    fn write(&self, rule: &str, value: Option<Bytes>) {
        if let Err(error) = self.core.log().put_record(RecordTable::Rules, rule.as_bytes(), value, None) {
            tracing::warn!(rule, %error, "the place of a rule could not be kept");
        }
    }
}
