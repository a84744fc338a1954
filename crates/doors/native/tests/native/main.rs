//! The native door from outside: a real server on the loopback, and clients that know nothing of
//! its code.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod client;
mod http2;
mod listening;
mod openapi;
mod poll;
mod publish;
mod questions;
mod resume;
mod schema;
mod server;
mod sse;
