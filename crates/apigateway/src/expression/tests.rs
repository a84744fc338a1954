use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::mapping::IntegrationAnswer;
use crate::message::MessageText;

const MESSAGE: &str = r#"{"service": "chat", "action": "join", "data": {"room": "r1"}, "n": 7, "a": [1, 2],
    "yes": true, "none": null, "list": ["x", {"b": [1]}]}"#;

fn evaluate(text: &str) -> String {
    let message = MessageText::new(MESSAGE);
    let context = json!({"routeKey": "send", "authorizer": {"level": 3, "a.b": "dotted"}});
    let headers = [("X-Api-Key".to_owned(), "one".to_owned()), ("x-api-key".to_owned(), "two".to_owned())];
    let query = [("token".to_owned(), "$context.routeKey".to_owned())];
    let scope = Scope {
        message: Some(&message),
        headers: &headers,
        query: &query,
        context: context.as_object().unwrap(),
        stage_variables: &BTreeMap::from([("fn".to_owned(), "orders".to_owned())]),
    };
    let answer = IntegrationAnswer {
        status: 404,
        headers: vec![("X-A".to_owned(), "1".to_owned()), ("x-a".to_owned(), "2".to_owned())],
        body: br#"{"errorMessage": "no such room"}"#.as_slice().into(),
        error_message: None,
    };
    let body = MessageText::from_bytes(&answer.body);
    let around = Surroundings { scope: &scope, answer: Some((&answer, &body)) };
    Expression::parse(text).unwrap().text(&around)
}

#[test]
fn what_expressions_give() {
    let table = [
        ("$request.body.action", "join"),
        ("${request.body.action}", "join"),
        ("${request.body.service}/${request.body.action}", "chat/join"),
        ("$request.body.service/$request.body.action", "chat/join"),
        ("${request.body.action}-${request.body.nope}", "join-"),
        ("$request.body.data.room", "r1"),
        ("$request.body['data']['room']", "r1"),
        ("$request.body.n", "7"),
        ("$request.body.yes", "true"),
        ("$request.body.none", ""),
        ("$request.body.a", "[1, 2]"),
        ("$request.body.a[-1]", "2"),
        ("$request.body.list", r#"[x, {"b":[1]}]"#),
        ("$request.body.data", r#"{"room":"r1"}"#),
        ("${request.body..room}", "[r1]"),
        ("action", "action"),
        ("\\$default", "$default"),
        ("$default", "$default"),
        ("a$", "a$"),
        ("5$ \\$request.body.action", "5$ $request.body.action"),
        ("$request.header.x-api-key", "two"),
        ("$request.multivalueheader.X-API-KEY", "one,two"),
        ("$request.querystring.token", "$context.routeKey"),
        ("$request.querystring.Token", ""),
        ("$context.routeKey.", "send."),
        ("$context.authorizer.level", "3"),
        ("$context.authorizer.a.b", "dotted"),
        ("$stageVariables.fn", "orders"),
        ("$route.request.body.action", "join"),
        ("$integration.response.statuscode", "404"),
        ("$integration.response.header.x-A", "2"),
        ("${integration.response.multivalueheader.x-a}", "1,2"),
        ("$integration.response.body.errorMessage", "no such room"),
        ("", ""),
    ];
    for (text, expected) in table {
        assert_eq!(evaluate(text), expected, "{text}");
    }
}

#[test]
fn what_cannot_be_read() {
    for text in ["${request.body.a", "$request.boddy.a", "$request.header.", "${}", "${request.body.a[}", "$x", "$5"] {
        assert!(Expression::parse(text).is_err(), "{text}");
    }
    assert!(Expression::parse(&"x".repeat(EXPRESSION_BYTES_MAX + 1)).is_err());
}

#[test]
fn values_of_parameters() {
    for text in ["route.request.header.A", "$request.header.A", "context.a.b", "stageVariables.x", "'0'", "''"] {
        assert!(ParameterValue::parse(text).is_ok(), "{text}");
    }
    for text in ["", "'0", "0", "request.header.", "header.A", "$"] {
        assert!(ParameterValue::parse(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_parsers(text in ".{0,80}") {
        let _ = Expression::parse(&text);
        let _ = ParameterValue::parse(&text);
    }

    #[test]
    fn no_mixture_of_its_signs_breaks_the_parser_or_an_evaluation(
        parts in prop::collection::vec(prop::sample::select(vec![
            "$", "{", "}", "${", "request.body", "$request.body", ".", "[", "]", "'", "\"", "*", "..", "0", "-1", "\\", "é",
            "context.", "action", "integration.response.", "statuscode", "header.", "stageVariables.", "route.",
        ]), 0..24),
    ) {
        let text = parts.concat();
        if Expression::parse(&text).is_ok() {
            let _ = evaluate(&text);
        }
    }
}
