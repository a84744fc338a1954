//! What the door is made of, and its bounds.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use fanfare_functions::Reach;
use fanfare_momento::credential::{Authority, Endpoint};
use fanfare_momento::limits;
use fanfare_momento::webhook::USER_AGENT_DEFAULT;

/// What the door is made of; the binary hands it in.
pub struct MomentoOptions {
    /// Makes keys and knows them; replaced by its owner when there are other secrets.
    pub authority: Arc<ArcSwap<Authority>>,
    /// Base domain of this server, as tokens tell it to SDKs.
    pub endpoint: Endpoint,
    /// The cache that is the space `default`.
    pub default_cache: String,
    /// Further caches that are always there.
    pub caches: Vec<String>,
    /// A cache that is named for the first time is made, for whoever may use it.
    pub auto_create_caches: bool,
    /// A fresh subscription is told where it begins.
    pub tells_beginning: bool,
    /// After so long without anything else comes a heartbeat.
    pub heartbeat: Duration,
    /// How long a poll over HTTP is held while there is nothing.
    pub poll_hold: Duration,
    /// `User-Agent` of webhooks.
    pub webhook_user_agent: String,
    /// Which addresses webhooks may go to.
    pub webhook_reach: Reach,
    /// Bounds.
    pub limits: MomentoLimits,
}

/// Bounds of the door. A rate or number of 0 is no bound, where it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MomentoLimits {
    /// Caches, those of the configuration included.
    pub caches: usize,
    /// Subscriptions to one cache; 0 is no bound.
    pub subscriptions: usize,
    /// Publishes and subscriptions to one cache in a second; 0 is no bound.
    pub operations_per_second: u32,
    /// Bytes published to one cache in a second; 0 is no bound.
    pub throughput_per_second: u64,
    /// Calls in a second that manage caches, keys and webhooks; 0 is no bound.
    pub control_per_second: u32,
    /// One message, in bytes. The space's own bound counts, too.
    pub message_bytes: usize,
    /// Webhooks of one cache.
    pub webhooks: usize,
    /// Deliveries of one webhook in a second; what is beyond waits. 0 is no bound.
    pub webhook_rate: u32,
    /// How often a delivery is tried.
    pub webhook_attempts: u32,
    /// How long one try may take.
    pub webhook_timeout: Duration,
}

impl Default for MomentoLimits {
    fn default() -> Self {
        Self {
            caches: 1_000,
            subscriptions: 0,
            operations_per_second: 0,
            throughput_per_second: 0,
            control_per_second: 0,
            message_bytes: limits::MESSAGE_BYTES_DEFAULT,
            webhooks: limits::WEBHOOKS_PER_CACHE_DEFAULT,
            webhook_rate: 0,
            webhook_attempts: 5,
            webhook_timeout: Duration::from_millis(limits::WEBHOOK_TIMEOUT_MS),
        }
    }
}

impl MomentoOptions {
    /// What counts where nothing is configured.
    #[must_use]
    pub fn new(authority: Arc<ArcSwap<Authority>>, endpoint: Endpoint) -> Self {
        Self {
            authority,
            endpoint,
            default_cache: "default".to_owned(),
            caches: Vec::new(),
            auto_create_caches: false,
            tells_beginning: true,
            heartbeat: Duration::from_secs(12),
            poll_hold: Duration::from_millis(limits::POLL_HOLD_MS),
            webhook_user_agent: USER_AGENT_DEFAULT.to_owned(),
            webhook_reach: Reach::Public,
            limits: MomentoLimits::default(),
        }
    }
}
