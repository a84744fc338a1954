use super::*;

fn http(responses: Value) -> Value {
    json!({"kind": "http", "uri": "http://a.test/", "responses": responses})
}

fn function(responses: Value) -> Value {
    json!({"kind": "aws", "function": "f", "responses": responses})
}

#[test]
fn statuses_select() {
    let value = http(json!([
        {"key": "/4\\d\\d/", "templates": {"$default": "refused: $input.path('$.why')"}},
        {"key": "/50/", "templates": {"$default": "not the whole"}},
        {"key": "$default", "templates": {"a": "A $input.body", "$default": "D"},
            "template_selection_expression": "${integration.response.header.X-A}"},
    ]));
    assert_eq!(response(value.clone(), "{}", &answer(404, r#"{"why": "x"}"#)), Ok((404, "refused: x".to_owned())));
    assert_eq!(response(value, "{}", &answer(500, "b")), Ok((500, "D".to_owned())));
}

#[test]
fn templates_are_selected_by_message_and_answer() {
    let value = |expression: &str| {
        http(json!([{"key": "$default", "templates": {"1": "one", "200": "ok", "join": "j"},
            "template_selection_expression": expression}]))
    };
    let of = |expression: &str| response(value(expression), r#"{"action": "join"}"#, &answer(200, "b"));
    assert_eq!(of("${integration.response.header.x-a}"), Ok((200, "one".to_owned())));
    assert_eq!(of("${integration.response.statuscode}"), Ok((200, "ok".to_owned())));
    assert_eq!(of("${request.body.action}"), Ok((200, "j".to_owned())));
    assert_eq!(of("other"), Ok((200, "b".to_owned())));
}

#[test]
fn error_messages_of_functions_select() {
    let value = function(json!([
        {"key": "/.*no room.*/", "templates": {"$default": "{\"error\": $input.json('$.errorMessage')}"}},
        {"key": "$default"},
    ]));
    let refused = (502, r#"{"error": "no room r1"}"#.to_owned());
    assert_eq!(response(value.clone(), "{}", &failed("no room r1")), Ok(refused));
    assert_eq!(response(value.clone(), "{}", &answer(200, "[1]")), Ok((200, "[1]".to_owned())));
    assert_eq!(response(value, "{}", &failed("x")).map(|mapped| mapped.0), Ok(502));
    let only = function(json!([{"key": "/x/"}]));
    assert!(matches!(response(only, "{}", &failed("y")), Err(MappingError::Response(_))));
}

#[test]
fn without_responses_answers_pass_but_not_failures() {
    assert_eq!(response(function(json!([])), "{}", &answer(200, "{}")), Ok((200, "{}".to_owned())));
    assert_eq!(response(function(json!([])), "{}", &failed("x")), Err(MappingError::Function("x".to_owned())));
    assert_eq!(response(http(json!([])), "{}", &answer(201, "b")), Ok((201, "b".to_owned())));
}

#[test]
fn bytes_and_text() {
    let of = |handling: &str, body: &str| {
        response(http(json!([{"key": "$default", "content_handling": handling}])), "{}", &answer(200, body))
    };
    assert_eq!(of("convert_to_text", "hi"), Ok((200, "aGk=".to_owned())));
    assert_eq!(of("convert_to_binary", "aGk="), Ok((200, "hi".to_owned())));
    assert_eq!(of("convert_to_binary", "*"), Err(MappingError::NotBase64));
}

#[test]
fn templates_that_fail_say_where() {
    let value = http(json!([{"key": "$default", "templates": {"$default": "\n $util.parseJson($input.body)"}}]));
    let error = response(value, "{}", &answer(200, "no json")).unwrap_err().to_string();
    assert!(error.contains("\"$default\", line 2, column 2"), "{error}");
}
