//! Spans to an OpenTelemetry collector: OTLP, protobuf over plain HTTP.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData};
use tokio::runtime::{Handle, Runtime};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};

use crate::TelemetryError;

/// Spans that may wait for the collector; beyond it new ones are dropped.
const QUEUE_SPANS_MAX: usize = 8_192;
/// Spans in one request.
const BATCH_SPANS_MAX: usize = 512;
/// How long the collector may take for a request, and all of them at the end.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The export of spans, which ends with what is still queued when this is dropped.
#[derive(Debug)]
pub(crate) struct SpanExport {
    provider: SdkTracerProvider,
    runtime: Option<Runtime>,
}

impl SpanExport {
    /// Connects nothing yet: a collector that is away loses spans, not the server.
    pub(crate) fn open(endpoint: &str) -> Result<(Self, Box<dyn Layer<Registry> + Send + Sync>), TelemetryError> {
        let refuse = |reason: String| TelemetryError::Exporter { endpoint: endpoint.to_owned(), reason };
        if !endpoint.starts_with("http://") {
            return Err(refuse("expected an http:// URL, such as http://localhost:4318".into()));
        }
        let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let exporter = SpanExporter::builder().with_http().with_endpoint(url).with_timeout(TIMEOUT).build();
        let exporter = Arc::new(exporter.map_err(|error| refuse(error.to_string()))?);
        // A runtime of its own: the batch thread of the SDK has none, and spans must be flushed
        // when the server's runtime is gone already.
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name("spans").enable_all().build();
        let runtime = runtime.map_err(|error| refuse(error.to_string()))?;
        let exporter = InRuntime { exporter, handle: runtime.handle().clone() };
        let bounds = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_SPANS_MAX)
            .with_max_export_batch_size(BATCH_SPANS_MAX)
            .with_scheduled_delay(Duration::from_secs(2))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(bounds).build())
            .with_resource(Resource::builder().with_service_name("fanfare").build())
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("fanfare"));
        // Spans of the exporter's own HTTP client would make spans without end.
        let layer = layer.with_filter(filter_fn(|metadata| metadata.target().starts_with("fanfare")));
        Ok((Self { provider, runtime: Some(runtime) }, layer.boxed()))
    }
}

impl Drop for SpanExport {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(TIMEOUT) {
            tracing::warn!(%error, "the last spans could not be exported");
        }
        // Unlike its drop this may happen inside another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs the exporter's requests where hyper finds its timers and sockets.
#[derive(Debug)]
struct InRuntime {
    exporter: Arc<SpanExporter>,
    handle: Handle,
}

impl opentelemetry_sdk::trace::SpanExporter for InRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exporter = Arc::clone(&self.exporter);
        let request = self.handle.spawn(async move { exporter.export(batch).await });
        request.await.unwrap_or_else(|error| Err(OTelSdkError::InternalFailure(error.to_string())))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        if let Some(exporter) = Arc::get_mut(&mut self.exporter) {
            exporter.set_resource(resource);
        }
    }
}
