//! A compiled pattern and how it is held against an event.
//!
//! The tree has the shape of the pattern's JSON. Two fields below one array
//! share the node of that array, so asking each element for the whole node
//! makes them come from one element without any search. Only an `$or` can
//! split such a node: `{"a": {"b": [1]}, "$or": [{"a": {"c": [2]}}, ..]}` asks
//! `a` twice. A node where that happens is *tangled*: its alternatives are
//! chosen first, one combination at a time, and nodes of one name are then
//! asked together.
//!
//! Cost: without tangles every node of the pattern meets every value of its
//! path once, so the work is at most pattern size times event size. A tangled
//! pattern does that once per combination, of which there are at most
//! [`PATTERN_COMBINATIONS_MAX`](crate::limits::PATTERN_COMBINATIONS_MAX).

use serde_json::Value;

use super::matcher::Matcher;

/// One object of a pattern: all fields, and one alternative if there are any.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Node {
    pub(crate) fields: Vec<(String, Field)>,
    pub(crate) alternatives: Vec<Node>,
    /// A name leads to a node both here and in an alternative.
    tangled: bool,
    /// Nothing but `exists: false` is asked.
    absence: bool,
}

/// What a name of a pattern leads to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field {
    Leaf(Vec<Matcher>),
    Inside(Node),
}

impl Node {
    /// Works out what is derived from the fields, once they are complete.
    pub(crate) fn settle(&mut self) {
        self.absence = self.alternatives.iter().all(|node| node.absence)
            && self.fields.iter().all(|(_, field)| match field {
                Field::Leaf(matchers) => matchers.iter().all(Matcher::holds_for_nothing),
                Field::Inside(node) => node.absence,
            });
        let asked_again = |name| self.alternatives.iter().any(|node| node.leads_inside(name));
        let tangled = self.insides().any(|(name, _)| asked_again(name));
        self.tangled = tangled;
    }

    /// How many ways there are to choose an alternative of every `$or`.
    pub(crate) fn combinations(&self) -> usize {
        let fields = self.insides().fold(1_usize, |product, (_, node)| product.saturating_mul(node.combinations()));
        let choices = self.alternatives.iter().fold(0_usize, |sum, node| sum.saturating_add(node.combinations()));
        fields.saturating_mul(choices.max(1))
    }

    /// Whether an event matches. Anything but an object never does.
    pub(crate) fn matches(&self, event: &Value) -> bool {
        event.is_object() && holds(&[self], Some(event))
    }

    fn insides(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.fields.iter().filter_map(|(name, field)| match field {
            Field::Inside(node) => Some((name.as_str(), node)),
            Field::Leaf(_) => None,
        })
    }

    fn leads_inside(&self, name: &str) -> bool {
        self.insides().any(|(own, _)| own == name) || self.alternatives.iter().any(|node| node.leads_inside(name))
    }

    fn leaves_hold(&self, value: Option<&Value>) -> bool {
        self.fields.iter().all(|(name, field)| match field {
            Field::Leaf(matchers) => leaf_holds(matchers, child(value, name)),
            Field::Inside(_) => true,
        })
    }
}

/// Holds nodes of one path against one object, or against nothing.
fn holds(nodes: &[&Node], value: Option<&Value>) -> bool {
    match nodes {
        [node] if !node.tangled => {
            node.leaves_hold(value)
                && node.insides().all(|(name, inner)| inside(&[inner], child(value, name)))
                && (node.alternatives.is_empty() || node.alternatives.iter().any(|choice| holds(&[choice], value)))
        }
        many => choose(&mut many.to_vec(), 0, value),
    }
}

/// Tries the alternatives of `nodes[at..]`; a chosen one joins the nodes.
fn choose(nodes: &mut Vec<&Node>, at: usize, value: Option<&Value>) -> bool {
    let Some(&node) = nodes.get(at) else {
        return insides_hold(nodes, value);
    };
    if !node.leaves_hold(value) {
        return false;
    }
    if node.alternatives.is_empty() {
        return choose(nodes, at + 1, value);
    }
    node.alternatives.iter().any(|choice| {
        nodes.push(choice);
        let holds = choose(nodes, at + 1, value);
        nodes.pop();
        holds
    })
}

/// Asks the inner nodes of one name together.
fn insides_hold(nodes: &[&Node], value: Option<&Value>) -> bool {
    let mut inner: Vec<(&str, &Node)> = nodes.iter().flat_map(|node| node.insides()).collect();
    inner.sort_by_key(|(name, _)| *name);
    inner.chunk_by(|a, b| a.0 == b.0).all(|group| {
        let together: Vec<&Node> = group.iter().map(|(_, node)| *node).collect();
        inside(&together, child(value, group[0].0))
    })
}

/// Holds nodes against what their name leads to: of an array, one element has
/// to satisfy all of them. A question for absence alone is asked of every one.
fn inside(nodes: &[&Node], value: Option<&Value>) -> bool {
    let Some(value) = value else {
        return holds(nodes, None);
    };
    let mut objects = Flat::of(value).filter(|element| element.is_object()).peekable();
    if objects.peek().is_none() {
        holds(nodes, None)
    } else if nodes.iter().all(|node| node.absence) {
        objects.all(|element| holds(nodes, Some(element)))
    } else {
        objects.any(|element| holds(nodes, Some(element)))
    }
}

/// Any scalar may satisfy any matcher; without scalars the field is absent.
fn leaf_holds(matchers: &[Matcher], value: Option<&Value>) -> bool {
    let mut present = false;
    for scalar in value.into_iter().flat_map(Flat::of).filter(|value| !value.is_object()) {
        present = true;
        if matchers.iter().any(|matcher| matcher.holds(scalar)) {
            return true;
        }
    }
    !present && matchers.iter().any(Matcher::holds_for_nothing)
}

fn child<'e>(value: Option<&'e Value>, name: &str) -> Option<&'e Value> {
    value.and_then(|value| value.get(name))
}

/// What is left of a value when its arrays are taken apart. Keeps its own
/// stack: an event may nest arrays deeper than a call stack should go.
struct Flat<'e> {
    first: Option<&'e Value>,
    open: Vec<std::slice::Iter<'e, Value>>,
}

impl<'e> Flat<'e> {
    fn of(value: &'e Value) -> Self {
        Self { first: Some(value), open: Vec::new() }
    }
}

impl<'e> Iterator for Flat<'e> {
    type Item = &'e Value;

    fn next(&mut self) -> Option<&'e Value> {
        loop {
            let value = match self.first.take() {
                Some(value) => value,
                None => match self.open.last_mut()?.next() {
                    Some(value) => value,
                    None => {
                        self.open.pop();
                        continue;
                    }
                },
            };
            match value {
                Value::Array(list) => self.open.push(list.iter()),
                other => return Some(other),
            }
        }
    }
}
