//! Descriptors as people write them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod hostile;
mod mistakes;
mod present;
mod serverless;
mod templates;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fanfare_descriptors::{Application, DescriptorError, ReadOptions, read};
use fanfare_runtime::HandlerConfig;

/// Options that do not depend on where the test runs.
fn options() -> ReadOptions {
    ReadOptions { env: Arc::new(|_| None), ..ReadOptions::default() }
}

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Reads a text as a file of that name.
fn read_text(name: &str, text: &str, options: &ReadOptions) -> Result<Application, DescriptorError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    read(&path, options)
}

fn function<'a>(application: &'a Application, name: &str) -> &'a HandlerConfig {
    let is_it = |one: &&HandlerConfig| one.name == name || one.alias.as_deref() == Some(name);
    application.functions.iter().find(is_it).unwrap_or_else(|| panic!("no function {name}"))
}

fn notes(application: &Application) -> String {
    application.notes.iter().map(|note| format!("{}: {}\n", note.origin, note.text)).collect()
}
