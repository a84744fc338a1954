//! All rules, and which of them a topic meets.

use std::collections::HashMap;

use super::RULES_MAX;
use super::error::RuleError;
use super::filter;
use super::rule::Rule;

/// The rules of one place, found by topic or by name.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    names: HashMap<String, usize>,
    /// Rules with a filter without wildcards; most are, and they cost one look.
    exact: HashMap<String, Vec<usize>>,
    wild: Vec<(String, usize)>,
}

/// Rule and topic of a message that was published to `$aws/rules/{rule}/{topic}`.
#[must_use]
pub fn basic_ingest(topic: &str) -> Option<(&str, &str)> {
    topic.strip_prefix("$aws/rules/")?.split_once('/')
}

impl RuleSet {
    /// A set of rules; their order is kept.
    ///
    /// # Errors
    /// [`RuleError::Duplicate`] and [`RuleError::TooManyRules`].
    pub fn new(rules: Vec<Rule>) -> Result<Self, RuleError> {
        if rules.len() > RULES_MAX {
            return Err(RuleError::TooManyRules(rules.len()));
        }
        let mut set = Self::default();
        for (index, rule) in rules.iter().enumerate() {
            if set.names.insert(rule.name.clone(), index).is_some() {
                return Err(RuleError::Duplicate(rule.name.clone()));
            }
            match rule.statement.filter() {
                Some(filter) if rule.enabled && filter.contains(['+', '#']) => {
                    set.wild.push((filter.to_owned(), index))
                }
                Some(filter) if rule.enabled => set.exact.entry(filter.to_owned()).or_default().push(index),
                _ => {}
            }
        }
        Ok(Self { rules, ..set })
    }

    /// The enabled rules that a message on `topic` runs: those whose filter
    /// takes it in, or only the named one for Basic Ingest.
    pub fn matching<'s>(&'s self, topic: &str) -> impl Iterator<Item = &'s Rule> + use<'s> {
        let found: Vec<usize> = match basic_ingest(topic) {
            Some((name, _)) => {
                self.names.get(name).copied().filter(|index| self.rules[*index].enabled).into_iter().collect()
            }
            None => {
                let exact = self.exact.get(topic).into_iter().flatten().copied();
                let wild =
                    self.wild.iter().filter(|(filter, _)| filter::matches(filter, topic)).map(|(_, index)| *index);
                let mut found: Vec<usize> = exact.chain(wild).collect();
                found.sort_unstable();
                found
            }
        };
        found.into_iter().filter_map(|index| self.rules.get(index))
    }

    /// The rule with that name, enabled or not.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Rule> {
        self.names.get(name).and_then(|index| self.rules.get(*index))
    }

    /// All rules, in order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}
