//! The store from outside: the contract of the port, crashes, damage, full disks.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests, outside #[test]")]

mod contract;
mod crash;
mod damage;
mod directory;
mod full;
mod support;
