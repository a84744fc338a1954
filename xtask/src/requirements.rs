//! `docs/mqtt-requirements.md`: each statement of the two MQTT standards, and what proves it here.
//!
//! The statements stand in `requirements/*.txt`, in our own words; the proof in `proves:` comments of tests.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::repository::Repository;
use crate::tidy::{File, Finding, read};

mod collect;
mod standard;
mod table;

use collect::Proof;
use standard::{Standard, Statement};

/// Where the table is.
const TABLE: &str = "docs/mqtt-requirements.md";

/// Writes the table, or only says what is wrong. True when nothing is.
pub(crate) fn run(repository: &Repository, is_check: bool, out: &mut impl Write) -> Result<bool> {
    let files = read(repository)?;
    let (text, mut findings) = survey(&files);
    if is_check {
        findings.extend(compare(&files, &text));
    } else {
        std::fs::write(repository.root.join(TABLE), text).context(TABLE)?;
    }
    findings.sort();
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    writeln!(out, "requirements: {} to mend", findings.len())?;
    Ok(findings.is_empty())
}

/// What keeps the table from being true.
pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let (text, mut findings) = survey(files);
    findings.extend(compare(files, &text));
    findings
}

/// The table as it should be, and what is wrong with what it is made from.
fn survey(files: &[File]) -> (String, Vec<Finding>) {
    let standards = standard::all();
    let (proofs, mut findings) = collect::all(files);
    findings.extend(proofs.iter().filter_map(|proof| unknown(&standards, proof)));
    for standard in &standards {
        findings.extend(standard.statements.iter().filter_map(|statement| unproved(standard, statement, &proofs)));
    }
    (table::text(&standards, &proofs), findings)
}

fn unknown(standards: &[Standard], proof: &Proof) -> Option<Finding> {
    let known = standards.iter().find(|standard| standard.version == proof.version)?;
    let text = format!("{} has no statement {}; correct the id", known.title, proof.id);
    (!known.statements.iter().any(|statement| statement.id == proof.id))
        .then(|| Finding::new(&proof.path, proof.line, text))
}

fn unproved(standard: &Standard, statement: &Statement, proofs: &[Proof]) -> Option<Finding> {
    let is_proved = proofs.iter().any(|proof| proof.is_of(standard, statement));
    let text = match (is_proved, statement.reason) {
        (true, Some(_)) => format!("{} has a test, so it needs no reason", statement.id),
        (false, None) if statement.who != "client" => {
            format!("{} ({}) has no test; write one, or say why there is none", statement.id, statement.line)
        }
        _ => return None,
    };
    Some(Finding::new(Path::new("xtask/src/requirements").join(standard.file), statement.row, text))
}

fn compare(files: &[File], text: &str) -> Option<Finding> {
    let written = files.iter().find(|file| file.path == Path::new(TABLE));
    let is_same = written.is_some_and(|file| file.text == text);
    (!is_same).then(|| Finding::new(PathBuf::from(TABLE), 0, "not what the tests say; run `cargo xtask requirements`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    fn texts(findings: &[Finding]) -> String {
        findings.iter().map(|finding| format!("{finding}\n")).collect()
    }

    #[test]
    fn a_tag_must_name_a_statement_that_exists() {
        let tests = "# proves: v5 MQTT-1.5.4-1 MQTT-9.9.9-9; v3.1.1 MQTT-1.5.4-1\ndef test_a():\n    pass\n";
        let found = texts(&survey(&[file("conformance/a.py", tests)]).1);
        assert!(found.contains("conformance/a.py:1: MQTT 5.0 has no statement MQTT-9.9.9-9"), "{found}");
        assert!(found.contains("conformance/a.py:1: MQTT 3.1.1 has no statement MQTT-1.5.4-1"), "{found}");
    }

    #[test]
    fn an_obligation_of_the_server_needs_a_test_or_a_reason() {
        let tests = "# proves: v5 MQTT-3.2.2-13 MQTT-3.1.0-2\ndef test_a():\n    pass\n";
        let found = texts(&survey(&[file("conformance/a.py", tests)]).1);
        assert!(found.contains("MQTT-3.2.2-13 has a test, so it needs no reason"), "{found}");
        assert!(found.contains("MQTT-3.1.2-8 ("), "{found}");
        assert!(!found.contains("mqtt5.txt:14:"), "the statement on this row has its test: {found}");
        assert!(!found.contains("MQTT-3.1.2-21 (The server's"), "a client's duty: {found}");
    }

    #[test]
    fn a_table_that_is_out_of_date_is_found() {
        let (text, _) = survey(&[]);
        assert_eq!(compare(&[file(TABLE, &text)], &text), None);
        assert!(compare(&[file(TABLE, "old")], &text).is_some());
        assert!(compare(&[], &text).is_some());
    }
}
