//! The event as patterns and targets see it.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// One event in its envelope. Serialises with the members in the usual order:
/// `version`, `id`, `detail-type`, `source`, `account`, `time`, `region`,
/// `resources`, `detail`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    version: Version,
    /// Unique name of this event.
    pub id: String,
    /// What kind of event it is.
    #[serde(rename = "detail-type")]
    pub detail_type: String,
    /// Who speaks: `shop.tickets`.
    pub source: String,
    /// The account number, twelve digits.
    pub account: String,
    /// When it happened, in UTC to the second: `2026-11-21T12:00:00Z`.
    pub time: String,
    /// The region it came from.
    pub region: String,
    /// Names of what it is about.
    pub resources: Vec<String>,
    /// What the publisher says.
    pub detail: Map<String, Value>,
}

/// The envelope's version, which is always `"0"`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Version;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("0")
    }
}

/// What an event is made of, besides what the bus adds.
#[derive(Clone, Debug, PartialEq)]
pub struct EventParts {
    /// Who speaks.
    pub source: String,
    /// What kind of event it is.
    pub detail_type: String,
    /// What it says.
    pub detail: Map<String, Value>,
    /// Names of what it is about.
    pub resources: Vec<String>,
    /// When it happened, in seconds since 1970; `None` means when it came in.
    pub time_s: Option<i64>,
}

impl Event {
    /// Puts an envelope around `parts`. `now_ms` is in milliseconds since 1970.
    #[must_use]
    pub fn new(parts: EventParts, id: String, account: &str, region: &str, now_ms: u64) -> Self {
        let time = parts.time_s.and_then(second_text).unwrap_or_else(|| now_text(now_ms));
        Self {
            version: Version,
            id,
            detail_type: parts.detail_type,
            source: parts.source,
            account: account.to_owned(),
            time,
            region: region.to_owned(),
            resources: parts.resources,
            detail: parts.detail,
        }
    }

    /// The envelope as patterns are held against it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The envelope as JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A second since 1970 as ISO text; `None` outside the years 0 to 9999.
pub(crate) fn second_text(second: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(second).ok()?.format(&Rfc3339).ok()
}

/// A time in milliseconds since 1970 as ISO text, to the second.
pub(crate) fn now_text(now_ms: u64) -> String {
    i64::try_from(now_ms / 1_000).ok().and_then(second_text).unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}

/// Reads `Time`: seconds since 1970 as a number, or ISO text. Fractions of a
/// second are dropped.
pub(crate) fn parse_time(value: &Value) -> Option<i64> {
    let second = match value {
        Value::Number(number) => match number.as_i64() {
            Some(second) => second,
            None => number.as_f64().filter(|second| second.abs() < 1e15)?.floor() as i64,
        },
        Value::String(text) => OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp(),
        _ => return None,
    };
    second_text(second).map(|_| second)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn time_is_a_number_of_seconds_or_iso_text() {
        for time in [
            json!(1_795_262_400),
            json!(1_795_262_400.75),
            json!("2026-11-21T12:00:00Z"),
            json!("2026-11-21T13:00:00.5+01:00"),
        ] {
            let second = parse_time(&time).expect("the time is well formed");
            assert_eq!(second_text(second).as_deref(), Some("2026-11-21T12:00:00Z"), "{time}");
        }
        for time in [json!("yesterday"), json!(true), json!(1e300), json!(i64::MAX), json!("2026-11-21")] {
            assert_eq!(parse_time(&time), None, "{time}");
        }
    }
}
