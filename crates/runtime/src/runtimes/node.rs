//! Node.js. Handlers are called by a client of our own, which is one file and needs no package; an application may
//! bring the official one.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::creation::{Creation, version};
use super::{Prepared, Ready, RuntimesOptions};
use crate::config::HandlerConfig;
use crate::error::HostError;

const CLIENT: &str = include_str!("../../assets/node-runtime.mjs");
const CLIENT_FILE: &str = "node-runtime.mjs";
const MODULES: &str = "node_modules";
const OFFICIAL: &str = "node_modules/.bin/aws-lambda-ric";

/// Finds Node.js and puts the client beside it.
pub(super) async fn create(options: &RuntimesOptions, asked: &str) -> Result<Ready, HostError> {
    let program = options.node.clone().unwrap_or_else(|| PathBuf::from("node"));
    let found = version(&program, &["--version"]).await.map_err(|error| HostError::Interpreter {
        runtime: format!("nodejs{asked}.x"),
        reason: format!("{}: {error}", program.display()),
    })?;
    let major = found.trim_start_matches('v').split('.').next().unwrap_or_default();
    if major != asked {
        tracing::warn!(asked, found, "functions run with another version of Node.js than they ask for");
    }
    let mut hasher = DefaultHasher::new();
    CLIENT.hash(&mut hasher);
    let folder = options.folder.join(format!("node-{:016x}", hasher.finish()));
    let creation = Creation { runtime: "node".to_owned(), folder };
    let write = async || fs::write(creation.folder.join(CLIENT_FILE), CLIENT).map_err(|error| creation.failed(error));
    creation.once(write).await?;
    Ok(Ready { program, folder: creation.folder })
}

/// Whether the application has not all of the packages that functions may expect, in its folder or above.
pub(super) fn lacks_packages(options: &RuntimesOptions, root: &Path) -> bool {
    let has = |package: &String| {
        // The `@` of a scope is not that of a version.
        let name = package.char_indices().skip(1).find(|&(_, c)| c == '@').map_or(&**package, |(at, _)| &package[..at]);
        root.ancestors().any(|folder| folder.join(MODULES).join(name).is_dir())
    };
    !options.node_packages.iter().all(has)
}

/// Has npm install the packages that functions may expect.
pub(super) async fn install(options: &RuntimesOptions) -> Result<Ready, HostError> {
    let mut hasher = DefaultHasher::new();
    options.node_packages.hash(&mut hasher);
    let folder = options.folder.join(format!("node-packages-{:016x}", hasher.finish()));
    let creation = Creation { runtime: "node packages".to_owned(), folder };
    let mut arguments = vec!["install", "--no-audit", "--no-fund", "--no-progress", "--ignore-scripts", "--"];
    arguments.extend(options.node_packages.iter().map(String::as_str));
    let install = async || {
        // Without it npm would look for one in the folders above.
        let manifest = creation.folder.join("package.json");
        fs::write(manifest, "{\"private\":true}").map_err(|error| creation.failed(error))?;
        creation.run("npm install", "npm".as_ref(), &arguments, &creation.folder).await
    };
    creation.once(install).await?;
    Ok(Ready { program: "npm".into(), folder: creation.folder })
}

/// `packages` is the folder in which npm installed what the application lacks.
pub(super) fn prepared(
    options: &RuntimesOptions,
    ready: &Ready,
    packages: Option<&Path>,
    config: &HandlerConfig,
) -> Prepared {
    let official = config.root.join(OFFICIAL);
    let client = match options.use_official_node_client && official.is_file() {
        true => official,
        false => ready.folder.join(CLIENT_FILE),
    };
    let arguments: Vec<OsString> = vec![client.into(), config.handler.clone().into()];
    let paths = options.node_path.clone().into_iter().chain(packages.map(|folder| folder.join(MODULES)));
    let paths: Vec<_> = paths.map(PathBuf::into_os_string).collect();
    let joined = paths.join(":".as_ref());
    let variables = if joined.is_empty() { Vec::new() } else { vec![("NODE_PATH", joined)] };
    Prepared { program: ready.program.clone(), arguments, variables, folder: ready.folder.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::config;

    fn options() -> RuntimesOptions {
        RuntimesOptions {
            folder: "/runtimes".into(),
            python: None,
            node: None,
            use_official_node_client: true,
            node_path: Some("/ours/node_modules".into()),
            node_packages: vec!["@aws-sdk/client-s3@3".into(), "left-pad".into()],
        }
    }

    #[test]
    fn packages_are_lacking_unless_the_application_or_a_folder_above_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("services/chat");
        fs::create_dir_all(root.join("node_modules/left-pad")).unwrap();
        assert!(lacks_packages(&options(), &root));
        fs::create_dir_all(folder.path().join("node_modules/@aws-sdk/client-s3")).unwrap();
        assert!(!lacks_packages(&options(), &root));
        assert!(!lacks_packages(&RuntimesOptions { node_packages: Vec::new(), ..options() }, "/".as_ref()));
    }

    #[test]
    fn the_official_client_is_used_where_the_application_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let config = config("f", folder.path());
        let ready = Ready { program: "node".into(), folder: "/runtimes/node".into() };
        let ours = prepared(&options(), &ready, Some("/packages".as_ref()), &config);
        assert_eq!(ours.arguments, ["/runtimes/node/node-runtime.mjs", "bootstrap"]);
        assert_eq!(ours.variables, [("NODE_PATH", "/ours/node_modules:/packages/node_modules".into())]);
        let official = folder.path().join(OFFICIAL);
        fs::create_dir_all(official.parent().unwrap()).unwrap();
        fs::write(&official, "").unwrap();
        assert_eq!(prepared(&options(), &ready, None, &config).arguments[0], *official);
        let options = RuntimesOptions { use_official_node_client: false, ..options() };
        assert_eq!(prepared(&options, &ready, None, &config).arguments, ours.arguments);
    }
}
