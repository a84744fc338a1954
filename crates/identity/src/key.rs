//! One verification key and where it comes from.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::{Deserialize, Serialize};

use crate::error::ConfigError;

/// Shorter HS256 secrets are refused: RFC 7518 3.2 asks for a key as long as the hash.
pub const HS256_SECRET_BYTES_MIN: usize = 32;

/// The signature algorithms that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyAlgorithm {
    /// HMAC with SHA-256: one shared secret.
    HS256,
    /// RSA PKCS#1 v1.5 with SHA-256, 2048 bits and more.
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

impl KeyAlgorithm {
    /// Its name in a token's header.
    pub fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::RS256 => "RS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
        }
    }

    pub(crate) fn jwt(self) -> Algorithm {
        match self {
            Self::HS256 => Algorithm::HS256,
            Self::RS256 => Algorithm::RS256,
            Self::ES256 => Algorithm::ES256,
            Self::EdDSA => Algorithm::EdDSA,
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KeyAlgorithm {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        match name {
            "HS256" => Ok(Self::HS256),
            "RS256" => Ok(Self::RS256),
            "ES256" => Ok(Self::ES256),
            // RFC 9864 renames EdDSA on Ed25519; issuers write either.
            "EdDSA" | "Ed25519" => Ok(Self::EdDSA),
            _ => Err(()),
        }
    }
}

/// Text that never shows in logs.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// What a key is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyMaterial {
    /// A shared secret, its bytes as they stand.
    Secret(Secret),
    /// A shared secret in Base64, either alphabet, padded or not.
    SecretBase64(Secret),
    /// A public key: the contents of a PEM file.
    PublicKeyPem(String),
}

/// A verification key as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyConfig {
    /// Selects the key for tokens with this `kid`. A key without an id is tried for any `kid`.
    pub id: Option<String>,
    /// The only algorithm it verifies.
    pub algorithm: KeyAlgorithm,
    /// The key itself.
    pub material: KeyMaterial,
}

/// A key that is ready to verify.
///
/// The algorithm belongs to the key and not to the token: a public key can never be taken for an
/// HMAC secret, whatever a token's header says.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: Option<Box<str>>,
    pub(crate) algorithm: KeyAlgorithm,
    decoding: DecodingKey,
    /// What was configured or fetched, to tell whether a fetched set differs from the last.
    fingerprint: [u8; 32],
}

impl Key {
    /// `place` names the key in errors when it has no id.
    pub(crate) fn from_config(config: &KeyConfig, place: usize) -> Result<Self, ConfigError> {
        let name = key_name(config.id.as_deref(), place);
        let decoding = match (&config.material, config.algorithm) {
            (KeyMaterial::Secret(secret), KeyAlgorithm::HS256) => hmac_key(secret.expose().as_bytes(), name)?,
            (KeyMaterial::SecretBase64(secret), KeyAlgorithm::HS256) => hmac_key(&secret_bytes(secret, &name)?, name)?,
            (KeyMaterial::PublicKeyPem(pem), algorithm) if algorithm != KeyAlgorithm::HS256 => {
                public_key(pem, algorithm).map_err(|problem| ConfigError::Pem { key: name, algorithm, problem })?
            }
            (_, algorithm) => return Err(mismatch(name, algorithm, "public_key_pem")),
        };
        Ok(Self::new(config.id.as_deref(), config.algorithm, decoding))
    }

    pub(crate) fn new(id: Option<&str>, algorithm: KeyAlgorithm, decoding: DecodingKey) -> Self {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        match decoding.kind() {
            jsonwebtoken::DecodingKeyKind::SecretOrDer(bytes) => context.update(bytes),
            jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, e } => {
                context.update(n);
                context.update(e);
            }
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.finish().as_ref());
        Self { id: id.map(Into::into), algorithm, decoding, fingerprint }
    }

    /// Whether `signature` (Base64) is this key's over `message`.
    pub(crate) fn verifies(&self, message: &str, signature: &str) -> bool {
        // An error says that the signature is not Base64 or the key cannot be used: not verified.
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.decoding, self.algorithm.jwt())
            .unwrap_or(false)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.algorithm == other.algorithm && self.fingerprint == other.fingerprint
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {})", self.id, self.algorithm)
    }
}

pub(crate) fn key_name(id: Option<&str>, place: usize) -> String {
    id.map_or_else(|| format!("number {}", place + 1), |id| format!("{id:?}"))
}

pub(crate) fn mismatch(key: String, algorithm: KeyAlgorithm, pem: &'static str) -> ConfigError {
    ConfigError::MaterialMismatch {
        key,
        algorithm,
        expected: match algorithm {
            KeyAlgorithm::HS256 => "secret or secret_base64",
            _ => pem,
        },
    }
}

pub(crate) fn secret_bytes(secret: &Secret, key: &str) -> Result<Vec<u8>, ConfigError> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = secret.expose().trim();
    let alphabet = if text.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    GeneralPurpose::new(alphabet, LENIENT).decode(text).map_err(|_| ConfigError::SecretBase64 { key: key.to_owned() })
}

pub(crate) fn require_secret_length(secret: &[u8], key: String) -> Result<(), ConfigError> {
    if secret.len() < HS256_SECRET_BYTES_MIN {
        return Err(ConfigError::SecretTooShort { key, bytes: secret.len() });
    }
    Ok(())
}

fn hmac_key(secret: &[u8], key: String) -> Result<DecodingKey, ConfigError> {
    require_secret_length(secret, key)?;
    Ok(DecodingKey::from_secret(secret))
}

fn public_key(pem: &str, algorithm: KeyAlgorithm) -> Result<DecodingKey, &'static str> {
    if pem.contains("PRIVATE KEY") {
        return Err("this is the private key; configure the public one (openssl pkey -pubout)");
    }
    if pem.contains("CERTIFICATE") {
        return Err("this is a certificate; take its key (openssl x509 -pubkey -noout)");
    }
    let pem = pem.as_bytes();
    let key = match algorithm {
        KeyAlgorithm::RS256 => DecodingKey::from_rsa_pem(pem),
        KeyAlgorithm::ES256 => DecodingKey::from_ec_pem(pem),
        KeyAlgorithm::EdDSA => DecodingKey::from_ed_pem(pem),
        KeyAlgorithm::HS256 => return Err("HS256 has no public key"),
    };
    let key = key.map_err(|_| "expected -----BEGIN PUBLIC KEY----- with a key of that algorithm")?;
    let bytes = key.try_get_as_bytes().map_err(|_| "unreadable key")?;
    require_public_key(algorithm, bytes)?;
    Ok(key)
}

/// The reader of PEM tells families apart, not curves and sizes.
fn require_public_key(algorithm: KeyAlgorithm, bytes: &[u8]) -> Result<(), &'static str> {
    match algorithm {
        KeyAlgorithm::ES256 if bytes.len() != 65 => Err("ES256 takes a key on the curve P-256"),
        KeyAlgorithm::EdDSA if bytes.len() != 32 => Err("EdDSA takes an Ed25519 key"),
        KeyAlgorithm::RS256 => match aws_lc_rs::rsa::PublicKey::from_der(bytes) {
            Ok(key) if key.modulus_len() >= 256 => Ok(()),
            Ok(_) => Err("the RSA key is too short; 2048 bits are needed"),
            Err(_) => Err("not an RSA public key of 2048 to 8192 bits"),
        },
        _ => Ok(()),
    }
}
