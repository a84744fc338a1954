//! One delivery: tries, pauses, and the dead letter.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_core::{Kind, Publication, Refusal, TopicName};
use fanfare_events::{Address, Delivery, Destination};
use fanfare_functions::FunctionError;
use parking_lot::Mutex;

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

/// How much waits.
#[derive(Default)]
pub(crate) struct Waiting {
    used: Mutex<(usize, usize)>,
}

/// A delivery's room, given back at its end.
pub(crate) struct Place {
    waiting: Arc<Waiting>,
    bytes: usize,
}

impl Waiting {
    pub(crate) fn has_room(&self) -> bool {
        let (count, bytes) = *self.used.lock();
        count < DELIVERIES_WAITING_MAX && bytes < DELIVERY_BYTES_MAX
    }

    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<Place> {
        let mut used = self.used.lock();
        if used.0 >= DELIVERIES_WAITING_MAX || used.1 + bytes > DELIVERY_BYTES_MAX {
            return None;
        }
        *used = (used.0 + 1, used.1 + bytes);
        Some(Place { waiting: self.clone(), bytes })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut used = self.waiting.used.lock();
        *used = (used.0 - 1, used.1 - self.bytes);
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

/// Delivers, as often as the retry policy says.
pub(crate) async fn deliver(board: Arc<Board>, delivery: Delivery, place: Place) {
    let began = tokio::time::Instant::now();
    let longest = Duration::from_secs(delivery.retry.maximum_event_age_in_seconds.into());
    let mut pause = PAUSE;
    for attempt in 0..=delivery.retry.maximum_retry_attempts {
        let Err(failed) = attempt_once(&board, &delivery).await else { break };
        let wait = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        let is_last = attempt == delivery.retry.maximum_retry_attempts || began.elapsed() + wait > longest;
        if is_last || !failed.may_pass {
            give_up(&board, &delivery, &failed).await;
            break;
        }
        tracing::debug!(rule = delivery.rule, target = delivery.target, reason = failed.reason, "a delivery waits");
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    drop(place);
}

async fn attempt_once(board: &Board, delivery: &Delivery) -> Result<(), Failed> {
    let input = Bytes::from_owner(delivery.input.clone());
    match &delivery.address {
        Address::Topic(topic) => {
            let publication =
                publication(board, topic, input).map_err(|reason| Failed::for_good("INVALID_TOPIC", reason))?;
            let published = board.gateway().publish(&board.principal, publication, NAME).await;
            published.map(drop).map_err(|refusal| Failed {
                code: refusal.code(),
                reason: refusal.to_string(),
                may_pass: matches!(refusal, Refusal::Overloaded | Refusal::Log(_) | Refusal::RateLimited { .. }),
            })
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

async fn post(board: &Board, name: &str, input: Bytes, delivery: &Delivery) -> Result<(), Failed> {
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
async fn give_up(board: &Board, delivery: &Delivery, failed: &Failed) {
    let Failed { code, reason, .. } = failed;
    let event = &delivery.event.id;
    tracing::warn!(bus = delivery.bus, rule = delivery.rule, target = delivery.target, event, code, reason, "given up");
    board.gateway().metrics.refusal(NAME, "given_up");
    let Some(letter) = delivery.dead_letter.as_deref().and_then(|arn| Destination::parse(arn).ok()) else { return };
    let topic = match letter {
        Destination::Channel(topic) => topic.render(&delivery.event.to_value()).ok(),
        _ => None,
    };
    let input = Bytes::from_owner(delivery.input.clone());
    let Some(mut letter) = topic.and_then(|topic| publication(board, &topic, input).ok()) else {
        tracing::warn!(rule = delivery.rule, target = delivery.target, "the dead letter address is no topic of ours");
        return;
    };
    letter.properties = [
        ("ERROR_CODE", *code),
        ("ERROR_MESSAGE", reason.as_str()),
        ("RULE", delivery.rule.as_str()),
        ("TARGET", delivery.target.as_str()),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into();
    if let Err(refusal) = board.gateway().publish(&board.principal, letter, NAME).await {
        tracing::warn!(rule = delivery.rule, %refusal, "a dead letter was lost");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_has_bounds_of_number_and_size_and_gives_room_back() {
        let waiting = Arc::new(Waiting::default());
        let places: Vec<_> = (0..DELIVERIES_WAITING_MAX).map(|_| waiting.take(1)).collect();
        assert!(places.iter().all(Option::is_some) && waiting.take(0).is_none() && !waiting.has_room());
        drop(places);
        let place = waiting.take(DELIVERY_BYTES_MAX - 1);
        assert!(place.is_some() && waiting.take(2).is_none() && waiting.take(1).is_some());
        drop(place);
        assert_eq!(*waiting.used.lock(), (0, 0));
    }
}
