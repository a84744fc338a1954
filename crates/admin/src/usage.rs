//! What was used: by day, and since the server started.

use std::collections::BTreeMap;

use fanfare_telemetry::{CHUNK_KIB, DAYS_KEPT, Tally, UsageRow, day_of};
use serde_json::{Value, json};
use time::Date;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::problem::Problem;
use crate::request::{Answer, Call, answer};

const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
/// Julian day number of 1970-01-01.
const EPOCH_JULIAN_DAY: i32 = 2_440_588;

/// `GET usage`
pub(crate) fn by_day(call: &Call) -> Answer {
    let space = admitted_space(call)?;
    let page = call.query.page()?;
    let today = day_of(call.gateway.clock.now());
    let day = |name: &str| call.query.get(name).map_or(Ok(today), |text| parse_day(name, text));
    let (from, to) = (day("from")?, day("to")?);
    if from > to {
        return Err(Problem::bad_request("from: after to"));
    }
    if (to - from) as usize >= DAYS_KEPT {
        return Err(Problem::bad_request(format!("from, to: more than {DAYS_KEPT} days")));
    }
    let after = page.after.as_deref().map(Cursor::read).transpose()?;
    let mut rows = Vec::new();
    let mut book = call.service.operations.usage.lock();
    call.gateway.meter.post();
    book.take(&call.gateway.book.totals(), call.gateway.clock.now());
    for day in from.max(after.as_ref().map_or(0, |after| after.day))..=to {
        let is_asked = |row: &UsageRow| space.is_none_or(|space| *row.space == *space);
        let is_later = |row: &UsageRow| after.as_ref().is_none_or(|after| after.is_before(row));
        rows.extend(book.report(day, day).into_iter().filter(is_asked).filter(is_later));
        if rows.len() > page.limit {
            break;
        }
    }
    drop(book);
    let has_more = rows.len() > page.limit;
    rows.truncate(page.limit);
    let next = rows.last().filter(|_| has_more).map(cursor_of);
    let rows: Vec<_> = rows.iter().map(row_view).collect();
    answer(&json!({ "usage": rows, "next": next }))
}

/// `GET usage/now`
pub(crate) fn now(call: &Call) -> Answer {
    let space = admitted_space(call)?;
    let gateway = &call.gateway;
    gateway.meter.post();
    let mut total = Tally::default();
    let mut doors: BTreeMap<&str, Tally> = BTreeMap::new();
    for ((row_space, door), tally) in gateway.book.totals() {
        if space.is_none_or(|space| *row_space == *space) {
            total.add(&tally);
            doors.entry(door).or_default().add(&tally);
        }
    }
    let doors: BTreeMap<_, _> = doors.iter().map(|(door, tally)| (*door, tally_view(tally))).collect();
    let since = gateway.clock.now().saturating_sub(call.service.started.elapsed().as_millis() as u64);
    let mut value = json!({ "since": since, "total": tally_view(&total), "doors": doors });
    if space.is_none() {
        value["connections_open"] = gateway.connection_count().into();
    }
    answer(&value)
}

/// The one space that is asked for, which is enough of a right for its usage.
fn admitted_space(call: &Call) -> Result<Option<&str>, Problem> {
    let space = call.query.get("space");
    match space {
        Some(space) => call.caller.require_space(space)?,
        None => call.caller.require_server()?,
    }
    Ok(space)
}

/// What a page ended with: `2026-11-22/space/door`.
struct Cursor {
    day: u32,
    space: String,
    door: String,
}

impl Cursor {
    fn read(text: &str) -> Result<Self, Problem> {
        let parts = text.split_once('/').and_then(|(day, row)| Some((day, row.rsplit_once('/')?)));
        let (day, (space, door)) = parts.ok_or_else(|| Problem::bad_request("after: not a cursor of this list"))?;
        Ok(Self { day: parse_day("after", day)?, space: space.to_owned(), door: door.to_owned() })
    }

    fn is_before(&self, row: &UsageRow) -> bool {
        (self.day, &*self.space, &*self.door) < (row.day, &*row.space, &*row.door)
    }
}

fn cursor_of(row: &UsageRow) -> String {
    format!("{}/{}/{}", format_day(row.day), row.space, row.door)
}

fn row_view(row: &UsageRow) -> Value {
    let mut value = json!({ "day": format_day(row.day), "space": &*row.space, "door": &*row.door });
    if let (Value::Object(fields), Value::Object(counts)) = (&mut value, tally_view(&row.tally)) {
        fields.extend(counts);
    }
    value
}

fn tally_view(tally: &Tally) -> Value {
    let chunks = |counts: &[u64; 5]| -> BTreeMap<String, u64> {
        CHUNK_KIB.iter().zip(counts).map(|(kib, count)| (kib.to_string(), *count)).collect()
    };
    json!({
        "messages_in": tally.messages_in,
        "bytes_in": tally.bytes_in,
        "chunks_in": chunks(&tally.chunks_in),
        "messages_out": tally.messages_out,
        "bytes_out": tally.bytes_out,
        "chunks_out": chunks(&tally.chunks_out),
        "connections_opened": tally.connections_opened,
        "connections_closed": tally.connections_closed,
        "connection_seconds": tally.connection_ms / 1_000,
        "operations": tally.operations,
        "dropped": tally.dropped,
        "refused": tally.refused,
    })
}

fn parse_day(name: &str, text: &str) -> Result<u32, Problem> {
    let date = Date::parse(text, DATE).ok();
    let day = date.and_then(|date| u32::try_from(date.to_julian_day() - EPOCH_JULIAN_DAY).ok());
    day.ok_or_else(|| Problem::bad_request(format!("{name}: a day such as 2026-11-22 is needed")))
}

fn format_day(day: u32) -> String {
    let date = i32::try_from(day).ok().and_then(|day| Date::from_julian_day(day.checked_add(EPOCH_JULIAN_DAY)?).ok());
    date.and_then(|date| date.format(DATE).ok()).unwrap_or_else(|| day.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_survive_their_text() {
        for (text, day) in [("1970-01-01", 0), ("2000-02-29", 11_016), ("2026-11-22", 20_779)] {
            assert_eq!(parse_day("from", text).ok(), Some(day), "{text}");
            assert_eq!(format_day(day), text);
        }
        for text in ["", "2026-13-01", "2026-02-30", "1969-12-31", "20261122", "2026-11-22T00:00"] {
            assert!(parse_day("from", text).is_err(), "{text}");
        }
        assert_eq!(format_day(u32::MAX), "4294967295");
    }

    #[test]
    fn a_cursor_stands_between_the_rows() {
        let row = |day, space: &str, door: &str| UsageRow {
            day,
            space: space.into(),
            door: door.into(),
            tally: Tally::default(),
        };
        let cursor = Cursor::read(&cursor_of(&row(9, "a/b", "mqtt"))).unwrap();
        assert!(!cursor.is_before(&row(9, "a/b", "mqtt")) && !cursor.is_before(&row(8, "z", "z")));
        assert!(cursor.is_before(&row(9, "a/b", "native")) && cursor.is_before(&row(10, "a", "a")));
        assert!(Cursor::read("2026-11-22").is_err() && Cursor::read("x/a/b").is_err());
    }
}
