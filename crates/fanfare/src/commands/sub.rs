//! Being wired.

use std::process::ExitCode;

use crate::cli::SubArgs;

pub(crate) fn run(_args: SubArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("being wired")
}
