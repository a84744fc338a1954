//! Why a credential was refused, and why a configuration was.

use fanfare_core::Millis;

use crate::key::{HS256_SECRET_BYTES_MIN, KeyAlgorithm};
use crate::keys::{CANDIDATES_MAX, KEYS_MAX};
use crate::token::TOKEN_BYTES_MAX;

/// Text of a peer that goes into an error is cut here, so that logs and answers stay small.
const QUOTED_CHARS_MAX: usize = 80;

/// A credential that does not count. The peer's fault, except [`TokenError::KeysUnavailable`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is no credential and the configuration asks for one.
    #[error("a token is required; connect with one")]
    Missing,
    /// Longer than [`TOKEN_BYTES_MAX`].
    #[error("the token has {bytes} bytes; at most {TOKEN_BYTES_MAX} are read")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Not a signed JSON Web Token in compact form.
    #[error("not a JSON Web Token: {0}")]
    Malformed(&'static str),
    /// Signed with an algorithm that no configured key has, `none` included.
    #[error("tokens signed with {0:?} are not accepted; sign with the algorithm of a configured key")]
    Algorithm(String),
    /// The `kid` names none of the keys.
    #[error("no key with id {0:?} is known; check the token's kid against the configured keys")]
    KeyUnknown(String),
    /// The key set could not be fetched, so nothing can be said about the token.
    #[error("the signing keys could not be fetched; try again shortly")]
    KeysUnavailable,
    /// No key verifies the signature.
    #[error("the signature does not match; the token was signed with another key or changed")]
    Signature,
    /// Its `exp` has passed.
    #[error("the token expired at {at} ms; get a new one")]
    Expired {
        /// Its `exp`.
        at: Millis,
    },
    /// Its `nbf` has not come.
    #[error("the token counts only from {from} ms on; check the clocks or try later")]
    NotYetValid {
        /// Its `nbf`.
        from: Millis,
    },
    /// A claim is missing, of the wrong type or not what the configuration asks for.
    #[error("claim {claim:?} {problem}")]
    Claims {
        /// Which claim.
        claim: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A rule in the token cannot be read. Nothing of the token is used, because a deny that is
    /// ignored would give more than its issuer meant to.
    #[error("claim {claim:?}: {problem}")]
    Rule {
        /// Which claim holds the rule.
        claim: &'static str,
        /// Names the rule and says what is wrong with it.
        problem: String,
    },
    /// A ticket that was never issued, was used before, or is too old.
    #[error("the ticket does not count: it stands for one use within 30 seconds; get a new one from POST /v1/tickets")]
    Ticket,
    /// Revoked by subject, by token id or by time.
    #[error("the token was revoked; get a new one")]
    Revoked,
}

impl TokenError {
    /// A stable name for clients, metrics and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::TooLarge { .. } => "token_too_large",
            Self::Malformed(_) => "token_malformed",
            Self::Algorithm(_) => "token_algorithm",
            Self::KeyUnknown(_) => "token_key_unknown",
            Self::KeysUnavailable => "token_keys_unavailable",
            Self::Signature => "token_signature",
            Self::Expired { .. } => "token_expired",
            Self::NotYetValid { .. } => "token_not_yet_valid",
            Self::Claims { .. } => "token_claims",
            Self::Rule { .. } => "token_rule",
            Self::Ticket => "ticket_unknown",
            Self::Revoked => "token_revoked",
        }
    }

    /// Whether the very same token may be accepted later.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::KeysUnavailable | Self::NotYetValid { .. })
    }
}

/// A configuration that cannot be used. No variant carries a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// HS256 with a secret that can be guessed.
    #[error(
        "key {key}: the HS256 secret has {bytes} bytes; at least {HS256_SECRET_BYTES_MIN} are needed (openssl rand -base64 32)"
    )]
    SecretTooShort {
        /// Id or place of the key.
        key: String,
        /// How long it is.
        bytes: usize,
    },
    /// `secret_base64` is not Base64.
    #[error("key {key}: secret_base64 is not Base64")]
    SecretBase64 {
        /// Id or place of the key.
        key: String,
    },
    /// A secret where a key pair belongs, or the reverse.
    #[error("key {key}: {algorithm} takes {expected}")]
    MaterialMismatch {
        /// Id or place of the key.
        key: String,
        /// Configured algorithm.
        algorithm: KeyAlgorithm,
        /// What it takes.
        expected: &'static str,
    },
    /// The PEM is not a key of the algorithm.
    #[error("key {key}: not a PEM key for {algorithm}: {problem}")]
    Pem {
        /// Id or place of the key.
        key: String,
        /// Configured algorithm.
        algorithm: KeyAlgorithm,
        /// What is wrong and how to mend it.
        problem: &'static str,
    },
    /// Two keys share an id and an algorithm.
    #[error("key id {0:?} is used twice for the same algorithm; give each key its own id")]
    DuplicateId(String),
    /// More than [`KEYS_MAX`] keys, or too many of one algorithm without an id.
    #[error("too many keys: at most {KEYS_MAX}, and at most {CANDIDATES_MAX} of one algorithm without an id")]
    TooManyKeys,
    /// A JWKS URL that cannot be fetched.
    #[error("JWKS URL {url:?}: {problem}")]
    JwksUrl {
        /// As configured, without a query.
        url: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A rule of the default or anonymous grant.
    #[error("{setting}: {problem}")]
    Rule {
        /// Which setting.
        setting: &'static str,
        /// Names the rule and says what is wrong with it.
        problem: String,
    },
    /// An admin key that can be guessed.
    #[error(
        "admin key {place}: has {bytes} bytes; at least {} are needed (openssl rand -base64 32)",
        crate::admin::ADMIN_KEY_BYTES_MIN
    )]
    AdminKeyTooShort {
        /// Which of the configured keys, counted from 1.
        place: usize,
        /// How long it is.
        bytes: usize,
    },
}

/// The beginning of a peer's text, for an error.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
