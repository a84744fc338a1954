//! Operations as an operator sees them: over HTTP, against a whole server.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod auth;
mod connections;
mod health;
mod page;
mod revocations;
mod support;
mod topics;
mod usage;
