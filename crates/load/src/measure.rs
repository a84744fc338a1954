//! A measured interval: wall time, the CPU time of both sides, latencies.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::args::Common;
use crate::process::{CpuReading, Process};
use crate::report::{Cost, Latency, ServerCost};

/// Two digits keep the histogram in the cache; it errs by one percent.
const LATENCY_DIGITS: u8 = 2;
const LATENCY_NANOS_MAX: u64 = 600_000_000_000;

/// An interval that has begun.
pub(crate) struct Window {
    started: Instant,
    own: CpuReading,
    server: Option<(Process, CpuReading)>,
}

impl Window {
    pub(crate) fn begin(common: &Common) -> anyhow::Result<Self> {
        let server = common.pid.map(Process::new).transpose()?;
        let server = server.map(|process| process.cpu().map(|cpu| (process, cpu))).transpose()?;
        Ok(Self { own: Process::own().cpu()?, server, started: Instant::now() })
    }

    /// Ends the interval, in which `count` deliveries (or what else is counted) happened.
    pub(crate) fn end(self, count: u64) -> anyhow::Result<Cost> {
        let seconds = self.started.elapsed().as_secs_f64();
        let per_piece = |nanos: u64| nanos as f64 / 1_000.0 / count.max(1) as f64;
        let share = |nanos: u64| nanos as f64 / 1e9 / seconds;
        let own = Process::own().cpu()?.since(&self.own).nanos;
        let server = match self.server {
            None => None,
            Some((process, before)) => {
                let time = process.cpu()?.since(&before);
                Some(ServerCost {
                    cpu_us_per_delivery: per_piece(time.nanos),
                    cpu_share: share(time.nanos),
                    cpu_seconds: time.nanos as f64 / 1e9,
                    wait_share: share(time.wait_nanos),
                    clock: time.clock,
                    memory: process.memory()?,
                })
            }
        };
        Ok(Cost {
            seconds,
            deliveries: count,
            deliveries_per_second: count as f64 / seconds,
            server,
            generator_us_per_delivery: per_piece(own),
            generator_share: share(own),
        })
    }
}

/// Latencies, recorded in runs: messages of one burst that one read brought took equally long.
pub(crate) struct Latencies {
    histogram: Histogram<u64>,
    pending: (u64, u64),
}

impl Latencies {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let histogram = Histogram::new_with_bounds(1, LATENCY_NANOS_MAX, LATENCY_DIGITS)?;
        Ok(Self { histogram, pending: (0, 0) })
    }

    #[inline]
    pub(crate) fn record(&mut self, nanos: u64) {
        if self.pending.0 == nanos {
            self.pending.1 += 1;
        } else {
            self.flush();
            self.pending = (nanos, 1);
        }
    }

    fn flush(&mut self) {
        let (nanos, count) = self.pending;
        self.histogram.saturating_record_n(nanos, count);
        self.pending = (0, 0);
    }

    /// Forgets what was recorded, as after a warm-up.
    pub(crate) fn reset(&mut self) {
        self.pending = (0, 0);
        self.histogram.reset();
    }

    pub(crate) fn summary(&mut self) -> Latency {
        self.flush();
        let micros = |nanos: u64| nanos as f64 / 1_000.0;
        let at = |quantile| micros(self.histogram.value_at_quantile(quantile));
        Latency { p50_us: at(0.5), p90_us: at(0.9), p99_us: at(0.99), max_us: micros(self.histogram.max()) }
    }
}

/// Notices that nothing happens any more.
pub(crate) struct Patience {
    limit: Duration,
    seen: u64,
    since: Instant,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, seen: u64::MAX, since: Instant::now() }
    }

    /// Whether `count` has stood still for too long.
    pub(crate) fn is_over(&mut self, count: u64) -> bool {
        if count != self.seen {
            self.seen = count;
            self.since = Instant::now();
        }
        self.since.elapsed() > self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_equal_latencies_count_each() {
        let mut latencies = Latencies::new().unwrap();
        latencies.record(5);
        latencies.reset();
        for nanos in [1_000, 1_000, 1_000, 2_000, 900_000] {
            latencies.record(nanos);
        }
        let summary = latencies.summary();
        assert!((summary.p50_us - 1.0).abs() < 0.02, "{summary:?}");
        assert!((summary.max_us / 900.0 - 1.0).abs() < 0.02, "{summary:?}");
    }

    #[test]
    fn patience_ends_only_without_progress() {
        let mut patience = Patience::new(Duration::ZERO);
        assert!(patience.is_over(1) || patience.is_over(1));
        let mut patience = Patience::new(Duration::from_secs(60));
        assert!(!patience.is_over(1) && !patience.is_over(1));
    }

    #[test]
    fn an_interval_knows_both_sides() {
        let args = Common {
            url: String::new(),
            token: None,
            space: String::new(),
            pid: Some(std::process::id()),
            json: false,
            quiet: true,
            dialect: crate::args::DialectName::Bun,
            qos: 0,
            level: 5,
            streams: 1,
            seconds: 1,
        };
        let cost = Window::begin(&args).unwrap().end(10).unwrap();
        assert_eq!(cost.deliveries, 10);
        assert!(cost.server.is_some_and(|server| server.memory.resident > 0));
    }
}
