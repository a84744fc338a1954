//! Usage metering, metric names, and where logs and spans go.
//!
//! Threads count into their own [`Meter`] without a lock and post it to a [`MeterBook`] now and
//! then. [`Metrics`] shows the book and its own histograms to Prometheus; [`UsageBook`] keeps the
//! book's totals by day. [`init`] sets up logs and, where asked for, spans.

mod functions;
mod histogram;
mod logging;
mod meter;
mod metrics;
#[cfg(feature = "otlp")]
mod spans;
#[cfg(not(feature = "otlp"))]
#[path = "no_spans.rs"]
mod spans;
mod tally;
mod usage;

pub use functions::FunctionFigures;
pub use logging::{LogFormat, LogGuard, LogOptions, init};
pub use meter::{METER_ROWS_MAX, Meter, MeterBook, MeterDesk, OTHER_SPACE, SharedMeter, Totals};
pub use metrics::{DoorCounter, Gauges, Metrics, SPACES_SHOWN_MAX};
pub use tally::{CHUNK_KIB, Tally};
pub use usage::{DAY_ROWS_MAX, DAYS_KEPT, UsageBook, UsageRow, day_of};

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log filter cannot be read.
    #[error("log filter {filter:?}: {reason}; expected directives such as info,fanfare_core=debug")]
    Filter {
        /// What was asked for.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// This process has set up logging before.
    #[error("logging is set up already")]
    AlreadyInitialised,
    /// Spans cannot be exported to this endpoint.
    #[error("cannot export spans to {endpoint:?}: {reason}")]
    Exporter {
        /// What was asked for.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
}
