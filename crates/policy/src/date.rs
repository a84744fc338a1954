//! Moments in time as policies write them.

const DAY_SECONDS: i64 = 86_400;

/// Seconds since 1970 as `2026-11-21T12:14:31Z`.
pub(crate) fn format(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Seconds since 1970 of `2026-11-21`, `2026-11-21T12:14Z`, `2026-11-21T12:14:31.5+01:00` or a
/// plain number of seconds. Fractions are cut off.
pub(crate) fn parse(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let (date, clock) = text.split_once('T').unwrap_or((text, "00:00Z"));
    let mut parts = date.splitn(3, '-');
    let year = number(parts.next()?, 4, 9_999)?;
    let month = number(parts.next()?, 2, 12).filter(|month| *month > 0)?;
    let day = number(parts.next()?, 2, 31).filter(|day| *day > 0)?;
    let days = days(year, month, day);
    if civil(days) != (year, month, day) {
        return None;
    }
    Some(days * DAY_SECONDS + clock_seconds(clock)?)
}

/// Seconds since midnight in UTC of `12:14:31.5+01:00`.
fn clock_seconds(text: &str) -> Option<i64> {
    let (clock, zone) = text.split_at(text.find(['Z', '+', '-'])?);
    let offset = match zone.as_bytes()[0] {
        b'Z' if zone.len() == 1 => 0,
        b'+' => hours_minutes(&zone[1..])?,
        b'-' => -hours_minutes(&zone[1..])?,
        _ => return None,
    };
    let (minutes, second) = match clock.match_indices(':').nth(1) {
        None => (clock, 0),
        Some((at, _)) => {
            let (second, fraction) = clock[at + 1..].split_once('.').unwrap_or((&clock[at + 1..], "0"));
            if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            (&clock[..at], number(second, 2, 59)?)
        }
    };
    Some(hours_minutes(minutes)? + second - offset)
}

fn hours_minutes(text: &str) -> Option<i64> {
    let (hour, minute) = text.split_once(':')?;
    Some(number(hour, 2, 23)? * 3_600 + number(minute, 2, 59)? * 60)
}

/// Exactly `digits` digits, at most `max`.
fn number(text: &str, digits: usize, max: i64) -> Option<i64> {
    let is_number = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && *number <= max)
}

/// Days since 1970 of a day of the Gregorian calendar. The year is taken to begin in March, so that
/// the leap day is its last, and 400 years have 146,097 days.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = year.rem_euclid(400);
    year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

/// The reverse of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + days.div_euclid(146_097) * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1795263271", Some(1_795_263_271)),
            ("1970-01-01", Some(0)),
            ("2026-11-21T12:14:31Z", Some(1_795_263_271)),
            ("2026-11-21T12:14:31.250Z", Some(1_795_263_271)),
            ("2026-11-21T13:14:31+01:00", Some(1_795_263_271)),
            ("2026-11-21T10:44:31-01:30", Some(1_795_263_271)),
            ("2026-11-21T12:14Z", Some(1_795_263_240)),
            ("2024-02-29", Some(1_709_164_800)),
            ("2023-02-29", None),
            ("2026-13-01", None),
            ("2026-11-21T24:00Z", None),
            ("2026-11-21T12:14:31", None),
            ("2026-11-21T12:14:31.Z", None),
            ("2026-11-21T12:14:31ZZ", None),
            ("2026-1-2", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_is_itself() {
        for day in -1..146_097 {
            let seconds = day * DAY_SECONDS + 4_271;
            assert_eq!(parse(&format(seconds)), Some(seconds));
        }
    }
}
