//! The MQTT door from outside: its codec, and conversations over TCP and WebSocket.

mod client;
mod codec;
mod connecting;
mod keys;
mod messages;
mod wire;
