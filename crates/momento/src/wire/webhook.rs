//! `webhook.Webhook`: who is told of what is published.

use std::fmt;

use super::hidden;

/// `_WebhookId`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct WebhookId {
    /// The cache of its topic.
    #[prost(string, tag = "1")]
    pub cache_name: String,
    /// Its name in that cache.
    #[prost(string, tag = "2")]
    pub webhook_name: String,
}

/// `_WebhookDestination`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WebhookDestination {
    /// Which kind.
    #[prost(oneof = "webhook_destination::Kind", tags = "1")]
    pub kind: Option<webhook_destination::Kind>,
}

/// Inside [`WebhookDestination`].
pub mod webhook_destination {
    /// Where deliveries go.
    #[derive(Clone, PartialEq, Eq, prost::Oneof)]
    pub enum Kind {
        /// By POST to this address.
        #[prost(string, tag = "1")]
        PostUrl(String),
    }
}

/// `_Webhook`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Webhook {
    /// Which webhook.
    #[prost(message, optional, tag = "1")]
    pub webhook_id: Option<WebhookId>,
    /// Of what it is told.
    #[prost(string, tag = "2")]
    pub topic_name: String,
    /// Where it is told.
    #[prost(message, optional, tag = "3")]
    pub destination: Option<WebhookDestination>,
}

/// `_PutWebhookRequest`, answered with [`SecretResponse`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PutWebhookRequest {
    /// To be made or replaced.
    #[prost(message, optional, tag = "1")]
    pub webhook: Option<Webhook>,
}

/// `_PutWebhookResponse` and `_RotateWebhookSecretResponse`, which are the same.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct SecretResponse {
    /// Deliveries are signed with it.
    #[prost(string, tag = "1")]
    pub secret_string: String,
}

/// `_DeleteWebhookRequest` and `_RotateWebhookSecretRequest`, which are the same.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DeleteWebhookRequest {
    /// Which webhook.
    #[prost(message, optional, tag = "1")]
    pub webhook_id: Option<WebhookId>,
}

/// `_ListWebhookRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ListWebhooksRequest {
    /// The cache.
    #[prost(string, tag = "1")]
    pub cache_name: String,
}

/// `_ListWebhooksResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ListWebhooksResponse {
    /// All webhooks of the cache.
    #[prost(message, repeated, tag = "1")]
    pub webhook: Vec<Webhook>,
}

/// `_GetWebhookSecretRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct GetWebhookSecretRequest {
    /// The cache of its topic.
    #[prost(string, tag = "1")]
    pub cache_name: String,
    /// Its name in that cache.
    #[prost(string, tag = "2")]
    pub webhook_name: String,
}

/// `_GetWebhookSecretResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct GetWebhookSecretResponse {
    /// The cache of its topic.
    #[prost(string, tag = "1")]
    pub cache_name: String,
    /// Its name in that cache.
    #[prost(string, tag = "2")]
    pub webhook_name: String,
    /// Deliveries are signed with it.
    #[prost(string, tag = "3")]
    pub secret_string: String,
}

impl fmt::Debug for SecretResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretResponse").field("secret_string", &hidden(&self.secret_string)).finish()
    }
}

impl fmt::Debug for GetWebhookSecretResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetWebhookSecretResponse")
            .field("cache_name", &self.cache_name)
            .field("webhook_name", &self.webhook_name)
            .field("secret_string", &hidden(&self.secret_string))
            .finish()
    }
}
