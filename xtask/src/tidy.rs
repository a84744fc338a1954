//! House rules that a machine can check. Each finding is one line: `path:line: what, and what to do`.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::repository::Repository;
use crate::requirements;

mod arrows;
mod expression;
mod links;
mod packages;
mod roots;
mod sizes;
mod words;

/// One thing to mend.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: PathBuf,
    /// From 1; 0 when the whole file is meant.
    line: usize,
    text: String,
}

impl Finding {
    pub(crate) fn new(path: impl Into<PathBuf>, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.into(), line, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path.display(), self.text),
            line => write!(f, "{}:{line}: {}", self.path.display(), self.text),
        }
    }
}

/// A tracked text file, by its path from the root.
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl File {
    fn ends_with(&self, endings: &[&str]) -> bool {
        endings.iter().any(|ending| self.path.extension().is_some_and(|found| found == *ending))
    }

    /// Whether the file serves tests alone.
    fn is_test(&self) -> bool {
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "conformance")
            || name.starts_with("test_")
            || name.contains(".test.")
    }
}

/// Checks everything. True when there is nothing to mend.
pub(crate) fn run(repository: &Repository, out: &mut impl Write) -> Result<bool> {
    let files = read(repository)?;
    let mut findings = arrows::check(repository);
    findings.extend(packages::check(repository)?);
    findings.extend(roots::check(repository)?);
    findings.extend(requirements::check(&files));
    for file in &files {
        findings.extend(sizes::check(file));
        findings.extend(words::check(file));
        findings.extend(links::check(file, &repository.root));
    }
    for (path, lines) in sizes::large(&files) {
        writeln!(out, "note: {}: {lines} lines; does it hold a second idea?", path.display())?;
    }
    findings.sort();
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    writeln!(out, "tidy: {} files, {} to mend", files.len(), findings.len())?;
    Ok(findings.is_empty())
}

/// Tracked files that are text; pictures and the like have no rules.
pub(crate) fn read(repository: &Repository) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for path in repository.tracked()? {
        let bytes = std::fs::read(repository.root.join(&path)).with_context(|| shown(&path))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path, text });
        }
    }
    Ok(files)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
