//! Links between our own pages lead somewhere.

use std::path::{Component, Path, PathBuf};

use super::{File, Finding};

pub(super) fn check(file: &File, root: &Path) -> Vec<Finding> {
    if !file.ends_with(&["md"]) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (line, target) in targets(&file.text) {
        let folder = file.path.parent().unwrap_or(Path::new(""));
        let is_there = plain(&folder.join(&target)).is_some_and(|path| root.join(path).exists());
        if !is_there {
            findings.push(Finding::new(
                &file.path,
                line,
                format!("the link to {target} leads nowhere; correct its path"),
            ));
        }
    }
    findings
}

/// Relative targets of links, with their lines. Code is left out.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut is_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if !is_code {
            found.extend(of_line(line).into_iter().map(|target| (index + 1, target)));
        }
    }
    found
}

fn of_line(line: &str) -> Vec<String> {
    let prose = without_code(line);
    let inline = prose.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let is_definition = prose.starts_with('[') && !prose.starts_with("[^");
    let definition =
        prose.split_once("]: ").filter(|_| is_definition).and_then(|(_, rest)| rest.split_whitespace().next());
    inline.chain(definition).filter_map(relative).collect()
}

/// Every other piece between backticks is code.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// The file that a target names, unless it is elsewhere or on the same page.
fn relative(target: &str) -> Option<String> {
    let file = target.trim_matches(['<', '>']).split('#').next().unwrap_or_default();
    let is_elsewhere = file.contains("://") || file.starts_with("mailto:");
    (!file.is_empty() && !is_elsewhere).then(|| file.to_owned())
}

/// Without `.` and `..`; none when the path leaves the repository.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            Component::ParentDir if plain.pop() => {}
            _ => return None,
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_and_code_is_not() {
        let text = "See [a](a.md#top) and [b](../b/), `[c](c.md)`.\n```\n[d](d.md)\n```\n[e]: e.md\n\
                    [f](https://example.org) [g](#here) [h](mailto:a@b)\n";
        let expected = [(1, "a.md".to_owned()), (1, "../b/".to_owned()), (5, "e.md".to_owned())];
        assert_eq!(targets(text), expected);
    }

    #[test]
    fn a_link_may_not_leave_the_repository() {
        assert_eq!(plain(Path::new("docs/../a.md")), Some("a.md".into()));
        assert_eq!(plain(Path::new("docs/../../a.md")), None);
        assert_eq!(plain(Path::new("/etc/a.md")), None);
    }

    #[test]
    fn a_link_to_nothing_is_a_finding() {
        let file = File { path: "docs/a.md".into(), text: "\n[b](no-such-file.md)\n".into() };
        let findings = check(&file, Path::new("."));
        assert_eq!(findings[0].to_string(), "docs/a.md:2: the link to no-such-file.md leads nowhere; correct its path");
    }
}
