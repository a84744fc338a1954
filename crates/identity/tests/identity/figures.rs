//! What a verification costs. Run with
//! `cargo test --release -p fanfare-identity --test identity figures -- --ignored --nocapture`.

use std::time::Instant;

use fanfare_identity::{KeyAlgorithm, Revocation};

use crate::support::{NOW, Pair, admitted, gate_of};

fn micros(times: u32, mut work: impl FnMut(u32)) -> f64 {
    let start = Instant::now();
    for number in 0..times {
        work(number);
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}

#[test]
#[ignore = "measures; asserts nothing"]
fn figures() {
    let rules = ["publish:default/users/${sub}/*", "subscribe:default/room-*"];
    for algorithm in [KeyAlgorithm::HS256, KeyAlgorithm::RS256, KeyAlgorithm::ES256, KeyAlgorithm::EdDSA] {
        let pair = Pair::generate(Some("k"), algorithm);
        let gate = gate_of(&[&pair]);
        let tokens: Vec<_> = (0..2_000).map(|number| pair.token(&format!("user-{number}"), &rules)).collect();
        let first = micros(2_000, |n| drop(admitted(gate.verify(&tokens[n as usize], NOW))));
        let again = micros(200_000, |n| {
            drop(admitted(gate.verify(&tokens[n as usize % 2_000], NOW)));
        });
        let ban = Revocation::Subject { subject: "somebody".into(), issued_before: None };
        gate.revocations().revoke(ban, None, NOW, None).unwrap();
        let checked = micros(200_000, |n| {
            drop(admitted(gate.verify(&tokens[n as usize % 2_000], NOW)));
        });
        let bytes = tokens[0].len();
        println!(
            "{algorithm}: {bytes} bytes, first {first:.2} µs, remembered {again:.3} µs, with revocations {checked:.3} µs"
        );
    }
}
