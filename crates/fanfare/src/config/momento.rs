//! `[momento]`: its keys, and what they are in the words of `fanfare-momento-door`.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use fanfare_functions::Reach;
use fanfare_momento::credential::{Authority, Endpoint};
use fanfare_momento::webhook::USER_AGENT_DEFAULT;
use fanfare_momento::{limits, name};
use fanfare_momento_door::{MomentoLimits, MomentoOptions};

use super::schema::Form;
use super::schema::Kind::{Count, Switch, Text, Texts};
use super::schema::sections;

const MESSAGE_BYTES_MAX: u64 = limits::MESSAGE_BYTES_SAFE as u64;

sections! {
    /// Momento Topics for its SDKs. A cache is a space. See docs/momento.md.
    Momento {
        /// Base domain of this server, as tokens tell it to SDKs, which put `cache.`, `control.` and
        /// `token.` before it; perhaps with a port. Default: that of the first address in `listen`.
        endpoint: Option<String> = None => Text(Form::Plain);
        /// The cache that is the space `default`, to which other protocols publish where nothing is
        /// said. Default: default.
        default_cache: String = "default".to_owned() => Text(Form::Plain);
        /// Further caches that are always there; others are made by SDKs. Default: none.
        caches: Vec<String> = Vec::new() => Texts(Form::Plain);
        /// Makes a cache when it is named for the first time by somebody who may use it. Default: false.
        auto_create_caches: bool = false => Switch;
        /// Tells a new subscription where it begins, so that the Node SDK, which connects anew some
        /// seconds after its start, loses nothing; its handler for discontinuities is called once.
        /// Default: true.
        initial_discontinuity: bool = true => Switch;
        /// A silent subscription gets a heartbeat after so long, in milliseconds. Default: 12,000.
        heartbeat_ms: u64 = 12_000 => Count(100, 600_000);
        /// How long a poll over HTTP is held while there is nothing, in milliseconds. Default: 50,000.
        poll_hold_ms: u64 = limits::POLL_HOLD_MS => Count(0, 600_000);
        /// Number of caches, those of the configuration included. Default: 1,000.
        caches_max: usize = MomentoLimits::default().caches => Count(1, 1_000_000);
        /// Subscriptions to one cache at once; 0 is no bound. Default: 0.
        subscriptions: usize = MomentoLimits::default().subscriptions => Count(0, 1_000_000_000);
        /// Publishes and subscriptions to one cache in a second; 0 is no bound. Default: 0.
        operations_per_second: u32 = MomentoLimits::default().operations_per_second => Count(0, 100_000_000);
        /// Bytes published to one cache in a second; 0 is no bound. Default: 0.
        throughput_per_second: u64 = MomentoLimits::default().throughput_per_second => Count(0, 1 << 50);
        /// Calls in a second that manage caches, keys and webhooks, all clients together; 0 is no
        /// bound. Default: 0.
        control_per_second: u32 = MomentoLimits::default().control_per_second => Count(0, 1_000_000);
        /// One message, in bytes; that of the space counts, too. Larger ones than 4 MiB could not be
        /// received by every SDK. Default: 1 MiB.
        message_bytes: usize = MomentoLimits::default().message_bytes => Count(1, MESSAGE_BYTES_MAX);
        /// Webhooks of one cache. Default: 5.
        webhooks: usize = MomentoLimits::default().webhooks => Count(0, 10_000);
        /// Deliveries of one webhook in a second; what is beyond waits. 0 is no bound. Default: 0.
        webhook_per_second: u32 = MomentoLimits::default().webhook_rate => Count(0, 1_000_000);
        /// How often a delivery is tried before it is given up. Default: 5.
        webhook_attempts: u32 = MomentoLimits::default().webhook_attempts => Count(1, 100);
        /// How long a webhook may take to answer, in milliseconds. Default: 5,000.
        webhook_timeout_ms: u64 = limits::WEBHOOK_TIMEOUT_MS => Count(1, 600_000);
        /// Lets webhooks go to this machine and its network. Default: true in development mode,
        /// otherwise false.
        webhook_private: Option<bool> = None => Switch;
        /// What webhooks say in `User-Agent`. Default: that of the hosted service.
        webhook_user_agent: String = USER_AGENT_DEFAULT.to_owned() => Text(Form::Plain);
    }
}

impl Momento {
    /// The door's options. `own` is where this server is reached, where nothing is configured.
    ///
    /// # Errors
    /// Which key is wrong, and why.
    pub fn options(
        &self,
        authority: Arc<ArcSwap<Authority>>,
        own: &str,
        is_development: bool,
    ) -> Result<MomentoOptions, String> {
        let reach = if self.webhook_private.unwrap_or(is_development) { Reach::Anywhere } else { Reach::Public };
        Ok(MomentoOptions {
            authority,
            endpoint: self.endpoint(own)?,
            default_cache: self.default_cache.clone(),
            caches: self.caches.clone(),
            auto_create_caches: self.auto_create_caches,
            tells_beginning: self.initial_discontinuity,
            heartbeat: Duration::from_millis(self.heartbeat_ms),
            poll_hold: Duration::from_millis(self.poll_hold_ms),
            webhook_user_agent: self.webhook_user_agent.clone(),
            webhook_reach: reach,
            limits: MomentoLimits {
                caches: self.caches_max,
                subscriptions: self.subscriptions,
                operations_per_second: self.operations_per_second,
                throughput_per_second: self.throughput_per_second,
                control_per_second: self.control_per_second,
                message_bytes: self.message_bytes,
                webhooks: self.webhooks,
                webhook_rate: self.webhook_per_second,
                webhook_attempts: self.webhook_attempts,
                webhook_timeout: Duration::from_millis(self.webhook_timeout_ms),
            },
        })
    }

    /// The base domain.
    ///
    /// # Errors
    /// It is none.
    pub fn endpoint(&self, own: &str) -> Result<Endpoint, String> {
        Endpoint::new(self.endpoint.as_deref().unwrap_or(own)).map_err(|error| format!("momento.endpoint: {error}"))
    }

    /// What is wrong, each with its key.
    pub(super) fn mistakes(&self) -> Vec<(String, String)> {
        let endpoint = self.endpoint.as_deref().and_then(|text| Endpoint::new(text).err());
        let endpoint = endpoint.map(|error| ("momento.endpoint".to_owned(), error.to_string()));
        let listed = self.caches.iter().enumerate().map(|(index, name)| (format!("momento.caches[{index}]"), name));
        let named = [("momento.default_cache".to_owned(), &self.default_cache)].into_iter().chain(listed);
        let names = named.filter_map(|(key, cache)| {
            if cache == "default" && self.default_cache != "default" {
                return Some((key, "`default_cache` is another name of the space `default`".to_owned()));
            }
            Some((key, name::cache(cache).err()?.to_string()))
        });
        endpoint.into_iter().chain(names).collect()
    }
}
