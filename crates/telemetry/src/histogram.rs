//! A histogram that shards can write to all at once without waiting for each other.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Upper bounds of the buckets, in seconds: 10 µs to 10 s, about three to a decade.
const BOUNDS: [f64; 19] = [
    0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0,
    2.0, 5.0, 10.0,
];

/// Counts of durations by size. Each write is two atomic additions.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_ns: AtomicU64,
}

/// What it held at one moment, as the exposition wants it.
pub(crate) struct DurationsRead {
    pub(crate) sum: f64,
    pub(crate) count: u64,
    pub(crate) buckets: Vec<(f64, u64)>,
}

impl Durations {
    /// Notes one. Negative and not-a-number count as zero.
    pub(crate) fn observe(&self, seconds: f64) {
        let seconds = seconds.max(0.0);
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add((seconds * 1e9) as u64, Relaxed);
    }

    pub(crate) fn read(&self) -> DurationsRead {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(self.buckets.iter().map(|count| count.load(Relaxed))).collect();
        // Counted from the buckets, so that both agree whatever is written meanwhile.
        let count = buckets.iter().map(|(_, count)| count).sum();
        DurationsRead { sum: self.sum_ns.load(Relaxed) as f64 / 1e9, count, buckets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_holds_it() {
        let durations = Durations::default();
        for seconds in [0.0, 0.000_01, 0.000_011, 9.0, 100.0, -1.0, f64::NAN] {
            durations.observe(seconds);
        }
        let read = durations.read();
        assert_eq!(read.count, 7);
        let filled: Vec<_> = read.buckets.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0.000_01, 4), (0.000_02, 1), (10.0, 1), (f64::INFINITY, 1)]);
    }
}
