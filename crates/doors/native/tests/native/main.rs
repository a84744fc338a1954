//! The native door from outside: a real server on the loopback, and clients that know nothing of
//! its code.

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
