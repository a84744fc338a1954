//! SAM and CloudFormation templates.

use std::time::Duration;

use fanfare_apigateway::model::{
    Authorization, Binary, ContentHandling, IntegrationKind, Passthrough, Period, Throttle,
};
use fanfare_runtime::RuntimeKind;

use super::*;

fn classic(params: &[(&str, &str)]) -> Application {
    let options = ReadOptions {
        region: Some("eu-west-1".to_owned()),
        params: values(params),
        values: values(&[("ssm:/auction/backend", "backend.test"), ("secretsmanager:partner-key", "k-1")]),
        endpoint: Some("localhost:8080".to_owned()),
        code: Some(PathBuf::from("/code")),
        ..options()
    };
    read(&fixture("classic/template.yaml"), &options).unwrap()
}

#[test]
fn functions_share_what_globals_say() {
    let application = classic(&[]);
    assert_eq!(application.name, "classic");
    let names: Vec<&str> = application.functions.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["classic-Echo", "classic-bid", "classic-GateFunction"]);
    let bid = function(&application, "BidFunction");
    assert_eq!((bid.handler.as_str(), bid.memory_mb, bid.timeout), ("app.handler", 256, Duration::from_secs(10)));
    assert_eq!((bid.reserved_concurrency, bid.idle_timeout), (Some(5), Duration::from_secs(30)));
    assert!(bid.root.ends_with("tests/fixtures/classic/src"), "{}", bid.root.display());
    let gate = function(&application, "GateFunction");
    assert_eq!(gate.runtime, RuntimeKind::Python("3.11".to_owned()));
    assert_eq!(gate.timeout, Duration::from_secs(3));
    assert_eq!(gate.environment, values(&[("TABLE", "bids"), ("STAGE", "dev")]));
}

#[test]
fn code_in_the_template_becomes_a_file() {
    let application = classic(&[]);
    let echo = function(&application, "Echo");
    assert_eq!(echo.root, Path::new("/code/classic-Echo"));
    let [code] = application.code.as_slice() else { panic!("one file") };
    assert_eq!(code.path, Path::new("/code/classic-Echo/index.js"));
    assert!(code.text.starts_with("exports.handler"));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/index.js");
    let here = Application {
        code: vec![fanfare_descriptors::InlineCode { path: path.clone(), text: code.text.clone() }],
        ..Application::default()
    };
    here.write_code().unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), code.text);
}

#[test]
fn calls_are_worked_out() {
    let application = classic(&[("StageName", "prod")]);
    let environment = &function(&application, "BidFunction").environment;
    let is = |name: &str, value: &str| assert_eq!(environment.get(name).map(String::as_str), Some(value), "{name}");
    is("ENDPOINT", "https://localhost:8080/prod");
    is("SOCKET", "wss://localhost:8080");
    is("ARN", "arn:aws:dynamodb:eu-west-1:000000000000:table/bids");
    is("LEVEL", "warn");
    is("RATE", "100");
    is("FIRST", "a");
    is("STAGE", "prod");
    assert!(!environment.contains_key("NOTHING"));
    assert_eq!(application.functions.len(), 4, "OnlyProd is there");
    assert_eq!(application.apis[0].stages.keys().collect::<Vec<_>>(), ["prod"]);
}

#[test]
fn routes_find_their_integrations() {
    let application = classic(&[]);
    let [api] = application.apis.as_slice() else { panic!("one API") };
    let keys: Vec<&str> = api.routes.keys().map(String::as_str).collect();
    assert_eq!(keys, ["$connect", "bid", "later", "lots", "watch"]);
    let integration = |key: &str| api.routes[key].integration.as_ref().unwrap();
    assert_eq!(integration("bid").function.as_deref(), Some("classic-bid"));
    assert_eq!(integration("watch").topic.as_deref(), Some("lots/${request.body.lot}"));
    let later = integration("later");
    assert_eq!(later.kind, IntegrationKind::Aws);
    assert_eq!(later.uri.as_deref(), Some("arn:aws:apigateway:eu-west-1:sqs:path/000000000000/classic-Jobs"));
    assert!(api.routes["bid"].two_way && !api.routes["lots"].two_way);
    assert_eq!(api.routes["bid"].request_models, values(&[("$default", "bid")]));
    assert_eq!(api.models["bid"]["required"][0], "amount");
    assert_eq!(api.options.binary, Binary::Base64);
}

#[test]
fn templates_of_integrations_are_kept_as_they_are() {
    let application = classic(&[]);
    let lots = application.apis[0].routes["lots"].integration.clone().unwrap();
    assert_eq!((lots.kind, lots.method.as_deref()), (IntegrationKind::Http, Some("PUT")));
    assert_eq!(lots.uri.as_deref(), Some("https://backend.test/lots"));
    assert_eq!((lots.timeout_ms, lots.passthrough), (5_000, Passthrough::Never));
    assert_eq!(lots.content_handling, Some(ContentHandling::ConvertToText));
    assert_eq!(lots.template_selection_expression.as_deref(), Some("\\$default"));
    assert_eq!(lots.request_templates["$default"], "{\"lot\": $input.json(\"$.lot\")}");
    assert_eq!(lots.request_parameters["integration.request.header.Connection-Id"], "context.connectionId");
    assert_eq!((lots.responses.len(), lots.responses[0].key.as_str()), (1, "/5\\d\\d/"));
}

#[test]
fn who_may_come_in() {
    let application = classic(&[]);
    let api = &application.apis[0];
    let connect = &api.routes["$connect"];
    assert_eq!((connect.authorization, connect.authorizer.as_deref()), (Authorization::Custom, Some("gate")));
    assert!(connect.api_key_required && connect.request_parameters["route.request.querystring.token"]);
    assert_eq!(api.authorizers["gate"].function, "classic-GateFunction");
    assert_eq!(api.authorizers["gate"].identity_sources, ["route.request.querystring.token"]);
    let [key] = api.api_keys.as_slice() else { panic!("one key") };
    assert_eq!((key.id.as_str(), key.value.as_str()), ("Key", "k-1"));
    assert_eq!(key.throttle, Some(Throttle { rate: 3.0, burst: 4 }));
    assert_eq!(key.quota.map(|quota| (quota.limit, quota.period)), Some((1_000, Period::Month)));
}

#[test]
fn stages_and_domains() {
    let application = classic(&[]);
    let stage = &application.apis[0].stages["dev"];
    assert_eq!(stage.variables, values(&[("colour", "green")]));
    assert_eq!(stage.throttle, Some(Throttle { rate: 5.5, burst: 7 }));
    assert_eq!(stage.route_throttles["bid"], Throttle { rate: 2.0, burst: 5_000 });
    assert_eq!(stage.access_log.as_deref(), Some("$context.requestId"));
    let domain = &application.apis[0].domains[0];
    assert_eq!(
        (domain.name.as_str(), domain.mapping_key.as_str(), domain.stage.as_str()),
        ("auction.example.test", "live", "dev")
    );
}

#[test]
fn what_is_not_made_is_noted() {
    let notes = notes(&classic(&[]));
    for note in [
        "Jobs is of type AWS::SQS::Queue, which is not made here",
        "BidPermission is of type AWS::Lambda::Permission",
        "Website is no API with `ProtocolType: WEBSOCKET`",
        "`Policies` has no effect here",
        "events of type \"Schedule\" do not call \"classic-bid\"",
        "`CredentialsArn` has no effect here",
        "`Outputs` has no effect here",
    ] {
        assert!(notes.contains(note), "{note:?} is not in\n{notes}");
    }
}

#[test]
fn an_api_in_one_resource() {
    let application = read(&fixture("socket-api"), &options()).unwrap();
    let [api] = application.apis.as_slice() else { panic!("one API") };
    assert_eq!((api.name.as_str(), api.route_selection_expression.as_str()), ("Chat", "$request.body.type"));
    let say = &api.routes["say"];
    assert!(say.two_way);
    assert_eq!(say.integration.as_ref().map(|one| one.timeout_ms), Some(3_000));
    assert_eq!(api.routes["$connect"].authorization, Authorization::Custom);
    let authorizer = &api.authorizers[api.routes["$connect"].authorizer.as_ref().unwrap()];
    assert_eq!(authorizer.function, "socket-api-Guard");
    assert_eq!(api.stages["live"].throttle, Some(Throttle { rate: 10_000.0, burst: 9 }));
    assert_eq!((api.domains[0].mapping_key.as_str(), api.domains[0].stage.as_str()), ("talk", "live"));
}

#[test]
fn what_cdk_makes() {
    let application = read(&fixture("synth/Socket.template.json"), &options()).unwrap();
    let [handler] = application.functions.as_slice() else { panic!("one function") };
    assert!(handler.root.ends_with("synth/asset.5f2a"));
    assert_eq!(handler.environment["API"], application.apis[0].id);
    let connect = application.apis[0].routes["$connect"].integration.as_ref().unwrap();
    assert_eq!(connect.function.as_deref(), Some(handler.name.as_str()));
}

#[test]
fn resources_of_a_serverless_yml_join_its_api() {
    let text = "\
service: s
provider: {name: aws, runtime: python3.12}
functions:
  f: {handler: a.a, events: [websocket: $default]}
resources:
  - Resources:
      Answer:
        Type: AWS::ApiGatewayV2::RouteResponse
        Properties: {ApiId: !Ref WebsocketsApi, RouteId: !Ref SdefaultWebsocketsRoute, RouteResponseKey: $default}
  - Resources:
      Mock:
        Type: AWS::ApiGatewayV2::Integration
        Properties: {ApiId: !Ref WebsocketsApi, IntegrationType: MOCK}
      Ping:
        Type: AWS::ApiGatewayV2::Route
        Properties: {ApiId: !Ref WebsocketsApi, RouteKey: ping, Target: !Sub 'integrations/${Mock}'}
";
    let application = read_text("serverless.yml", text, &options()).unwrap();
    let api = &application.apis[0];
    assert!(api.routes["$default"].two_way);
    assert_eq!(api.routes["ping"].integration.as_ref().map(|one| one.kind), Some(IntegrationKind::Mock));
}

#[test]
fn mistakes_in_templates_have_lines_and_hints() {
    let text = "\
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: a, ProtocolType: WEBSOCKET, RouteSelectionExpresion: x}
  Fn:
    Type: AWS::Serverless::Function
    Properties: {Handler: a.b, Runtime: python3.12, CodeUri: s3://bucket/key, Environment: {Variables: {A: !Ref Apy}}}
  Gone:
    Type: AWS::Lambda::Function
    Properties: {Handler: a.b, Runtime: go1.x, Code: {S3Bucket: b, S3Key: k}}
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: a, AuthorizationType: JWT, Target: integrations/Nothing}
  Slip:
    Type: AWS::ApiGatewayV2::Rout
  Pool:
    Type: AWS::Cognito::UserPool
  User:
    Type: AWS::Serverless::Function
    Properties: {Handler: a.b, Runtime: python3.12, CodeUri: nowhere, Environment: {Variables: {A: !GetAtt Pool.ProviderURL}}}
";
    let error = read_text("template.yaml", text, &options()).unwrap_err();
    let shown = error.to_string();
    for line in [
        "template.yaml:4:",
        "unknown key \"RouteSelectionExpresion\" (did you mean \"RouteSelectionExpression\"?)",
        "template.yaml:7:62: code is not fetched from s3://bucket/key",
        "there is no resource or parameter \"Apy\" (did you mean \"Api\"?)",
        "the runtime \"go1.x\" does not run here",
        "`S3Key` is not supported: code is not fetched from S3",
        "`AuthorizationType` is \"JWT\"; it must be one of NONE, AWS_IAM, CUSTOM",
        "there is no integration \"Nothing\"",
        "(did you mean \"AWS::ApiGatewayV2::Route\"?)",
        "there is no folder \"nowhere\" beside the descriptor",
        "values that are missing: att:Pool.ProviderURL",
    ] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }
}

#[test]
fn an_api_for_those_who_sign() {
    let text = "\
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {Runtime: nodejs20.x, CodeUri: .}}
Resources:
  Show: {Type: AWS::Serverless::Function, Properties: {Handler: a.b}}
  Api:
    Type: AWS::Serverless::WebSocketApi
    Metadata: {Fanfare: {routes: {say: {topic: all}}}}
    Properties:
      RouteSelectionExpression: $request.body.action
      Auth: {AuthType: AWS_IAM}
      Routes:
        $connect: {FunctionArn: !GetAtt Show.Arn}
";
    let application = read_text("template.yml", text, &options()).unwrap();
    let api = &application.apis[0];
    assert_eq!(api.routes["$connect"].authorization, Authorization::AwsIam);
    assert_eq!(api.routes["say"].integration.as_ref().map(|one| one.kind), Some(IntegrationKind::Topic));
    assert_eq!(api.stages.keys().collect::<Vec<_>>(), ["default"]);
    let without = text.replace("$connect:", "other:");
    let shown = read_text("template.yml", &without, &options()).unwrap_err().to_string();
    assert!(shown.contains("`Auth` guards the route `$connect`, and there is none"), "{shown}");
}

#[test]
fn functions_may_hang_on_stage_variables() {
    let text = "\
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: a, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Any:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:${!stageVariables.target}/invocations
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $default, Target: !Sub 'integrations/${Any}'}
";
    let application = read_text("template.yaml", text, &options()).unwrap();
    let api = &application.apis[0];
    let integration = api.routes["$default"].integration.as_ref().unwrap();
    assert_eq!(integration.function.as_deref(), Some("${stageVariables.target}"));
    assert_eq!(api.stages.keys().collect::<Vec<_>>(), ["dev"]);
    assert!(notes(&application).contains("Api has no stage; it is reached under \"dev\""));
}
