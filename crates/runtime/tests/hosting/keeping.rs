//! How many processes there are: as many as calls, the last one first, none without calls.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use fanfare_functions::{Function, FunctionError};
use fanfare_runtime::ProcessState;
use futures_util::future::join_all;

use crate::support::{Hosting, call, calm, eventually, failure, value};

const SLEEPER: &str = "export const handler = async (event) => {
    await new Promise((r) => setTimeout(r, event.ms));
    return process.pid;
};";

fn state_of(pid: i64) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_calls_at_once_have_twenty_processes_and_later_ones_reuse_the_last() {
    let hosting = Hosting::new(|_| {});
    let module = "import { mkdirSync, readdirSync } from 'node:fs';
    export const handler = async (event) => {
        if (event.meet) {
            mkdirSync(`${event.meet}/${process.pid}`, { recursive: true });
            while (readdirSync(event.meet).length < 20) await new Promise((r) => setTimeout(r, 20));
        }
        return process.pid;
    };";
    let function = hosting.node("many", module, |config| config.timeout = Duration::from_secs(60));
    let event = format!(r#"{{"meet":{:?}}}"#, hosting.folder.path().join("meeting").display().to_string());
    // Each waits until all are there.
    let answers = join_all((0..20).map(|_| value(&function, &event))).await;
    let pids: HashSet<_> = answers.iter().filter_map(serde_json::Value::as_i64).collect();
    assert_eq!(pids.len(), 20);
    eventually("all wait", || function.stats().idle == 20).await;
    let mut again = HashSet::new();
    for _ in 0..10 {
        eventually("all wait", || function.stats().idle == 20).await;
        again.insert(value(&function, "{}").await.as_i64().unwrap());
    }
    assert_eq!(again.len(), 1, "the one that became idle last is taken first");
    assert_eq!(function.stats().cold_starts, 20);
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_short_calls_do_not_begin_as_many_processes() {
    let hosting = Hosting::new(|options| options.starts_max = 2);
    let function = hosting.node("burst", SLEEPER, |_| {});
    let answers = join_all((0..200).map(|_| call(&function, r#"{"ms":1}"#))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert!(function.stats().cold_starts <= 10, "{:?}", function.stats());
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_calls_no_process_is_left_and_the_next_call_begins_one() {
    let hosting = Hosting::new(|_| {});
    let function = hosting.node("rare", SLEEPER, |config| config.idle_timeout = Duration::from_millis(1_500));
    let first = value(&function, r#"{"ms":0}"#).await;
    calm(&function).await;
    assert_eq!(value(&function, r#"{"ms":0}"#).await, first);
    eventually("none is left", || hosting.host.processes().is_empty()).await;
    assert_eq!(state_of(first.as_i64().unwrap()), None);
    assert_ne!(value(&function, r#"{"ms":0}"#).await, first);
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_processes_are_frozen_and_thawed() {
    let hosting = Hosting::new(|_| {});
    let function = hosting.node("cold", SLEEPER, |config| config.freeze_after = Some(Duration::from_millis(50)));
    let pid = value(&function, r#"{"ms":0}"#).await;
    for _ in 0..3 {
        eventually("it is stopped", || state_of(pid.as_i64().unwrap()) == Some('T')).await;
        assert_eq!(hosting.host.processes()[0].state, ProcessState::Frozen);
        assert_eq!(value(&function, r#"{"ms":100}"#).await, pid, "the same process goes on");
    }
    eventually("it is stopped", || function.stats().frozen == 1).await;
    let began = Instant::now();
    hosting.stop().await;
    assert!(began.elapsed() < Duration::from_secs(2), "a frozen process ends by a signal too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provisioned_processes_are_there_before_calls_and_come_back() {
    let hosting = Hosting::new(|_| {});
    let module = "export const handler = async (event) => { if (event.exit) process.exit(1); return process.env.AWS_LAMBDA_INITIALIZATION_TYPE; };";
    let function = hosting.node("warm", module, |config| {
        config.provisioned_concurrency = 2;
        config.idle_timeout = Duration::from_millis(100);
    });
    hosting.host.start();
    eventually("two wait", || function.stats().idle == 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(function.stats().idle, 2, "they stay");
    assert_eq!(value(&function, "{}").await, "provisioned-concurrency");
    failure(&function, r#"{"exit":true}"#).await;
    eventually("two wait again", || function.stats().idle == 2).await;
    assert_eq!(function.stats().cold_starts, 0);
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_code_runs_with_the_next_call_and_old_calls_end_as_they_began() {
    let hosting = Hosting::new(|options| options.reload = true);
    let module = |version: u32| {
        format!(
            "export const handler = async (event) => {{ await new Promise((r) => setTimeout(r, event.ms)); return {version}; }};"
        )
    };
    let function = hosting.node("fresh", &module(1), |_| {});
    hosting.host.start();
    let both = join_all((0..2).map(|_| value(&function, r#"{"ms":500}"#))).await;
    assert_eq!(both, [1, 1]);
    let begun = function.stats().cold_starts;
    assert_eq!(begun, 2);
    // The poller has to have seen the code as it was.
    tokio::time::sleep(2 * fanfare_runtime::RELOAD_PERIOD).await;
    let old = call(&function, r#"{"ms":6000}"#);
    let new = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(function.stats().busy, 1);
        hosting.write("fresh", "index.mjs", &format!("{}\n", module(2)));
        assert_eq!(value(&function, r#"{"ms":0}"#).await, 1, "nobody has looked yet");
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            // The process asks for work again, so that no call begins another one.
            eventually("only the old call runs", || function.stats().busy == 1 && function.stats().starting == 0).await;
            if value(&function, r#"{"ms":0}"#).await == 2 {
                break;
            }
            assert!(Instant::now() < end);
        }
        assert_eq!(function.stats().cold_starts, begun + 1, "both processes knew the old code only");
        assert!(function.processes().iter().any(|row| row.is_stale && row.state == ProcessState::Busy));
    };
    let (old, ()) = tokio::join!(old, new);
    assert_eq!(old.unwrap(), "1");
    eventually("the old one is gone", || function.processes().iter().all(|row| !row.is_stale)).await;
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_that_cannot_start_pause() {
    let hosting = Hosting::new(|_| {});
    let marker = hosting.folder.path().join("repaired");
    let module = format!(
        "import {{ existsSync }} from 'node:fs';
    if (!existsSync('{}')) throw new TypeError('no table');
    export const handler = async () => 'up';",
        marker.display()
    );
    let broken = hosting.node("broken", &module, |_| {});
    let said = failure(&broken, "{}").await;
    assert_eq!((said["errorType"].as_str(), said["errorMessage"].as_str()), (Some("TypeError"), Some("no table")));
    for _ in 0..20 {
        assert_eq!(failure(&broken, "{}").await["errorMessage"], "no table", "told from memory");
    }
    assert_eq!(broken.stats().start_failures, 1, "twenty calls within the pause begin no process");
    std::fs::write(&marker, "").unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(value(&broken, "{}").await, "up");
    let exits = hosting.node("exits", "process.exit(7);", |_| {});
    let said = failure(&exits, "{}").await;
    assert_eq!(said["errorType"], "Runtime.ExitError");
    assert!(said["errorMessage"].as_str().unwrap().ends_with("exit status 7"), "{said}");
    hosting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_stops_lets_calls_end_and_then_ends_them() {
    let hosting = Hosting::new(|_| {});
    let function = hosting.node("last", SLEEPER, |_| {});
    call(&function, r#"{"ms":0}"#).await.unwrap();
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        hosting.host.stop(Duration::from_millis(1_500)).await;
    };
    let began = Instant::now();
    let (short, long, ()) =
        tokio::join!(call(&function, r#"{"ms":1000}"#), call(&function, r#"{"ms":15000}"#), stopping);
    assert!(short.is_ok(), "{short:?}");
    assert!(matches!(long, Err(FunctionError::Refused(_))), "{long:?}");
    assert!(began.elapsed() < Duration::from_secs(6));
    assert!(matches!(call(&function, "{}").await, Err(FunctionError::Refused(_))));
    assert_eq!(hosting.host.processes(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_dropped_leaves_nothing_behind() {
    let hosting = Hosting::new(|_| {});
    let function = hosting.node("dropped", SLEEPER, |_| {});
    let pid = value(&function, r#"{"ms":0}"#).await.as_i64().unwrap();
    let waiting = function.invoke(r#"{"ms":15000}"#.into(), fanfare_functions::Call::waiting(function.timeout()));
    let waiting = tokio::spawn(waiting);
    eventually("it is at the call", || function.stats().busy == 1).await;
    drop(hosting);
    assert!(waiting.await.unwrap().is_err());
    eventually("it is gone", || state_of(pid).is_none_or(|state| state == 'Z')).await;
}
