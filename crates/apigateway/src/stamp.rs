//! Points in time as events and answers write them. Both are UTC.

use std::fmt;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Milliseconds since 1970, written as `07/Feb/2025:09:05:03 +0000`.
#[derive(Clone, Copy)]
pub(crate) struct LogTime(pub(crate) u64);

impl fmt::Display for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = date_time(self.0);
        let month = MONTHS[usize::from(u8::from(at.month())) - 1];
        let (day, year, hour, minute, second) = (at.day(), at.year(), at.hour(), at.minute(), at.second());
        write!(f, "{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
    }
}

impl Serialize for LogTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Milliseconds since 1970, written as `2025-02-07T09:05:03.001Z`.
#[derive(Clone, Copy)]
pub(crate) struct IsoTime(pub(crate) u64);

impl fmt::Display for IsoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = date_time(self.0);
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        let (hour, minute, second, ms) = (at.hour(), at.minute(), at.second(), self.0 % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

impl Serialize for IsoTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Times beyond the year 9999 become 1970: no clock says so, and nothing is to fail for one.
fn date_time(at_ms: u64) -> OffsetDateTime {
    let seconds = i64::try_from(at_ms / 1_000).unwrap_or(0);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_have_all_their_digits() {
        let at_ms = 1_738_919_103_001;
        assert_eq!(LogTime(at_ms).to_string(), "07/Feb/2025:09:05:03 +0000");
        assert_eq!(IsoTime(at_ms).to_string(), "2025-02-07T09:05:03.001Z");
        assert_eq!(LogTime(951_827_696_789).to_string(), "29/Feb/2000:12:34:56 +0000");
        assert_eq!(IsoTime(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(LogTime(u64::MAX).to_string(), "01/Jan/1970:00:00:00 +0000");
    }
}
