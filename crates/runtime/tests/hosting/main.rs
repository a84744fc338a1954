//! Real handlers in real processes.

mod bounds;
mod keeping;
mod node;
mod provided;
mod python;
mod support;
