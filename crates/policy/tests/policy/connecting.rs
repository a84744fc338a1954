//! CONNECT: client ids, attributes, wills; and rules for the core.

use fanfare_policy::{
    ConnectRequest, ConnectionPolicy, Context, Decision, Effect, PolicySet, RuleAction, Will, compile,
};

use crate::set::{SCOPE, allow, deny, outcome, policies};

fn compiled(statements: &str) -> ConnectionPolicy {
    compile(&policies(statements), &Context::new().client_id("dev1"), &SCOPE)
}

fn request(attributes: &str) -> ConnectRequest<'static> {
    let will = attributes.contains('w').then_some(Will { topic: "wills/dev1", is_retained: attributes.contains('r') });
    ConnectRequest { client_id: "dev1", is_persistent: attributes.contains('p'), will }
}

/// Which of nothing, a persistent session, a will, and both are admitted.
fn admitted(set: &PolicySet) -> Vec<&'static str> {
    let policy = compile(set, &Context::new().client_id("dev1"), &SCOPE);
    ["", "p", "w", "pw"].into_iter().filter(|asked| policy.connect(&request(asked)).is_allowed()).collect()
}

fn connect_if(effect: &str, operator: &str, values: &str) -> String {
    let condition = format!(r#"{{"{operator}":{{"iot:ConnectAttributes":[{values}]}}}}"#);
    format!(r#"{{"Effect":"{effect}","Action":"iot:Connect","Resource":"*","Condition":{condition}}}"#)
}

#[test]
fn the_client_id_must_match() {
    for (pattern, client_id, expected) in [
        ("client/dev1", "dev1", true),
        ("client/dev1", "dev2", false),
        ("client/dev*", "dev2", true),
        ("client/dev?", "dev", false),
        ("client/${iot:ClientId}", "dev1", true),
        ("topic/dev1", "dev1", false),
    ] {
        let decision = compiled(&allow("iot:Connect", pattern)).connect(&ConnectRequest { client_id, ..request("") });
        assert_eq!(decision.is_allowed(), expected, "{pattern} for {client_id}");
    }
}

#[test]
fn a_client_id_with_wildcards_is_refused_where_policies_use_it() {
    let connect = allow("iot:Connect", "*");
    let user = allow("iot:Subscribe", "topicfilter/c/${iot:ClientId}/x");
    let thing = allow("iot:Subscribe", "topicfilter/c/${iot:Connection.Thing.ThingName}");
    for (statements, client_id, expected) in [
        (connect.clone(), "+", ('a', 0)),
        (format!("{connect},{user}"), "dev1", ('a', 0)),
        (format!("{connect},{user}"), "+", ('w', 1)),
        (format!("{connect},{user}"), "a#", ('w', 1)),
        (format!("{connect},{user}"), "a*", ('a', 0)),
        (format!("{connect},{connect},{thing}"), "+", ('w', 2)),
    ] {
        let policy = compile(&policies(&statements), &Context::new().client_id(client_id), &SCOPE);
        let decision = policy.connect(&ConnectRequest { client_id, ..request("") });
        assert_eq!(outcome(&decision), expected, "{client_id} with {statements}");
        if matches!(decision, Decision::WildcardClientId { .. }) {
            assert!(decision.to_string().contains("choose another client id"));
        }
    }
}

#[test]
fn attributes_follow_the_logic_of_iam() {
    let publish = allow("iot:Publish", "*");
    let plain = allow("iot:Connect", "*");
    for (statements, expected) in [
        (plain.clone(), &["", "p", "w", "pw"][..]),
        (connect_if("Allow", "ForAllValues:StringEquals", r#""PersistentConnect""#), &["", "p"]),
        (connect_if("Allow", "ForAllValues:StringEquals", r#""LastWill""#), &["", "w"]),
        (connect_if("Allow", "ForAllValues:StringEquals", r#""LastWill","PersistentConnect""#), &["", "p", "w", "pw"]),
        (connect_if("Allow", "ForAllValues:StringNotEquals", r#""PersistentConnect""#), &["", "w"]),
        (connect_if("Allow", "ForAnyValue:StringEquals", r#""PersistentConnect""#), &["p", "pw"]),
        (format!("{plain},{}", connect_if("Deny", "ForAnyValue:StringEquals", r#""PersistentConnect""#)), &["", "w"]),
        (format!("{plain},{}", connect_if("Deny", "ForAllValues:StringEquals", r#""LastWill""#)), &["p", "pw"]),
    ] {
        assert_eq!(admitted(&policies(&format!("{statements},{publish}"))), expected, "{statements}");
    }
}

#[test]
fn the_strict_option_demands_a_condition() {
    let publish = allow("iot:Publish", "*");
    let plain = allow("iot:Connect", "*");
    let persistent = connect_if("Allow", "ForAllValues:StringEquals", r#""PersistentConnect""#);
    for (statements, expected) in [
        (plain.clone(), &[""][..]),
        (persistent.clone(), &["", "p"]),
        (format!("{plain},{persistent}"), &["", "p"]),
        (format!("{persistent},{}", deny("iot:Connect", "*")), &[]),
    ] {
        let set = policies(&format!("{statements},{publish}")).strict_connect_attributes(true);
        assert_eq!(admitted(&set), expected, "{statements}");
        for (asked, is_persistent, has_will) in [("", false, false), ("p", true, false)] {
            let context = Context::new().client_id("dev1").connect_attributes(is_persistent, has_will);
            let arn = "arn:aws:iot:eu-west-1:000000000000:client/dev1";
            let is_allowed = set.decide("iot:Connect", arn, &context).is_allowed();
            assert_eq!(is_allowed, expected.contains(&asked), "decide: {statements} asked for {asked:?}");
        }
    }
}

#[test]
fn a_will_is_published_by_the_client() {
    let connect = allow("iot:Connect", "*");
    let publish = allow("iot:Publish", "topic/wills/*");
    let retain = allow("iot:RetainPublish", "topic/wills/*");
    for (statements, asked, expected) in [
        (connect.clone(), "", ('a', 0)),
        (connect.clone(), "w", ('n', 0)),
        (format!("{connect},{publish}"), "w", ('a', 0)),
        (format!("{connect},{publish}"), "wr", ('n', 0)),
        (format!("{connect},{retain}"), "wr", ('n', 0)),
        (format!("{connect},{publish},{retain}"), "wr", ('a', 0)),
        (format!("{connect},{publish},{}", deny("iot:Publish", "topic/wills/dev1")), "w", ('d', 2)),
        (publish.clone(), "w", ('n', 0)),
    ] {
        assert_eq!(outcome(&compiled(&statements).connect(&request(asked))), expected, "{asked:?} with {statements}");
    }
}

#[test]
fn conditions_are_decided_once() {
    let condition = r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#;
    let set =
        policies(&format!(r#"{{"Effect":"Allow","Action":"iot:Publish","Resource":"*","Condition":{condition}}}"#));
    let rules = |ip: &str| compile(&set, &Context::new().source_ip(ip.parse().unwrap()), &SCOPE).rules().count();
    assert_eq!((rules("10.0.0.1"), rules("11.0.0.1")), (1, 0));
}

#[test]
fn rules_are_readable() {
    let policy = compiled(
        &[
            allow("iot:*", "topic/a/${iot:ClientId}/*"),
            deny("iot:Subscribe", "topicfilter/+/#"),
            allow("iot:Subscribe", "topic*/x"),
        ]
        .join(","),
    );
    let found: Vec<_> = policy.rules().map(|rule| (rule.effect, rule.action, rule.pattern.to_string())).collect();
    assert_eq!(
        found,
        [
            (Effect::Allow, RuleAction::Publish, "a/dev1/*".to_owned()),
            (Effect::Allow, RuleAction::Retain, "a/dev1/*".to_owned()),
            (Effect::Deny, RuleAction::Subscribe, "+/#".to_owned()),
            (Effect::Allow, RuleAction::Subscribe, "*/x".to_owned()),
            (Effect::Allow, RuleAction::Subscribe, "x".to_owned()),
            (Effect::Allow, RuleAction::Receive, "a/dev1/*".to_owned()),
        ]
    );
    assert_eq!(policy.space(), "default");
}
