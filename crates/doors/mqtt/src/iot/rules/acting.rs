//! From a message to what is done: the statement is run, and its actions are carried out.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::{Done, Guarantee, Headers, Kind, Message, Publication, TopicName};
use fanfare_events::EventParts;
use fanfare_functions::request_id;
use fanfare_iot::rules::{
    Failure, PlannedAction, PlannedHeaders, Qos, Rule, Target, basic_ingest, evaluate, plan_error,
};
use fanfare_iot::shadow::ShadowTopic;
use fanfare_iot::sql::{Input, Properties, ShadowLookup};
use futures_util::future::join_all;

use super::{Shared, trail};
use crate::NAME;
use crate::iot::shadows::Asker;

/// How much of a payload the log shows, in bytes.
const LOGGED_BYTES: usize = 4_096;

/// Runs `rule` on a message. What it publishes is published before this first waits. `done` is
/// called when all is under way that does not depend on other servers.
pub(super) async fn run(shared: Arc<Shared>, rule: Arc<Rule>, message: Arc<Message>, done: Option<Done>) {
    let origin = match trail::through(&message, &rule.name) {
        Ok(origin) => origin,
        Err(error) => {
            tracing::warn!(topic = &*message.topic, %error, "a rule was stopped");
            shared.gateway().metrics.limit("rule_hops");
            return accept(done);
        }
    };
    let facts = Facts::new(&message);
    let find = |thing: &str, shadow: Option<&str>| shared.shadow(thing, shadow);
    let planned = evaluate(&rule, &facts.input(&message, &shared, &find));
    let act = Act { shared: &shared, rule: &rule.name, message: &message, origin: &origin };
    let (slow, quick): (Vec<_>, Vec<_>) =
        planned.actions.iter().partition(|action| matches!(action.target, Target::Http { .. }));
    let mut failures = planned.failures;
    failures.extend(act.all(quick).await);
    accept(done);
    failures.extend(act.all(slow).await);
    if failures.is_empty() {
        return;
    }
    for Failure { action, resource, message } in &failures {
        tracing::warn!(rule = rule.name, action, resource, message, "an action failed");
        shared.gateway().metrics.refusal(NAME, "rule_action");
    }
    // The input does not live across the waiting above.
    let error_action = plan_error(&rule, &facts.input(&message, &shared, &find), &failures);
    let last = match &error_action {
        Ok(None) => None,
        Ok(Some(action)) => act.carry_out(action).await,
        Err(failure) => Some(failure.clone()),
    };
    if let Some(Failure { action, resource, message }) = last {
        tracing::warn!(rule = rule.name, action, resource, message, "the error action failed");
    }
}

fn accept(done: Option<Done>) {
    if let Some(done) = done {
        done(Ok(()));
    }
}

/// What a statement may know of a message, in the form it wants.
struct Facts {
    trace_id: Arc<str>,
    user_properties: Vec<(String, String)>,
}

impl Facts {
    fn new(message: &Message) -> Self {
        let pairs = message.properties.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Self { trace_id: request_id(), user_properties: pairs.collect() }
    }

    fn input<'a>(&'a self, message: &'a Message, shared: &'a Shared, find: ShadowLookup<'a>) -> Input<'a> {
        let headers = message.headers.as_deref();
        let left_ms = message.expires_at.map(|at| at.saturating_sub(message.time));
        let mut input = Input::new(&message.payload, &message.topic);
        input.client_id = trail::client_id(message);
        input.principal = message.publisher.as_deref();
        input.account_id = &shared.account;
        input.timestamp_ms = i64::try_from(message.time).unwrap_or(i64::MAX);
        input.trace_id = &self.trace_id;
        input.shadow = Some(find);
        input.user_properties = &self.user_properties;
        input.properties = Properties {
            content_type: headers.and_then(|headers| headers.content_type.as_deref()),
            response_topic: headers.and_then(|headers| headers.response_topic.as_deref()),
            correlation_data: headers.and_then(|headers| headers.correlation.as_deref()),
            is_utf8: headers.and_then(|headers| headers.is_utf8),
            expiry_s: left_ms.map(|ms| u32::try_from(ms / 1_000).unwrap_or(u32::MAX)),
        };
        input
    }
}

/// One run of a rule, as its actions see it.
#[derive(Clone, Copy)]
struct Act<'a> {
    shared: &'a Shared,
    rule: &'a str,
    message: &'a Message,
    /// The origin of what the actions publish.
    origin: &'a Arc<str>,
}

impl Act<'_> {
    /// Begins all actions in order; gives what failed.
    async fn all(self, actions: Vec<&PlannedAction>) -> Vec<Failure> {
        let all = join_all(actions.into_iter().map(|action| self.carry_out(action))).await;
        all.into_iter().flatten().collect()
    }

    async fn carry_out(self, action: &PlannedAction) -> Option<Failure> {
        self.attempt(action).await.err().map(|reason| action.failed(reason))
    }

    async fn attempt(self, action: &PlannedAction) -> Result<(), String> {
        let body = || Bytes::from_owner(action.payload.clone());
        match &action.target {
            Target::Republish { topic, qos, headers } => self.republish(action, topic, *qos, headers).await,
            Target::Channel { space, topic } => {
                let space = space.as_deref().map_or_else(|| self.message.space.clone(), Arc::from);
                self.publish(self.publication(action, space, topic)?).await
            }
            Target::Function { name } => {
                let sent = self.shared.functions.send(name, body()).await;
                sent.map_err(|error| error.to_string())
            }
            Target::Http { url, headers, .. } => self.shared.http.post(url, headers, body(), action.is_json).await,
            Target::EventBridge { bus, source, detail_type, resources } => {
                self.put_event(action, bus, source, detail_type, resources)
            }
            Target::Log => {
                let shown = &action.payload[..action.payload.len().min(LOGGED_BYTES)];
                let (topic, payload) = (&*self.message.topic, String::from_utf8_lossy(shown));
                tracing::info!(rule = self.rule, topic, %payload, "a rule matched");
                Ok(())
            }
            _ => Err("this action is not known here".to_owned()),
        }
    }

    async fn republish(
        self,
        action: &PlannedAction,
        topic: &str,
        qos: Qos,
        headers: &PlannedHeaders,
    ) -> Result<(), String> {
        let mut publication = self.publication(action, self.message.space.clone(), topic)?;
        publication.guarantee = match qos {
            Qos::AtMostOnce => Guarantee::AtMostOnce,
            Qos::AtLeastOnce => Guarantee::AtLeastOnce,
        };
        let now = self.shared.gateway().clock.now();
        publication.expires_at = headers.expiry_s.map(|seconds| now + (u64::from(seconds) * 1_000).max(1));
        let pair = |(name, value): &(String, String)| (name.as_str().into(), value.as_str().into());
        publication.properties = headers.user_properties.iter().map(pair).collect();
        let said = Headers {
            content_type: headers.content_type.as_deref().map(Box::from),
            response_topic: headers.response_topic.as_deref().map(Box::from),
            correlation: headers.correlation_data.clone().map(Bytes::from),
            is_utf8: headers.is_utf8,
        };
        publication.headers = (!said.is_empty()).then(|| Box::new(said));
        if let Some(request) = ShadowTopic::parse(topic) {
            let hub = &self.shared.started().hub;
            let asked = hub.shadows().request(request, &action.payload, hub.now() / 1_000, Asker::Client(None));
            return asked.map_err(|refusal| refusal.to_string());
        }
        if basic_ingest(topic).is_none() {
            return self.publish(publication).await;
        }
        match self.shared.ingest(publication, None, None) {
            Ok(true) => Ok(()),
            Ok(false) => Err("there is no such rule".to_owned()),
            Err(refusal) => Err(refusal.to_string()),
        }
    }

    fn publication(self, action: &PlannedAction, space: Arc<str>, topic: &str) -> Result<Publication, String> {
        let topic = TopicName::new(topic).map_err(|refusal| refusal.to_string())?;
        let kind = match action.is_json {
            true => Kind::Json,
            false if simdutf8::basic::from_utf8(&action.payload).is_ok() => Kind::Text,
            false => Kind::Binary,
        };
        let payload = Bytes::from_owner(action.payload.clone());
        Ok(Publication { origin: Some(self.origin.clone()), ..Publication::new(space, topic, kind, payload) })
    }

    async fn publish(self, publication: Publication) -> Result<(), String> {
        let published = self.shared.gateway().publish(&self.shared.principal, publication, NAME).await;
        published.map(drop).map_err(|refusal| refusal.to_string())
    }

    fn put_event(
        self,
        action: &PlannedAction,
        bus: &str,
        source: &str,
        detail_type: &str,
        resources: &[String],
    ) -> Result<(), String> {
        let events = self.shared.events.as_ref().ok_or("there is no event bus")?;
        let detail = serde_json::from_slice(&action.payload).map_err(|_| "the detail is no JSON object")?;
        let parts = EventParts {
            source: source.to_owned(),
            detail_type: detail_type.to_owned(),
            detail,
            resources: resources.to_vec(),
            time_s: None,
        };
        events.put(bus, parts).map(drop).map_err(|failure| failure.to_string())
    }
}
