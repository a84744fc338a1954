//! Events in the form of EventBridge: patterns, rules and what targets are sent.
//!
//! A publisher puts an [`Event`] on a [`Bus`]; rules hold their [`Pattern`]
//! against it, and each [`Target`] of a rule that matches is due a
//! [`Delivery`]. The crate owns no socket, no clock and no source of
//! randomness: the caller says what time it is, gives ids, keeps the state and
//! makes the deliveries.
//!
//! ```
//! use fanfare_events::{Address, Bus};
//!
//! let mut bus = Bus::new("000000000000", "local");
//! let mut ids = || "an-id".to_owned();
//! let mut call = |operation, body: &str| bus.call(operation, body.as_bytes(), 1_795_262_400_000, &mut ids);
//!
//! call("PutRule", r#"{"Name": "tickets", "EventPattern": "{\"source\": [\"shop.tickets\"]}"}"#)?;
//! call("PutTargets", r#"{"Rule": "tickets", "Targets": [
//!     {"Id": "1", "Arn": "arn:gw:channel:::artists/${$.detail.artist}/tickets"}]}"#)?;
//! let reply = call("PutEvents", r#"{"Entries": [
//!     {"Source": "shop.tickets", "DetailType": "TicketsAvailable", "Detail": "{\"artist\": \"Ed Sheeran\"}"}]}"#)?;
//! assert_eq!(reply.routed.deliveries[0].address, Address::Topic("artists/Ed Sheeran/tickets".to_owned()));
//! # Ok::<(), fanfare_events::ApiError>(())
//! ```
//!
//! # What is where
//!
//! | module | story |
//! | --- | --- |
//! | `pattern` | patterns: from JSON to a tree, and the tree held against an event |
//! | `event`, `put_events` | the envelope, and the request that brings events |
//! | `path`, `template`, `transform` | paths into an event, topics made of them, inputs made of them |
//! | `sink` | how others put an event, without knowing who keeps the bus |
//! | `target`, `rule`, `bus` | whom rules send to, and the operations on all of it |
//! | `config` | rules as a configuration file states them |
//! | [`limits`] | every bound |

mod bus;
mod config;
mod error;
mod event;
pub mod limits;
mod number;
mod path;
mod pattern;
mod put_events;
mod rule;
mod sink;
mod target;
mod template;
mod transform;

pub use bus::{Bus, DEFAULT_BUS, Delivery, Reply, Routed, Undeliverable, Why};
pub use config::{ConfigError, ConfigFault, RuleConfig, TargetConfig};
pub use error::{ApiError, ErrorKind};
pub use event::{Event, EventParts};
pub use path::{EventPath, PathError};
pub use pattern::{Pattern, PatternError};
pub use put_events::{Entry, EntryFailure, PutEvents};
pub use rule::{MANAGED_BY, Rule, RuleState};
pub use sink::EventSink;
pub use target::{
    Address, DeadLetterConfig, Destination, RetryPolicy, Target, TargetError, TargetForm, TransformerForm,
};
pub use template::{RenderError, Template, TemplateError};
pub use transform::{Context, TooLarge, Transformer, TransformerError};
