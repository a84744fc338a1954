//! Where things are: the root, the target folder, the tracked files, the workspace's packages.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// This repository, as cargo and git see it.
pub(crate) struct Repository {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// A package of the workspace.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// What a package asks for in its manifest.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// None for what is linked, `dev` or `build` otherwise.
    pub(crate) kind: Option<String>,
}

/// A library, program, test or example of a package.
#[derive(Deserialize)]
pub(crate) struct Target {
    pub(crate) kind: Vec<String>,
    pub(crate) src_path: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
    packages: Vec<Package>,
}

impl Repository {
    /// The repository that this program was built from, or the one it is started in.
    pub(crate) fn find() -> Result<Self> {
        let words = ["metadata", "--format-version", "1", "--no-deps"];
        let text = output(cargo().args(words), Path::new("."))?;
        let metadata: Metadata = serde_json::from_str(&text).context("what cargo metadata says")?;
        Ok(Self { root: metadata.workspace_root, target: metadata.target_directory, packages: metadata.packages })
    }

    /// Every tracked file that is there, relative to the root.
    pub(crate) fn tracked(&self) -> Result<Vec<PathBuf>> {
        let text = output(Command::new("git").args(["ls-files", "-z"]), &self.root)?;
        let paths = text.split_terminator('\0').map(PathBuf::from);
        Ok(paths.filter(|path| self.root.join(path).is_file()).collect())
    }

    /// A path as messages show it.
    pub(crate) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

/// The cargo that runs this task.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// What a command prints, or an error that names it.
pub(crate) fn output(command: &mut Command, folder: &Path) -> Result<String> {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let shown = format!("{} {}", command.get_program().to_string_lossy(), words.join(" "));
    let done = command.current_dir(folder).stdin(Stdio::null()).output().with_context(|| shown.clone())?;
    if !done.status.success() {
        bail!("{shown}: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    String::from_utf8(done.stdout).context(shown)
}
