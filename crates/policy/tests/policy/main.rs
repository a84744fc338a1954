//! Policies as people write them, and what they allow.

mod arbitrary;
mod conditions;
mod connecting;
mod decisions;
mod errors;
mod properties;
mod set;
