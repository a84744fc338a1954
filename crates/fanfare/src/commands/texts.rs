//! Commands that only print: the default configuration, completions, the manual page.

use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs};
use crate::config;
use crate::output;

pub(crate) fn config() -> anyhow::Result<ExitCode> {
    print(config::reference().as_bytes())
}

pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut out = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "fanfare", &mut out);
    print(&out)
}

/// One page that holds all commands, so that it can be piped to `man -l -`.
pub(crate) fn man() -> anyhow::Result<ExitCode> {
    let mut command = Cli::command();
    command.build();
    let mut out = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut out)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let name = format!("fanfare {}", sub.get_name()).to_uppercase();
        out.extend_from_slice(format!(".SH {name}\n").as_bytes());
        let page = clap_mangen::Man::new(sub.clone());
        page.render_description_section(&mut out)?;
        page.render_options_section(&mut out)?;
    }
    print(&out)
}

fn print(bytes: &[u8]) -> anyhow::Result<ExitCode> {
    output::write_to_reader(bytes)?;
    Ok(ExitCode::SUCCESS)
}
