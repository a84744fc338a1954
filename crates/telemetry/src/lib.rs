//! Metric names, usage metering, tracing set-up.
