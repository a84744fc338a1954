//! Operations on rules.

use serde::Deserialize;
use serde_json::{Value, json};

use super::page::page;
use super::{Answer, Bus, Reply, empty, no_rule, room_for_rule, unmanaged_only};
use crate::error::{ApiError, ErrorKind};
use crate::limits::{DESCRIPTION_MAX, RULE_NAME_MAX};
use crate::pattern::Pattern;
use crate::rule::{Rule, RuleState};
use crate::target::is_name;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutRule {
    name: String,
    event_pattern: Option<String>,
    schedule_expression: Option<String>,
    state: Option<String>,
    description: Option<String>,
    role_arn: Option<String>,
    event_bus_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OneRule {
    name: String,
    event_bus_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListRules {
    name_prefix: Option<String>,
    event_bus_name: Option<String>,
    next_token: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TestEventPattern {
    event_pattern: String,
    event: String,
}

impl Bus {
    pub(super) fn put_rule(&mut self, request: PutRule) -> Answer {
        check_name(&request.name)?;
        if request.schedule_expression.is_some() {
            let message = "ScheduleExpression is not offered; give an EventPattern alone";
            return Err(ApiError::new(ErrorKind::ScheduleNotSupported, message));
        }
        let Some(pattern) = request.event_pattern else {
            return Err(ApiError::invalid("Parameter EventPattern must be specified."));
        };
        let pattern = Pattern::parse(&pattern)?;
        check_description(request.description.as_deref())?;
        let state = match request.state.as_deref() {
            None | Some("ENABLED") => RuleState::Enabled,
            Some("DISABLED") => RuleState::Disabled,
            Some(other) => {
                return Err(ApiError::invalid(format!("State is {other:?}; give ENABLED or DISABLED")));
            }
        };
        let bus = self.event_bus_mut(request.event_bus_name.as_deref())?;
        room_for_rule(bus, &request.name)?;
        // A rule that is put again keeps its targets.
        let targets = match bus.rules.get_mut(&request.name) {
            Some(old) => {
                unmanaged_only(old)?;
                std::mem::take(&mut old.targets)
            }
            None => Default::default(),
        };
        let rule = Rule {
            name: request.name.clone(),
            description: request.description,
            pattern,
            state,
            role_arn: request.role_arn,
            targets,
            managed: false,
        };
        bus.rules.insert(request.name.clone(), rule);
        let (bus, _) = self.event_bus(request.event_bus_name.as_deref())?;
        Ok(Reply::changed(json!({"RuleArn": self.rule_arn(bus, &request.name)})))
    }

    pub(super) fn delete_rule(&mut self, request: &OneRule) -> Answer {
        let bus = self.event_bus_mut(request.event_bus_name.as_deref())?;
        let Some(rule) = bus.rules.get(&request.name) else {
            return Ok(Reply::read(empty()));
        };
        unmanaged_only(rule)?;
        if !rule.targets.is_empty() {
            return Err(ApiError::invalid("Rule can't be deleted since it has targets."));
        }
        bus.rules.remove(&request.name);
        Ok(Reply::changed(empty()))
    }

    pub(super) fn describe_rule(&self, request: &OneRule) -> Answer {
        let (bus_name, bus) = self.event_bus(request.event_bus_name.as_deref())?;
        let rule = bus.rules.get(&request.name);
        let rule = rule.ok_or_else(|| no_rule(&request.name, request.event_bus_name.as_deref()))?;
        Ok(Reply::read(rule.describe(bus_name, &self.rule_arn(bus_name, &rule.name))))
    }

    pub(super) fn list_rules(&self, request: &ListRules) -> Answer {
        let (bus_name, bus) = self.event_bus(request.event_bus_name.as_deref())?;
        let prefix = request.name_prefix.as_deref().unwrap_or_default();
        let rules = bus.rules.iter().filter(|(name, _)| name.starts_with(prefix));
        let rules = rules.map(|(name, rule)| (name.as_str(), rule));
        let show = |rule: &Rule| rule.describe(bus_name, &self.rule_arn(bus_name, &rule.name));
        Ok(Reply::read(page("Rules", rules, request.limit, request.next_token.as_deref(), show)?))
    }

    pub(super) fn set_rule_state(&mut self, request: &OneRule, state: RuleState) -> Answer {
        self.own_rule_mut(request.event_bus_name.as_deref(), &request.name)?.state = state;
        Ok(Reply::changed(empty()))
    }
}

/// Says whether an event matches. Of the event nothing is demanded but that
/// it is a JSON object.
pub(super) fn test_event_pattern(request: &TestEventPattern) -> Answer {
    let pattern = Pattern::parse(&request.event_pattern)?;
    let event: Value = serde_json::from_str(&request.event)
        .map_err(|error| ApiError::invalid(format!("Parameter Event is not valid JSON: {error}")))?;
    if !event.is_object() {
        return Err(ApiError::invalid("Parameter Event is not a JSON object."));
    }
    Ok(Reply::read(json!({"Result": pattern.matches(&event)})))
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if is_name(name, RULE_NAME_MAX) {
        return Ok(());
    }
    let allowed = format!("1 to {RULE_NAME_MAX} of the characters . - _ A-Z a-z 0-9");
    Err(ApiError::invalid(format!("Name {:?} has to have {allowed}", super::shortened(name))))
}

pub(super) fn check_description(description: Option<&str>) -> Result<(), ApiError> {
    if description.is_none_or(|text| text.chars().count() <= DESCRIPTION_MAX) {
        return Ok(());
    }
    Err(ApiError::invalid(format!("Description has more than {DESCRIPTION_MAX} characters")))
}
