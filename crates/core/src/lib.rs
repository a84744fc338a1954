//! The real-time core: topics in spaces, subscriptions, history, resume, presence, grants.
//!
//! It names no protocol, opens no socket, reads no clock, spawns no thread and parses no JSON.
//! Time arrives as an argument ([`Millis`]), bytes arrive as [`bytes::Bytes`], and what it needs
//! of the outside world it declares as the ports [`Log`] and [`Inbox`].
//!

mod filter;
mod grant;
mod message;
mod ports;
mod presence;
mod refusal;
mod settings;

pub use filter::{Filter, TopicName};
pub use grant::{Action, Effect, Grant, GrantError, Principal, Rule};
pub use message::{
    Kind, Message, Millis, Offset, Position, PositionError, Properties, Publication,
};
pub use ports::{
    Delivery, Done, Inbox, Log, LogBatch, LogError, MemoryLog, RecordTable, RecoveredSpace, ShardId,
};
pub use presence::{Member, PresenceChange, PresenceEvent};
pub use refusal::Refusal;
pub use settings::{CoreLimits, HistorySettings, SlowConsumer, SpaceSettings};
