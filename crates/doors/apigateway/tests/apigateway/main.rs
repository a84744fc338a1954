//! The door against a whole server, with functions that tests write.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod client;
mod life;
mod management;
mod messages;
mod topics;
mod upgrade;
mod world;
