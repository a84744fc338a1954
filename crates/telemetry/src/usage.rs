//! Usage by day, kept across restarts as small records beside the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::{Log, LogError, Millis, RecordTable};

use crate::meter::{OTHER_SPACE, Totals};
use crate::tally::Tally;

/// Days that are kept: the newest ones on which something was counted. Not those since a date, so
/// that a clock which is wrong for a moment erases nothing.
pub const DAYS_KEPT: usize = 400;

/// Most rows of one day; beyond it new spaces are summed under [`OTHER_SPACE`].
pub const DAY_ROWS_MAX: usize = 1_000;

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

/// A space and a door.
type Row = (Arc<str>, Arc<str>);
type Day = BTreeMap<Row, Tally>;

/// What was used on which day. Owned by whoever calls it every few seconds; a crash loses what was
/// counted since it was persisted last.
#[derive(Debug, Default)]
pub struct UsageBook {
    days: BTreeMap<u32, Day>,
    /// The totals up to which everything stands in a day.
    counted: Totals,
    /// Rows that the log does not have as they are now.
    due: BTreeSet<(u32, Arc<str>, Arc<str>)>,
}

impl UsageBook {
    /// What earlier runs have kept. A record that cannot be read is left out and logged: usage
    /// must not keep a server from starting.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn restore(log: &dyn Log) -> Result<Self, LogError> {
        let mut book = Self::default();
        for (key, value) in log.records(RecordTable::Usage)? {
            match read_record(&key, &value) {
                Some((day, row, tally)) => drop(book.days.entry(day).or_default().insert(row, tally)),
                None => tracing::warn!(key = %key.escape_ascii(), "a usage record cannot be read; it is left out"),
            }
        }
        book.forget();
        Ok(book)
    }

    /// Counts what is new in `totals` towards the day of `now`. What came between two calls counts
    /// for the day of the later one.
    pub fn take(&mut self, totals: &Totals, now: Millis) {
        let number = day_of(now);
        for ((space, door), tally) in totals {
            let before = self.counted.entry((Arc::clone(space), door)).or_default();
            if before == tally {
                continue;
            }
            let more = tally.since(before);
            before.clone_from(tally);
            let day = self.days.entry(number).or_default();
            let mut row = (Arc::clone(space), Arc::from(*door));
            if day.len() >= DAY_ROWS_MAX && !day.contains_key(&row) {
                row.0 = OTHER_SPACE.into();
            }
            day.entry(row.clone()).or_default().add(&more);
            self.due.insert((number, row.0, row.1));
        }
        self.forget();
    }

    fn forget(&mut self) {
        while self.days.len() > DAYS_KEPT {
            let Some((number, day)) = self.days.pop_first() else { return };
            self.due.extend(day.into_keys().map(|(space, door)| (number, space, door)));
        }
    }

    /// Queues what has changed towards the log.
    ///
    /// # Errors
    /// The log takes nothing now. What is still due goes with the next call.
    pub fn persist(&mut self, log: &dyn Log) -> Result<(), LogError> {
        while let Some((number, space, door)) = self.due.first().cloned() {
            let tally = self.days.get(&number).and_then(|day| day.get(&(Arc::clone(&space), Arc::clone(&door))));
            let value = tally.and_then(|tally| serde_json::to_vec(tally).ok()).map(Bytes::from);
            log.put_record(RecordTable::Usage, &record_key(number, &space, &door), value, None)?;
            self.due.pop_first();
        }
        Ok(())
    }

    /// Rows from `from_day` through `to_day`, in order of day, space and door.
    pub fn report(&self, from_day: u32, to_day: u32) -> Vec<UsageRow> {
        if from_day > to_day {
            return Vec::new();
        }
        let rows = self.days.range(from_day..=to_day).flat_map(|(number, day)| {
            day.iter().map(|((space, door), tally)| UsageRow {
                day: *number,
                space: Arc::clone(space),
                door: Arc::clone(door),
                tally: tally.clone(),
            })
        });
        rows.collect()
    }
}

/// `day/space/door`: the day has a fixed width so that records stand in its order, and the door
/// holds no `/`, whatever the space holds.
fn record_key(day: u32, space: &str, door: &str) -> Vec<u8> {
    format!("{day:010}/{space}/{door}").into_bytes()
}

fn read_record(key: &[u8], value: &[u8]) -> Option<(u32, Row, Tally)> {
    let (day, row) = std::str::from_utf8(key).ok()?.split_once('/')?;
    let (space, door) = row.rsplit_once('/')?;
    Some((day.parse().ok()?, (space.into(), door.into()), serde_json::from_slice(value).ok()?))
}

#[cfg(test)]
mod tests {
    use fanfare_core::{Done, LogBatch, Message, Offset, RecoveredSpace};
    use parking_lot::Mutex;

    use super::*;

    /// A log that keeps records and nothing else.
    #[derive(Default)]
    struct Records {
        kept: Mutex<BTreeMap<Vec<u8>, Bytes>>,
        writes_left: Mutex<Option<usize>>,
    }

    impl Log for Records {
        fn is_durable(&self) -> bool {
            true
        }

        fn failure(&self) -> Option<LogError> {
            None
        }

        fn open_space(&self, _: &Arc<str>) -> Result<RecoveredSpace, LogError> {
            Ok(RecoveredSpace::default())
        }

        fn spaces(&self) -> Result<Vec<Arc<str>>, LogError> {
            Ok(Vec::new())
        }

        fn replay(&self, _: &str, _: &mut dyn FnMut(Message, bool)) -> Result<(), LogError> {
            Ok(())
        }

        fn append(&self, _: LogBatch) -> Result<(), LogError> {
            Ok(())
        }

        fn read(&self, _: &str, _: &[Offset]) -> Result<Vec<Arc<Message>>, LogError> {
            Ok(Vec::new())
        }

        fn put_record(
            &self,
            _: RecordTable,
            key: &[u8],
            value: Option<Bytes>,
            _: Option<Done>,
        ) -> Result<(), LogError> {
            if let Some(left) = &mut *self.writes_left.lock() {
                *left = left.checked_sub(1).ok_or(LogError::QueueFull)?;
            }
            match value {
                Some(value) => drop(self.kept.lock().insert(key.to_vec(), value)),
                None => drop(self.kept.lock().remove(key)),
            }
            Ok(())
        }

        fn records(&self, _: RecordTable) -> Result<Vec<(Bytes, Bytes)>, LogError> {
            Ok(self.kept.lock().iter().map(|(key, value)| (key.clone().into(), value.clone())).collect())
        }

        fn flush(&self) -> Result<(), LogError> {
            Ok(())
        }

        fn disk_bytes(&self) -> u64 {
            0
        }
    }

    const DAY_MS: Millis = 86_400_000;

    fn totals(rows: &[(&str, u64)]) -> Totals {
        let tally = |messages_in| Tally { messages_in, ..Tally::default() };
        rows.iter().map(|(space, count)| ((Arc::from(*space), "native"), tally(*count))).collect()
    }

    fn report(book: &UsageBook) -> Vec<(u32, String, u64)> {
        let rows = book.report(0, u32::MAX).into_iter();
        rows.map(|row| (row.day, row.space.to_string(), row.tally.messages_in)).collect()
    }

    #[test]
    fn totals_that_grow_are_split_by_day() {
        let mut book = UsageBook::default();
        book.take(&totals(&[("a", 5)]), 10 * DAY_MS);
        book.take(&totals(&[("a", 7), ("b", 1)]), 11 * DAY_MS - 1);
        book.take(&totals(&[("a", 7), ("b", 4)]), 11 * DAY_MS);
        assert_eq!(report(&book), [(10, "a".into(), 7), (10, "b".into(), 1), (11, "b".into(), 3)]);
        assert_eq!(book.report(11, 11).len(), 1);
        assert_eq!(book.report(12, 11), []);
    }

    #[test]
    fn a_restart_goes_on_with_the_same_day() {
        let log = Records::default();
        let mut book = UsageBook::restore(&log).unwrap();
        book.take(&totals(&[("a/b", 5)]), DAY_MS);
        book.persist(&log).unwrap();
        let mut book = UsageBook::restore(&log).unwrap();
        assert_eq!(report(&book), [(1, "a/b".into(), 5)]);
        // The meters of a new process begin at nothing.
        book.take(&totals(&[("a/b", 2)]), DAY_MS + 1);
        book.persist(&log).unwrap();
        assert_eq!(report(&UsageBook::restore(&log).unwrap()), [(1, "a/b".into(), 7)]);
    }

    #[test]
    fn what_the_log_refused_goes_with_the_next_call() {
        let log = Records::default();
        let mut book = UsageBook::default();
        book.take(&totals(&[("a", 1), ("b", 2), ("c", 3)]), 0);
        *log.writes_left.lock() = Some(2);
        assert_eq!(book.persist(&log), Err(LogError::QueueFull));
        *log.writes_left.lock() = Some(1);
        book.persist(&log).unwrap();
        assert_eq!(report(&UsageBook::restore(&log).unwrap()), report(&book));
        *log.writes_left.lock() = Some(0);
        book.persist(&log).unwrap();
    }

    #[test]
    fn the_oldest_days_go() {
        let log = Records::default();
        let mut book = UsageBook::default();
        for day in 0..DAYS_KEPT as u64 + 3 {
            book.take(&totals(&[("a", day + 1)]), day * DAY_MS);
            book.persist(&log).unwrap();
        }
        let rows = report(&UsageBook::restore(&log).unwrap());
        assert_eq!((rows.len(), rows[0].0), (DAYS_KEPT, 3));
    }

    #[test]
    fn a_day_has_a_bounded_number_of_rows() {
        let names: Vec<_> = (0..DAY_ROWS_MAX + 30).map(|n| format!("s{n:05}")).collect();
        let rows: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let mut book = UsageBook::default();
        book.take(&totals(&rows), 0);
        let rows = report(&book);
        assert_eq!(rows.len(), DAY_ROWS_MAX + 1);
        assert!(rows.contains(&(0, OTHER_SPACE.into(), 30)));
    }

    #[test]
    fn a_damaged_record_is_left_out() {
        let log = Records::default();
        let put = |key: &[u8], value: &'static str| {
            log.put_record(RecordTable::Usage, key, Some(value.into()), None).unwrap();
        };
        put(b"0000000001/a/native", r#"{"messages_in":4,"of_a_later_version":1}"#);
        put(b"0000000001/b/native", "{");
        put(b"nonsense", "{}");
        put(b"\xff", "{}");
        assert_eq!(report(&UsageBook::restore(&log).unwrap()), [(1, "a".into(), 4)]);
    }
}
