//! The queue of calls with a clock that stands still, over a log that outlives it.

use std::collections::VecDeque;

use fanfare_core::MemoryLog;
use fanfare_testkit::TestLog;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::function::{Answer, Function};
use crate::letters::Publishing;

type Outcome = Result<Bytes, FunctionError>;

/// Answers as it is told, and remembers what it was called with, and when.
struct Scripted {
    answer: Box<dyn Fn(usize) -> Option<Outcome> + Send + Sync>,
    options: LaterOptions,
    calls: Mutex<Vec<(Instant, Call, Bytes)>>,
}

impl Scripted {
    /// `answer` takes the number of the call, from 0; `None` never answers.
    fn new(answer: impl Fn(usize) -> Option<Outcome> + Send + Sync + 'static) -> Self {
        Self { answer: Box::new(answer), options: with_letters(), calls: Mutex::default() }
    }

    fn seconds(&self) -> Vec<f64> {
        let calls = self.calls.lock();
        calls.iter().map(|(at, ..)| (*at - calls[0].0).as_secs_f64()).collect()
    }

    fn bodies(&self) -> Vec<Bytes> {
        self.calls.lock().iter().map(|(_, _, body)| body.clone()).collect()
    }
}

impl Function for Scripted {
    fn invoke(&self, event: Bytes, call: Call) -> Answer {
        let mut calls = self.calls.lock();
        calls.push((Instant::now(), call, event));
        match (self.answer)(calls.len() - 1) {
            Some(outcome) => Box::pin(std::future::ready(outcome)),
            None => Box::pin(std::future::pending()),
        }
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(3)
    }

    fn later(&self) -> LaterOptions {
        self.options.clone()
    }
}

fn with_letters() -> LaterOptions {
    LaterOptions { dead_letter_topic: Some("dead".into()), ..LaterOptions::default() }
}

/// Takes letters as it is told; all of them once it is told nothing more.
#[derive(Default)]
struct Letters {
    refusals: Mutex<VecDeque<LetterError>>,
    taken: Mutex<Vec<(Arc<str>, Value)>>,
}

impl DeadLetters for Letters {
    fn function_arn(&self, function: &str) -> String {
        format!("arn:aws:lambda:local:000000000000:function:{function}")
    }

    fn publish(&self, topic: Arc<str>, letter: Bytes) -> Publishing {
        let refusal = self.refusals.lock().pop_front();
        if refusal.is_none() {
            self.taken.lock().push((topic, serde_json::from_slice(&letter).unwrap()));
        }
        Box::pin(std::future::ready(refusal.map_or(Ok(()), Err)))
    }
}

fn handler_failed() -> Outcome {
    Err(FunctionError::Handler(Bytes::from_static(br#"{"errorMessage":"no","errorType":"E"}"#)))
}

fn ok() -> Option<Outcome> {
    Some(Ok(Bytes::new()))
}

/// A registry over `log` that works, with one function `f`.
fn begin(log: &Arc<TestLog>, function: &Arc<Scripted>) -> (Functions, Arc<Letters>) {
    let functions = Functions::durable(log.clone(), Pauses::default()).unwrap();
    let letters = Arc::new(Letters::default());
    functions.insert("f", function.clone());
    functions.start(&Handle::current(), Some(letters.clone()));
    (functions, letters)
}

async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(48 * 3_600);
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn drained(functions: &Functions) {
    eventually("an empty queue", || functions.waiting() == Room::default()).await;
}

fn body(number: usize) -> Bytes {
    number.to_string().into()
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_is_called_again_after_one_minute_and_after_two() {
    let (log, function) = (Arc::new(TestLog::default()), Arc::new(Scripted::new(|_| Some(handler_failed()))));
    let (functions, letters) = begin(&log, &function);
    let call = Call { client_context: Some("e30=".into()), ..Call::event(Duration::ZERO) };
    functions.send_call("f:live", body(7), &call).await.unwrap();
    drained(&functions).await;
    let seconds: Vec<_> = function.seconds().into_iter().map(f64::round).collect();
    assert_eq!(seconds, [0.0, 60.0, 180.0]);
    for (_, made, event) in &*function.calls.lock() {
        assert_eq!((&made.request_id, event), (&call.request_id, &body(7)), "a repetition is known by its id");
        assert_eq!((made.client_context.as_deref(), made.timeout), (Some("e30="), Duration::from_secs(3)));
        assert_eq!(made.kind, crate::CallKind::Event);
    }
    let (topic, mut letter) = letters.taken.lock().pop().unwrap();
    let time = letter["timestamp"].take();
    assert_eq!(&*topic, "dead");
    assert!(time.as_str().is_some_and(|time| time.len() == 24 && time.ends_with('Z')), "{time}");
    let expected = json!({
        "version": "1.0",
        "timestamp": null,
        "requestContext": {
            "requestId": &*call.request_id,
            "functionArn": "arn:aws:lambda:local:000000000000:function:f",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": 7,
        "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
        "responsePayload": { "errorMessage": "no", "errorType": "E" },
    });
    assert_eq!(letter, expected);
    assert!(log.table(RecordTable::Calls).is_empty(), "nothing stays behind");
}

#[tokio::test(start_paused = true)]
async fn a_busy_function_is_asked_again_with_growing_pauses_until_the_call_is_too_old() {
    let age_max = Duration::from_secs(3_600);
    let busy = Scripted::new(|_| Some(Err(FunctionError::Busy { limit: 1 })));
    let function = Arc::new(Scripted { options: LaterOptions { age_max, ..with_letters() }, ..busy });
    let (functions, letters) = begin(&Arc::default(), &function);
    functions.send("f", body(1)).await.unwrap();
    drained(&functions).await;
    let seconds = function.seconds();
    for (n, pair) in seconds.windows(2).enumerate().take(seconds.len() - 2) {
        let (pause, longest) = (pair[1] - pair[0], f64::from(1 << n.min(16)).min(300.0));
        assert!((longest * 0.5 - 0.01..=longest + 0.01).contains(&pause), "pause {n}: {pause} s");
    }
    let last = seconds[seconds.len() - 1];
    assert!((3_599.0..=3_601.0).contains(&last), "there is a last try just before the end, not after {last} s");
    let letter = letters.taken.lock().pop().unwrap().1;
    assert_eq!(letter["requestContext"]["condition"], "EventAgeExceeded");
    assert_eq!(letter["requestContext"]["approximateInvokeCount"], 0, "the handler never ran");
    assert!(letter.get("responsePayload").is_none());
}

#[tokio::test(start_paused = true)]
async fn retries_are_the_functions_choice_and_what_is_wrong_for_good_is_not_tried_again() {
    for (retries, error, tries) in [
        (0, handler_failed(), 1),
        (1, Err(FunctionError::Timeout(Duration::from_secs(3))), 2),
        (2, Err(FunctionError::Status(500)), 3),
        (2, Err(FunctionError::Status(400)), 1),
        (2, Err(FunctionError::TooLarge(1)), 1),
    ] {
        let failing = Scripted::new(move |_| Some(error.clone()));
        let function = Arc::new(Scripted { options: LaterOptions { retries, ..with_letters() }, ..failing });
        let (functions, letters) = begin(&Arc::default(), &function);
        functions.send("f", body(1)).await.unwrap();
        drained(&functions).await;
        assert_eq!((function.calls.lock().len(), letters.taken.lock().len()), (tries, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_function_does_not_use_up_the_retries() {
    // Busy, failed, busy, failed, busy, well.
    let function = Arc::new(Scripted::new(|n| match n {
        5 => ok(),
        n if n % 2 == 0 => Some(Err(FunctionError::Busy { limit: 1 })),
        _ => Some(handler_failed()),
    }));
    let (functions, letters) = begin(&Arc::default(), &function);
    functions.send("f", body(1)).await.unwrap();
    drained(&functions).await;
    assert_eq!((function.calls.lock().len(), letters.taken.lock().len()), (6, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_waits_for_its_topic_and_what_never_fits_is_let_go() {
    let log = Arc::new(TestLog::default());
    let function = Arc::new(Scripted::new(|_| Some(Err(FunctionError::Status(404)))));
    let (functions, letters) = begin(&log, &function);
    letters.refusals.lock().extend([LetterError::Later("full".into()), LetterError::Later("full".into())]);
    functions.send("f", Bytes::from_static(b"\xff no JSON")).await.unwrap();
    drained(&functions).await;
    let letter = letters.taken.lock().pop().unwrap().1;
    assert_eq!(letter["requestPayload"], "\u{fffd} no JSON");
    assert_eq!((&letter["responseContext"]["statusCode"], function.calls.lock().len()), (&json!(404), 1));
    letters.refusals.lock().push_back(LetterError::Never("too large".into()));
    functions.send("f", body(2)).await.unwrap();
    drained(&functions).await;
    assert!(letters.taken.lock().is_empty() && log.table(RecordTable::Calls).is_empty());
}

#[test]
fn nothing_acknowledged_is_lost_in_a_crash() {
    const CALLS: usize = 60;
    let log = Arc::new(TestLog::default());
    // Every third call is done, every third fails, every third is under way when the server dies.
    let first = Arc::new(Scripted::new(|n| match n % 3 {
        0 => ok(),
        1 => Some(handler_failed()),
        _ => None,
    }));
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let before = run();
    before.block_on(async {
        let (functions, _) = begin(&log, &first);
        for number in 0..CALLS {
            functions.send("f", body(number)).await.unwrap();
        }
        eventually("all first calls", || first.calls.lock().len() == CALLS).await;
    });
    drop(before);
    let done: Vec<_> = first.bodies().into_iter().step_by(3).collect();
    let second = Arc::new(Scripted::new(|_| ok()));
    run().block_on(async {
        let (functions, letters) = begin(&log, &second);
        assert_eq!(functions.waiting().items, CALLS - done.len());
        drained(&functions).await;
        assert!(letters.taken.lock().is_empty() && log.table(RecordTable::Calls).is_empty());
    });
    let (mut made, again) = (done, second.bodies());
    assert!(again.iter().all(|body| !made.contains(body)), "what is done is not done again");
    made.extend(again);
    made.sort_by_key(|body| String::from_utf8_lossy(body).parse::<usize>().unwrap());
    assert_eq!(made, (0..CALLS).map(body).collect::<Vec<_>>());
    let id_of = |scripted: &Scripted, wanted: &Bytes| {
        let calls = scripted.calls.lock();
        calls.iter().find(|(_, _, body)| body == wanted).map(|(_, call, _)| call.request_id.clone())
    };
    for body in second.bodies() {
        assert_eq!(id_of(&first, &body), id_of(&second, &body), "the id is kept too");
    }
}

#[test]
fn tries_before_a_crash_count() {
    let log = Arc::new(TestLog::default());
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let first = Arc::new(Scripted::new(|_| Some(handler_failed())));
    run().block_on(async {
        let (functions, _) = begin(&log, &first);
        functions.send("f", body(1)).await.unwrap();
        eventually("the second try", || first.calls.lock().len() == 2).await;
    });
    let second = Arc::new(Scripted::new(|_| Some(handler_failed())));
    run().block_on(async {
        let (functions, letters) = begin(&log, &second);
        drained(&functions).await;
        assert_eq!((second.calls.lock().len(), letters.taken.lock().len()), (1, 1));
        assert_eq!(letters.taken.lock()[0].1["requestContext"]["approximateInvokeCount"], 3);
    });
}

#[tokio::test(start_paused = true)]
async fn a_call_is_made_and_acknowledged_when_it_is_on_disk_and_not_before() {
    let (log, function) = (Arc::new(TestLog::default()), Arc::new(Scripted::new(|_| ok())));
    let (functions, _) = begin(&log, &function);
    log.hold();
    let second = Duration::from_secs(1);
    assert!(tokio::time::timeout(second, functions.send("f", body(1))).await.is_err());
    assert!(function.calls.lock().is_empty());
    // Nobody waits any more, but the call was taken in.
    log.let_go();
    drained(&functions).await;
    assert_eq!(function.bodies(), [body(1)]);

    log.hold();
    let sent = tokio::spawn({
        let functions = functions.clone();
        async move { functions.send("f", body(2)).await }
    });
    eventually("the record", || log.queued() > 0).await;
    log.crash();
    assert!(matches!(sent.await.unwrap(), Err(FunctionError::NotKept(_))));
    log.set_failing(true);
    assert!(matches!(functions.send("f", body(3)).await, Err(FunctionError::NotKept(_))));
    assert_eq!((functions.waiting(), function.bodies().len()), (Room::default(), 1));
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_bounded_by_number_and_size() {
    let functions = Functions::new();
    functions.insert("f", Arc::new(Scripted::new(|_| None)));
    for _ in 0..QUEUE_EVENTS_MAX {
        functions.send("f", Bytes::new()).await.unwrap();
    }
    assert_eq!(functions.send("f", Bytes::new()).await, Err(FunctionError::QueueFull));
    let functions = Functions::new();
    functions.insert("f", Arc::new(Scripted::new(|_| None)));
    functions.send("f", vec![0; QUEUE_BYTES_MAX].into()).await.unwrap();
    assert_eq!(functions.send("f", body(1)).await, Err(FunctionError::QueueFull));
    assert_eq!(functions.waiting(), Room { items: 1, bytes: QUEUE_BYTES_MAX });
    assert_eq!(functions.send("g", body(1)).await, Err(FunctionError::Unknown("g".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_the_start_and_for_a_function_that_is_not_there_yet() {
    let log = Arc::new(TestLog::default());
    let functions = Functions::durable(log.clone(), Pauses::default()).unwrap();
    let function = Arc::new(Scripted::new(|_| ok()));
    functions.insert("f", function.clone());
    functions.send("f", body(1)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(function.calls.lock().is_empty(), "not before the start");
    drop(functions);

    let functions = Functions::durable(log.clone(), Pauses::default()).unwrap();
    functions.start(&Handle::current(), None);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(functions.waiting().items, 1);
    functions.insert("f", function.clone());
    drained(&functions).await;
    assert_eq!(function.bodies(), [body(1)]);
}

/// Answers after a while.
struct Slow(Duration, Mutex<usize>);

impl Function for Slow {
    fn invoke(&self, _: Bytes, _: Call) -> Answer {
        *self.1.lock() += 1;
        let pause = self.0;
        Box::pin(async move {
            tokio::time::sleep(pause).await;
            Ok(Bytes::new())
        })
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(900)
    }
}

#[tokio::test(start_paused = true)]
async fn an_orderly_end_waits_for_what_is_under_way_and_begins_nothing() {
    let log = Arc::new(TestLog::default());
    let functions = Functions::durable(log.clone(), Pauses::default()).unwrap();
    functions.start(&Handle::current(), None);
    let (quick, endless) = (Arc::new(Slow(Duration::from_secs(5), Mutex::default())), Duration::from_secs(800));
    functions.insert("quick", quick.clone());
    functions.insert("endless", Arc::new(Slow(endless, Mutex::default())));
    let failed = Arc::new(Scripted::new(|_| Some(handler_failed())));
    functions.insert("failed", failed.clone());
    functions.send("quick", body(1)).await.unwrap();
    functions.send("failed", body(2)).await.unwrap();
    eventually("both", || *quick.1.lock() == 1 && failed.calls.lock().len() == 1).await;
    let before = Instant::now();
    functions.drain(Duration::from_secs(600)).await;
    assert!((4..=5).contains(&before.elapsed().as_secs()), "the quick one is waited for");
    assert_eq!(functions.waiting().items, 1);
    functions.send("quick", body(3)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!((*quick.1.lock(), failed.calls.lock().len()), (1, 1), "nothing is begun any more");

    let again = Functions::durable(log.clone(), Pauses::default()).unwrap();
    assert_eq!(again.waiting().items, 2, "both are there in the next run");
    again.start(&Handle::current(), None);
    again.insert("endless", Arc::new(Slow(endless, Mutex::default())));
    again.send("endless", body(4)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = Instant::now();
    again.drain(Duration::from_secs(10)).await;
    assert_eq!(before.elapsed().as_secs(), 10, "nor longer than is said");
    let items = log.table(RecordTable::Calls).into_iter().filter(|(key, _)| key.len() == 8);
    assert_eq!(items.count(), 3, "all of them for the run after that");
}

#[tokio::test(start_paused = true)]
async fn a_log_in_memory_makes_a_queue_in_memory() {
    let functions = Functions::durable(Arc::new(MemoryLog::new(1)), Pauses::default()).unwrap();
    let function = Arc::new(Scripted::new(|_| ok()));
    functions.insert("f", function.clone());
    functions.start(&Handle::current(), None);
    functions.send("f", body(1)).await.unwrap();
    drained(&functions).await;
    assert_eq!(function.bodies(), [body(1)]);
}
