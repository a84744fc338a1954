//! Keys and tokens: what SDKs send, what they accept, and how ours are made and checked.
//!
//! A key of ours is a JSON Web Token, HS256, with claims of our own; an SDK takes any text. What SDKs
//! call a **v2** key is one with the claim `t` = `g`, given to them beside the endpoint. A **v1** key,
//! and every disposable token, is handed to them wrapped: Base64 of JSON with key and endpoint (see
//! [`wrap`]). A **legacy** key has the endpoints in claims. The server always gets the key itself,
//! without wrapper and without scheme; people with curl send what they have, so all is taken.
//!
//! [`Authority`] makes and checks keys. It reads no clock and has no randomness of its own: time and
//! ids are handed in.

mod authority;
mod request;
mod shape;
mod signing;

use std::sync::Arc;

use fanfare_core::Principal;

use crate::permission::Permissions;

pub use authority::{Authority, Form, Minted, Order, SECRETS_MAX, STATIC_KEYS_MAX};
pub use shape::{Endpoint, EndpointError, Shape, Wrapped, presented, unwrap, wrap};
pub use signing::{SECRET_BYTES_MIN, SecretError};

/// A key that does not count. SDKs get UNAUTHENTICATED for each of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// There is none.
    #[error("No API key was sent: give one in the metadata authorization")]
    Missing,
    /// It is longer than any key of ours.
    #[error("The API key is too long to be one of this server")]
    TooLong,
    /// It was not made here, or with a secret that this server no longer knows.
    #[error("The API key is not known to this server")]
    Unknown,
    /// It was made here and says nothing that this version understands.
    #[error("The API key cannot be read: {0}")]
    Unreadable(&'static str),
    /// It is over.
    #[error("The API key has expired")]
    Expired {
        /// When, in seconds since 1970.
        at: u64,
    },
    /// It was revoked.
    #[error("The API key was revoked")]
    Revoked,
    /// It is there for something else, such as to refresh a key.
    #[error("This token is no API key: a refresh token only refreshes")]
    WrongUse,
    /// The refresh token belongs to another key.
    #[error("The refresh token does not belong to this API key")]
    OtherKey,
}

/// Whom a key speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The key's own id, by which it can be revoked.
    pub id: Arc<str>,
    /// The token id; empty for none. Subscribers see it as the publisher's id.
    pub token_id: Arc<str>,
    /// Seconds since 1970.
    pub issued_at: u64,
    /// Seconds since 1970; `None` for a key that does not end.
    pub expires_at: Option<u64>,
    /// What it allows.
    pub permissions: Permissions,
}

impl Holder {
    /// As the core knows it. Its subject is the token id, which therefore comes out as publisher of
    /// what it publishes, through every door.
    #[must_use]
    pub fn principal(&self) -> Principal {
        Principal {
            subject: (!self.token_id.is_empty()).then(|| self.token_id.clone()),
            token_id: Some(self.id.clone()),
            issued_at: Some(self.issued_at.saturating_mul(1_000)),
            expires_at: self.expires_at.map(|at| at.saturating_mul(1_000)),
            grant: self.permissions.grant(),
        }
    }

    /// It is over.
    #[must_use]
    pub fn is_expired(&self, now_s: u64) -> bool {
        self.expires_at.is_some_and(|at| at <= now_s)
    }
}
