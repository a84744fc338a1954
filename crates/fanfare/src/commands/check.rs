//! `fanfare check`: all mistakes of a file at once.

use std::process::ExitCode;

use crate::cli::CheckArgs;
use crate::config::Config;
use crate::exit::FAILED;
use crate::output;

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    match Config::check_file(&args.file) {
        Ok(_) => {
            output::write(format!("{}: no mistakes\n", args.file.display()).as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            output::note(&error.to_string());
            Ok(ExitCode::from(FAILED))
        }
    }
}
