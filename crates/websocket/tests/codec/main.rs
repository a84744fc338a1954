//! The codec seen from outside: what is encoded is decoded, however it is cut,
//! and what is broken is refused, however it arrives.

mod deflate;
mod limits;
mod properties;
mod rules;
mod text;
mod wire;
