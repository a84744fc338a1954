//! A folder is created once, whoever else tries, in this process or in another.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::error::HostError;

/// How long a creation may take, and how long others wait for it.
const CREATION_MAX: Duration = Duration::from_secs(600);
/// How much is shown of what a command said, in bytes.
const SAID_BYTES_MAX: usize = 2_000;
/// Tells that a folder is complete.
const MARK: &str = ".complete";

/// A runtime's folder that may have to be created.
pub(super) struct Creation {
    /// Such as `python3.12`, for logs and errors.
    pub(super) runtime: String,
    pub(super) folder: PathBuf,
}

impl Creation {
    pub(super) fn is_complete(&self) -> bool {
        self.folder.join(MARK).exists()
    }

    /// Has `fill` put into the folder what belongs there, unless it is there. The folder is empty then.
    pub(super) async fn once(&self, fill: impl AsyncFnOnce() -> Result<(), HostError>) -> Result<(), HostError> {
        if self.is_complete() {
            return Ok(());
        }
        let _lock = self.lock().await?;
        if self.is_complete() {
            return Ok(());
        }
        let began = Instant::now();
        tracing::info!(runtime = self.runtime, folder = %self.folder.display(), "the runtime is created");
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(|error| self.failed(error))?;
        }
        fs::create_dir_all(&self.folder).map_err(|error| self.failed(error))?;
        fill().await?;
        fs::write(self.folder.join(MARK), "").map_err(|error| self.failed(error))?;
        tracing::info!(runtime = self.runtime, ms = began.elapsed().as_millis(), "the runtime is ready");
        Ok(())
    }

    /// Held as long as the file is open; the system lets go of it if this process dies.
    async fn lock(&self) -> Result<File, HostError> {
        let path = self.folder.with_extension("lock");
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| self.failed(error))?;
        }
        let file = File::create(&path).map_err(|error| self.failed(error))?;
        let end = Instant::now() + CREATION_MAX;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(self.failed(format!("{}: {error}", path.display()))),
            }
        }
    }

    /// Runs a command of the creation to its end, in a folder.
    pub(super) async fn run(
        &self,
        step: &str,
        program: &Path,
        arguments: &[&str],
        folder: &Path,
    ) -> Result<(), HostError> {
        tracing::info!(runtime = self.runtime, step, "creating the runtime");
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
        let output = match tokio::time::timeout(CREATION_MAX, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Err(self.failed(format!("{}: {error}", program.display()))),
            Err(_) => return Err(self.failed(format!("{step} took more than {} s", CREATION_MAX.as_secs()))),
        };
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let end = &said[said.len().saturating_sub(SAID_BYTES_MAX)..];
        Err(self.failed(format!("{step}: {}", String::from_utf8_lossy(end).trim())))
    }

    pub(super) fn failed(&self, reason: impl ToString) -> HostError {
        let (runtime, folder) = (self.runtime.clone(), self.folder.clone());
        HostError::Creation { runtime, folder, reason: reason.to_string() }
    }
}

/// What a program says of its version; `None` if it does not run.
pub(super) async fn version(program: &Path, arguments: &[&str]) -> io::Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(20), command.output());
    let output = output.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[tokio::test]
    async fn two_that_create_the_same_create_it_once() {
        let folder = tempfile::tempdir().unwrap();
        let creation = || Creation { runtime: "test".into(), folder: folder.path().join("made") };
        let fills = AtomicUsize::new(0);
        let fill = async || {
            fills.fetch_add(1, Relaxed);
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(())
        };
        let (one, other) = (creation(), creation());
        let (one, other) = tokio::join!(one.once(fill), other.once(fill));
        assert!(one.is_ok() && other.is_ok() && fills.load(Relaxed) == 1);
        creation().once(fill).await.unwrap();
        assert_eq!(fills.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn what_broke_off_is_created_again() {
        let folder = tempfile::tempdir().unwrap();
        let creation = Creation { runtime: "test".into(), folder: folder.path().join("made") };
        let failed = creation
            .once(async || creation.run("a step", "sh".as_ref(), &["-c", "echo no room; exit 1"], folder.path()).await);
        let error = failed.await.unwrap_err().to_string();
        assert!(error.contains("a step: no room"), "{error}");
        assert!(!creation.is_complete());
        creation.once(async || Ok(())).await.unwrap();
        assert!(creation.is_complete());
    }
}
