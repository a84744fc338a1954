//! Finds `proves:` comments, and the tests that they stand above or in.

use std::path::PathBuf;

use super::standard::{Standard, Statement};
use crate::tidy::{File, Finding};

/// So many lines of attributes and comments may stand between a comment and its test.
const LINES_BETWEEN: usize = 12;

/// A test claims to prove a statement.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) version: &'static str,
    pub(super) id: String,
    pub(super) path: PathBuf,
    /// Of the comment, from 1.
    pub(super) line: usize,
    /// Name of the test.
    pub(super) test: String,
}

impl Proof {
    pub(super) fn is_of(&self, standard: &Standard, statement: &Statement) -> bool {
        self.version == standard.version && self.id == statement.id
    }
}

/// All proofs, by path and line, and what is wrong with comments that should be some.
pub(super) fn all(files: &[File]) -> (Vec<Proof>, Vec<Finding>) {
    let (mut proofs, mut findings) = (Vec::new(), Vec::new());
    let has_tests = |file: &&File| ["crates", "conformance"].iter().any(|folder| file.path.starts_with(folder));
    for file in files.iter().filter(has_tests) {
        let language = match file.path.extension().and_then(|ending| ending.to_str()) {
            Some("rs") => Language::Rust,
            Some("py") => Language::Python,
            Some("js" | "mjs" | "ts") => Language::Script,
            _ => continue,
        };
        of_file(file, language, &mut proofs, &mut findings);
    }
    (proofs, findings)
}

fn of_file(file: &File, language: Language, proofs: &mut Vec<Proof>, findings: &mut Vec<Finding>) {
    let lines: Vec<&str> = file.text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let Some(claim) = language.claim(line) else { continue };
        let mut fail = |text: String| findings.push(Finding::new(&file.path, index + 1, text));
        let Some(test) = language.test(&lines, index) else {
            fail("`proves:` stands neither above a test nor in one; move it".into());
            continue;
        };
        match ids(claim) {
            Ok(ids) => proofs.extend(ids.into_iter().map(|(version, id)| Proof {
                version,
                id,
                path: file.path.clone(),
                line: index + 1,
                test: test.to_owned(),
            })),
            Err(word) => fail(format!("`proves:`: {word:?} is no statement; write `v5 MQTT-1.2.3-4; v3.1.1 ...`")),
        }
    }
}

/// Versions and ids of a comment, or the word that is neither.
fn ids(claim: &str) -> Result<Vec<(&'static str, String)>, String> {
    let mut version = None;
    let mut found = Vec::new();
    for word in claim.split([' ', '\t', ',', ';']).filter(|word| !word.is_empty()) {
        match (word, version) {
            ("v5" | "v5.0" | "5" | "5.0", _) => version = Some("5.0"),
            ("v311" | "v3.1.1" | "3.1.1", _) => version = Some("3.1.1"),
            (id, Some(version)) if id.starts_with("MQTT-") => found.push((version, id.to_owned())),
            _ => return Err(word.to_owned()),
        }
    }
    if found.is_empty() { Err(claim.trim().to_owned()) } else { Ok(found) }
}

/// How tests look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Rust,
    Python,
    Script,
}

/// A line that opens something.
enum Opener<'a> {
    Test(&'a str),
    Other,
}

impl Language {
    fn claim(self, line: &str) -> Option<&str> {
        let comment = if self == Self::Python { "#" } else { "//" };
        line.trim_start().strip_prefix(comment)?.trim_start().strip_prefix("proves:")
    }

    /// The test around a comment; else the one that follows.
    fn test<'a>(self, lines: &[&'a str], at: usize) -> Option<&'a str> {
        let depth = indent(lines[at]);
        let around = lines[..at].iter().rev().filter(|line| !line.trim().is_empty() && indent(line) < depth);
        if let Some(Opener::Test(name)) = around.into_iter().find_map(|line| self.opener(line)) {
            return Some(name);
        }
        let below = lines.iter().enumerate().skip(at + 1).take(LINES_BETWEEN);
        let (index, opener) = below.into_iter().find_map(|(index, line)| Some((index, self.opener(line)?)))?;
        let is_marked = self != Self::Rust || lines[at..index].iter().any(|line| line.contains("test]"));
        match opener {
            Opener::Test(name) if is_marked && indent(lines[index]) == depth => Some(name),
            _ => None,
        }
    }

    /// What a line opens: a test, or something that tests stand in.
    fn opener(self, line: &str) -> Option<Opener<'_>> {
        let line = line.trim_start();
        let line = line.strip_prefix("async ").unwrap_or(line);
        match self {
            Self::Rust if line.starts_with("mod ") || line.starts_with("proptest!") => Some(Opener::Other),
            Self::Rust => named(line, "fn ").map(Opener::Test),
            Self::Python if line.starts_with("class ") => Some(Opener::Other),
            Self::Python => named(line, "def ")
                .map(|name| if name.starts_with("test") { Opener::Test(name) } else { Opener::Other }),
            Self::Script if line.starts_with("describe(") || line.starts_with("function ") => Some(Opener::Other),
            Self::Script => {
                let name = line.strip_prefix("test(").or_else(|| line.strip_prefix("it("))?;
                let quote = name.chars().next().filter(|letter| "'\"`".contains(*letter))?;
                name[1..].split(quote).next().map(Opener::Test)
            }
        }
    }
}

/// The name behind a keyword.
fn named<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    line.strip_prefix(keyword)?.split(['(', '<']).next()
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected(path: &str, text: &str) -> (Vec<String>, usize) {
        let (proofs, findings) = all(&[File { path: path.into(), text: text.into() }]);
        let shown = proofs.iter().map(|proof| format!("{} {} {}:{}", proof.version, proof.id, proof.test, proof.line));
        (shown.collect(), findings.len())
    }

    #[test]
    fn versions_and_separators_are_written_in_several_ways() {
        let pairs = |claim: &str| {
            let ids = ids(claim).expect("the claim is right");
            ids.iter().map(|(version, id)| format!("{version} {id}")).collect::<Vec<_>>()
        };
        let expected = ["5.0 MQTT-1.5.5-1", "5.0 MQTT-2.2.2-1", "3.1.1 MQTT-2.2.2-2"];
        assert_eq!(pairs(" v5 MQTT-1.5.5-1 MQTT-2.2.2-1; v3.1.1 MQTT-2.2.2-2"), expected);
        assert_eq!(pairs("v5.0 MQTT-1.5.5-1, v5 MQTT-2.2.2-1, v311 MQTT-2.2.2-2"), expected);
        assert_eq!(pairs("5.0 MQTT-1.5.5-1;MQTT-2.2.2-1,3.1.1 MQTT-2.2.2-2"), expected);
        assert_eq!(ids("MQTT-1.5.5-1"), Err("MQTT-1.5.5-1".to_owned()), "which standard is not said");
        assert_eq!(ids("v5 something"), Err("something".to_owned()));
        assert!(ids("v5").is_err());
    }

    #[test]
    fn rust_tests_follow_their_comment() {
        let text = "// proves: v5 MQTT-1\n// proves: v5 MQTT-2\n#[test]\nfn one() {}\n\nfn helper() {}\n\
                    mod inner {\n    proptest! {\n        // proves: v311 MQTT-3\n        /// Words.\n        #[test]\n        \
                    fn two(x in any()) {}\n    }\n}\n";
        let expected = ["5.0 MQTT-1 one:1", "5.0 MQTT-2 one:2", "3.1.1 MQTT-3 two:9"];
        assert_eq!(collected("crates/a/tests/a.rs", text), (expected.map(String::from).to_vec(), 0));
        let helper = "// proves: v5 MQTT-1\nfn helper() {}\n// proves: v5 MQTT-2\n";
        assert_eq!(collected("crates/a/tests/a.rs", helper), (Vec::new(), 2), "above no test");
    }

    #[test]
    fn python_tests_hold_their_comment_or_follow_it() {
        let text = "def helper():\n    pass\n\n# proves: v5 MQTT-1\n@pytest.mark.parametrize(\n    \"a\",\n    [1],\n)\ndef test_one(a):\n    \
                    if a:\n        # proves: v5 MQTT-2\n        pass\n    # proves: v5 MQTT-3\n\n\nclass TestB:\n    \
                    # proves: v5 MQTT-4\n    def test_two(self):\n        pass\n";
        let expected =
            ["5.0 MQTT-1 test_one:4", "5.0 MQTT-2 test_one:11", "5.0 MQTT-3 test_one:13", "5.0 MQTT-4 test_two:17"];
        assert_eq!(collected("conformance/a.py", text), (expected.map(String::from).to_vec(), 0));
        let helper = "def test_a():\n    pass\n\ndef helper():\n    # proves: v5 MQTT-1\n    pass\n";
        assert_eq!(collected("conformance/a.py", helper), (Vec::new(), 1));
    }

    #[test]
    fn script_tests_are_named_by_their_text() {
        let text = "// proves: v5 MQTT-1\ntest('it works, at first', async () => {\n  // proves: v5 MQTT-2\n})\n\
                    describe('many', () => {\n  // proves: v5 MQTT-3\n  it(`again`, () => {})\n})\n";
        let expected = ["5.0 MQTT-1 it works, at first:1", "5.0 MQTT-2 it works, at first:3", "5.0 MQTT-3 again:6"];
        assert_eq!(collected("conformance/a.test.mjs", text), (expected.map(String::from).to_vec(), 0));
    }

    #[test]
    fn other_folders_are_left_alone() {
        assert_eq!(collected("xtask/src/a.rs", "// proves: v5 MQTT-1\n"), (Vec::new(), 0));
    }
}
