//! Calls that are answered once.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::{Action, Publication};
use fanfare_momento::Problem;
use fanfare_momento::grpc::frame;
use fanfare_momento::grpc::web::Dialect;
use fanfare_momento::method::Method;
use fanfare_momento::wire::{Empty, PublishRequest};
use http::request::Parts;
use hyper::body::Incoming;

use crate::NAME;
use crate::callers::Caller;
use crate::grpc::{self, Failure, parse};
use crate::shared::Shared;

/// Carries out a call. Yields its answer in its frame.
pub(crate) async fn call(
    shared: &Arc<Shared>,
    method: Method,
    head: &Parts,
    body: Incoming,
    dialect: Dialect,
) -> Result<Bytes, Failure> {
    if method == Method::Ping {
        return Ok(frame(&Empty {}));
    }
    let message = grpc::read(shared, body, dialect).await?;
    if method.has_key_in_body() {
        shared.count_control()?;
        return Ok(shared.mint(method, message)?);
    }
    let caller = shared.caller(grpc::key(head).as_deref(), shared.gateway())?;
    if method == Method::Publish {
        return Ok(shared.publish(&caller, parse(message)?).await?);
    }
    shared.count_control()?;
    Ok(shared.manage(&caller, method, message).await?)
}

impl Shared {
    async fn publish(&self, caller: &Caller, request: PublishRequest) -> Result<Bytes, Problem> {
        let PublishRequest { cache_name, topic, value } = request;
        let (cache, topic) = self.admit(caller, Action::Publish, &cache_name, &topic).await?;
        let payload = value.and_then(fanfare_momento::wire::TopicValue::into_payload);
        let (kind, payload) =
            payload.ok_or_else(|| Problem::InvalidArgument("the value is neither text nor binary".into()))?;
        self.put(caller, &cache, Publication::new(cache.space.clone(), topic, kind, payload)).await?;
        Ok(frame(&Empty {}))
    }

    /// Publishes for a caller who was admitted.
    pub(crate) async fn put(
        &self,
        caller: &Caller,
        cache: &crate::caches::Cache,
        publication: Publication,
    ) -> Result<(), Problem> {
        let (limits, gateway) = (&self.options.limits, self.gateway());
        let bytes = publication.payload.len();
        if bytes > limits.message_bytes {
            gateway.metrics.limit("momento_message_bytes");
            return Err(Problem::MessageTooLarge { bytes, limit: limits.message_bytes });
        }
        let limit = limits.throughput_per_second;
        if !cache.throughput.take(bytes as u64, limit, gateway.clock.now()) {
            gateway.metrics.limit("momento_throughput");
            return Err(Problem::TooManyBytes { limit });
        }
        let published = gateway.publish(&caller.principal, publication, NAME).await;
        published.map(drop).map_err(|refusal| Problem::from(&refusal))
    }
}
