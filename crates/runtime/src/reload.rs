//! Looks for changes of the code, so that the next call runs what was just saved.

use std::collections::HashMap;
use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::Duration;

use crate::host::Common;

/// How often folders are looked at.
pub const PERIOD: Duration = Duration::from_millis(500);
/// Files of a function that are looked at; what is beyond is not noticed.
pub const FILES_MAX: usize = 5_000;
/// Folders within each other.
const DEPTH_MAX: usize = 16;
/// Folders of packages and of what is built; hidden ones are left out too.
const LEFT_OUT: [&str; 4] = ["node_modules", "__pycache__", "target", "venv"];

/// For as long as the host exists.
pub(crate) async fn poll(common: Weak<Common>) {
    let mut known: HashMap<PathBuf, u64> = HashMap::new();
    loop {
        let Some(roots) = common.upgrade().map(|common| {
            let mut roots: Vec<_> = common.functions().iter().map(|function| function.config().root.clone()).collect();
            roots.sort_unstable();
            roots.dedup();
            roots
        }) else {
            return;
        };
        let look = move || roots.into_iter().map(|root| (fingerprint(&root), root)).collect::<Vec<_>>();
        let Ok(found) = tokio::task::spawn_blocking(look).await else { return };
        let is_changed = |(print, root): &(u64, PathBuf)| known.get(root).is_some_and(|before| before != print);
        let changed: Vec<_> = found.iter().filter(|found| is_changed(found)).map(|(_, root)| root.clone()).collect();
        known = found.into_iter().map(|(print, root)| (root, print)).collect();
        if let Some(common) = common.upgrade() {
            for function in common.functions().iter().filter(|function| changed.contains(&function.config().root)) {
                tracing::info!(target: "fanfare::function", function = function.config().name, "the code changed; the next call runs it");
                function.renew();
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Changes when a file is added, removed or written. Does not depend on the order in which the system lists them.
fn fingerprint(root: &Path) -> u64 {
    let mut print = 0_u64;
    each_file(root, |path, metadata| {
        let mut hasher = DefaultHasher::new();
        (path, metadata.modified().ok(), metadata.len()).hash(&mut hasher);
        print = print.wrapping_add(hasher.finish());
    });
    print
}

/// Shows the files of a function's own code, at most [`FILES_MAX`].
pub(crate) fn each_file(root: &Path, mut show: impl FnMut(&Path, &Metadata)) {
    let mut files = 0;
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = folder.read_dir() else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let is_left_out = name.as_encoded_bytes().starts_with(b".") || LEFT_OUT.iter().any(|&out| name == out);
            let Ok(metadata) = entry.metadata() else { continue };
            if is_left_out {
                continue;
            }
            if metadata.is_dir() && depth < DEPTH_MAX {
                folders.push((entry.path(), depth + 1));
            }
            if files == FILES_MAX {
                return;
            }
            files += usize::from(metadata.is_file());
            if metadata.is_file() {
                show(&entry.path(), &metadata);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_fingerprint_changes_with_the_code_and_not_with_packages() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("src")).unwrap();
        fs::create_dir_all(root.join("node_modules")).unwrap();
        fs::write(root.join("src/a.js"), "1").unwrap();
        let first = fingerprint(root);
        assert_eq!(first, fingerprint(root));
        fs::write(root.join("node_modules/b.js"), "1").unwrap();
        fs::write(root.join(".hidden"), "1").unwrap();
        assert_eq!(first, fingerprint(root));
        fs::write(root.join("src/a.js"), "12").unwrap();
        let second = fingerprint(root);
        assert_ne!(first, second);
        fs::remove_file(root.join("src/a.js")).unwrap();
        assert_ne!(second, fingerprint(root));
    }
}
