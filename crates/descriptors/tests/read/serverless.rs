//! A serverless.yml.

use std::time::Duration;

use fanfare_apigateway::model::{Authorization, IntegrationKind};
use fanfare_runtime::RuntimeKind;

use super::*;

fn chat(stage: Option<&str>) -> Application {
    let options = ReadOptions {
        stage: stage.map(str::to_owned),
        values: values(&[("ssm:/chat/secret", "hush")]),
        endpoint: Some("localhost:8080".to_owned()),
        ..options()
    };
    read(&fixture("chat/serverless.yml"), &options).unwrap()
}

#[test]
fn functions_have_what_they_and_the_provider_say() {
    let application = chat(None);
    assert_eq!((application.name.as_str(), application.region.as_deref()), ("chat", Some("eu-west-1")));
    let connect = function(&application, "connect");
    assert_eq!((connect.name.as_str(), connect.handler.as_str()), ("chat-dev-connect", "chat.connection.opened"));
    assert_eq!(connect.runtime, RuntimeKind::Python("3.12".to_owned()));
    assert_eq!((connect.timeout, connect.memory_mb), (Duration::from_secs(10), 256));
    assert_eq!((connect.reserved_concurrency, connect.provisioned_concurrency, connect.retries), (None, 0, 2));
    assert!(connect.root.is_absolute() && connect.root.ends_with("tests/fixtures/chat"));
    assert_eq!(connect.origin, "serverless.yml:68");
    let history = function(&application, "chat-history");
    assert_eq!(history.alias.as_deref(), Some("history"));
    assert_eq!(history.runtime, RuntimeKind::Node("20".to_owned()));
    assert_eq!((history.timeout, history.memory_mb), (Duration::from_secs(20), 512));
    assert_eq!((history.reserved_concurrency, history.provisioned_concurrency, history.retries), (Some(4), 1, 0));
    assert_eq!((history.idle_timeout, history.freeze_after), (Duration::from_secs(5), Some(Duration::from_secs(1))));
    assert_eq!(history.dead_letter_topic.as_deref(), Some("failed/history"));
}

#[test]
fn environments_are_worked_out() {
    let application = chat(None);
    let environment = &function(&application, "connect").environment;
    let is = |name: &str, value: &str| assert_eq!(environment.get(name).map(String::as_str), Some(value), "{name}");
    is("TABLE", "chat-dev-connections");
    is("TABLE_ARN", "arn:aws:dynamodb:eu-west-1:000000000000:table/chat-dev-connections");
    is("QUEUE", "https://sqs.eu-west-1.amazonaws.com/000000000000/chat-dev-Jobs");
    is("API_ID", &application.apis[0].id);
    is("ENDPOINT", "https://localhost:8080/dev");
    is("JOINED", "https://localhost:8080/dev");
    is("OTHER", "arn:aws:lambda:eu-west-1:000000000000:function:chat-history");
    is("GREETING", "hello, you");
    is("SECRET", "hush");
    is("LEVEL", "007");
    let own = &function(&application, "history").environment;
    assert_eq!((own["TABLE"].as_str(), own["LEVEL"].as_str(), own["SECRET"].as_str()), ("other", "debug", "hush"));
}

#[test]
fn routes_call_functions() {
    let application = chat(None);
    let [api] = application.apis.as_slice() else { panic!("one API") };
    assert_eq!(api.name, "chat-sockets");
    assert_eq!(api.route_selection_expression, "$request.body.type");
    let keys: Vec<&str> = api.routes.keys().map(String::as_str).collect();
    assert_eq!(keys, ["$connect", "$default", "$disconnect", "history", "say"]);
    let integration = |key: &str| api.routes[key].integration.as_ref().unwrap();
    assert_eq!(integration("history").kind, IntegrationKind::AwsProxy);
    assert_eq!(integration("history").function.as_deref(), Some("chat-history"));
    assert_eq!(integration("$connect").function.as_deref(), Some("chat-dev-connect"));
    assert!(api.routes["history"].two_way && !api.routes["$default"].two_way);
    assert_eq!(api.stages.keys().collect::<Vec<_>>(), ["dev"]);
    assert_eq!(api.stages["dev"].access_log.as_deref(), Some("$context.requestId $context.status"));
}

#[test]
fn authorizers_are_functions_with_sources() {
    let application = chat(None);
    let api = &application.apis[0];
    let connect = &api.routes["$connect"];
    assert_eq!((connect.authorization, connect.authorizer.as_deref()), (Authorization::Custom, Some("chat-dev-auth")));
    let authorizer = &api.authorizers["chat-dev-auth"];
    assert_eq!(authorizer.function, "chat-dev-auth");
    assert_eq!(authorizer.identity_sources, ["route.request.querystring.token", "route.request.header.Origin"]);
    assert_eq!(api.routes["history"].authorization, Authorization::None);
}

#[test]
fn own_keys_make_topics_options_and_domains() {
    let application = chat(None);
    let api = &application.apis[0];
    let say = api.routes["say"].integration.as_ref().unwrap();
    assert_eq!((say.kind, say.topic.as_deref()), (IntegrationKind::Topic, Some("room/${request.body.room}")));
    assert_eq!(say.payload.as_deref(), Some("$request.body.data"));
    assert!(api.options.ordered && api.options.idle_timeout_s == 60 && api.options.max_duration_s == 7_200);
    assert_eq!((api.domains[0].name.as_str(), api.domains[0].stage.as_str()), ("chat.example.test", "dev"));
}

#[test]
fn a_stage_changes_all_that_follows_from_it() {
    let (dev, prod) = (chat(None), chat(Some("prod")));
    assert_eq!(function(&prod, "connect").name, "chat-prod-connect");
    assert_eq!(function(&prod, "connect").timeout, Duration::from_secs(25));
    assert_eq!(function(&prod, "connect").environment["ENDPOINT"], "https://localhost:8080/prod");
    assert_eq!(prod.apis[0].domains[0].name, "chat.example.org");
    assert_eq!(prod.apis[0].stages.keys().collect::<Vec<_>>(), ["prod"]);
    assert_ne!(dev.apis[0].id, prod.apis[0].id);
    assert_eq!(dev.apis[0].id, chat(Some("dev")).apis[0].id);
}

#[test]
fn what_has_no_effect_is_noted_with_its_line() {
    let notes = notes(&chat(None));
    for note in [
        "serverless.yml:7: the plugin \"serverless-offline\" is not run here: this server takes its place",
        "serverless.yml:9: the plugin \"serverless-iam-roles-per-function\" is not run here",
        "serverless.yml:57: `iam` has no effect here",
        "serverless.yml:63: `patterns` has no effect here",
        "serverless.yml:90: `layers` has no effect here",
        "serverless.yml:94: `schedule` events do not call \"history\" here",
        "`level` has no effect here",
        "AWS::DynamoDB::Table",
    ] {
        assert!(notes.contains(note), "{note:?} is not in\n{notes}");
    }
}

#[test]
fn short_forms_of_authorizers() {
    let text = |authorizer: &str| {
        format!(
            "service: s\nprovider: {{name: aws, runtime: python3.12}}\nfunctions:\n  auth: {{handler: a.a}}\n  in:\n    \
             handler: a.b\n    events:\n      - websocket: {{route: $connect, authorizer: {authorizer}}}\n"
        )
    };
    let read = |authorizer: &str| {
        let application = read_text("serverless.yml", &text(authorizer), &options()).unwrap();
        let api = &application.apis[0];
        api.authorizers[api.routes["$connect"].authorizer.as_ref().unwrap()].clone()
    };
    let named = read("auth");
    assert_eq!(
        (named.function.as_str(), named.identity_sources[0].as_str()),
        ("s-dev-auth", "route.request.header.Auth")
    );
    assert_eq!(
        read("{name: auth, identitySource: 'route.request.header.X'}").identity_sources,
        ["route.request.header.X"]
    );
    assert_eq!(read("{arn: !GetAtt AuthLambdaFunction.Arn}").function, "s-dev-auth");
    assert_eq!(read("'arn:aws:lambda:us-east-1:000000000000:function:s-dev-auth:live'").function, "s-dev-auth");
    let elsewhere = "arn:aws:lambda:us-east-1:111111111111:function:gate";
    assert_eq!(read(&format!("{{arn: '{elsewhere}'}}")).function, elsewhere);
}

#[test]
fn the_last_event_of_a_route_counts() {
    let text = "service: s\nprovider: {name: aws, runtime: nodejs20.x}\nfunctions:\n  one: {handler: a.a, events: \
                [websocket: go]}\n  two: {handler: a.b, events: [websocket: go]}\n";
    let application = read_text("serverless.yml", text, &options()).unwrap();
    let route = &application.apis[0].routes["go"];
    assert_eq!(route.integration.as_ref().unwrap().function.as_deref(), Some("s-dev-two"));
    assert!(notes(&application).contains("the last one counts"));
}

#[test]
fn functions_without_routes_have_no_api() {
    let text = "service: s\nprovider: {name: aws, runtime: provided.al2023}\nfunctions:\n  - one: {handler: bootstrap}\n  \
                - two: {handler: bootstrap, environment: {EMPTY: '', NONE: null}}\n";
    let application = read_text("serverless.yml", text, &options()).unwrap();
    assert!(application.apis.is_empty());
    assert_eq!(application.functions.len(), 2);
    assert_eq!(function(&application, "two").environment, values(&[("EMPTY", "")]));
}

#[test]
fn dotenv_files_are_read_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let text = "service: s\nuseDotenv: true\nprovider: {name: aws, runtime: python3.12, environment: {A: '${env:A}'}}\n\
                functions: {f: {handler: a.a}}\n";
    std::fs::write(folder.path().join("serverless.yml"), text).unwrap();
    std::fs::write(folder.path().join(".env"), "A=from file\n").unwrap();
    // A folder stands for the descriptor in it.
    let application = read(folder.path(), &options()).unwrap();
    assert_eq!(function(&application, "f").environment["A"], "from file");
    let own = ReadOptions { env: Arc::new(|_| Some("from outside".to_owned())), ..options() };
    assert_eq!(function(&read(folder.path(), &own).unwrap(), "f").environment["A"], "from outside");
}

#[test]
fn parameters_of_version_4_stand_under_stages() {
    let text = "service: s\nstages: {default: {params: {a: one}}, prod: {params: {a: two}}}\nprovider: {name: aws, runtime: \
                python3.12, environment: {A: '${param:a}'}}\nfunctions: {f: {handler: a.a}}\n";
    let at = |stage: &str| {
        let options = ReadOptions { stage: Some(stage.to_owned()), ..options() };
        function(&read_text("serverless.yml", text, &options).unwrap(), "f").environment["A"].clone()
    };
    assert_eq!((at("dev"), at("prod")), ("one".to_owned(), "two".to_owned()));
}

#[test]
fn an_id_that_is_given_is_that_of_the_api_and_of_addresses() {
    let text = "service: s\nprovider:\n  name: aws\n  runtime: python3.12\n  websocketsApiRouteSelectionExpression: \
                ${request.body.service}/${request.body.action}\n  apiGateway: {websocketApiId: !ImportValue shared-api}\n  logs: \
                {websocket: true}\n  environment: {URL: !GetAtt WebsocketsApi.ApiEndpoint}\nfunctions:\n  f: {handler: a.a, \
                events: [websocket: chat/join]}\n";
    let options = ReadOptions { values: values(&[("import:shared-api", "abc123")]), ..options() };
    let application = read_text("serverless.yml", text, &options).unwrap();
    let api = &application.apis[0];
    assert_eq!(api.id, "abc123");
    assert_eq!(api.route_selection_expression, "${request.body.service}/${request.body.action}");
    assert_eq!(api.routes.keys().collect::<Vec<_>>(), ["chat/join"]);
    assert!(api.stages["dev"].access_log.as_ref().is_some_and(|format| format.contains("$context.routeKey")));
    // Nobody said where this server is reached.
    let environment = &function(&application, "f").environment;
    assert_eq!(environment["URL"], "wss://abc123.execute-api.us-east-1.amazonaws.com");
}

#[test]
fn two_apis_are_told_apart_by_paths() {
    let text = "service: s\nprovider: {name: aws, runtime: python3.12, environment: {URL: !GetAtt WebsocketsApi.ApiEndpoint}}\n\
                functions: {f: {handler: a.a, events: [websocket: go]}}\nresources:\n  Resources:\n    Second:\n      Type: \
                AWS::ApiGatewayV2::Api\n      Properties: {Name: second, ProtocolType: WEBSOCKET, RouteSelectionExpression: \
                $request.body.action}\n";
    let options = ReadOptions { endpoint: Some("gateway.test:8080".to_owned()), ..options() };
    let application = read_text("serverless.yml", text, &options).unwrap();
    let first = application.apis.iter().find(|api| api.routes.contains_key("go")).unwrap();
    assert_eq!(application.apis.len(), 2);
    assert_eq!(function(&application, "f").environment["URL"], format!("wss://gateway.test:8080/{}", first.id));
}

#[test]
fn the_dotenv_plugin_gives_its_variables_to_all_functions() {
    let folder = tempfile::tempdir().unwrap();
    let text = "service: s\nplugins: [serverless-dotenv-plugin]\ncustom: {dotenv: {exclude: [B]}}\nprovider: {name: aws, \
                runtime: python3.12, environment: {C: own}}\nfunctions: {f: {handler: a.a}}\n";
    std::fs::write(folder.path().join("serverless.yml"), text).unwrap();
    std::fs::write(folder.path().join(".env"), "A=1\nB=2\nC=3\n").unwrap();
    let application = read(folder.path(), &options()).unwrap();
    assert_eq!(function(&application, "f").environment, values(&[("A", "1"), ("C", "own")]));
}
