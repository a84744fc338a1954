//! Reading a JSON Web Key Set (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::Value;

use crate::key::{Key, KeyAlgorithm};
use crate::keys::{KEYS_MAX, Keys};

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Takes the keys that can verify tokens and skips the others, as RFC 7517 5 asks: a set serves
/// several readers, and one odd key must not lock everybody out. `None` when it is not a key set.
pub(crate) fn read_key_set(document: &[u8]) -> Option<Keys> {
    let document: Document = serde_json::from_slice(document).ok()?;
    let keys = document
        .keys
        .into_iter()
        .filter_map(|value| serde_json::from_value(value).ok())
        .filter_map(|jwk| read_key(&jwk))
        .take(KEYS_MAX)
        .collect();
    Some(Keys::from_fetched(keys))
}

fn read_key(jwk: &Jwk) -> Option<Key> {
    if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
        return None;
    }
    // "oct" is skipped on purpose: a shared secret that is published is none.
    let (algorithm, decoding) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => (KeyAlgorithm::RS256, rsa(jwk)?),
        ("EC", Some("P-256")) => (KeyAlgorithm::ES256, p256(jwk)?),
        ("OKP", Some("Ed25519")) => (KeyAlgorithm::EdDSA, ed25519(jwk)?),
        _ => return None,
    };
    if let Some(named) = &jwk.alg
        && named.parse() != Ok(algorithm)
    {
        return None;
    }
    Some(Key::new(jwk.kid.as_deref(), algorithm, decoding))
}

fn bytes(text: Option<&String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?.trim_end_matches('=')).ok()
}

fn rsa(jwk: &Jwk) -> Option<DecodingKey> {
    let (n, e) = (bytes(jwk.n.as_ref())?, bytes(jwk.e.as_ref())?);
    // Some issuers write the sign byte of DER in front of the modulus.
    let n = &n[n.iter().position(|byte| *byte != 0)?..];
    let is_size_accepted = (256..=1024).contains(&n.len());
    is_size_accepted.then(|| DecodingKey::from_rsa_raw_components(n, &e))
}

fn p256(jwk: &Jwk) -> Option<DecodingKey> {
    let (x, y) = (bytes(jwk.x.as_ref())?, bytes(jwk.y.as_ref())?);
    if x.len() != 32 || y.len() != 32 {
        return None;
    }
    // SEC 1 2.3.3: the uncompressed point.
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    Some(DecodingKey::from_ec_der(&point))
}

fn ed25519(jwk: &Jwk) -> Option<DecodingKey> {
    let x = bytes(jwk.x.as_ref())?;
    (x.len() == 32).then(|| DecodingKey::from_ed_der(&x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_cannot_verify_are_skipped() {
        let x = URL_SAFE_NO_PAD.encode([7; 32]);
        let n = URL_SAFE_NO_PAD.encode([0xc1; 256]);
        let short = URL_SAFE_NO_PAD.encode([0xc1; 128]);
        let set = serde_json::json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "good" },
            { "kty": "OKP", "crv": "X25519", "x": x, "kid": "exchange" },
            { "kty": "oct", "k": x, "kid": "secret", "alg": "HS256" },
            { "kty": "EC", "crv": "P-384", "x": x, "y": x, "kid": "curve" },
            { "kty": "RSA", "n": n, "e": "AQAB", "kid": "encrypts", "use": "enc" },
            { "kty": "RSA", "n": n, "e": "AQAB", "kid": "pss", "alg": "PS256" },
            { "kty": "RSA", "n": short, "e": "AQAB", "kid": "short" },
            { "kty": "RSA", "n": n, "e": "AQAB", "kid": "rsa" },
            { "kid": 7 },
            "odd",
        ] });
        let keys = read_key_set(set.to_string().as_bytes()).unwrap();
        assert_eq!(keys.len(), 2);
        assert!(keys.knows(KeyAlgorithm::EdDSA, "good"));
        assert!(keys.knows(KeyAlgorithm::RS256, "rsa"));
    }

    #[test]
    fn other_documents_are_not_key_sets() {
        for text in ["", "{}", "[]", "<html>", r#"{"keys":{}}"#] {
            assert!(read_key_set(text.as_bytes()).is_none(), "{text}");
        }
    }
}
