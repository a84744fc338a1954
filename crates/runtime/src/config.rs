//! What is known of a function before it runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A handler that runs as child processes of this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerConfig {
    /// Its name: letters, digits, `-` and `_`, at most 64.
    pub name: String,
    /// By which it is known too, such as the short name in a serverless.yml.
    pub alias: Option<String>,
    /// What runs it.
    pub runtime: RuntimeKind,
    /// As the runtime understands it: `module.function`, `path/file.export`, or the name of a binary.
    pub handler: String,
    /// The function's folder: working directory and `LAMBDA_TASK_ROOT`.
    pub root: PathBuf,
    /// Variables of its own.
    pub environment: BTreeMap<String, String>,
    /// A call that takes longer is ended with its process: 1 s to 900 s.
    pub timeout: Duration,
    /// Memory of one process in MiB: 128 to 10,240.
    pub memory_mb: u32,
    /// At most so many calls at once, which no other function can take; 0 disables the function.
    pub reserved_concurrency: Option<u32>,
    /// So many processes are always ready.
    pub provisioned_concurrency: u32,
    /// A process without work ends after this.
    pub idle_timeout: Duration,
    /// A process without work is stopped (frozen) after this; `None` never.
    pub freeze_after: Option<Duration>,
    /// Further tries of calls that nobody waits for: 0 to 2.
    pub retries: u32,
    /// Such a call is given up when it is older than this: 60 s to 6 h.
    pub event_age_max: Duration,
    /// Topic for such calls that were given up.
    pub dead_letter_topic: Option<String>,
    /// Where it was configured, such as `serverless.yml:12`, for logs and errors.
    pub origin: String,
}

/// What runs a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeKind {
    /// CPython with the Lambda runtime client; holds the version asked for, such as `3.12`.
    Python(String),
    /// Node.js; holds the major version asked for, such as `20`.
    Node(String),
    /// An executable that speaks the Runtime API itself, such as a Rust binary: `provided.*`.
    Provided,
}

impl RuntimeKind {
    /// Reads a name of Lambda's: `python3.12`, `nodejs20.x`, `provided.al2023`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let is_version = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if let Some(version) = name.strip_prefix("python").filter(|version| is_version(version)) {
            return Some(Self::Python(version.to_owned()));
        }
        if let Some(version) = name.strip_prefix("nodejs") {
            let version = version.strip_suffix(".x").unwrap_or(version);
            return is_version(version).then(|| Self::Node(version.to_owned()));
        }
        (name == "provided" || name.starts_with("provided.")).then_some(Self::Provided)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_runtimes_are_those_of_lambda() {
        assert_eq!(RuntimeKind::parse("python3.12"), Some(RuntimeKind::Python("3.12".to_owned())));
        assert_eq!(RuntimeKind::parse("nodejs20.x"), Some(RuntimeKind::Node("20".to_owned())));
        assert_eq!(RuntimeKind::parse("provided.al2023"), Some(RuntimeKind::Provided));
        assert_eq!(RuntimeKind::parse("java21"), None);
        assert_eq!(RuntimeKind::parse("python"), None);
    }
}
