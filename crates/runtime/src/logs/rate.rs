//! How many lines a function may write.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::Mutex;

/// Lines a second in the long run; a line counts once, and once more for each full KiB.
const PER_SECOND: f64 = 1_000.0;
/// Lines at once.
const BURST: f64 = 2_000.0;

/// A token bucket, shared by all processes of a function.
#[derive(Default)]
pub(crate) struct Rate {
    bucket: Mutex<Bucket>,
    dropped: AtomicU64,
}

struct Bucket {
    tokens: f64,
    filled: Option<Instant>,
    /// Lines that were dropped since the last one that passed.
    dropped: u64,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { tokens: BURST, filled: None, dropped: 0 }
    }
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    /// It passes, after so many that did not.
    PassAfter(u64),
    Drop,
}

impl Rate {
    pub(crate) fn take(&self, bytes: usize, now: Instant) -> Verdict {
        let mut bucket = self.bucket.lock();
        let elapsed = bucket.filled.replace(now).map_or(0.0, |filled| now.duration_since(filled).as_secs_f64());
        bucket.tokens = (bucket.tokens + elapsed * PER_SECOND).min(BURST);
        // A line has at most 64 KiB, so that the number is exact.
        let price = 1.0 + f64::from(u32::try_from(bytes / 1_024).unwrap_or(u32::MAX));
        // After drops the bucket first fills a little, so that the log does not tell of each single one.
        let needed = if bucket.dropped > 0 { price + BURST / 10.0 } else { price };
        if bucket.tokens < needed {
            bucket.dropped += 1;
            self.dropped.fetch_add(1, Relaxed);
            return Verdict::Drop;
        }
        bucket.tokens -= price;
        match std::mem::take(&mut bucket.dropped) {
            0 => Verdict::Pass,
            dropped => Verdict::PassAfter(dropped),
        }
    }

    /// Lines dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_a_flood_does_not() {
        let (rate, start) = (Rate::default(), Instant::now());
        let passed = (0..10_000).filter(|_| rate.take(10, start) == Verdict::Pass).count();
        assert_eq!((passed, rate.dropped()), (2_000, 8_000));
        let later = start + Duration::from_secs(1);
        assert_eq!(rate.take(10, later), Verdict::PassAfter(8_000));
        assert_eq!(rate.take(10, later), Verdict::Pass);
    }

    #[test]
    fn long_lines_cost_more() {
        let (rate, start) = (Rate::default(), Instant::now());
        let passed = (0..1_000).filter(|_| rate.take(64 << 10, start) == Verdict::Pass).count();
        assert_eq!(passed, 30);
    }
}
