//! Rules: reading them, finding them, planning what they ask.

use fanfare_iot::rules::{
    Failure, HOPS_MAX, PlannedHeaders, Qos, Rule, RuleError, RuleSet, Target, Trail, TrailError, evaluate, plan_error,
};
use fanfare_iot::sql::Input;
use serde_json::{Value, json};

fn rule(json: Value) -> Rule {
    serde_json::from_value(json).unwrap()
}

fn aws(body: Value) -> Result<Rule, RuleError> {
    Rule::from_aws("r", body.to_string().as_bytes())
}

fn simple(name: &str, sql: &str) -> Rule {
    rule(json!({"name": name, "sql": sql}))
}

#[test]
fn configuration_in_toml() {
    let text = r#"
        name = "hot"
        description = "alarms"
        sql = "SELECT temp FROM 's/+/t' WHERE temp > 20"
        sql_version = "2015-10-08"
        error_action = { kind = "log" }
        [[actions]]
        kind = "republish"
        topic = "$$aws/things/${topic(2)}/shadow/update"
        qos = 1
        headers = { content_type = "application/json", message_expiry = "${temp}", user_properties = [{ key = "k", value = "v-${temp}" }] }
        [[actions]]
        kind = "function"
        name = "f"
        [[actions]]
        kind = "http"
        url = "https://example.com/in/${topic(2)}"
        headers = [{ key = "x-dev", value = "${topic(2)}" }]
        [[actions]]
        kind = "channel"
        space = "main"
        topic = "hot/${topic(2)}"
        [[actions]]
        kind = "event_bridge"
        source = "sensors"
        detail_type = "hot ${topic(2)}"
    "#;
    let rule: Rule = toml::from_str(text).unwrap();
    assert_eq!((rule.name.as_str(), rule.description.as_str(), rule.enabled), ("hot", "alarms", true));
    let planned = evaluate(&rule, &Input::new(br#"{"temp": 21, "x": 1}"#, "s/d7/t"));
    assert_eq!(planned.failures, []);
    assert!(planned.actions.iter().all(|action| *action.payload == *br#"{"temp":21}"# && action.is_json));
    let targets: Vec<Target> = planned.actions.into_iter().map(|action| action.target).collect();
    let expected = [
        Target::Republish {
            topic: "$aws/things/d7/shadow/update".to_owned(),
            qos: Qos::AtLeastOnce,
            headers: PlannedHeaders {
                content_type: Some("application/json".to_owned()),
                expiry_s: Some(21),
                user_properties: vec![("k".to_owned(), "v-21".to_owned())],
                ..PlannedHeaders::default()
            },
        },
        Target::Function { name: "f".to_owned() },
        Target::Http {
            url: "https://example.com/in/d7".to_owned(),
            confirmation_url: None,
            headers: vec![("x-dev".to_owned(), "d7".to_owned())],
        },
        Target::Channel { space: Some("main".to_owned()), topic: "hot/d7".to_owned() },
        Target::EventBridge {
            bus: "default".to_owned(),
            source: "sensors".to_owned(),
            detail_type: "hot d7".to_owned(),
            resources: vec![],
        },
    ];
    assert_eq!(targets, expected);
}

#[test]
fn the_json_of_aws() {
    let rule = aws(json!({
        "sql": "SELECT * FROM 'a/b'", "description": "d", "ruleDisabled": true, "awsIotSqlVersion": "2016-03-23",
        "actions": [
            {"republish": {"roleArn": "arn:aws:iam::1:role/r", "topic": "x/${a}", "qos": 1, "headers": {
                "payloadFormatIndicator": "UTF8_DATA", "contentType": "t", "responseTopic": "r", "correlationData": "AQI=",
                "messageExpiry": "60", "userProperties": [{"key": "k", "value": "v"}]}}},
            {"lambda": {"functionArn": "arn:aws:lambda:eu-west-1:1:function:f"}},
            {"http": {"url": "https://example.com/x", "confirmationUrl": "https://example.com/",
                "headers": [{"key": "h", "value": "${a}"}]}}
        ],
        "errorAction": {"republish": {"roleArn": "r", "topic": "errors"}}
    }))
    .unwrap();
    assert_eq!((rule.enabled, rule.error_action.is_some(), rule.statement.filter()), (false, true, Some("a/b")));
    let planned = evaluate(&rule, &Input::new(br#"{"a": 1}"#, "a/b"));
    let targets: Vec<Target> = planned.actions.into_iter().map(|action| action.target).collect();
    let headers = PlannedHeaders {
        is_utf8: Some(true),
        content_type: Some("t".to_owned()),
        response_topic: Some("r".to_owned()),
        correlation_data: Some(vec![1, 2]),
        expiry_s: Some(60),
        user_properties: vec![("k".to_owned(), "v".to_owned())],
    };
    let expected = [
        Target::Republish { topic: "x/1".to_owned(), qos: Qos::AtLeastOnce, headers },
        Target::Function { name: "arn:aws:lambda:eu-west-1:1:function:f".to_owned() },
        Target::Http {
            url: "https://example.com/x".to_owned(),
            confirmation_url: Some("https://example.com/".to_owned()),
            headers: vec![("h".to_owned(), "1".to_owned())],
        },
    ];
    assert_eq!(targets, expected);
}

#[test]
fn rules_that_are_refused() {
    let refused = |body: Value| aws(body).unwrap_err();
    let with = |actions: Value| json!({"sql": "SELECT *", "actions": actions});
    assert_eq!(refused(with(json!([{"s3": {}}]))), RuleError::UnsupportedAction { kind: "s3".to_owned() });
    assert_eq!(
        refused(with(json!([{"http": {"url": "https://e.com/", "auth": {}}}]))),
        RuleError::UnsupportedOption("http.auth")
    );
    let two = json!([{"lambda": {"functionArn": "a"}, "republish": {"topic": "t"}}]);
    assert!(matches!(refused(with(two)), RuleError::Shape { .. }));
    let qos = refused(with(json!([{"republish": {"topic": "t", "qos": 2}}])));
    assert_eq!(qos.to_string(), "action 1 is not valid: a rule republishes with QoS 0 or 1, not 2");
    let template = refused(with(json!([{"republish": {"topic": "t/${"}}])));
    assert!(template.to_string().contains("column 4: this { is not closed"), "{template}");
    let many = vec![json!({"lambda": {"functionArn": "a"}}); 11];
    assert_eq!(refused(with(json!(many))), RuleError::TooManyActions(11));
    assert_eq!(refused(json!({"sql": "SELECT *", "awsIotSqlVersion": "beta"})), RuleError::Version("beta".to_owned()));
    assert!(matches!(refused(json!({"sql": "SELECT"})), RuleError::Sql(_)));
    assert!(matches!(refused(json!({})), RuleError::Shape { .. }));
    for name in ["", "a-b", "a b", "é", &"x".repeat(129)] {
        let error = Rule::from_aws(name, br#"{"sql": "SELECT *"}"#).unwrap_err();
        assert_eq!(error, RuleError::Name(name.to_owned()));
    }
    let unknown = json!({"name": "r", "sql": "SELECT *", "actions": [{"kind": "log", "colour": 1}]});
    assert!(serde_json::from_value::<Rule>(unknown).is_err());
}

#[test]
fn messages_do_not_choose_the_host() {
    let http = |url: &str| aws(json!({"sql": "SELECT *", "actions": [{"http": {"url": url}}]}));
    for url in ["https://e.com", "http://e.com:8080/${a}", "https://e.com/a?x=${a}"] {
        assert!(http(url).is_ok(), "{url}");
    }
    for url in [
        "${a}",
        "https://${a}/",
        "https://e.com${a}",
        "https://e.com:${a}/",
        "https://u@e.com/",
        "ftp://e.com/",
        "e.com",
    ] {
        assert_eq!(http(url).unwrap_err(), RuleError::Address(url.to_owned()));
    }
}

#[test]
fn topics_find_their_rules() {
    let mut off = simple("off", "SELECT * FROM 'a/b'");
    off.enabled = false;
    let rules = vec![
        simple("all", "SELECT * FROM '#'"),
        simple("exact", "SELECT * FROM 'a/b'"),
        simple("plus", "SELECT * FROM 'a/+'"),
        off,
        simple("aws", "SELECT * FROM '$aws/events/#'"),
        simple("ingest", "SELECT *"),
    ];
    let set = RuleSet::new(rules).unwrap();
    let names = |topic: &str| set.matching(topic).map(|rule| rule.name.clone()).collect::<Vec<_>>();
    assert_eq!(names("a/b"), ["all", "exact", "plus"]);
    assert_eq!(names("x"), ["all"]);
    assert_eq!(names("$aws/events/presence"), ["aws"]);
    assert_eq!(names("$aws/rules/ingest/a/b"), ["ingest"]);
    assert_eq!(names("$aws/rules/exact/z"), ["exact"]);
    assert!(names("$aws/rules/off/a").is_empty());
    assert!(names("$aws/rules/unknown/a/b").is_empty());
    assert!(set.get("off").is_some());
    let twice = vec![simple("r", "SELECT *"), simple("r", "SELECT *")];
    assert_eq!(RuleSet::new(twice).unwrap_err(), RuleError::Duplicate("r".to_owned()));
}

#[test]
fn nothing_is_planned_unless_where_is_true() {
    let rule = rule(json!({"name": "r", "sql": "SELECT * FROM 't' WHERE x > 1", "actions": [{"kind": "log"}]}));
    assert_eq!(evaluate(&rule, &Input::new(br#"{"x": 1}"#, "t")).actions, []);
    assert_eq!(evaluate(&rule, &Input::new(br#"{"x": 2}"#, "t")).actions.len(), 1);
}

#[test]
fn an_action_fails_alone_and_the_error_action_tells() {
    let rule = rule(json!({
        "name": "r", "sql": "SELECT * FROM 't'",
        "actions": [
            {"kind": "republish", "topic": "x/${missing}"},
            {"kind": "republish", "topic": "x/${wild}"},
            {"kind": "function", "name": "f"},
            {"kind": "log"}
        ],
        "error_action": {"kind": "republish", "topic": "errors/${topic(1)}"}
    }));
    let mut input = Input::new(br#"{"wild": "a/#"}"#, "t");
    input.client_id = Some("c");
    input.trace_id = "trace";
    let planned = evaluate(&rule, &input);
    assert_eq!(planned.actions.len(), 2);
    let mut failures = planned.failures;
    assert_eq!(failures.len(), 2);
    assert_eq!(failures[0].resource, "x/${missing}");
    assert_eq!(failures[1].message, "\"x/a/#\" is no topic to publish to");
    failures = vec![planned.actions[0].failed("no answer within 3 s")];
    let error = plan_error(&rule, &input, &failures).unwrap().unwrap();
    assert_eq!(error.target.resource(), "errors/t");
    let document: Value = serde_json::from_slice(&error.payload).unwrap();
    let expected = json!({
        "ruleName": "r", "topic": "t", "cloudwatchTraceId": "trace", "clientId": "c",
        "base64OriginalPayload": "eyJ3aWxkIjogImEvIyJ9",
        "failures": [{"failedAction": "LambdaAction", "failedResource": "f", "errorMessage": "no answer within 3 s"}]
    });
    assert_eq!(document, expected);
    assert_eq!(plan_error(&rule, &input, &[]), Ok(None));
}

#[test]
fn bytes_do_not_fit_everywhere() {
    let rule = rule(json!({
        "name": "r", "sql": "SELECT * FROM 't'",
        "actions": [{"kind": "function", "name": "f"}, {"kind": "event_bridge", "source": "s", "detail_type": "d"},
            {"kind": "channel", "topic": "x"}]
    }));
    let planned = evaluate(&rule, &Input::new(b"\xff", "t"));
    assert_eq!(planned.failures.len(), 2);
    assert_eq!((&*planned.actions[0].payload, planned.actions[0].is_json), (&b"\xff"[..], false));
}

#[test]
fn a_statement_that_fails_is_one_failure() {
    let mut expression = "s".to_owned();
    for _ in 0..40 {
        expression = format!("replace({expression}, 'a', 'aaaaaaaaaa')");
    }
    let rule = simple("r", &format!("SELECT {expression} AS x"));
    let planned = evaluate(&rule, &Input::new(br#"{"s": "a"}"#, "t"));
    assert!(matches!(&planned.failures[..], [Failure { action: "SqlStatement", .. }]), "{planned:?}");
}

#[test]
fn trails_end() {
    let trail = Trail::default().through("a").unwrap();
    assert_eq!(trail.through("a"), Err(TrailError::Circle("a".to_owned())));
    let long = (0..HOPS_MAX).try_fold(Trail::default(), |trail, hop| trail.through(&format!("r{hop}"))).unwrap();
    assert_eq!(long.through("more"), Err(TrailError::TooLong("more".to_owned())));
}
