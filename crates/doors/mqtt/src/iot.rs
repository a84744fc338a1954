//! What AWS IoT Core has around its broker.
//!
//! `lifecycle` tells who comes and goes, `shadows` keeps device shadows, `rules` act on messages,
//! `errands` is what other threads ask of a connection, and `http` is the HTTP data plane over all of it.

pub(crate) mod errands;
pub(crate) mod http;
pub(crate) mod lifecycle;
pub(crate) mod rules;
pub(crate) mod shadows;

pub(crate) use crate::authenticate::trace_id as uuid;
