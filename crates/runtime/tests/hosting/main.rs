//! Real handlers in real processes.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests fail as tests do")]

mod bounds;
mod keeping;
mod node;
mod provided;
mod python;
mod support;
