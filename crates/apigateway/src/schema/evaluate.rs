//! Looks at values by schemas.

use std::collections::BTreeSet;

use serde_json::Number;

use super::{Dependency, Items, Kind, ListRules, Node, NodeId, NumberRules, ObjectRules, Others, Schema, TextRules};
use crate::json::{Json, Members};

/// Steps of one look; who needs more is refused.
const STEPS_MAX: usize = 1_000_000;
/// Schemas within each other, through references, too.
const DEPTH_MAX: usize = 256;

/// Refused: by the schema, or since the work is too much.
struct Refused;

type Verdict = Result<(), Refused>;

impl Schema {
    /// Whether a value is as the schema wants it. Bounded work: what needs more than a million steps, or
    /// 256 schemas within each other, is not accepted.
    #[must_use]
    pub fn accepts(&self, json: &Json) -> bool {
        let mut look = Look { schema: self, steps: 0, depth: 0, is_over: false };
        look.node(0, json).is_ok() && !look.is_over
    }
}

struct Look<'s> {
    schema: &'s Schema,
    steps: usize,
    depth: usize,
    /// A bound was reached: whatever a `not` makes of that.
    is_over: bool,
}

fn demand(is_so: bool) -> Verdict {
    if is_so { Ok(()) } else { Err(Refused) }
}

fn is_within(count: usize, least: Option<u64>, most: Option<u64>) -> Verdict {
    let count = count as u64;
    demand(least.is_none_or(|least| count >= least) && most.is_none_or(|most| count <= most))
}

impl<'s> Look<'s> {
    fn step(&mut self, count: usize) -> Verdict {
        self.steps = self.steps.saturating_add(count);
        self.is_over |= self.steps > STEPS_MAX;
        demand(!self.is_over)
    }

    fn node(&mut self, id: NodeId, json: &Json) -> Verdict {
        self.step(1)?;
        if self.depth == DEPTH_MAX {
            self.is_over = true;
            return Err(Refused);
        }
        self.depth += 1;
        let verdict = self.rules(&self.schema.nodes[id], json);
        self.depth -= 1;
        verdict
    }

    fn rules(&mut self, node: &'s Node, json: &Json) -> Verdict {
        if let Some(reference) = node.reference {
            return self.node(reference, json);
        }
        demand(node.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|kind| kind.is_of(json))))?;
        if let Some(values) = &node.one_of_values {
            self.one_of_values(values, json)?;
        }
        match json {
            Json::Null | Json::Bool(_) => {}
            Json::Number(number) => node.number.check(number)?,
            Json::Text(text) => self.text(&node.text, text)?,
            Json::List(items) => self.list(&node.list, items)?,
            Json::Object(members) => self.object(&node.object, json, members)?,
        }
        self.combined(node, json)
    }

    fn combined(&mut self, node: &'s Node, json: &Json) -> Verdict {
        for &id in &node.all_of {
            self.node(id, json)?;
        }
        if !node.any_of.is_empty() {
            demand(node.any_of.iter().any(|&id| self.node(id, json).is_ok()))?;
        }
        if !node.one_of.is_empty() {
            demand(node.one_of.iter().filter(|&&id| self.node(id, json).is_ok()).count() == 1)?;
        }
        match node.not {
            Some(id) => demand(self.node(id, json).is_err()),
            None => Ok(()),
        }
    }

    fn one_of_values(&mut self, values: &[Json], json: &Json) -> Verdict {
        for value in values {
            if self.is_same(value, json)? {
                return Ok(());
            }
        }
        Err(Refused)
    }

    /// Whether two values are the same, whatever the order of members, and with `1` the same as `1.0`.
    fn is_same(&mut self, a: &Json, b: &Json) -> Result<bool, Refused> {
        self.step(1)?;
        Ok(match (a, b) {
            (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
            (Json::Text(a), Json::Text(b)) => {
                self.step(a.len().min(b.len()) / 64)?;
                a == b
            }
            (Json::List(a), Json::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b) {
                    if !self.is_same(a, b)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Json::Object(a), Json::Object(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (name, a) in a.iter() {
                    let Some(b) = b.get(name) else { return Ok(false) };
                    if !self.is_same(a, b)? {
                        return Ok(false);
                    }
                }
                true
            }
            (a, b) => a == b,
        })
    }

    fn text(&mut self, rules: &TextRules, text: &str) -> Verdict {
        if rules.shortest.is_some() || rules.longest.is_some() {
            is_within(text.chars().count(), rules.shortest, rules.longest)?;
        }
        match &rules.pattern {
            Some(pattern) => {
                self.step(text.len() / 64)?;
                demand(pattern.is_match(text))
            }
            None => Ok(()),
        }
    }

    fn list(&mut self, rules: &ListRules, items: &[Json]) -> Verdict {
        is_within(items.len(), rules.fewest, rules.most)?;
        if rules.is_unique {
            self.unique(items)?;
        }
        match &rules.items {
            Items::Any => Ok(()),
            Items::Each(id) => items.iter().try_for_each(|item| self.node(*id, item)),
            Items::Places(places, others) => items.iter().enumerate().try_for_each(|(at, item)| match places.get(at) {
                Some(&id) => self.node(id, item),
                None => self.other(*others, item),
            }),
        }
    }

    fn unique(&mut self, items: &[Json]) -> Verdict {
        let mut texts = BTreeSet::new();
        let mut rest: Vec<&Json> = Vec::new();
        for item in items {
            self.step(1)?;
            if let Json::Text(text) = item {
                demand(texts.insert(text.as_str()))?;
                continue;
            }
            for other in &rest {
                demand(!self.is_same(item, other)?)?;
            }
            rest.push(item);
        }
        Ok(())
    }

    fn other(&mut self, others: Others, json: &Json) -> Verdict {
        match others {
            Others::Anything => Ok(()),
            Others::Nothing => Err(Refused),
            Others::Schema(id) => self.node(id, json),
        }
    }

    fn object(&mut self, rules: &'s ObjectRules, json: &Json, members: &Members) -> Verdict {
        is_within(members.len(), rules.fewest, rules.most)?;
        demand(rules.required.iter().all(|name| members.get(name).is_some()))?;
        for (name, value) in members.iter() {
            let mut is_named = false;
            if let Some(&id) = rules.properties.get(name) {
                is_named = true;
                self.node(id, value)?;
            }
            for (pattern, id) in &rules.patterns {
                self.step(1 + name.len() / 64)?;
                if pattern.is_match(name) {
                    is_named = true;
                    self.node(*id, value)?;
                }
            }
            if !is_named {
                self.other(rules.others, value)?;
            }
        }
        self.dependencies(rules, json, members)
    }

    fn dependencies(&mut self, rules: &'s ObjectRules, json: &Json, members: &Members) -> Verdict {
        for (_, dependency) in rules.dependencies.iter().filter(|(name, _)| members.get(name).is_some()) {
            match dependency {
                Dependency::Names(names) => demand(names.iter().all(|name| members.get(name).is_some()))?,
                Dependency::Schema(id) => self.node(*id, json)?,
            }
        }
        Ok(())
    }
}

impl Kind {
    fn is_of(self, json: &Json) -> bool {
        match json {
            Json::Null => self == Self::Null,
            Json::Bool(_) => self == Self::Boolean,
            Json::Number(number) => self == Self::Number || (self == Self::Integer && is_integer(number)),
            Json::Text(_) => self == Self::Text,
            Json::List(_) => self == Self::List,
            Json::Object(_) => self == Self::Object,
        }
    }
}

fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|value| value.fract() == 0.0)
}

impl NumberRules {
    fn check(&self, number: &Number) -> Verdict {
        let Some(value) = number.as_f64() else { return Err(Refused) };
        demand(self.least.is_none_or(|least| if self.is_above_least { value > least } else { value >= least }))?;
        demand(self.most.is_none_or(|most| if self.is_below_most { value < most } else { value <= most }))?;
        demand(self.multiple_of.is_none_or(|size| is_multiple(value, size)))
    }
}

/// Whether a number is a multiple, as far as fractions of two can say that of fractions of ten.
fn is_multiple(value: f64, size: f64) -> bool {
    let times = value / size;
    times.is_finite() && (times - times.round()).abs() <= times.abs().max(1.0) * 4.0 * f64::EPSILON
}
