//! What all connections of the door share.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use fanfare_core::{Action, LogError, Message, Millis, Offset, Position, TopicName};
use fanfare_door::Gateway;
use fanfare_mqtt_codec::Qos;

use crate::NAME;
use crate::authenticate::Authority;
use crate::groups::Groups;
use crate::iot::lifecycle::Versions;
use crate::iot::rules::Rules;
use crate::iot::shadows::{self, Shadows};
use crate::ledger::{Ledger, Restored};
use crate::options::MqttOptions;
use crate::outbound::{Orphan, Source};
use crate::registry::{Effect, Registry};
use crate::state::State;
use crate::sys;
use crate::will::Will;

mod restoring;

/// What the door has beside its connections.
pub(crate) struct Hub {
    pub(crate) options: MqttOptions,
    /// Who is who, as configured now.
    pub(crate) authority: Arc<ArcSwap<Authority>>,
    pub(crate) registry: Registry,
    pub(crate) groups: Groups,
    pub(crate) versions: Versions,
    /// Subscriptions of all sessions, connected or not.
    pub(crate) subscriptions: Arc<AtomicUsize>,
    pub(crate) rules: OnceLock<Rules>,
    started: OnceLock<Started>,
}

struct Started {
    gateway: Arc<Gateway>,
    ledger: Ledger,
    space: Arc<str>,
    shadows: Shadows,
}

impl Hub {
    pub(crate) fn new(options: MqttOptions, authority: Arc<ArcSwap<Authority>>) -> Self {
        Self {
            options,
            authority,
            registry: Registry::default(),
            groups: Groups::default(),
            versions: Versions::default(),
            subscriptions: Arc::default(),
            rules: OnceLock::new(),
            started: OnceLock::new(),
        }
    }

    /// Finds the sessions of earlier runs and begins to look after them.
    pub(crate) fn start(self: &Arc<Self>, gateway: &Arc<Gateway>) -> Result<(), LogError> {
        let space = gateway.default_space().clone();
        let ledger = Ledger::new(gateway.core.clone());
        let restored = ledger.restore()?;
        let (shadows, jobs) = Shadows::open(gateway.core.clone(), self.options.shadows_max)?;
        let _ = self.started.set(Started { gateway: gateway.clone(), ledger, space, shadows });
        gateway.tasks.spawn(shadows::answer_all(self.clone(), jobs));
        sys::start(self);
        self.take_back(restored);
        gateway.tasks.spawn(keep_watch(self.clone()));
        Ok(())
    }

    fn started(&self) -> &Started {
        self.started.get().expect("a door is started before connections come")
    }

    pub(crate) fn gateway(&self) -> &Arc<Gateway> {
        &self.started().gateway
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.started().ledger
    }

    pub(crate) fn shadows(&self) -> &Shadows {
        &self.started().shadows
    }

    /// The space whose topics MQTT's are.
    pub(crate) fn space(&self) -> &Arc<str> {
        &self.started().space
    }

    pub(crate) fn now(&self) -> Millis {
        self.gateway().clock.now()
    }

    pub(crate) fn count_limit(&self, name: &'static str) {
        self.gateway().metrics.limit(name);
    }

    /// Where the log stands; a session that begins now has seen everything up to here.
    pub(crate) fn head(&self) -> Position {
        self.gateway().core.head(self.space()).unwrap_or(Position { epoch: 0, offset: 0 })
    }

    /// Messages that were sent once, or dealt out, and are needed again. `None` when the log cannot be read.
    pub(crate) async fn recall(&self, wanted: Vec<(TopicName, Offset)>) -> Option<Vec<Option<Arc<Message>>>> {
        let (gateway, space) = (self.gateway().clone(), self.space().clone());
        let reading = self.gateway().tasks.spawn_blocking(move || gateway.core.recall(&space, &wanted));
        match reading.await {
            Ok(Ok(messages)) => Some(messages),
            Ok(Err(refusal)) => {
                tracing::warn!(%refusal, "messages in flight could not be read again");
                None
            }
            Err(_) => None,
        }
    }

    /// A client leaves and its session cannot stay, because `mqtt.sessions` others are away.
    pub(crate) fn count_crowded(&self, state: &State) {
        tracing::warn!(client = %state.client_id, "a session was not kept: mqtt.sessions clients are away already");
        self.count_limit("mqtt_sessions");
    }

    /// Does what a change in the registry asks for.
    pub(crate) fn carry_out(self: &Arc<Self>, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Publish(client_id, will) => self.speak(client_id, &will),
                Effect::End(state) => self.end(*state),
                Effect::Crowd(state) => {
                    self.count_crowded(&state);
                    self.end(*state);
                }
            }
        }
    }

    /// Publishes a will.
    fn speak(self: &Arc<Self>, client_id: Arc<str>, will: &Will) {
        let publication = will.publication(self.space().clone(), client_id, self.now());
        let (gateway, principal) = (self.gateway().clone(), will.principal.clone());
        self.gateway().tasks.spawn(async move {
            if let Err(refusal) = gateway.publish(&principal, publication, NAME).await {
                tracing::debug!(%refusal, "a will was not published");
                gateway.metrics.refusal(NAME, refusal.code());
            }
        });
    }

    /// A session is over: nothing is kept for it any more.
    pub(crate) fn end(&self, mut state: State) {
        if state.is_recorded {
            self.ledger().forget(&state);
        }
        for subscription in &state.subscriptions {
            if subscription.is_held {
                self.gateway().core.release(self.space(), &subscription.filter);
            }
        }
        for Orphan { share, topic, offset, qos } in state.outbound.end() {
            match qos {
                Qos::ExactlyOnce => share.done(&state.client_id, offset),
                _ => share.give_back_unread(&state.client_id, topic, offset),
            }
        }
        for subscription in &state.subscriptions {
            if let Some(share) = &subscription.share {
                self.groups.leave(self, share, &state.client_id);
            }
        }
    }

    /// Writes down what a client leaves behind.
    pub(crate) fn record_leaving(&self, state: &State, will: Option<&Will>) {
        self.ledger().put_flight(state, self.head().epoch, None);
        self.ledger().put_main(state, will, Some(self.now()), None);
    }

    /// A message that came from somewhere is done with, whatever became of it.
    pub(crate) fn settle(&self, client_id: &str, source: &Source, offset: Offset) {
        if let Source::Shared(share) = source {
            share.done(client_id, offset);
        }
    }

    /// Whether a principal may receive a message, where rules say something about that.
    pub(crate) fn may_receive(&self, principal: &fanfare_core::Principal, message: &Message) -> bool {
        principal.grant.allows(Action::Receive, &message.space, &message.topic)
    }

    fn take_back(self: &Arc<Self>, restored: Restored) {
        restoring::take_back(self, restored);
    }
}

/// Wakes when somebody who is away has to be looked at.
async fn keep_watch(hub: Arc<Hub>) {
    loop {
        let changed = hub.registry.changed.notified();
        let (effects, next) = hub.registry.due(hub.now());
        hub.carry_out(effects);
        let wait = next.map_or(Duration::from_secs(3_600), |at| Duration::from_millis(at.saturating_sub(hub.now())));
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep(wait.min(Duration::from_secs(3_600))) => {}
        }
    }
}
