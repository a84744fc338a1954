//! Being wired.

use std::process::ExitCode;

use crate::cli::PubArgs;

pub(crate) fn run(_args: PubArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("being wired")
}
