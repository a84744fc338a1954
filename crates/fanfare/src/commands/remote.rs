//! What `sub` and `pub` share: reaching a server from the command line.

use fanfare_client::{Client, Error, Options};

use crate::cli::ConnectArgs;
use crate::exit::Misuse;

/// Connects as the flags say.
pub(crate) async fn connect(args: ConnectArgs) -> anyhow::Result<Client> {
    let mut options = Options::new(&args.url).map_err(by_fault)?;
    options.token = args.token.map(|token| token.expose().trim().to_owned());
    options.ca_file = args.ca;
    Client::connect(options).await.map_err(by_fault)
}

/// A runtime for one connection.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Flags that cannot be right are misuse; the rest fails while working.
fn by_fault(error: Error) -> anyhow::Error {
    match error {
        Error::Url { .. } | Error::Certificates { .. } => Misuse(error.to_string()).into(),
        error => error.into(),
    }
}
