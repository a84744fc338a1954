//! CPython in a virtual environment with Lambda's runtime client, boto3, and what an application asks for.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::creation::{Creation, version};
use super::{Prepared, Ready, RuntimesOptions};
use crate::config::HandlerConfig;
use crate::error::HostError;

/// Lambda's client, pinned: it is what speaks to us.
const CLIENT: &str = "awslambdaric==3.1.1";
/// Every function of Lambda has it without asking.
const SDK: &str = "boto3";
const REQUIREMENTS: &str = "requirements.txt";
/// Bytes of a `requirements.txt` that tell it from another.
const REQUIREMENTS_BYTES_MAX: usize = 1 << 20;
const PRINT_VERSION: &str = "import sys; print('%d.%d' % sys.version_info[:2])";

/// What tells one environment from another.
pub(super) struct Needs {
    version: String,
    requirements: Option<PathBuf>,
    hash: u64,
}

impl Needs {
    pub(super) fn of(version: &str, root: &Path) -> Self {
        let path = root.join(REQUIREMENTS);
        let text = fs::read(&path).ok();
        let mut hasher = DefaultHasher::new();
        (CLIENT, SDK).hash(&mut hasher);
        if let Some(text) = &text {
            text[..text.len().min(REQUIREMENTS_BYTES_MAX)].hash(&mut hasher);
        }
        Self { version: version.to_owned(), requirements: text.map(|_| path), hash: hasher.finish() }
    }

    pub(super) fn key(&self) -> String {
        format!("python{}-{:016x}", self.version, self.hash)
    }
}

pub(super) async fn create(options: &RuntimesOptions, needs: &Needs) -> Result<Ready, HostError> {
    let (python, found) = interpreter(options, &needs.version).await?;
    let runtime = format!("python{found}");
    let folder = options.folder.join(format!("python{found}-{:016x}", needs.hash));
    let creation = Creation { runtime, folder };
    creation.once(async || fill(&creation, &python, needs.requirements.as_deref()).await).await?;
    Ok(Ready { program: creation.folder.join("bin/python"), folder: creation.folder })
}

/// The interpreter of the version asked for, or else whichever there is.
async fn interpreter(options: &RuntimesOptions, asked: &str) -> Result<(PathBuf, String), HostError> {
    let candidates = match &options.python {
        Some(python) => vec![python.clone()],
        None => vec![format!("python{asked}").into(), "python3".into()],
    };
    let mut reasons = Vec::new();
    for candidate in candidates {
        match version(&candidate, &["-c", PRINT_VERSION]).await {
            Ok(found) => {
                if found != asked {
                    tracing::warn!(asked, found, "functions run with another version of Python than they ask for");
                }
                return Ok((candidate, found));
            }
            Err(error) => reasons.push(format!("{}: {error}", candidate.display())),
        }
    }
    Err(HostError::Interpreter { runtime: format!("python{asked}"), reason: reasons.join("; ") })
}

async fn fill(creation: &Creation, python: &Path, requirements: Option<&Path>) -> Result<(), HostError> {
    let text = |path: &Path| path.to_str().map(str::to_owned).ok_or_else(|| creation.failed("its path is not UTF-8"));
    creation.run("a virtual environment", python, &["-m", "venv", &text(&creation.folder)?], &creation.folder).await?;
    let mut install = vec!["-m", "pip", "install", "--no-input", "--disable-pip-version-check", CLIENT, SDK];
    let named = requirements.map(text).transpose()?;
    if let Some(requirements) = &named {
        install.extend(["-r", requirements]);
    }
    // What a file of requirements names is relative to where it stands.
    let beside = requirements.and_then(Path::parent).unwrap_or(&creation.folder);
    creation.run("packages", &creation.folder.join("bin/python"), &install, beside).await
}

pub(super) fn prepared(ready: &Ready, config: &HandlerConfig) -> Prepared {
    let arguments = vec!["-m".into(), "awslambdaric".into(), config.handler.clone().into()];
    Prepared { program: ready.program.clone(), arguments, variables: Vec::new(), folder: ready.folder.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_requirements_are_another_environment() {
        let folder = tempfile::tempdir().unwrap();
        let none = Needs::of("3.12", folder.path());
        assert!(none.requirements.is_none() && none.key() == Needs::of("3.12", folder.path()).key());
        fs::write(folder.path().join(REQUIREMENTS), "six").unwrap();
        let some = Needs::of("3.12", folder.path());
        assert!(some.requirements.is_some() && some.key() != none.key());
    }
}
