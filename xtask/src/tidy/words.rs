//! Words that do not belong: protocols in the core, tests that do not run, paths of one machine.

use super::{File, Finding};

/// The core knows no protocol.
const PROTOCOLS: [&str; 6] = ["mqtt", "momento", "socket.io", "appsync", "lambda", "websocket"];

/// Written in two halves, so that this file does not find itself.
const LEFT_OUT: [(&[&str], &str, &str); 5] = [
    (&["rs"], concat!("todo", "!("), "write it, or leave it out"),
    (&["rs"], concat!("unimplemented", "!("), "write it, or leave it out"),
    (&["rs"], concat!("#[ig", "nore"), "make the test run, or make it an example"),
    (&["py", "ts", "js", "mjs"], concat!(".sk", "ip("), "a test that does not run proves nothing"),
    (&["py", "ts", "js", "mjs"], concat!("xf", "ail"), "mend what fails, or test what holds"),
];

const HOMES: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

pub(super) fn check(file: &File) -> Vec<Finding> {
    let is_core = file.path.starts_with("crates/core");
    let is_lock = file.path.file_name().is_some_and(|name| name == "package-lock.json");
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let mut add = |text: String| findings.push(Finding::new(&file.path, index + 1, text));
        if is_core {
            let low = line.to_lowercase();
            for word in PROTOCOLS.iter().filter(|word| low.contains(**word)) {
                add(format!("{word:?} in the core, which knows no protocol; say it in the core's own words"));
            }
        }
        for (endings, word, advice) in LEFT_OUT {
            if file.ends_with(endings) && line.contains(word) {
                add(format!("`{word}`: {advice}"));
            }
        }
        if let Some(home) = HOMES.iter().find(|home| has_path(line, home)) {
            add(format!("a path below {home} is of one machine only; use a relative path"));
        }
        if is_lock && line.contains("\"resolved\"") && line.contains("://") {
            add("an address in the lock file; run npm with --omit-lockfile-registry-resolved".into());
        }
    }
    findings
}

/// Whether `line` has an absolute path that begins with `home`: nothing of a path or a host stands before it.
fn has_path(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || "._-/~*})$".contains(letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&File { path: path.into(), text: text.into() }).len()
    }

    #[test]
    fn the_core_names_no_protocol() {
        assert_eq!(found("crates/core/src/topic.rs", "// As in MQTT, not as in Socket.IO\n"), 2);
        assert_eq!(found("crates/door/src/topic.rs", "// As in MQTT\n"), 0);
    }

    #[test]
    fn tests_that_do_not_run_are_found() {
        assert_eq!(found("a.rs", concat!("#[ig", "nore = \"slow\"]\nfn a() { todo", "!() }\n")), 2);
        assert_eq!(found("a.rs", "items.iter().skip(1)\n"), 0);
        assert_eq!(found("a.py", concat!("pytest.sk", "ip(\"later\")\n@pytest.mark.xf", "ail\n")), 2);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let [work, root, home] = HOMES;
        for line in [format!("in {work}a"), format!("\"{root}a\""), format!("{home}me/a"), format!("(cd {home}me)")] {
            assert_eq!(found("a.md", &line), 1, "{line}");
        }
        for line in ["frame/work/a", "https://example.org/home/a", "conformance/.work/venv", "$ROOT/root/a"] {
            assert_eq!(found("a.md", line), 0, "{line}");
        }
    }

    #[test]
    fn a_lock_file_names_no_host() {
        assert_eq!(found("b/package-lock.json", "\"resolved\": \"https://example.org/a.tgz\","), 1);
        assert_eq!(found("b/package-lock.json", "\"resolved\": \"packages/a\","), 0);
    }
}
