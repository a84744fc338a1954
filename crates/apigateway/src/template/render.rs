//! Carries out templates: text and directives.

use std::collections::HashMap;

use regex::Regex;

use super::ast::{Block, Expression, Node, Reference};
use super::budget::Budget;
use super::data::TemplateData;
use super::error::Outcome;
use super::heap::{Heap, Value};
use super::limits::ROUNDS_MAX;
use super::references::Seen;

pub(super) struct Renderer<'t, 'd> {
    pub(super) data: &'d TemplateData<'d>,
    pub(super) heap: Heap<'t>,
    pub(super) names: HashMap<&'t str, Value<'t>>,
    pub(super) loops: Vec<Round>,
    pub(super) budget: Budget,
    pub(super) patterns: HashMap<String, Regex>,
    /// `$context` and `$stageVariables`, once they were asked for.
    pub(super) context: Option<Value<'t>>,
    pub(super) stage_variables: Option<Value<'t>>,
    out: String,
}

/// Where a loop is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) index: usize,
    pub(super) total: usize,
}

/// How to go on after a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Stop,
}

impl<'t, 'd> Renderer<'t, 'd> {
    pub(super) fn new(data: &'d TemplateData<'d>) -> Self {
        Self {
            data,
            heap: Heap::default(),
            names: HashMap::new(),
            loops: Vec::new(),
            budget: Budget::new(),
            patterns: HashMap::new(),
            context: None,
            stage_variables: None,
            out: String::new(),
        }
    }

    pub(super) fn run(mut self, block: &'t Block) -> Outcome<String> {
        self.block(block)?;
        Ok(self.out)
    }

    /// What a block writes, as a text of its own.
    pub(super) fn captured(&mut self, block: &'t Block) -> Outcome<String> {
        let before = std::mem::take(&mut self.out);
        let result = self.block(block);
        let text = std::mem::replace(&mut self.out, before);
        result.map(|_| text)
    }

    fn block(&mut self, block: &'t Block) -> Outcome<Flow> {
        self.budget.enter()?;
        let mut flow = Flow::On;
        for node in &block.nodes {
            flow = self.node(node)?;
            if flow != Flow::On {
                break;
            }
        }
        self.budget.leave();
        Ok(flow)
    }

    fn node(&mut self, node: &'t Node) -> Outcome<Flow> {
        self.budget.step(1)?;
        match node {
            Node::Text(text) => self.write(text)?,
            Node::Reference(reference) => self.show(reference)?,
            Node::Set { target, value } => self.set(target, value)?,
            Node::If { arms, otherwise } => {
                for (condition, block) in arms {
                    if self.value(condition)?.is_true() {
                        return self.block(block);
                    }
                }
                return otherwise.as_ref().map_or(Ok(Flow::On), |block| self.block(block));
            }
            Node::Foreach { name, items, body } => return self.foreach(name, items, body),
            Node::Define { name, body } => {
                self.names.insert(name, Value::Block(body));
            }
            Node::Break => return Ok(Flow::Break),
            Node::Stop => return Ok(Flow::Stop),
        }
        Ok(Flow::On)
    }

    fn write(&mut self, text: &str) -> Outcome<()> {
        self.budget.write(&mut self.out, text)
    }

    /// Prints a reference. One that has no value prints itself.
    fn show(&mut self, reference: &'t Reference) -> Outcome<()> {
        match self.look(reference)? {
            Seen::Value(Value::Block(block)) => self.block(block).map(drop),
            Seen::Value(value) => {
                let text = self.text_of(&value)?;
                self.write(&text)
            }
            Seen::Missing { is_silent } if is_silent || reference.is_quiet => Ok(()),
            Seen::Missing { .. } => self.write(&reference.source),
        }
    }

    fn foreach(&mut self, name: &'t str, items: &'t Expression, body: &'t Block) -> Outcome<Flow> {
        let items = self.value(items)?;
        let items = self.items_of(&items, ROUNDS_MAX)?;
        let before = self.names.get(name).cloned();
        let total = items.len();
        self.loops.push(Round { index: 0, total });
        let mut flow = Flow::On;
        for (index, item) in items.into_iter().enumerate() {
            self.budget.step(1)?;
            if let Some(round) = self.loops.last_mut() {
                round.index = index;
            }
            self.names.insert(name, item);
            flow = self.block(body)?;
            if flow != Flow::On {
                break;
            }
        }
        self.loops.pop();
        match before {
            Some(value) => self.names.insert(name, value),
            None => self.names.remove(name),
        };
        Ok(if flow == Flow::Stop { Flow::Stop } else { Flow::On })
    }

    /// At most so many items of a list, or values of a map; nothing of anything else.
    fn items_of(&mut self, value: &Value<'t>, most: usize) -> Outcome<Vec<Value<'t>>> {
        let items: Vec<Value<'t>> = match value {
            Value::List(id) => self.heap.list(*id).items.iter().take(most).cloned().collect(),
            Value::Map(id) => self.heap.map(*id).entries().iter().take(most).map(|(_, value)| value.clone()).collect(),
            _ => Vec::new(),
        };
        self.budget.step(items.len())?;
        Ok(items)
    }
}
