//! Policies, contexts and texts made by chance, from an alphabet so small that they often match.

use fanfare_policy::Context;
use proptest::prelude::*;

pub(crate) fn text() -> impl Strategy<Value = String> {
    "[ab/+#]{0,6}"
}

pub(crate) fn pattern() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            6 => "[ab/+#]{1,2}",
            2 => Just("*".to_owned()),
            2 => Just("?".to_owned()),
            1 => Just("${iot:ClientId}".to_owned()),
            1 => Just("${x:set}".to_owned()),
            1 => Just("${*}".to_owned()),
        ],
        0..5,
    )
    .prop_map(|parts| parts.concat())
}

fn resource() -> impl Strategy<Value = String> {
    let head = prop_oneof![
        6 => Just("arn:aws:iot:r:1:topic/"),
        2 => Just("arn:aws:iot:*:*:topicfilter/"),
        2 => Just("arn:aws:iot:r:1:client/"),
        1 => Just("arn:aws-cn:iot:r:1:topic/"),
        1 => Just("arn:aws:iot:r:2:topic/"),
        1 => Just("arn:*to?ic"),
        1 => Just("arn:aws:iot:*:*:*"),
        1 => Just("arn:aws:iot:?:1:*c/a"),
        1 => Just("arn:aws:iot:r:1:t*"),
        1 => Just("*/"),
        1 => Just("*a"),
    ];
    (head, pattern()).prop_map(|(head, tail)| format!("{head}{tail}"))
}

fn condition() -> impl Strategy<Value = String> {
    let operator = prop_oneof![
        Just("StringEquals"),
        Just("StringNotEquals"),
        Just("StringLike"),
        Just("StringNotLike"),
        Just("ForAllValues:StringEquals"),
        Just("ForAnyValue:StringLike"),
    ];
    let key = prop_oneof![Just("iot:ClientId"), Just("x:set"), Just("x:none"), Just("iot:ConnectAttributes")];
    let value = prop_oneof![pattern(), Just("LastWill".to_owned()), Just("PersistentConnect".to_owned())];
    (operator, key, value).prop_map(|(operator, key, value)| format!(r#"{{"{operator}":{{"{key}":"{value}"}}}}"#))
}

fn statement() -> impl Strategy<Value = String> {
    let effect = prop_oneof![3 => Just("Allow"), 1 => Just("Deny")];
    let action = prop_oneof![
        Just("*"),
        Just("iot:*"),
        Just("iot:Connect"),
        Just("iot:publish"),
        Just("iot:RetainP*"),
        Just("iot:Sub?cribe"),
        Just("iot:Receive"),
    ];
    (effect, action, resource(), prop::option::of(condition())).prop_map(|(effect, action, resource, condition)| {
        let condition = condition.map_or(String::new(), |condition| format!(r#","Condition":{condition}"#));
        format!(r#"{{"Effect":"{effect}","Action":"{action}","Resource":["{resource}"]{condition}}}"#)
    })
}

pub(crate) fn statements() -> impl Strategy<Value = String> {
    prop::collection::vec(statement(), 1..6).prop_map(|statements| statements.join(","))
}

pub(crate) fn context() -> impl Strategy<Value = Context> {
    (text(), prop::collection::vec(text(), 0..3)).prop_map(|(client_id, set)| {
        Context::new().client_id(&client_id).with_all("x:set", set.iter().map(String::as_str))
    })
}
