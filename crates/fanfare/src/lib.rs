//! Fanfare: one core with many doors, a self-hosted real-time gateway.
//!
//! This crate reads the configuration and the command line and puts the rooms together; the
//! `fanfare` binary is [`run`] and nothing else.

mod access;
mod app;
pub mod cli;
mod commands;
pub mod config;
mod credentials;
pub mod development_key;
pub mod doors;
mod endpoints;
pub mod exit;
mod files;
mod hosting;
mod letters;
mod local_ca;
mod momento_keys;
pub mod output;
pub mod serve;
pub mod start_page;
mod trust;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

/// Does what the command line says.
pub fn run() -> ExitCode {
    match dispatch(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            exit::code_of(&error)
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => serve::serve(args),
        Command::Sub(args) => commands::sub::run(args),
        Command::Pub(args) => commands::publish::run(args),
        Command::Token(args) => commands::token::run(args),
        Command::Credentials(args) => commands::credentials::run(args),
        Command::Key(args) => commands::key::run(args),
        Command::Passwd(args) => commands::passwd::run(&args),
        Command::Bench(args) => fanfare_load::run(args).map(|()| ExitCode::SUCCESS),
        Command::Check(args) => commands::check::run(&args),
        Command::Config => commands::texts::config(),
        Command::Completions(args) => commands::texts::completions(&args),
        Command::Man => commands::texts::man(),
    }
}
