//! Why a host, a function or a process could not be set up.

use std::path::PathBuf;

/// Why a host, a function or what runs it could not be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// A host needs tasks and timers.
    #[error("functions are hosted inside a tokio runtime; create the host on a task")]
    NoRuntime,
    /// The system refused a thread, a pipe, a port or a folder.
    #[error("{what}: {reason}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        reason: String,
    },
    /// A name is empty, too long, or has other characters than letters, digits, `-` and `_`.
    #[error("function {name:?} ({origin}): a name has 1 to 64 letters, digits, '-' or '_'; rename it")]
    Name {
        /// The name.
        name: String,
        /// Where it was configured.
        origin: String,
    },
    /// Two functions have one name.
    #[error("function {name:?} ({origin}): another function has this name; rename one of them")]
    Duplicate {
        /// The name.
        name: String,
        /// Where the second one was configured.
        origin: String,
    },
    /// The folder of a function is not there.
    #[error("function {name:?} ({origin}): its folder {root:?} cannot be read: {reason}")]
    Root {
        /// The function.
        name: String,
        /// Where it was configured.
        origin: String,
        /// The folder.
        root: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A setting is outside its range.
    #[error("function {name:?} ({origin}): {reason}")]
    Setting {
        /// The function.
        name: String,
        /// Where it was configured.
        origin: String,
        /// What is wrong, and the range.
        reason: String,
    },
    /// No interpreter, or one that does not start.
    #[error("no interpreter for {runtime}: {reason}; install it or name one in the configuration")]
    Interpreter {
        /// Such as `python3.12`.
        runtime: String,
        /// What was tried.
        reason: String,
    },
    /// The folder with a runtime's packages could not be created.
    #[error("the {runtime} runtime could not be created in {folder:?}: {reason}")]
    Creation {
        /// Such as `python3.12`.
        runtime: String,
        /// Where.
        folder: PathBuf,
        /// The end of what the package manager said.
        reason: String,
    },
}

impl HostError {
    pub(crate) fn system(what: impl Into<String>, error: &std::io::Error) -> Self {
        Self::System { what: what.into(), reason: error.to_string() }
    }
}
