//! What a user of EventBridge relies on.

mod bus;
mod config;
mod oracle;
mod pattern;
mod properties;
mod put_events;
mod transform;
