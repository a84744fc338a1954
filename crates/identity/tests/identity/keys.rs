//! Reading keys from configuration.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fanfare_identity::{
    CANDIDATES_MAX, ConfigError, KeyAlgorithm, KeyConfig, KeyMaterial, Keys, SigningKey, SigningKeyConfig,
    SigningMaterial,
};

use crate::support::{NOW, Pair, SECRET, admitted, gate_with};

fn key(id: Option<&str>, algorithm: KeyAlgorithm, material: KeyMaterial) -> KeyConfig {
    KeyConfig { id: id.map(str::to_owned), algorithm, material }
}

fn error(config: KeyConfig) -> ConfigError {
    Keys::new(&[config]).unwrap_err()
}

#[test]
fn a_short_secret_is_refused_without_being_shown() {
    let short = "hunter2-hunter2-hunter2-hunter2";
    let config = key(None, KeyAlgorithm::HS256, KeyMaterial::Secret(short.into()));
    assert!(!format!("{config:?}").contains("hunter2"));
    let error = error(config);
    let expected = ConfigError::SecretTooShort { key: "number 1".into(), bytes: 31 };
    assert_eq!(error, expected);
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[test]
fn secrets_are_read_from_either_base64() {
    let secret = [0xfb; 32];
    let signing = SigningKeyConfig {
        id: None,
        algorithm: KeyAlgorithm::HS256,
        material: SigningMaterial::SecretBase64(STANDARD.encode(secret).into()),
    };
    let signing = SigningKey::new(&signing).unwrap();
    let token = crate::support::mint(&signing, "ann", &[], &[]);
    for text in [
        STANDARD.encode(secret),
        STANDARD.encode(secret).trim_end_matches('=').to_owned(),
        URL_SAFE_NO_PAD.encode(secret),
        format!("{}\n", STANDARD.encode(secret)),
    ] {
        let material = KeyMaterial::SecretBase64(text.into());
        let mut config = crate::support::config();
        config.keys = vec![key(None, KeyAlgorithm::HS256, material)];
        admitted(gate_with(&config).verify(&token, NOW));
    }
    let material = KeyMaterial::SecretBase64("not base64!".into());
    let error = error(key(Some("k"), KeyAlgorithm::HS256, material));
    assert!(matches!(error, ConfigError::SecretBase64 { .. }));
}

#[test]
fn material_and_algorithm_must_fit() {
    let secret = KeyMaterial::Secret(SECRET.into());
    let mismatch = error(key(None, KeyAlgorithm::RS256, secret));
    assert!(mismatch.to_string().contains("public_key_pem"), "{mismatch}");
    let pem = |algorithm| match Pair::generate(None, algorithm).config.material {
        KeyMaterial::PublicKeyPem(pem) => pem,
        other => panic!("{other:?}"),
    };
    let mismatch = error(key(None, KeyAlgorithm::HS256, KeyMaterial::PublicKeyPem(pem(KeyAlgorithm::ES256))));
    assert!(mismatch.to_string().contains("secret_base64"), "{mismatch}");
    let algorithms = [KeyAlgorithm::RS256, KeyAlgorithm::ES256, KeyAlgorithm::EdDSA];
    for found in algorithms {
        let pem = pem(found);
        for wanted in algorithms {
            let read = Keys::new(&[key(None, wanted, KeyMaterial::PublicKeyPem(pem.clone()))]);
            assert_eq!(read.is_ok(), found == wanted, "{found} for {wanted}");
        }
    }
}

#[test]
fn keys_that_are_too_weak_or_private_are_refused() {
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let public = KeyMaterial::PublicKeyPem(p384.public_key_pem());
    assert!(matches!(
        error(key(None, KeyAlgorithm::ES256, public)),
        ConfigError::Pem { problem, .. } if problem.contains("P-256")
    ));
    let p256 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let private = KeyMaterial::PublicKeyPem(p256.serialize_pem());
    let error = error(key(None, KeyAlgorithm::ES256, private));
    assert!(matches!(error, ConfigError::Pem { problem, .. } if problem.contains("private")));
}

#[test]
fn a_private_key_of_openssl_signs() {
    // openssl genpkey writes Ed25519 keys without the public part (RFC 8410, version 1).
    let random = aws_lc_rs::rand::SystemRandom::new();
    let der = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8v1(&random).unwrap();
    let body = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    let config = SigningKeyConfig {
        id: None,
        algorithm: KeyAlgorithm::EdDSA,
        material: SigningMaterial::PrivateKeyPem(pem.into()),
    };
    let signing = SigningKey::new(&config).unwrap();
    assert!(!format!("{config:?} {signing:?}").contains(&body));
    let mut wrong = config;
    wrong.algorithm = KeyAlgorithm::RS256;
    assert!(matches!(SigningKey::new(&wrong), Err(ConfigError::Pem { .. })));
}

#[test]
fn sets_of_keys_are_bounded_and_their_ids_unique() {
    let secret = || KeyMaterial::Secret(SECRET.into());
    let named = key(Some("k"), KeyAlgorithm::HS256, secret());
    let twice = Keys::new(&[named.clone(), named]).unwrap_err();
    assert_eq!(twice, ConfigError::DuplicateId("k".into()));
    let mut many = vec![key(None, KeyAlgorithm::HS256, secret()); CANDIDATES_MAX];
    assert_eq!(Keys::new(&many).unwrap().len(), CANDIDATES_MAX);
    many.push(many[0].clone());
    assert_eq!(Keys::new(&many).unwrap_err(), ConfigError::TooManyKeys);
}
