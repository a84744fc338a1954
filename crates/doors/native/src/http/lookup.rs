//! Questions with one answer: tickets, history, members.

use ::http::Response;
use fanfare_core::{Filter, Refusal, Since};
use fanfare_door::Body;
use fanfare_identity::TICKET_TTL_MS;
use serde_json::{Value, json};

use super::call::Call;
use super::reply;
use crate::errors::Problem;
use crate::session::{HISTORY_DEFAULT, HISTORY_MAX, MEMBERS_MAX};
use crate::{frames, requests};

/// `POST /v1/tickets`
pub(super) async fn ticket(call: Call) -> Result<Response<Body>, Problem> {
    if call.query.has("ticket") {
        return Err(Problem::bad_request("ticket: a ticket gets no further ticket; send the token itself"));
    }
    let principal = call.authenticate().await?;
    let ticket = call.gateway.tickets.issue(principal, call.gateway.clock.now()).map_err(|error| Problem {
        code: "overloaded",
        message: error.to_string(),
        status: 503,
        retry: true,
        retry_ms: Some(1_000),
    })?;
    call.count_operation(call.gateway.default_space());
    Ok(reply::json(json!({ "ticket": ticket, "expires_ms": TICKET_TTL_MS }).to_string()))
}

/// `GET /v1/topics/{topic}/history`
pub(super) async fn history(call: Call) -> Result<Response<Body>, Problem> {
    let (space, topic) = (call.space()?, call.topic()?);
    let limit = call.number("limit", 1..=HISTORY_MAX as u64)?.map_or(HISTORY_DEFAULT, |limit| limit as usize);
    let since = match call.query.one("since")? {
        None | Some("") => Since::Beginning,
        since => requests::since(since)?,
    };
    let principal = call.authenticate().await?;
    let (gateway, named) = (call.gateway.clone(), space.clone());
    let read = call
        .gateway
        .tasks
        .spawn_blocking(move || gateway.core.history(&principal, &named, &Filter::exact(&topic), since, limit));
    let (page, next, recovered) = read.await.map_err(|_| Refusal::ShuttingDown)??;
    call.count_operation(&space);
    let mut body = vec![b'{'];
    frames::history_fields(&mut body, &page, next, recovered && !page.has_gap);
    body.push(b'}');
    Ok(reply::json(body))
}

/// `GET /v1/topics/{topic}/members`
pub(super) async fn members(call: Call) -> Result<Response<Body>, Problem> {
    let (space, topic) = (call.space()?, call.topic()?);
    let limit = call.number("limit", 1..=MEMBERS_MAX as u64)?.map_or(HISTORY_DEFAULT, |limit| limit as usize);
    let after = call.query.one("after")?;
    let principal = call.authenticate().await?;
    let (page, has_more) = call.gateway.core.members(&principal, &space, &topic, after, limit)?;
    call.count_operation(&space);
    let mut answer = json!({ "topic": &*topic, "members": page.iter().map(frames::member).collect::<Value>() });
    if let Some(last) = page.last().filter(|_| has_more) {
        answer["after"] = Value::from(&*last.id);
    }
    Ok(reply::json(answer.to_string()))
}
