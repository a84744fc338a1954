//! `POST /v1/publish`: one message, a batch, or a body that is the payload itself.

use ::http::Response;
use ::http::header::CONTENT_TYPE;
use bytes::Bytes;
use fanfare_core::{Headers, Kind, Publication, Published, Refusal, TopicName};
use fanfare_door::Body;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::call::Call;
use super::reply;
use crate::NAME;
use crate::errors::Problem;
use crate::requests::PublishFields;

/// Parameters that only stand beside `topic`.
const RAW_ONLY: [&str; 4] = ["space", "key", "retain", "ttl_ms"];

/// Tells a batch from a message.
#[derive(Deserialize)]
struct Probe {
    messages: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
}

pub(super) async fn publish(mut call: Call) -> Result<Response<Body>, Problem> {
    let principal = call.authenticate().await?;
    let body = call.read_body().await?;
    if call.query.has("topic") {
        let publication = raw(&call, body)?;
        return one(call.gateway.publish(&principal, publication, NAME).await?);
    }
    if let Some(name) = RAW_ONLY.iter().find(|name| call.query.has(name)) {
        return Err(Problem::bad_request(format!("{name}: without ?topic= it belongs into the body")));
    }
    let probe: Probe = serde_json::from_slice(&body).map_err(|error| malformed(&error))?;
    if probe.messages.is_some() {
        let publications = batch(&call, &body)?;
        return many(&call.gateway.publish_batch(&principal, publications, NAME).await?);
    }
    let publication = message(&call, &body)?;
    one(call.gateway.publish(&principal, publication, NAME).await?)
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::bad_request(format!(
        "the body is not a message as JSON ({error}); to publish it as it is, name the topic: /v1/publish?topic=..."
    ))
}

fn message(call: &Call, body: &[u8]) -> Result<Publication, Problem> {
    let fields: PublishFields<'_> = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    let publication = fields.into_publication(&mut call.spaces(), call.gateway.clock.now())?;
    check_topic(call, &publication.topic)?;
    Ok(publication)
}

fn batch(call: &Call, body: &[u8]) -> Result<Vec<Publication>, Problem> {
    let batch: Batch<'_> = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    if batch.messages.len() > call.gateway.core.limits().batch_messages_max {
        return Err(Refusal::InvalidBatch { reason: "it has more messages than limits.batch_messages allows" }.into());
    }
    let (mut spaces, now) = (call.spaces(), call.gateway.clock.now());
    let publications = batch.messages.iter().enumerate().map(|(index, text)| {
        let publication = serde_json::from_str::<PublishFields<'_>>(text.get())
            .map_err(|error| Problem::bad_request(error.to_string()))
            .and_then(|fields| fields.into_publication(&mut spaces, now))
            .and_then(|publication| check_topic(call, &publication.topic).map(|()| publication));
        publication.map_err(|problem| Problem { message: format!("messages[{index}]: {}", problem.message), ..problem })
    });
    publications.collect()
}

fn check_topic(call: &Call, topic: &TopicName) -> Result<(), Problem> {
    if topic.len() > call.gateway.limits().topic_bytes {
        return Err(Refusal::InvalidTopic { reason: "it is longer than limits.topic_bytes" }.into());
    }
    Ok(())
}

/// The body as payload; its content type says what it is.
fn raw(call: &Call, body: Bytes) -> Result<Publication, Problem> {
    let topic = TopicName::new(call.query.one("topic")?.unwrap_or_default())?;
    check_topic(call, &topic)?;
    let kind = kind_of(call.header(CONTENT_TYPE));
    let payload = match kind {
        Kind::Json => json_value(&body)?,
        Kind::Text if std::str::from_utf8(&body).is_err() => {
            return Err(Problem::bad_request(
                "the body is not UTF-8; send bytes with Content-Type: application/octet-stream",
            ));
        }
        Kind::Text | Kind::Binary => body,
    };
    let mut publication = Publication::new(call.space()?, topic, kind, payload);
    publication.idempotency_key = call.query.one("key")?.map(Into::into);
    publication.retain = call.query.flag("retain")?;
    publication.expires_at = ttl(call)?.map(|ttl| call.gateway.clock.now().saturating_add(ttl.max(1)));
    publication.headers = call.header(CONTENT_TYPE).and_then(told_type);
    Ok(publication)
}

/// `ttl_ms` of the query.
fn ttl(call: &Call) -> Result<Option<u64>, Problem> {
    let of_text = |text: &str| text.parse().map_err(|_| Problem::bad_request("ttl_ms: milliseconds are needed"));
    call.query.one("ttl_ms")?.map(of_text).transpose()
}

/// A content type that says more than the kind of the payload does.
fn told_type(content_type: &str) -> Option<Box<Headers>> {
    const PLAIN: [&str; 5] =
        ["", "application/x-www-form-urlencoded", "application/json", "text/plain", "application/octet-stream"];
    let essence = essence(content_type);
    let headers = || Headers { content_type: Some(content_type.into()), ..Headers::default() };
    (!PLAIN.contains(&&*essence)).then(|| Box::new(headers()))
}

fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn kind_of(content_type: Option<&str>) -> Kind {
    match &*content_type.map(essence).unwrap_or_default() {
        // What `curl -d` says of anything it is given.
        "" | "application/x-www-form-urlencoded" => Kind::Text,
        "application/json" => Kind::Json,
        other if other.starts_with("text/") => Kind::Text,
        other if other.ends_with("+json") => Kind::Json,
        _ => Kind::Binary,
    }
}

/// The one JSON value of the body, without the white space around it.
fn json_value(body: &Bytes) -> Result<Bytes, Problem> {
    let value: Result<&RawValue, _> = serde_json::from_slice(body);
    let value = value.map_err(|error| Problem::bad_request(format!("the body is not one JSON value: {error}")))?;
    Ok(body.slice_ref(value.get().as_bytes()))
}

fn one(published: Published) -> Result<Response<Body>, Problem> {
    let mut answer = json!({ "position": published.position.to_string() });
    if published.is_duplicate {
        answer["duplicate"] = true.into();
    }
    Ok(reply::json(answer.to_string()))
}

fn many(published: &[Published]) -> Result<Response<Body>, Problem> {
    let positions = published.iter().map(|published| Value::from(published.position.to_string()));
    Ok(reply::json(json!({ "positions": positions.collect::<Value>() }).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_says_what_a_raw_body_is() {
        for (content_type, expected) in [
            (None, Kind::Text),
            (Some("application/x-www-form-urlencoded"), Kind::Text),
            (Some("text/plain; charset=utf-8"), Kind::Text),
            (Some("Application/JSON; charset=utf-8"), Kind::Json),
            (Some("application/cloudevents+json"), Kind::Json),
            (Some("application/octet-stream"), Kind::Binary),
            (Some("image/png"), Kind::Binary),
        ] {
            assert_eq!(kind_of(content_type), expected, "{content_type:?}");
        }
    }

    #[test]
    fn a_content_type_is_kept_where_it_says_more_than_the_kind() {
        for (content_type, is_kept) in [
            ("application/x-www-form-urlencoded", false),
            ("text/plain; charset=utf-8", false),
            ("Application/JSON", false),
            ("application/octet-stream", false),
            ("application/cloudevents+json; a=b", true),
            ("image/png", true),
            ("text/html", true),
        ] {
            let kept = told_type(content_type).and_then(|headers| headers.content_type);
            assert_eq!(kept.as_deref(), Some(content_type).filter(|_| is_kept));
        }
    }
}
