//! Times by pattern, after Joda and the Java formatter.
//!
//! Letters: `y` year, `M` month (three letters its short name, four its name),
//! `d` day, `E` weekday, `G` era, `a` half of the day, `H` and `h` hour, `m`
//! minute, `s` second, `S` fraction, `z`, `V` zone, `Z`, `X`, `x` offset;
//! `'text'` as it is. Zones are `UTC`, `GMT`, `Z` and offsets like `+01:00`
//! or `UTC+1`: without a database of zones, names of regions are Undefined.

use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

use super::text_of;
use crate::sql::value::Value;

/// A run of one letter, or text between.
enum Part {
    Letter(char, usize),
    Text(String),
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn parts(pattern: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\'' {
            let mut text = String::new();
            if rest.peek() == Some(&'\'') {
                rest.next();
                text.push('\'');
            } else {
                loop {
                    match rest.next()? {
                        '\'' => break,
                        c => text.push(c),
                    }
                }
            }
            parts.push(Part::Text(text));
        } else if c.is_ascii_alphabetic() {
            let mut count = 1;
            while rest.next_if_eq(&c).is_some() {
                count += 1;
            }
            parts.push(Part::Letter(c, count));
        } else {
            parts.push(Part::Text(c.to_string()));
        }
    }
    Some(parts)
}

/// An offset, and what remains behind it.
fn zone(text: &str) -> Option<(UtcOffset, &str)> {
    let named = ["UTC", "GMT", "Z"].iter().find_map(|name| text.strip_prefix(name));
    let rest = named.unwrap_or(text);
    let sign = match rest.chars().next() {
        Some('+') => 1_i8,
        Some('-') => -1,
        _ => return named.map(|rest| (UtcOffset::UTC, rest)),
    };
    let rest = &rest[1..];
    let (hours, rest) = digits(rest, 2)?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = if rest.starts_with(|c: char| c.is_ascii_digit()) { digits(rest, 2)? } else { (0, rest) };
    let part = |number: i64| i8::try_from(number).ok().map(|number| number * sign);
    Some((UtcOffset::from_hms(part(hours)?, part(minutes)?, 0).ok()?, rest))
}

/// Up to `most` digits as a number, and what remains.
fn digits(text: &str, most: usize) -> Option<(i64, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(count);
    Some((number.parse().ok()?, rest))
}

/// `parse_time(pattern, milliseconds [, zone])`: a time as text, whatever the name says.
pub(super) fn parse_time(values: &[Value]) -> Value {
    formatted(values).map_or(Value::Undefined, Value::Text)
}

fn formatted(values: &[Value]) -> Option<String> {
    let pattern = parts(&text_of(values, 0)?)?;
    let milliseconds = values.get(1)?.to_i64()?;
    let offset = match values.get(2) {
        None => UtcOffset::UTC,
        Some(_) => {
            let name = text_of(values, 2)?;
            let (offset, rest) = zone(&name)?;
            rest.is_empty().then_some(offset)?
        }
    };
    let nanoseconds = i128::from(milliseconds) * 1_000_000;
    let at = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()?.checked_to_offset(offset)?;
    let mut text = String::new();
    for part in pattern {
        match part {
            Part::Text(literal) => text.push_str(&literal),
            Part::Letter(letter, count) => text.push_str(&field(at, letter, count)?),
        }
    }
    Some(text)
}

fn field(at: OffsetDateTime, letter: char, count: usize) -> Option<String> {
    // Nobody writes numbers wider than this; a long run of letters must not make a long text.
    let count = count.min(9);
    let padded = |number: i64| format!("{number:0count$}");
    let month = MONTHS[usize::from(u8::from(at.month())) - 1];
    let hour = i64::from(at.hour());
    Some(match letter {
        'y' | 'Y' | 'u' if count == 2 => format!("{:02}", at.year().rem_euclid(100)),
        'y' | 'Y' | 'u' => padded(at.year().into()),
        'M' | 'L' if count >= 4 => month.to_owned(),
        'M' | 'L' if count == 3 => month[..3].to_owned(),
        'M' | 'L' => padded(u8::from(at.month()).into()),
        'd' => padded(at.day().into()),
        'D' => padded(at.ordinal().into()),
        'E' if count >= 4 => at.weekday().to_string(),
        'E' => at.weekday().to_string()[..3].to_owned(),
        'e' => padded(at.weekday().number_from_monday().into()),
        'G' => "AD".to_owned(),
        'a' => (if hour < 12 { "AM" } else { "PM" }).to_owned(),
        'H' => padded(hour),
        'k' => padded(if hour == 0 { 24 } else { hour }),
        'h' => padded((hour + 11) % 12 + 1),
        'K' => padded(hour % 12),
        'm' => padded(at.minute().into()),
        's' => padded(at.second().into()),
        'S' => format!("{:09}", at.nanosecond())[..count].to_owned(),
        'z' | 'V' if at.offset().is_utc() => "UTC".to_owned(),
        'X' if at.offset().is_utc() => "Z".to_owned(),
        'Z' if count == 1 => offset_text(at, ""),
        'z' | 'V' | 'Z' | 'X' | 'x' => offset_text(at, ":"),
        _ => return None,
    })
}

fn offset_text(at: OffsetDateTime, separator: &str) -> String {
    let (hours, minutes, _) = at.offset().as_hms();
    let sign = if hours < 0 || minutes < 0 { '-' } else { '+' };
    format!("{sign}{:02}{separator}{:02}", hours.unsigned_abs(), minutes.unsigned_abs())
}

/// `time_to_epoch(text, pattern)`: milliseconds since 1970; UTC unless the text names an offset.
pub(super) fn time_to_epoch(values: &[Value]) -> Value {
    epoch(values).map_or(Value::Undefined, Value::Int)
}

/// What a text told so far.
struct Reading {
    year: i64,
    month: u8,
    day: i64,
    hour: i64,
    is_afternoon: Option<bool>,
    minute: i64,
    second: i64,
    nanosecond: i64,
    offset: UtcOffset,
}

fn epoch(values: &[Value]) -> Option<i64> {
    let (text, pattern) = (text_of(values, 0)?, parts(&text_of(values, 1)?)?);
    let mut reading = Reading {
        year: 1970,
        month: 1,
        day: 1,
        hour: 0,
        is_afternoon: None,
        minute: 0,
        second: 0,
        nanosecond: 0,
        offset: UtcOffset::UTC,
    };
    let mut rest = text.as_str();
    for part in pattern {
        rest = match part {
            Part::Text(literal) => rest.strip_prefix(literal.as_str())?,
            Part::Letter(letter, count) => reading.read(rest, letter, count)?,
        };
    }
    if rest.is_empty() { reading.milliseconds() } else { None }
}

impl Reading {
    /// Reads one field from the start of `text`; what remains.
    fn read<'t>(&mut self, text: &'t str, letter: char, count: usize) -> Option<&'t str> {
        let wide = count.max(2);
        Some(match letter {
            'y' | 'Y' | 'u' => {
                let (year, rest) = digits(text, count.max(4))?;
                self.year = if count == 2 && year < 100 { 2000 + year } else { year };
                rest
            }
            'M' | 'L' if count >= 3 => self.read_month(text, count == 3)?,
            'M' | 'L' => {
                let (month, rest) = digits(text, wide)?;
                self.month = u8::try_from(month).ok()?;
                rest
            }
            'd' => number(&mut self.day, text, wide)?,
            'H' => number(&mut self.hour, text, wide)?,
            'h' => {
                let rest = number(&mut self.hour, text, wide)?;
                self.hour %= 12;
                rest
            }
            'm' => number(&mut self.minute, text, wide)?,
            's' => number(&mut self.second, text, wide)?,
            'S' => {
                let (fraction, rest) = digits(text, count.min(9))?;
                let width = u32::try_from(text.len() - rest.len()).ok()?;
                self.nanosecond = fraction * 10_i64.pow(9 - width);
                rest
            }
            'a' => {
                let rest = text.strip_prefix("AM").map(|rest| (false, rest));
                let (is_afternoon, rest) = rest.or_else(|| text.strip_prefix("PM").map(|rest| (true, rest)))?;
                self.is_afternoon = Some(is_afternoon);
                rest
            }
            'E' => text.trim_start_matches(|c: char| c.is_ascii_alphabetic()),
            'G' => text.strip_prefix("AD")?,
            'z' | 'V' | 'Z' | 'X' | 'x' => {
                let (offset, rest) = zone(text)?;
                self.offset = offset;
                rest
            }
            _ => return None,
        })
    }

    fn read_month<'t>(&mut self, text: &'t str, is_short: bool) -> Option<&'t str> {
        let (number, rest) = (1_u8..).zip(MONTHS).find_map(|(number, name)| {
            let name = if is_short { &name[..3] } else { name };
            text.strip_prefix(name).map(|rest| (number, rest))
        })?;
        self.month = number;
        Some(rest)
    }

    fn milliseconds(&self) -> Option<i64> {
        let month = Month::try_from(self.month).ok()?;
        let date =
            Date::from_calendar_date(i32::try_from(self.year).ok()?, month, u8::try_from(self.day).ok()?).ok()?;
        let hour = self.hour + if self.is_afternoon == Some(true) { 12 } else { 0 };
        let small = |number: i64| u8::try_from(number).ok();
        let nanosecond = u32::try_from(self.nanosecond).ok()?;
        let time = Time::from_hms_nano(small(hour)?, small(self.minute)?, small(self.second)?, nanosecond).ok()?;
        let at = OffsetDateTime::new_in_offset(date, time, self.offset);
        i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
    }
}

fn number<'t>(place: &mut i64, text: &'t str, most: usize) -> Option<&'t str> {
    let (found, rest) = digits(text, most)?;
    *place = found;
    Some(rest)
}
