//! Where logs and spans go: lines to standard error, and spans to a collector where asked for.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::TelemetryError;
use crate::spans::SpanExport;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What to log and where to send spans.
#[derive(Clone, Debug)]
pub struct LogOptions<'a> {
    /// How lines look.
    pub format: LogFormat,
    /// Directives such as `info,fanfare_core=debug`. They hold for lines and spans.
    pub filter: &'a str,
    /// Base URL of an OpenTelemetry collector that takes OTLP over plain HTTP, such as
    /// `http://localhost:4318`.
    pub otlp_endpoint: Option<String>,
}

/// Flushes spans when it is dropped; to be held until the process ends. Dropping waits at most
/// five seconds for the collector, so it must not happen on a shard.
#[derive(Debug)]
#[must_use = "spans are lost when the guard is dropped early"]
pub struct LogGuard {
    _spans: Option<SpanExport>,
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Begins to log to standard error. Once in a process.
///
/// # Errors
/// The filter or the endpoint cannot be read, or logging was set up before.
pub fn init(options: &LogOptions<'_>) -> Result<LogGuard, TelemetryError> {
    let refuse = |reason: String| TelemetryError::Filter { filter: options.filter.to_owned(), reason };
    let filter = EnvFilter::builder().parse(options.filter).map_err(|error| refuse(error.to_string()))?;
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let mut layers: Vec<BoxedLayer> = vec![match options.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
    }];
    let mut spans = None;
    if let Some(endpoint) = &options.otlp_endpoint {
        let (export, layer) = SpanExport::open(endpoint)?;
        layers.push(layer);
        spans = Some(export);
    }
    let subscriber = tracing_subscriber::registry().with(layers).with(filter);
    subscriber.try_init().map_err(|_| TelemetryError::AlreadyInitialised)?;
    Ok(LogGuard { _spans: spans })
}
