//! A build without the feature `otlp`: asking for spans is refused.

use tracing_subscriber::{Layer, Registry};

use crate::TelemetryError;

#[derive(Debug)]
pub(crate) struct SpanExport;

impl SpanExport {
    pub(crate) fn open(endpoint: &str) -> Result<(Self, Box<dyn Layer<Registry> + Send + Sync>), TelemetryError> {
        let reason = "this build of Fanfare exports no spans; build it with the feature otlp".into();
        Err(TelemetryError::Exporter { endpoint: endpoint.to_owned(), reason })
    }
}
