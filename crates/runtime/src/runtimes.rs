//! What runs a handler: found on the system, or created on first use and kept.
//!
//! | module     | story                                              |
//! |------------|----------------------------------------------------|
//! | `node`     | Node.js, with a client of our own or the official  |
//! | `python`   | CPython in a virtual environment                   |
//! | `sdk`      | what Node functions import of AWS's SDK            |
//! | `creation` | a folder is created once, whoever else tries       |

mod creation;
mod node;
mod python;
mod sdk;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::config::{HandlerConfig, RuntimeKind};
use crate::error::HostError;

pub use sdk::sdk_packages;

/// Runtimes that are known; changing requirements make new ones.
const KNOWN_MAX: usize = 256;

/// How a process is begun.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) variables: Vec<(&'static str, OsString)>,
    /// What belongs to the runtime and not to the function.
    pub(crate) folder: PathBuf,
}

pub(crate) struct RuntimesOptions {
    pub(crate) folder: PathBuf,
    pub(crate) python: Option<PathBuf>,
    pub(crate) node: Option<PathBuf>,
    pub(crate) use_official_node_client: bool,
    pub(crate) node_path: Option<PathBuf>,
    pub(crate) node_packages: Vec<String>,
}

/// A runtime that is there: its interpreter, and its folder.
#[derive(Clone, Debug)]
struct Ready {
    program: PathBuf,
    folder: PathBuf,
}

/// All runtimes of a host.
pub(crate) struct Runtimes {
    options: RuntimesOptions,
    known: Mutex<HashMap<String, Arc<OnceCell<Ready>>>>,
}

impl Runtimes {
    pub(crate) fn new(options: RuntimesOptions) -> Self {
        Self { options, known: Mutex::default() }
    }

    /// How the function's processes are begun. Creates what is missing, which can take minutes the first time.
    pub(crate) async fn prepare(&self, config: &HandlerConfig) -> Result<Prepared, HostError> {
        match &config.runtime {
            RuntimeKind::Provided => provided(config),
            RuntimeKind::Node(version) => {
                let ready = self.once("node".to_owned(), node::create(&self.options, version)).await?;
                let packages = if node::lacks_packages(&self.options, &config.root) {
                    let installed = node::install(&self.options);
                    Some(self.once("node packages".to_owned(), installed).await?.folder)
                } else {
                    None
                };
                Ok(node::prepared(&self.options, &ready, packages.as_deref(), config))
            }
            RuntimeKind::Python(version) => {
                let needs = python::Needs::of(version, &config.root);
                let key = needs.key();
                let ready = self.once(key, python::create(&self.options, &needs)).await?;
                Ok(python::prepared(&ready, config))
            }
        }
    }

    /// Others that want the same wait for whoever came first.
    async fn once(
        &self,
        key: String,
        create: impl Future<Output = Result<Ready, HostError>>,
    ) -> Result<Ready, HostError> {
        let cell = {
            let mut known = self.known.lock();
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.entry(key).or_default().clone()
        };
        cell.get_or_try_init(|| create).await.cloned()
    }
}

/// An executable that speaks the Runtime API itself: the handler's own name, or `bootstrap`.
fn provided(config: &HandlerConfig) -> Result<Prepared, HostError> {
    let candidates = [config.root.join(&config.handler), config.root.join("bootstrap")];
    let program = candidates.into_iter().find(|path| is_executable(path)).ok_or_else(|| HostError::Interpreter {
        runtime: format!("function {:?}", config.name),
        reason: format!("neither {:?} nor \"bootstrap\" is an executable file in {:?}", config.handler, config.root),
    })?;
    let arguments = vec![config.handler.clone().into()];
    Ok(Prepared { program, arguments, variables: Vec::new(), folder: config.root.clone() })
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::tests_support::config;

    #[test]
    fn a_binary_is_found_by_its_name_or_as_bootstrap() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config("f", folder.path());
        config.handler = "notify".into();
        assert!(provided(&config).unwrap_err().to_string().contains("\"notify\""));
        for name in ["bootstrap", "notify"] {
            let path = folder.path().join(name);
            std::fs::write(&path, "#!/bin/sh\n").unwrap();
            assert!(provided(&config).is_err() || name == "notify", "a file that cannot be executed does not count");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
            assert_eq!(provided(&config).unwrap().program, path);
        }
    }
}
