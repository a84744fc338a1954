//! How long a caller waits.

use std::time::Duration;

/// Reads the value of `grpc-timeout`: digits and a unit, `H`, `M`, `S`, `m`, `u` or `n`. gRPC allows
/// eight digits; SDKs send more, so up to 19 are taken. `None` for anything else, which is to be
/// treated as no timeout. Not to be kept for streams; see [`crate::method::Method::is_stream`].
#[must_use]
pub fn parse_timeout(value: &str) -> Option<Duration> {
    let (unit_at, unit) = value.char_indices().next_back()?;
    let digits = &value[..unit_at];
    if digits.is_empty() || digits.len() > 19 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(count.saturating_mul(3_600))),
        'M' => Some(Duration::from_secs(count.saturating_mul(60))),
        'S' => Some(Duration::from_secs(count)),
        'm' => Some(Duration::from_millis(count)),
        'u' => Some(Duration::from_micros(count)),
        'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timeouts() {
        for (text, expected) in [
            ("5000m", Some(Duration::from_secs(5))),
            ("2592000S", Some(Duration::from_secs(2_592_000))),
            ("9999999999999999999S", Some(Duration::from_secs(9_999_999_999_999_999_999))),
            ("9999999999999999999H", Some(Duration::from_secs(u64::MAX))),
            ("1H", Some(Duration::from_secs(3_600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3u", Some(Duration::from_micros(3))),
            ("4n", Some(Duration::from_nanos(4))),
            ("", None),
            ("S", None),
            ("5", None),
            ("5s", None),
            ("-5S", None),
            ("+5S", None),
            ("5 S", None),
            ("5\u{e9}", None),
            ("99999999999999999999S", None),
        ] {
            assert_eq!(parse_timeout(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in ".{0,30}|[0-9]{0,25}[HMSmun]") {
            let _ = parse_timeout(&text);
        }
    }
}
