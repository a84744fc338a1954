//! Operations on targets.

use serde::Deserialize;
use serde_json::{Value, json};

use super::page::page;
use super::{Answer, Bus, Reply, no_rule};
use crate::error::{ApiError, ErrorKind};
use crate::limits::TARGETS_MAX;
use crate::target::{Target, TargetForm};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutTargets {
    rule: String,
    event_bus_name: Option<String>,
    targets: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RemoveTargets {
    rule: String,
    event_bus_name: Option<String>,
    ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListTargetsByRule {
    rule: String,
    event_bus_name: Option<String>,
    next_token: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListRuleNamesByTarget {
    target_arn: String,
    event_bus_name: Option<String>,
    next_token: Option<String>,
    limit: Option<usize>,
}

impl Bus {
    /// A target that cannot be read fails alone; one more than a rule may
    /// have fails the request.
    pub(super) fn put_targets(&mut self, request: PutTargets) -> Answer {
        count("Targets", request.targets.len())?;
        let rule = self.own_rule_mut(request.event_bus_name.as_deref(), &request.rule)?;
        let mut targets = rule.targets.clone();
        let mut failed = Vec::new();
        for given in request.targets {
            let id = given.get("Id").and_then(Value::as_str).unwrap_or_default().to_owned();
            match read_target(given) {
                Ok(target) => drop(targets.insert(id, target)),
                Err(message) => {
                    failed.push(json!({"TargetId": id, "ErrorCode": "ValidationException", "ErrorMessage": message}));
                }
            }
        }
        if targets.len() > TARGETS_MAX {
            let message = format!("The rule would have {} targets; the limit is {TARGETS_MAX}", targets.len());
            return Err(ApiError::new(ErrorKind::LimitExceeded, message));
        }
        rule.targets = targets;
        Ok(Reply::changed(json!({"FailedEntryCount": failed.len(), "FailedEntries": failed})))
    }

    /// An id that the rule does not have is removed already.
    pub(super) fn remove_targets(&mut self, request: &RemoveTargets) -> Answer {
        count("Ids", request.ids.len())?;
        let rule = self.own_rule_mut(request.event_bus_name.as_deref(), &request.rule)?;
        for id in &request.ids {
            rule.targets.remove(id);
        }
        Ok(Reply::changed(json!({"FailedEntryCount": 0, "FailedEntries": []})))
    }

    pub(super) fn list_targets_by_rule(&self, request: &ListTargetsByRule) -> Answer {
        let (_, bus) = self.event_bus(request.event_bus_name.as_deref())?;
        let rule = bus.rules.get(&request.rule);
        let rule = rule.ok_or_else(|| no_rule(&request.rule, request.event_bus_name.as_deref()))?;
        let targets = rule.targets.iter().map(|(id, target)| (id.as_str(), target));
        let show = |target: &Target| json!(target.form());
        Ok(Reply::read(page("Targets", targets, request.limit, request.next_token.as_deref(), show)?))
    }

    pub(super) fn list_rule_names_by_target(&self, request: &ListRuleNamesByTarget) -> Answer {
        let (_, bus) = self.event_bus(request.event_bus_name.as_deref())?;
        let names = bus.rules.iter().filter_map(|(name, rule)| {
            let meant = rule.targets.values().any(|target| target.form().arn == request.target_arn);
            meant.then_some((name.as_str(), name))
        });
        let show = |name: &String| Value::from(name.as_str());
        Ok(Reply::read(page("RuleNames", names, request.limit, request.next_token.as_deref(), show)?))
    }
}

fn read_target(given: Value) -> Result<Target, String> {
    let form: TargetForm = serde_json::from_value(given).map_err(|error| error.to_string())?;
    Target::new(form).map_err(|error| error.to_string())
}

fn count(member: &str, given: usize) -> Result<(), ApiError> {
    if (1..=TARGETS_MAX).contains(&given) {
        return Ok(());
    }
    Err(ApiError::invalid(format!("{member} has {given} members; send 1 to {TARGETS_MAX}")))
}
