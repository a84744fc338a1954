//! A server with one API, and functions that do what a test says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use fanfare_apigateway::Api;
use fanfare_apigateway_door::{ApiGatewayDoor, ApiGatewayOptions};
use fanfare_core::Log;
use fanfare_functions::{Answer, Call, Function, FunctionError, Functions, HttpCaller, Reach};
use fanfare_iam::{Access, Policies, Realm};
use fanfare_testkit::{TestServer, TestServerOptions, eventually};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// What a function does with an event.
pub(crate) enum Does {
    /// Answers.
    Answer(Value),
    /// Answers with these bytes.
    Bytes(&'static str),
    /// Throws, with this message.
    Throw(&'static str),
    /// Answers after a while.
    Later(Duration, Value),
    /// Does not come to an end.
    Hang,
}

/// Where clients reach the server.
pub(crate) const HOST: &str = "gw.example:8443";

type Script = dyn Fn(&Value) -> Does + Send + Sync;

struct Scripted {
    script: Box<Script>,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Function for Scripted {
    fn invoke(&self, event: Bytes, call: Call) -> Answer {
        let event: Value = serde_json::from_slice(&event).unwrap();
        let does = (self.script)(&event);
        self.events.lock().push(event);
        Box::pin(async move {
            match does {
                Does::Answer(value) => Ok(value.to_string().into()),
                Does::Bytes(text) => Ok(text.into()),
                Does::Throw(message) => {
                    let payload = json!({ "errorMessage": message, "errorType": "Error" });
                    Err(FunctionError::Handler(payload.to_string().into()))
                }
                Does::Later(pause, value) => {
                    tokio::time::sleep(pause).await;
                    Ok(value.to_string().into())
                }
                Does::Hang => {
                    tokio::time::sleep(call.timeout).await;
                    Err(FunctionError::Timeout(call.timeout))
                }
            }
        })
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(5)
    }
}

/// A running server.
pub(crate) struct World {
    pub(crate) server: TestServer,
    events: Arc<Mutex<Vec<Value>>>,
}

/// An API with the stage `dev` and these members beside it.
pub(crate) fn api(more: &Value) -> Api {
    let mut api =
        json!({ "id": "chat1", "stages": { "dev": {} }, "route_selection_expression": "$request.body.action" });
    for (name, value) in more.as_object().unwrap() {
        api[name] = value.clone();
    }
    serde_json::from_value(api).unwrap()
}

/// A route that the function `app` deals with.
pub(crate) fn app() -> Value {
    json!({ "integration": { "kind": "aws_proxy", "function": "app" } })
}

/// Routes `$connect`, `$disconnect` and `$default` of the function `app`, and these.
pub(crate) fn routes(more: &Value) -> Value {
    let mut routes = json!({ "$connect": app(), "$disconnect": app(), "$default": app() });
    for (name, value) in more.as_object().unwrap() {
        routes[name] = value.clone();
    }
    json!({ "routes": routes })
}

pub(crate) fn ok() -> Does {
    Does::Answer(json!({ "statusCode": 200 }))
}

impl World {
    /// The server alone, to be stopped, and the events.
    pub(crate) fn into_parts(self) -> (TestServer, Arc<Mutex<Vec<Value>>>) {
        (self.server, self.events)
    }

    pub(crate) fn new(api: Api, script: impl Fn(&Value) -> Does + Send + Sync + 'static) -> Self {
        Self::with(api, TestServerOptions::default(), script)
    }

    pub(crate) fn with_log(
        api: Api,
        log: Arc<dyn Log>,
        script: impl Fn(&Value) -> Does + Send + Sync + 'static,
    ) -> Self {
        Self::with(api, TestServerOptions { log: Some(log), ..TestServerOptions::default() }, script)
    }

    pub(crate) fn with(
        api: Api,
        options: TestServerOptions,
        script: impl Fn(&Value) -> Does + Send + Sync + 'static,
    ) -> Self {
        let events = Arc::new(Mutex::default());
        let functions = Functions::new();
        functions.insert("app", Arc::new(Scripted { script: Box::new(script), events: Arc::clone(&events) }));
        let access = Access::new(Realm::new("eu-west-1", "000000000000", "default"), Policies::default()).development();
        let door = ApiGatewayDoor::new(ApiGatewayOptions {
            apis: vec![api],
            region: "eu-west-1".to_owned(),
            account: "000000000000".to_owned(),
            functions: functions.clone(),
            access: Arc::new(ArcSwap::from_pointee(access)),
            http: HttpCaller::new(Reach::Anywhere, None).unwrap(),
            endpoints: BTreeMap::new(),
            host: Some(HOST.to_owned()),
        });
        let door = door.unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let server = TestServer::start(TestServerOptions { doors: vec![Arc::new(door)], ..options }).unwrap();
        functions.start(&server.gateway.tasks, None);
        Self { server, events }
    }

    /// Whether a function is given this event.
    pub(crate) fn saw(&self, wanted: &Value) -> bool {
        eventually(|| self.events.lock().contains(wanted).then_some(())).is_some()
    }

    /// Events of this type, once there are `count`.
    pub(crate) fn events(&self, event_type: &str, count: usize) -> Vec<Value> {
        let found = || {
            let events = self.events.lock();
            let of_type = events.iter().filter(|event| event["requestContext"]["eventType"] == event_type);
            let of_type: Vec<Value> = of_type.cloned().collect();
            (of_type.len() >= count).then_some(of_type)
        };
        let events = eventually(found).unwrap_or_else(|| panic!("not {count} events {event_type} came"));
        assert_eq!(events.len(), count);
        events
    }
}
