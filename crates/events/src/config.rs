//! Rules as a configuration file states them.
//!
//! ```toml
//! [[rules]]
//! name = "tickets"
//! pattern = { source = ["shop.tickets"], detail-type = ["TicketsAvailable"] }
//! targets = [{ topic = "artists/${$.detail.artist}/tickets", input_path = "$.detail" }]
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::bus::DEFAULT_BUS;
use crate::limits::{BUS_NAME_MAX, DESCRIPTION_MAX, RULE_NAME_MAX, TARGETS_MAX};
use crate::pattern::{Pattern, PatternError};
use crate::rule::{Rule, RuleState};
use crate::target::{DeadLetterConfig, RetryPolicy, Target, TargetError, TargetForm, TransformerForm, is_name};

/// One rule of the configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Unique on its bus: 1 to [`RULE_NAME_MAX`] letters, digits, `.`, `-`, `_`.
    pub name: String,
    /// The event bus; `default` if left out.
    #[serde(default = "default_bus")]
    pub bus: String,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// `false` keeps the rule without using it.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Which events: a table, or the pattern's JSON as text.
    pub pattern: Value,
    /// Whom to send to, 1 to [`TARGETS_MAX`].
    pub targets: Vec<TargetConfig>,
}

/// One target of a rule. Exactly one of `topic`, `users`, `function`, `bus`,
/// `api_destination` and `arn` says whom; at most one of `input`, `input_path`
/// and `input_template` says what.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetConfig {
    /// Unique within the rule; its place in the list, from 1, if left out.
    pub id: Option<String>,
    /// A topic, perhaps with `${$.path}` in it.
    pub topic: Option<String>,
    /// A user, perhaps with `${$.path}` in it.
    pub users: Option<String>,
    /// The name of a function.
    pub function: Option<String>,
    /// The name of an event bus.
    pub bus: Option<String>,
    /// The name of an API destination.
    pub api_destination: Option<String>,
    /// Any target by its ARN.
    pub arn: Option<String>,
    /// A value to send instead of the event.
    pub input: Option<Value>,
    /// The part of the event to send.
    pub input_path: Option<String>,
    /// Text with variables in angle brackets.
    pub input_template: Option<String>,
    /// The variables of `input_template` and their paths.
    pub input_paths: BTreeMap<String, String>,
    /// 0 to 185 further tries after the first; 185 if left out.
    pub retry_attempts: Option<u32>,
    /// 60 to 86,400 seconds to the last try; 86,400 if left out.
    pub retry_seconds: Option<u32>,
    /// The ARN of where an event goes that could not be delivered.
    pub dead_letter: Option<String>,
}

/// A rule of the configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule:?}, {key}: {fault}")]
pub struct ConfigError {
    /// The rule's name.
    pub rule: String,
    /// The key within the rule: `pattern`, `targets[0].input_path`.
    pub key: String,
    /// What is wrong with it.
    pub fault: ConfigFault,
}

/// What is wrong with a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    /// A name that is none.
    #[error("a name has 1 to {0} of the characters . - _ A-Z a-z 0-9")]
    Name(usize),
    /// Too long a description.
    #[error("at most {DESCRIPTION_MAX} characters")]
    Description,
    /// The pattern cannot be read.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// No targets, or too many.
    #[error("a rule has 1 to {TARGETS_MAX} targets")]
    Targets,
    /// Not exactly one destination.
    #[error("give exactly one of topic, users, function, bus, api_destination and arn")]
    Destination,
    /// More than one way to make the input.
    #[error("give at most one of input, input_path and input_template")]
    Inputs,
    /// Variables without a template.
    #[error("input_paths are the variables of an input_template; give one")]
    PathsAlone,
    /// The id of another target of this rule.
    #[error("another target of this rule has this id")]
    SameId,
    /// The target cannot be read.
    #[error(transparent)]
    Target(#[from] TargetError),
}

impl RuleConfig {
    /// The rule that is meant, for [`Bus::install`](crate::Bus::install).
    /// `account` and `region` go into the targets' ARNs.
    ///
    /// # Errors
    /// Names the rule and the key.
    pub fn to_rule(&self, account: &str, region: &str) -> Result<Rule, ConfigError> {
        let fail = |key: &str, fault| self.error(key, fault);
        if !is_name(&self.name, RULE_NAME_MAX) {
            return Err(fail("name", ConfigFault::Name(RULE_NAME_MAX)));
        }
        if !is_name(&self.bus, BUS_NAME_MAX) {
            return Err(fail("bus", ConfigFault::Name(BUS_NAME_MAX)));
        }
        if self.description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_MAX) {
            return Err(fail("description", ConfigFault::Description));
        }
        let pattern = match &self.pattern {
            Value::String(text) => Pattern::parse(text),
            table => Pattern::from_value(table),
        };
        let pattern = pattern.map_err(|error| fail("pattern", error.into()))?;
        if self.targets.is_empty() || self.targets.len() > TARGETS_MAX {
            return Err(fail("targets", ConfigFault::Targets));
        }
        let mut targets = BTreeMap::new();
        for (at, config) in self.targets.iter().enumerate() {
            let target = config
                .to_target(at, account, region)
                .map_err(|(key, fault)| fail(&format!("targets[{at}].{key}"), fault))?;
            if targets.insert(target.id().to_owned(), target).is_some() {
                return Err(fail(&format!("targets[{at}].id"), ConfigFault::SameId));
            }
        }
        Ok(Rule {
            name: self.name.clone(),
            description: self.description.clone(),
            pattern,
            state: if self.enabled { RuleState::Enabled } else { RuleState::Disabled },
            role_arn: None,
            targets,
            managed: true,
        })
    }

    fn error(&self, key: &str, fault: ConfigFault) -> ConfigError {
        ConfigError { rule: self.name.clone(), key: key.to_owned(), fault }
    }
}

impl TargetConfig {
    /// The error is the key and what is wrong with it.
    fn to_target(&self, at: usize, account: &str, region: &str) -> Result<Target, (&'static str, ConfigFault)> {
        let (key, arn) = self.destination(account, region)?;
        let forms = [self.input.is_some(), self.input_path.is_some(), self.input_template.is_some()];
        if forms.into_iter().filter(|given| *given).count() > 1 {
            return Err(("input", ConfigFault::Inputs));
        }
        if self.input_template.is_none() && !self.input_paths.is_empty() {
            return Err(("input_paths", ConfigFault::PathsAlone));
        }
        let template = self.input_template.clone();
        let usual = RetryPolicy::default();
        let form = TargetForm {
            id: self.id.clone().unwrap_or_else(|| (at + 1).to_string()),
            arn,
            input: self.input.as_ref().map(Value::to_string),
            input_path: self.input_path.clone(),
            input_transformer: template
                .map(|input_template| TransformerForm { input_paths_map: self.input_paths.clone(), input_template }),
            retry_policy: Some(RetryPolicy {
                maximum_retry_attempts: self.retry_attempts.unwrap_or(usual.maximum_retry_attempts),
                maximum_event_age_in_seconds: self.retry_seconds.unwrap_or(usual.maximum_event_age_in_seconds),
            }),
            dead_letter_config: self.dead_letter.clone().map(|arn| DeadLetterConfig { arn: Some(arn) }),
            ..TargetForm::default()
        };
        Target::new(form).map_err(|error| (key_of(&error, key), error.into()))
    }

    /// The key that says whom to send to, and the ARN it stands for.
    fn destination(&self, account: &str, region: &str) -> Result<(&'static str, String), (&'static str, ConfigFault)> {
        let events = format!("arn:aws:events:{region}:{account}:");
        let ways = [
            ("topic", &self.topic, "arn:gw:channel:::".to_owned()),
            ("users", &self.users, "arn:gw:users:::".to_owned()),
            ("function", &self.function, format!("arn:aws:lambda:{region}:{account}:function:")),
            ("bus", &self.bus, format!("{events}event-bus/")),
            ("api_destination", &self.api_destination, format!("{events}api-destination/")),
            ("arn", &self.arn, String::new()),
        ];
        let mut given =
            ways.into_iter().filter_map(|(key, value, before)| value.as_ref().map(|value| (key, before, value)));
        let (Some((key, before, value)), None) = (given.next(), given.next()) else {
            return Err(("topic", ConfigFault::Destination));
        };
        if matches!(key, "function" | "bus" | "api_destination") && !is_name(value, BUS_NAME_MAX) {
            return Err((key, ConfigFault::Name(BUS_NAME_MAX)));
        }
        Ok((key, before + value))
    }
}

/// The key that an error of a target is about.
fn key_of(error: &TargetError, destination: &'static str) -> &'static str {
    match error {
        TargetError::Id => "id",
        TargetError::Arn | TargetError::Template(_) => destination,
        TargetError::Inputs | TargetError::Input => "input",
        TargetError::Path(_) => "input_path",
        TargetError::Transformer(_) => "input_template",
        TargetError::Retry => "retry_attempts",
    }
}

fn default_bus() -> String {
    DEFAULT_BUS.to_owned()
}

fn yes() -> bool {
    true
}
