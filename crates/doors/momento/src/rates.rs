//! How often something may happen.

use fanfare_core::Millis;
use parking_lot::Mutex;

/// A bucket that holds what may happen in one second, and fills evenly.
#[derive(Debug, Default)]
pub(crate) struct Rate(Mutex<Bucket>);

#[derive(Debug, Default)]
struct Bucket {
    /// Thousandths of what is spent already.
    spent: u64,
    at: Millis,
}

impl Rate {
    /// Takes `amount`, if the bucket is not overdrawn. A large amount may overdraw it once, so that
    /// what is larger than a second's worth passes at all. A rate of 0 is no bound.
    pub(crate) fn take(&self, amount: u64, per_second: u64, now: Millis) -> bool {
        if per_second == 0 {
            return true;
        }
        let mut bucket = self.0.lock();
        let passed = now.saturating_sub(bucket.at);
        bucket.spent = bucket.spent.saturating_sub(passed.saturating_mul(per_second));
        bucket.at = now;
        let capacity = per_second.saturating_mul(1_000);
        if bucket.spent.saturating_add(1_000) > capacity {
            return false;
        }
        bucket.spent = bucket.spent.saturating_add(amount.saturating_mul(1_000));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_a_second_and_no_more() {
        let rate = Rate::default();
        assert_eq!((0..10).filter(|_| rate.take(1, 3, 5_000)).count(), 3);
        assert!(!rate.take(1, 3, 5_300));
        assert!(rate.take(1, 3, 5_400) && !rate.take(1, 3, 5_400));
        assert!((0..100).all(|_| rate.take(1, 0, 5_400)));
    }

    #[test]
    fn one_large_amount_passes_and_is_paid_for() {
        let rate = Rate::default();
        assert!(rate.take(3_000, 1_000, 10_000));
        assert!(!rate.take(1, 1_000, 11_000));
        assert!(rate.take(1, 1_000, 12_100));
    }
}
