//! A server with functions that do as they are told, and a client.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use fanfare_aws::credentials::Credential;
use fanfare_aws::sigv4::{self, PayloadHash, Signing, sign_headers};
use fanfare_core::Log;
use fanfare_functions::{Answer, Call, Function, FunctionError, Functions, HttpCaller, Pauses, Reach};
use fanfare_iam::{Access, Policies, Realm};
use fanfare_lambda_door::{LambdaDoor, LambdaOptions};
use fanfare_testkit::{TestLog, TestServer, TestServerOptions};
use http::{Request, Response};
use parking_lot::Mutex;
use serde_json::Value;

/// What a function does.
type Deed = Box<dyn Fn(Bytes, &Call) -> Result<Bytes, FunctionError> + Send + Sync>;

/// Does one thing, and remembers what it was called with.
pub(crate) struct Scripted {
    deed: Deed,
    pub(crate) calls: Mutex<Vec<(Call, Bytes)>>,
}

impl Scripted {
    pub(crate) fn count(&self) -> usize {
        self.calls.lock().len()
    }
}

impl Function for Scripted {
    fn invoke(&self, event: Bytes, call: Call) -> Answer {
        let outcome = (self.deed)(event.clone(), &call);
        self.calls.lock().push((call, event));
        Box::pin(std::future::ready(outcome))
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(2_500)
    }
}

pub(crate) struct World {
    pub(crate) server: TestServer,
    pub(crate) functions: Functions,
    pub(crate) log: Arc<TestLog>,
    client: HttpCaller,
}

pub(crate) fn realm() -> Realm {
    Realm::new("local", "000000000000", "default")
}

impl World {
    /// In development mode.
    pub(crate) fn open() -> Self {
        Self::with(Access::new(realm(), Policies::default()).development())
    }

    pub(crate) fn with(access: Access) -> Self {
        let log = Arc::new(TestLog::default());
        let shared: Arc<dyn Log> = log.clone();
        let functions = Functions::durable(shared.clone(), Pauses::default()).unwrap();
        let access = Arc::new(ArcSwap::from_pointee(access));
        let door = LambdaDoor::new(LambdaOptions { functions: functions.clone(), access });
        let options =
            TestServerOptions { doors: vec![Arc::new(door)], log: Some(shared), ..TestServerOptions::default() };
        let server = TestServer::start(options).unwrap();
        functions.start(&server.gateway.tasks, None);
        Self { server, functions, log, client: HttpCaller::new(Reach::Anywhere, None).unwrap() }
    }

    pub(crate) fn add(
        &self,
        name: &str,
        deed: impl Fn(Bytes, &Call) -> Result<Bytes, FunctionError> + Send + Sync + 'static,
    ) -> Arc<Scripted> {
        let function = Arc::new(Scripted { deed: Box::new(deed), calls: Mutex::default() });
        self.functions.insert(name, function.clone());
        function
    }

    /// A function `echo` that returns its event.
    pub(crate) fn echo(&self) -> Arc<Scripted> {
        self.add("echo", |event, _| Ok(event))
    }

    pub(crate) async fn invoke(&self, name: &str, headers: &[(&str, &str)], event: impl Into<Bytes>) -> Heard {
        self.ask("POST", &format!("/2015-03-31/functions/{name}/invocations"), headers, event.into()).await
    }

    pub(crate) async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: Bytes) -> Heard {
        let mut request = Request::builder().method(method).uri(format!("http://{}{target}", self.server.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = self.client.send(request.body(body).unwrap(), Duration::from_secs(20), 8 << 20).await;
        Heard(sent.unwrap())
    }

    /// The same, signed for `service`.
    pub(crate) async fn ask_as(&self, who: &Credential, service: &str, method: &str, target: &str) -> Heard {
        let host = self.server.address.to_string();
        let (raw_path, raw_query) = target.split_once('?').unwrap_or((target, ""));
        let plain = [("host", host.as_str())];
        let body = if method == "GET" { Bytes::new() } else { Bytes::from_static(b"{}") };
        let payload = PayloadHash::Bytes(&body);
        let request = sigv4::Request { method, raw_path, raw_query, headers: &plain, payload };
        let now = self.server.gateway.clock.now();
        let signed = sign_headers(&request, &Signing::new(who, "local", service, now)).unwrap();
        let headers: Vec<_> = signed.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        self.ask(method, target, &headers, body.clone()).await
    }
}

/// An answer.
pub(crate) struct Heard(pub(crate) Response<Bytes>);

impl Heard {
    pub(crate) fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(self.0.body()).unwrap()
    }

    /// Status and exception.
    pub(crate) fn error(&self) -> (u16, &str) {
        (self.status(), self.header("x-amzn-errortype").unwrap_or(""))
    }
}
