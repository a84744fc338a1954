use proptest::prelude::*;
use serde_json::json;

use super::*;

const ARN: &str = "arn:aws:execute-api:us-east-1:000000000000:wsapi12345/dev/$connect";

fn ip() -> IpAddr {
    IpAddr::from([203, 0, 113, 9])
}

fn decision(statements: Value) -> Decision {
    evaluate(&json!({"Version": "2012-10-17", "Statement": statements}), INVOKE, ARN, ip())
}

fn one(effect: &str, action: &str, resource: &str) -> Value {
    json!({"Effect": effect, "Action": action, "Resource": resource})
}

#[test]
fn resources() {
    for (resource, expected) in [
        (ARN, Decision::Allowed),
        ("arn:aws:execute-api:us-east-1:000000000000:wsapi12345/dev/*", Decision::Allowed),
        ("arn:aws:execute-api:us-east-1:000000000000:wsapi12345/*", Decision::Allowed),
        ("arn:aws:execute-api:us-east-1:000000000000:*", Decision::Allowed),
        ("arn:aws:execute-api:*:*:*", Decision::Allowed),
        ("*", Decision::Allowed),
        ("arn:aws:execute-api:us-east-?:*/dev/$connect", Decision::Allowed),
        ("arn:aws:execute-api:us-east-1:000000000000:wsapi12345/dev/*/*", Decision::NotMatched),
        ("arn:aws:execute-api:us-east-1:000000000000:wsapi12345/DEV/*", Decision::NotMatched),
        ("arn:aws:execute-api:us-east-1:000000000000:wsapi12345/prod/*", Decision::NotMatched),
        ("", Decision::NotMatched),
    ] {
        assert_eq!(decision(one("Allow", "execute-api:Invoke", resource)), expected, "{resource}");
    }
}

#[test]
fn actions() {
    for action in ["execute-api:Invoke", "EXECUTE-API:invoke", "execute-api:*", "*", "execute-api:Inv?ke"] {
        assert_eq!(decision(one("Allow", action, "*")), Decision::Allowed, "{action}");
    }
    for action in ["execute-api:ManageConnections", "lambda:*", "execute-api", ""] {
        assert_eq!(decision(one("Allow", action, "*")), Decision::NotMatched, "{action}");
    }
}

#[test]
fn a_denial_wins_wherever_it_stands() {
    let (allow, deny, other) = (one("Allow", "*", "*"), one("Deny", "*", ARN), one("Deny", "*", "arn:other"));
    assert_eq!(decision(json!([allow, deny])), Decision::Denied);
    assert_eq!(decision(json!([deny, allow])), Decision::Denied);
    assert_eq!(decision(json!([other, allow])), Decision::Allowed);
    assert_eq!(decision(other), Decision::NotMatched);
}

#[test]
fn lists_and_negations() {
    let action = |name: &str, value: Value| json!({"Effect": "Allow", name: value, "Resource": ["nothing", "*"]});
    assert_eq!(decision(action("Action", json!(["lambda:*", INVOKE]))), Decision::Allowed);
    assert_eq!(decision(action("Action", json!([]))), Decision::NotMatched);
    assert_eq!(decision(action("NotAction", json!(["lambda:*", INVOKE]))), Decision::NotMatched);
    assert_eq!(decision(action("NotAction", json!("lambda:*"))), Decision::Allowed);
    let resource = |value: &str| json!({"Effect": "Deny", "Action": "*", "NotResource": value});
    assert_eq!(decision(resource("arn:*")), Decision::NotMatched);
    assert_eq!(decision(resource("x")), Decision::Denied);
}

#[test]
fn conditions_over_the_address() {
    let with = |condition: Value| json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition});
    for (condition, expected) in [
        (json!({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}), Decision::Allowed),
        (json!({"IpAddress": {"AWS:sourceip": ["192.0.2.1", "203.0.113.9"]}}), Decision::Allowed),
        (json!({"IpAddress": {"aws:SourceIp": ["192.0.2.1"]}}), Decision::NotMatched),
        (json!({"NotIpAddress": {"aws:SourceIp": ["192.0.2.1", "203.0.113.9"]}}), Decision::NotMatched),
        (json!({"NotIpAddress": {"aws:SourceIp": "192.0.2.1"}}), Decision::Allowed),
        (json!({"StringEquals": {"aws:SourceIp": "203.0.113.9"}}), Decision::Allowed),
        (json!({"StringNotEquals": {"aws:SourceIp": "203.0.113.9"}}), Decision::NotMatched),
        (json!({"StringLike": {"aws:SourceIp": "203.0.*"}}), Decision::Allowed),
        (json!({"StringNotLike": {"aws:SourceIp": "203.0.*"}}), Decision::NotMatched),
        (json!({}), Decision::Allowed),
    ] {
        assert_eq!(decision(with(condition.clone())), expected, "{condition}");
    }
}

#[test]
fn what_is_not_known_fails_closed() {
    for condition in [
        json!({"Bool": {"aws:SecureTransport": "true"}}),
        json!({"StringEquals": {"aws:PrincipalTag/team": "a"}}),
        json!({"IpAddressIfExists": {"aws:SourceIp": "0.0.0.0/0"}}),
    ] {
        let with = |effect: &str| json!({"Effect": effect, "Action": "*", "Resource": "*", "Condition": condition});
        assert_eq!(decision(with("Allow")), Decision::NotMatched, "{condition}");
        assert_eq!(decision(with("Deny")), Decision::Denied, "{condition}");
    }
    let known_to_fail = json!({"Effect": "Deny", "Action": "*", "Resource": "*",
        "Condition": {"Bool": {"x": "true"}, "IpAddress": {"aws:SourceIp": "192.0.2.1"}}});
    assert_eq!(decision(known_to_fail), Decision::NotMatched);
    assert_eq!(decision(one("Allow", "*", "*/${aws:username}")), Decision::NotMatched);
    assert_eq!(decision(one("Deny", "*", "*/${aws:username}")), Decision::Denied);
}

#[test]
fn mapped_addresses_are_the_addresses_they_map() {
    let document = json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*",
        "Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.9"}}}});
    let mapped: IpAddr = "::ffff:203.0.113.9".parse().unwrap();
    assert_eq!(evaluate(&document, INVOKE, ARN, mapped), Decision::Allowed);
}

#[test]
fn documents_that_are_none() {
    let long = "a".repeat(RESOURCE_CHARS_MAX + 1);
    for (document, reason) in [
        (json!(null), "not an object"),
        (json!("text"), "not an object"),
        (json!({}), "no `Statement`"),
        (json!({"Statement": []}), "is empty"),
        (json!({"Statement": ["x"]}), "statement 1"),
        (json!({"Statement": [one("Allow", "*", "*"), one("Maybe", "*", "*")]}), "statement 2: `Effect`"),
        (json!({"Statement": {"Effect": "Allow", "Resource": "*"}}), "`Action` is missing"),
        (json!({"Statement": {"Effect": "Allow", "Action": "*"}}), "`Resource` is missing"),
        (json!({"Statement": {"Effect": "Allow", "Action": "*", "NotAction": "*", "Resource": "*"}}), "together"),
        (json!({"Statement": {"Effect": "Allow", "Action": [1], "Resource": "*"}}), "`Action` must be text"),
        (json!({"Statement": one("Allow", "*", &long)}), "more than 512"),
        (json!({"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": 1}}), "`Condition`"),
        (
            json!({"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*",
                "Condition": {"IpAddress": {"aws:SourceIp": "here"}}}}),
            "\"here\" is no address",
        ),
    ] {
        match evaluate(&document, INVOKE, ARN, ip()) {
            Decision::Malformed(found) => assert!(found.contains(reason), "{found} for {reason}"),
            other => panic!("{other:?} for {reason}"),
        }
    }
    assert_eq!(decision(one("Allow", "*", &"*".repeat(RESOURCE_CHARS_MAX))), Decision::Allowed);
}

proptest! {
    #[test]
    fn adding_a_denial_never_helps(allow in "[*a-c/]{0,6}", deny in "[*a-c/]{0,6}", resource in "[a-c/]{0,6}") {
        let statements = |list: Value| json!({"Statement": list});
        let both = statements(json!([one("Allow", "*", &allow), one("Deny", "*", &deny)]));
        let denial = statements(json!([one("Deny", "*", &deny)]));
        let of = |document: &Value| evaluate(document, INVOKE, &resource, ip());
        prop_assert_eq!(of(&both) == Decision::Denied, of(&denial) == Decision::Denied);
        prop_assert!(of(&denial) != Decision::Allowed);
    }
}
