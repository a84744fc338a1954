//! Topic rules: a statement, and what to do with what it selects.
//!
//! A [`Rule`] is read from configuration (its own snake case names, TOML or
//! JSON, through serde) or from the body of AWS's `CreateTopicRule`
//! ([`Rule::from_aws`]). A [`RuleSet`] finds the rules that a topic meets, and
//! [`evaluate`] makes the plan: every template rendered, every payload ready.
//! Who carries out the plan reports [`Failure`]s of its own, and at the end
//! [`plan_error`] makes one message of all of them.
//!
//! ```toml
//! name = "hot"
//! sql = "SELECT temp FROM 's/+/t' WHERE temp > 20"
//! actions = [{ kind = "republish", topic = "hot/${topic(2)}", qos = 1 }]
//! error_action = { kind = "log" }
//! ```

mod action;
mod aws;
mod error;
pub(crate) mod filter;
mod plan;
mod rule;
mod set;
mod trail;

pub use action::{Action, Header, Headers, Qos};
pub use error::RuleError;
pub use plan::{Failure, Planned, PlannedAction, PlannedHeaders, Target, evaluate, plan_error};
pub use rule::Rule;
pub use set::{RuleSet, basic_ingest};
pub use trail::{HOPS_MAX, Trail, TrailError};

/// Most actions of one rule, not counting the error action.
pub const ACTIONS_MAX: usize = 10;

/// Longest name of a rule, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// Most rules of one set.
pub const RULES_MAX: usize = 1_000;
