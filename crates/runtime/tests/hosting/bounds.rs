//! What a function may not do: take too long, answer too much, use too much memory, write without end.

use std::time::{Duration, Instant};

use fanfare_functions::{Call, CallKind, Function, FunctionError};
use fanfare_runtime::{HostError, error_payload};
use futures_util::future::join_all;

use crate::support::{Hosting, call, calm, eventually, failure, logged, value};

const SECOND: Duration = Duration::from_secs(1);

fn is_alive(pid: i32) -> bool {
    // A process that is gone but not waited for yet counts as gone.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_takes_too_long_ends_with_its_process_and_its_children() {
    let hosting = Hosting::new(|_| {});
    let module = "import { spawn } from 'node:child_process';
    export const handler = async (event) => {
        if (event.quick) return process.pid;
        const child = spawn('sleep', ['1000']);
        console.log(`child ${child.pid} end`);
        await new Promise(() => setInterval(() => {}, 1_000));
    };";
    let function = hosting.node("slow", module, |config| config.timeout = SECOND);
    let first = value(&function, r#"{"quick":true}"#).await;
    let began = Instant::now();
    let (answer, log) = logged(&function, "{}").await;
    let error = answer.unwrap_err();
    assert_eq!(error, FunctionError::Timeout(SECOND));
    assert!((900..2_500).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert!(log.contains("Task timed out after 1.00 seconds\n"), "{log}");
    assert!(String::from_utf8_lossy(&error_payload(&error, "id")).contains("id Task timed out after 1.00 seconds"));
    let child = log.split("child ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    eventually("what the process began is gone", || !is_alive(child)).await;
    assert_ne!(value(&function, r#"{"quick":true}"#).await, first);
    assert_eq!(function.stats().timeouts, 1);
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_may_wait_for_less_than_the_function_takes() {
    let hosting = Hosting::new(|_| {});
    let module = "export const handler = async (event) => { await new Promise((r) => setTimeout(r, event.ms)); return process.pid; };";
    let function = hosting.node("patient", module, |_| {});
    let pid = value(&function, r#"{"ms":0}"#).await;
    calm(&function).await;
    let short = Duration::from_millis(100);
    let answer = function.invoke(r#"{"ms":1000}"#.into(), Call::waiting(short)).await;
    assert_eq!(answer, Err(FunctionError::Timeout(short)));
    calm(&function).await;
    assert_eq!(value(&function, r#"{"ms":0}"#).await, pid, "the process lives on");
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_have_a_size() {
    let hosting = Hosting::new(|_| {});
    let module = "export const handler = async (event) => 'x'.repeat(event.bytes);";
    let function = hosting.node("large", module, |_| {});
    let most = 6 << 20;
    assert_eq!(call(&function, &format!(r#"{{"bytes":{}}}"#, most - 2)).await.unwrap().len(), most);
    calm(&function).await;
    let error = call(&function, &format!(r#"{{"bytes":{most}}}"#)).await.unwrap_err();
    assert_eq!(error, FunctionError::TooLarge(most));
    assert!(String::from_utf8_lossy(&error_payload(&error, "id")).contains("Function.ResponseSizeTooLarge"));
    calm(&function).await;
    assert_eq!(value(&function, r#"{"bytes":1}"#).await, "x");
    assert_eq!(function.stats().cold_starts, 1);
    let event = format!(r#"{{"bytes":0,"x":"{}"}}"#, "x".repeat(most));
    assert!(matches!(call(&function, &event).await, Err(FunctionError::Refused(_))));
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_has_a_limit() {
    let hosting = Hosting::new(|_| {});
    let module = "export const handler = async (event) => {
        globalThis.kept = Buffer.alloc(event.mb << 20, 1);
        await new Promise((r) => setTimeout(r, event.ms));
        return kept.length >> 20;
    };";
    let function = hosting.node("hungry", module, |config| config.memory_mb = 128);
    assert_eq!(value(&function, r#"{"mb":10,"ms":600}"#).await, 10);
    let said = failure(&function, r#"{"mb":400,"ms":15000}"#).await;
    assert_eq!(said["errorType"], "Runtime.OutOfMemory");
    assert!(said["errorMessage"].as_str().unwrap().contains("more than 128 MB"), "{said}");
    assert_eq!(value(&function, r#"{"mb":1,"ms":0}"#).await, 1);
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_may_write_without_end() {
    let hosting = Hosting::new(|_| {});
    let module = "import { writeSync } from 'node:fs';
    export const handler = async (event) => {
        if (event.lines) for (let i = 0; i < event.lines; i++) writeSync(1, `line ${i}\\n`);
        const block = 'y'.repeat(1 << 16);
        while (event.forever) writeSync(2, block);
        return 'written';
    };";
    let function = hosting.node("loud", module, |config| config.timeout = 2 * SECOND);
    let (answer, log) = logged(&function, r#"{"lines":20000}"#).await;
    assert_eq!(answer.unwrap(), "\"written\"");
    assert!(log.contains("line 19999\nEND ") && log.len() <= 4_096, "the tail is the end: {log}");
    assert!(function.stats().lines_dropped > 10_000);
    assert_eq!(call(&function, r#"{"forever":true}"#).await, Err(FunctionError::Timeout(2 * SECOND)));
    assert_eq!(value(&function, "{}").await, "written");
    hosting.stop().await;
}

const SLEEPER: &str = "export const handler = async (event) => {
    await new Promise((r) => setTimeout(r, event.ms));
    return process.pid;
};";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reserved_processes_are_the_most_that_run() {
    let hosting = Hosting::new(|options| options.concurrency_max = 5);
    let function = hosting.node("two", SLEEPER, |config| config.reserved_concurrency = Some(2));
    let answers = join_all((0..5).map(|_| call(&function, r#"{"ms":500}"#))).await;
    let busy = answers.iter().filter(|answer| **answer == Err(FunctionError::Busy { limit: 2 })).count();
    assert_eq!((busy, answers.iter().filter(|answer| answer.is_ok()).count()), (3, 2));
    assert_eq!(function.stats().refusals, 3);
    let event = || Call { kind: CallKind::Event, ..Call::waiting(function.timeout()) };
    let answers = join_all((0..6).map(|_| function.invoke(r#"{"ms":50}"#.into(), event()))).await;
    assert!(answers.iter().all(Result::is_ok), "calls that nobody waits for have patience: {answers:?}");
    assert!(function.stats().idle <= 2);
    let none = hosting.node("none", SLEEPER, |config| config.reserved_concurrency = Some(0));
    assert_eq!(call(&none, r#"{"ms":0}"#).await, Err(FunctionError::Busy { limit: 0 }));
    hosting.write("greedy", "index.mjs", SLEEPER);
    let mut greedy = hosting.config("greedy", "nodejs20.x", "index.handler");
    greedy.reserved_concurrency = Some(3);
    assert!(matches!(hosting.host.add(greedy), Err(HostError::Setting { .. })), "nothing would be left to the others");
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_make_room_for_each_other() {
    let hosting = Hosting::new(|options| options.concurrency_max = 1);
    let one = hosting.node("one", SLEEPER, |_| {});
    let other = hosting.node("other", SLEEPER, |_| {});
    for _ in 0..2 {
        assert!(value(&one, r#"{"ms":0}"#).await.is_number());
        assert!(value(&other, r#"{"ms":0}"#).await.is_number());
    }
    let (first, second) = tokio::join!(call(&one, r#"{"ms":500}"#), async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        call(&other, r#"{"ms":0}"#).await
    });
    assert!(first.is_ok());
    assert_eq!(second, Err(FunctionError::Busy { limit: 1 }), "a process at a call is not ended for another");
    hosting.stop().await;
}
