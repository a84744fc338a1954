//! What the driver promises every door, tried with doors that do nothing else.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and one door here panics on purpose"
)]

mod streams;
mod upgrades;
