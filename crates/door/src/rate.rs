//! Token buckets: how often something may happen.

use fanfare_core::Millis;

/// Allows `per_second` on average and as many at once as `burst` holds. 16 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Thousandths of a token that are left.
    left: u64,
    filled_at: Millis,
}

impl Bucket {
    pub(crate) fn full(burst: u32, now: Millis) -> Self {
        Self { left: u64::from(burst) * 1_000, filled_at: now }
    }

    /// Takes one token, or tells after how many milliseconds there will be one. A rate of 0 means
    /// without a limit.
    pub(crate) fn take(&mut self, per_second: u32, burst: u32, now: Millis) -> Result<(), u64> {
        if per_second == 0 {
            return Ok(());
        }
        let passed = now.saturating_sub(self.filled_at);
        self.left = (self.left + passed * u64::from(per_second)).min(u64::from(burst.max(1)) * 1_000);
        self.filled_at = now;
        match self.left.checked_sub(1_000) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err((1_000 - self.left).div_ceil(u64::from(per_second))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::full(3, 0);
        assert_eq!((0..4).map(|_| bucket.take(10, 3, 0)).collect::<Vec<_>>(), [Ok(()), Ok(()), Ok(()), Err(100)]);
        assert_eq!(bucket.take(10, 3, 99), Err(1));
        assert_eq!(bucket.take(10, 3, 100), Ok(()));
        assert_eq!(bucket.take(10, 3, 100), Err(100));
        assert_eq!(bucket.take(0, 3, 100), Ok(()));
    }
}
