//! One delivery: tries, pauses, and the dead letter.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_core::{Kind, Publication, Refusal, TopicName};
use fanfare_events::{Address, Delivery, Destination, RetryPolicy};
use fanfare_functions::FunctionError;
use fanfare_queue::{Bounds, Item};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::NAME;
use crate::board::Board;

/// Deliveries that wait or are under way at once.
pub const DELIVERIES_WAITING_MAX: usize = 10_000;
/// Bytes of what they deliver, together. Copies of one event count each.
pub const DELIVERY_BYTES_MAX: usize = 256 << 20;

/// The pause before the second try; doubled each time.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// What of an answer of an API destination is read, in bytes; nobody looks at it.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// How much may wait.
pub(crate) const BOUNDS: Bounds = Bounds { items: DELIVERIES_WAITING_MAX, bytes: DELIVERY_BYTES_MAX };

/// What is kept of a delivery, beside what is delivered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Parcel {
    bus: String,
    pub(crate) rule: String,
    pub(crate) target: String,
    address: Address,
    /// The event's id.
    event: String,
    retry: RetryPolicy,
    /// The topic that is told of the end; empty when what was named is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dead_letter: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http_parameters: Option<Value>,
}

impl Parcel {
    /// With what is to be delivered.
    pub(crate) fn pack(delivery: Delivery) -> (Self, Bytes) {
        let Delivery { bus, rule, target, address, event, input, retry, dead_letter, http_parameters } = delivery;
        let dead_letter = dead_letter.map(|arn| match Destination::parse(&arn) {
            Ok(Destination::Channel(topic)) => topic.render(&event.to_value()).unwrap_or_default(),
            _ => String::new(),
        });
        let event = event.id.clone();
        (Self { bus, rule, target, address, event, retry, dead_letter, http_parameters }, Bytes::from_owner(input))
    }
}

/// Why a try failed, and whether another may not.
struct Failed {
    code: &'static str,
    reason: String,
    may_pass: bool,
}

impl Failed {
    fn for_good(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), may_pass: false }
    }
}

impl From<FunctionError> for Failed {
    fn from(error: FunctionError) -> Self {
        Self { code: "SDK_CLIENT_ERROR", reason: error.to_string(), may_pass: error.may_pass() }
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        let may_pass = matches!(
            refusal,
            Refusal::Overloaded | Refusal::Log(_) | Refusal::RateLimited { .. } | Refusal::ShuttingDown
        );
        Self { code: refusal.code(), reason: refusal.to_string(), may_pass }
    }
}

/// Delivers, as often as the retry policy says.
pub(crate) async fn deliver(board: Arc<Board>, mut item: Item<Parcel>) {
    loop {
        item.due(PAUSE_MAX).await;
        let Err(failed) = attempt_once(&board, &item.head, item.body.clone()).await else { break };
        let (RetryPolicy { maximum_retry_attempts, maximum_event_age_in_seconds }, tries) =
            (item.head.retry, item.progress().tries);
        let wait = pause(tries).mul_f64(0.5 + fastrand::f64() / 2.0);
        let longest = Duration::from_secs(maximum_event_age_in_seconds.into());
        if !failed.may_pass || tries >= maximum_retry_attempts || item.age() + wait > longest {
            give_up(&board, &item, &failed).await;
            break;
        }
        let Parcel { rule, target, .. } = &item.head;
        tracing::debug!(rule, target, reason = failed.reason, "a delivery waits");
        item.put_off(true, wait);
    }
    item.finish();
}

/// The longest pause after so many tries before the last one.
fn pause(tries: u32) -> Duration {
    PAUSE.saturating_mul(1 << tries.min(16)).min(PAUSE_MAX)
}

async fn attempt_once(board: &Board, delivery: &Parcel, input: Bytes) -> Result<(), Failed> {
    match &delivery.address {
        Address::Topic(topic) => {
            let publication =
                publication(board, topic, input).map_err(|reason| Failed::for_good("INVALID_TOPIC", reason))?;
            Ok(board.gateway().publish(&board.principal, publication, NAME).await.map(drop)?)
        }
        Address::User(user) => {
            let topic = format!("events/{}/{}", delivery.bus, delivery.rule);
            let publication =
                publication(board, &topic, input).map_err(|reason| Failed::for_good("INVALID_TOPIC", reason))?;
            // Whoever is not there is not waited for.
            board.gateway().send_to_subject(&user.as_str().into(), publication).await;
            Ok(())
        }
        // As with EventBridge, what the handler makes of it is between the function and its queue.
        Address::Function(name) => Ok(board.functions.send(name, input).await?),
        Address::ApiDestination(name) => post(board, name, input, delivery).await,
        Address::EventBus(name) => Err(Failed::for_good("NO_RESOURCE", format!("there is no event bus {name}"))),
        Address::Other(arn) => Err(Failed::for_good("NO_RESOURCE", format!("nothing is known by the name {arn}"))),
    }
}

async fn post(board: &Board, name: &str, input: Bytes, delivery: &Parcel) -> Result<(), Failed> {
    let Some(destination) = board.destinations.get(name) else {
        let reason = format!("there is no API destination {name}; name it under [events.destinations]");
        return Err(Failed::for_good("NO_RESOURCE", reason));
    };
    let request = destination.request(input, delivery.http_parameters.as_ref());
    let request = request.map_err(|reason| Failed::for_good("INVALID_PARAMETER", reason))?;
    let code = "API_DESTINATION_ERROR";
    match board.http.send(request, destination.timeout, ANSWER_BYTES_MAX).await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => {
            let status = answer.status().as_u16();
            let may_pass = matches!(status, 401 | 407 | 409 | 429 | 500..);
            Err(Failed { code, reason: format!("the answer was HTTP status {status}"), may_pass })
        }
        Err(error) => Err(Failed { code, reason: error.to_string(), may_pass: true }),
    }
}

fn publication(board: &Board, topic: &str, input: Bytes) -> Result<Publication, String> {
    if topic.starts_with('$') {
        return Err(format!("{topic:?} is one of the server's own topics"));
    }
    let name = TopicName::new(topic).map_err(|refusal| refusal.to_string())?;
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&input).is_ok();
    let kind = if is_json { Kind::Json } else { Kind::Text };
    Ok(Publication::new(board.gateway().default_space().clone(), name, kind, input))
}

/// The last try has failed: what is left is the dead letter topic.
async fn give_up(board: &Board, item: &Item<Parcel>, failed: &Failed) {
    let Failed { code, reason, .. } = failed;
    let Parcel { bus, rule, target, event, dead_letter, .. } = &item.head;
    tracing::warn!(bus, rule, target, event, code, reason, "given up");
    board.gateway().metrics.refusal(NAME, "given_up");
    let Some(topic) = dead_letter else { return };
    let Ok(mut letter) = publication(board, topic, item.body.clone()) else {
        tracing::warn!(rule, target, "the dead letter address is no topic of ours");
        return;
    };
    letter.properties = [("ERROR_CODE", *code), ("ERROR_MESSAGE", reason), ("RULE", rule), ("TARGET", target)]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    for tries in 0.. {
        let published = board.gateway().publish(&board.principal, letter.clone(), NAME).await;
        let Err(refused) = published.map_err(Failed::from) else { return };
        tracing::warn!(rule, target, reason = refused.reason, lost = !refused.may_pass, "a dead letter is not taken");
        if !refused.may_pass {
            return;
        }
        tokio::time::sleep(pause(tries)).await;
    }
}
