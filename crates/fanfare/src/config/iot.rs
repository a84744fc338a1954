//! `[[iot.rules]]` in the words of `fanfare-mqtt`.

use fanfare_iot::rules::{Rule, RuleSet};
use fanfare_mqtt::RuleEntry;
use serde::Deserialize;

use super::access::Iot;

impl Iot {
    /// The topic rules.
    ///
    /// # Errors
    /// Which rule is wrong, and why.
    pub fn rules(&self) -> Result<Vec<RuleEntry>, String> {
        let entries = self.rules.iter().enumerate().map(|(index, table)| {
            entry(table).map_err(|error| format!("iot.rules[{index}]: {error}")) //
        });
        entries.collect()
    }

    /// What is wrong with each rule, by its index; then what is wrong with all of them together.
    pub(super) fn mistakes(&self) -> Vec<(Option<usize>, String)> {
        let (mut mistakes, mut rules) = (Vec::new(), Vec::new());
        for (index, table) in self.rules.iter().enumerate() {
            match entry(table) {
                Ok(entry) => rules.push(entry.rule),
                Err(error) => mistakes.push((Some(index), error)),
            }
        }
        mistakes.extend(RuleSet::new(rules).err().map(|error| (None, error.to_string())));
        mistakes
    }
}

fn entry(table: &toml::Table) -> Result<RuleEntry, String> {
    let mut table = table.clone();
    let durable = match table.remove("durable") {
        None => None,
        Some(toml::Value::Boolean(durable)) => Some(durable),
        Some(_) => return Err("durable: expected true or false".to_owned()),
    };
    let rule = Rule::deserialize(toml::Value::Table(table)).map_err(|error| error.message().to_owned())?;
    Ok(RuleEntry { rule, durable })
}
