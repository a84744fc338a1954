//! What is wrong with configured access.

use fanfare_aws::credentials::CREDENTIALS_MAX;
use fanfare_core::GrantError;
use fanfare_policy::PolicyError;

use crate::permissions::POLICIES_MAX;

/// Why access cannot be configured so. Nothing secret is in any of them.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// A document that cannot be read, or a name that cannot be one.
    #[error("policy `{name}`: {problem}")]
    Policy {
        /// The policy's name.
        name: String,
        /// What is wrong with it.
        problem: PolicyError,
    },
    /// Two policies of one name.
    #[error("policy `{0}` is there twice; give each its own name")]
    PolicyTwice(String),
    /// Too many policies.
    #[error("there are {POLICIES_MAX} policies already; leave some out")]
    PoliciesFull,
    /// A name that no policy has.
    #[error("there is no policy `{0}`; add it to [[iot.policies]], or correct the name")]
    PolicyUnknown(String),
    /// The names of policies cannot stand together.
    #[error("these policies cannot be attached together: {0}")]
    Attachment(PolicyError),
    /// A rule that cannot be read.
    #[error(transparent)]
    Rule(#[from] GrantError),
    /// Policies and rules for one identity.
    #[error("`policies` and `allow` or `deny` cannot go together; state everything in one of the two ways")]
    Mixed,
    /// Two credentials of one access key.
    #[error("access key `{0}` is there twice; each belongs to one credential")]
    KeyTwice(String),
    /// Too many credentials.
    #[error("there are {CREDENTIALS_MAX} credentials already; leave some out")]
    CredentialsFull,
}
