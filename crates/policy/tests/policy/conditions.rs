//! Every operator on keys that are there, missing, single and many.

use fanfare_policy::{Context, Operation};

use crate::set::{SCOPE, allow_if, policies};

fn holds(condition: &str, context: &Context) -> bool {
    policies(&allow_if(condition)).decide_operation(Operation::Publish("a"), &SCOPE, context).is_allowed()
}

fn keys() -> Context {
    let context = Context::new().client_id("dev1").source_ip([10, 0, 0, 7].into()).at(1_795_263_271_000);
    let context = context.with_all("x:set", ["a", "b"]).with_all("x:empty", []);
    context.with("x:on", "True").with("x:count", "7").with("x:star", "a*")
}

#[test]
fn texts() {
    for (condition, expected) in [
        (r#"{"StringEquals":{"iot:ClientId":"dev1"}}"#, true),
        (r#"{"StringEquals":{"IOT:CLIENTID":["x","dev1"]}}"#, true),
        (r#"{"StringEquals":{"iot:ClientId":"DEV1"}}"#, false),
        (r#"{"StringEquals":{"iot:ClientId":"dev*"}}"#, false),
        (r#"{"StringEquals":{"x:star":"a*"}}"#, true),
        (r#"{"StringEquals":{"x:none":"a"}}"#, false),
        (r#"{"StringEquals":{"x:set":"b"}}"#, true),
        (r#"{"StringEquals":{"x:count":7}}"#, true),
        (r#"{"StringNotEquals":{"iot:ClientId":["x","y"]}}"#, true),
        (r#"{"StringNotEquals":{"iot:ClientId":["x","dev1"]}}"#, false),
        (r#"{"StringNotEquals":{"x:none":"a"}}"#, true),
        (r#"{"StringNotEquals":{"x:set":"b"}}"#, false),
        (r#"{"StringLike":{"iot:ClientId":"dev?"}}"#, true),
        (r#"{"StringLike":{"iot:ClientId":["x*","*1"]}}"#, true),
        (r#"{"StringLike":{"iot:ClientId":"dev${*}"}}"#, false),
        (r#"{"StringNotLike":{"iot:ClientId":"d*"}}"#, false),
        (r#"{"StringNotLike":{"iot:ClientId":"e*"}}"#, true),
        (r#"{"StringNotLike":{"x:none":"*"}}"#, true),
    ] {
        assert_eq!(holds(condition, &keys()), expected, "{condition}");
    }
}

#[test]
fn variables_in_values() {
    for (condition, expected) in [
        (r#"{"StringEquals":{"iot:ClientId":"dev${x:one}"}}"#, true),
        (r#"{"StringEquals":{"iot:ClientId":["${x:none}","dev1"]}}"#, true),
        (r#"{"StringEquals":{"x:star":"a${*}"}}"#, true),
        (r#"{"StringLike":{"iot:ClientId":"${x:star}"}}"#, false),
        // What has no value neither equals nor differs.
        (r#"{"StringEquals":{"iot:ClientId":"${x:none}"}}"#, false),
        (r#"{"StringNotEquals":{"iot:ClientId":"${x:none}"}}"#, false),
        (r#"{"StringNotLike":{"iot:ClientId":"${x:none}"}}"#, false),
    ] {
        assert_eq!(holds(condition, &keys().with("x:one", "1")), expected, "{condition}");
    }
}

#[test]
fn sets() {
    let certificate = "iot:Certificate.Subject.Organization";
    let context = keys().with_all(certificate, ["one", "two"]);
    for (condition, expected) in [
        (r#"{"ForAllValues:StringEquals":{"x:set":["a","b","c"]}}"#, true),
        (r#"{"ForAllValues:StringEquals":{"x:set":["a"]}}"#, false),
        (r#"{"ForAllValues:StringEquals":{"x:empty":["a"]}}"#, true),
        (r#"{"ForAllValues:StringEquals":{"x:none":["a"]}}"#, true),
        (r#"{"ForAllValues:StringNotEquals":{"x:set":["c"]}}"#, true),
        (r#"{"ForAllValues:StringNotEquals":{"x:set":["a"]}}"#, false),
        (r#"{"ForAllValues:StringLike":{"x:set":["?"]}}"#, true),
        (r#"{"ForAllValues:StringNotLike":{"x:set":["b*"]}}"#, false),
        (r#"{"ForAnyValue:StringEquals":{"x:set":["b","c"]}}"#, true),
        (r#"{"ForAnyValue:StringEquals":{"x:set":["c"]}}"#, false),
        (r#"{"ForAnyValue:StringEquals":{"x:empty":["a"]}}"#, false),
        (r#"{"ForAnyValue:StringNotEquals":{"x:set":["a"]}}"#, true),
        (r#"{"ForAnyValue:StringNotEquals":{"x:set":["a","b"]}}"#, false),
        (r#"{"ForAnyValue:StringNotEquals":{"x:none":["a"]}}"#, false),
        (r#"{"ForAnyValue:StringLike":{"x:set":["b*"]}}"#, true),
        (r#"{"ForAnyValue:StringNotLike":{"x:set":["*"]}}"#, false),
        (r#"{"ForAllValues:StringEquals":{"iot:Certificate.Subject.Organization.List":["one","two"]}}"#, true),
        (r#"{"ForAllValues:StringEquals":{"iot:Certificate.Subject.Organization.List":["one"]}}"#, false),
        (r#"{"ForAllValues:StringEquals":{"iot:Certificate.Subject.Organization":["one"]}}"#, true),
        (r#"{"StringEquals":{"iot:Certificate.Subject.Organization.1":"two"}}"#, true),
    ] {
        assert_eq!(holds(condition, &context), expected, "{condition}");
    }
}

#[test]
fn addresses_booleans_numbers_dates_and_absence() {
    for (condition, expected) in [
        (r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, true),
        (r#"{"IpAddress":{"aws:sourceIP":["192.168.0.0/16","10.0.0.7"]}}"#, true),
        (r#"{"IpAddress":{"aws:SourceIp":"192.168.0.0/16"}}"#, false),
        (r#"{"IpAddress":{"x:none":"0.0.0.0/0"}}"#, false),
        (r#"{"IpAddress":{"iot:ClientId":"0.0.0.0/0"}}"#, false),
        (r#"{"NotIpAddress":{"aws:SourceIp":"192.168.0.0/16"}}"#, true),
        (r#"{"NotIpAddress":{"aws:SourceIp":["192.168.0.0/16","10.0.0.0/24"]}}"#, false),
        (r#"{"NotIpAddress":{"x:none":"0.0.0.0/0"}}"#, true),
        (r#"{"Bool":{"x:on":"true"}}"#, true),
        (r#"{"Bool":{"x:on":[true]}}"#, true),
        (r#"{"Bool":{"x:on":false}}"#, false),
        (r#"{"Bool":{"x:none":"false"}}"#, false),
        (r#"{"Null":{"x:none":"true"}}"#, true),
        (r#"{"Null":{"x:empty":true}}"#, true),
        (r#"{"Null":{"x:on":"true"}}"#, false),
        (r#"{"Null":{"x:on":"false"}}"#, true),
        (r#"{"NumericLessThan":{"x:count":8}}"#, true),
        (r#"{"NumericLessThan":{"x:count":"7"}}"#, false),
        (r#"{"NumericEquals":{"x:count":[1,"7.0"]}}"#, true),
        (r#"{"NumericEquals":{"x:on":1}}"#, false),
        (r#"{"DateLessThan":{"aws:CurrentTime":"2026-11-21T12:14:32Z"}}"#, true),
        (r#"{"DateLessThan":{"aws:CurrentTime":"2026-11-21T12:14:31Z"}}"#, false),
        (r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-11-21"}}"#, true),
        (r#"{"DateGreaterThan":{"aws:EpochTime":1795263271}}"#, false),
        (r#"{"DateGreaterThan":{"x:none":0}}"#, false),
    ] {
        assert_eq!(holds(condition, &keys()), expected, "{condition}");
    }
}

#[test]
fn things_are_attached_or_not() {
    let condition = r#"{"Bool":{"iot:Connection.Thing.IsAttached":["true"]}}"#;
    let context = Context::new().with("iot:Connection.Thing.ThingName", "dev1");
    let context = context.with("iot:Connection.Thing.IsAttached", "true");
    assert!(holds(condition, &context.clone().client_id("dev1")));
    assert!(!holds(condition, &context.clone().client_id("dev2")));
    assert!(!holds(condition, &context), "over HTTP there is no thing");
    assert!(!holds(condition, &context.client_id("dev1").with("iot:Connection.Thing.IsAttached", "false")));
}

#[test]
fn all_operators_and_all_keys_must_hold() {
    for (condition, expected) in [
        (r#"{}"#, true),
        (r#"{"StringEquals":{"iot:ClientId":"dev1","x:count":"7"}}"#, true),
        (r#"{"StringEquals":{"iot:ClientId":"dev1","x:count":"8"}}"#, false),
        (r#"{"StringEquals":{"iot:ClientId":"dev1"},"Bool":{"x:on":"false"}}"#, false),
    ] {
        assert_eq!(holds(condition, &keys()), expected, "{condition}");
    }
}

#[test]
fn a_deny_applies_only_under_its_condition() {
    let deny =
        r#"{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}"#;
    let set = policies(&format!("{},{deny}", allow_if("{}")));
    let decide = |context: &Context| set.decide_operation(Operation::Publish("a"), &SCOPE, context).is_allowed();
    assert!(decide(&keys()));
    assert!(!decide(&Context::new().source_ip("11.0.0.1".parse().unwrap())));
    assert!(!decide(&Context::new()));
}
