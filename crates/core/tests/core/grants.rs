//! What a grant allows, on topics and on filters.

use fanfare_core::{Action, Effect, Grant, Principal, Refusal, Rule, Since};
use fanfare_core::{MemoryLog, SpaceSettings};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::Arc;

use crate::matching::{any_filter, any_topic};
use crate::support::{Bench, filter, publication, space, topic};

fn grant(allow: &[String], deny: &[String]) -> Grant {
    let rule = |effect| move |text: &String| Rule::parse(effect, &format!("*:default/{text}"), None).unwrap();
    Grant::new(allow.iter().map(rule(Effect::Allow)).chain(deny.iter().map(rule(Effect::Deny))).collect())
}

fn any_pattern() -> impl Strategy<Value = String> {
    let piece = select(vec!["a", "b", "/", "/", "*", "+", "$SYS", "aa"]);
    (vec(piece, 1..6), any::<bool>()).prop_map(|(pieces, is_below)| {
        let text = pieces.concat();
        if is_below { format!("{text}/#") } else { text }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_that_is_allowed_reaches_no_topic_that_is_not(
        allow in vec(any_pattern(), 1..4),
        deny in vec(any_pattern(), 0..3),
        filters in vec(any_filter(), 1..8),
        topics in vec(any_topic(), 1..24),
    ) {
        let grant = grant(&allow, &deny);
        for filter in filters.iter().filter(|filter| grant.allows_filter(Action::Subscribe, "default", filter)) {
            for name in topics.iter().filter(|name| filter.matches(name)) {
                prop_assert!(grant.allows(Action::Subscribe, "default", &topic(name)), "{} reaches {}", filter, name);
            }
        }
    }
}

fn limited() -> Principal {
    let allow = ["room/*".to_owned(), "open".to_owned()];
    Principal::anonymous(grant(&allow, &["room/secret".to_owned()]))
}

#[test]
fn a_deny_wins_over_every_allow() {
    let bench = Bench::open(Arc::new(MemoryLog::new(1)), 1, SpaceSettings::default());
    let publish = |name| bench.core.publish(&limited(), publication(name, "x"), None, 0, None);
    assert!(publish("room/1").is_ok());
    assert!(matches!(publish("room/secret"), Err(Refusal::Denied { action: "publish", .. })));
    assert!(matches!(publish("elsewhere"), Err(Refusal::Denied { .. })));
    assert_eq!(bench.core.head(&space()).unwrap().offset, 1);
}

#[test]
fn every_operation_asks_the_grant() {
    let bench = Bench::open(Arc::new(MemoryLog::new(1)), 1, SpaceSettings::default());
    let (who, at, secret) = (limited(), space(), topic("room/secret"));
    let join = |text| bench.core.join(&who, &at, &filter(text), Since::Now, 0, &mut || {});
    assert!(join("open").is_ok());
    assert!(join("room/secret").is_err());
    assert!(join("room/+").is_err(), "it would reach the secret room");
    assert!(join("#").is_err());
    assert!(bench.core.history(&who, &at, &filter("room/+"), Since::Beginning, 9).is_err());
    assert!(bench.core.history(&who, &at, &filter("open"), Since::Beginning, 9).is_ok());
    assert!(bench.core.enter(&who, &at, &secret, &"ann".into(), "".into(), 0).is_err());
    assert!(bench.core.update_member(&who, &at, &secret, "ann", "1".into(), 0).is_err());
    assert!(bench.core.members(&who, &at, &secret, None, 9).is_err());
    assert_eq!(bench.core.publish_batch(&who, vec![], 0, None).unwrap_err().code(), "invalid_batch");
}
