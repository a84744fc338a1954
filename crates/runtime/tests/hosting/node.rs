//! Handlers of Node.js, by the client that comes with the host.

use fanfare_functions::{Call, Function};
use serde_json::json;

use crate::support::{Hosting, call, failure, logged, value};

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
