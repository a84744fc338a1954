//! Who is asking: JSON Web Tokens, key sets, revocation, tickets.
//!
//! A credential goes in, a [`Principal`](fanfare_core::Principal) with its compiled grant comes
//! out. This crate reads no file, no environment and no clock: configuration is handed in, and so
//! is the time. The network is touched in one place only, to fetch JSON Web Key Sets.
//!
//! Start at [`Gate`]. [`Passwords`] checks passwords against hashes. [`Revocations`] says what stopped counting, [`Tickets`] turn a principal
//! into a one-time URL parameter, [`mint`] makes tokens, [`AdminKeys`] guards operations, and
//! [`redact`] keeps credentials out of logs.

mod admin;
mod cache;
mod claims;
mod error;
mod gate;
mod jwk;
mod jwks;
mod key;
mod keys;
mod mint;
mod password;
mod random;
mod redact;
mod revocation;
mod ticket;
mod token;

pub use admin::AdminKeys;
pub use claims::{CLAIM_TEXT_BYTES_MAX, ClaimRules, GrantRules, RULES_MAX, SUBJECT_BYTES_MAX, TOKEN_ID_BYTES_MAX};
pub use error::{ConfigError, TokenError};
pub use gate::{CACHE_ENTRIES_MAX, Gate, GateConfig, Verdict};
pub use jwks::{JWKS_BYTES_MAX, JWKS_FETCH_TIMEOUT, JwksConfig};
pub use key::{HS256_SECRET_BYTES_MIN, KeyAlgorithm, KeyConfig, KeyMaterial, Secret};
pub use keys::{CANDIDATES_MAX, KEYS_MAX, Keys};
pub use mint::{MintError, MintRequest, SigningKey, SigningKeyConfig, SigningMaterial, mint};
pub use password::{HashError, PASSWORD_BYTES_MAX, PasswordHash, Passwords, Refused, hash_password};
pub use random::RandomnessUnavailable;
pub use redact::redact;
pub use revocation::{REVOCATIONS_MAX, Revocation, RevocationError, Revocations, Revoked};
pub use ticket::{TICKET_TTL_MS, TICKETS_MAX, Tickets};
pub use token::TOKEN_BYTES_MAX;
