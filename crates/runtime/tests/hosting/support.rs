//! A host with functions whose code is written by the test.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_functions::{Call, Function, FunctionError, LogTail};
use fanfare_runtime::{HandlerConfig, Host, HostOptions, HostedFunction, RuntimeKind};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Hosting {
    pub(crate) host: Host,
    pub(crate) folder: TempDir,
}

impl Hosting {
    pub(crate) fn new(change: impl FnOnce(&mut HostOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Runtimes are shared by all tests, since a virtual environment takes long to create.
        let mut options = HostOptions::new(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("runtimes"));
        options.account = "123456789012".into();
        options.region = "eu-central-1".into();
        change(&mut options);
        Self { host: Host::new(options).unwrap(), folder }
    }

    /// Writes a file of the function, and gives its path.
    pub(crate) fn write(&self, function: &str, file: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(function).join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn config(&self, name: &str, runtime: &str, handler: &str) -> HandlerConfig {
        HandlerConfig {
            name: name.into(),
            alias: None,
            runtime: RuntimeKind::parse(runtime).unwrap(),
            handler: handler.into(),
            root: self.folder.path().join(name),
            environment: BTreeMap::new(),
            timeout: Duration::from_secs(20),
            memory_mb: 512,
            reserved_concurrency: None,
            provisioned_concurrency: 0,
            idle_timeout: Duration::from_secs(300),
            freeze_after: None,
            retries: 2,
            event_age_max: Duration::from_secs(3_600),
            dead_letter_topic: None,
            origin: "test".into(),
        }
    }

    /// A function of Node with this module.
    pub(crate) fn node(
        &self,
        name: &str,
        module: &str,
        change: impl FnOnce(&mut HandlerConfig),
    ) -> Arc<HostedFunction> {
        self.write(name, "index.mjs", module);
        let mut config = self.config(name, "nodejs20.x", "index.handler");
        change(&mut config);
        self.host.add(config).unwrap()
    }

    /// Ends all processes; none is left.
    pub(crate) async fn stop(self) {
        self.host.stop(Duration::from_secs(5)).await;
        assert_eq!(self.host.processes(), []);
    }
}

pub(crate) async fn call(function: &HostedFunction, event: &str) -> Result<Bytes, FunctionError> {
    function.invoke(Bytes::copy_from_slice(event.as_bytes()), Call::waiting(function.timeout())).await
}

pub(crate) async fn value(function: &HostedFunction, event: &str) -> Value {
    serde_json::from_slice(&call(function, event).await.unwrap()).unwrap()
}

/// What a handler says when it fails.
pub(crate) async fn failure(function: &HostedFunction, event: &str) -> Value {
    match call(function, event).await {
        Err(FunctionError::Handler(said)) => serde_json::from_slice(&said).unwrap(),
        other => panic!("not the failure of a handler: {other:?}"),
    }
}

/// Calls, and gives what the log's end holds too.
pub(crate) async fn logged(function: &HostedFunction, event: &str) -> (Result<Bytes, FunctionError>, String) {
    let tail = LogTail::default();
    let mut call = Call::waiting(function.timeout());
    call.tail = Some(tail.clone());
    let answer = function.invoke(Bytes::copy_from_slice(event.as_bytes()), call).await;
    let text = String::from_utf8_lossy(&tail.lock()).into_owned();
    (answer, text)
}

/// Waits until something holds, for at most 20 s.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until all processes of a function have asked for work again, so that the next call has an old one.
pub(crate) async fn calm(function: &HostedFunction) {
    eventually("processes ask for work", || {
        let stats = function.stats();
        stats.busy + stats.starting + stats.ending == 0
    })
    .await;
}
