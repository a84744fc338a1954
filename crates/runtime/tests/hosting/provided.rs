//! Executables that speak the Runtime API themselves, some of them badly.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use fanfare_functions::FunctionError;
use fanfare_runtime::HostedFunction;
use serde_json::json;

use crate::support::{Hosting, call, calm, failure, value};

/// A small Runtime API client, so that a test says only what is special.
const CLIENT: &str = "#!/usr/bin/env node
const base = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01`;
const ask = (method, path, body, headers) => fetch(base + path, { method, body, headers });
const next = async () => { const r = await ask('GET', '/runtime/invocation/next'); return { id: r.headers.get('lambda-runtime-aws-request-id'), response: r, event: await r.text() }; };
const tell = (id, body) => ask('POST', `/runtime/invocation/${id}/response`, body);
";

fn bootstrap(hosting: &Hosting, name: &str, script: &str) -> Arc<HostedFunction> {
    let path = hosting.write(name, "bootstrap", &format!("{CLIENT}(async () => {{ {script} }})();"));
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    hosting.host.add(hosting.config(name, "provided.al2023", "anything")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_runtime_api_answers_as_lambdas() {
    let hosting = Hosting::new(|_| {});
    let script = "const found = {};
        found.ping = (await ask('GET', '/ping')).status;
        found.unknown = (await ask('GET', '/runtime/other')).status;
        const call = await next();
        found.names = [...call.response.headers.keys()].filter((name) => name.startsWith('lambda-')).sort();
        const early = await ask('GET', '/runtime/invocation/next');
        found.early = [early.status, (await early.json()).errorType];
        const wrong = await tell('another-id', '1');
        found.wrong = [wrong.status, (await wrong.json()).errorType];
        const told = await tell(call.id, new ReadableStream({ async start(c) { c.enqueue(new TextEncoder().encode('\"in ')); c.enqueue(new TextEncoder().encode('pieces\"')); c.close(); } }).pipeThrough(new TransformStream()), {});
        found.told = told.status;
        const twice = await tell(call.id, '2');
        found.twice = twice.status;
        const second = await next();
        await tell(second.id, JSON.stringify(found));
        await next();";
    let script = script.replace("new TransformStream()), {})", "new TransformStream()))");
    let script = script.replace("const told = await tell(call.id, ", "const told = await stream(call.id, ");
    let stream = "const stream = (id, body) => fetch(`${base}/runtime/invocation/${id}/response`, { method: 'POST', body, duplex: 'half' });";
    let function = bootstrap(&hosting, "api", &format!("{stream}{script}"));
    assert_eq!(value(&function, "{}").await, "in pieces");
    let found = value(&function, "{}").await;
    assert_eq!((&found["ping"], &found["unknown"]), (&json!(200), &json!(404)));
    assert_eq!(found["early"], json!([403, "InvalidStateTransition"]));
    assert_eq!(found["wrong"], json!([400, "InvalidRequestID"]));
    assert_eq!((&found["told"], &found["twice"]), (&json!(202), &json!(400)));
    let names = ["aws-request-id", "deadline-ms", "invoked-function-arn", "trace-id"];
    assert_eq!(found["names"], json!(names.map(|name| format!("lambda-runtime-{name}"))));
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_names_are_written_as_lambda_writes_them() {
    let hosting = Hosting::new(|_| {});
    let script = "const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
        const socket = require('net').connect(port, host);
        socket.write('GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n');
        const head = await new Promise((r) => socket.once('data', (d) => r(d.toString())));
        const id = /Lambda-Runtime-Aws-Request-Id: (.*)\\r/.exec(head)[1];
        await tell(id, JSON.stringify(head.split('\\r\\n').map((line) => line.split(':')[0])));
        setInterval(() => {}, 1000);";
    let function = bootstrap(&hosting, "names", script);
    let lines = value(&function, "{}").await;
    let lines: Vec<_> = lines.as_array().unwrap().iter().filter_map(|line| line.as_str()).collect();
    assert_eq!(lines[0], "HTTP/1.1 200 OK");
    for name in ["Content-Type", "Content-Length", "Lambda-Runtime-Deadline-Ms", "Lambda-Runtime-Trace-Id"] {
        assert!(lines.contains(&name), "{name} is not in {lines:?}");
    }
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_harms_only_its_own_call() {
    let hosting = Hosting::new(|_| {});
    let script = "const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
        const socket = require('net').connect(port, host);
        socket.on('error', () => {});
        socket.write('\\u0000\\u0001nonsense\\r\\n\\r\\n'.repeat(1000));
        for (let i = 0; i < 20; i++) require('net').connect(port, host).on('error', () => {}).write('GET');
        process.stdout.write(Buffer.from([0xff, 0xfe, 10, 0, 10]));
        for (const body of [Buffer.from([0xff, 0x00, 0xfe]), '', 'not json']) { const call = await next(); await tell(call.id, body); }
        const call = await next();
        await ask('POST', `/runtime/invocation/${call.id}/error`, '', { 'Lambda-Runtime-Function-Error-Type': 'Odd' });
        await ask('POST', '/runtime/init/error', 'too late');
        await next();";
    // The sockets above take all connections that a process has, until they are given up.
    let script = script.replace("i < 20", "i < 3");
    let function = bootstrap(&hosting, "odd", &script);
    calm(&function).await;
    assert_eq!(&call(&function, "{}").await.unwrap()[..], b"\xff\x00\xfe");
    calm(&function).await;
    assert_eq!(&call(&function, "{}").await.unwrap()[..], b"");
    calm(&function).await;
    assert_eq!(&call(&function, "{}").await.unwrap()[..], b"not json");
    calm(&function).await;
    assert_eq!(failure(&function, "{}").await["errorType"], "Odd");
    assert_eq!(function.stats().cold_starts, 1);
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binary_that_is_missing_is_named() {
    let hosting = Hosting::new(|_| {});
    hosting.write("empty", "readme", "");
    let function = hosting.host.add(hosting.config("empty", "provided.al2", "bootstrap")).unwrap();
    let error = call(&function, "{}").await.unwrap_err();
    assert!(matches!(&error, FunctionError::Refused(reason) if reason.contains("bootstrap")), "{error}");
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_knows_the_function_does_not() {
    let hosting = Hosting::new(|options| {
        options.credential = Arc::new(|name| fanfare_runtime::ChildCredential {
            access_key_id: format!("AKIA{name}"),
            secret_access_key: "secret".into(),
            session_token: String::new(),
        });
    });
    let script = "const call = await next(); await tell(call.id, JSON.stringify(process.env)); await next();";
    let function = bootstrap(&hosting, "env", script);
    let found = value(&function, "{}").await;
    assert_eq!(found["AWS_ACCESS_KEY_ID"], "AKIAenv");
    let strange = |name: &&String| name.starts_with("CARGO") || name.starts_with("RUST");
    assert_eq!(found.as_object().unwrap().keys().find(strange), None);
    assert_eq!(found["AWS_LAMBDA_FUNCTION_VERSION"], "$LATEST");
    hosting.stop().await;
}
