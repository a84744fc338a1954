//! What monitors ask: is it alive, is it ready, what does it measure.

use std::sync::Arc;

use fanfare_core::LogError;
use fanfare_door::{Body, Gateway, full_body};
use http::{HeaderValue, Response, StatusCode, header};

use crate::problem::Problem;
use crate::router::Service;

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The process serves.
pub(crate) fn health() -> Response<Body> {
    text("ok", TEXT)
}

/// The server takes clients, or why not.
pub(crate) fn readiness(gateway: &Gateway) -> Result<Response<Body>, Problem> {
    judge(gateway.is_draining(), gateway.core.log().failure(), gateway.gate.is_ready())?;
    Ok(text("ok", TEXT))
}

fn judge(is_draining: bool, failure: Option<LogError>, has_keys: bool) -> Result<(), Problem> {
    if is_draining {
        return Err(Problem::unavailable("shutting_down", "the server is shutting down"));
    }
    if let Some(failure) = failure {
        return Err(Problem::unavailable("storage_unavailable", failure.to_string()));
    }
    if !has_keys {
        let message = "a key set (auth.jwks) has not been fetched yet: no token can be verified against it";
        return Err(Problem::unavailable("token_keys_unavailable", message));
    }
    Ok(())
}

/// Everything that is measured, as OpenMetrics.
pub(crate) async fn metrics(service: &Service, gateway: &Arc<Gateway>) -> Result<Response<Body>, Problem> {
    service.observed.call_once(|| observe(gateway));
    gateway.meter.post();
    let rendering = gateway.metrics.clone();
    let exposition = gateway.tasks.spawn_blocking(move || rendering.render()).await;
    exposition.map(|exposition| text(exposition, OPEN_METRICS)).map_err(|_| Problem::internal())
}

/// Registers what is read at every scrape. Spaces beyond the first thousand are summed by the
/// metrics themselves.
fn observe(gateway: &Arc<Gateway>) {
    // The gateway owns its metrics, and they own the observer.
    let observed = Arc::downgrade(gateway);
    gateway.metrics.observe(Box::new(move |gauges| {
        let Some(gateway) = observed.upgrade() else { return };
        gauges.connections_open += gateway.connection_count() as u64;
        gauges.log_disk_bytes += gateway.core.log().disk_bytes();
        for space in gateway.core.spaces(None, usize::MAX) {
            let (messages, bytes, _) = gateway.core.kept(&space);
            gauges.history(&space, messages as u64, bytes);
        }
    }));
}

/// 302.
pub(crate) fn redirect(to: &'static str) -> Response<Body> {
    let mut response = Response::new(full_body(""));
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(to));
    response
}

fn text(body: impl Into<bytes::Bytes>, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(full_body(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_not_to_be_ready_has_its_code() {
        let failing = || Some(LogError::Failing("no space left on device".into()));
        let code = |is_draining, failure, has_keys| judge(is_draining, failure, has_keys).map_err(|p| p.code);
        assert_eq!(code(false, None, true), Ok(()));
        assert_eq!(code(true, failing(), true), Err("shutting_down"));
        assert_eq!(code(false, failing(), true), Err("storage_unavailable"));
        assert_eq!(code(false, None, false), Err("token_keys_unavailable"));
    }
}
