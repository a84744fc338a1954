//! Minted tokens are those that a gate admits.

use fanfare_identity::{GateConfig, MintError, MintRequest, TokenError, mint};
use serde_json::json;

use crate::support::{NOW, Pair, SECRET, admitted, config, gate_with, refused};

fn request() -> MintRequest {
    MintRequest { sub: Some("ann".into()), ttl_ms: 1_500, issued_at: NOW + 700, ..MintRequest::default() }
}

#[test]
fn further_claims_travel_and_ids_differ() {
    let key = Pair::secret(Some("k"), SECRET).signing;
    let mut config: GateConfig = config();
    config.claims.audiences = vec!["fanfare".into()];
    config.claims.leeway_ms = 0;
    let gate = gate_with(&config);
    let mut request = request();
    assert_eq!(refused(gate.verify(&mint(&key, &request).unwrap(), NOW)).code(), "token_claims");
    request.extra.insert("aud".into(), json!(["fanfare"]));
    let first = admitted(gate.verify(&mint(&key, &request).unwrap(), NOW));
    let second = admitted(gate.verify(&mint(&key, &request).unwrap(), NOW));
    assert_ne!(first.token_id, second.token_id);
    // Whole seconds: issued at rounded down, the end rounded up.
    assert_eq!((first.issued_at, first.expires_at), (Some(NOW), Some(NOW + 3_000)));
    request.jti = Some("mine".into());
    let named = admitted(gate.verify(&mint(&key, &request).unwrap(), NOW));
    assert_eq!(named.token_id.as_deref(), Some("mine"));
}

#[test]
fn what_a_gate_would_refuse_is_not_minted() {
    let key = Pair::secret(None, SECRET).signing;
    let mut broken = request();
    broken.deny = vec!["publish".into()];
    let error = mint(&key, &broken).unwrap_err();
    assert!(matches!(&error, MintError::Refused(TokenError::Rule { .. })), "{error}");
    assert!(error.to_string().contains("\"publish\""));

    let mut empty = request();
    empty.sub = Some(String::new());
    assert!(matches!(mint(&key, &empty), Err(MintError::Refused(_))));

    let mut endless = request();
    endless.ttl_ms = 0;
    assert_eq!(mint(&key, &endless), Err(MintError::NoTimeToLive));

    for name in ["sub", "exp", "fanfare", "fanfare.allow"] {
        let mut own = request();
        own.extra.insert(name.into(), json!("x"));
        assert_eq!(mint(&key, &own), Err(MintError::OwnClaim(name.into())));
    }

    let mut huge = request();
    huge.extra.insert("x".into(), json!("x".repeat(20_000)));
    assert!(matches!(mint(&key, &huge), Err(MintError::Refused(TokenError::TooLarge { .. }))));
}
