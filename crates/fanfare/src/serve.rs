//! Runs the server.

use std::process::ExitCode;

use crate::config::Config;

/// Runs the server until it is told to stop.
///
/// # Errors
/// It could not start, or it failed.
pub fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let addresses: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    anyhow::bail!("serve is being wired; it would listen on {}", addresses.join(", "))
}
