//! The Momento door as clients without an SDK see it: what SDKs do not show or cannot provoke.

mod calls;
mod client;
mod http;
mod limits;
mod streams;
mod web;
mod webhooks;
mod world;
