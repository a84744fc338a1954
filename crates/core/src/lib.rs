//! The real-time core: topics in spaces, subscriptions, history, resume, presence, grants.
//!
//! It names no protocol, opens no socket, reads no clock, spawns no thread and parses no JSON.
//! Time arrives as an argument ([`Millis`]), bytes arrive as [`bytes::Bytes`], and what it needs
//! of the outside world it declares as the ports [`Log`] and [`Inbox`].
//!
//! Start reading at [`Core`]: `publish` is the path of a message, `join` is how a subscription
//! begins, resumes and catches up.

mod core;
mod filter;
mod grant;
mod history;
mod message;
mod ports;
mod presence;
mod refusal;
mod roster;
mod settings;
mod space;
mod trie;

pub use crate::core::{Core, IDEMPOTENCY_KEY_BYTES_MAX, Published, RETAINED_PAGE_MAX};
pub use filter::{Filter, FilterSet, TOPIC_BYTES_MAX, TOPIC_LEVELS_MAX, TopicName};
pub use grant::{Action, Effect, Grant, GrantError, Piece, Principal, Rule};
pub use history::{HistoryPage, Joined, Since};
pub use message::{
    Guarantee, Headers, Kind, Message, Millis, Offset, Position, PositionError, Properties, Publication,
};
pub use ports::{
    Delivery, Done, Inbox, Log, LogBatch, LogError, MemoryLog, Record, RecordTable, RecoveredSpace, ShardId,
};
pub use presence::{Member, PresenceChange, PresenceEvent};
pub use refusal::Refusal;
pub use roster::{Roster, Subscriber};
pub use settings::{CoreLimits, HistorySettings, SlowConsumer, SpaceSettings};
pub use space::TopicSummary;
pub use trie::Trie;
