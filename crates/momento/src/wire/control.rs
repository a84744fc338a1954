//! `control_client.ScsControl`: caches.

use std::fmt;

use super::hidden;

/// `_CreateCacheRequest`, `_DeleteCacheRequest` and `_FlushCacheRequest`, which are the same. They
/// are answered with [`super::Empty`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CacheRequest {
    /// Which cache.
    #[prost(string, tag = "1")]
    pub cache_name: String,
}

/// `_ListCachesRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ListCachesRequest {
    /// Where the last page ended; empty at first.
    #[prost(string, tag = "1")]
    pub next_token: String,
}

/// `_ListCachesResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListCachesResponse {
    /// A page of caches.
    #[prost(message, repeated, tag = "1")]
    pub cache: Vec<Cache>,
    /// Where the page ends; empty when it is the last.
    #[prost(string, tag = "2")]
    pub next_token: String,
}

/// `_Cache`. SDKs read both limits and fail where one is absent.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Cache {
    /// Its name.
    #[prost(string, tag = "1")]
    pub cache_name: String,
    /// What may be kept in it.
    #[prost(message, optional, tag = "2")]
    pub cache_limits: Option<CacheLimits>,
    /// What may be published in it.
    #[prost(message, optional, tag = "3")]
    pub topic_limits: Option<TopicLimits>,
    /// Newer clients read it.
    #[prost(string, tag = "4")]
    pub cache_id: String,
}

/// `_CacheLimits`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct CacheLimits {
    /// Requests a second.
    #[prost(uint32, tag = "1")]
    pub max_traffic_rate: u32,
    /// Kilobytes a second.
    #[prost(uint32, tag = "2")]
    pub max_throughput_kbps: u32,
    /// Kilobytes.
    #[prost(uint32, tag = "3")]
    pub max_item_size_kb: u32,
    /// Seconds.
    #[prost(uint64, tag = "4")]
    pub max_ttl_seconds: u64,
}

/// `_TopicLimits`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct TopicLimits {
    /// Publishes a second.
    #[prost(uint32, tag = "1")]
    pub max_publish_rate: u32,
    /// Subscriptions at a time.
    #[prost(uint32, tag = "2")]
    pub max_subscription_count: u32,
    /// Kilobytes of one message.
    #[prost(uint32, tag = "3")]
    pub max_publish_message_size_kb: u32,
}

/// `_CreateSigningKeyRequest`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct CreateSigningKeyRequest {
    /// How long the key is to count.
    #[prost(uint32, tag = "1")]
    pub ttl_minutes: u32,
}

/// `_CreateSigningKeyResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct CreateSigningKeyResponse {
    /// The key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Seconds since 1970.
    #[prost(uint64, tag = "2")]
    pub expires_at: u64,
}

impl fmt::Debug for CreateSigningKeyResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateSigningKeyResponse")
            .field("key", &hidden(&self.key))
            .field("expires_at", &self.expires_at)
            .finish()
    }
}
