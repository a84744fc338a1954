//! Brings what the chosen steps need: a Python environment, npm packages, Debian packages.
//!
//! Nothing here fails a run. What could not be had is remembered, and the steps that need it are skipped with the
//! reason.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{self, End, Interrupt};
use crate::repository::{Repository, output};
use crate::step::{Need, Step};

/// A browser from a slow mirror takes minutes.
const INSTALL_TIME_MAX: Duration = Duration::from_secs(900);
/// The Debian package of each program that can be brought.
const DEBIAN: [(&str, &str); 3] = [("curl", "curl"), ("mosquitto_sub", "mosquitto-clients"), ("chromium", "chromium")];

/// What is there, what is not, and the environment of the steps.
pub(crate) struct Ready {
    lacking: Vec<(Need, String)>,
    environment: Vec<(&'static str, OsString)>,
}

impl Ready {
    /// Why a need is not met, if it is not.
    pub(crate) fn lacks(&self, need: Need) -> Option<String> {
        self.lacking.iter().find(|(lacking, _)| *lacking == need).map(|(_, reason)| reason.clone())
    }

    /// Gives a command the environment of all steps.
    pub(crate) fn equip(&self, command: &mut Command) {
        command.envs(self.environment.iter().map(|(name, value)| (*name, value)));
    }
}

/// The Python of the suites' virtual environment.
pub(crate) fn python_of(repository: &Repository) -> PathBuf {
    environment_of(repository).join("bin/python")
}

fn environment_of(repository: &Repository) -> PathBuf {
    repository.root.join("conformance/.work/venv")
}

/// Installs what `steps` need and is not there yet.
pub(crate) fn install(repository: &Repository, steps: &[Step], out: &mut impl Write) -> Result<Ready> {
    let start = Instant::now();
    let interrupt = Interrupt::watch()?;
    let needs: BTreeSet<Need> = steps.iter().flat_map(|step| step.needs.iter().copied()).collect();
    let mut lacking = Vec::new();
    let mut is_apt_fresh = false;
    for need in needs {
        let done = match need {
            Need::Release => Ok(()),
            Need::Python => python(repository, &interrupt),
            Need::Node => node(repository, &interrupt),
            Need::Program(name) => program(name, &mut is_apt_fresh, &interrupt),
        };
        if let Err(error) = done {
            writeln!(out, "not installed: {error:#}")?;
            lacking.push((need, format!("{error:#}")));
        }
    }
    writeln!(out, "installed what is needed in {:.1} s", start.elapsed().as_secs_f64())?;
    Ok(Ready { lacking, environment: environment(repository)? })
}

fn environment(repository: &Repository) -> Result<Vec<(&'static str, OsString)>> {
    let release = repository.target.join("release");
    let mut path = vec![environment_of(repository).join("bin")];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    Ok(vec![
        ("FANFARE", release.join("fanfare").into()),
        ("ECHO_SERVER", release.join("examples/echo").into()),
        ("PATH", std::env::join_paths(path)?),
        ("PYTHONUNBUFFERED", "1".into()),
    ])
}

fn python(repository: &Repository, interrupt: &Interrupt) -> Result<()> {
    let list = repository.root.join("conformance/requirements.txt");
    let environment = environment_of(repository);
    let stamp = Stamp::of(&environment.join("installed"), &[&list])?;
    if stamp.is_fresh() && python_of(repository).exists() {
        return Ok(());
    }
    let mut create = Command::new("python3");
    create.args(["-m", "venv", "--clear"]).arg(&environment);
    must(&mut create, interrupt)?;
    let mut fill = Command::new(python_of(repository));
    fill.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&list);
    must(&mut fill, interrupt)?;
    stamp.write()
}

fn node(repository: &Repository, interrupt: &Interrupt) -> Result<()> {
    let folder = repository.root.join("conformance");
    let lists = [folder.join("package.json"), folder.join("package-lock.json")];
    let stamp = Stamp::of(&folder.join(".work/npm-installed"), &[&lists[0], &lists[1]])?;
    if stamp.is_fresh() && folder.join("node_modules").is_dir() {
        return Ok(());
    }
    let mut command = Command::new("npm");
    command.args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder);
    must(&mut command, interrupt)?;
    stamp.write()
}

fn program(name: &str, is_apt_fresh: &mut bool, interrupt: &Interrupt) -> Result<()> {
    if has_program(name) {
        return Ok(());
    }
    let Some((_, package)) = DEBIAN.iter().find(|(program, _)| *program == name) else {
        bail!("{name} is missing");
    };
    if !has_program("apt-get") || !is_root() {
        bail!("{name} is missing (Debian: apt-get install {package})");
    }
    if !*is_apt_fresh {
        must(&mut apt(&["update", "--quiet"]), interrupt)?;
        *is_apt_fresh = true;
    }
    must(&mut apt(&["install", "--quiet", "--yes", "--no-install-recommends", package]), interrupt)
        .with_context(|| format!("{name} is missing"))?;
    if has_program(name) { Ok(()) } else { bail!("{name} is not part of Debian's {package}") }
}

fn is_root() -> bool {
    output(Command::new("id").arg("-u"), Path::new(".")).is_ok_and(|id| id.trim() == "0")
}

fn apt(words: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(words);
    command
}

fn must(command: &mut Command, interrupt: &Interrupt) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let words: Vec<_> = command.get_args().take(3).map(|word| word.to_string_lossy().into_owned()).collect();
    let shown = format!("{program} {}", words.join(" "));
    match process::run(command, INSTALL_TIME_MAX, interrupt)? {
        End::Exited(status) if status.success() => Ok(()),
        End::Exited(status) => bail!("{shown}: {status}"),
        End::TimedOut => bail!("{shown}: not done after {} s", INSTALL_TIME_MAX.as_secs()),
        End::Interrupted => bail!("{shown}: interrupted"),
    }
}

/// Whether a program is in the search path.
pub(crate) fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// A file that says from which lists something was installed.
struct Stamp {
    path: PathBuf,
    text: String,
}

impl Stamp {
    fn of(path: &Path, lists: &[&Path]) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        for list in lists {
            std::fs::read(list).with_context(|| list.display().to_string())?.hash(&mut hasher);
        }
        Ok(Self { path: path.into(), text: format!("{:016x}\n", hasher.finish()) })
    }

    fn is_fresh(&self) -> bool {
        std::fs::read_to_string(&self.path).is_ok_and(|text| text == self.text)
    }

    fn write(&self) -> Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(&self.path, &self.text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_fresh_until_a_list_changes() {
        let folder = std::env::temp_dir().join(format!("fanfare-stamp-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let list = folder.join("list");
        std::fs::write(&list, "one").unwrap();
        let path = folder.join("below/stamp");
        let stamp = Stamp::of(&path, &[&list]).unwrap();
        assert!(!stamp.is_fresh());
        stamp.write().unwrap();
        assert!(Stamp::of(&path, &[&list]).unwrap().is_fresh());
        std::fs::write(&list, "two").unwrap();
        assert!(!Stamp::of(&path, &[&list]).unwrap().is_fresh());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_list_that_is_not_there_is_named() {
        let error = Stamp::of(Path::new("stamp"), &[Path::new("no/such/list")]).err().unwrap();
        assert!(format!("{error:#}").contains("no/such/list"));
    }
}
