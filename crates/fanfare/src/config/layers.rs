//! Lays the sources over one another.

use std::path::Path;

use serde::Deserialize;

use super::keys::Config;
use super::mistake::{ConfigError, Mistake, Origin, Problem};
use super::rules::contradictions;
use super::schema::Key;
use super::tree::{self, Node};
use super::{Flag, accept, apis, environment};

/// The layers so far, and what is wrong with them.
pub(super) struct Layers {
    keys: Vec<Key>,
    /// As written.
    written: Node,
    /// What of it is right.
    accepted: Node,
    mistakes: Vec<Mistake>,
}

impl Default for Layers {
    fn default() -> Self {
        Self { keys: Config::keys(), written: Node::empty(), accepted: Node::empty(), mistakes: Vec::new() }
    }
}

impl Layers {
    pub(super) fn add_file(&mut self, file: &Path) {
        let name = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => self.add_text(&name, &text),
            Err(error) => self.mistakes.push(Mistake {
                origin: Origin::Whole(name.as_str().into()),
                key: String::new(),
                problem: Problem::Unreadable { file: "the file".to_owned(), reason: error.to_string() },
            }),
        }
    }

    pub(super) fn add_text(&mut self, name: &str, text: &str) {
        let (node, broken) = tree::read(name, text);
        let told_before = self.mistakes.len();
        self.add(node);
        let told = self.mistakes.split_off(told_before);
        // What the parser made of a broken line is no second mistake.
        let is_new = |mistake: &Mistake| !broken.iter().any(|b| b.is_on_line_of(mistake));
        let mut told: Vec<Mistake> = told.into_iter().filter(is_new).chain(broken.clone()).collect();
        told.sort_by_key(|mistake| mistake.origin.line());
        self.mistakes.extend(told);
    }

    pub(super) fn add_variables(&mut self, variables: Vec<(String, String)>) {
        let node = environment::read(variables, &self.keys, &mut self.mistakes);
        self.add(node);
    }

    pub(super) fn add_flags(&mut self, flags: Vec<Flag>) {
        let mut root = Node::empty();
        for flag in flags {
            let path: Vec<String> = flag.key.split('.').map(str::to_owned).collect();
            root.insert(&path, tree::plain(flag.value, &Origin::Flag(flag.name)));
        }
        self.add(root);
    }

    fn add(&mut self, layer: Node) {
        self.written.overlay(layer.clone());
        let accepted = accept::accept(layer, &self.keys, &mut self.mistakes);
        self.accepted.overlay(accepted);
    }

    pub(super) fn finish(self) -> Result<Config, ConfigError> {
        let mut mistakes = self.mistakes;
        let mut value = self.accepted.to_value();
        apis::inherit(&mut value);
        match Config::deserialize(value) {
            Ok(mut config) => {
                let (written, accepted) = (self.written.origins(), self.accepted.origins());
                config.apigateway.complete(&written);
                mistakes.extend(contradictions(&config, &written, &accepted));
                match mistakes.is_empty() {
                    true => Ok(config),
                    false => Err(ConfigError { mistakes }),
                }
            }
            // The table let something through that the struct does not take: a mistake of ours,
            // told all the same.
            Err(error) => {
                mistakes.push(Mistake {
                    origin: Origin::Default,
                    key: String::new(),
                    problem: Problem::Conflict(error.message().to_owned()),
                });
                Err(ConfigError { mistakes })
            }
        }
    }
}
