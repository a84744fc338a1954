//! Actions, resources and variables.

use std::sync::Arc;

use fanfare_policy::{Context, DOCUMENTS_MAX, Decision, Operation, PolicyError, PolicySet, compile};

use crate::set::{SCOPE, allow, decide, deny, document, outcome, policies};

#[test]
fn nothing_is_allowed_unless_a_statement_allows_it_and_deny_wins() {
    let publish = Operation::Publish("a");
    assert_eq!(PolicySet::new().decide_operation(publish, &SCOPE, &Context::new()), Decision::NotAllowed);
    assert_eq!(decide(&allow("iot:Subscribe", "*"), publish), Decision::NotAllowed);
    let (give, take) = (allow("iot:Publish", "topic/a"), deny("iot:Publish", "topic/a"));
    for (statements, expected) in [
        (give.clone(), ('a', 0)),
        (format!("{give},{give}"), ('a', 0)),
        (format!("{give},{take}"), ('d', 1)),
        (format!("{take},{give}"), ('d', 0)),
        (format!("{},{give}", deny("iot:Publish", "topic/b")), ('a', 1)),
    ] {
        assert_eq!(outcome(&decide(&statements, publish)), expected, "{statements}");
    }
}

#[test]
fn a_decision_names_its_statement() {
    let mut set = PolicySet::new();
    set.attach("base", Arc::new(document(&allow("iot:*", "*")))).unwrap();
    let secrets =
        r#"{"Sid":"NoSecrets","Effect":"Deny","Action":"iot:Receive","Resource":"arn:aws:iot:*:*:topic/s/*"}"#;
    set.attach("more", Arc::new(document(&format!("{},{secrets}", allow("iot:Publish", "topic/x"))))).unwrap();
    let say = |operation| set.decide_operation(operation, &SCOPE, &Context::new()).to_string();
    assert_eq!(say(Operation::Receive("s/1")), r#"denied by more Statement[1] ("NoSecrets")"#);
    assert_eq!(say(Operation::Receive("t")), "allowed by base Statement[0]");
}

#[test]
fn each_operation_has_its_action_and_resource() {
    use Operation as O;
    for (operation, action, resource) in [
        (O::Connect("x"), "iot:Connect", "client/x"),
        (O::Publish("x"), "iot:Publish", "topic/x"),
        (O::RetainPublish("x"), "iot:RetainPublish", "topic/x"),
        (O::Subscribe("x"), "iot:Subscribe", "topicfilter/x"),
        (O::Receive("x"), "iot:Receive", "topic/x"),
        (O::GetRetainedMessage("x"), "iot:GetRetainedMessage", "topic/x"),
        (O::ListRetainedMessages, "iot:ListRetainedMessages", "*"),
        (O::GetThingShadow("x"), "iot:GetThingShadow", "thing/x"),
        (O::UpdateThingShadow("x"), "iot:UpdateThingShadow", "thing/x"),
        (O::DeleteThingShadow("x"), "iot:DeleteThingShadow", "thing/x"),
        (O::ListNamedShadowsForThing("x"), "iot:ListNamedShadowsForThing", "thing/x"),
        (O::DeleteConnection("x"), "iot:DeleteConnection", "client/x"),
        (O::GetConnection("x"), "iot:GetConnection", "client/x"),
        (O::ListSubscriptions("x"), "iot:ListSubscriptions", "client/x"),
        (O::SendDirectMessage("x"), "iot:SendDirectMessage", "client/x"),
    ] {
        assert!(decide(&allow(action, resource), operation).is_allowed(), "{operation:?}");
        assert!(!decide(&allow("iot:Other", "*"), operation).is_allowed(), "{operation:?} of another action");
        assert!(!decide(&allow("*", "topic/y"), operation).is_allowed(), "{operation:?} of another resource");
    }
}

#[test]
fn wildcards_of_actions_resources_regions_and_partitions() {
    for (action, resource, expected) in [
        ("*", "*", true),
        ("iot:*", "*", true),
        ("IOT:publish", "*", true),
        ("iot:P*", "*", true),
        ("iot:Publis?", "*", true),
        ("iot:Publis", "*", false),
        ("execute-api:*", "*", false),
        ("*", "arn:aws:iot:eu-west-1:000000000000:topic/a/b", true),
        ("*", "arn:aws:iot:*:*:topic/a/b", true),
        ("*", "arn:aws:iot:eu-west-1:*:topic/a/b", true),
        ("*", "arn:aws:iot:us-east-1:*:topic/a/b", false),
        ("*", "arn:aws:iot:*:111111111111:topic/a/b", false),
        ("*", "arn:aws-cn:iot:*:*:topic/a/b", true),
        ("*", "arn:aws-us-gov:iot:*:*:topic/a/b", true),
        ("*", "arn:aws-other:iot:*:*:topic/a/b", false),
        ("*", "arn:*:iot:*:*:topic/a/b", true),
        ("*", "arn:aws:iot:*:topic/a/b", true),
        ("*", "arn:aws:iot:*/b", true),
        ("*", "*a/b", true),
        ("*", "arn:aws:iot:*:*:topic/a", false),
        ("*", "arn:aws:iot:*:*:topic/*", true),
        ("*", "arn:aws:iot:*:*:topic/a*", true),
        ("*", "arn:aws:iot:*:*:topic/?/b", true),
        ("*", "arn:aws:iot:*:*:topic/a?b", true),
        ("*", "arn:aws:iot:*:*:topic/a/b?", false),
        ("*", "arn:aws:iot:*:*:topic/A/b", false),
        ("*", "arn:aws:iot:*:*:topic/a/+", false),
        ("*", "arn:aws:iot:*:*:topic/#", false),
        ("*", "arn:aws:iot:*:*:topicfilter/a/b", false),
    ] {
        let set = policies(&format!(r#"{{"Effect":"Allow","Action":["{action}"],"Resource":["{resource}"]}}"#));
        let decision = set.decide_operation(Operation::Publish("a/b"), &SCOPE, &Context::new());
        assert_eq!(decision.is_allowed(), expected, "{action} on {resource}");
        let compiled = compile(&set, &Context::new(), &SCOPE).publish("a/b");
        assert_eq!(compiled, decision, "compiled: {action} on {resource}");
    }
}

#[test]
fn filters_are_compared_as_text() {
    for (pattern, filter, expected) in [
        ("a/*", "a/#", true),
        ("a/*", "a/+/b", true),
        ("a/+", "a/+", true),
        ("a/+", "a/b", false),
        ("a/#", "a/#", true),
        ("a/#", "a/b", false),
        ("a/#", "a", false),
        ("a/?", "a/#", true),
        ("a/b", "a/#", false),
        ("*", "#", true),
    ] {
        let set = policies(&allow("iot:Subscribe", &format!("topicfilter/{pattern}")));
        let compiled = compile(&set, &Context::new(), &SCOPE);
        assert_eq!(compiled.subscribe(filter).is_allowed(), expected, "{pattern} on {filter}");
    }
    // A deny of one topic does not stop a wider filter: deny Receive for that.
    let set = policies(&format!("{},{}", allow("iot:*", "*"), deny("iot:*", "*/secret")));
    let compiled = compile(&set, &Context::new(), &SCOPE);
    assert!(compiled.subscribe("#").is_allowed());
    assert!(!compiled.receive("a/secret").is_allowed());
}

#[test]
fn variables_are_filled_in_and_are_plain_text() {
    let dev1 = || Context::new().client_id("dev1").source_ip("10.0.0.7".parse().unwrap());
    let thing = || {
        let context = dev1().with("iot:Connection.Thing.ThingName", "dev1");
        context.with("iot:Connection.Thing.ThingTypeName", "lamp").with("iot:Connection.Thing.Attributes[hall]", "h7")
    };
    let certificate = "iot:Certificate.Subject.CommonName";
    for (pattern, context, topic, expected) in [
        ("c/${iot:ClientId}", dev1(), "c/dev1", true),
        ("c/${iot:ClientId}", dev1(), "c/dev2", false),
        ("c/${IOT:clientid}/*", dev1(), "c/dev1/x", true),
        ("c/${iot:ClientId}", Context::new(), "c/${iot:ClientId}", false),
        ("c/${iot:ClientId}*", Context::new(), "c/", false),
        ("c/${iot:ClientId}", Context::new().client_id("*"), "c/dev1", false),
        ("c/${iot:ClientId}", Context::new().client_id("*"), "c/*", true),
        ("c/${aws:SourceIp}", dev1(), "c/10.0.0.7", true),
        ("${iot:Connection.Thing.ThingName}", thing(), "dev1", true),
        ("${iot:Connection.Thing.ThingTypeName}/?", thing(), "lamp/1", true),
        ("${iot:Connection.Thing.Attributes[hall]}", thing(), "h7", true),
        ("${iot:Connection.Thing.Attributes[room]}", thing(), "h7", false),
        ("${iot:Connection.Thing.ThingTypeName}", thing().client_id("dev2"), "lamp", false),
        ("c/${*}${?}${$}", dev1(), "c/*?$", true),
        ("c/${*}", dev1(), "c/x", false),
        ("${iot:Certificate.Subject.CommonName}", dev1().with(certificate, "cn"), "cn", true),
        ("${iot:Certificate.Subject.CommonName}", dev1().with(certificate, "c+"), "c+", false),
        ("${iot:Certificate.Subject.CommonName}", dev1().with_all(certificate, ["a", "b"]), "a", true),
        ("${iot:Certificate.Subject.CommonName.1}", dev1().with_all(certificate, ["a", "b"]), "b", true),
        ("${iot:Certificate.Subject.CommonName.2}", dev1().with_all(certificate, ["a", "b"]), "b", false),
        ("${iot:Certificate.Subject.CommonName.List}", dev1().with_all(certificate, ["a", "b"]), "a", false),
        ("${iot:Certificate.SerialNumber}", dev1().with("iot:Certificate.SerialNumber", "42"), "42", true),
    ] {
        let set = policies(&allow("iot:Publish", &format!("topic/{pattern}")));
        assert_eq!(compile(&set, &context, &SCOPE).publish(topic).is_allowed(), expected, "{pattern} on {topic}");
    }
}

#[test]
fn one_unresolved_resource_does_not_spoil_the_others() {
    let statement =
        r#"{"Effect":"Allow","Action":"*","Resource":["arn:aws:iot:*:*:topic/${aws:none}","arn:aws:iot:*:*:topic/a"]}"#;
    assert!(decide(statement, Operation::Publish("a")).is_allowed());
    assert!(!decide(statement, Operation::Publish("b")).is_allowed());
}

#[test]
fn invocations_of_api_gateway_are_decided_by_the_same_rules() {
    let arn = "arn:aws:execute-api:us-east-1:000000000000:abc/dev/$connect";
    for (action, resource, expected) in [
        ("execute-api:Invoke", arn, true),
        ("Execute-API:invoke", "arn:aws:execute-api:us-east-1:000000000000:abc/dev/*", true),
        ("execute-api:*", "arn:aws:execute-api:*:*:*", true),
        ("*", "*", true),
        ("execute-api:Invoke", "arn:aws:execute-api:us-east-1:000000000000:abc/dev/*/*", false),
        ("execute-api:ManageConnections", "*", false),
    ] {
        let set = policies(&format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}"#));
        let decision = set.decide("execute-api:Invoke", arn, &Context::new());
        assert_eq!(decision.is_allowed(), expected, "{action} on {resource}");
    }
}

#[test]
fn a_principal_has_ten_policies_with_names_of_their_own() {
    let any = Arc::new(document(&allow("*", "*")));
    let mut set = PolicySet::new();
    for index in 0..DOCUMENTS_MAX {
        set.attach(&format!("p{index}"), any.clone()).unwrap();
    }
    let too_many = PolicyError::TooManyDocuments { max: DOCUMENTS_MAX };
    assert_eq!(set.attach("more", any.clone()), Err(too_many));
    assert_eq!(set.attach("p3", any.clone()), Err(PolicyError::NameTaken("p3".to_owned())));
    let mut set = PolicySet::new();
    for name in ["", "a b", "ä", "a/b", &"x".repeat(129)] {
        assert!(matches!(set.attach(name, any.clone()), Err(PolicyError::Name(_))), "{name:?}");
    }
    set.attach(&"x".repeat(128), any.clone()).unwrap();
    set.attach("Az09_+=,.@-", any).unwrap();
}
