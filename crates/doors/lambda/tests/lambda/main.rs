//! The Lambda door from outside: a server on the loopback, and requests as SDKs send them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod access;
mod events;
mod invoking;
mod world;
