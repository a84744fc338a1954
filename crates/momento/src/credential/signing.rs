//! HS256, and nothing else: the algorithm that a token names is compared, never obeyed.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Shortest secret, in bytes: that of the hash.
pub const SECRET_BYTES_MIN: usize = 32;

/// A secret that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It is short.
    #[error("the secret has {0} bytes, at least 32 are needed: openssl rand -base64 32 makes one")]
    Short(usize),
    /// There is none.
    #[error("there is no secret to sign with")]
    None,
    /// There are too many.
    #[error("there are {0} secrets, at most 8 are tried")]
    TooMany(usize),
}

/// A secret, ready to sign and to verify.
pub(super) struct Secret(hmac::Key);

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    typ: String,
}

impl Secret {
    pub(super) fn new(bytes: &[u8]) -> Result<Self, SecretError> {
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(SecretError::Short(bytes.len()));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// A token with these claims.
    pub(super) fn sign(&self, claims: &impl Serialize) -> String {
        let header = Header { alg: "HS256".to_owned(), typ: "JWT".to_owned() };
        let mut token = encoded(&header);
        token.push('.');
        token.push_str(&encoded(claims));
        let tag = hmac::sign(&self.0, token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(tag, &mut token);
        token
    }

    /// Whether it signed this text. Takes the same time wherever they differ.
    fn has_signed(&self, text: &str, tag: &[u8]) -> bool {
        hmac::verify(&self.0, text.as_bytes(), tag).is_ok()
    }
}

/// The part of a token that holds the claims, if one of these secrets signed it as HS256.
pub(super) fn verified<'a>(secrets: &[Secret], token: &'a str) -> Option<&'a str> {
    let (text, tag) = token.rsplit_once('.')?;
    let (header, claims) = text.split_once('.')?;
    let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
    if !secrets.iter().any(|secret| secret.has_signed(text, &tag)) {
        return None;
    }
    let header: Header = decoded(header)?;
    (header.alg == "HS256").then_some(claims)
}

/// The JSON in a part of a token.
pub(super) fn decoded<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn encoded(value: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).expect("texts and numbers are JSON"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn secret(byte: u8) -> Secret {
        Secret::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn what_was_signed_is_known_again() {
        let claims = json!({"t": "g", "n": 7});
        let token = secret(1).sign(&claims);
        assert!(token.starts_with("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."), "{token}");
        let part = verified(&[secret(2), secret(1)], &token).unwrap();
        assert_eq!(decoded::<Value>(part), Some(claims));
        assert_eq!(verified(&[secret(2)], &token), None);
    }

    #[test]
    fn a_token_from_elsewhere_verifies_as_its_standard_says() {
        // The example of RFC 7515, appendix A.1.
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6\
                     Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let claims: Value = decoded(verified(&[Secret::new(&key).unwrap()], token).unwrap()).unwrap();
        assert_eq!(claims["iss"], "joe");
    }

    #[test]
    fn what_is_changed_is_unknown() {
        let token = secret(1).sign(&json!({"a": 1}));
        let secrets = [secret(1)];
        for (at, _) in token.char_indices() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(verified(&secrets, &changed), None, "{at}");
        }
        for other in ["", ".", "..", "a.b.c", &token[1..], &format!("{token}.")] {
            assert_eq!(verified(&secrets, other), None, "{other}");
        }
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(Secret::new(&[0; 31]).err(), Some(SecretError::Short(31)));
    }
}
