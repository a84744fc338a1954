//! Every crate takes the workspace's lints and says at its root what it is.

use anyhow::{Context, Result};

use super::Finding;
use crate::repository::{Package, Repository};

pub(super) fn check(repository: &Repository) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for package in &repository.packages {
        let manifest = repository.shown(&package.manifest_path);
        let text = std::fs::read_to_string(&package.manifest_path).with_context(|| manifest.clone())?;
        if !inherits_lints(&text) {
            findings.push(Finding::new(manifest, 0, "add `[lints]` with `workspace = true`"));
        }
        for path in roots(package) {
            let shown = repository.shown(path);
            let text = std::fs::read_to_string(path).with_context(|| shown.clone())?;
            if !is_documented(&text) {
                findings.push(Finding::new(shown, 1, "say in a `//!` line what this crate is"));
            }
        }
    }
    Ok(findings)
}

fn roots(package: &Package) -> impl Iterator<Item = &std::path::PathBuf> {
    let is_root = |kind: &String| ["lib", "bin", "example", "proc-macro"].contains(&kind.as_str());
    package.targets.iter().filter(move |target| target.kind.iter().any(is_root)).map(|target| &target.src_path)
}

fn inherits_lints(manifest: &str) -> bool {
    let mut is_lints = false;
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            is_lints = line == "[lints]";
        } else if is_lints && line.replace(' ', "") == "workspace=true" {
            return true;
        }
    }
    false
}

fn is_documented(root: &str) -> bool {
    root.lines().next().is_some_and(|line| line.strip_prefix("//! ").is_some_and(|words| !words.trim().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lints_are_looked_for_in_their_table() {
        assert!(inherits_lints("[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"));
        assert!(!inherits_lints("[lints]\n\n[dependencies]\nworkspace = true\n"));
        assert!(!inherits_lints("[package]\nname = \"a\"\n"));
    }

    #[test]
    fn a_root_begins_with_words() {
        assert!(is_documented("//! What it is.\n"));
        assert!(!is_documented("//!\nuse std::fmt;\n"));
        assert!(!is_documented("fn main() {}\n"));
    }
}
