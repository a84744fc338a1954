//! What the gate lets in and what it refuses, told from outside. Time is always handed in.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod gate;
mod jwks;
mod keys;
mod mint;
mod revocation;
mod support;
mod tickets;
