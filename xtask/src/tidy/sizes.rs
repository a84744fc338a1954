//! How long files are. Tests do not count.

use std::path::Path;

use super::{File, Finding};

/// No file is longer.
const LINES_MAX: usize = 800;
/// A longer file is asked what second idea it holds.
const LINES_NOTED: usize = 500;

const CODE: [&str; 7] = ["rs", "ts", "tsx", "js", "mjs", "cjs", "py"];

pub(super) fn check(file: &File) -> Option<Finding> {
    let lines = counted(file)?;
    let text = format!("{lines} lines without tests, {LINES_MAX} at most; move an idea into a file of its own");
    (lines > LINES_MAX).then(|| Finding::new(&file.path, 0, text))
}

/// Files that are allowed and yet large, the largest first.
pub(super) fn large(files: &[File]) -> Vec<(&Path, usize)> {
    let counts = files.iter().filter_map(|file| Some((file.path.as_path(), counted(file)?)));
    let mut large: Vec<_> = counts.filter(|(_, lines)| (LINES_NOTED + 1..=LINES_MAX).contains(lines)).collect();
    large.sort_by_key(|(path, lines)| (usize::MAX - lines, *path));
    large
}

fn counted(file: &File) -> Option<usize> {
    (file.ends_with(&CODE) && !file.is_test()).then(|| lines(&file.text))
}

/// Lines before the tests at the end of a Rust file; all lines of any other file.
fn lines(text: &str) -> usize {
    let all: Vec<&str> = text.lines().collect();
    let tests = all.windows(2).position(|pair| {
        pair[0] == "#[cfg(test)]"
            && pair[1].trim_start_matches("pub(crate) ").starts_with("mod ")
            && pair[1].ends_with('{')
    });
    tests.unwrap_or(all.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, lines: usize) -> File {
        File { path: path.into(), text: "x\n".repeat(lines) }
    }

    #[test]
    fn long_files_are_named_and_large_ones_listed() {
        assert!(check(&file("src/a.rs", 801)).is_some());
        assert!(check(&file("src/a.rs", 800)).is_none());
        assert!(check(&file("tests/a.rs", 2_000)).is_none());
        assert!(check(&file("docs/a.md", 2_000)).is_none());
        let files = [file("b.py", 501), file("a.rs", 800), file("c.rs", 500), file("d.rs", 900)];
        let listed: Vec<_> = large(&files).into_iter().map(|(_, lines)| lines).collect();
        assert_eq!(listed, [800, 501]);
    }

    #[test]
    fn tests_at_the_end_do_not_count() {
        assert_eq!(lines("a\nb\n#[cfg(test)]\nmod tests {\nc\n}\n"), 2);
        assert_eq!(lines("a\n#[cfg(test)]\nmod tests;\nb\n"), 4);
    }
}
