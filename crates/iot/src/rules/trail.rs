//! Which rules a message came through: republishing must not go round in circles.

use std::sync::Arc;

/// Most rules that one message and its descendants may come through.
pub const HOPS_MAX: usize = 8;

/// The rules behind a message, oldest first. Travels with what they republish; cheap to clone.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Trail {
    rules: Arc<[Arc<str>]>,
}

/// Why a rule does not run on a message.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrailError {
    /// The message is a descendant of this very rule's output.
    #[error("rule {0} would run on its own output; change its filter or the topic it republishes to")]
    Circle(String),
    /// The message came through [`HOPS_MAX`] rules already.
    #[error("the message came through {HOPS_MAX} rules; rule {0} does not run on it")]
    TooLong(String),
}

impl Trail {
    /// The trail of what `rule` makes of a message with this trail.
    ///
    /// # Errors
    /// [`TrailError`] if `rule` must not run on it.
    pub fn through(&self, rule: &str) -> Result<Self, TrailError> {
        if self.rules.iter().any(|behind| **behind == *rule) {
            return Err(TrailError::Circle(rule.to_owned()));
        }
        if self.rules.len() >= HOPS_MAX {
            return Err(TrailError::TooLong(rule.to_owned()));
        }
        let rules = self.rules.iter().cloned().chain([Arc::from(rule)]).collect();
        Ok(Self { rules })
    }
}
