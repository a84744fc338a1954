//! Shadows: every rule once.

use fanfare_iot::shadow::{Operation, Rejection, Shadow, ShadowName, ShadowTopic, client_token};
use serde_json::{Value, json};

const NOW: u64 = 1_795_263_000;

fn classic() -> ShadowName {
    ShadowName::new("dev1", None).unwrap()
}

fn with(state: Value) -> Shadow {
    let mut shadow = Shadow::default();
    shadow.update(json!({"state": state}).to_string().as_bytes(), NOW).unwrap();
    shadow
}

/// The state that `get` shows.
fn state(shadow: &Shadow) -> Value {
    shadow.get(&classic(), b"", NOW).unwrap()["state"].clone()
}

fn refused(shadow: &mut Shadow, request: &[u8]) -> Rejection {
    let before = shadow.clone();
    let rejection = shadow.update(request, NOW).unwrap_err();
    assert_eq!(*shadow, before, "a refused request changes nothing");
    rejection
}

#[test]
fn an_update_is_answered_in_three_documents() {
    let mut shadow = with(json!({"reported": {"color": "blue", "extra": 1}}));
    let request = br#"{"state": {"desired": {"color": "red"}}, "clientToken": "c1", "version": 1}"#;
    let updated = shadow.update(request, NOW + 5).unwrap();
    let accepted = json!({
        "state": {"desired": {"color": "red"}}, "metadata": {"desired": {"color": {"timestamp": NOW + 5}}},
        "version": 2, "timestamp": NOW + 5, "clientToken": "c1"
    });
    assert_eq!(updated.accepted, accepted);
    let delta = json!({
        "state": {"color": "red"}, "metadata": {"color": {"timestamp": NOW + 5}},
        "version": 2, "timestamp": NOW + 5, "clientToken": "c1"
    });
    assert_eq!(updated.delta, Some(delta));
    let reported = json!({"color": "blue", "extra": 1});
    let stamps = json!({"color": {"timestamp": NOW}, "extra": {"timestamp": NOW}});
    let documents = json!({
        "previous": {"state": {"reported": reported}, "metadata": {"reported": stamps}, "version": 1},
        "current": {
            "state": {"reported": reported, "desired": {"color": "red"}},
            "metadata": {"reported": stamps, "desired": {"color": {"timestamp": NOW + 5}}},
            "version": 2
        },
        "timestamp": NOW + 5, "clientToken": "c1"
    });
    assert_eq!(updated.documents, documents);
}

#[test]
fn reporting_what_is_desired_ends_the_difference() {
    let mut shadow = with(json!({"desired": {"lamp": "on"}}));
    let updated = shadow.update(br#"{"state": {"reported": {"lamp": "on"}}}"#, NOW).unwrap();
    assert_eq!((updated.delta, shadow.version()), (None, 2));
    assert_eq!(state(&shadow), json!({"desired": {"lamp": "on"}, "reported": {"lamp": "on"}}));
}

#[test]
fn objects_are_merged_and_the_rest_is_replaced() {
    let start = json!({"desired": {"a": {"b": 1, "c": [1, 2]}, "d": 1}});
    for (change, expected) in [
        (json!({"a": {"b": 2}}), json!({"a": {"b": 2, "c": [1, 2]}, "d": 1})),
        (json!({"a": {"c": [3]}}), json!({"a": {"b": 1, "c": [3]}, "d": 1})),
        (json!({"a": 5}), json!({"a": 5, "d": 1})),
        (json!({"d": {"x": null, "y": 1}}), json!({"a": {"b": 1, "c": [1, 2]}, "d": {"y": 1}})),
        (json!({"a": null, "z": null}), json!({"d": 1})),
        (json!({"a": {"b": null}}), json!({"a": {"c": [1, 2]}, "d": 1})),
        (json!({}), json!({"a": {"b": 1, "c": [1, 2]}, "d": 1})),
    ] {
        let mut shadow = with(start.clone());
        shadow.update(json!({"state": {"desired": change}}).to_string().as_bytes(), NOW).unwrap();
        assert_eq!(state(&shadow)["desired"], expected, "{change}");
    }
    let mut shadow = with(start);
    let updated = shadow.update(br#"{"state": {"desired": null}}"#, NOW).unwrap();
    assert_eq!(updated.accepted["state"], json!({"desired": null}));
    assert_eq!(state(&shadow), json!({}));
}

#[test]
fn metadata_say_when_each_value_was_set() {
    let mut shadow = with(json!({"desired": {"a": {"b": 1, "c": [1, {"x": 2}]}, "d": 1}}));
    shadow.update(br#"{"state": {"desired": {"a": {"b": 1}, "d": null}}}"#, NOW + 9).unwrap();
    let metadata = shadow.get(&classic(), b"", NOW).unwrap()["metadata"].clone();
    let (old, new) = (json!({"timestamp": NOW}), json!({"timestamp": NOW + 9}));
    assert_eq!(metadata, json!({"desired": {"a": {"b": new, "c": [old, {"x": old}]}}}));
}

#[test]
fn differences_keep_the_path_from_the_root() {
    let both = |desired: Value, reported: Value| {
        let document = with(json!({"desired": desired, "reported": reported})).get(&classic(), b"", NOW).unwrap();
        document["state"].get("delta").cloned()
    };
    for (desired, reported, expected) in [
        (json!({"a": {"b": {"c": 1}}}), json!({"a": {"b": {"c": 2, "d": 3}}}), Some(json!({"a": {"b": {"c": 1}}}))),
        (json!({"a": [1, 2]}), json!({"a": [1, 2, 3]}), Some(json!({"a": [1, 2]}))),
        (json!({"a": [1, 2]}), json!({"a": [1, 2], "b": 1}), None),
        (json!({"a": 1}), json!({"a": 1.0}), None),
        (json!({"a": {"b": 1}}), json!({"a": 1}), Some(json!({"a": {"b": 1}}))),
        (json!({"a": 1, "b": 2}), json!({"b": 2}), Some(json!({"a": 1}))),
        (json!({}), json!({"b": 2}), None),
    ] {
        assert_eq!(both(desired.clone(), reported.clone()), expected, "{desired} {reported}");
    }
}

#[test]
fn bad_requests_are_refused_by_name() {
    let mut shadow = with(json!({"desired": {"a": 1}}));
    let nested = |levels: usize| format!("{}1{}", "{\"k\":".repeat(levels), "}".repeat(levels));
    let deep = format!(r#"{{"state": {{"desired": {}}}}}"#, nested(9));
    let long_token = format!(r#"{{"state": {{}}, "clientToken": "{}"}}"#, "x".repeat(65));
    for (request, code, message) in [
        ("", 400, "Invalid JSON"),
        ("[]", 400, "Invalid JSON"),
        ("{", 400, "Invalid JSON"),
        ("{}", 400, "Missing required node: state"),
        (r#"{"state": null}"#, 400, "State node must be an object"),
        (r#"{"state": {"desired": 1}}"#, 400, "Desired node must be an object"),
        (r#"{"state": {"reported": []}}"#, 400, "Reported node must be an object"),
        (r#"{"state": {"other": {}}}"#, 400, "State contains an invalid node"),
        (r#"{"state": {"desired": {"a": [1, null]}}}"#, 400, "State contains an invalid node"),
        (r#"{"state": {"desired": {"a": [{"b": null}]}}}"#, 400, "State contains an invalid node"),
        (r#"{"state": {}, "version": "1"}"#, 400, "Invalid version"),
        (r#"{"state": {}, "version": -1}"#, 400, "Invalid version"),
        (r#"{"state": {}, "clientToken": 1}"#, 400, "Invalid clientToken"),
        (long_token.as_str(), 400, "Invalid clientToken"),
        (deep.as_str(), 400, "JSON contains too many levels of nesting; maximum is 8"),
        (r#"{"state": {}, "version": 7}"#, 409, "Version conflict"),
    ] {
        let rejection = refused(&mut shadow, request.as_bytes());
        assert_eq!((rejection.code, rejection.message.as_str()), (code, message), "{request}");
    }
    assert_eq!(refused(&mut shadow, b"\xff").code, 415);
    assert!(shadow.update(format!(r#"{{"state": {{"desired": {}}}}}"#, nested(8)).as_bytes(), NOW).is_ok());
}

#[test]
fn documents_have_a_largest_size() {
    let filled = |bytes: usize| json!({"state": {"desired": {"a": "x".repeat(bytes)}}}).to_string();
    let overhead = r#"{"desired":{"a":""}}"#.len();
    let mut shadow = Shadow::default();
    assert!(shadow.update(filled(8_192 - overhead).as_bytes(), NOW).is_ok());
    assert_eq!(refused(&mut shadow, filled(8_193 - overhead).as_bytes()).code, 413);
    let more = refused(&mut shadow, br#"{"state": {"reported": {"b": 1}}, "clientToken": "t"}"#);
    assert_eq!((more.code, more.client_token.as_deref()), (413, Some("t")));
    assert_eq!(refused(&mut shadow, &vec![b' '; 128 * 1024 + 1]).code, 413);
}

#[test]
fn the_token_comes_back() {
    let mut shadow = Shadow::default();
    let request = br#"{"clientToken": "c1"}"#;
    let rejection = shadow.get(&classic(), request, NOW).unwrap_err();
    let expected = json!({"code": 404, "message": "No shadow exists with name: 'dev1'", "clientToken": "c1"});
    assert_eq!(rejection.to_json(), expected);
    let named = ShadowName::new("dev1", Some("config")).unwrap();
    let rejection = shadow.delete(&named, b"", NOW).unwrap_err();
    assert_eq!(rejection.to_json(), json!({"code": 404, "message": "No shadow exists with name: 'config'"}));
    shadow.update(br#"{"state": {"desired": {}}}"#, NOW).unwrap();
    assert_eq!(shadow.get(&classic(), request, NOW).unwrap()["clientToken"], "c1");
    assert_eq!(shadow.get(&classic(), b"nonsense", NOW).unwrap_err().code, 400);
    assert_eq!(client_token(request).as_deref(), Some("c1"));
    assert_eq!(Rejection::new(403, "Forbidden", request).to_json()["clientToken"], "c1");
}

#[test]
fn versions_survive_a_delete() {
    let mut shadow = with(json!({"desired": {"a": 1}}));
    let answer = shadow.delete(&classic(), br#"{"clientToken": "c"}"#, NOW).unwrap();
    assert_eq!(answer, json!({"version": 1, "timestamp": NOW, "clientToken": "c"}));
    assert!(!shadow.exists() && shadow.is_deleted());
    assert_eq!(shadow.get(&classic(), b"", NOW).unwrap_err().code, 404);
    assert_eq!(shadow.delete(&classic(), b"", NOW).unwrap_err().code, 404);
    let mut shadow = Shadow::from_bytes(&shadow.to_bytes()).unwrap();
    let updated = shadow.update(br#"{"state": {"reported": {"b": 2}}}"#, NOW).unwrap();
    assert_eq!(updated.accepted["version"], 2);
    assert_eq!(state(&shadow), json!({"reported": {"b": 2}}));
}

#[test]
fn stored_bytes_are_read_again() {
    let shadow = with(json!({"desired": {"a": [1, {"b": 2}]}, "reported": {}}));
    assert_eq!(Shadow::from_bytes(&shadow.to_bytes()).unwrap(), shadow);
    assert!(Shadow::from_bytes(b"{}").is_err());
}

#[test]
fn topics_name_shadow_and_operation() {
    for (topic, expected) in [
        ("$aws/things/T-1/shadow/get", Some(("T-1", None, Operation::Get))),
        ("$aws/things/T/shadow/update", Some(("T", None, Operation::Update))),
        ("$aws/things/T/shadow/name/N$x/delete", Some(("T", Some("N$x"), Operation::Delete))),
        ("$aws/things/T/shadow/update/accepted", None),
        ("$aws/things/T/shadow/name/update", None),
        ("$aws/things/T/shadow/name/N/update/delta", None),
        ("$aws/things//shadow/get", None),
        ("$aws/things/T$/shadow/get", None),
        ("$aws/things/T/shadow/name//get", None),
        ("aws/things/T/shadow/get", None),
        ("$aws/things/T/jobs/get", None),
    ] {
        let found = ShadowTopic::parse(topic);
        let found = found.as_ref().map(|topic| (topic.name.thing(), topic.name.shadow(), topic.operation));
        assert_eq!(found, expected, "{topic}");
    }
    let topic = ShadowTopic::parse("$aws/things/T/shadow/name/N/update").unwrap();
    assert_eq!(topic.accepted(), "$aws/things/T/shadow/name/N/update/accepted");
    assert_eq!(topic.rejected(), "$aws/things/T/shadow/name/N/update/rejected");
    assert_eq!(topic.name.delta(), "$aws/things/T/shadow/name/N/update/delta");
    assert_eq!(classic().documents(), "$aws/things/dev1/shadow/update/documents");
    assert_eq!(classic().request(Operation::Get), "$aws/things/dev1/shadow/get");
    assert!(ShadowName::new(&"x".repeat(129), None).is_none());
    assert!(ShadowName::new("x", Some(&"x".repeat(65))).is_none());
}
