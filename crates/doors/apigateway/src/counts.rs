//! What the door counts for each API: what CloudWatch counts for the original.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use fanfare_telemetry::DoorCounter;

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// `ConnectCount`.
    pub(crate) connects: AtomicU64,
    /// `MessageCount`, both directions.
    pub(crate) messages: AtomicU64,
    /// `ClientError`: requests that were refused with 4xx or an error frame of the client's doing.
    pub(crate) client_errors: AtomicU64,
    /// `ExecutionError`: what went wrong here while an authorizer or `$connect` was asked.
    pub(crate) execution_errors: AtomicU64,
    /// `IntegrationError`.
    pub(crate) integration_errors: AtomicU64,
    /// Integrations asked, and the time that they took in microseconds, for `IntegrationLatency`.
    pub(crate) integrations: AtomicU64,
    pub(crate) integration_us: AtomicU64,
}

impl Counts {
    pub(crate) fn integration(&self, took: Duration, has_failed: bool) {
        self.integrations.fetch_add(1, Relaxed);
        self.integration_us.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
        if has_failed {
            self.integration_errors.fetch_add(1, Relaxed);
        }
    }

    /// All of them, for the API of this id.
    pub(crate) fn read(&self, api: &Arc<str>) -> impl Iterator<Item = DoorCounter> {
        let read = |count: &AtomicU64| count.load(Relaxed);
        let counters = [
            ("apigateway_connects", "Upgrades that were let in", read(&self.connects)),
            ("apigateway_messages", "Messages in both directions", read(&self.messages)),
            ("apigateway_client_errors", "Requests refused for what the client did", read(&self.client_errors)),
            ("apigateway_execution_errors", "Upgrades that failed here", read(&self.execution_errors)),
            ("apigateway_integration_errors", "Integrations that failed", read(&self.integration_errors)),
            ("apigateway_integrations", "Integrations that were asked", read(&self.integrations)),
            ("apigateway_integration_microseconds", "Time that integrations took", read(&self.integration_us)),
        ];
        counters.map(|(name, help, value)| DoorCounter { name, help, label: ("api", api.clone()), value }).into_iter()
    }
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
