//! `fanfare token`: makes a token with a key of the configuration, or with the development key.

use std::process::ExitCode;
use std::time::Duration;

use crate::cli::TokenArgs;

pub(crate) fn run(_args: TokenArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("tokens are being wired")
}

/// Reads `90s`, `15m`, `12h` or `30d`.
pub(crate) fn parse_ttl(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time such as 90s, 15m, 12h or 30d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).unwrap_or_default();
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(seconds) {
        Some(seconds @ 1..=TTL_SECONDS_MAX) => Ok(Duration::from_secs(seconds)),
        _ => Err("expected at least a second and at most ten years".to_owned()),
    }
}

const TTL_SECONDS_MAX: u64 = 10 * 366 * 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse_ttl("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_ttl("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(parse_ttl("12h"), Ok(Duration::from_secs(43_200)));
        assert_eq!(parse_ttl("30d"), Ok(Duration::from_secs(2_592_000)));
        for text in [
            "",
            "h",
            "1",
            "1w",
            "0s",
            "-1h",
            "1.5h",
            "99999999999999d",
            "5µ",
        ] {
            assert!(parse_ttl(text).is_err(), "{text}");
        }
    }
}
