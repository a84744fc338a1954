//! `app`: an application of others, read as it is.

use std::path::Path;

use fanfare_descriptors::{Application, ReadOptions};

use crate::config::Config;
use crate::exit::Misuse;

/// The folder in the data folder for code that stands in a descriptor.
const CODE_FOLDER: &str = "code";

/// Reads the descriptor at `file`. `host` is where this server is reached, which the environments of functions may
/// name.
///
/// # Errors
/// All its mistakes, a line each.
pub(crate) fn read(file: &Path, config: &Config, host: &str) -> Result<Application, Misuse> {
    let values = config.app_values.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
    let options = ReadOptions {
        stage: config.app_stage.clone(),
        region: config.aws.has_region().then(|| config.aws.region.clone()),
        account: config.aws.account.clone(),
        params: config.app_params.clone(),
        values: values.collect(),
        endpoint: Some(host.to_owned()),
        // A server that keeps nothing has the code beside the descriptor.
        code: (!config.in_memory).then(|| config.data.join(CODE_FOLDER)),
        ..ReadOptions::default()
    };
    // The folders of functions are found from it, also after somebody changed the working folder.
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    fanfare_descriptors::read(&file, &options).map_err(|error| Misuse(error.to_string()))
}
