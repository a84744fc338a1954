use super::*;

fn full_of_mistakes() -> Value {
    json!({
        "id": "A_1",
        "route_selection_expression": "$context.x",
        "api_key_selection_expression": "$request.body.key",
        "stages": {"d v": {"variables": {"a b": "x"}, "route_throttles": {"no": {"rate": -1.0, "burst": 1}}}},
        "authorizers": {"auth": {"function": "", "identity_sources": ["route.request.body.x", "x", "route.request.header.A, $request.querystring.b"]}},
        "models": {"Bad": {"type": "text"}},
        "domains": [{"name": "https://x", "stage": "no"}],
        "api_keys": [{"id": "k", "value": "v"}, {"id": "k", "value": "v"}],
        "routes": {
            "$other": {},
            "$connect": {"authorization": "custom", "authorizer": "nobody",
                "request_parameters": {"header.x": true}},
            "a": {"authorization": "aws_iam", "request_models": {"$default": "Nothing"},
                "integration": {"kind": "aws_proxy", "timeout_ms": 10}},
            "b": {"integration": {"kind": "http", "uri": "ftp://x", "method": "FETCH",
                "request_parameters": {"header.x": "'1'", "integration.request.header.y": "nope"},
                "template_selection_expression": "${integration.response.statuscode}",
                "request_templates": {"$default": "#if(true)"},
                "responses": [{"key": "4.."}, {"key": "/(/"}, {"key": "$default", "templates": {"x": "#end"}}]}},
            "c": {"integration": {"kind": "aws", "uri": "arn:aws:sqs:eu-west-1:0:orders"}},
            "d": {"integration": {"kind": "topic", "topic": "a/${request.boddy.x}", "payload": "${x"}},
            "e": {"integration": {"kind": "aws_proxy", "function": "${stageVariables.nope}"}},
        },
    })
}

#[test]
fn all_are_found_at_once() {
    let mut api = api(full_of_mistakes());
    api.origin = "fanfare.toml:3".to_owned();
    if let Some(route) = api.routes.get_mut("b") {
        route.origin = "serverless.yml:9".to_owned();
    }
    let mistakes = Compiled::new(api).unwrap_err();
    let mut keys: Vec<&str> = mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
    keys.sort_unstable();
    let mut expected = vec![
        "api_key_selection_expression",
        "api_keys.k.id",
        "api_keys.k.value",
        "authorizers.auth.function",
        "authorizers.auth.identity_sources",
        "authorizers.auth.identity_sources",
        "domains.https://x",
        "domains.https://x.stage",
        "id",
        "models.Bad",
        "route_selection_expression",
        "routes.$connect.authorizer",
        "routes.$connect.request_parameters.header.x",
        "routes.$other",
        "routes.a.authorization",
        "routes.a.integration.function",
        "routes.a.integration.timeout_ms",
        "routes.a.request_models.$default",
        "routes.b.integration.method",
        "routes.b.integration.request_parameters.header.x",
        "routes.b.integration.request_parameters.integration.request.header.y",
        "routes.b.integration.request_templates.$default",
        "routes.b.integration.responses.$default.templates.x",
        "routes.b.integration.responses./(/.key",
        "routes.b.integration.responses.4...key",
        "routes.b.integration.template_selection_expression",
        "routes.b.integration.uri",
        "routes.c.integration.uri",
        "routes.d.integration.payload",
        "routes.d.integration.topic",
        "routes.e.integration.function",
        "stages.d v",
        "stages.d v.route_throttles.no",
        "stages.d v.route_throttles.no.rate",
        "stages.d v.variables.a b",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    let of_b = mistakes.iter().find(|mistake| mistake.key.starts_with("routes.b.")).unwrap();
    assert!(of_b.to_string().starts_with("serverless.yml:9: routes.b.integration."), "{of_b}");
    assert!(mistakes.iter().any(|mistake| mistake.to_string().starts_with("fanfare.toml:3: id: \"A_1\"")));
}

#[test]
fn counts_have_bounds() {
    let routes: Map<String, Value> = (0..=check::ROUTES_MAX).map(|n| (format!("r{n}"), json!({}))).collect();
    let stages: Map<String, Value> = (0..=check::STAGES_MAX).map(|n| (format!("s{n}"), json!({}))).collect();
    let mistakes = Compiled::new(api(json!({"id": "a", "routes": routes, "stages": stages}))).unwrap_err();
    let keys: Vec<&str> = mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
    assert_eq!(keys, ["stages", "routes"]);
}
