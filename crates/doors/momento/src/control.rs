//! Calls that manage: caches are made, listed, emptied and removed; webhooks stand in `webhooks`.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_momento::Problem;
use fanfare_momento::grpc::frame;
use fanfare_momento::method::Method;
use fanfare_momento::permission::Management;
use fanfare_momento::wire::{
    Cache as CacheInfo, CacheLimits, CacheRequest, Empty, ListCachesRequest, ListCachesResponse, TopicLimits,
};

use crate::callers::Caller;
use crate::grpc::parse;
use crate::shared::Shared;

/// Messages whose age has no bound are still held to that of the space; SDKs want a number.
const TTL_SECONDS: u64 = 24 * 60 * 60;

impl Shared {
    /// Carries out a call that manages something.
    ///
    /// # Errors
    /// The caller may not, or what is asked for cannot be done.
    pub(crate) async fn manage(
        self: &Arc<Self>,
        caller: &Caller,
        method: Method,
        message: Bytes,
    ) -> Result<Bytes, Problem> {
        match method {
            Method::CreateCache => {
                caller.require(Management::CreateCache)?;
                self.create_cache(&parse::<CacheRequest>(message)?.cache_name).await
            }
            Method::DeleteCache => {
                caller.require(Management::DeleteCache)?;
                self.delete_cache(&parse::<CacheRequest>(message)?.cache_name).await
            }
            Method::FlushCache => {
                caller.require(Management::FlushCache)?;
                self.flush_cache(&parse::<CacheRequest>(message)?.cache_name).await
            }
            Method::ListCaches => {
                caller.require(Management::ListCaches)?;
                let _: ListCachesRequest = parse(message)?;
                Ok(frame(&self.list_caches()))
            }
            method => {
                caller.require(Management::Webhooks)?;
                self.manage_webhooks(method, message).await
            }
        }
    }

    async fn create_cache(&self, name: &str) -> Result<Bytes, Problem> {
        self.caches.create(name, &**self.gateway().core.log()).await.inspect_err(|problem| {
            if matches!(problem, Problem::TooMany { .. }) {
                self.gateway().metrics.limit("momento_caches");
            }
        })?;
        tracing::info!(cache = name, "a cache was made");
        Ok(frame(&Empty {}))
    }

    async fn delete_cache(&self, name: &str) -> Result<Bytes, Problem> {
        let cache = self.caches.remove(name, &**self.gateway().core.log()).await?;
        self.remove_webhooks_of(name).await?;
        self.forget(&cache.space).await;
        tracing::info!(cache = name, "a cache was removed");
        Ok(frame(&Empty {}))
    }

    async fn flush_cache(&self, name: &str) -> Result<Bytes, Problem> {
        let cache = self.caches.get(name).ok_or_else(|| Problem::CacheNotFound(name.to_owned()))?;
        self.forget(&cache.space).await;
        Ok(frame(&Empty {}))
    }

    /// What the space keeps goes, step by step and off the tasks.
    async fn forget(&self, space: &Arc<str>) {
        let (core, space) = (self.gateway().core.clone(), space.clone());
        if let Err(error) = self.gateway().tasks.spawn_blocking(move || core.forget(&space)).await {
            tracing::error!(%error, "a cache was not emptied");
        }
    }

    fn list_caches(&self) -> ListCachesResponse {
        let caches = self.caches.all();
        let cache = caches.iter().map(|cache| self.describe(cache)).collect();
        ListCachesResponse { cache, next_token: String::new() }
    }

    /// SDKs read both kinds of limits, so both are always there.
    fn describe(&self, cache: &crate::caches::Cache) -> CacheInfo {
        let limits = &self.options.limits;
        let settings = self.gateway().core.space_settings(&cache.space);
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let or_all = |number: u64| if number == 0 { u32::MAX } else { small(number) };
        let message_kb = small(limits.message_bytes.min(settings.message_bytes_max).div_ceil(1_024) as u64);
        CacheInfo {
            cache_name: cache.name.to_string(),
            cache_limits: Some(CacheLimits {
                max_traffic_rate: or_all(limits.operations_per_second.into()),
                max_throughput_kbps: or_all(limits.throughput_per_second.div_ceil(1_024)),
                max_item_size_kb: message_kb,
                max_ttl_seconds: TTL_SECONDS,
            }),
            topic_limits: Some(TopicLimits {
                max_publish_rate: or_all(limits.operations_per_second.into()),
                max_subscription_count: or_all(limits.subscriptions as u64),
                max_publish_message_size_kb: message_kb,
            }),
            cache_id: cache.name.to_string(),
        }
    }
}
