//! Momento Topics as data and pure functions.
pub mod grpc;
pub mod method;
pub mod sequence;
pub mod wire;
