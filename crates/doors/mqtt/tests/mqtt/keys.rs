//! Tokens for tests, and a server of key sets.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfare_identity::{
    GateConfig, JwksConfig, KeyAlgorithm, KeyConfig, KeyMaterial, MintRequest, SigningKey, SigningKeyConfig,
    SigningMaterial, mint,
};
use fanfare_testkit::TEST_SECRET;

fn signed(algorithm: KeyAlgorithm, material: SigningMaterial, sub: &str, allow: &[&str]) -> String {
    let id = (algorithm == KeyAlgorithm::EdDSA).then(|| "published".to_owned());
    let key = SigningKey::new(&SigningKeyConfig { id, algorithm, material }).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let allow = allow.iter().map(|rule| (*rule).to_owned()).collect();
    let request =
        MintRequest { sub: Some(sub.into()), allow, ttl_ms: 60_000, issued_at: now, ..MintRequest::default() };
    mint(&key, &request).unwrap()
}

/// A token that the test server's own key verifies.
pub(crate) fn token(allow: &[&str]) -> String {
    token_of("ann", allow)
}

pub(crate) fn token_of(sub: &str, allow: &[&str]) -> String {
    signed(KeyAlgorithm::HS256, SigningMaterial::Secret(TEST_SECRET.to_owned().into()), sub, allow)
}

/// The same for a gate that lets in nobody without one.
pub(crate) fn closed_gate() -> GateConfig {
    let material = KeyMaterial::Secret(TEST_SECRET.to_owned().into());
    let key = KeyConfig { id: None, algorithm: KeyAlgorithm::HS256, material };
    GateConfig { keys: vec![key], is_token_required: true, ..GateConfig::default() }
}

/// A gate whose keys are published at an address that answers after `delay`, and a token.
pub(crate) fn published_gate(delay: Duration) -> (GateConfig, String) {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
    let set = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"published","x":"{x}"}}]}}"#);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let lines = BufReader::new(socket.try_clone().unwrap()).lines();
            lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
            std::thread::sleep(delay);
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", set.len());
            // A client that gave up is no failure.
            let _ = socket.write_all(format!("{head}{set}").as_bytes());
        }
    });
    let gate = GateConfig { jwks: vec![JwksConfig::new(url)], is_token_required: true, ..GateConfig::default() };
    let material = SigningMaterial::PrivateKeyPem(pair.serialize_pem().into());
    (gate, signed(KeyAlgorithm::EdDSA, material, "ann", &["*:default/*"]))
}

/// A gate whose keys are published where nobody answers.
pub(crate) fn unreachable_gate() -> GateConfig {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let jwks = vec![JwksConfig::new(format!("http://{address}/keys"))];
    GateConfig { jwks, is_token_required: true, ..GateConfig::default() }
}
