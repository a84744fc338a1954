//! What a verification costs: the first of a token, the next ones, and those beside a revocation.
//!
//! `cargo run --release -p fanfare-identity --example verify_speed`

use std::error::Error;
use std::io::{Write, stdout};
use std::sync::Arc;
use std::time::Instant;

use fanfare_core::{MemoryLog, Millis};
use fanfare_identity::{
    Gate, GateConfig, KeyAlgorithm, KeyConfig, KeyMaterial, MintRequest, Revocation, Revocations, SigningKey,
    SigningKeyConfig, SigningMaterial, Verdict,
};

const NOW: Millis = 1_800_000_000_000;
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const TOKENS: usize = 2_000;
const AGAIN: usize = 200_000;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    for algorithm in [KeyAlgorithm::HS256, KeyAlgorithm::RS256, KeyAlgorithm::ES256, KeyAlgorithm::EdDSA] {
        let (gate, key) = gate(algorithm)?;
        let tokens = (0..TOKENS).map(|number| token(&key, number)).collect::<Outcome<Vec<_>>>()?;
        let first = micros(&gate, &tokens, TOKENS)?;
        let again = micros(&gate, &tokens, AGAIN)?;
        let ban = Revocation::Subject { subject: "somebody".into(), issued_before: None };
        gate.revocations().revoke(ban, None, NOW, None)?;
        let checked = micros(&gate, &tokens, AGAIN)?;
        let bytes = tokens.first().map_or(0, String::len);
        writeln!(
            stdout(),
            "{algorithm}: {bytes} bytes, first {first:.2} µs, remembered {again:.3} µs, with revocations {checked:.3} µs"
        )?;
    }
    Ok(())
}

/// Microseconds of one verification, over `times` of them.
fn micros(gate: &Gate, tokens: &[String], times: usize) -> Outcome<f64> {
    let start = Instant::now();
    for token in tokens.iter().cycle().take(times) {
        if !matches!(gate.verify(token, NOW), Verdict::Principal(_)) {
            return Err("a good token was not let in".into());
        }
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / times as f64)
}

fn gate(algorithm: KeyAlgorithm) -> Outcome<(Gate, SigningKey)> {
    let (verifies, signs) = key_pair(algorithm)?;
    let id = Some("k".to_owned());
    let key = SigningKey::new(&SigningKeyConfig { id: id.clone(), algorithm, material: signs })?;
    let revocations = Arc::new(Revocations::load(Arc::new(MemoryLog::new(1)), NOW)?);
    let keys = vec![KeyConfig { id, algorithm, material: verifies }];
    Ok((Gate::new(&GateConfig { keys, ..GateConfig::default() }, revocations)?, key))
}

fn key_pair(algorithm: KeyAlgorithm) -> Outcome<(KeyMaterial, SigningMaterial)> {
    let pair = match algorithm {
        KeyAlgorithm::HS256 => return Ok((KeyMaterial::Secret(SECRET.into()), SigningMaterial::Secret(SECRET.into()))),
        KeyAlgorithm::RS256 => rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048),
        KeyAlgorithm::ES256 => rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        KeyAlgorithm::EdDSA => rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519),
    }?;
    let signs = SigningMaterial::PrivateKeyPem(pair.serialize_pem().into());
    Ok((KeyMaterial::PublicKeyPem(pair.public_key_pem()), signs))
}

fn token(key: &SigningKey, number: usize) -> Outcome<String> {
    let request = MintRequest {
        sub: Some(format!("user-{number}")),
        allow: vec!["publish:default/users/${sub}/*".into(), "subscribe:default/room-*".into()],
        ttl_ms: 60_000,
        issued_at: NOW,
        ..MintRequest::default()
    };
    Ok(fanfare_identity::mint(key, &request)?)
}
