//! Usage by day, kept across restarts.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfare_core::{Log, Millis};

use crate::TelemetryError;
use crate::meter::Totals;
use crate::tally::Tally;

/// Days that are kept; older ones go.
pub const DAYS_KEPT: u32 = 400;

/// The UTC day of a time, as days since 1970-01-01.
pub fn day_of(time: Millis) -> u32 {
    u32::try_from(time / 86_400_000).unwrap_or(u32::MAX)
}

/// Usage of one day, space and door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// Days since 1970-01-01, UTC.
    pub day: u32,
    /// The space.
    pub space: Arc<str>,
    /// The door.
    pub door: Arc<str>,
    /// What was counted.
    pub tally: Tally,
}

/// What was used on which day.
#[derive(Debug, Default)]
pub struct UsageBook {
    rows: BTreeMap<(u32, Arc<str>, Arc<str>), Tally>,
}

impl UsageBook {
    /// What earlier runs have kept.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn restore(_log: &dyn Log) -> Result<Self, TelemetryError> {
        Ok(Self::default())
    }

    /// Counts what is new in `totals` towards the day of `now`. To be called every few seconds:
    /// what two calls have between them counts for the day of the later one.
    pub fn take(&mut self, _totals: &Totals, _now: Millis) {}

    /// Queues what has changed towards the log.
    ///
    /// # Errors
    /// The log takes nothing now. What is still due goes with the next call.
    pub fn persist(&mut self, _log: &dyn Log) -> Result<(), TelemetryError> {
        Ok(())
    }

    /// Rows from `from_day` through `to_day`, in order of day, space and door.
    pub fn report(&self, from_day: u32, to_day: u32) -> Vec<UsageRow> {
        let days = self.rows.range((from_day, "".into(), "".into())..).take_while(|((day, ..), _)| *day <= to_day);
        let rows = days.map(|((day, space, door), tally)| UsageRow {
            day: *day,
            space: Arc::clone(space),
            door: Arc::clone(door),
            tally: tally.clone(),
        });
        rows.collect()
    }
}
