//! Calls that are waited for, and what is told of functions.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_functions::{
    Call, CallKind, Function as _, FunctionError, HttpCaller, LOG_TAIL_BYTES_MAX, LogTail, Reach, RemoteLambda,
    RemoteLambdaOptions,
};
use serde_json::json;

use crate::world::World;

const SYNC_MAX: usize = 6 << 20;

/// A JSON text of so many bytes.
pub(crate) fn text_of(bytes: usize) -> Bytes {
    format!("\"{}\"", "x".repeat(bytes - 2)).into()
}

#[tokio::test]
async fn whoever_waits_hears_what_the_function_returns() {
    let world = World::open();
    let echo = world.echo();
    let heard = world.invoke("echo", &[("x-amz-client-context", "eyJhIjoxfQ==")], "{\"n\":1}").await;
    assert_eq!((heard.status(), heard.json()), (200, json!({ "n": 1 })));
    assert_eq!(heard.header("x-amz-executed-version"), Some("$LATEST"));
    assert_eq!(heard.header("content-type"), Some("application/json"));
    for absent in ["x-amz-function-error", "x-amz-log-result", "x-amzn-errortype"] {
        assert_eq!(heard.header(absent), None, "{absent}");
    }
    let calls = echo.calls.lock();
    let (call, _) = &calls[0];
    assert_eq!(heard.header("x-amzn-requestid"), Some(&*call.request_id), "logs of both sides name one id");
    assert_eq!((call.kind, call.timeout), (CallKind::RequestResponse, Duration::from_millis(2_500)));
    assert_eq!((call.client_context.as_deref(), call.tail.is_some()), (Some("eyJhIjoxfQ=="), false));
}

#[tokio::test]
async fn a_function_is_found_by_every_form_of_its_name() {
    let world = World::open();
    let echo = world.echo();
    let names = [
        "echo",
        "echo:live",
        "echo%3A%24LATEST",
        "arn%3Aaws%3Alambda%3Alocal%3A000000000000%3Afunction%3Aecho",
        "000000000000:function:echo",
    ];
    for name in names {
        assert_eq!(world.invoke(name, &[], "{}").await.status(), 200, "{name}");
    }
    let qualified = "/2015-03-31/functions/echo/invocations?Qualifier=live";
    assert_eq!(world.ask("POST", qualified, &[], Bytes::new()).await.json(), json!({}), "no event is an empty one");
    assert_eq!(echo.count(), names.len() + 1);
}

#[tokio::test]
async fn the_end_of_the_log_comes_along_when_it_is_asked_for() {
    let world = World::open();
    let speak = |call: &Call| {
        if let Some(tail) = &call.tail {
            tail.lock().extend_from_slice(&[b'x'; LOG_TAIL_BYTES_MAX]);
        }
    };
    world.add("speaks", move |event, call| {
        speak(call);
        Ok(event)
    });
    world.add("fails", move |_, call| {
        speak(call);
        Err(FunctionError::Handler(Bytes::from_static(b"{}")))
    });
    for (name, error) in [("speaks", None), ("fails", Some("Unhandled"))] {
        let heard = world.invoke(name, &[("x-amz-log-type", "Tail")], "{}").await;
        assert_eq!((heard.status(), heard.header("x-amz-function-error")), (200, error));
        let told = heard.header("x-amz-log-result").unwrap();
        assert_eq!((told.len(), &told[..8]), (LOG_TAIL_BYTES_MAX.div_ceil(3) * 4, "eHh4eHh4"));
        assert_eq!(world.invoke(name, &[("x-amz-log-type", "None")], "{}").await.header("x-amz-log-result"), None);
    }
}

#[tokio::test]
async fn what_a_function_fails_with_is_an_answer() {
    let world = World::open();
    let own = json!({ "errorMessage": "no", "errorType": "ValueError", "stackTrace": [] });
    let payload = Bytes::from(own.to_string());
    world.add("raises", move |_, _| Err(FunctionError::Handler(payload.clone())));
    let heard = world.invoke("raises", &[], "{}").await;
    assert_eq!((heard.status(), heard.header("x-amz-function-error")), (200, Some("Unhandled")));
    assert_eq!((heard.json(), heard.header("x-amz-executed-version")), (own, Some("$LATEST")));
    for (error, kind, message) in [
        (
            FunctionError::Timeout(Duration::from_secs(3)),
            "Sandbox.Timedout",
            "Error: Task timed out after 3.00 seconds",
        ),
        (FunctionError::TooLarge(SYNC_MAX), "Function.ResponseSizeTooLarge", "payload size (6291456 bytes)."),
        (FunctionError::Status(500), "Function.Status", "HTTP status 500"),
    ] {
        world.add("fails", move |_, _| Err(error.clone()));
        let heard = world.invoke("fails", &[], "{}").await;
        assert_eq!((heard.status(), heard.header("x-amz-function-error")), (200, Some("Unhandled")), "{kind}");
        let told = heard.json();
        assert_eq!(told["errorType"], kind);
        assert!(told["errorMessage"].as_str().unwrap().ends_with(message), "{told}");
    }
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_call_has_lambdas_names() {
    let world = World::open();
    for (error, status, exception) in [
        (FunctionError::Busy { limit: 1 }, 429, "TooManyRequestsException"),
        (FunctionError::Status(429), 429, "TooManyRequestsException"),
        (FunctionError::Refused("connection refused".into()), 502, "ServiceException"),
    ] {
        world.add("fails", move |_, _| Err(error.clone()));
        let heard = world.invoke("fails", &[], "{}").await;
        assert_eq!((heard.error(), heard.header("x-amz-function-error")), ((status, exception), None));
        let is_room = status == 429;
        assert_eq!(heard.header("retry-after"), is_room.then_some("1"));
        assert_eq!(heard.json()["Type"], if is_room { "User" } else { "Service" });
    }
    let heard = world.invoke("nobody", &[], "{}").await;
    assert_eq!(heard.error(), (404, "ResourceNotFoundException"));
    let message = "Function not found: arn:aws:lambda:local:000000000000:function:nobody";
    assert_eq!(heard.json(), json!({ "Type": "User", "Message": message }));
}

#[tokio::test]
async fn a_request_that_is_none_is_refused_by_name() {
    let world = World::open();
    let echo = world.echo();
    for (headers, event, exception) in [
        (&[][..], "{", "InvalidRequestContentException"),
        (&[("x-amz-client-context", "?")], "{}", "InvalidRequestContentException"),
        (&[("x-amz-invocation-type", "Later")], "{}", "InvalidParameterValueException"),
        (&[("x-amz-log-type", "All")], "{}", "InvalidParameterValueException"),
    ] {
        let heard = world.invoke("echo", headers, event).await;
        assert_eq!(heard.error(), (400, exception), "{headers:?}");
        assert!(heard.json()["message"].is_string() && heard.json()["Type"] == "User");
    }
    assert_eq!(world.invoke("a%20b", &[], "{}").await.error(), (400, "InvalidParameterValueException"));
    let heard = world.ask("DELETE", "/2015-03-31/functions/echo", &[], Bytes::new()).await;
    assert_eq!(heard.error(), (404, "UnknownOperationException"));
    assert_eq!(echo.count(), 0);
}

#[tokio::test]
async fn an_event_has_at_most_six_mebibytes() {
    let world = World::open();
    let echo = world.echo();
    let heard = world.invoke("echo", &[], text_of(SYNC_MAX)).await;
    assert_eq!((heard.status(), heard.0.body().len()), (200, SYNC_MAX));
    let heard = world.invoke("echo", &[], text_of(SYNC_MAX + 1)).await;
    assert_eq!(heard.error(), (413, "RequestTooLargeException"));
    let message = "Request must be smaller than 6291456 bytes for the InvokeFunction operation";
    assert_eq!((heard.json(), echo.count()), (json!({ "Type": "User", "message": message }), 1));
}

#[tokio::test]
async fn a_dry_run_calls_nothing() {
    let world = World::open();
    let echo = world.echo();
    let dry = [("x-amz-invocation-type", "DryRun")];
    let heard = world.invoke("echo", &dry, "{}").await;
    assert_eq!((heard.status(), heard.0.body().len(), heard.header("content-length")), (204, 0, None));
    assert_eq!(world.invoke("nobody", &dry, "{}").await.error(), (404, "ResourceNotFoundException"));
    assert_eq!(echo.count(), 0);
}

#[tokio::test]
async fn functions_are_listed_and_described() {
    let world = World::open();
    let get = async |rest: &str| {
        let target = format!("/2015-03-31/functions{rest}");
        world.ask("GET", &target, &[], Bytes::new()).await
    };
    assert_eq!(get("/").await.json(), json!({ "Functions": [] }));
    world.echo();
    world.add("add", |event, _| Ok(event));
    let described = json!({
        "FunctionName": "echo",
        "FunctionArn": "arn:aws:lambda:local:000000000000:function:echo",
        "Version": "$LATEST",
        "Timeout": 3,
        "State": "Active",
        "LastUpdateStatus": "Successful",
    });
    let listed = get("").await.json();
    assert_eq!((&listed["Functions"][0]["FunctionName"], &listed["Functions"][1]), (&json!("add"), &described));
    assert_eq!(get("/echo/configuration").await.json(), described);
    assert_eq!(get("/echo").await.json()["Configuration"], described);
    assert_eq!(get("/nobody").await.error(), (404, "ResourceNotFoundException"));
}

#[tokio::test]
async fn one_server_calls_the_functions_of_another() {
    let world = World::open();
    world.echo();
    world.add("raises", |_, _| Err(FunctionError::Handler(Bytes::from_static(b"{\"errorMessage\":\"no\"}"))));
    world.add("busy", |_, _| Err(FunctionError::Busy { limit: 1 }));
    world.add("speaks", |_, call| {
        call.tail.as_ref().unwrap().lock().extend_from_slice(b"a line");
        Ok(json!(call.client_context.as_deref()).to_string().into())
    });
    let remote = |name: &str| {
        let endpoint = format!("http://{}", world.server.address).parse().unwrap();
        let (name, region, timeout) = (name.to_owned(), "local".to_owned(), Duration::from_secs(10));
        let options = RemoteLambdaOptions {
            endpoint,
            name,
            region,
            credential: None,
            timeout,
            concurrency: 2,
            is_emulator: false,
        };
        Arc::new(RemoteLambda::new(HttpCaller::new(Reach::Anywhere, None).unwrap(), options))
    };
    let call = |name: &str| remote(name).invoke(Bytes::from_static(b"[1]"), Call::waiting(Duration::from_secs(10)));
    assert_eq!(call("echo:live").await.unwrap(), "[1]");
    let tail = LogTail::default();
    let context = Some("e30=".into());
    let told = Call { tail: Some(tail.clone()), client_context: context, ..Call::waiting(Duration::from_secs(10)) };
    assert_eq!(remote("speaks").invoke(Bytes::from_static(b"{}"), told).await.unwrap(), "\"e30=\"");
    assert_eq!(&*tail.lock(), b"a line");
    assert_eq!(call("raises").await, Err(FunctionError::Handler(Bytes::from_static(b"{\"errorMessage\":\"no\"}"))));
    assert_eq!(call("busy").await, Err(FunctionError::Status(429)));
    assert_eq!(call("nobody").await, Err(FunctionError::Status(404)));
}
