//! The files of one reading: the descriptor, and what it includes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::node::Node;
use crate::yaml::{self, FILE_BYTES_MAX, Unreadable};

/// A descriptor may include this many files.
pub(crate) const FILES_MAX: usize = 64;

/// How far above the descriptor's folder an included file may lie.
pub(crate) const LEVELS_UP_MAX: usize = 3;

/// Files by their names relative to the descriptor's folder.
#[derive(Debug)]
pub(crate) struct Files {
    /// The descriptor's folder.
    pub(crate) folder: PathBuf,
    read: RefCell<BTreeMap<PathBuf, Result<Node, String>>>,
}

impl Files {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, read: RefCell::default() }
    }

    /// Reads an included file: YAML and JSON as nodes, everything else as text. The error says what to do.
    pub(crate) fn include(&self, name: &str) -> Result<Node, String> {
        let path = relative(name)?;
        if let Some(node) = self.read.borrow().get(&path) {
            return node.clone();
        }
        if self.read.borrow().len() >= FILES_MAX {
            return Err(format!("more than {FILES_MAX} files are included; put some together"));
        }
        let node = self.load(&path);
        self.read.borrow_mut().insert(path, node.clone());
        node
    }

    /// Whether there is such a file, for defaults where there is none.
    pub(crate) fn exists(&self, name: &str) -> bool {
        relative(name).map_or(true, |path| self.folder.join(path).exists())
    }

    fn load(&self, path: &Path) -> Result<Node, String> {
        let shown: Arc<str> = path.to_string_lossy().into();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        if matches!(ending.as_str(), "js" | "cjs" | "mjs" | "ts") {
            return Err(format!("{shown} is a program, which is not run here; write its result into a .yml file"));
        }
        let text = text_of(&self.folder.join(path)).map_err(|error| format!("{shown} {error}"))?;
        if matches!(ending.as_str(), "yml" | "yaml" | "json" | "tfstate") {
            return yaml::parse(&shown, &text).map_err(|Unreadable { place, text }| format!("{place}: {text}"));
        }
        let place = crate::node::Place { file: shown, line: 1, column: 1 };
        Ok(Node::text(text.trim(), &place))
    }
}

/// A name such as `./config/dev.yml` without its `.` parts.
fn relative(name: &str) -> Result<PathBuf, String> {
    let mut path = PathBuf::new();
    let mut ups = 0;
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir if path.file_name().is_some_and(|last| last != "..") => {
                path.pop();
            }
            Component::ParentDir => {
                ups += 1;
                path.push("..");
            }
            Component::RootDir | Component::Prefix(_) => {
                return Err(format!("{name} is an absolute path; name it from the descriptor's folder"));
            }
        }
    }
    if ups > LEVELS_UP_MAX {
        return Err(format!("{name} lies more than {LEVELS_UP_MAX} folders above the descriptor; move it nearer"));
    }
    Ok(path)
}

/// The text of a file of ordinary kind and size. The error goes on after the file's name.
pub(crate) fn text_of(path: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    // A pipe or a device would be read without end.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("is not a file".to_owned());
    }
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut text).map_err(cannot)?;
    if text.len() > FILE_BYTES_MAX {
        return Err(format!("has more than {FILE_BYTES_MAX} bytes; split it"));
    }
    String::from_utf8(text).map_err(|_| "is not UTF-8 text".to_owned())
}

/// Variables of `.env` files, the first file that has one wins.
pub(crate) fn dotenv(folder: &Path, stage: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for name in [format!(".env.{stage}.local"), ".env.local".into(), format!(".env.{stage}"), ".env".into()] {
        // A stage with a slash names no file of this folder.
        let Ok(text) = (if name.contains('/') { Err(String::new()) } else { text_of(&folder.join(name)) }) else {
            continue;
        };
        for line in text.lines() {
            let line = line.trim();
            let line = line.strip_prefix("export ").unwrap_or(line);
            let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
            found.entry(key.trim().to_owned()).or_insert_with(|| unquoted(value.trim()).to_owned());
        }
    }
    found
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return inner.0;
        }
    }
    value.split(" #").next().unwrap_or(value).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_near() {
        assert_eq!(relative("./a/../b.yml").unwrap(), PathBuf::from("b.yml"));
        assert_eq!(relative("../shared/b.yml").unwrap(), PathBuf::from("../shared/b.yml"));
        assert!(relative("../../../../etc/b.yml").unwrap_err().contains("more than 3 folders"));
        assert!(relative("a/../../../../../b.yml").unwrap_err().contains("more than 3 folders"));
        assert!(relative("/etc/passwd").unwrap_err().contains("absolute"));
    }

    #[test]
    fn values_of_dotenv_files_lose_quotes_and_comments() {
        assert_eq!(unquoted("\"a # b\" # c"), "a # b");
        assert_eq!(unquoted("a # b"), "a");
        assert_eq!(unquoted("'a'"), "a");
        assert_eq!(unquoted("'a"), "'a");
    }
}
