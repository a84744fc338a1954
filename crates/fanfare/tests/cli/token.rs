//! `fanfare token`: what it makes, a gate takes.

use std::sync::Arc;
use std::time::SystemTime;

use fanfare_core::{Action, MemoryLog, TopicName};
use fanfare_identity::{Gate, GateConfig, KeyAlgorithm, KeyConfig, KeyMaterial, Revocations, Verdict};

use crate::fanfare::Fanfare;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn verdict(token: &str, id: &str, secret: &str) -> Verdict {
    let config = GateConfig {
        keys: vec![KeyConfig {
            id: Some(id.to_owned()),
            algorithm: KeyAlgorithm::HS256,
            material: KeyMaterial::Secret(secret.into()),
        }],
        ..GateConfig::default()
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = now.as_millis() as u64;
    let revocations = Revocations::load(Arc::new(MemoryLog::new(1)), now).unwrap();
    let gate = Gate::new(&config, Arc::new(revocations)).unwrap();
    gate.verify(token.trim_end(), now)
}

#[test]
fn a_configured_key_signs() {
    let fanfare = Fanfare::new();
    let keys = format!("[auth]\nkeys = [{{id = 'main', secret = '{SECRET}'}}]\n");
    fanfare.write("fanfare.toml", &keys);
    let rules = ["--allow", "subscribe:default/room-*", "--deny", "subscribe:default/room-9"];
    let done = fanfare.run(&[&["token", "--sub", "ada", "--ttl", "5m"][..], &rules].concat());
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    let Verdict::Principal(ada) = verdict(&done.out, "main", SECRET) else {
        panic!("refused: {}", done.out);
    };
    assert_eq!(ada.subject.as_deref(), Some("ada"));
    let allows = |topic: &str| {
        let topic = TopicName::new(topic).unwrap();
        ada.grant.allows(Action::Subscribe, "default", &topic)
    };
    assert!(allows("room-1") && !allows("room-9") && !allows("other"));
}

#[test]
fn development_mode_has_a_key_of_its_own() {
    let fanfare = Fanfare::new();
    let arguments = ["token", "--sub", "ada", "--allow", "*:default/#", "--data", "kept"];
    let done = fanfare.run(&arguments);
    assert_eq!(done.code, Some(0), "{done:?}");
    let key = std::fs::read_to_string(fanfare.folder().join("kept/development.key")).unwrap();
    assert!(matches!(verdict(&done.out, "development", key.trim()), Verdict::Principal(_)));
    let again = fanfare.run(&arguments);
    assert!(matches!(verdict(&again.out, "development", key.trim()), Verdict::Principal(_)));
}

#[test]
fn what_cannot_be_signed_is_said() {
    let fanfare = Fanfare::new();
    let keys = format!("[auth]\nkeys = [{{id = 'main', secret = '{SECRET}'}}]\n");
    fanfare.write("fanfare.toml", &keys);
    let done = fanfare.run(&["token", "--key-id", "mian"]);
    assert_eq!(done.code, Some(2));
    assert!(done.err.contains("did you mean \"main\"?"), "{done:?}");
    let done = fanfare.run(&["token", "--allow", "subscrbe:default/a"]);
    assert_eq!(done.code, Some(2));
    assert!(done.err.contains("unknown action"), "{done:?}");
    fanfare.write("fanfare.toml", "[auth]\njwks = 'https://a.example/keys'\n");
    let done = fanfare.run(&["token", "--sub", "ada"]);
    assert_eq!(done.code, Some(2));
    assert!(done.err.contains("no configured key can sign"), "{done:?}");
}
