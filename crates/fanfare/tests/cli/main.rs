//! The real binary, each time in a folder of its own.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod config;
mod fanfare;
mod passwd;
mod pipes;
mod texts;
mod token;
