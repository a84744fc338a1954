//! `[events]` in the words of `fanfare-events-door`.

use std::collections::BTreeMap;
use std::time::Duration;

use fanfare_events::RuleConfig;
use fanfare_events_door::ApiDestination;
use serde::Deserialize;

use super::access::Aws;
use super::keys::{Destination, Events};

impl Events {
    /// The rules.
    ///
    /// # Errors
    /// Which rule is wrong, and why.
    pub fn rules(&self) -> Result<Vec<RuleConfig>, String> {
        let read = |(index, table): (usize, &toml::Table)| {
            rule(table).map_err(|error| format!("events.rules[{index}]: {error}")) //
        };
        self.rules.iter().enumerate().map(read).collect()
    }

    /// The web servers that rules may name.
    ///
    /// # Errors
    /// Which one is wrong, and why.
    pub fn destinations(&self) -> Result<BTreeMap<String, ApiDestination>, String> {
        let read = |(name, given): (&String, &Destination)| {
            let destination = destination(given).map_err(|error| format!("events.destinations.{name}: {error}"))?;
            Ok((name.clone(), destination))
        };
        self.destinations.iter().map(read).collect()
    }

    /// What is wrong, each with its key.
    pub(super) fn mistakes(&self, aws: &Aws) -> Vec<(String, String)> {
        let rules = self.rules.iter().enumerate().filter_map(|(index, table)| {
            let read = rule(table).and_then(|rule| {
                rule.to_rule(&aws.account, &aws.region).map_err(|error| format!("{}: {}", error.key, error.fault))
            });
            Some((format!("events.rules[{index}]"), read.err()?))
        });
        let destinations = self.destinations.iter().filter_map(|(name, given)| {
            Some((format!("events.destinations.{name}"), destination(given).err()?)) //
        });
        rules.chain(destinations).collect()
    }
}

fn rule(table: &toml::Table) -> Result<RuleConfig, String> {
    RuleConfig::deserialize(toml::Value::Table(table.clone())).map_err(|error| error.message().to_owned())
}

fn destination(given: &Destination) -> Result<ApiDestination, String> {
    if given.url.is_empty() {
        return Err("`url` is missing".to_owned());
    }
    let header = |line: &fanfare_identity::Secret| {
        let wrong = || "a header is written \"name: value\"".to_owned();
        let (name, value) = line.expose().split_once(':').ok_or_else(wrong)?;
        Ok((name.trim().parse().map_err(|_| wrong())?, value.trim().parse().map_err(|_| wrong())?))
    };
    Ok(ApiDestination {
        url: given.url.clone(),
        method: given.method.parse().map_err(|_| "`method` is none".to_owned())?,
        headers: given.headers.iter().map(header).collect::<Result<_, String>>()?,
        timeout: Duration::from_millis(given.timeout_ms),
    })
}
