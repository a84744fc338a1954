//! Connections and users: who is there, closing them, and sending to them directly.

use std::sync::Arc;

use fanfare_door::ConnectionId;
use serde_json::json;

use crate::payload::{PublishFields, space_name};
use crate::problem::Problem;
use crate::request::{Answer, Call, answer};

/// What a client is told when the operator gives no reason.
const REASON: &str = "closed by an operator";
/// Longest reason: what fits a WebSocket close frame (RFC 6455, 5.5).
const REASON_BYTES_MAX: usize = 123;

/// `GET connections`
pub(crate) async fn list(call: &Call) -> Answer {
    call.caller.require_server()?;
    let page = call.query.page()?;
    let after = match &page.after {
        Some(text) => Some(id(call, text).map_err(|_| Problem::bad_request("after: not an id of this node"))?),
        None => None,
    };
    let mut connections = call.gateway.connections(after, page.limit + 1).await;
    let has_more = connections.len() > page.limit;
    connections.truncate(page.limit);
    let next = connections.last().filter(|_| has_more).map(|last| last.id.clone());
    answer(&json!({ "connections": connections, "next": next }))
}

/// `GET connections/{id}`
pub(crate) async fn show(call: &Call, text: &str) -> Answer {
    call.caller.require_server()?;
    let connection = call.gateway.connection(id(call, text)?).await;
    answer(&connection.ok_or_else(unknown)?)
}

/// `DELETE connections/{id}`
pub(crate) async fn kick(call: &Call, text: &str) -> Answer {
    call.caller.require_server()?;
    let (id, reason) = (id(call, text)?, reason(call)?);
    if !call.gateway.kick(id, reason).await {
        return Err(unknown());
    }
    tracing::info!(by = call.caller.name(), connection = text, reason, "a connection was closed");
    answer(&json!({ "closed": 1 }))
}

/// `DELETE users/{subject}`
pub(crate) async fn kick_user(call: &Call, subject: &str) -> Answer {
    call.caller.require_server()?;
    let reason = reason(call)?;
    let closed = call.gateway.kick_subject(&Arc::from(subject), reason).await;
    tracing::info!(by = call.caller.name(), subject, closed, reason, "all connections of a user were closed");
    answer(&json!({ "closed": closed }))
}

/// `POST connections/{id}/send`
pub(crate) async fn send(mut call: Call, text: &str) -> Answer {
    call.caller.require_server()?;
    let id = id(&call, text)?;
    let body = call.read_body().await?;
    let publication = PublishFields::read(&body, "body")?.into_direct(&call.gateway, None)?;
    if !call.gateway.send_to_connection(id, publication).await {
        return Err(unknown());
    }
    answer(&json!({ "sent": 1 }))
}

/// `POST users/{subject}/send`
pub(crate) async fn send_to_user(mut call: Call, subject: &str) -> Answer {
    call.caller.require_server()?;
    let body = call.read_body().await?;
    let publication = PublishFields::read(&body, "body")?.into_direct(&call.gateway, None)?;
    let sent = call.gateway.send_to_subject(&Arc::from(subject), publication).await;
    answer(&json!({ "sent": sent }))
}

/// `POST spaces/{space}/send`
pub(crate) async fn send_to_space(mut call: Call, space: &str) -> Answer {
    let space = space_name(space)?;
    call.caller.require_space(&space)?;
    let body = call.read_body().await?;
    let publication = PublishFields::read(&body, "body")?.into_direct(&call.gateway, Some(&space))?;
    let sent = call.gateway.send_to_space(publication).await;
    answer(&json!({ "sent": sent }))
}

fn id(call: &Call, text: &str) -> Result<ConnectionId, Problem> {
    ConnectionId::parse(text, &call.gateway.node).ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::not_found("there is no such connection on this node")
}

fn reason(call: &Call) -> Result<&str, Problem> {
    match call.query.get("reason") {
        None | Some("") => Ok(REASON),
        Some(reason) if reason.len() <= REASON_BYTES_MAX => Ok(reason),
        Some(_) => Err(Problem::bad_request("reason: more than 123 bytes")),
    }
}
