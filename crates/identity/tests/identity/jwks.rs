//! Published key sets: fetching, rotation, and what a stranger can cause.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fanfare_identity::{Gate, GateConfig, JwksConfig, KeyAlgorithm, TokenError, Verdict};

use crate::support::{KeyServer, NOW, Pair, SECRET, admitted, eventually, gate_with, no_revocations, refused};

fn pair(id: &str) -> Pair {
    Pair::generate(Some(id), KeyAlgorithm::EdDSA)
}

fn gate_at(server: &KeyServer) -> Gate {
    gate_with(&config_at(server))
}

fn config_at(server: &KeyServer) -> GateConfig {
    GateConfig { jwks: vec![JwksConfig::new(&server.url)], ..GateConfig::default() }
}

#[tokio::test]
async fn keys_of_every_public_algorithm_are_fetched_when_a_token_needs_them() {
    let pairs = [KeyAlgorithm::RS256, KeyAlgorithm::ES256, KeyAlgorithm::EdDSA]
        .map(|algorithm| Pair::generate(Some(algorithm.name()), algorithm));
    let server = KeyServer::start(&pairs.each_ref()).await;
    let gate = gate_at(&server);
    let first = pairs[0].token("ann", &[]);
    assert!(matches!(gate.verify(&first, NOW), Verdict::NeedsKeys));
    assert!(!gate.is_ready());
    gate.verify_with_fetch(&first, NOW).await.unwrap();
    assert!(gate.is_ready());
    for pair in &pairs {
        admitted(gate.verify(&pair.token("ann", &[]), NOW));
    }
    assert_eq!((server.hits(), gate.key_count()), (1, 3));
}

#[tokio::test]
async fn rotated_keys_are_found_and_old_ones_dropped() {
    let (old, new) = (pair("old"), pair("new"));
    let server = KeyServer::start(&[&old]).await;
    let gate = gate_at(&server);
    let old_token = old.token("ann", &[]);
    gate.verify_with_fetch(&old_token, NOW).await.unwrap();
    server.publish(&[&new]);
    // A remembered token costs no fetch.
    admitted(gate.verify(&old_token, NOW + 30_000));
    let new_token = new.token("ann", &[]);
    assert!(matches!(gate.verify(&new_token, NOW + 30_000), Verdict::NeedsKeys));
    gate.verify_with_fetch(&new_token, NOW + 30_000).await.unwrap();
    // The memory went with the key.
    let error = refused(gate.verify(&old_token, NOW + 30_001));
    assert_eq!(error, TokenError::KeyUnknown("old".into()));
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn unknown_keys_cause_one_fetch_in_thirty_seconds() {
    let (known, stranger) = (pair("known"), pair("stranger"));
    let server = KeyServer::start(&[&known]).await;
    let gate = gate_at(&server);
    let token = known.token("ann", &[]);
    gate.verify_with_fetch(&token, NOW).await.unwrap();
    let forged = stranger.token("ann", &["*:*/*"]);
    for late in [1, 10_000, 29_999] {
        let error = refused(gate.verify(&forged, NOW + late));
        assert_eq!(error, TokenError::KeyUnknown("stranger".into()));
    }
    let later = NOW + 30_000;
    let error = gate.verify_with_fetch(&forged, later).await.unwrap_err();
    assert_eq!(error, TokenError::KeyUnknown("stranger".into()));
    refused(gate.verify(&forged, later + 1));
    // The set is unchanged, so what was verified stays remembered.
    assert_eq!((server.hits(), gate.cached_tokens()), (2, 1));
    // Neither a bad signature under a known id nor HS256 is a reason to fetch.
    let impostor = Pair::generate(Some("known"), KeyAlgorithm::EdDSA).token("ann", &[]);
    assert_eq!(refused(gate.verify(&impostor, later + 60_000)), TokenError::Signature);
    let shared = Pair::secret(Some("x"), SECRET).token("ann", &[]);
    assert_eq!(refused(gate.verify(&shared, later + 60_000)).code(), "token_algorithm");
    assert_eq!(server.hits(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_shares_one_fetch() {
    let pair = pair("k");
    let server = KeyServer::start(&[&pair]).await;
    server.is_held.send(true).unwrap();
    let gate = Arc::new(gate_at(&server));
    let started = Arc::new(AtomicUsize::new(0));
    let herd: Vec<_> = (0..50)
        .map(|number| {
            let token = pair.token(&format!("user-{number}"), &[]);
            let (gate, started) = (gate.clone(), started.clone());
            tokio::spawn(async move {
                started.fetch_add(1, Ordering::SeqCst);
                gate.verify_with_fetch(&token, NOW).await
            })
        })
        .collect();
    eventually("all ask", || started.load(Ordering::SeqCst) == 50 && server.hits() == 1).await;
    // One of them leaves; the fetch goes on for the others.
    herd[0].abort();
    server.is_held.send(false).unwrap();
    for member in herd.into_iter().skip(1) {
        member.await.unwrap().unwrap();
    }
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn old_keys_stay_while_the_server_fails() {
    let (known, new) = (pair("known"), pair("new"));
    let server = KeyServer::start(&[&known]).await;
    let mut config = config_at(&server);
    config.jwks[0].refetch_interval_ms = 10_000;
    let gate = gate_with(&config);
    gate.verify_with_fetch(&known.token("ann", &[]), NOW).await.unwrap();
    let token = new.token("ann", &[]);
    let oversized = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(300 * 1024));
    let answers = [(500, String::new()), (200, "<html>".into()), (200, oversized)];
    for (number, (status, body)) in answers.into_iter().enumerate() {
        server.answer(status, body);
        let now = NOW + 10_000 * (number as u64 + 1);
        let error = gate.verify_with_fetch(&token, now).await.unwrap_err();
        assert_eq!(error, TokenError::KeysUnavailable);
        assert!(error.retryable());
        admitted(gate.verify(&known.token("bob", &[]), NOW + 1));
    }
    assert_eq!(server.hits(), 4);
    server.publish(&[&known, &new]);
    gate.verify_with_fetch(&token, NOW + 40_000).await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let pair = pair("k");
    let server = KeyServer::start(&[&pair]).await;
    server.is_held.send(true).unwrap();
    let mut config = config_at(&server);
    config.jwks[0].fetch_timeout = Duration::from_millis(50);
    let gate = gate_with(&config);
    let token = pair.token("ann", &[]);
    let error = gate.verify_with_fetch(&token, NOW).await.unwrap_err();
    assert_eq!(error, TokenError::KeysUnavailable);
    // Without any keys the next attempt may come after a second.
    assert_eq!(refused(gate.verify(&token, NOW + 999)), TokenError::KeysUnavailable);
    server.is_held.send(false).unwrap();
    gate.verify_with_fetch(&token, NOW + 1_000).await.unwrap();
}

#[tokio::test]
async fn sets_are_renewed_in_the_background_and_follow_the_configuration() {
    let (first, second, third) = (pair("1"), pair("2"), pair("3"));
    let server = KeyServer::start(&[&first]).await;
    server.cache_control("max-age=0");
    let mut config = config_at(&server);
    config.jwks[0].ttl_min_ms = 20;
    let gate = Gate::new(&config, no_revocations()).unwrap();
    let task = tokio::spawn(gate.keep_keys_fresh());
    eventually("fetched at once", || gate.is_ready()).await;
    admitted(gate.verify(&first.token("ann", &[]), NOW));
    server.publish(&[&second]);
    let token = second.token("ann", &[]);
    let is_known = |token: &str| matches!(gate.verify(token, NOW), Verdict::Principal(_));
    eventually("renewed", || is_known(&token)).await;
    // Another URL after a reload.
    let other = KeyServer::start(&[&third]).await;
    gate.replace(&config_at(&other)).unwrap();
    let token = third.token("ann", &[]);
    eventually("the new URL is fetched", || is_known(&token)).await;
    assert_eq!(gate.key_count(), 1);
    // The same URL again keeps its keys without a fetch.
    gate.replace(&config_at(&other)).unwrap();
    assert!(is_known(&token));
    task.abort();
}
