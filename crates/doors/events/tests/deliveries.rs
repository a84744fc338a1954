//! Deliveries of the EventBridge door: kept before they are acknowledged, and made after a crash.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use fanfare_core::{Log, RecordTable};
use fanfare_door::Door;
use fanfare_events_door::{ApiDestination, DELIVERIES_WAITING_MAX, EventsDoor, EventsOptions};
use fanfare_functions::{Answer, Call, Function, FunctionError, Functions, HttpCaller, Pauses, Reach};
use fanfare_iam::{Access, Policies, Realm};
use fanfare_testkit::{TestLog, TestServer, TestServerOptions, eventually};
use http::{Method, Request, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server over `log` with one rule for everything; `hook` is a web server that it may name.
fn serve(log: &Arc<TestLog>, functions: &Functions, hook: SocketAddr, targets: Value) -> TestServer {
    let rule = json!({ "name": "all", "pattern": { "source": ["s"] }, "targets": targets });
    let url = format!("http://{hook}/in");
    let timeout = Duration::from_secs(5);
    let hook = ApiDestination { url, method: Method::POST, headers: Vec::new(), timeout };
    let realm = Realm::new("local", "000000000000", "default");
    let door = EventsDoor::new(EventsOptions {
        account: "000000000000".to_owned(),
        region: "local".to_owned(),
        rules: vec![serde_json::from_value(rule).unwrap()],
        destinations: BTreeMap::from([("hook".to_owned(), hook)]),
        functions: functions.clone(),
        access: Arc::new(ArcSwap::from_pointee(Access::new(realm, Policies::default()).development())),
    });
    let doors: Vec<Arc<dyn Door>> = vec![Arc::new(door.unwrap())];
    TestServer::start(TestServerOptions { doors, log: Some(log.clone()), ..TestServerOptions::default() }).unwrap()
}

/// Puts `count` events; the answer's status and body.
async fn put(server: &TestServer, count: usize) -> (u16, Value) {
    let entry = |n: usize| json!({ "Source": "s", "DetailType": "T", "Detail": json!({ "n": n }).to_string() });
    let body = json!({ "Entries": (0..count).map(entry).collect::<Vec<_>>() }).to_string();
    let request = Request::post(format!("http://{}/", server.address));
    let request = request.header("x-amz-target", "AWSEvents.PutEvents").body(Bytes::from(body)).unwrap();
    let client = HttpCaller::new(Reach::Anywhere, None).unwrap();
    let answer: Response<Bytes> = client.send(request, Duration::from_secs(20), 1 << 20).await.unwrap();
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
}

/// An address that nobody listens at, at first.
async fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Listens at `address`, takes what is posted there, and remembers the event's ids.
async fn listen(address: SocketAddr) -> Arc<Mutex<Vec<String>>> {
    let (listener, seen) = (TcpListener::bind(address).await.unwrap(), Arc::new(Mutex::new(Vec::new())));
    let ids = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut text = Vec::new();
            // The events of these tests end so, and nothing else does.
            while !text.ends_with(b"}}") && socket.read_buf(&mut text).await.is_ok_and(|count| count > 0) {}
            let body = text.split(|byte| *byte == b'\n').next_back().unwrap_or_default();
            let event: Value = serde_json::from_slice(body).unwrap_or_default();
            ids.lock().push(event["id"].as_str().unwrap_or_default().to_owned());
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        }
    });
    seen
}

fn waiting(log: &TestLog) -> usize {
    // An item has a record, and another once it was tried: the shorter keys are those of items.
    log.table(RecordTable::Deliveries).iter().filter(|(key, _)| key.len() == 8).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_acknowledged_when_their_deliveries_are_on_disk() {
    let log = Arc::new(TestLog::default());
    let server = serve(&log, &Functions::new(), nowhere().await, json!([{ "api_destination": "hook" }]));
    log.hold();
    assert!(tokio::time::timeout(Duration::from_millis(200), put(&server, 1)).await.is_err());
    log.let_go();
    let (status, answer) = put(&server, 2).await;
    assert_eq!((status, answer["FailedEntryCount"].as_u64()), (200, Some(0)));
    assert_eq!(waiting(&log), 3);
    log.set_losing(true);
    let (status, answer) = put(&server, 1).await;
    assert_eq!((status, answer["__type"].as_str()), (500, Some("InternalException")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_outlive_a_crash() {
    let (log, address) = (Arc::new(TestLog::default()), nowhere().await);
    let targets = json!([{ "api_destination": "hook" }]);
    let server = serve(&log, &Functions::new(), address, targets.clone());
    let (_, answer) = put(&server, 5).await;
    let mut put: Vec<_> = answer["Entries"].as_array().unwrap().iter().map(|entry| entry["EventId"].clone()).collect();
    // Dropped, not drained: as far as the queue goes, the process is gone.
    drop(server);
    assert_eq!(waiting(&log), 5);
    let seen = listen(address).await;
    let _server = serve(&log, &Functions::new(), address, targets);
    eventually(|| (waiting(&log) == 0).then_some(())).unwrap();
    let mut seen: Vec<_> = seen.lock().iter().map(|id| json!(id)).collect();
    seen.sort_by_key(Value::to_string);
    put.sort_by_key(Value::to_string);
    assert_eq!(seen, put, "each once, though some were tried before");
}

struct Busy;

impl Function for Busy {
    fn invoke(&self, _: Bytes, _: Call) -> Answer {
        Box::pin(std::future::ready(Err(FunctionError::Busy { limit: 1 })))
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_a_function_is_the_business_of_its_own_queue() {
    let log = Arc::new(TestLog::default());
    let shared: Arc<dyn Log> = log.clone();
    let functions = Functions::durable(shared, Pauses::default()).unwrap();
    functions.insert("busy", Arc::new(Busy));
    let server = serve(&log, &functions, nowhere().await, json!([{ "function": "busy" }]));
    functions.start(&server.gateway.tasks, None);
    assert_eq!(put(&server, 2).await.0, 200);
    eventually(|| (waiting(&log) == 0).then_some(())).unwrap();
    let calls = log.table(RecordTable::Calls);
    assert_eq!(calls.iter().filter(|(key, _)| key.len() == 8).count(), 2);
    assert_eq!(functions.waiting().items, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_puts_more_than_may_wait_is_told_to_be_slower() {
    let log = Arc::new(TestLog::default());
    let targets: Vec<_> = (0..100).map(|_| json!({ "api_destination": "hook" })).collect();
    let server = serve(&log, &Functions::new(), nowhere().await, json!(targets));
    for _ in 0..DELIVERIES_WAITING_MAX / 1_000 {
        assert_eq!(put(&server, 10).await.0, 200);
    }
    let (status, answer) = put(&server, 1).await;
    assert_eq!((status, answer["__type"].as_str()), (400, Some("ThrottlingException")));
    assert_eq!(waiting(&log), DELIVERIES_WAITING_MAX);
}
