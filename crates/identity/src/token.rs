//! The outside of a JSON Web Token: three parts and a header. Nothing here is verified yet.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{TokenError, quoted};
use crate::key::KeyAlgorithm;

/// Longer tokens are refused unread.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// A token taken apart.
pub(crate) struct Token<'a> {
    pub(crate) algorithm: KeyAlgorithm,
    pub(crate) key_id: Option<String>,
    /// What is signed: header and claims with the dot between them.
    pub(crate) message: &'a str,
    claims: &'a str,
    pub(crate) signature: &'a str,
}

impl<'a> Token<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, TokenError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLarge { bytes: text.len() });
        }
        let shape = TokenError::Malformed("expected three parts with dots between them");
        let (message, signature) = text.rsplit_once('.').ok_or_else(|| shape.clone())?;
        let (header, claims) = message.split_once('.').ok_or_else(|| shape.clone())?;
        if claims.contains('.') {
            return Err(shape);
        }
        let header: Header = URL_SAFE_NO_PAD
            .decode(header)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or(TokenError::Malformed("the header cannot be read"))?;
        // RFC 7515 4.1.11: what is critical and not understood refuses the token.
        if header.crit.is_some() {
            return Err(TokenError::Malformed("the header asks for extensions"));
        }
        let algorithm = header.alg.parse().map_err(|()| TokenError::Algorithm(quoted(&header.alg)))?;
        Ok(Self { algorithm, key_id: header.kid, message, claims, signature })
    }

    /// The claims; to be called only once the signature is known to be good.
    pub(crate) fn claims(&self) -> Result<Map<String, Value>, TokenError> {
        URL_SAFE_NO_PAD
            .decode(self.claims)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or(TokenError::Malformed("the claims cannot be read"))
    }
}
