//! Calls that nobody waits for.

use std::time::Duration;

use fanfare_core::RecordTable;
use fanfare_functions::{CallKind, QUEUE_BYTES_MAX};
use fanfare_testkit::eventually;

use crate::invoking::text_of;
use crate::world::World;

const EVENT: (&str, &str) = ("x-amz-invocation-type", "Event");
const EVENT_MAX: usize = 1 << 20;

#[tokio::test]
async fn an_event_is_acknowledged_and_then_made() {
    let world = World::open();
    let echo = world.echo();
    let heard = world.invoke("echo:live", &[EVENT, ("x-amz-client-context", "e30=")], "{\"n\":1}").await;
    assert_eq!((heard.status(), heard.0.body().len()), (202, 0));
    assert_eq!(heard.header("x-amz-executed-version"), None);
    eventually(|| (echo.count() == 1).then_some(())).unwrap();
    let (call, event) = echo.calls.lock().pop().unwrap();
    assert_eq!((event, call.kind), ("{\"n\":1}".into(), CallKind::Event));
    assert_eq!(heard.header("x-amzn-requestid"), Some(&*call.request_id));
    assert_eq!(call.client_context.as_deref(), Some("e30="));
    eventually(|| world.log.table(RecordTable::Calls).is_empty().then_some(())).unwrap();
}

#[tokio::test]
async fn nothing_is_acknowledged_before_it_is_on_disk() {
    let world = World::open();
    let echo = world.echo();
    world.log.hold();
    let soon = Duration::from_millis(200);
    assert!(tokio::time::timeout(soon, world.invoke("echo", &[EVENT], "{}")).await.is_err());
    let (heard, ()) = tokio::join!(world.invoke("echo", &[EVENT], "{}"), async {
        // What the server forgets here was not acknowledged.
        for _ in 0..2_000 {
            if world.log.queued() >= 2 {
                return world.log.crash();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert_eq!((heard.error(), heard.json()["Type"].as_str()), ((500, "ServiceException"), Some("Service")));
    assert_eq!(echo.count(), 0);
    world.log.set_failing(true);
    assert_eq!(world.invoke("echo", &[EVENT], "{}").await.error(), (500, "ServiceException"));
    world.log.set_failing(false);
    assert_eq!(world.invoke("echo", &[EVENT], "{}").await.status(), 202);
}

#[tokio::test]
async fn an_event_has_at_most_one_mebibyte_and_the_queue_is_bounded() {
    let world = World::open();
    let echo = world.echo();
    assert_eq!(world.invoke("echo", &[EVENT], text_of(EVENT_MAX)).await.status(), 202);
    let heard = world.invoke("echo", &[EVENT], text_of(EVENT_MAX + 1)).await;
    assert_eq!(heard.error(), (413, "RequestTooLargeException"));
    eventually(|| (echo.count() == 1 && world.functions.waiting().items == 0).then_some(())).unwrap();
    // One that waits for its function takes up all of the room.
    world.add("busy", |_, _| Err(fanfare_functions::FunctionError::Busy { limit: 1 }));
    let functions = world.functions.clone();
    let full = vec![b' '; QUEUE_BYTES_MAX].into();
    world.server.gateway.tasks.spawn(async move { functions.send("busy", full).await }).await.unwrap().unwrap();
    let heard = world.invoke("echo", &[EVENT], "{}").await;
    assert_eq!((heard.error(), heard.header("retry-after")), ((429, "TooManyRequestsException"), Some("1")));
    assert_eq!(world.invoke("echo", &[], "{}").await.status(), 200, "whoever waits needs no room in the queue");
}

#[tokio::test]
async fn what_is_wrong_with_an_event_is_told_at_once() {
    let world = World::open();
    world.echo();
    assert_eq!(world.invoke("nobody", &[EVENT], "{}").await.error(), (404, "ResourceNotFoundException"));
    assert_eq!(world.invoke("echo", &[EVENT], "no").await.error(), (400, "InvalidRequestContentException"));
}
