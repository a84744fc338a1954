//! Handlers of Node.js, by the client that comes with the host.

use fanfare_functions::{Call, Function};
use serde_json::json;

use crate::support::{Hosting, call, calm, failure, logged, value};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_is_called_with_event_and_context() {
    let hosting = Hosting::new(|options| {
        options.variables.insert("AWS_ENDPOINT_URL".into(), "http://127.0.0.1:1".into());
    });
    let module = "export const handler = async (event, context) => ({
        hello: event.name, id: context.awsRequestId, arn: context.invokedFunctionArn, memory: context.memoryLimitInMB,
        left: context.getRemainingTimeInMillis(), client: context.clientContext, endpoint: process.env.AWS_ENDPOINT_URL,
        table: process.env.TABLE, root: process.cwd() === process.env.LAMBDA_TASK_ROOT, trace: process.env._X_AMZN_TRACE_ID,
    });";
    let function = hosting.node("hello", module, |config| {
        config.environment.insert("TABLE".into(), "rooms".into());
    });
    let mut asked = Call::waiting(function.timeout());
    asked.client_context = Some("{\"app\":1}".into());
    let id = asked.request_id.clone();
    let answer = function.invoke(r#"{"name":"wörld"}"#.into(), asked).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["hello"], "wörld");
    assert_eq!(answer["id"], &*id);
    assert_eq!(answer["arn"], "arn:aws:lambda:eu-central-1:123456789012:function:hello");
    assert_eq!((&answer["memory"], &answer["table"]), (&json!("512"), &json!("rooms")));
    assert_eq!((&answer["client"], &answer["root"]), (&json!({"app": 1}), &json!(true)));
    assert_eq!(answer["endpoint"], "http://127.0.0.1:1");
    assert!((15_000..=20_000).contains(&answer["left"].as_i64().unwrap()), "{answer}");
    assert!(answer["trace"].as_str().unwrap().starts_with("Root=1-"));
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_are_found_in_modules_of_both_kinds() {
    let hosting = Hosting::new(|_| {});
    let add = |name: &str, file: &str, handler: &str, text: &str| {
        hosting.write(name, file, text);
        hosting.host.add(hosting.config(name, "nodejs20.x", handler)).unwrap()
    };
    let common = add("common", "src/ws.js", "src/ws.connect", "exports.connect = async () => require('path').sep;");
    let nested = add("nested", "app.cjs", "app.on.open", "module.exports = { on: { open: async () => 'nested' } };");
    let typed = add("typed", "app.js", "app.handler", "export const handler = async () => import.meta.url.slice(-6);");
    hosting.write("typed", "package.json", r#"{"type": "module"}"#);
    assert_eq!(value(&common, "{}").await, "/");
    assert_eq!(value(&nested, "{}").await, "nested");
    assert_eq!(value(&typed, "{}").await, "app.js");
    for (name, handler, kind) in [
        ("nofile", "other.handler", "Runtime.ImportModuleError"),
        ("noexport", "app.other", "Runtime.HandlerNotFound"),
        ("noname", "app", "Runtime.MalformedHandlerName"),
        ("nosyntax", "bad.handler", "Runtime.UserCodeSyntaxError"),
        ("nopackage", "miss.handler", "Runtime.ImportModuleError"),
    ] {
        hosting.write(name, "app.js", "exports.handler = async () => 1;");
        hosting.write(name, "bad.js", "exports.handler = async ( => 1;");
        hosting.write(name, "miss.js", "require('a-package-that-is-not-there');");
        let function = hosting.host.add(hosting.config(name, "nodejs20.x", handler)).unwrap();
        let said = failure(&function, "{}").await;
        assert_eq!(said["errorType"], kind, "{said}");
    }
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_may_answer_by_callback() {
    let hosting = Hosting::new(|_| {});
    let module = "let after = [];
    export const handler = (event, context, callback) => {
        if (event.how === 'fails') callback(new RangeError('too far'));
        if (event.how === 'done') context.done(null, 'done');
        if (event.how === 'fail') context.fail('a text');
        if (event.how === 'never') return undefined;
        if (event.how === 'after') callback(null, after);
        if (event.how === 'waits') { setTimeout(() => after.push('timer'), 100); callback(null, after); }
        if (event.how === 'leaves') {
            context.callbackWaitsForEmptyEventLoop = false;
            setTimeout(() => after.push('late'), 20_000);
            callback(null, 'at once');
        }
    };";
    let function = hosting.node("callback", module, |_| {});
    calm(&function).await;
    assert_eq!(value(&function, r#"{"how":"waits"}"#).await, json!(["timer"]), "the event loop is empty first");
    calm(&function).await;
    assert_eq!(value(&function, r#"{"how":"done"}"#).await, "done");
    calm(&function).await;
    assert_eq!(value(&function, r#"{"how":"never"}"#).await, json!(null));
    calm(&function).await;
    let said = failure(&function, r#"{"how":"fails"}"#).await;
    assert_eq!((&said["errorType"], &said["errorMessage"]), (&json!("RangeError"), &json!("too far")));
    calm(&function).await;
    assert_eq!(failure(&function, r#"{"how":"fail"}"#).await["errorMessage"], "a text");
    calm(&function).await;
    assert_eq!(value(&function, r#"{"how":"leaves"}"#).await, "at once");
    assert_eq!(function.stats().cold_starts, 1, "all by one process");
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_have_the_shape_of_lambdas() {
    let hosting = Hosting::new(|_| {});
    let module = "class Sad extends Error { constructor(m) { super(m); this.name = 'Sad'; } }
    export const handler = async (event) => {
        if (event.how === 'throws') throw new Sad('no luck');
        if (event.how === 'text') throw 'only text';
        if (event.how === 'exits') process.exit(3);
        if (event.how === 'big') return 1n;
        if (event.how === 'rejects') { Promise.reject(new Sad('nobody cares')); await new Promise((r) => setTimeout(r, 9_000)); }
        if (event.how === 'throws later') { setTimeout(() => { throw new Sad('later'); }); await new Promise((r) => setTimeout(r, 9_000)); }
        return process.pid;
    };";
    let function = hosting.node("sad", module, |_| {});
    calm(&function).await;
    let said = failure(&function, r#"{"how":"throws"}"#).await;
    assert_eq!((&said["errorType"], &said["errorMessage"]), (&json!("Sad"), &json!("no luck")));
    assert_eq!(said["trace"][0], "Sad: no luck");
    calm(&function).await;
    assert_eq!(failure(&function, r#"{"how":"text"}"#).await["errorMessage"], "only text");
    calm(&function).await;
    assert_eq!(failure(&function, r#"{"how":"big"}"#).await["errorType"], "TypeError");
    let stats = function.stats();
    assert_eq!((stats.cold_starts, stats.failures, stats.exits), (1, 3, 0), "a process outlives its errors");
    let said = failure(&function, r#"{"how":"exits"}"#).await;
    assert_eq!(said["errorType"], "Runtime.ExitError");
    assert!(said["errorMessage"].as_str().unwrap().ends_with("Runtime exited with error: exit status 3"), "{said}");
    let said = failure(&function, r#"{"how":"rejects"}"#).await;
    assert_eq!(said["errorType"], "Runtime.UnhandledPromiseRejection", "{said}");
    assert_eq!(failure(&function, r#"{"how":"throws later"}"#).await["errorType"], "Sad");
    assert!(value(&function, "{}").await.is_number(), "the next call has a process of its own");
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_log_comes_with_the_answer() {
    let hosting = Hosting::new(|_| {});
    let module = "console.log('at the beginning');
    export const handler = async (event) => { console.warn('two\\nlines', { a: 1 }); process.stderr.write('plain\\n'); return 1; };";
    let function = hosting.node("talk", module, |_| {});
    let (answer, first) = logged(&function, "{}").await;
    assert!(answer.is_ok());
    calm(&function).await;
    for part in
        ["START RequestId: ", "\tWARN\ttwo\rlines { a: 1 }\n", "plain\n", "END RequestId: ", "\tInit Duration: "]
    {
        assert!(first.contains(part), "{part:?} is not in {first}");
    }
    let (_, second) = logged(&function, "{}").await;
    assert!(second.contains("lines { a: 1 }") && !second.contains("Init Duration"), "{second}");
    call(&function, "{}").await.unwrap();
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packages_that_an_application_lacks_are_found_by_modules_of_both_kinds() {
    let package = tempfile::tempdir().unwrap();
    std::fs::write(package.path().join("package.json"), r#"{"name":"the-sdk","version":"1.0.0","main":"a.js"}"#)
        .unwrap();
    std::fs::write(package.path().join("a.js"), "exports.name = 'sdk';").unwrap();
    let spec = format!("file:{}", package.path().display());
    let runtimes = tempfile::tempdir().unwrap();
    let hosting = Hosting::new(|options| {
        options.node_packages = vec![spec];
        options.runtimes_dir = runtimes.path().into();
    });
    let add = |name: &str, file: &str, text: &str| {
        hosting.write(name, file, text);
        let mut config = hosting.config(name, "nodejs20.x", "app.handler");
        config.timeout = std::time::Duration::from_secs(120);
        hosting.host.add(config).unwrap()
    };
    let common = add("common", "app.js", "const sdk = require('the-sdk'); exports.handler = async () => sdk.name;");
    let text = "import { name } from './lib.mjs'; export const handler = async () => name;";
    hosting.write("modern", "lib.mjs", "export { name } from 'the-sdk';");
    let modern = add("modern", "app.mjs", text);
    assert_eq!(value(&common, "{}").await, "sdk");
    assert_eq!(value(&modern, "{}").await, "sdk");
    hosting.stop().await;
}
