//! How long to wait before the next attempt.

use std::time::Duration;

/// The ceiling of the first wait, in milliseconds.
const BASE_MS: u64 = 500;
/// The ceiling of all waits, in milliseconds.
const CAP_MS: u64 = 20_000;

/// Exponential back-off with full jitter: each wait is drawn from zero up to a ceiling that doubles
/// with every failure, so that clients that lost the same server do not return in step.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let ceiling = self.ceiling_ms();
        self.failures = self.failures.saturating_add(1);
        Duration::from_millis(fastrand::u64(0..=ceiling))
    }

    /// After a connection that held.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    fn ceiling_ms(&self) -> u64 {
        let doubled = 1_u64.checked_shl(self.failures.min(16)).unwrap_or(CAP_MS);
        BASE_MS.saturating_mul(doubled).min(CAP_MS)
    }
}

/// A wait drawn from zero up to `spread_ms`: the first one after a loss.
pub(crate) fn spread(spread_ms: u64) -> Duration {
    Duration::from_millis(fastrand::u64(0..=spread_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_up_to_the_cap() {
        let mut backoff = Backoff::default();
        let mut ceilings = Vec::new();
        for _ in 0..8 {
            ceilings.push(backoff.ceiling_ms());
            let ceiling = Duration::from_millis(backoff.ceiling_ms());
            assert!(backoff.next() <= ceiling);
        }
        assert_eq!(ceilings, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
        for _ in 0..100 {
            backoff.next();
        }
        assert_eq!(backoff.ceiling_ms(), CAP_MS);
        backoff.reset();
        assert_eq!(backoff.ceiling_ms(), BASE_MS);
    }

    #[test]
    fn waits_are_spread_over_the_whole_range() {
        let waits: Vec<u128> = (0..1_000).map(|_| spread(1_000).as_millis()).collect();
        assert!(waits.iter().all(|wait| *wait <= 1_000));
        assert!(waits.iter().any(|wait| *wait < 200) && waits.iter().any(|wait| *wait > 800));
    }
}
