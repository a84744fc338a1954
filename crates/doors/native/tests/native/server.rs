//! Servers for tests, and credentials that they accept.

use std::sync::Arc;

use fanfare_core::{Grant, Position, Principal};
use fanfare_identity::{
    ClaimRules, GateConfig, GrantRules, KeyAlgorithm, KeyConfig, KeyMaterial, MintRequest, SigningKey,
    SigningKeyConfig, SigningMaterial, mint,
};
use fanfare_native::NativeDoor;
use fanfare_testkit::{TEST_SECRET, TestServer, TestServerOptions};

/// A development server with the native door.
pub(crate) fn start() -> TestServer {
    start_with(|_| {})
}

pub(crate) fn start_with(change: impl FnOnce(&mut TestServerOptions)) -> TestServer {
    let mut options = TestServerOptions { doors: vec![Arc::new(NativeDoor)], ..TestServerOptions::default() };
    change(&mut options);
    TestServer::start(options).unwrap()
}

/// A gate that asks for a token and gives clocks no leeway.
pub(crate) fn strict_gate() -> GateConfig {
    let material = KeyMaterial::Secret(TEST_SECRET.to_owned().into());
    GateConfig {
        keys: vec![KeyConfig { id: None, algorithm: KeyAlgorithm::HS256, material }],
        claims: ClaimRules { leeway_ms: 0, ..ClaimRules::default() },
        anonymous: GrantRules::default(),
        is_token_required: true,
        ..GateConfig::default()
    }
}

/// A token of `ann` with these rules.
pub(crate) fn token(allow: &[&str]) -> String {
    token_for("ann", allow, 60_000, now())
}

pub(crate) fn token_for(subject: &str, allow: &[&str], ttl_ms: u64, issued_at: u64) -> String {
    let material = SigningMaterial::Secret(TEST_SECRET.to_owned().into());
    let key = SigningKey::new(&SigningKeyConfig { id: None, algorithm: KeyAlgorithm::HS256, material }).unwrap();
    let request = MintRequest {
        sub: Some(subject.to_owned()),
        allow: allow.iter().map(|rule| (*rule).to_owned()).collect(),
        ttl_ms,
        issued_at,
        ..MintRequest::default()
    };
    mint(&key, &request).unwrap()
}

pub(crate) fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Whether somebody listens to exactly this topic.
pub(crate) fn is_subscribed(server: &TestServer, topic: &str) -> bool {
    let page = server.gateway.core.topics("default", topic, None, 10);
    page.iter().any(|summary| &*summary.topic == topic && summary.is_subscribed)
}

/// Somebody who may do everything.
pub(crate) fn everybody() -> Arc<Principal> {
    Arc::new(Principal::anonymous(Grant::everything()))
}

/// Publishes a text in the default space, past every transport.
pub(crate) fn publish(server: &TestServer, topic: &str, text: impl Into<String>) -> Position {
    let publication = server.gateway.text(topic, text.into()).unwrap();
    let published = server.gateway.core.publish(&everybody(), publication, None, server.gateway.clock.now(), None);
    published.unwrap().position
}
