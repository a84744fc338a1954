//! Times as signatures spell them.

use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc2822;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const BASIC: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");

/// `20260102T030405Z`, or `None` beyond the year 9999.
pub(crate) fn format_basic(ms: u64) -> Option<String> {
    let seconds = i64::try_from(ms / 1000).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(BASIC).ok()
}

/// For messages: the time, or its number when it has no spelling.
pub(crate) fn show(ms: u64) -> String {
    format_basic(ms).unwrap_or_else(|| format!("{ms} ms"))
}

/// Reads `20260102T030405Z`, nothing else. Milliseconds since the Unix epoch.
pub(crate) fn parse_basic(text: &str) -> Option<u64> {
    // The format alone would take signs and spaces.
    let is_plain = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'T' | b'Z'));
    let time = is_plain.then(|| PrimitiveDateTime::parse(text, BASIC).ok())??;
    to_ms(time.assume_utc())
}

/// Reads a `Date` header: the basic form, or that of mail and HTTP.
pub(crate) fn parse_date_header(text: &str) -> Option<u64> {
    parse_basic(text).or_else(|| to_ms(OffsetDateTime::parse(text, &Rfc2822).ok()?))
}

fn to_ms(time: OffsetDateTime) -> Option<u64> {
    u64::try_from(time.unix_timestamp()).ok()?.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        assert_eq!(parse_basic("20260102T030405Z"), Some(1_767_323_045_000));
        assert_eq!(format_basic(1_767_323_045_999).as_deref(), Some("20260102T030405Z"));
        assert_eq!(parse_date_header("Fri, 02 Jan 2026 03:04:05 GMT"), Some(1_767_323_045_000));
        assert_eq!(parse_date_header("Fri, 02 Jan 2026 03:04:05 -0000"), Some(1_767_323_045_000));
        for wrong in ["", "2026-01-02", "20260102T030405", "20261302T030405Z", "19690101T000000Z", "+2026102T030405Z"] {
            assert_eq!(parse_basic(wrong), None, "{wrong}");
        }
        assert_eq!(format_basic(u64::MAX), None);
    }
}
