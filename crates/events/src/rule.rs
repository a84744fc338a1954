//! Rules: a pattern and its targets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::pattern::Pattern;
use crate::target::Target;

/// What `ManagedBy` says of rules that come from the configuration.
pub const MANAGED_BY: &str = "configuration";

/// A rule of an event bus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Unique on its bus.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Which events it wants.
    pub pattern: Pattern,
    /// Whether it looks at events at all.
    pub state: RuleState,
    /// Kept and returned, not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// By id.
    pub targets: BTreeMap<String, Target>,
    /// It comes from the configuration: the API cannot change it, and it is
    /// no part of the state that is kept.
    #[serde(skip)]
    pub managed: bool,
}

/// Whether a rule looks at events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleState {
    /// It does.
    #[default]
    #[serde(rename = "ENABLED")]
    Enabled,
    /// It does not.
    #[serde(rename = "DISABLED")]
    Disabled,
}

impl Rule {
    /// The rule as DescribeRule and ListRules show it.
    pub(crate) fn describe(&self, bus: &str, arn: &str) -> Value {
        let mut shown = json!({
            "Name": self.name,
            "Arn": arn,
            "EventPattern": self.pattern.as_str(),
            "State": self.state,
            "EventBusName": bus,
        });
        let managed = self.managed.then(|| MANAGED_BY.to_owned());
        let optional = [("Description", &self.description), ("RoleArn", &self.role_arn), ("ManagedBy", &managed)];
        for (name, value) in optional {
            if let Some(value) = value {
                shown[name] = Value::from(value.as_str());
            }
        }
        shown
    }
}
