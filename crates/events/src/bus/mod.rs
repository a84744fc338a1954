//! Event buses, their rules, and the operations on them.
//!
//! | module | operations |
//! | --- | --- |
//! | `rules` | PutRule, DeleteRule, DescribeRule, ListRules, EnableRule, DisableRule, TestEventPattern |
//! | `targets` | PutTargets, RemoveTargets, ListTargetsByRule, ListRuleNamesByTarget |
//! | `buses` | CreateEventBus, DeleteEventBus, ListEventBuses, DescribeEventBus |
//! | `publish` | PutEvents |

mod buses;
mod page;
mod publish;
mod rules;
mod targets;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::error::{ApiError, ErrorKind};
use crate::limits::{BUSES_MAX, RULES_MAX};
use crate::put_events::bus_name;
use crate::rule::{Rule, RuleState};

pub use publish::{Delivery, Routed, Undeliverable, Why};

/// The name of the event bus that is always there.
pub const DEFAULT_BUS: &str = "default";

/// All event buses of one account.
///
/// The state is plain data: [`Bus::to_json`] and [`Bus::from_json`] let a
/// store keep it. Rules of the configuration are left out, because the
/// configuration brings them back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bus {
    account: String,
    region: String,
    buses: BTreeMap<String, EventBus>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct EventBus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    created_ms: u64,
    modified_ms: u64,
    #[serde(serialize_with = "unmanaged")]
    rules: BTreeMap<String, Rule>,
}

/// What an operation answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The response body, to be sent with status 200.
    pub body: Value,
    /// What PutEvents has to deliver; empty for every other operation.
    pub routed: Routed,
    /// The state is another one now and should be kept.
    pub changed: bool,
}

impl Reply {
    fn read(body: Value) -> Self {
        Self { body, routed: Routed::default(), changed: false }
    }

    fn changed(body: Value) -> Self {
        Self { changed: true, ..Self::read(body) }
    }
}

type Answer = Result<Reply, ApiError>;

impl Bus {
    /// The default event bus alone, without rules.
    #[must_use]
    pub fn new(account: &str, region: &str) -> Self {
        let buses = BTreeMap::from([(DEFAULT_BUS.to_owned(), EventBus::default())]);
        Self { account: account.to_owned(), region: region.to_owned(), buses }
    }

    /// The state that a store kept.
    ///
    /// # Errors
    /// When the bytes are no such state, or a rule in it cannot be read.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut bus: Self = serde_json::from_slice(bytes)?;
        bus.buses.entry(DEFAULT_BUS.to_owned()).or_default();
        Ok(bus)
    }

    /// The state for a store to keep.
    ///
    /// # Errors
    /// None are known: the state is maps with text for keys.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Carries out one operation, named as in `X-Amz-Target: AWSEvents.NAME`.
    ///
    /// `now_ms` is in milliseconds since 1970; `new_id` gives a fresh unique
    /// id for each event. Schedules are not offered: a PutRule with
    /// `ScheduleExpression` fails with `ScheduleNotSupportedException`.
    /// Members that the operations do not know are ignored, tags among them;
    /// only a target's unknown members are refused.
    ///
    /// # Errors
    /// An [`ApiError`] that names the parameter; nothing is changed then.
    pub fn call(&mut self, operation: &str, body: &[u8], now_ms: u64, new_id: &mut dyn FnMut() -> String) -> Answer {
        match operation {
            "PutEvents" => self.put_events(body, now_ms, new_id),
            "PutRule" => self.put_rule(read(body)?),
            "DeleteRule" => self.delete_rule(&read(body)?),
            "DescribeRule" => self.describe_rule(&read(body)?),
            "ListRules" => self.list_rules(&read(body)?),
            "EnableRule" => self.set_rule_state(&read(body)?, RuleState::Enabled),
            "DisableRule" => self.set_rule_state(&read(body)?, RuleState::Disabled),
            "TestEventPattern" => rules::test_event_pattern(&read(body)?),
            "PutTargets" => self.put_targets(read(body)?),
            "RemoveTargets" => self.remove_targets(&read(body)?),
            "ListTargetsByRule" => self.list_targets_by_rule(&read(body)?),
            "ListRuleNamesByTarget" => self.list_rule_names_by_target(&read(body)?),
            "CreateEventBus" => self.create_event_bus(read(body)?, now_ms),
            "DeleteEventBus" => self.delete_event_bus(&read(body)?),
            "ListEventBuses" => self.list_event_buses(&read(body)?),
            "DescribeEventBus" => self.describe_event_bus(&read(body)?),
            other => {
                let message = format!("The operation {other:?} is not offered");
                Err(ApiError::new(ErrorKind::UnknownOperation, message))
            }
        }
    }

    /// Puts a rule of the configuration in its place, and its event bus with
    /// it if there is none of that name.
    ///
    /// # Errors
    /// When a limit is reached.
    pub fn install(&mut self, bus: &str, mut rule: Rule) -> Result<(), ApiError> {
        rule.managed = true;
        if !self.buses.contains_key(bus) {
            self.room_for_bus()?;
        }
        let held = self.buses.entry(bus.to_owned()).or_default();
        room_for_rule(held, &rule.name)?;
        held.rules.insert(rule.name.clone(), rule);
        Ok(())
    }

    /// Takes all rules of the configuration away, before another one is
    /// installed.
    pub fn uninstall(&mut self) {
        for bus in self.buses.values_mut() {
            bus.rules.retain(|_, rule| !rule.managed);
        }
    }

    /// A rule of an event bus.
    #[must_use]
    pub fn rule(&self, bus: &str, name: &str) -> Option<&Rule> {
        self.buses.get(bus)?.rules.get(name)
    }

    /// The ARN of a rule.
    #[must_use]
    pub fn rule_arn(&self, bus: &str, name: &str) -> String {
        let within = if bus == DEFAULT_BUS { String::new() } else { format!("{bus}/") };
        format!("arn:aws:events:{}:{}:rule/{within}{name}", self.region, self.account)
    }

    fn bus_arn(&self, name: &str) -> String {
        format!("arn:aws:events:{}:{}:event-bus/{name}", self.region, self.account)
    }

    fn event_bus(&self, given: Option<&str>) -> Result<(&str, &EventBus), ApiError> {
        let name = given.map_or(DEFAULT_BUS, bus_name);
        self.buses.get_key_value(name).map(|(name, bus)| (name.as_str(), bus)).ok_or_else(|| no_bus(name))
    }

    fn event_bus_mut(&mut self, given: Option<&str>) -> Result<&mut EventBus, ApiError> {
        let name = given.map_or(DEFAULT_BUS, bus_name);
        self.buses.get_mut(name).ok_or_else(|| no_bus(name))
    }

    /// A rule that the API may change.
    fn own_rule_mut(&mut self, bus: Option<&str>, name: &str) -> Result<&mut Rule, ApiError> {
        let rules = &mut self.event_bus_mut(bus)?.rules;
        let rule = rules.get_mut(name).ok_or_else(|| no_rule(name, bus))?;
        unmanaged_only(rule)?;
        Ok(rule)
    }

    fn room_for_bus(&self) -> Result<(), ApiError> {
        if self.buses.len() < BUSES_MAX {
            return Ok(());
        }
        Err(ApiError::new(ErrorKind::LimitExceeded, format!("There are {BUSES_MAX} event buses; delete one first")))
    }
}

fn room_for_rule(bus: &EventBus, name: &str) -> Result<(), ApiError> {
    if bus.rules.contains_key(name) || bus.rules.len() < RULES_MAX {
        return Ok(());
    }
    Err(ApiError::new(ErrorKind::LimitExceeded, format!("The event bus has {RULES_MAX} rules; delete one first")))
}

fn unmanaged_only(rule: &Rule) -> Result<(), ApiError> {
    if !rule.managed {
        return Ok(());
    }
    let message = format!("Rule {} comes from the configuration; change it there", rule.name);
    Err(ApiError::new(ErrorKind::ManagedRule, message))
}

fn no_bus(name: &str) -> ApiError {
    ApiError::new(ErrorKind::ResourceNotFound, format!("Event bus {name} does not exist."))
}

fn no_rule(name: &str, bus: Option<&str>) -> ApiError {
    let bus = bus.map_or(DEFAULT_BUS, bus_name);
    ApiError::new(ErrorKind::ResourceNotFound, format!("Rule {name} does not exist on EventBus {bus}."))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    // A member that is missing is a matter of validation, one of a wrong type
    // is not what the protocol calls a request.
    serde_json::from_slice(body).map_err(|error| {
        let message = error.to_string();
        let kind = if message.starts_with("missing field") { ErrorKind::Validation } else { ErrorKind::Serialization };
        ApiError::new(kind, message)
    })
}

/// The beginning of a text that may be of any length.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

fn empty() -> Value {
    json!({})
}

/// Serialises the rules that are not the configuration's.
fn unmanaged<S: Serializer>(rules: &BTreeMap<String, Rule>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(rules.iter().filter(|(_, rule)| !rule.managed))
}
