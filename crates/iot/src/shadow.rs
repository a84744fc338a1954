//! Device shadows: what a thing should be, what it says it is, and the difference.
//!
//! A [`Shadow`] is a state machine without a clock or a store. Each request
//! comes with the time, each answer is the JSON that is sent; a request that
//! is refused leaves the shadow as it was.
//!
//! ```
//! use fanfare_iot::shadow::Shadow;
//!
//! let mut shadow = Shadow::default();
//! let request = br#"{"state": {"desired": {"lamp": "on"}, "reported": {"lamp": "off"}}}"#;
//! let updated = shadow.update(request, 1_795_263_000).map_err(|rejection| rejection.message)?;
//! assert_eq!(updated.delta.map(|delta| delta["state"].to_string()), Some(r#"{"lamp":"on"}"#.to_owned()));
//! # Ok::<(), String>(())
//! ```
//!
//! # Rules
//!
//! - Objects are merged key by key, everything else is replaced whole; `null`
//!   deletes a key or a section, and is not allowed inside an array.
//! - Every accepted update adds one to the version. A deleted shadow keeps its
//!   version, so that a version never names two different documents.
//! - The difference holds every desired value that reported lacks or has
//!   otherwise, with its path from the root; what is only reported is no difference.

mod document;
mod merge;
mod request;
mod topic;

pub use document::{Shadow, StoredError, Updated};
pub use request::{Rejection, client_token};
pub use topic::{Operation, ShadowName, ShadowTopic};

/// Largest state (desired and reported as JSON without blanks), in bytes. Metadata do not count.
pub const STATE_BYTES_MAX: usize = 8 * 1024;

/// Largest request that is looked at, in bytes.
pub const REQUEST_BYTES_MAX: usize = 128 * 1024;

/// Most levels of objects and arrays in `desired` or `reported`, themselves included.
pub const DEPTH_MAX: usize = 8;

/// Longest client token, in bytes.
pub const CLIENT_TOKEN_BYTES_MAX: usize = 64;
