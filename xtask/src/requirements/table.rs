//! The page: one table a standard.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::collect::Proof;
use super::standard::{Standard, Statement};

const HEAD: &str = "\
# What the MQTT standards ask, and what proves it

Written by `cargo xtask requirements`; `cargo xtask tidy` fails when it is not true. Each row is a numbered statement of the standard, told in
our own words. A test that proves it says so in a comment, `proves: v5 MQTT-3.1.0-2; v3.1.1 MQTT-3.1.0-2`. Paths are those below `crates/`
or `conformance/`.
";

/// The whole page.
pub(super) fn text(standards: &[Standard], proofs: &[Proof]) -> String {
    let mut text = HEAD.to_owned();
    for standard in standards {
        section(&mut text, standard, proofs);
    }
    text
}

fn section(text: &mut String, standard: &Standard, proofs: &[Proof]) {
    let proved = |statement: &&Statement| proofs.iter().any(|proof| proof.is_of(standard, statement));
    let (duties, clients): (Vec<_>, Vec<_>) =
        standard.statements.iter().partition(|statement| statement.who != "client");
    let (all, of_us) = (standard.statements.len(), duties.len());
    let ours = duties.into_iter().filter(proved).count();
    let theirs = clients.into_iter().filter(proved).count();
    let title = standard.title;
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "\n## {title}\n\n{all} statements; {of_us} bind a server, {ours} of them have tests. \
         Of what binds clients alone, {theirs} have tests too: of what the server does when it is broken.\n\n\
         | id | binds | what it asks | tests |\n| --- | --- | --- | --- |\n"
    );
    for statement in &standard.statements {
        let Statement { id, who, line, .. } = statement;
        let _ = writeln!(text, "| {id} | {who} | {line} | {} |", proved_by(standard, statement, proofs));
    }
}

fn proved_by(standard: &Standard, statement: &Statement, proofs: &[Proof]) -> String {
    let mut files: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for proof in proofs.iter().filter(|proof| proof.is_of(standard, statement)) {
        let path = proof.path.to_string_lossy();
        let path = path.trim_start_matches("crates/").trim_start_matches("conformance/");
        let tests = files.entry(path.to_owned()).or_default();
        if !tests.contains(&proof.test.as_str()) {
            tests.push(&proof.test);
        }
    }
    if files.is_empty() {
        return statement.reason.unwrap_or("client's duty").to_owned();
    }
    let of_file = |(path, tests): (&String, &Vec<&str>)| format!("`{path}`: {}", tests.join(", ").replace('|', "\\|"));
    files.iter().map(of_file).collect::<Vec<_>>().join("; ")
}
