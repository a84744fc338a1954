use super::*;

fn http(value: Value, message: &str) -> (String, String, Vec<(String, String)>, String) {
    match request(value, message).unwrap() {
        IntegrationRequest::Http { method, url, headers, body } => {
            (method, url, headers, String::from_utf8(body.to_vec()).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn functions() {
    let uri = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/\
               arn:aws:lambda:eu-west-1:000000000000:function:${stageVariables.fn}:live/invocations";
    let arn = "arn:aws:lambda:eu-west-1:000000000000:function:orders:live".to_owned();
    let named = |name: &str, event: Option<&'static str>| {
        Ok(IntegrationRequest::Function { name: name.to_owned(), event: event.map(Bytes::from) })
    };
    assert_eq!(request(json!({"kind": "aws_proxy", "function": "echo"}), "x"), named("echo", None));
    assert_eq!(request(json!({"kind": "aws_proxy", "uri": uri}), "x"), named(&arn, None));
    assert_eq!(request(json!({"kind": "aws", "uri": uri}), r#"{"a":1}"#), named(&arn, Some(r#"{"a":1}"#)));
    let templates = json!({"$default": "{\"id\": \"$context.connectionId\", \"room\": $input.json('$.room')}"});
    let mapped = json!({"kind": "aws", "function": "${stageVariables.fn}", "request_templates": templates});
    assert_eq!(request(mapped, r#"{"room": "r1"}"#), named("orders", Some(r#"{"id": "c=", "room": "r1"}"#)));
    assert!(matches!(request(json!({"kind": "aws", "function": "f"}), "no json"), Err(MappingError::NotJson(_))));
    assert_eq!(request(json!({"kind": "aws", "function": "f"}), ""), named("f", Some("{}")));
}

#[test]
fn functions_that_are_only_told() {
    let later = |kind: &str, value: &str| {
        let parameters = json!({"integration.request.header.x-amz-invocation-type": value});
        let api = integration(json!({"kind": kind, "function": "f", "request_parameters": parameters}));
        with_scope(Some("{}"), |scope| api.route("r").unwrap().is_called_later(scope))
    };
    assert!(later("aws", "'Event'"));
    assert!(!later("aws", "'RequestResponse'"));
    assert!(!later("aws", "context.nothing"));
    assert!(!later("aws_proxy", "'Event'"));
}

#[test]
fn web_servers() {
    let (method, url, headers, body) = http(
        json!({"kind": "http_proxy", "uri": "https://${stageVariables.host}/{room}/x", "method": "put",
        "request_parameters": {
            "integration.request.header.connectionId": "context.connectionId",
            "integration.request.header.Sec-WebSocket-Version": "'0'",
            "integration.request.header.none": "route.request.header.nope",
            "integration.request.path.room": "route.request.body.room",
            "integration.request.querystring.t": "route.request.querystring.token",
            "integration.request.querystring.u": "context.authorizer.principalId",
        }}),
        r#"{"room": "a/b?"}"#,
    );
    assert_eq!((method.as_str(), url.as_str()), ("PUT", "https://b.test/a%2Fb%3F/x?t=a%20b&u=u1"));
    let expected = [("Sec-WebSocket-Version", "0"), ("connectionId", "c=")];
    assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(body, r#"{"room": "a/b?"}"#);
    let templates = json!({"join": "J$input.json('$.n')", "$default": "D"});
    let mapped = json!({"kind": "http", "uri": "http://a.test/", "request_templates": templates,
        "template_selection_expression": "${request.body.action}"});
    assert_eq!(http(mapped.clone(), r#"{"action": "join", "n": 1}"#).3, "J1");
    assert_eq!(http(mapped, r#"{"action": "other"}"#).3, "D");
}

#[test]
fn bodies_without_a_template() {
    let of = |templates: Value, passthrough: &str| {
        let value = json!({"kind": "http", "uri": "http://a.test/", "request_templates": templates,
            "template_selection_expression": "${request.body.action}", "passthrough": passthrough});
        match request(value, "{}") {
            Ok(IntegrationRequest::Http { body, .. }) => Ok(body == "{}"),
            Ok(_) => Ok(false),
            Err(error) => Err(error),
        }
    };
    let refused = Err(MappingError::UnsupportedMediaType);
    assert_eq!(of(json!({}), "when_no_match"), Ok(true));
    assert_eq!(of(json!({"x": "y"}), "when_no_match"), Ok(true));
    assert_eq!(of(json!({}), "when_no_templates"), Ok(true));
    assert_eq!(of(json!({"x": "y"}), "when_no_templates"), refused);
    assert_eq!(of(json!({}), "never"), refused);
}

#[test]
fn base64_becomes_bytes() {
    let value = json!({"kind": "http_proxy", "uri": "http://a.test/", "content_handling": "convert_to_binary"});
    assert_eq!(http(value.clone(), "aGk=").3, "hi");
    assert_eq!(request(value, "*"), Err(MappingError::NotBase64));
}

#[test]
fn mocks() {
    let of = |template: &str| request(json!({"kind": "mock", "request_templates": {"$default": template}}), "{}");
    assert_eq!(of("{\"statusCode\": 200}"), Ok(IntegrationRequest::Mock { status: 200 }));
    assert_eq!(of("#if(true){statusCode: 403}#end"), Ok(IntegrationRequest::Mock { status: 403 }));
    assert_eq!(of("x"), Err(MappingError::MockStatus("x".to_owned())));
    assert_eq!(request(json!({"kind": "mock"}), "{}"), Ok(IntegrationRequest::Mock { status: 200 }));
}

#[test]
fn topics() {
    let of = |payload: Option<&str>, message: &str| {
        let value = json!({"kind": "topic", "topic": "chat/${request.body.room}/${context.authorizer.principalId}",
            "payload": payload});
        match request(value, message)? {
            IntegrationRequest::Topic(TopicRequest { topic, payload, is_json }) => {
                Ok((topic, String::from_utf8(payload.to_vec()).unwrap(), is_json))
            }
            other => panic!("{other:?}"),
        }
    };
    let message = r#"{"room": "r1", "data": {"a": [1]}, "text": "hi"}"#;
    let topic = || "chat/r1/u1".to_owned();
    assert_eq!(of(None, message), Ok((topic(), message.to_owned(), true)));
    assert_eq!(of(Some("$request.body.data"), message), Ok((topic(), r#"{"a":[1]}"#.to_owned(), true)));
    assert_eq!(of(Some("$request.body.text"), message), Ok((topic(), "hi".to_owned(), false)));
    assert_eq!(of(Some("<${request.body.text}>"), message), Ok((topic(), "<hi>".to_owned(), false)));
    assert!(matches!(of(Some("$request.body.no"), message), Err(MappingError::Payload(_))));
    assert!(matches!(of(None, "{}"), Err(MappingError::Topic(_))));
    assert!(matches!(of(None, r#"{"room": ""}"#), Err(MappingError::Topic(_))));
}

fn aws(value: Value) -> AwsRequest {
    match request(value, r#"{"m": "a b"}"#).unwrap() {
        IntegrationRequest::Aws(request) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn services_with_a_path() {
    let asked = aws(json!({"kind": "aws", "uri": "arn:aws:apigateway:eu-west-1:sqs:path/000000000000/orders",
        "request_parameters": {
            "integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"},
        "request_templates": {
            "$default": "Action=SendMessage&MessageBody=$util.urlEncode($input.path('$.m'))"}}));
    assert_eq!((asked.service.as_str(), asked.region.as_str(), asked.method.as_str()), ("sqs", "eu-west-1", "POST"));
    assert_eq!(asked.path, "/000000000000/orders");
    assert_eq!(asked.headers, [("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())]);
    assert_eq!(asked.body, "Action=SendMessage&MessageBody=a+b");
}

#[test]
fn services_with_an_action() {
    let header = |asked: &AwsRequest, name: &str| {
        asked.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.clone())
    };
    let table = [
        ("events:action/PutEvents", "AWSEvents.PutEvents", "application/x-amz-json-1.1"),
        ("kinesis:action/PutRecord", "Kinesis_20131202.PutRecord", "application/x-amz-json-1.1"),
        ("dynamodb:action/PutItem", "DynamoDB_20120810.PutItem", "application/x-amz-json-1.0"),
        ("states:action/StartExecution", "AWSStepFunctions.StartExecution", "application/x-amz-json-1.0"),
    ];
    for (action, target, content_type) in table {
        let asked = aws(json!({"kind": "aws", "uri": format!("arn:aws:apigateway:eu-west-1:{action}")}));
        assert_eq!(header(&asked, "X-Amz-Target").as_deref(), Some(target));
        assert_eq!(header(&asked, "Content-Type").as_deref(), Some(content_type));
        assert_eq!(asked.path, "/");
    }
    let asked = aws(json!({"kind": "aws", "uri": "arn:aws:apigateway:eu-west-1:sns:action/Publish",
        "request_parameters": {"integration.request.querystring.Message": "route.request.body.m"}}));
    assert_eq!(asked.path, "/?Action=Publish&Version=2010-03-31&Message=a%20b");
    assert_eq!(header(&asked, "X-Amz-Target"), None);
}

#[test]
fn a_stage_without_a_variable_is_an_error() {
    let api = integration(json!({"kind": "aws_proxy", "function": "${stageVariables.fn}"}));
    let (context, variables) = (Map::new(), BTreeMap::new());
    let scope = Scope { message: None, headers: &[], query: &[], context: &context, stage_variables: &variables };
    let asked = api.route("r").unwrap().integration_request(&scope);
    assert_eq!(asked, Err(MappingError::StageVariable("fn".to_owned())));
}
