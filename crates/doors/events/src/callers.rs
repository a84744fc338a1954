//! Who may ask.

use fanfare_aws::sigv4::Request;
use fanfare_core::Millis;

/// Decides about requests.
pub trait Callers: Send + Sync {
    /// Whether whoever made `request` may carry out `operation`, such as `PutEvents`.
    ///
    /// # Errors
    /// What the answer says otherwise.
    fn admit(&self, request: &Request<'_>, operation: &str, now: Millis) -> Result<(), NotAdmitted>;
}

/// Why a request is refused, as the answer says it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{exception}: {message}")]
pub struct NotAdmitted {
    /// Name of the error, such as `AccessDeniedException`.
    pub exception: &'static str,
    /// What to tell the caller.
    pub message: String,
}

/// Everybody may do everything, signed or not: for servers that only this machine reaches.
pub struct Everybody;

impl Callers for Everybody {
    fn admit(&self, _: &Request<'_>, _: &str, _: Millis) -> Result<(), NotAdmitted> {
        Ok(())
    }
}

/// Nobody may do anything: for servers with keys, but without credentials for AWS-style callers.
pub struct Nobody;

impl Callers for Nobody {
    fn admit(&self, _: &Request<'_>, _: &str, _: Millis) -> Result<(), NotAdmitted> {
        let message = "this server knows no access keys, so that nobody can sign requests to it".to_owned();
        Err(NotAdmitted { exception: "UnrecognizedClientException", message })
    }
}
