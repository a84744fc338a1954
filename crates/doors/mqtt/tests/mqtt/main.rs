//! The MQTT door from outside: its codec, and conversations over TCP and WebSocket.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod client;
mod codec;
mod connecting;
mod keys;
mod messages;
mod wire;
