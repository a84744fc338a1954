//! Messages: reading what is kept of a topic, and publishing.

use fanfare_core::{Filter, Position, Publication, Refusal, Since};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use crate::NAME;
use crate::payload::{MessageView, PublishFields};
use crate::problem::Problem;
use crate::request::{Answer, Call, answer};
use crate::topics;

#[derive(Serialize)]
struct History<'a> {
    messages: Vec<MessageView<'a>>,
    position: String,
    more: bool,
    recovered: bool,
    next: Option<String>,
}

/// `GET spaces/{space}/topics/{topic}/history`
pub(crate) async fn history(call: &Call, space: &str, topic: &str) -> Answer {
    let (space, topic, _) = topics::find(call, space, topic)?;
    let limit = call.query.page()?.limit;
    let since = since(call.query.get("since").or(call.query.get("after")))?;
    let operator = call.caller.operator();
    let filter = Filter::exact(&topic);
    let read = call.blocking(move |gateway| gateway.core.history(&operator, &space, &filter, since, limit));
    let (page, position, recovered) = read.await??;
    let position = position.to_string();
    answer(&History {
        messages: page.messages.iter().map(|message| MessageView::from(&**message)).collect(),
        more: !page.is_head,
        recovered: recovered && !page.has_gap,
        next: (!page.is_head).then(|| position.clone()),
        position,
    })
}

fn since(text: Option<&str>) -> Result<Since, Problem> {
    match text {
        None | Some("all") => Ok(Since::Beginning),
        Some(text) => {
            let position = text.parse::<Position>();
            position.map(Since::After).map_err(|error| Problem::bad_request(format!("since: {error}")))
        }
    }
}

/// Several messages in one body.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    messages: Option<Vec<&'a RawValue>>,
}

/// `POST publish`
pub(crate) async fn publish(mut call: Call) -> Answer {
    let body = call.read_body().await?;
    let envelope: Envelope<'_> =
        serde_json::from_slice(&body).map_err(|error| Problem::bad_request(format!("body: {error}")))?;
    match envelope.messages {
        Some(messages) => publish_batch(&call, &messages).await,
        None => publish_one(&call, PublishFields::read(&body, "body")?).await,
    }
}

async fn publish_one(call: &Call, fields: PublishFields<'_>) -> Answer {
    let publication = admitted(call, fields)?;
    let published = call.gateway.publish(&call.caller.operator(), publication, NAME).await?;
    let mut value = json!({ "position": published.position.to_string() });
    if published.is_duplicate {
        value["duplicate"] = true.into();
    }
    answer(&value)
}

async fn publish_batch(call: &Call, messages: &[&RawValue]) -> Answer {
    if messages.len() > call.gateway.core.limits().batch_messages_max {
        let reason = "it has more messages than limits.batch_messages allows";
        return Err(Refusal::InvalidBatch { reason }.into());
    }
    let mut publications = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let fields = PublishFields::read(message.get().as_bytes(), &format!("messages[{index}]"))?;
        publications.push(admitted(call, fields)?);
    }
    let published = call.gateway.publish_batch(&call.caller.operator(), publications, NAME).await?;
    let positions: Vec<_> = published.iter().map(|published| published.position.to_string()).collect();
    answer(&json!({ "positions": positions }))
}

/// The publication, when the caller may operate its topic.
fn admitted(call: &Call, fields: PublishFields<'_>) -> Result<Publication, Problem> {
    let publication = fields.into_publication(&call.gateway)?;
    call.caller.require_topic(&publication.space, &publication.topic)?;
    Ok(publication)
}
