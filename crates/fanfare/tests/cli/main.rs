//! The real binary, each time in a folder of its own.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

mod config;
mod credentials;
mod fanfare;
mod hosting;
mod keys;
mod passwd;
mod pipes;
mod server;
mod texts;
mod token;
