//! The document at `/v1/openapi.json` against the running code.

use std::collections::BTreeSet;

use fanfare_door::DriverLimits;
use fanfare_testkit::TestServer;
use serde_json::{Value, json};

use crate::client::{Reply, Request, get, post, request};
use crate::schema::{check, resolve};
use crate::server::{publish, start, start_with, strict_gate, token};

/// Which answers of the document were seen.
struct Examiner {
    document: Value,
    seen: BTreeSet<String>,
}

impl Examiner {
    fn new(server: &TestServer) -> Self {
        let document = get(server.address, "/v1/openapi.json").send().json();
        Self { document, seen: BTreeSet::new() }
    }

    /// Sends a request of this operation; its answer must be one that the document knows.
    fn examine(&mut self, operation: &str, request: Request) -> Value {
        let reply = request.send();
        let (schema, kind) = self.schema_of(operation, &reply);
        assert_eq!(kind, "application/json", "{operation}");
        let body = reply.json();
        check(&self.document, &schema, &body).unwrap_or_else(|error| panic!("{operation} {}: {error}", reply.status));
        body
    }

    fn schema_of(&mut self, operation: &str, reply: &Reply) -> (Value, String) {
        let status = reply.status.to_string();
        let kind = reply.header("content-type").unwrap().split(';').next().unwrap().to_owned();
        (self.schema(operation, &status, &kind), kind)
    }

    fn schema(&mut self, operation: &str, status: &str, kind: &str) -> Value {
        let (method, path) = operation.split_once(' ').unwrap();
        let response = &self.document["paths"][path][method.to_lowercase()]["responses"][status];
        assert!(response.is_object(), "{operation} answers {status}, which is not in the document");
        let schema = resolve(&self.document, response)["content"][kind]["schema"].clone();
        assert!(schema.is_object(), "{operation} answers {status} as {kind}, which is not in the document");
        self.seen.insert(format!("{operation} {status} {kind}"));
        schema
    }

    fn operations(&self) -> Vec<(String, Value)> {
        let mut operations = Vec::new();
        for (path, item) in self.document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters") {
                operations.push((format!("{} {path}", method.to_uppercase()), operation.clone()));
            }
        }
        operations
    }

    /// Every answer of success that the document describes, in each of its content types.
    fn described(&self) -> BTreeSet<String> {
        let mut described = BTreeSet::new();
        for (name, operation) in self.operations() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let content = resolve(&self.document, response)["content"].as_object().unwrap().keys();
                if status.starts_with('2') {
                    described.extend(content.map(|kind| format!("{name} {status} {kind}")));
                }
            }
        }
        described
    }
}

#[test]
fn every_path_and_method_of_the_document_is_served() {
    let server = start();
    let examiner = Examiner::new(&server);
    assert_eq!(examiner.document["openapi"], "3.1.0");
    assert!(examiner.operations().len() >= 8);
    for (operation, _) in examiner.operations() {
        let (method, path) = operation.split_once(' ').unwrap();
        let method = ["GET", "POST"].into_iter().find(|known| *known == method).unwrap();
        let status = request(server.address, method, path.replace("{topic}", "t")).open().status;
        assert!(status != 404 && status != 405, "{operation} answers {status}");
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn walk(document: &Value, value: &Value, count: &mut usize) {
        *count += usize::from(value.get("$ref").is_some());
        resolve(document, value);
        let members = value.as_object().into_iter().flatten().map(|(_, value)| value);
        members.chain(value.as_array().into_iter().flatten()).for_each(|value| walk(document, value, count));
    }
    let server = start();
    let document = Examiner::new(&server).document;
    let mut count = 0;
    walk(&document, &document, &mut count);
    assert!(count > 50);
}

#[test]
fn answers_are_what_the_document_says() {
    let server = start();
    let at = server.address;
    let mut examiner = Examiner::new(&server);
    let x = &mut examiner;
    x.examine("GET /v1/openapi.json", get(at, "/v1/openapi.json"));
    let whole = r#"{"topic":"t","data":[1],"key":"k","retain":true,"properties":{"a":"b"},"space":"s"}"#;
    x.examine("POST /v1/publish", post(at, "/v1/publish", whole));
    assert_eq!(x.examine("POST /v1/publish", post(at, "/v1/publish", whole))["duplicate"], true);
    x.examine("POST /v1/publish", post(at, "/v1/publish", format!("{{\"messages\":[{whole}]}}")));
    x.examine("POST /v1/publish", post(at, "/v1/publish", "?"));
    x.examine("POST /v1/publish", post(at, "/v1/publish?topic=t", vec![0; 5 << 20]));
    let binary = post(at, "/v1/publish?topic=t&space=s", [0xFF]).header("Content-Type", "image/png");
    x.examine("POST /v1/publish", binary);
    x.examine("POST /v1/tickets", post(at, "/v1/tickets", ""));
    x.examine("POST /v1/tickets", post(at, "/v1/tickets?ticket=x", ""));
    let first = x.examine("GET /v1/poll", get(at, "/v1/poll?topic=t&space=s"));
    assert_eq!(first["messages"], json!([]));
    let all = x.examine("GET /v1/poll", get(at, "/v1/poll?topic=t&space=s&since=all&wait=0"));
    assert_eq!(all["messages"].as_array().unwrap().len(), 2);
    x.examine("GET /v1/poll", get(at, "/v1/poll"));
    let history = "GET /v1/topics/{topic}/history";
    let page = x.examine(history, get(at, "/v1/topics/t/history?space=s"));
    assert_eq!(page["messages"].as_array().unwrap().len(), 2);
    x.examine(history, get(at, "/v1/topics/t/history?limit=x"));
    let (everybody, room) = (crate::server::everybody(), fanfare_core::TopicName::new("t").unwrap());
    let space = server.gateway.default_space();
    server.gateway.core.enter(&everybody, space, &room, &"ann".into(), "1".into(), 7).unwrap();
    server.gateway.core.enter(&everybody, space, &room, &"bob".into(), "".into(), 7).unwrap();
    let members = "GET /v1/topics/{topic}/members";
    assert_eq!(x.examine(members, get(at, "/v1/topics/t/members?limit=1"))["after"], "ann");
    x.examine(members, get(at, "/v1/topics/%23/members"));
    x.examine("GET /v1/sse", get(at, "/v1/sse"));
    x.examine("POST /v1/sse", post(at, "/v1/sse", "{}"));
    streams(x, server);
    let missing: Vec<_> = examiner.described().difference(&examiner.seen).cloned().collect();
    assert!(missing.is_empty(), "in the document and never seen: {missing:?}");
}

/// Each event and line of a stream from `ready` to `bye`.
fn streams(x: &mut Examiner, server: TestServer) {
    let body = r#"{"topics":["t"],"since":"all"}"#;
    let path = "/v1/sse?topic=t&since=all";
    let open = |accept: &str| {
        [get(server.address, path), post(server.address, "/v1/sse", body)].map(|r| r.header("Accept", accept).open())
    };
    publish(&server, "t", "kept");
    let mut events = open("text/event-stream");
    let mut lines = open("application/x-ndjson");
    for stream in &mut events {
        assert_eq!(stream.expect("ready").data["recovered"], true);
        stream.expect("message");
    }
    let mut objects = lines.each_mut().map(|stream| vec![stream.object().unwrap(), stream.object().unwrap()]);
    server.drain(0);
    for (operation, stream) in ["GET /v1/sse", "POST /v1/sse"].into_iter().zip(&mut events) {
        x.schema(operation, "200", "text/event-stream");
        let bye = stream.expect("bye");
        let schemas = x.document["components"]["schemas"].clone();
        check(&x.document, &schemas["Bye"], &bye.data).unwrap();
    }
    let streams = lines.iter_mut().zip(&mut objects);
    for (operation, (stream, objects)) in ["GET /v1/sse", "POST /v1/sse"].into_iter().zip(streams) {
        let schema = x.schema(operation, "200", "application/x-ndjson");
        objects.extend(std::iter::from_fn(|| stream.object()));
        objects.iter().for_each(|line| check(&x.document, &schema, line).unwrap());
        let types: Vec<_> = objects.iter().map(|line| line["type"].as_str().unwrap_or_default()).collect();
        assert_eq!(types, ["ready", "message", "bye"]);
    }
}

#[test]
fn refusals_are_in_the_document() {
    let server = start_with(|options| {
        options.gate = Some(strict_gate());
        options.limits = DriverLimits { streams: 0, ..DriverLimits::default() };
    });
    let mut examiner = Examiner::new(&server);
    let (mine, at) = (token(&["*:default/mine"]), server.address);
    for (operation, path) in [
        ("GET /v1/sse", "/v1/sse?topic="),
        ("GET /v1/poll", "/v1/poll?topic="),
        ("GET /v1/topics/{topic}/history", "/v1/topics/{}/history"),
        ("GET /v1/topics/{topic}/members", "/v1/topics/{}/members"),
    ] {
        let to = |topic: &str| if path.contains("{}") { path.replace("{}", topic) } else { format!("{path}{topic}") };
        let lines = |path: String| get(at, path).header("Accept", "application/x-ndjson");
        assert_eq!(examiner.examine(operation, lines(to("mine")))["code"], "unauthorized");
        let code = examiner.examine(operation, lines(to("other")).bearer(&mine))["code"].clone();
        assert!(code == "denied" || code == "overloaded", "{operation}: {code}");
    }
    let lines = post(at, "/v1/sse", r#"{"topics":["mine"]}"#).header("Accept", "application/x-ndjson");
    assert_eq!(examiner.examine("POST /v1/sse", lines.bearer(&mine))["code"], "overloaded");
    assert_eq!(examiner.examine("POST /v1/tickets", post(at, "/v1/tickets", ""))["code"], "unauthorized");
    let publish = |token: &str| post(at, "/v1/publish?topic=other", "x").bearer(token);
    assert_eq!(examiner.examine("POST /v1/publish", publish(&mine))["code"], "denied");
}
