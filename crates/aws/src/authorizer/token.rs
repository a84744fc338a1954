//! The signature over a custom authorizer's token: RSA with SHA-256, PKCS#1 v1.5.

use std::borrow::Cow;

use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

/// The longest PEM that is read, in bytes; a key of 8192 bits takes 1,500.
const PEM_BYTES_MAX: usize = 8 * 1024;

/// The longest signature that is read, in bytes: 8192 bits in base64 with every character escaped.
const SIGNATURE_BYTES_MAX: usize = 1368 * 3;

const KEY_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// A public key that checks tokens.
#[derive(Clone, Debug)]
pub struct TokenKey(ParsedPublicKey);

/// Why a text is no key for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenKeyError {
    /// Not a PEM block of the right kind.
    #[error("not a public key in PEM; it begins with {BEGIN} and ends with {END}")]
    Pem,
    /// Between the lines is no base64.
    #[error("the public key is not base64 between its first and its last line")]
    Base64,
    /// Not an RSA key of 2048 to 8192 bits.
    #[error("the public key is not an RSA key of 2048 to 8192 bits; make one with `openssl genrsa 2048`")]
    Kind,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The signature is no base64, or too long.
    #[error("the token's signature is not base64; send it in base64, escaped for URLs where it is in one")]
    Encoding,
    /// No key verifies the signature.
    #[error("the token's signature does not match the token and any of the authorizer's public keys")]
    Mismatch,
}

impl TokenKey {
    /// Reads a SubjectPublicKeyInfo in PEM, as `openssl rsa -pubout` writes it.
    ///
    /// # Errors
    ///
    /// See [`TokenKeyError`].
    pub fn from_pem(pem: &str) -> Result<Self, TokenKeyError> {
        let inner = pem.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
        let inner = inner.filter(|_| pem.len() <= PEM_BYTES_MAX).ok_or(TokenKeyError::Pem)?;
        let text: String = inner.split_ascii_whitespace().collect();
        let der = STANDARD.decode(text).map_err(|_| TokenKeyError::Base64)?;
        // The verification refuses short keys too, but then nobody would learn why.
        let bits = PublicEncryptingKey::from_der(&der).map_err(|_| TokenKeyError::Kind)?.key_size_bits();
        if !KEY_BITS.contains(&bits) {
            return Err(TokenKeyError::Kind);
        }
        ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).map(Self).map_err(|_| TokenKeyError::Kind)
    }
}

/// Checks the signature over a token with any of an authorizer's keys. The signature is base64 and
/// may be escaped for URLs; the token is what was sent, unescaped.
///
/// # Errors
///
/// See [`TokenError`].
pub fn verify_token(keys: &[TokenKey], token: &str, signature: &str) -> Result<(), TokenError> {
    if signature.len() > SIGNATURE_BYTES_MAX {
        return Err(TokenError::Encoding);
    }
    let text = if signature.contains('%') {
        percent_decode_str(signature).decode_utf8().map_err(|_| TokenError::Encoding)?
    } else {
        Cow::Borrowed(signature)
    };
    let bytes = STANDARD.decode(text.as_bytes()).map_err(|_| TokenError::Encoding)?;
    let is_right = |key: &TokenKey| key.0.verify_sig(token.as_bytes(), &bytes).is_ok();
    if keys.iter().any(is_right) { Ok(()) } else { Err(TokenError::Mismatch) }
}

/// The name of an authorizer: one to 128 letters, digits and `_=,@-`.
#[must_use]
pub fn is_authorizer_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_=,@-".contains(&byte);
    (1..=128).contains(&name.len()) && name.bytes().all(is_allowed)
}
