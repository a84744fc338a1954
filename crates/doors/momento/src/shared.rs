//! What all calls have in common.

use std::sync::{Arc, OnceLock};

use fanfare_core::{Action, LogError, TopicName};
use fanfare_door::Gateway;
use fanfare_functions::HttpCaller;
use fanfare_momento::sequence::Settings;
use fanfare_momento::{Problem, name};
use fanfare_telemetry::DoorCounter;

use crate::caches::{Cache, Caches};
use crate::callers::{Caller, Callers};
use crate::encodings::Encodings;
use crate::options::MomentoOptions;
use crate::rates::Rate;
use crate::subscribing::Refused;
use crate::webhooks::Webhooks;
use crate::{NAME, SetupError};

pub(crate) struct Shared {
    pub(crate) options: MomentoOptions,
    pub(crate) caches: Caches,
    pub(crate) callers: Callers,
    pub(crate) encodings: Encodings,
    pub(crate) refused: Refused,
    pub(crate) webhooks: Webhooks,
    pub(crate) http: HttpCaller,
    control: Rate,
    gateway: OnceLock<Arc<Gateway>>,
}

impl Shared {
    pub(crate) fn new(options: MomentoOptions) -> Result<Self, SetupError> {
        let caches = Caches::new(&options.default_cache, &options.caches, options.limits.caches)
            .map_err(|problem| SetupError::Cache(problem.to_string()))?;
        Ok(Self {
            caches,
            callers: Callers::default(),
            encodings: Encodings::default(),
            refused: Refused::default(),
            webhooks: Webhooks::default(),
            http: HttpCaller::new(options.webhook_reach, None)?,
            control: Rate::default(),
            gateway: OnceLock::new(),
            options,
        })
    }

    /// Takes up what earlier runs left.
    pub(crate) fn start(self: &Arc<Self>, gateway: &Arc<Gateway>) -> Result<(), LogError> {
        let _ = self.gateway.set(gateway.clone());
        self.caches.restore(&**gateway.core.log())?;
        self.start_webhooks(gateway)?;
        let shared = Arc::downgrade(self);
        gateway.metrics.observe(Box::new(move |gauges| {
            let Some(shared) = shared.upgrade() else { return };
            let (made, given_up) = shared.webhooks.counts();
            let counter = |result: &'static str, value| DoorCounter {
                name: "momento_webhook_deliveries",
                help: "Deliveries of webhooks by their end",
                label: ("result", result.into()),
                value,
            };
            gauges.door_counters.extend([counter("delivered", made), counter("given_up", given_up)]);
        }));
        Ok(())
    }

    pub(crate) fn gateway(&self) -> &Arc<Gateway> {
        self.gateway.get().expect("a door is started before requests come")
    }

    /// How subscriptions over gRPC behave.
    pub(crate) fn settings(&self) -> Settings {
        let heartbeat_ms = u64::try_from(self.options.heartbeat.as_millis()).unwrap_or(u64::MAX);
        Settings { tells_beginning: self.options.tells_beginning, heartbeat_ms }
    }

    /// Cache and topic, for a caller who may do this there. Who may not is not told whether there is
    /// such a cache.
    ///
    /// # Errors
    /// The names are none, the caller may not, or there is no such cache.
    pub(crate) async fn admit(
        &self,
        caller: &Caller,
        action: Action,
        cache: &str,
        topic: &str,
    ) -> Result<(Arc<Cache>, TopicName), Problem> {
        name::cache(cache)?;
        let topic = name::topic(topic)?;
        if !caller.principal.grant.allows(action, self.caches.space_of(cache), &topic) {
            let verb = if action == Action::Publish { "publish" } else { "subscribe" };
            return Err(Problem::Denied(format!("{verb} on {cache}/{topic}")));
        }
        let cache = match self.caches.get(cache) {
            Some(cache) => cache,
            None if self.options.auto_create_caches => self.make(cache).await?,
            None => return Err(Problem::CacheNotFound(cache.to_owned())),
        };
        let (limit, now) = (self.options.limits.operations_per_second, self.gateway().clock.now());
        if !cache.operations.take(1, limit.into(), now) {
            self.gateway().metrics.limit("momento_operations");
            return Err(Problem::TooManyOperations { limit });
        }
        Ok((cache, topic))
    }

    /// Of two who make it at once, both have it.
    async fn make(&self, name: &str) -> Result<Arc<Cache>, Problem> {
        match self.caches.create(name, &**self.gateway().core.log()).await {
            Err(Problem::CacheExists(_)) => {
                self.caches.get(name).ok_or_else(|| Problem::CacheNotFound(name.to_owned()))
            }
            made => made,
        }
    }

    /// One more call that manages something.
    ///
    /// # Errors
    /// There are too many in this second.
    pub(crate) fn count_control(&self) -> Result<(), Problem> {
        let (limit, gateway) = (self.options.limits.control_per_second, self.gateway());
        gateway.meter.row(gateway.default_space(), NAME, |row| row.operations += 1);
        if self.control.take(1, limit.into(), gateway.clock.now()) {
            return Ok(());
        }
        gateway.metrics.limit("momento_control");
        Err(Problem::TooManyOperations { limit })
    }
}
