//! How to connect.

use std::fmt;
use std::path::PathBuf;

use crate::error::Error;
use crate::url::ServerUrl;

/// What a [`Client`](crate::Client) needs to know.
#[derive(Clone)]
pub struct Options {
    /// The server.
    pub url: ServerUrl,
    /// Who we are; none for anonymous connections.
    pub token: Option<String>,
    /// PEM file with certificate authorities that are trusted instead of the public ones.
    pub ca_file: Option<PathBuf>,
}

impl Options {
    /// For the server at `url`, without a token.
    ///
    /// # Errors
    /// [`Error::Url`].
    pub fn new(url: &str) -> Result<Self, Error> {
        let parsed = url.parse().map_err(|reason| Error::Url { url: url.to_owned(), reason })?;
        Ok(Self { url: parsed, token: None, ca_file: None })
    }

    /// With a token.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("url", &self.url)
            .field("token", &self.token.as_ref().map(|_| ".."))
            .field("ca_file", &self.ca_file)
            .finish()
    }
}
