//! Calls that nobody waits for: kept until they are made, or given up.
//!
//! As in Lambda: a handler that fails is called again after a minute, and once more after two; a
//! function that is busy or out of reach is asked again with pauses that grow from a second to five
//! minutes, as long as the call is not too old. What is given up goes to the dead letter topic.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_core::{Log, LogError, RecordTable};
use fanfare_queue::{Bounds, Clock, Item, Progress, PutError, Queue, Room};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use crate::function::{Call, FunctionError, LaterOptions};
use crate::letters::{Condition, DeadLetters, Ending, LetterError, letter};
use crate::registry::Functions;

/// Calls in the queue at once.
pub const QUEUE_EVENTS_MAX: usize = 10_000;
/// Bytes of all events in the queue together.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;

const BOUNDS: Bounds = Bounds { items: QUEUE_EVENTS_MAX, bytes: QUEUE_BYTES_MAX };

/// How long a call waits for its next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// After a handler failed; doubled each time.
    pub failed: Duration,
    /// After the function was busy or out of reach for the first time; doubled each time.
    pub busy: Duration,
    /// What the latter grows to.
    pub busy_max: Duration,
}

/// As Lambda has them: 1 minute, 1 second, 5 minutes.
impl Default for Pauses {
    fn default() -> Self {
        Self { failed: Duration::from_secs(60), busy: Duration::from_secs(1), busy_max: Duration::from_secs(300) }
    }
}

/// What is kept of a call beside its event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    function: String,
    /// It stays the same, so that a function can know a repetition.
    request: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context: Option<String>,
}

/// Where given up calls go; `None` before it is known.
type Stage = Option<Option<Arc<dyn DeadLetters>>>;

pub(crate) struct Later {
    queue: Queue<Head>,
    pauses: Pauses,
    clock: Clock,
    /// Calls of an earlier run, until the work begins.
    restored: Mutex<Vec<Item<Head>>>,
    stage: watch::Sender<Stage>,
    activity: watch::Sender<Activity>,
}

/// What is being done.
#[derive(Clone, Copy, Debug, Default)]
struct Activity {
    /// Tries that are under way.
    tries: usize,
    /// No further one is begun.
    is_ending: bool,
}

/// One try, from before the call until its outcome is written down.
struct Try<'l>(&'l watch::Sender<Activity>);

impl Drop for Try<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|activity| activity.tries -= 1);
    }
}

/// What becomes of a call after a try.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Again(Duration),
    GiveUp(Condition),
}

impl Later {
    /// A queue that a restart empties; its work begins at once.
    pub(crate) fn in_memory(pauses: Pauses) -> Self {
        Self::new(Queue::in_memory(BOUNDS), Vec::new(), pauses, Some(None))
    }

    /// A queue in the log; its work begins with [`Later::start`].
    pub(crate) fn open(log: Arc<dyn Log>, pauses: Pauses) -> Result<Self, LogError> {
        let (queue, restored) = Queue::open(log, RecordTable::Calls, BOUNDS)?;
        Ok(Self::new(queue, restored, pauses, None))
    }

    fn new(queue: Queue<Head>, restored: Vec<Item<Head>>, pauses: Pauses, stage: Stage) -> Self {
        let (restored, stage) = (Mutex::new(restored), watch::Sender::new(stage));
        Self { queue, pauses, clock: Clock::start(), restored, stage, activity: watch::Sender::default() }
    }

    pub(crate) fn start(&self, functions: &Functions, tasks: &Handle, letters: Option<Arc<dyn DeadLetters>>) {
        self.stage.send_replace(Some(letters));
        let restored = std::mem::take(&mut *self.restored.lock());
        if !restored.is_empty() {
            tracing::info!(calls = restored.len(), "calls of an earlier run are taken up again");
        }
        for item in restored {
            tasks.spawn(work(functions.clone(), item));
        }
    }

    /// Begins no further try, and waits for those that are under way, at most so long.
    pub(crate) async fn drain(&self, within: Duration) {
        self.activity.send_modify(|activity| activity.is_ending = true);
        let mut activity = self.activity.subscribe();
        let _ = tokio::time::timeout(within, activity.wait_for(|activity| activity.tries == 0)).await;
    }

    /// `None` when no try is to be begun any more.
    fn begin(&self) -> Option<Try<'_>> {
        let mut begins = false;
        self.activity.send_modify(|activity| {
            begins = !activity.is_ending;
            activity.tries += usize::from(begins);
        });
        begins.then(|| Try(&self.activity))
    }

    pub(crate) fn waiting(&self) -> Room {
        self.queue.used()
    }

    /// Queues a call now; the answer comes when it is on disk, and the call is made also when nobody
    /// waits for that.
    pub(crate) async fn send(
        &self,
        functions: &Functions,
        function: &str,
        event: Bytes,
        call: &Call,
    ) -> Result<(), FunctionError> {
        let context = call.client_context.as_deref().map(str::to_owned);
        let head = Head { function: function.to_owned(), request: call.request_id.to_string(), context };
        let (item, committed) = self.queue.put(head, event)?;
        let (functions, (tell, told)) = (functions.clone(), oneshot::channel());
        tokio::spawn(async move {
            let kept = committed.await;
            let is_kept = kept.is_ok();
            let _ = tell.send(kept);
            if is_kept {
                work(functions, item).await;
            }
        });
        let stopping = |_| FunctionError::NotKept("the server is stopping".to_owned());
        told.await.map_err(stopping)?.map_err(|error| FunctionError::NotKept(error.to_string()))
    }

    async fn started(&self) -> Option<Arc<dyn DeadLetters>> {
        let mut stage = self.stage.subscribe();
        let started = stage.wait_for(Option::is_some).await;
        started.ok().and_then(|stage| stage.clone()).flatten()
    }
}

impl From<PutError> for FunctionError {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Full => Self::QueueFull,
            PutError::Log(error) => Self::NotKept(error.to_string()),
        }
    }
}

/// Makes a call, as often as it takes.
async fn work(functions: Functions, mut item: Item<Head>) {
    let later = functions.later();
    let letters = later.started().await;
    let pauses = later.pauses;
    loop {
        item.due(pauses.busy_max.max(pauses.failed * 2)).await;
        // Otherwise it stays on disk for the next run.
        let Some(_try) = later.begin() else { return };
        // Looked up each time: it may have been replaced meanwhile.
        let function = functions.get(&item.head.function);
        let options = function.as_ref().map_or_else(LaterOptions::default, |function| function.later());
        if let Some(condition) = is_over(item.progress(), item.age(), &options) {
            // The server ended after the last try, or did not run for long. What was answered is not known any more.
            return give_up(later, item, &options, letters, Ending { condition, error: None }).await;
        }
        let tried = match function {
            Some(function) => function.invoke(item.body.clone(), call(&item.head, function.timeout())).await,
            None => Err(FunctionError::Unknown(item.head.function.clone())),
        };
        let Err(error) = tried else { return item.finish() };
        let next = next(&error, item.progress(), item.age(), &options, &pauses);
        let pause = if let Next::Again(pause) = next { pause } else { Duration::ZERO };
        item.put_off(was_called(&error), pause);
        let (function, request, tries) = (&item.head.function, &item.head.request, item.progress().tries);
        match next {
            Next::Again(pause) => {
                let pause_ms = pause.as_millis();
                tracing::debug!(function, request, tries, pause_ms, %error, "a call is tried again");
            }
            Next::GiveUp(condition) => {
                let ending = Ending { condition, error: Some(&error) };
                return give_up(later, item, &options, letters, ending).await;
            }
        }
    }
}

fn call(head: &Head, timeout: Duration) -> Call {
    let (request_id, client_context) = (head.request.as_str().into(), head.context.as_deref().map(Arc::from));
    Call { request_id, client_context, ..Call::event(timeout) }
}

/// Whether user code ran, or may have.
fn was_called(error: &FunctionError) -> bool {
    match error {
        FunctionError::Status(status) => !matches!(status, 408 | 429 | 501..),
        FunctionError::Handler(_) | FunctionError::Timeout(_) | FunctionError::TooLarge(_) => true,
        _ => false,
    }
}

/// Whether there is no further try.
fn is_over(progress: Progress, age: Duration, options: &LaterOptions) -> Option<Condition> {
    if progress.failures > options.retries {
        return Some(Condition::RetriesExhausted);
    }
    (age > options.age_max).then_some(Condition::EventAgeExceeded)
}

/// What becomes of a call that failed once more; `progress` is that before this try.
fn next(error: &FunctionError, progress: Progress, age: Duration, options: &LaterOptions, pauses: &Pauses) -> Next {
    let left = options.age_max.saturating_sub(age);
    if was_called(error) {
        if progress.failures >= options.retries || !error.may_pass() {
            return Next::GiveUp(Condition::RetriesExhausted);
        }
        let pause = pauses.failed.saturating_mul(1 << progress.failures.min(16));
        return if pause > left { Next::GiveUp(Condition::EventAgeExceeded) } else { Next::Again(pause) };
    }
    if left.is_zero() {
        return Next::GiveUp(Condition::EventAgeExceeded);
    }
    let doubled = pauses.busy.saturating_mul(1 << (progress.tries - progress.failures).min(16));
    // From the upper half, so that calls that failed together do not come together again; and a last
    // time just before the end.
    Next::Again(doubled.min(pauses.busy_max).mul_f64(0.5 + fastrand::f64() / 2.0).min(left))
}

/// What is left is the dead letter. Only when that is kept the call is forgotten.
async fn give_up(
    later: &Later,
    item: Item<Head>,
    options: &LaterOptions,
    letters: Option<Arc<dyn DeadLetters>>,
    ending: Ending<'_>,
) {
    let (function, request, tries) = (&item.head.function, &item.head.request, item.progress().tries);
    let error = ending.error.map(ToString::to_string).unwrap_or_default();
    tracing::warn!(function, request, tries, condition = %ending.condition, error, "a call was given up");
    let (Some(topic), Some(letters)) = (&options.dead_letter_topic, letters) else { return item.finish() };
    let letter = letter(&item, &ending, request, &letters.function_arn(function), later.clock.now());
    let mut pause = later.pauses.busy;
    loop {
        match letters.publish(topic.clone(), letter.clone()).await {
            Ok(()) => break,
            Err(LetterError::Never(reason)) => {
                tracing::error!(function, request, %topic, reason, "a dead letter is lost: its topic does not take it");
                break;
            }
            Err(LetterError::Later(reason)) => {
                tracing::warn!(function, request, %topic, reason, "a dead letter waits");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(later.pauses.busy_max);
            }
        }
    }
    item.finish();
}

#[cfg(test)]
mod tests;
