//! Why a signature is not accepted.

use super::clock::show;

/// Why a request is not accepted. No variant holds a secret, a token or a signature, so all of
/// them may be logged and shown to the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Neither an `Authorization` header nor query parameters with a signature.
    #[error("the request is not signed; sign it with Signature Version 4, in a header or in the query")]
    Missing,
    /// A part of the signature cannot be read.
    #[error("the signature cannot be read: {part} {problem}")]
    Malformed {
        /// The header, parameter or element.
        part: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The signature is made for a service that this address does not offer.
    #[error("the request is signed for the service `{service}`, which is not the one at this address")]
    ServiceNotAccepted {
        /// The service in the credential's scope.
        service: String,
    },
    /// Too long ago: the validity is over, or the caller's clock is behind.
    #[error("the signature has expired: made at {}, valid until {}, and here it is {}; check the clock and sign again", show(*signed_at_ms), show(*valid_until_ms), show(*now_ms))]
    Expired {
        /// When it was signed, in milliseconds since the Unix epoch.
        signed_at_ms: u64,
        /// The end of its validity.
        valid_until_ms: u64,
        /// The time here.
        now_ms: u64,
    },
    /// Signed in our future: the caller's clock is ahead.
    #[error("the signature is not yet valid: made at {}, and here it is {}; check the clock and sign again", show(*signed_at_ms), show(*now_ms))]
    NotYetValid {
        /// When it was signed, in milliseconds since the Unix epoch.
        signed_at_ms: u64,
        /// The time here.
        now_ms: u64,
    },
    /// Nobody has that access key. Its text is not repeated: people paste secrets into that field.
    #[error("the access key that signed the request does not exist here")]
    UnknownKey,
    /// The body is not the one whose hash was signed.
    #[error("the body does not have the hash that x-amz-content-sha256 declares")]
    PayloadMismatch,
    /// The secret differs, or the request was changed on its way.
    #[error(
        "the signature does not match the request; check the secret key, and that nothing changes the request on its way"
    )]
    Mismatch {
        /// How many forms of the request were tried, at most [`ATTEMPTS_MAX`](super::ATTEMPTS_MAX).
        attempts: usize,
    },
    /// The session token is absent, different, or sent with a key that has none.
    #[error("the session token is not the one that belongs to the access key")]
    TokenWrong,
    /// The key itself has run out.
    #[error("the session of the access key ended at {}, and here it is {}; get new credentials", show(*expired_at_ms), show(*now_ms))]
    SessionExpired {
        /// The end of the session, in milliseconds since the Unix epoch.
        expired_at_ms: u64,
        /// The time here.
        now_ms: u64,
    },
}

impl SignatureError {
    /// The name by which SDKs know this error, for services that answer with AWS's own names.
    #[must_use]
    pub const fn exception(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Malformed { .. } => "IncompleteSignatureException",
            Self::UnknownKey | Self::TokenWrong => "UnrecognizedClientException",
            Self::SessionExpired { .. } => "ExpiredTokenException",
            Self::ServiceNotAccepted { .. }
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::PayloadMismatch
            | Self::Mismatch { .. } => "InvalidSignatureException",
        }
    }

    pub(crate) const fn malformed(part: &'static str, problem: &'static str) -> Self {
        Self::Malformed { part, problem }
    }
}
