//! From an event to the deliveries that rules ask for.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::{Answer, Bus, EventBus, Reply};
use crate::event::Event;
use crate::limits::{DELIVERIES_MAX, MADE_BYTES_MAX};
use crate::put_events::{EntryFailure, PutEvents};
use crate::rule::{Rule, RuleState};
use crate::target::{Address, Destination, RetryPolicy, Target};
use crate::template::RenderError;
use crate::transform::{Context, TooLarge};

/// One thing to send. It is to be tried until it succeeds or the retry policy
/// ends; then it goes to the dead letter queue, or is dropped and counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The event bus of the rule.
    pub bus: String,
    /// The rule that matched.
    pub rule: String,
    /// The target's id within the rule.
    pub target: String,
    /// Whom to send to.
    pub address: Address,
    /// The event, shared by all its deliveries.
    pub event: Arc<Event>,
    /// What to send; the event's JSON unless the target says otherwise.
    pub input: Arc<[u8]>,
    /// How long to try.
    pub retry: RetryPolicy,
    /// Where it goes after the last try.
    pub dead_letter: Option<String>,
    /// Headers, query and path of an HTTP target, as they were given.
    pub http_parameters: Option<Value>,
}

/// A target that wanted an event and cannot be sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeliverable {
    /// The event bus of the rule.
    pub bus: String,
    /// The rule that matched.
    pub rule: String,
    /// The target's id within the rule.
    pub target: String,
    /// The event's id.
    pub event: String,
    /// What stands in the way.
    pub why: Why,
}

/// What stands in the way of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The event gives no topic or user.
    #[error(transparent)]
    Address(#[from] RenderError),
    /// The input would be too large.
    #[error(transparent)]
    Input(#[from] TooLarge),
}

/// What came of events: in the order of the events, then of the rules' names,
/// then of the targets' ids.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routed {
    /// To be sent.
    pub deliveries: Vec<Delivery>,
    /// To be counted and logged.
    pub undeliverable: Vec<Undeliverable>,
    /// How many targets were left out because there are [`DELIVERIES_MAX`]
    /// deliveries or [`MADE_BYTES_MAX`] bytes of inputs already.
    pub left_out: usize,
    made_bytes: usize,
}

impl Routed {
    fn has_room(&mut self) -> bool {
        let room =
            self.deliveries.len() + self.undeliverable.len() < DELIVERIES_MAX && self.made_bytes < MADE_BYTES_MAX;
        self.left_out += usize::from(!room);
        room
    }

    fn add(&mut self, target: &Target, bus: &str, seen: &Seen, context: &Context<'_>) {
        match delivery(target, bus, seen, context) {
            Ok(delivery) => {
                if !Arc::ptr_eq(&delivery.input, &seen.json) {
                    self.made_bytes += delivery.input.len();
                }
                self.deliveries.push(delivery);
            }
            Err(why) => self.undeliverable.push(Undeliverable {
                bus: bus.to_owned(),
                rule: context.rule_name.to_owned(),
                target: target.id().to_owned(),
                event: seen.event.id.clone(),
                why,
            }),
        }
    }
}

/// An event in the forms that rules need.
struct Seen {
    event: Arc<Event>,
    value: Value,
    json: Arc<[u8]>,
    now_ms: u64,
}

impl Bus {
    /// An entry for an event bus that does not exist fails alone.
    pub(super) fn put_events(&self, body: &[u8], now_ms: u64, new_id: &mut dyn FnMut() -> String) -> Answer {
        let request = PutEvents::parse(body)?;
        let mut routed = Routed::default();
        let outcomes: Vec<Result<String, EntryFailure>> = request
            .entries
            .into_iter()
            .map(|entry| {
                let entry = entry?;
                if !self.buses.contains_key(&entry.bus) {
                    let message = format!("Event bus {} does not exist.", super::shortened(&entry.bus));
                    return Err(EntryFailure { code: "ResourceNotFoundException", message });
                }
                let event = Event::new(entry.parts, new_id(), &self.account, &self.region, now_ms);
                let id = event.id.clone();
                self.route(&entry.bus, Arc::new(event), now_ms, &mut routed);
                Ok(id)
            })
            .collect();
        Ok(Reply { routed, ..Reply::read(PutEvents::answer(&outcomes)) })
    }

    /// Holds an event against the rules of an event bus and adds what they
    /// ask for to `routed`. An unknown bus has no rules.
    ///
    /// A target that is another bus of this account is followed at once. An
    /// event reaches each bus once, so buses cannot send in circles.
    pub fn route(&self, bus: &str, event: Arc<Event>, now_ms: u64, routed: &mut Routed) {
        let Some((first, _)) = self.buses.get_key_value(bus) else {
            return;
        };
        let value = event.to_value();
        let json = Arc::from(event.to_json().into_bytes());
        let seen = Seen { event, value, json, now_ms };
        let mut reached = BTreeSet::from([first.as_str()]);
        let mut waiting = vec![first.as_str()];
        while let Some(name) = waiting.pop() {
            for next in self.route_on(name, &seen, routed) {
                if reached.insert(next) {
                    waiting.push(next);
                }
            }
        }
    }

    /// Routes on one bus; returns the buses that the event is passed on to.
    fn route_on(&self, bus: &str, seen: &Seen, routed: &mut Routed) -> BTreeSet<&str> {
        let mut passed_on = BTreeSet::new();
        let Some(EventBus { rules, .. }) = self.buses.get(bus) else {
            return passed_on;
        };
        let matching = |rule: &&Rule| rule.state == RuleState::Enabled && rule.pattern.matches(&seen.value);
        for rule in rules.values().filter(matching) {
            let rule_arn = self.rule_arn(bus, &rule.name);
            let context = Context { rule_name: &rule.name, rule_arn: &rule_arn, ingestion_ms: seen.now_ms };
            for target in rule.targets.values() {
                if let Destination::EventBus(next) = target.destination()
                    && let Some((next, _)) = self.buses.get_key_value(next)
                {
                    passed_on.insert(next.as_str());
                } else if routed.has_room() {
                    routed.add(target, bus, seen, &context);
                }
            }
        }
        passed_on
    }
}

fn delivery(target: &Target, bus: &str, seen: &Seen, context: &Context<'_>) -> Result<Delivery, Why> {
    let address = target.address(&seen.value)?;
    let input = match target.input(&seen.value, context)? {
        Some(text) => Arc::from(text.into_bytes()),
        None => Arc::clone(&seen.json),
    };
    let form = target.form();
    Ok(Delivery {
        bus: bus.to_owned(),
        rule: context.rule_name.to_owned(),
        target: form.id.clone(),
        address,
        event: Arc::clone(&seen.event),
        input,
        retry: target.retry_policy(),
        dead_letter: form.dead_letter_config.as_ref().and_then(|config| config.arn.clone()),
        http_parameters: form.http_parameters.clone(),
    })
}
