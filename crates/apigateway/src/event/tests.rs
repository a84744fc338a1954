use serde_json::json;

use super::*;
use crate::facts::tests::{facts, moment, object};

const CONTEXT: &str =
    r#""extendedRequestId":"Qx1aaBcDeFgHiJk=","requestTime":"07/Feb/2025:09:05:03 +0000","messageDirection":"IN","#;
const CONTEXT_END: &str = r#""stage":"dev","connectedAt":1738919103001,"requestTimeEpoch":1738919103002,"identity":{"userAgent":"demo/1","sourceIp":"203.0.113.9"},"requestId":"Qx1aaBcDeFgHiJk=","domainName":"ws.example.test","connectionId":"Qx1aadEfGhIcJkL=","apiId":"wsapi12345"}"#;
const TRACE: &str = "Root=1-67ab0001-0123456789abcdef01234567";

fn sent() -> Vec<(String, String)> {
    [
        ("host", "ws.example.test"),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Content-Length", "0"),
        ("User-Agent", "demo/1"),
        ("Sec-WebSocket-Key", "AAAA"),
        ("sec-websocket-version", "13"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn view<'a>(headers: &'a [(String, String)], query: &'a str) -> UpgradeView<'a> {
    UpgradeView { headers, query, is_secure: true, port: 443, trace_id: TRACE }
}

fn text(event: Vec<u8>) -> String {
    String::from_utf8(event).unwrap()
}

fn value(event: &[u8]) -> Value {
    serde_json::from_slice(event).unwrap()
}

fn keys(event: &[u8]) -> Vec<String> {
    object(value(event)).keys().cloned().collect()
}

#[test]
fn connect_to_the_byte() {
    let headers = r#""Host":"ws.example.test","Sec-WebSocket-Key":"AAAA","Sec-WebSocket-Version":"13","User-Agent":"demo/1","X-Amzn-Trace-Id":"Root=1-67ab0001-0123456789abcdef01234567","X-Forwarded-For":"203.0.113.9","X-Forwarded-Port":"443","X-Forwarded-Proto":"https""#;
    let multi = r#""Host":["ws.example.test"],"Sec-WebSocket-Key":["AAAA"],"Sec-WebSocket-Version":["13"],"User-Agent":["demo/1"],"X-Amzn-Trace-Id":["Root=1-67ab0001-0123456789abcdef01234567"],"X-Forwarded-For":["203.0.113.9"],"X-Forwarded-Port":["443"],"X-Forwarded-Proto":["https"]"#;
    let expected = format!(
        r#"{{"headers":{{{headers}}},"multiValueHeaders":{{{multi}}},"queryStringParameters":{{"token":"abc"}},"multiValueQueryStringParameters":{{"token":["abc"]}},"requestContext":{{"routeKey":"$connect","eventType":"CONNECT",{CONTEXT}{CONTEXT_END},"isBase64Encoded":false}}"#
    );
    assert_eq!(text(connect_event(&facts(), &view(&sent(), "token=abc"), &moment())), expected);
}

#[test]
fn connect_leaves_out_what_is_not_there() {
    let event = connect_event(&facts(), &view(&sent(), ""), &moment());
    assert_eq!(keys(&event), ["headers", "isBase64Encoded", "multiValueHeaders", "requestContext"]);
    let facts = Facts {
        user_agent: None,
        stage_variables: [("a".to_owned(), "b".to_owned())].into(),
        authorizer: Some(object(json!({"principalId": "u"}))),
        identity: object(json!({"apiKey": "k", "apiKeyId": "id", "sourceIp": "forged"})),
        ..facts()
    };
    let event = value(&connect_event(&facts, &view(&[], "&"), &moment()));
    assert_eq!(event["stageVariables"], json!({"a": "b"}));
    assert_eq!(event["requestContext"]["authorizer"], json!({"principalId": "u"}));
    assert_eq!(
        event["requestContext"]["identity"],
        json!({"apiKey": "k", "apiKeyId": "id", "sourceIp": "203.0.113.9"})
    );
    assert_eq!(event.get("queryStringParameters"), None);
}

#[test]
fn the_authorizer_sees_the_upgrade_too() {
    let arn = "arn:aws:execute-api:us-east-1:000000000000:wsapi12345/dev/$connect";
    let event = text(authorizer_event(&facts(), &view(&sent(), "token=abc"), &moment(), arn));
    let head = format!(
        r#"{{"type":"REQUEST","methodArn":"{arn}","headers":{{"Connection":"upgrade","content-length":"0","Host":"ws.example.test","Sec-WebSocket-Key":"AAAA","Sec-WebSocket-Version":"13","Upgrade":"websocket","User-Agent":"demo/1","X-Amzn-Trace-Id":"#
    );
    let tail = format!(
        r#""queryStringParameters":{{"token":"abc"}},"multiValueQueryStringParameters":{{"token":["abc"]}},"stageVariables":{{}},"requestContext":{{"routeKey":"$connect","eventType":"CONNECT",{CONTEXT}{CONTEXT_END}}}"#
    );
    assert!(event.starts_with(&head), "{event}");
    assert!(event.ends_with(&tail), "{event}");

    let event = value(&authorizer_event(&facts(), &view(&sent(), ""), &moment(), arn));
    assert_eq!(event["queryStringParameters"], json!({}));
    assert_eq!(event["multiValueQueryStringParameters"], json!({}));
    assert_eq!(event.get("isBase64Encoded"), None);
}

#[test]
fn a_proxy_in_between_is_told_of() {
    let mut headers = sent();
    headers.push(("x-forwarded-for".to_owned(), "198.51.100.7".to_owned()));
    headers.push(("X-Forwarded-Proto".to_owned(), "gopher".to_owned()));
    let view = UpgradeView { is_secure: false, port: 8080, ..view(&headers, "") };
    let event = value(&connect_event(&facts(), &view, &moment()));
    assert_eq!(event["headers"]["X-Forwarded-For"], "198.51.100.7, 203.0.113.9");
    assert_eq!(event["headers"]["X-Forwarded-Port"], "8080");
    assert_eq!(event["multiValueHeaders"]["X-Forwarded-Proto"], json!(["http"]));
}

#[test]
fn message_to_the_byte() {
    let body = r#"{"action":"send","text":"hi"}"#;
    let expected = format!(
        r#"{{"requestContext":{{"routeKey":"send","messageId":"Qx1bbcDeFgHcIjK=","eventType":"MESSAGE",{CONTEXT}{CONTEXT_END},"body":"{{\"action\":\"send\",\"text\":\"hi\"}}","isBase64Encoded":false}}"#
    );
    let event = message_event(&facts(), &moment(), "send", "Qx1bbcDeFgHcIjK=", body, false);
    assert_eq!(text(event), expected);
}

#[test]
fn messages_tell_who_was_let_in() {
    let facts = Facts {
        authorizer: Some(object(json!({"principalId": "user-17", "level": "3"}))),
        stage_variables: [("table".to_owned(), "t1".to_owned())].into(),
        ..facts()
    };
    let event = message_event(&facts, &moment(), "$default", "m=", "AAE=", true);
    let start = r#"{"stageVariables":{"table":"t1"},"requestContext":{"routeKey":"$default","authorizer":{"level":"3","principalId":"user-17"},"messageId":"m=","eventType":"MESSAGE","#;
    assert!(text(event.clone()).starts_with(start));
    assert!(text(event).ends_with(r#""body":"AAE=","isBase64Encoded":true}"#));
}

#[test]
fn disconnect_to_the_byte() {
    let expected = format!(
        r#"{{"headers":{{"Host":"ws.example.test","x-api-key":"","X-Forwarded-For":"","x-restapi":""}},"multiValueHeaders":{{"Host":["ws.example.test"],"x-api-key":[""],"X-Forwarded-For":[""],"x-restapi":[""]}},"requestContext":{{"routeKey":"$disconnect","disconnectStatusCode":1005,"eventType":"DISCONNECT",{CONTEXT}"disconnectReason":"Client-side close frame status not set",{CONTEXT_END},"isBase64Encoded":false}}"#
    );
    let event = disconnect_event(&facts(), &moment(), 1005, "Client-side close frame status not set");
    assert_eq!(text(event), expected);
    let event = value(&disconnect_event(&facts(), &moment(), 1001, ""));
    assert_eq!(event["requestContext"]["disconnectReason"], "");
}
