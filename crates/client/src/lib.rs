//! The Rust client of the native door, used by the command line and the load generator.
