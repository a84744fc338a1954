//! Exit codes: 0 done, 1 failed while working, 2 could not start as asked.

use std::io::ErrorKind;
use std::process::ExitCode;

use crate::config::ConfigError;

/// Something failed while working.
pub const FAILED: u8 = 1;
/// Wrong usage, wrong configuration, a port that is taken.
pub const MISUSED: u8 = 2;

/// What was asked for cannot be done as it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misuse(pub String);

/// The code for an error that reached the top.
pub fn code_of(error: &anyhow::Error) -> ExitCode {
    let is_misuse = error.chain().any(|cause| {
        let is_port_taken = cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable));
        is_port_taken || cause.is::<Misuse>() || cause.is::<ConfigError>()
    });
    ExitCode::from(if is_misuse { MISUSED } else { FAILED })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_taken_port_is_misuse_whatever_stands_around_it() {
        let error: anyhow::Result<()> = Err(std::io::Error::from(ErrorKind::AddrInUse).into());
        let error = error.context("listening on 127.0.0.1:8080").unwrap_err();
        assert_eq!(code_of(&error), ExitCode::from(MISUSED));
        assert_eq!(code_of(&anyhow::anyhow!("lost")), ExitCode::from(FAILED));
    }
}
