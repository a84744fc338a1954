//! `POST /connections/{clientId}/messages`: a message for one client.

use std::sync::Arc;
use std::time::Duration;

use fanfare_aws::errors::DataPlaneError;
use fanfare_core::{Guarantee, Message, Publication};
use fanfare_iam::Operation;
use serde_json::json;
use tokio::sync::{Semaphore, oneshot};

use super::call::Call;
use super::connections::ask;
use super::{Answer, Problem, message};
use crate::iot::errands::{Direct, Errand, Undelivered};

/// How long an acknowledgement is awaited, in seconds, and without a wish.
const TIMEOUT_MAX_S: u32 = 15;
const TIMEOUT_S: u32 = 5;

pub(super) async fn send(call: &Call, id: &str, room: &Arc<Semaphore>, trace_id: &str) -> Answer {
    let id = call.client_id(id)?;
    call.require(Operation::SendDirectMessage(&id))?;
    let topic = call.parameter("topic").ok_or_else(|| Problem::invalid("topic is missing"))?;
    let topic = call.check_topic(topic)?;
    let is_confirmed = call.flag("confirmation")?;
    let timeout = call.number("timeout", 1..=TIMEOUT_MAX_S)?.unwrap_or(TIMEOUT_S);
    let permit = room.try_acquire().map_err(|_| {
        call.hub.count_limit("iot.direct_messages");
        Problem::new(DataPlaneError::Throttling, "Too many direct messages are under way; see iot.direct_messages")
    });
    let _permit = permit?;
    let guarantee = if is_confirmed { Guarantee::AtLeastOnce } else { Guarantee::AtMostOnce };
    let publication = message::publication(call, topic, guarantee)?;
    let limit = call.hub.gateway().core.space_settings(call.hub.space()).message_bytes_max;
    if publication.payload.len() > limit {
        return Err(Problem::new(DataPlaneError::RequestEntityTooLarge, "The message is larger than the space allows"));
    }
    let (sender, receipt) = oneshot::channel();
    let receipt_sender = is_confirmed.then_some(sender);
    let message = direct(call, publication);
    let deliver = |taken| Errand::Deliver(Direct { message, taken, receipt: receipt_sender });
    match ask(call, &id, deliver).await? {
        Some(Ok(())) => {}
        Some(Err(why)) => return Err(undelivered(why)),
        None => return Err(Problem::not_found("The client is not connected")),
    }
    if is_confirmed {
        let waited = tokio::time::timeout(Duration::from_secs(timeout.into()), receipt).await;
        if !matches!(waited, Ok(Ok(()))) {
            return Err(Problem::new(DataPlaneError::GatewayTimeout, "The client has not acknowledged the message"));
        }
    }
    Ok(Some(json!({ "message": "OK", "traceId": trace_id })))
}

fn undelivered(why: Undelivered) -> Problem {
    match why {
        Undelivered::Denied => Problem::forbidden(),
        Undelivered::Busy => Problem::new(DataPlaneError::Throttling, "Other messages wait for the client"),
        Undelivered::TooLarge => {
            Problem::new(DataPlaneError::RequestEntityTooLarge, "The client takes only smaller packets")
        }
    }
}

/// A message that stands in no log: its position is that of nothing.
fn direct(call: &Call, publication: Publication) -> Arc<Message> {
    Arc::new(Message {
        space: publication.space,
        topic: publication.topic,
        payload: publication.payload,
        kind: publication.kind,
        publisher: call.caller.principal.subject.clone(),
        origin: None,
        properties: publication.properties,
        headers: publication.headers,
        guarantee: publication.guarantee,
        expires_at: publication.expires_at,
        idempotency_key: None,
        time: call.hub.now(),
        epoch: 0,
        offset: 0,
        previous: 0,
        is_retained: false,
    })
}
