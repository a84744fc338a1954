//! Why a store could not be opened.

use std::io;
use std::path::{Path, PathBuf};

/// A store that could not be opened. Every text says what an operator can do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the directory open.
    #[error(
        "{} is in use by another process; stop that one, or choose another data directory",
        dir.display()
    )]
    Locked {
        /// The store's directory.
        dir: PathBuf,
    },
    /// The directory holds something that this crate did not write.
    #[error(
        "{} is not a Fanfare store and not empty (it holds {found:?}); choose an empty directory",
        dir.display()
    )]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// One thing found in it.
        found: String,
    },
    /// The directory was written by another version of the format.
    #[error(
        "{} has storage format {found}, this version reads format {supported}; \
         start the version that wrote it, or choose another data directory",
        dir.display()
    )]
    Version {
        /// The store's directory.
        dir: PathBuf,
        /// What the directory says.
        found: String,
        /// What this version reads and writes.
        supported: u32,
    },
    /// Bytes that were on disk are not what was written.
    #[error(
        "{} is damaged ({what}); nothing was changed. Check the disk, then restore the data \
         directory from a copy, or move it away to start empty",
        path.display()
    )]
    Damaged {
        /// The file, or the directory when the file is not known.
        path: PathBuf,
        /// What does not fit, and where.
        what: String,
    },
}

impl StoreError {
    /// For `map_err`: names what was attempted on which path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// The system's own words where there are any, for a reason shown while storage is failing.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Io { source, .. } => source.to_string(),
            other => other.to_string(),
        }
    }
}
