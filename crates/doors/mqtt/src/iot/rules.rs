//! Topic rules at work: each reads its filter, and does what it says with what it selects.
//!
//! `runner` is one rule's task, `acting` carries out what was planned, `http` is the action that
//! posts to web servers, `cursor` remembers how far durable rules have come, and `trail` keeps rules
//! from going round in circles. A rule acts on the messages of every door, because it reads the log
//! of the space as any subscriber does.

mod acting;
mod cursor;
mod http;
mod runner;
mod trail;

use std::sync::{Arc, OnceLock};

use fanfare_core::{Done, Grant, LogError, Message, Millis, Principal, Publication, Refusal};
use fanfare_door::Gateway;
use fanfare_events::EventSink;
use fanfare_functions::{CallerError, Functions};
use fanfare_iot::rules::{Rule, basic_ingest};
use fanfare_iot::shadow::{Shadow, ShadowName};
use hashbrown::HashMap;
use parking_lot::Mutex;
use serde_json::Value as Json;
use tokio::sync::mpsc;

use crate::NAME;
use crate::hub::Hub;
use cursor::Cursors;
use http::Http;
use runner::Runner;

/// Messages that may wait for one rule at its Basic Ingest topic.
const INLET_MESSAGES: usize = 1_000;

/// A rule, and how surely it runs.
#[derive(Debug)]
pub struct RuleEntry {
    /// The rule.
    pub rule: Rule,
    /// After a restart it goes on where it was, so that it sees every message of quality 1 and 2 at
    /// least once. `None`: it does if the server keeps anything.
    pub durable: Option<bool>,
}

/// What rules need of the rest of the server.
pub struct RuleOptions {
    /// The rules; each name once.
    pub rules: Vec<RuleEntry>,
    /// What their function actions call.
    pub functions: Functions,
    /// Where their events go; without it such actions fail.
    pub events: Option<Arc<dyn EventSink>>,
    /// Hosts, as `name` or `name:port`, that may be posted to although they are of this machine or its network.
    pub http_allow: Vec<String>,
    /// The account that `accountid()` tells.
    pub account: String,
}

/// All rules of the door.
pub(crate) struct Rules {
    /// Until they are started.
    entries: Mutex<Vec<RuleEntry>>,
    shared: Arc<Shared>,
}

/// What the tasks of all rules share.
struct Shared {
    functions: Functions,
    events: Option<Arc<dyn EventSink>>,
    http: Http,
    account: String,
    principal: Arc<Principal>,
    started: OnceLock<Started>,
}

struct Started {
    hub: Arc<Hub>,
    inlets: HashMap<Box<str>, mpsc::Sender<Ingested>>,
}

/// A message for one rule alone.
struct Ingested {
    message: Arc<Message>,
    done: Option<Done>,
}

impl Rules {
    /// Rules that do not run yet.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub(crate) fn new(options: RuleOptions) -> Result<Self, CallerError> {
        let shared = Shared {
            functions: options.functions,
            events: options.events,
            http: Http::new(options.http_allow)?,
            account: options.account,
            principal: Arc::new(Principal::anonymous(Grant::everything())),
            started: OnceLock::new(),
        };
        Ok(Self { entries: Mutex::new(options.rules), shared: Arc::new(shared) })
    }

    /// Starts a task for each rule that is enabled.
    ///
    /// # Errors
    /// The places of durable rules cannot be read.
    pub(crate) fn start(&self, hub: &Arc<Hub>) -> Result<(), LogError> {
        let (gateway, space) = (hub.gateway(), hub.space());
        let entries: Vec<RuleEntry> = std::mem::take(&mut *self.entries.lock());
        let keeps = gateway.core.log().is_durable();
        let cursors = Cursors::new(gateway.core.clone());
        let mut places = cursors.read()?;
        let (mut inlets, mut runners) = (HashMap::new(), Vec::new());
        for RuleEntry { rule, durable } in entries.into_iter().filter(|entry| entry.rule.enabled) {
            let is_durable = durable.unwrap_or(keeps) && keeps;
            let place = places.remove(rule.name.as_str()).filter(|_| is_durable);
            let (inlet, ingested) = mpsc::channel(INLET_MESSAGES);
            inlets.insert(rule.name.as_str().into(), inlet);
            let durable = is_durable.then(|| cursors.clone());
            runners.push((Runner::new(self.shared.clone(), rule, space.clone(), ingested, durable), place));
        }
        // Rules that are gone or are not durable any more begin anew, should they come back.
        places.keys().for_each(|name| cursors.forget(name));
        let _ = self.shared.started.set(Started { hub: hub.clone(), inlets });
        for (runner, place) in runners {
            // Before anybody is let in, so that a rule misses nothing.
            let reader = runner.listen(place);
            gateway.tasks.spawn(runner.run(reader));
        }
        Ok(())
    }

    /// Gives a message to the rule that its topic `$aws/rules/RULE/..` names. `done` is called when
    /// the rule has begun all its actions. `false` when there is no such rule, which is nobody's fault.
    ///
    /// # Errors
    /// Too many messages wait for the rule.
    pub(crate) fn ingest(
        &self,
        publication: Publication,
        publisher: Option<Arc<str>>,
        done: Option<Done>,
    ) -> Result<bool, Refusal> {
        self.shared.ingest(publication, publisher, done)
    }
}

impl Shared {
    fn started(&self) -> &Started {
        self.started.get().expect("rules are started before messages come")
    }

    fn gateway(&self) -> &Arc<Gateway> {
        self.started().hub.gateway()
    }

    /// The document of a shadow, for `get_thing_shadow`.
    fn shadow(&self, thing: &str, shadow: Option<&str>) -> Option<Json> {
        let (hub, name) = (&self.started().hub, ShadowName::new(thing, shadow)?);
        let document = hub.shadows().document(&name)?;
        Shadow::from_bytes(&document).ok()?.get(&name, b"", hub.now() / 1_000).ok()
    }

    fn ingest(
        &self,
        publication: Publication,
        publisher: Option<Arc<str>>,
        done: Option<Done>,
    ) -> Result<bool, Refusal> {
        let gateway = self.gateway();
        let rule = basic_ingest(&publication.topic).map_or("", |(rule, _)| rule);
        let Some(inlet) = self.started().inlets.get(rule) else {
            tracing::warn!(topic = &*publication.topic, "there is no such rule; the message is dropped");
            gateway.metrics.limit("rule_unknown");
            return Ok(false);
        };
        let bytes = publication.payload.len();
        gateway.meter.row(&publication.space.clone(), NAME, |row| row.published(bytes));
        let message = Arc::new(unlogged(publication, publisher, gateway.clock.now()));
        if inlet.try_send(Ingested { message, done }).is_err() {
            gateway.metrics.limit("rule_queue");
            return Err(Refusal::Overloaded);
        }
        Ok(true)
    }
}

/// A message that stands in no log.
fn unlogged(publication: Publication, publisher: Option<Arc<str>>, now: Millis) -> Message {
    Message {
        space: publication.space,
        topic: publication.topic,
        payload: publication.payload,
        kind: publication.kind,
        publisher,
        origin: publication.origin,
        properties: publication.properties,
        headers: publication.headers,
        guarantee: publication.guarantee,
        expires_at: publication.expires_at,
        idempotency_key: None,
        time: now,
        epoch: 0,
        offset: 0,
        previous: 0,
        is_retained: false,
    }
}
