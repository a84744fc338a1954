//! The only place that writes to standard output and standard error.

use std::io::{self, Write};

/// Writes to standard output and flushes.
///
/// # Errors
/// Whatever the system says; a closed pipe is [`io::ErrorKind::BrokenPipe`].
pub fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Writes and takes a closed pipe for the reader's wish to end: `true` while someone reads.
///
/// # Errors
/// Whatever else the system says.
pub fn write_to_reader(bytes: &[u8]) -> io::Result<bool> {
    match write(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Tells the person at the terminal something, on standard error.
#[expect(clippy::print_stderr, reason = "diagnostics of the command line go here")]
pub fn note(text: &str) {
    eprintln!("{text}");
}

/// Tells an error and its causes.
pub fn error(error: &anyhow::Error) {
    note(&format!("fanfare: {error:#}"));
}
