//! What is wrong with a configuration, and where.

use std::fmt;
use std::sync::Arc;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a file.
    File {
        /// The file as it was named.
        name: Arc<str>,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// A file as a whole.
    Whole(Arc<str>),
    /// In an environment variable.
    Variable(Arc<str>),
    /// In a flag of the command line.
    Flag(&'static str),
    /// Nowhere: the default.
    Default,
}

impl Origin {
    /// The line, in a file.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::File { line, .. } => Some(*line),
            _ => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Self::Whole(name) | Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {}{problem}", Prefix(key))]
pub struct Mistake {
    /// Where.
    pub origin: Origin,
    /// At which key, written with dots; empty where there is none.
    pub key: String,
    /// What.
    pub problem: Problem,
}

impl Mistake {
    pub(super) fn is_on_line_of(&self, other: &Self) -> bool {
        self.origin.line() == other.origin.line()
    }
}

struct Prefix<'a>(&'a str);

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            key => write!(f, "{key}: "),
        }
    }
}

/// The kinds of mistakes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The text is no TOML.
    #[error("not valid TOML: {0}")]
    Syntax(String),
    /// There is no such key.
    #[error("unknown key{}", Hint(nearest.as_deref(), known))]
    UnknownKey {
        /// The known key that it resembles.
        nearest: Option<String>,
        /// All keys known at this place.
        known: Vec<&'static str>,
    },
    /// The value has another type or lies outside what is allowed.
    #[error("found {found}, expected {allowed}")]
    Value {
        /// What stands there. Never the text of a secret.
        found: String,
        /// What may stand there.
        allowed: String,
    },
    /// A file is named that cannot be read.
    #[error("cannot read {file}: {reason}")]
    Unreadable {
        /// Its path.
        file: String,
        /// What the system says.
        reason: String,
    },
    /// Keys that do not go together.
    #[error("{0}")]
    Conflict(String),
}

struct Hint<'a>(Option<&'a str>, &'a [&'static str]);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => write!(f, "; known here: {}", self.1.join(", ")),
        }
    }
}

/// A configuration that does not count: all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one mistake, in the order of the sources.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
