//! One rule, and its form in configuration.

use serde::Deserialize;

use super::action::Action;
use super::error::RuleError;
use super::{ACTIONS_MAX, NAME_BYTES_MAX};
use crate::sql::{Statement, VERSIONS};

/// A rule that is checked and ready.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Rule {
    /// Its name: letters, digits and underscores.
    pub name: String,
    /// What it is for, in words.
    pub description: String,
    /// Which messages it takes and what it makes of them.
    pub statement: Statement,
    /// What is done with each output, at most [`ACTIONS_MAX`].
    pub actions: Vec<Action>,
    /// What is done when any of it fails.
    pub error_action: Option<Action>,
    /// Whether it runs at all.
    pub enabled: bool,
}

/// A rule as it is written in configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) sql: String,
    pub(super) sql_version: Option<String>,
    #[serde(default)]
    pub(super) actions: Vec<Action>,
    pub(super) error_action: Option<Action>,
    #[serde(default = "yes")]
    pub(super) enabled: bool,
}

fn yes() -> bool {
    true
}

impl TryFrom<Written> for Rule {
    type Error = RuleError;

    fn try_from(written: Written) -> Result<Self, RuleError> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if written.name.is_empty() || written.name.len() > NAME_BYTES_MAX || !written.name.bytes().all(is_word) {
            return Err(RuleError::Name(written.name));
        }
        if written.actions.len() > ACTIONS_MAX {
            return Err(RuleError::TooManyActions(written.actions.len()));
        }
        match written.sql_version {
            Some(version) if !VERSIONS.contains(&version.as_str()) => return Err(RuleError::Version(version)),
            _ => {}
        }
        written.actions.iter().chain(&written.error_action).try_for_each(Action::check)?;
        Ok(Self {
            statement: Statement::parse(&written.sql)?,
            name: written.name,
            description: written.description,
            actions: written.actions,
            error_action: written.error_action,
            enabled: written.enabled,
        })
    }
}
