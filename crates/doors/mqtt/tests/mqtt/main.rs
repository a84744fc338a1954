//! The MQTT door from outside: conversations over TCP, TLS and WebSocket, with packets that the
//! codec's client side builds.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod client;
mod connecting;
mod keys;
mod link;
mod messages;
mod pressure;
mod sessions;
mod storage;
