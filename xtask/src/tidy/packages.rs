//! Other people's packages: their licences, and those we do not want.

use anyhow::{Result, bail};

use super::Finding;
use super::expression;
use crate::repository::{Repository, cargo, output};

/// Kept like `licenses.allow` of deny.toml.
const LICENCES: [&str; 13] = [
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "BSL-1.0",
    "Unicode-3.0",
    "CDLA-Permissive-2.0",
    "MIT-0",
    "Unlicense",
    "OpenSSL",
];

/// Kept like `bans.deny` of deny.toml, each with what we use instead.
const BANNED: [(&str, &str); 4] = [
    ("openssl-sys", "rustls with aws-lc-rs does this here"),
    ("reqwest", "hyper-util's client does this here"),
    ("ring", "aws-lc-rs does this here; one set of cryptography is enough"),
    ("serde_yaml", "it is unmaintained; TOML and JSON are our languages"),
];

/// A package that is really built, with its features as they are.
struct Package {
    name: String,
    version: String,
    licence: String,
}

/// `cargo tree` and not `cargo metadata`: the latter also lists packages behind features that are off.
pub(super) fn check(repository: &Repository) -> Result<Vec<Finding>> {
    let words =
        ["tree", "--workspace", "--locked", "--edges", "normal,build,dev", "--prefix", "none", "--format", "{p}\t{l}"];
    let text = output(cargo().args(words), &repository.root)?;
    let packages = parse(&text)?;
    Ok(packages.iter().flat_map(judge).collect())
}

fn judge(package: &Package) -> Vec<Finding> {
    let Package { name, version, licence } = package;
    let mut findings = Vec::new();
    let mut add = |text: String| findings.push(Finding::new("Cargo.lock", 0, text));
    if let Some((_, instead)) = BANNED.iter().find(|(banned, _)| banned == name) {
        add(format!(
            "{name} {version} is not wanted: {instead}; `cargo tree --workspace --invert {name}` tells who asks"
        ));
    }
    match expression::is_met(licence, &LICENCES) {
        Ok(true) => {}
        Ok(false) => {
            add(format!("{name} {version} is under {licence:?}, which is not on our list; use another package"))
        }
        Err(error) => add(format!("{name} {version}: licence {licence:?} cannot be read: {error}")),
    }
    findings
}

/// Lines are `name v1.2.3 (proc-macro)<tab>licence`, some with ` (*)` behind: those stood before.
fn parse(text: &str) -> Result<Vec<Package>> {
    let mut packages: Vec<Package> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.ends_with("(*)")) {
        let Some((package, licence)) = line.split_once('\t') else {
            bail!("cargo tree says {line:?}, which is no package");
        };
        let mut words = package.split(' ');
        let (Some(name), Some(version)) = (words.next(), words.next()) else {
            bail!("cargo tree says {line:?}, which has no version");
        };
        let version = version.trim_start_matches('v');
        if !packages.iter().any(|known| known.name == name && known.version == version) {
            packages.push(Package { name: name.into(), version: version.into(), licence: licence.trim().into() });
        }
    }
    if packages.is_empty() {
        bail!("cargo tree lists no packages");
    }
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read_once_per_package() {
        let text = "fanfare v0.1.0 (/srv/fanfare)\tMIT OR Apache-2.0\nserde v1.0.1\tMIT\nserde v1.0.1\tMIT (*)\n\n\
                    serde_derive v1.0.1 (proc-macro)\tMIT OR Apache-2.0\nserde v1.0.1\tMIT\n";
        let packages = parse(text).unwrap();
        let read: Vec<_> = packages.iter().map(|package| (&*package.name, &*package.version)).collect();
        assert_eq!(read, [("fanfare", "0.1.0"), ("serde", "1.0.1"), ("serde_derive", "1.0.1")]);
        assert_eq!(packages[2].licence, "MIT OR Apache-2.0");
        assert!(parse("").is_err());
    }

    #[test]
    fn licences_and_bans_are_judged() {
        let told = |name: &str, licence: &str| {
            judge(&Package { name: name.into(), version: "1.0.0".into(), licence: licence.into() })
        };
        assert_eq!(told("bytes", "MIT"), []);
        assert_eq!(told("ring", "Apache-2.0 AND ISC").len(), 1);
        assert!(told("strange", "AGPL-3.0-only")[0].text.contains("not on our list"));
        assert!(told("nameless", "")[0].text.contains("cannot be read"));
    }
}
