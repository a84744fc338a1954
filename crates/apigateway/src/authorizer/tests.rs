use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::facts::tests::object;

const ARN: &str = "arn:aws:execute-api:us-east-1:000000000000:wsapi12345/dev/$connect";

fn policy(effect: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Action": "execute-api:Invoke", "Effect": effect, "Resource": ARN}]})
}

fn judged(answer: &Value) -> Verdict {
    judged_with(answer, &Options::default())
}

fn judged_with(answer: &Value, options: &Options) -> Verdict {
    judge(answer.to_string().as_bytes(), ARN, IpAddr::from([203, 0, 113, 9]), options, 12)
}

fn admitted(verdict: Verdict) -> Admitted {
    match verdict {
        Verdict::Allow(admitted) => admitted,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn fails(answer: &Value, with: &str) {
    match judged(answer) {
        Verdict::Failed { reason } => assert!(reason.contains(with), "{reason}"),
        other => panic!("{other:?} for {answer}"),
    }
}

#[test]
fn who_is_let_in_comes_with_context() {
    let answer = json!({
        "principalId": "user-17", "policyDocument": policy("Allow"), "usageIdentifierKey": "key-1",
        "context": {"tenant": "acme", "level": 3, "beta": true, "principalId": "forged"}});
    let expected = Admitted {
        principal_id: "user-17".to_owned(),
        authorizer: object(json!({"tenant": "acme", "level": "3", "beta": "true", "principalId": "user-17"})),
        usage_key: Some("key-1".to_owned()),
        warnings: Vec::new(),
    };
    assert_eq!(admitted(judged(&answer)), expected);

    let options = Options { stringify_context: false, integration_latency: true, ..Options::default() };
    let plain = json!({"tenant": "acme", "level": 3, "beta": true, "principalId": "user-17", "integrationLatency": 12});
    assert_eq!(admitted(judged_with(&answer, &options)).authorizer, object(plain));
}

#[test]
fn policies_decide() {
    let allow = json!({"principalId": "u", "policyDocument": policy("Allow"), "context": null});
    assert_eq!(admitted(judged(&allow)).authorizer, object(json!({"principalId": "u"})));
    assert_eq!(judged(&json!({"principalId": "u", "policyDocument": policy("Deny")})), Verdict::Denied);
    let other = json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": ARN.replace("$connect", "*/*")}});
    assert_eq!(judged(&json!({"principalId": "u", "policyDocument": other})), Verdict::Denied);
}

#[test]
fn a_denial_needs_no_principal() {
    let denial = json!({"message": "no", "policyDocument": policy("Deny")});
    assert_eq!(judged(&denial), Verdict::Denied);
    fails(&json!({"policyDocument": policy("Allow")}), "`principalId`");
    fails(&json!({"principalId": "", "policyDocument": policy("Allow")}), "`principalId`");
    fails(&json!({"principalId": 17, "policyDocument": policy("Allow")}), "`principalId`");
}

#[test]
fn odd_members_are_only_worth_a_warning() {
    let answer =
        json!({"principalId": "u", "policyDocument": policy("Allow"), "isAuthorized": true, "usageIdentifierKey": 1});
    let admitted = admitted(judged(&answer));
    assert_eq!(admitted.usage_key, None);
    assert_eq!(admitted.warnings.len(), 2);
    assert!(admitted.warnings[0].contains("\"isAuthorized\""), "{:?}", admitted.warnings);
}

#[test]
fn answers_that_cannot_be_used() {
    let with = |context: Value| json!({"principalId": "u", "policyDocument": policy("Allow"), "context": context});
    fails(&json!(null), "must be an object");
    fails(&json!("unauthorized"), "must be an object");
    fails(&json!({"principalId": "u"}), "no `policyDocument`");
    fails(&json!({"principalId": "u", "policyDocument": {}}), "no `Statement`");
    fails(&json!({"principalId": "u", "policyDocument": null}), "not an object");
    fails(&with(json!({"a": {"b": 1}})), "`context.a`");
    fails(&with(json!({"a": [1]})), "`context.a`");
    fails(&with(json!({"a": null})), "`context.a`");
    fails(&with(json!("text")), "`context`");
    let ip = IpAddr::from([203, 0, 113, 9]);
    for answer in ["", "not json", "{\"principalId\":", &"[".repeat(4_000)] {
        let verdict = judge(answer.as_bytes(), ARN, ip, &Options::default(), 1);
        assert!(matches!(verdict, Verdict::Failed { .. }), "{answer}");
    }
}

#[test]
fn an_answer_has_eight_kilobytes() {
    let sized = |bytes: usize| {
        let frame = json!({"principalId": "u", "policyDocument": policy("Allow"), "context": {"a": ""}}).to_string();
        json!({"principalId": "u", "policyDocument": policy("Allow"), "context": {"a": "x".repeat(bytes - frame.len())}})
    };
    admitted(judged(&sized(ANSWER_BYTES_MAX)));
    fails(&sized(ANSWER_BYTES_MAX + 1), "8193 bytes");
}

#[test]
fn unauthorized_by_error_or_by_word() {
    assert_eq!(judged(&json!("Unauthorized")), Verdict::Unauthorized);
    assert_eq!(judge_error(br#"{"errorMessage":"Unauthorized","errorType":"Exception"}"#), Verdict::Unauthorized);
    for payload in
        [&br#"{"errorMessage":"unauthorized"}"#[..], br#"{"errorMessage":"Unauthorized."}"#, b"{}", b"", b"[1]"]
    {
        assert!(matches!(judge_error(payload), Verdict::Failed { .. }));
    }
}

#[test]
fn sources_must_be_there_and_not_empty() {
    let headers = vec![("auth".to_owned(), "x".to_owned()), ("X-Empty".to_owned(), String::new())];
    let variables = BTreeMap::from([("v".to_owned(), "1".to_owned())]);
    let context = object(json!({"stage": "dev", "identity": {"sourceIp": "203.0.113.9"}, "nothing": null}));
    let missing = |query: &str, sources: &[&str]| {
        let identity_sources = sources.iter().map(|source| (*source).to_owned()).collect();
        let authorizer = Authorizer { identity_sources, ..Authorizer::default() };
        missing_source(&authorizer, &headers, query, &variables, &context)
    };
    assert_eq!(missing("", &[]), None);
    for source in [
        "route.request.header.Auth",
        "$request.header.AUTH",
        "method.request.header.auth",
        "route.request.querystring.token",
        "stageVariables.v",
        "$context.stage",
        "context.identity.sourceIp",
        "route.request.header.Auth, route.request.querystring.token",
    ] {
        assert_eq!(missing("token=abc", &[source]), None, "{source}");
    }
    for source in [
        "route.request.header.X-Empty",
        "route.request.header.None",
        "route.request.querystring.Token",
        "route.request.querystring.empty",
        "stageVariables.w",
        "context.identity.user",
        "context.nothing",
        "body.token",
    ] {
        assert_eq!(missing("token=abc&empty=", &["route.request.header.Auth", source]).as_deref(), Some(source));
    }
    assert_eq!(
        missing("token=", &["route.request.querystring.token"]).as_deref(),
        Some("route.request.querystring.token")
    );
}

proptest! {
    #[test]
    fn nobody_gets_in_by_garbage(answer in ".{0,200}") {
        let verdict = judge(answer.as_bytes(), ARN, IpAddr::from([127, 0, 0, 1]), &Options::default(), 1);
        prop_assert!(!matches!(verdict, Verdict::Allow(_)));
    }
}
