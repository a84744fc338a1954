//! The messages that travel, as Protocol Buffers have them.
//!
//! Written by hand from the numbers and types of the fields; the same as text, for users who
//! generate code of their own, is in this crate's folder `proto`, and a test holds both together.
//! In the schema most names begin with an underscore; names do not travel, so they have none here.
//!
//! Fields that hold a credential or a secret do not show in `Debug`.

mod auth;
mod control;
mod permission;
mod pubsub;
mod token;
mod webhook;

pub use auth::{
    ApiTokenResponse, GenerateApiTokenRequest, LoginRequest, LoginResponse, Never, RefreshApiTokenRequest, expiry,
    login_response,
};
pub use control::{
    Cache, CacheLimits, CacheRequest, CreateSigningKeyRequest, CreateSigningKeyResponse, ListCachesRequest,
    ListCachesResponse, TopicLimits,
};
pub use permission::{
    All, CacheChoice, CacheItemSelector, CachePermissions, CacheRole, CacheSelector, ExplicitPermissions,
    FunctionPermissions, FunctionRole, FunctionSelector, Permissions, PermissionsType, SuperUserPermissions,
    TopicPermissions, TopicRole, TopicSelector, cache_item_selector, cache_permissions, cache_selector,
    function_permissions, function_selector, permissions, permissions_type, topic_permissions, topic_selector,
};
pub use pubsub::{
    Discontinuity, Empty, Heartbeat, PublishRequest, SubscriptionItem, SubscriptionRequest, TopicItem, TopicValue,
    subscription_item, topic_value,
};
pub use token::{Expires, GenerateDisposableTokenRequest, GenerateDisposableTokenResponse};
pub use webhook::{
    DeleteWebhookRequest, GetWebhookSecretRequest, GetWebhookSecretResponse, ListWebhooksRequest, ListWebhooksResponse,
    PutWebhookRequest, SecretResponse, Webhook, WebhookDestination, WebhookId, webhook_destination,
};

/// What stands in place of a secret in `Debug`: whether there is one.
fn hidden(secret: &str) -> &'static str {
    if secret.is_empty() { "none" } else { "***" }
}
