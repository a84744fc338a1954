//! Making tokens, for `fanfare token` and for tests of users.

use std::collections::BTreeMap;

use fanfare_core::Millis;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Map, Value, json};

use crate::claims::ClaimRules;
use crate::error::{ConfigError, TokenError};
use crate::key::{KeyAlgorithm, Secret, key_name, mismatch, require_secret_length, secret_bytes};
use crate::random::{RandomnessUnavailable, id_bytes, id_text};
use crate::token::TOKEN_BYTES_MAX;

/// Claims that a [`MintRequest`] has its own field for.
const OWN_CLAIMS: [&str; 5] = ["sub", "iat", "exp", "jti", "fanfare"];

/// What a signing key is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SigningMaterial {
    /// A shared secret, its bytes as they stand.
    Secret(Secret),
    /// A shared secret in Base64, either alphabet, padded or not.
    SecretBase64(Secret),
    /// A private key: the contents of a PEM file, PKCS#8, or PKCS#1 for RSA.
    PrivateKeyPem(Secret),
}

/// A signing key as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeyConfig {
    /// Written into the header of tokens as `kid`.
    pub id: Option<String>,
    /// What to sign with.
    pub algorithm: KeyAlgorithm,
    /// The key itself.
    pub material: SigningMaterial,
}

/// A key that is ready to sign.
pub struct SigningKey {
    header: Header,
    encoding: EncodingKey,
}

impl SigningKey {
    /// Reads a key and signs something with it, so that a key that cannot sign is found at once.
    ///
    /// # Errors
    /// [`ConfigError`] says what is wrong with the key; it never holds the key itself.
    pub fn new(config: &SigningKeyConfig) -> Result<Self, ConfigError> {
        let name = key_name(config.id.as_deref(), 0);
        let algorithm = config.algorithm;
        let encoding = match (&config.material, algorithm) {
            (SigningMaterial::Secret(secret), KeyAlgorithm::HS256) => {
                hmac_key(secret.expose().as_bytes(), name.clone())?
            }
            (SigningMaterial::SecretBase64(secret), KeyAlgorithm::HS256) => {
                hmac_key(&secret_bytes(secret, &name)?, name.clone())?
            }
            (SigningMaterial::PrivateKeyPem(pem), algorithm) if algorithm != KeyAlgorithm::HS256 => {
                private_key(pem, algorithm).ok_or_else(|| unusable(name.clone(), algorithm))?
            }
            (_, algorithm) => return Err(mismatch(name, algorithm, "a private key in PEM")),
        };
        let mut header = Header::new(algorithm.jwt());
        header.kid = config.id.clone();
        let key = Self { header, encoding };
        key.sign(&Map::new()).map_err(|_| unusable(name, algorithm))?;
        Ok(key)
    }

    fn sign(&self, claims: &Map<String, Value>) -> Result<String, MintError> {
        jsonwebtoken::encode(&self.header, claims, &self.encoding).map_err(|_| MintError::Signing)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({:?}, {:?})", self.header.kid, self.header.alg)
    }
}

/// What a token is to say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MintRequest {
    /// The user; none for a token that only carries rules.
    pub sub: Option<String>,
    /// Rules such as `subscribe:default/room-*`. With neither allow nor deny the token says nothing
    /// about rules and gets the server's default grant.
    pub allow: Vec<String>,
    /// Rules that take precedence over every allow.
    pub deny: Vec<String>,
    /// How long it counts.
    pub ttl_ms: Millis,
    /// The token's id; random where absent.
    pub jti: Option<String>,
    /// Further claims such as `iss` and `aud`.
    pub extra: BTreeMap<String, Value>,
    /// The time now.
    pub issued_at: Millis,
}

/// A token that was not made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// [`MintRequest::ttl_ms`] is 0.
    #[error("a token needs a time to live of at least 1 ms")]
    NoTimeToLive,
    /// A further claim that has a field of its own, or speaks about rules.
    #[error("claim {0:?} cannot be given as a further claim; it has an option of its own")]
    OwnClaim(String),
    /// A gate would refuse the token for what it says.
    #[error(transparent)]
    Refused(#[from] TokenError),
    /// No random id.
    #[error(transparent)]
    Random(#[from] RandomnessUnavailable),
    /// The key does not sign.
    #[error("signing failed; check the key")]
    Signing,
}

/// Makes a signed token. Times are rounded to seconds: `iat` down and `exp` up.
///
/// # Errors
/// [`MintError`]; a token that a [`Gate`](crate::Gate) would refuse is not made.
pub fn mint(key: &SigningKey, request: &MintRequest) -> Result<String, MintError> {
    if request.ttl_ms == 0 {
        return Err(MintError::NoTimeToLive);
    }
    let mut claims = Map::new();
    if let Some(sub) = &request.sub {
        claims.insert("sub".into(), json!(sub));
    }
    let ends = request.issued_at.saturating_add(request.ttl_ms);
    claims.insert("iat".into(), json!(request.issued_at / 1_000));
    claims.insert("exp".into(), json!(ends.div_ceil(1_000)));
    let jti = match &request.jti {
        Some(jti) => jti.clone(),
        None => id_text(&id_bytes()?),
    };
    claims.insert("jti".into(), json!(jti));
    if !request.allow.is_empty() || !request.deny.is_empty() {
        let rules = json!({ "allow": request.allow, "deny": request.deny });
        claims.insert("fanfare".into(), rules);
    }
    ClaimRules::default().admit(&claims, request.issued_at)?;
    for (name, value) in &request.extra {
        if OWN_CLAIMS.contains(&name.as_str()) || name.starts_with("fanfare.") {
            return Err(MintError::OwnClaim(name.clone()));
        }
        claims.insert(name.clone(), value.clone());
    }
    let token = key.sign(&claims)?;
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::TooLarge { bytes: token.len() }.into());
    }
    Ok(token)
}

fn hmac_key(secret: &[u8], name: String) -> Result<EncodingKey, ConfigError> {
    require_secret_length(secret, name)?;
    Ok(EncodingKey::from_secret(secret))
}

fn private_key(pem: &Secret, algorithm: KeyAlgorithm) -> Option<EncodingKey> {
    let pem = pem.expose().as_bytes();
    match algorithm {
        KeyAlgorithm::RS256 => EncodingKey::from_rsa_pem(pem).ok(),
        KeyAlgorithm::ES256 => EncodingKey::from_ec_pem(pem).ok(),
        KeyAlgorithm::EdDSA => EncodingKey::from_ed_pem(pem).ok(),
        KeyAlgorithm::HS256 => None,
    }
}

fn unusable(key: String, algorithm: KeyAlgorithm) -> ConfigError {
    ConfigError::Pem {
        key,
        algorithm,
        problem: "expected a private key of that algorithm, -----BEGIN PRIVATE KEY----- (openssl pkcs8 -topk8 -nocrypt converts other forms)",
    }
}
