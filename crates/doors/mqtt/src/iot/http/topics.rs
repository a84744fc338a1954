//! `POST /topics/{topic}`.

use fanfare_core::{Guarantee, Publication};
use fanfare_iam::Operation;
use fanfare_iot::shadow::ShadowTopic;
use serde_json::json;

use super::call::Call;
use super::{Answer, Problem, message};
use crate::NAME;
use crate::iot::shadows::Asker;
use crate::session::subscribing::is_reserved;

pub(super) async fn publish(call: &Call, topic: &str, trace_id: &str) -> Answer {
    let topic = call.topic(topic)?;
    let guarantee = match call.number("qos", 0..=1)? {
        Some(1) => Guarantee::AtLeastOnce,
        _ => Guarantee::AtMostOnce,
    };
    let retain = call.flag("retain")?;
    call.require(Operation::Publish(&topic))?;
    if retain {
        call.require(Operation::RetainPublish(&topic))?;
    }
    let shadow = ShadowTopic::parse(&topic);
    if shadow.is_none() && is_reserved(&topic) {
        return Err(Problem::invalid("Only the server publishes to this topic"));
    }
    let publication = message::publication(call, topic, guarantee)?;
    let publication = Publication { retain: retain && shadow.is_none(), ..publication };
    let (gateway, principal) = (call.hub.gateway(), &call.caller.principal);
    if guarantee == Guarantee::AtLeastOnce {
        gateway.publish(principal, publication, NAME).await?;
    } else {
        let bytes = publication.payload.len();
        gateway.core.publish(principal, publication, None, gateway.clock.now(), None)?;
        gateway.meter.row(call.hub.space(), NAME, |row| row.published(bytes));
    }
    if let Some(shadow) = shadow {
        call.hub.shadows().request(shadow, &call.body, call.hub.now() / 1_000, Asker::Client(None))?;
    }
    Ok(Some(json!({ "message": "OK", "traceId": trace_id })))
}
