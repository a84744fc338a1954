//! Handlers of Python, by Lambda's own client in a virtual environment that is created on first use.

use std::time::Duration;

use fanfare_functions::FunctionError;
use fanfare_runtime::HandlerConfig;
use serde_json::json;

use crate::support::{Hosting, call, calm, eventually, failure, logged, value};

const MODULE: &str = "
import json, os, sys, time, boto3
def handler(event, context):
    how = event.get('how')
    if how == 'raises':
        raise ValueError('no luck')
    if how == 'sleeps':
        time.sleep(30)
    if how == 'exits':
        os._exit(4)
    if how == 'prints':
        for i in range(event['lines']):
            print('line', i)
    return {'hello': event.get('name'), 'id': context.aws_request_id, 'pid': os.getpid(), 'left': context.get_remaining_time_in_millis(), 'region': boto3.session.Session().region_name}
";

/// Why Python cannot be tested here, if so.
fn lacks_venv() -> bool {
    let has = std::process::Command::new("python3").args(["-c", "import venv, ensurepip"]).output();
    let lacks = !has.is_ok_and(|output| output.status.success());
    if lacks {
        println!("skipped: python3 has no venv");
    }
    lacks
}

fn python(hosting: &Hosting, name: &str, file: &str, handler: &str) -> HandlerConfig {
    hosting.write(name, file, MODULE);
    let mut config = hosting.config(name, "python3.11", handler);
    // Creating the runtime takes its time.
    config.timeout = Duration::from_secs(200);
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_handlers_run_unchanged() {
    if lacks_venv() {
        return;
    }
    let hosting = Hosting::new(|options| options.region = "eu-west-1".into());
    let config = python(&hosting, "hello", "notifier/ws/app.py", "notifier.ws.app.handler");
    let function = hosting.host.add(config).unwrap();
    let answer = value(&function, r#"{"name":"wörld"}"#).await;
    assert_eq!((&answer["hello"], &answer["region"]), (&json!("wörld"), &json!("eu-west-1")));
    calm(&function).await;
    let said = failure(&function, r#"{"how":"raises"}"#).await;
    assert_eq!((&said["errorType"], &said["errorMessage"]), (&json!("ValueError"), &json!("no luck")));
    assert!(said["stackTrace"][0].as_str().unwrap().contains("app.py"), "{said}");
    calm(&function).await;
    assert_eq!(value(&function, "{}").await["pid"], answer["pid"], "a process outlives its errors");
    let (_, log) = logged(&function, r#"{"how":"prints","lines":3}"#).await;
    assert!(log.contains("line 0\nline 1\nline 2\nEND "), "{log}");
    let said = failure(&function, r#"{"how":"exits"}"#).await;
    assert!(said["errorMessage"].as_str().unwrap().ends_with("exit status 4"), "{said}");
    assert!(value(&function, "{}").await["pid"].is_number());
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_handlers_have_bounds_too() {
    if lacks_venv() {
        return;
    }
    let hosting = Hosting::new(|_| {});
    let first = hosting.host.add(python(&hosting, "first", "app.py", "app.handler")).unwrap();
    call(&first, "{}").await.unwrap();
    let mut config = python(&hosting, "slow", "app.py", "app.handler");
    config.timeout = Duration::from_secs(2);
    config.idle_timeout = Duration::from_millis(200);
    let slow = hosting.host.add(config).unwrap();
    let error = call(&slow, r#"{"how":"sleeps"}"#).await.unwrap_err();
    assert_eq!(error, FunctionError::Timeout(Duration::from_secs(2)));
    call(&slow, "{}").await.unwrap();
    eventually("none is left", || slow.processes().is_empty()).await;
    for (name, text, kind) in [
        ("nosyntax", "def handler(", "Runtime.UserCodeSyntaxError"),
        ("noimport", "import a_package_that_is_not_there", "Runtime.ImportModuleError"),
        ("noname", "other = 1", "Runtime.HandlerNotFound"),
    ] {
        hosting.write(name, "app.py", text);
        let function = hosting.host.add(hosting.config(name, "python3.11", "app.handler")).unwrap();
        let said = failure(&function, "{}").await;
        assert_eq!(said["errorType"], kind, "{said}");
    }
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_brings_its_own_requirements() {
    if lacks_venv() {
        return;
    }
    let hosting = Hosting::new(|_| {});
    let config = python(&hosting, "needs", "app.py", "app.handler");
    hosting.write(
        "needs",
        "app.py",
        "import colorama\ndef handler(event, context):\n    return colorama.__version__\n",
    );
    hosting.write("needs", "requirements.txt", "colorama==0.4.6\n");
    let function = hosting.host.add(config).unwrap();
    assert_eq!(value(&function, "{}").await, "0.4.6");
    hosting.stop().await;
}
