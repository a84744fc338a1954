//! `[auth]` in the words of `fanfare-identity`.

use std::io;

use fanfare_identity::{
    ClaimRules, GateConfig, GrantRules, JwksConfig, KeyAlgorithm, KeyConfig, KeyMaterial, Secret, SigningKeyConfig,
    SigningMaterial,
};

use super::keys::{Auth, SigningKey};

impl Auth {
    /// What a gate needs; reads the files that hold keys. For development mode there is
    /// [`GateConfig::development`] instead.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn gate_config(&self) -> io::Result<GateConfig> {
        let keys: io::Result<Vec<KeyConfig>> = self.keys.iter().map(SigningKey::verification).collect();
        Ok(GateConfig {
            keys: keys?,
            jwks: self.jwks.iter().map(JwksConfig::new).collect(),
            claims: ClaimRules {
                require_exp: self.require_exp,
                leeway_ms: self.leeway_s * 1_000,
                issuers: self.issuer.clone(),
                audiences: self.audience.clone(),
                default_grant: GrantRules { allow: self.default_allow.clone(), deny: self.default_deny.clone() },
            },
            anonymous: GrantRules { allow: self.anonymous_allow.clone(), deny: self.anonymous_deny.clone() },
            is_token_required: self.anonymous_allow.is_empty(),
            is_development: false,
        })
    }
}

impl SigningKey {
    /// The key as a gate verifies with it; reads its file.
    ///
    /// # Errors
    /// The file cannot be read, or there is no key.
    pub fn verification(&self) -> io::Result<KeyConfig> {
        let material = match self.algorithm {
            KeyAlgorithm::HS256 => KeyMaterial::Secret(self.shared_secret()?),
            _ => KeyMaterial::PublicKeyPem(self.public_pem()?),
        };
        Ok(KeyConfig { id: Some(self.id.clone()), algorithm: self.algorithm, material })
    }

    /// The key as tokens are made with it; `None` for a public key, which cannot sign.
    ///
    /// # Errors
    /// The file cannot be read, or there is no key.
    pub fn signing(&self) -> io::Result<Option<SigningKeyConfig>> {
        if self.algorithm != KeyAlgorithm::HS256 {
            return Ok(None);
        }
        Ok(Some(SigningKeyConfig {
            id: Some(self.id.clone()),
            algorithm: self.algorithm,
            material: SigningMaterial::Secret(self.shared_secret()?),
        }))
    }

    fn shared_secret(&self) -> io::Result<Secret> {
        match (&self.secret, &self.secret_file) {
            (Some(secret), _) => Ok(secret.clone()),
            // Editors end files with a line break that is no part of the secret.
            (None, Some(file)) => Ok(std::fs::read_to_string(file)?.trim().into()),
            (None, None) => Err(io::Error::other("the key has no shared secret")),
        }
    }

    fn public_pem(&self) -> io::Result<String> {
        match (&self.public_key, &self.public_key_file) {
            (Some(pem), _) => Ok(pem.clone()),
            (None, Some(file)) => std::fs::read_to_string(file),
            (None, None) => Err(io::Error::other("the key has no public key")),
        }
    }
}
