//! Functions that run here and WebSocket APIs, and what can be wrong with them.

use std::time::Duration;

use fanfare_apigateway::model::{Authorization, Binary, IntegrationKind, Period};
use fanfare_runtime::RuntimeKind;

use super::*;

const CHAT: &str = r#"
[functions.chat]
handler = "app.handler"
runtime = "python3.12"
environment = { TABLE = "rooms", EMPTY = "" }
timeout_ms = 6_000
provisioned_concurrency = 1
dead_letter_topic = "dead/chat"

[functions.door]
url = "http://127.0.0.1:9/"

[apigateway]
idle_timeout_s = 60
binary = "base64"

[apigateway.endpoints.sqs]
url = "http://127.0.0.1:9324"
access_key_id = "AK"
secret_access_key = "hush"

[[apigateway.apis]]
id = "chat"
options = { binary = "reject", legacy_gone = true }
domains = [{ name = "ws.example.com", stage = "live" }]
api_keys = [{ id = "partner", value = "hush-hush", quota = { limit = 10, period = "week" } }]
authorizers.door = { function = "door", identity_sources = "route.request.querystring.token" }
stages.dev.variables = { path = "a" }
stages.live.throttle = { rate = 2, burst = 5 }
models.order = '{"type": "object", "default": null}'
models.line = { type = "string" }

[apigateway.apis.routes."$connect"]
authorization = "custom"
authorizer = "door"
api_key_required = true
integration = { kind = "aws_proxy", function = "chat" }

[apigateway.apis.routes."rooms/join us"]
two_way = true
request_models = { "$default" = "order" }
integration = { kind = "http", uri = "http://127.0.0.1:9/${stageVariables.path}", request_templates = { "$default" = "" } }

[[apigateway.apis]]
id = "other2"
stages.dev = {}
"#;

#[test]
fn functions_that_run_here_are_read() {
    let config = from_file(&format!("{CHAT}[runtime]\nidle_timeout_s = 20\nfreeze = false\n")).unwrap();
    let handlers = config.handlers();
    assert_eq!(handlers.len(), 1);
    let chat = &handlers[0];
    assert_eq!((chat.name.as_str(), chat.handler.as_str()), ("chat", "app.handler"));
    assert_eq!(chat.runtime, RuntimeKind::Python("3.12".to_owned()));
    assert_eq!(chat.environment["EMPTY"], "");
    assert_eq!((chat.timeout, chat.idle_timeout), (Duration::from_secs(6), Duration::from_secs(20)));
    assert_eq!((chat.freeze_after, chat.retries, chat.memory_mb), (None, 2, 1_024));
    assert_eq!(chat.dead_letter_topic.as_deref(), Some("dead/chat"));
    let elsewhere = config.functions(std::sync::Arc::new(fanfare_core::MemoryLog::new(1))).unwrap();
    assert!(elsewhere.get("door").is_some() && elsewhere.get("chat").is_none());
}

#[test]
fn apis_are_read_with_the_options_of_all() {
    let config = from_file(CHAT).unwrap();
    let [chat, other] = &config.apigateway.apis[..] else { panic!("two APIs") };
    assert_eq!(chat.origin, "fanfare.toml:22:1");
    assert_eq!((chat.options.binary, other.options.binary), (Binary::Reject, Binary::Base64));
    assert_eq!((chat.options.idle_timeout_s, other.options.idle_timeout_s), (60, 60));
    assert!(chat.options.legacy_gone && !other.options.legacy_gone);
    assert_eq!(config.apigateway.options(), other.options);
    assert_eq!(Apigateway::default().options(), fanfare_apigateway::model::Options::default());
    assert_eq!(chat.stages["live"].throttle.map(|throttle| (throttle.rate, throttle.burst)), Some((2.0, 5)));
    assert!(config.apigateway.services().unwrap()["sqs"].credential.is_some());
    assert_eq!(chat.api_keys[0].quota.map(|quota| quota.period), Some(Period::Week));
    assert_eq!(chat.models["order"]["default"], serde_json::Value::Null);
    assert_eq!(chat.models["line"]["type"], "string");
    let connect = &chat.routes["$connect"];
    assert_eq!((connect.authorization, connect.origin.as_str()), (Authorization::Custom, "fanfare.toml:33:1"));
    let join = chat.routes["rooms/join us"].integration.as_ref().unwrap();
    assert_eq!((join.kind, join.timeout_ms), (IntegrationKind::Http, 29_000));
    assert!(!format!("{config:?}").contains("hush"));
}

#[test]
fn mistakes_in_functions_stand_at_their_keys() {
    let text = "[functions.a]\nhandler = 'app.f'\nconcurrency = 5\nca = 'Cargo.toml'\n\
                [functions.b]\nhandler = 'app.f'\nruntime = 'java21'\ncode = '/nowhere'\ntimeout_ms = 999\n\
                [functions.c]\nurl = 'http://h/'\nmemory_mb = 512\nregion = 'eu-west-1'\n\
                [functions.d]\nurl = 'http://h/'\nhandler = 'app.f'\n\
                [functions.e]\nhandler = 'app.f'\nruntime = 'provided'\nreserved_concurrency = 1\n\
                provisioned_concurrency = 2\nmemory_mb = 64\nenvironment = { A = 1 }\n";
    assert_eq!(
        mistakes(text),
        [
            "fanfare.toml:22:13: functions.e.memory_mb: found 64, expected a whole number from 128 to 10240",
            "fanfare.toml:23:21: functions.e.environment.A: found 1, expected a text",
            "fanfare.toml:1:1: functions.a: `runtime` is missing, such as python3.12, nodejs20.x or provided.al2023",
            "fanfare.toml:4:6: functions.a.ca: it is for functions with `url` or `endpoint`",
            "fanfare.toml:3:15: functions.a.concurrency: it is for functions with `url` or `endpoint`",
            "fanfare.toml:7:11: functions.b.runtime: \"java21\" is no runtime that is known, \
             such as python3.12, nodejs20.x or provided.al2023",
            "fanfare.toml:8:8: functions.b.code: there is no folder /nowhere",
            "fanfare.toml:9:14: functions.b.timeout_ms: a function that runs here may take 1,000 to 900,000 ms",
            "fanfare.toml:12:13: functions.c.memory_mb: it is for functions with `handler`",
            "fanfare.toml:13:10: functions.c.region: it is for functions with `endpoint`",
            "fanfare.toml:14:1: functions.d: give only one of `handler`, `url` and `endpoint`",
            "fanfare.toml:21:27: functions.e.provisioned_concurrency: it is above `reserved_concurrency`",
        ]
    );
}

#[test]
fn unknown_and_missing_keys_of_apis_are_told_with_their_lines() {
    let text = "[[apigateway.apis]]\nname = 'no id'\nstage = 'dev'\n\
                [[apigateway.apis]]\nid = 'a'\n\
                [apigateway.apis.stages.dev]\nthrottle = { rate = -1 }\n\
                [apigateway.apis.routes.'$connect']\nauthorization = 'costum'\n\
                integration = { kind = 'aws_proxi', timeout_ms = 30_000 }\n\
                [apigateway.apis.options]\nidle_timeout = 5\n";
    assert_eq!(
        mistakes(text),
        [
            "fanfare.toml:1:1: apigateway.apis[0]: `id` is missing",
            "fanfare.toml:3:1: apigateway.apis[0].stage: unknown key; did you mean `stages`?",
            "fanfare.toml:7:21: apigateway.apis[1].stages.dev.throttle.rate: found -1, \
             expected a number from 0 to 100000000",
            "fanfare.toml:7:12: apigateway.apis[1].stages.dev.throttle: `burst` is missing",
            "fanfare.toml:9:17: apigateway.apis[1].routes.$connect.authorization: found the text \"costum\", \
             expected \"none\", \"aws_iam\" or \"custom\"",
            "fanfare.toml:10:24: apigateway.apis[1].routes.$connect.integration.kind: found the text \"aws_proxi\", \
             expected \"aws_proxy\", \"aws\", \"http_proxy\", \"http\", \"mock\" or \"topic\"",
            "fanfare.toml:10:50: apigateway.apis[1].routes.$connect.integration.timeout_ms: found 30000, \
             expected a whole number from 50 to 29000",
            "fanfare.toml:12:1: apigateway.apis[1].options.idle_timeout: unknown key; did you mean `idle_timeout_s`?",
        ]
    );
}

#[test]
fn keys_of_apis_that_contradict_one_another_are_told() {
    for (host, is_good) in [("ws.example.com", true), ("10.1.2.3:8080", true), ("[::1]:80", true), ("http://a", false)]
    {
        assert_eq!(from_file(&format!("apigateway.host = '{host}'\n")).is_ok(), is_good, "{host}");
    }
    let text = "[[apigateway.apis]]\nid = 'Chat'\n\
                [[apigateway.apis]]\nid = 'a'\nstages.dev.variables = { v = '1' }\nmodels.m = '{'\nmodels.n = 5\n\
                domains = [{ name = 'a.example:443', stage = 'live' }]\n\
                api_keys = [{ id = 'k', value = 'hush' }, { id = 'k', value = 'hush' }]\n\
                authorizers.door = { function = 'door' }\n\
                [apigateway.apis.routes.'$connect']\nauthorization = 'custom'\nauthorizer = 'gate'\n\
                [apigateway.apis.routes.'$default']\nauthorizer = 'door'\nrequest_models = { x = 'none' }\n\
                integration = { kind = 'aws_proxy' }\n\
                [apigateway.apis.routes.ok]\n\
                integration = { kind = 'aws_proxy', function = 'f-${stageVariables.v}' }\n\
                [[apigateway.apis]]\nid = 'a'\n[apigateway.apis.stages.'x y']\nroute_throttles.no = { rate = 1, burst = 1 }\n\
                [apigateway.apis.routes.'$connect']\napi_key_required = true\n";
    let found = mistakes(text);
    let wanted = [
        "fanfare.toml:1:1: apigateway.apis[0]: there is no stage",
        "fanfare.toml:2:6: apigateway.apis[0].id: \"Chat\" is no id",
        "fanfare.toml:15:14: apigateway.apis[1].routes.$default.authorizer: it is not asked unless",
        "fanfare.toml:10:33: apigateway.apis[1].authorizers.door.function: there is no [functions.door]",
        "fanfare.toml:6:12: apigateway.apis[1].models.m: the text is not valid JSON",
        "fanfare.toml:13:14: apigateway.apis[1].routes.$connect.authorizer: there is no authorizer \"gate\"",
        "fanfare.toml:8:11: apigateway.apis[1].domains.a.example:443: write the host name",
        "fanfare.toml:8:11: apigateway.apis[1].domains.a.example:443.stage: there is no stage \"live\"",
        "fanfare.toml:9:12: apigateway.apis[1].api_keys.k.id: every key needs an id of its own",
        "fanfare.toml:9:12: apigateway.apis[1].api_keys.k.value: every key needs a value of its own",
        "fanfare.toml:7:12: apigateway.apis[1].models.n: #: a schema is an object",
        "fanfare.toml:16:24: apigateway.apis[1].routes.$default.request_models.x: there is no model \"none\"",
        "fanfare.toml:17:15: apigateway.apis[1].routes.$default.integration.function: it is missing",
        "fanfare.toml:21:6: apigateway.apis[2].id: \"a\" is the id of another API already",
        "fanfare.toml:25:20: apigateway.apis[2].routes.$connect.api_key_required: there are no `api_keys`",
        "fanfare.toml:22:1: apigateway.apis[2].stages.x y: a stage's name has",
        "fanfare.toml:23:22: apigateway.apis[2].stages.x y.route_throttles.no: there is no such route",
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (found, start) in found.iter().zip(wanted) {
        assert!(found.starts_with(start) && !found.contains("hush"), "{found} / {start}");
    }
}

#[test]
fn an_application_comes_with_its_parameters() {
    let text = "app = 'app.yml'\napp_params = { domain = 'a.example' }\n[app_values]\n'ssm:/app/key' = 'hush'\n";
    let stage = Flag { name: "--stage", key: "app_stage", value: "live".into() };
    let params: toml::Table = [("domain".to_owned(), "b.example".into())].into_iter().collect();
    let params = Flag { name: "--param", key: "app_params", value: params.into() };
    let config = layered(text, &[("FANFARE_APP_PARAMS__EXTRA", "")], vec![stage, params]).unwrap();
    assert_eq!(config.app_stage.as_deref(), Some("live"));
    let params: Vec<_> = config.app_params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(params, [("domain", "b.example"), ("extra", "")]);
    assert_eq!(config.app_values["ssm:/app/key"].expose(), "hush");
    assert!(!format!("{config:?}").contains("hush"));
    // What the application brings is not known yet.
    let api = "[[apigateway.apis]]\nid = 'a'\nstages.dev = {}\n\
               routes.x.integration = { kind = 'aws_proxy', function = 'of-the-app' }\n";
    assert!(from_file(&format!("app = 'app.yml'\n{api}")).is_ok());
    assert!(mistakes(api).concat().contains("there is no [functions.of-the-app]"));
}

#[test]
fn what_the_page_about_configuration_shows_is_right() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let shown: String = blocks.filter(|block| block.contains("[functions.") || block.contains("[apigateway")).collect();
    let found = mistakes(&shown);
    assert_eq!(found, ["fanfare.toml:4:8: functions.chat.code: there is no folder ./chat"]);
    let config = from_file(&shown.replace("./chat", ".")).unwrap();
    assert_eq!((config.handlers().len(), config.apigateway.apis[0].routes.len()), (1, 3));
}

#[test]
fn what_other_pages_show_is_right() {
    let mut shown = 0;
    for page in ["functions.md", "api-gateway.md", "app-descriptors.md", "access.md"] {
        let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
        let text = std::fs::read_to_string(text).unwrap();
        for block in text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            let found = from_file(block).err().map(|error| error.mistakes).unwrap_or_default();
            // Files and functions that stand elsewhere.
            let is_elsewhere = |text: &str| {
                ["there is no folder", "cannot read", "there is no [functions."].iter().any(|part| text.contains(part))
            };
            let wrong: Vec<_> = found.iter().map(ToString::to_string).filter(|text| !is_elsewhere(text)).collect();
            assert!(wrong.is_empty(), "{page}: {wrong:#?}\n{block}");
            shown += 1;
        }
    }
    assert!(shown > 3, "{shown}");
}
