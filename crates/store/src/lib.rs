//! The durable log and small records on one machine.
//!
//! [`EmbeddedLog`] implements [`fanfare_core::Log`] on an embedded LSM store. One thread commits:
//! it gathers what was queued, writes it as one atomic batch, syncs once and tells everybody who
//! waited. See the modules for one story each: `record` and `layout` say what stands on disk,
//! `journal` what is checked and repaired before the store is opened, `committer` how a message
//! gets there and what happens while the disk refuses.

mod committer;
mod directory;
mod engine;
mod error;
mod journal;
mod layout;
mod log;
mod open;
mod options;
mod queue;
mod reading;
mod record;
mod space;

pub use error::StoreError;
pub use log::EmbeddedLog;
pub use options::{OpenReport, StoreOptions};
