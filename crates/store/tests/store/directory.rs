//! Whose directory it is.

use std::fs;
use std::path::Path;

use fanfare_store::{EmbeddedLog, StoreError, StoreOptions};

use crate::support::*;

fn refusal(dir: &Path) -> StoreError {
    match EmbeddedLog::open(dir, StoreOptions::default()) {
        Ok(_) => panic!("{} was opened", dir.display()),
        Err(error) => error,
    }
}

#[test]
fn a_second_opening_is_refused_and_names_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let error = refusal(dir.path());
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(dir.path().to_str().unwrap()));
    drop(log);
    open(dir.path());
}

#[test]
fn another_format_is_refused_and_both_versions_are_named() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let mark = dir.path().join("store/FANFARE");
    let text = fs::read_to_string(&mark).unwrap();
    fs::write(&mark, text.replace("format 1\n", "format 27\n")).unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, StoreError::Version { .. }), "{error}");
    assert!(error.to_string().contains("format 27") && error.to_string().contains("format 1;"));
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(fjall::Database::builder(dir.path()).open().unwrap());
    let error = refusal(dir.path());
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(refusal(file.path()), StoreError::Io { .. }));
}

#[test]
fn an_interrupted_creation_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    fs::rename(dir.path().join("store"), dir.path().join("store.new")).unwrap();
    fs::remove_file(dir.path().join("store.new/version")).unwrap();
    assert!(open(dir.path()).1.is_new);
}

#[test]
fn a_missing_manifest_is_damage_and_nothing_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let keyspace = dir.path().join("store/keyspaces/1");
    fs::remove_file(keyspace.join("current")).unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(keyspace.is_dir());
}
