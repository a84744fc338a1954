//! Tokens against configured keys: signatures, times, claims, rules, memory.

use std::sync::Arc;

use fanfare_core::{Action, Effect, Grant, Rule};
use fanfare_identity::{
    CACHE_ENTRIES_MAX, ConfigError, Gate, GateConfig, GrantRules, KeyAlgorithm, RULES_MAX, TOKEN_BYTES_MAX, TokenError,
};
use serde_json::{Value, json};

use crate::support::{
    NOW, NOW_S, Pair, SECRET, admitted, config, gate_of, gate_with, hs256, may, mint, no_revocations, refused, signed,
    signed_with,
};

const ALGORITHMS: [KeyAlgorithm; 4] =
    [KeyAlgorithm::HS256, KeyAlgorithm::RS256, KeyAlgorithm::ES256, KeyAlgorithm::EdDSA];

fn claims(more: Value) -> Value {
    let mut claims = json!({ "sub": "ann", "exp": NOW_S + 60 });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

#[test]
fn every_algorithm_admits_its_own_tokens_and_no_changed_ones() {
    for algorithm in ALGORITHMS {
        let pair = Pair::generate(Some("k"), algorithm);
        let gate = gate_of(&[&pair]);
        let token = pair.token("ann", &["publish:default/users/${sub}/*"]);
        let principal = admitted(gate.verify(&token, NOW));
        assert_eq!(principal.subject.as_deref(), Some("ann"));
        assert_eq!(principal.issued_at, Some(NOW));
        assert_eq!(principal.expires_at, Some(NOW + 60_000 + 5_000));
        assert!(principal.token_id.is_some());
        assert!(may(&principal, Action::Publish, "users/ann/x"));
        assert!(!may(&principal, Action::Publish, "users/bob/x"));

        let other = Pair::generate(Some("k"), algorithm);
        if algorithm != KeyAlgorithm::HS256 {
            let verdict = gate.verify(&other.token("ann", &[]), NOW);
            assert_eq!(refused(verdict), TokenError::Signature, "{algorithm}");
        }
        let (message, signature) = token.rsplit_once('.').unwrap();
        let other_token = other.token("bob", &["*:*/*"]);
        let other_claims = other_token.split('.').nth(1).unwrap();
        let header = message.split('.').next().unwrap();
        let mixed = format!("{header}.{other_claims}.{signature}");
        assert_eq!(refused(gate.verify(&mixed, NOW)), TokenError::Signature);
        let unsigned = format!("{message}.");
        assert_eq!(refused(gate.verify(&unsigned, NOW)), TokenError::Signature);
    }
}

#[test]
fn a_public_key_never_serves_as_a_shared_secret() {
    let rsa = Pair::generate(Some("rsa"), KeyAlgorithm::RS256);
    let fanfare_identity::KeyMaterial::PublicKeyPem(pem) = &rsa.config.material else {
        panic!("RSA keys are PEM");
    };
    let header = json!({ "alg": "HS256", "kid": "rsa" });
    let forged = signed_with(pem.as_bytes(), &header, &claims(json!({})));
    let verdict = gate_of(&[&rsa]).verify(&forged, NOW);
    assert_eq!(refused(verdict).code(), "token_algorithm");
    // Also where HS256 is in use under another id.
    let secret = Pair::secret(Some("secret"), SECRET);
    let verdict = gate_of(&[&rsa, &secret]).verify(&forged, NOW);
    assert_eq!(refused(verdict).code(), "token_key_unknown");
}

#[test]
fn unsigned_and_unknown_algorithms_are_refused() {
    let gate = gate_with(&config());
    for name in ["none", "None", "HS512", "PS256", ""] {
        let header = json!({ "alg": name });
        let error = refused(gate.verify(&signed(&header, &claims(json!({}))), NOW));
        assert_eq!(error, TokenError::Algorithm(name.to_owned()));
        assert!(!error.retryable());
    }
}

#[test]
fn the_kid_selects_among_keys() {
    let (a, b) = (Pair::secret(Some("a"), SECRET), Pair::secret(Some("b"), "b".repeat(32).as_str()));
    let gate = gate_of(&[&a, &b]);
    admitted(gate.verify(&a.token("ann", &[]), NOW));
    admitted(gate.verify(&b.token("ann", &[]), NOW));
    // Signed with a, but naming b.
    let token = signed(&json!({ "alg": "HS256", "kid": "b" }), &claims(json!({})));
    assert_eq!(refused(gate.verify(&token, NOW)), TokenError::Signature);
    let token = signed(&json!({ "alg": "HS256", "kid": "c" }), &claims(json!({})));
    assert_eq!(refused(gate.verify(&token, NOW)), TokenError::KeyUnknown("c".into()));
    // Without a kid all keys are tried; a key without an id is tried for any kid.
    admitted(gate.verify(&signed(&hs256(), &claims(json!({}))), NOW));
    let token = signed(&json!({ "alg": "HS256", "kid": "c" }), &claims(json!({})));
    admitted(gate_with(&config()).verify(&token, NOW));
}

#[test]
fn texts_that_are_no_tokens_are_refused() {
    let gate = gate_with(&config());
    let good = signed(&hs256(), &claims(json!({})));
    for text in ["", ".", "..", "a.b", "a.b.c", "a.b.c.d.e", "ä.ö.ü", &format!("{good}.x")] {
        assert_eq!(refused(gate.verify(text, NOW)).code(), "token_malformed", "{text}");
    }
    let critical = json!({ "alg": "HS256", "crit": ["b64"], "b64": false });
    let token = signed(&critical, &claims(json!({})));
    assert_eq!(refused(gate.verify(&token, NOW)).code(), "token_malformed");
    let token = signed(&hs256(), &json!(["no", "object"]));
    assert_eq!(refused(gate.verify(&token, NOW)).code(), "token_malformed");
    let long = "x".repeat(TOKEN_BYTES_MAX + 1);
    assert_eq!(refused(gate.verify(&long, NOW)).code(), "token_too_large");
}

#[test]
fn times_are_held_against_the_given_now() {
    let verify = |more: Value, now| {
        let gate = gate_with(&config());
        gate.verify(&signed(&hs256(), &claims(more)), now)
    };
    let end = (NOW_S + 60) * 1_000;
    // Five seconds of leeway on both sides.
    admitted(verify(json!({}), end + 4_999));
    let expired = refused(verify(json!({}), end + 5_000));
    assert_eq!(expired, TokenError::Expired { at: end });
    let later = json!({ "nbf": NOW_S + 10 });
    admitted(verify(later.clone(), NOW + 5_000));
    let early = refused(verify(later, NOW + 4_999));
    assert_eq!(early.code(), "token_not_yet_valid");
    assert!(early.retryable());
    // Fractions and absurd values.
    admitted(verify(json!({ "exp": NOW_S as f64 + 0.5 }), NOW));
    admitted(verify(json!({ "exp": u64::MAX }), NOW));
    admitted(verify(json!({ "exp": 1e300 }), NOW));
    for exp in [json!("soon"), json!(-1), json!(true), json!(null)] {
        assert_eq!(refused(verify(json!({ "exp": exp }), NOW)).code(), "token_claims");
    }
}

#[test]
fn exp_may_be_optional_but_a_token_is_always_revocable() {
    let mut config = config();
    let token = |claims: Value| signed(&hs256(), &claims);
    let endless = token(json!({ "sub": "ann" }));
    assert_eq!(refused(gate_with(&config).verify(&endless, NOW)).code(), "token_claims");
    config.claims.require_exp = false;
    let gate = gate_with(&config);
    assert_eq!(admitted(gate.verify(&endless, NOW)).expires_at, None);
    let nobody = token(json!({ "fanfare": { "allow": ["*:*/*"] } }));
    assert_eq!(refused(gate.verify(&nobody, NOW)).code(), "token_claims");
}

#[test]
fn issuer_and_audience_are_checked_when_configured() {
    let mut config = config();
    config.claims.issuers = vec!["https://a".into(), "https://b".into()];
    config.claims.audiences = vec!["fanfare".into()];
    let gate = gate_with(&config);
    let verify = |more| gate.verify(&signed(&hs256(), &claims(more)), NOW);
    admitted(verify(json!({ "iss": "https://b", "aud": "fanfare" })));
    admitted(verify(json!({ "iss": "https://a", "aud": ["x", "fanfare"] })));
    for (more, claim) in [
        (json!({ "aud": "fanfare" }), "iss"),
        (json!({ "iss": ["https://a"], "aud": "fanfare" }), "iss"),
        (json!({ "iss": "https://c", "aud": "fanfare" }), "iss"),
        (json!({ "iss": "https://a" }), "aud"),
        (json!({ "iss": "https://a", "aud": ["x"] }), "aud"),
        (json!({ "iss": "https://a", "aud": 7 }), "aud"),
    ] {
        match refused(verify(more)) {
            TokenError::Claims { claim: named, .. } => assert_eq!(named, claim),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn both_spellings_of_the_rules_are_read_and_add_up() {
    let gate = gate_with(&config());
    let token = signed(
        &hs256(),
        &claims(json!({
            "fanfare": { "allow": ["publish:default/a"] },
            "fanfare.allow": ["publish:default/b/*"],
            "fanfare.deny": ["publish:default/b/${sub}"],
        })),
    );
    let principal = admitted(gate.verify(&token, NOW));
    for (topic, expected) in [("a", true), ("b/x", true), ("b/ann", false), ("c", false)] {
        assert_eq!(may(&principal, Action::Publish, topic), expected, "{topic}");
    }
}

#[test]
fn a_broken_rule_refuses_the_token_and_is_named() {
    let gate = gate_with(&config());
    let verify = |more| refused(gate.verify(&signed(&hs256(), &claims(more)), NOW));
    let error = verify(json!({ "fanfare": { "allow": ["publish:default/a", "read:default/b"] } }));
    assert_eq!(error.code(), "token_rule");
    assert!(error.to_string().contains("read:default/b"), "{error}");
    for (more, claim) in [
        (json!({ "fanfare": { "denny": [] } }), "fanfare.denny"),
        (json!({ "fanfare.denied": [] }), "fanfare.denied"),
        (json!({ "fanfare": ["publish:default/a"] }), "fanfare"),
        (json!({ "fanfare": { "allow": "publish:default/a" } }), "fanfare.allow"),
        (json!({ "fanfare.deny": [1] }), "fanfare.deny"),
    ] {
        match verify(more) {
            TokenError::Claims { claim: named, .. } => assert_eq!(named, claim),
            other => panic!("{other:?}"),
        }
    }
    let rules = vec!["publish:d/a"; RULES_MAX];
    let full = json!({ "fanfare": { "allow": rules } });
    admitted(gate.verify(&signed(&hs256(), &claims(full.clone())), NOW));
    let mut over = full;
    over["fanfare"]["deny"] = json!(["publish:d/a"]);
    assert_eq!(verify(over).code(), "token_claims");
}

#[test]
fn a_token_without_rules_gets_the_default_grant() {
    let token = signed(&hs256(), &claims(json!({})));
    let principal = admitted(gate_with(&config()).verify(&token, NOW));
    assert_eq!(principal.grant, Grant::nothing());

    let mut config = config();
    config.claims.default_grant = GrantRules {
        allow: vec!["publish:default/users/${sub}/*".into()],
        deny: vec!["publish:default/users/*/secret".into()],
    };
    let gate = gate_with(&config);
    let principal = admitted(gate.verify(&token, NOW));
    assert!(may(&principal, Action::Publish, "users/ann/x"));
    assert!(!may(&principal, Action::Publish, "users/ann/secret"));
    // An empty claim says: nothing.
    let token = signed(&hs256(), &claims(json!({ "fanfare": {} })));
    assert_eq!(admitted(gate.verify(&token, NOW)).grant, Grant::nothing());

    config.claims.default_grant.deny = vec!["nonsense".into()];
    let error = Gate::new(&config, no_revocations()).unwrap_err();
    assert!(matches!(error, ConfigError::Rule { .. }) && error.to_string().contains("nonsense"));
}

#[test]
fn odd_subjects_are_refused() {
    let gate = gate_with(&config());
    for sub in [json!(""), json!(7), json!("a\nb"), json!("x".repeat(1_025))] {
        let token = signed(&hs256(), &claims(json!({ "sub": sub })));
        assert_eq!(refused(gate.verify(&token, NOW)).code(), "token_claims");
    }
}

#[test]
fn a_repeated_token_is_remembered_but_still_ends() {
    let gate = gate_with(&config());
    let token = signed(&hs256(), &claims(json!({})));
    let first = admitted(gate.verify(&token, NOW));
    let again = admitted(gate.verify(&token, NOW + 1));
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(gate.cached_tokens(), 1);
    let end = (NOW_S + 60) * 1_000;
    let error = refused(gate.verify(&token, end + 5_000));
    assert_eq!(error, TokenError::Expired { at: end });
    assert_eq!(gate.cached_tokens(), 0);
}

#[test]
fn refused_tokens_are_not_remembered_and_good_ones_are_bounded() {
    let gate = gate_with(&config());
    for number in 0..CACHE_ENTRIES_MAX + 500 {
        let token = signed(&hs256(), &claims(json!({ "jti": number.to_string() })));
        admitted(gate.verify(&token, NOW));
        assert!(gate.cached_tokens() <= CACHE_ENTRIES_MAX);
    }
    let before = gate.cached_tokens();
    let forged = signed_with(&[7; 32], &hs256(), &claims(json!({})));
    refused(gate.verify(&forged, NOW));
    assert_eq!(gate.cached_tokens(), before);
}

#[test]
fn replacing_keys_forgets_tokens_of_the_old_ones_at_once() {
    let (old, new) = (Pair::secret(None, SECRET), Pair::secret(None, &"n".repeat(32)));
    let gate = gate_of(&[&old]);
    let token = old.token("ann", &[]);
    admitted(gate.verify(&token, NOW));
    let config = GateConfig { keys: vec![new.config.clone()], ..GateConfig::default() };
    gate.replace(&config).unwrap();
    assert_eq!(refused(gate.verify(&token, NOW)), TokenError::Signature);
    admitted(gate.verify(&new.token("ann", &[]), NOW));
    // A configuration that is wrong changes nothing.
    let mut broken = config;
    broken.anonymous.allow = vec!["nonsense".into()];
    gate.replace(&broken).unwrap_err();
    admitted(gate.verify(&new.token("ann", &[]), NOW));
}

#[test]
fn without_a_token_the_configured_rules_apply() {
    let mut config = config();
    let anonymous = gate_with(&config).anonymous(NOW).unwrap();
    assert_eq!(anonymous.grant, Grant::nothing());
    config.anonymous.allow = vec!["subscribe:default/news".into()];
    let anonymous = gate_with(&config).anonymous(NOW).unwrap();
    assert!(may(&anonymous, Action::Subscribe, "news"));
    assert!(!may(&anonymous, Action::Publish, "news"));
    assert_eq!(anonymous.subject, None);
    config.is_token_required = true;
    let error = gate_with(&config).anonymous(NOW).unwrap_err();
    assert_eq!(error.code(), "token_missing");
}

#[test]
fn development_opens_everything_but_keeps_the_scope_of_a_token() {
    let pair = Pair::secret(None, SECRET);
    let gate = Gate::development(pair.config.clone(), no_revocations()).unwrap();
    assert_eq!(gate.anonymous(NOW).unwrap().grant, Grant::everything());
    let token = mint(&pair.signing, "ann", &["publish:default/*"], &[]);
    let rule = Rule::parse(Effect::Allow, "publish:default/*", Some("ann")).unwrap();
    let principal = admitted(gate.verify(&token, NOW));
    assert_eq!(principal.grant, Grant::new(vec![rule]));
    let forged = Pair::secret(None, &"x".repeat(32)).token("ann", &["*:*/*"]);
    assert_eq!(refused(gate.verify(&forged, NOW)), TokenError::Signature);
    // Configuring keys ends development.
    gate.replace(&config()).unwrap();
    assert_eq!(gate.anonymous(NOW).unwrap().grant, Grant::nothing());
}
