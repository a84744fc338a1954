//! Node.js. Handlers are called by a client of our own, which is one file and needs no package; an application may
//! bring the official one.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use super::creation::{Creation, version};
use super::{Prepared, Ready, RuntimesOptions};
use crate::config::HandlerConfig;
use crate::error::HostError;

const CLIENT: &str = include_str!("../../assets/node-runtime.mjs");
const CLIENT_FILE: &str = "node-runtime.mjs";
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

pub(super) fn prepared(options: &RuntimesOptions, ready: &Ready, config: &HandlerConfig) -> Prepared {
    let official = config.root.join(OFFICIAL);
    let client = match options.use_official_node_client && official.is_file() {
        true => official,
        false => ready.folder.join(CLIENT_FILE),
    };
    let arguments: Vec<OsString> = vec![client.into(), config.handler.clone().into()];
    let variables = options.node_path.iter().map(|path| ("NODE_PATH", path.clone().into())).collect();
    Prepared { program: ready.program.clone(), arguments, variables, folder: ready.folder.clone() }
}
