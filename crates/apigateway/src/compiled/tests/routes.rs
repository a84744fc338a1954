use super::*;

fn selected(expression: &str, keys: &[&str], message: &str) -> Option<String> {
    let routes: Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), json!({}))).collect();
    let api = compiled(json!({"id": "a1", "route_selection_expression": expression, "routes": routes}));
    api.select(&MessageText::new(message)).map(|route| route.key().to_owned())
}

#[test]
fn messages_select_their_routes() {
    let keys = ["$connect", "$disconnect", "$default", "join", "chat/join", "7", "true", "r1"];
    let table = [
        ("$request.body.action", r#"{"action": "join"}"#, "join"),
        ("${request.body.action}", r#"{"x": [1, {"action": 2}], "action": "join"}"#, "join"),
        ("${request.body.service}/${request.body.action}", r#"{"service": "chat", "action": "join"}"#, "chat/join"),
        ("$request.body.data.room", r#"{"data": {"room": "r1"}}"#, "r1"),
        ("$request.body.list[0]", r#"{"list": ["join"]}"#, "join"),
        ("$request.body.n", r#"{"n": 7}"#, "7"),
        ("$request.body.n", r#"{"n": true}"#, "true"),
        ("join", "{}", "join"),
        // Everything else is for $default.
        ("$request.body.action", r#"{"action": "Join"}"#, "$default"),
        ("$request.body.action", r#"{"action": null}"#, "$default"),
        ("$request.body.action", "{}", "$default"),
        ("$request.body.action", r#"["join"]"#, "$default"),
        ("$request.body.action", "join", "$default"),
        ("$request.body.action", "", "$default"),
        ("$request.body.action", r#"{"action": "join""#, "$default"),
        ("$request.body.action", r#"{"action": "$connect"}"#, "$default"),
        ("$request.body.action", r#"{"action": "$disconnect"}"#, "$default"),
        ("join", "join", "$default"),
    ];
    for (expression, message, key) in table {
        assert_eq!(selected(expression, &keys, message).as_deref(), Some(key), "{expression} of {message}");
    }
}

#[test]
fn without_a_default_there_may_be_none() {
    assert_eq!(selected("$request.body.action", &["join"], r#"{"action": "leave"}"#), None);
    assert_eq!(selected("$request.body.action", &["$connect"], r#"{"action": "$connect"}"#), None);
}

#[test]
fn what_was_read_already_selects_the_same() {
    let api = compiled(json!({"id": "a1", "routes": {"join": {}}}));
    let message = MessageText::new(r#"{"action": "join"}"#);
    assert!(message.json().is_some());
    assert_eq!(api.select(&message).map(CompiledRoute::key), Some("join"));
}

#[test]
fn models_accept_or_refuse() {
    let api = compiled(json!({
        "id": "a1",
        "models": {"Join": {"type": "object", "required": ["room"]}, "Any": {"type": "object"}},
        "routes": {
            "one": {"request_models": {"$default": "Join"}},
            "more": {"model_selection_expression": "${request.body.kind}",
                "request_models": {"join": "Join", "$default": "Any"}},
            "strict": {"model_selection_expression": "${request.body.kind}", "request_models": {"join": "Join"}},
            "free": {},
        },
    }));
    let accepts = |route: &str, text: &str| api.route(route).unwrap().accepts(&MessageText::new(text));
    assert!(accepts("one", r#"{"room": 1}"#));
    assert!(!accepts("one", "{}"));
    assert!(!accepts("one", "no json"));
    assert!(accepts("more", r#"{"kind": "other"}"#));
    assert!(!accepts("more", r#"{"kind": "join"}"#));
    assert!(accepts("strict", r#"{"kind": "join", "room": 1}"#));
    assert!(!accepts("strict", r#"{"kind": "other", "room": 1}"#));
    assert!(accepts("free", "no json"));
}
