//! `/connections/{clientId}`: who is there, what it subscribes to, and away with it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as TOKEN;
use fanfare_aws::errors::DataPlaneError;
use fanfare_iam::Operation;
use fanfare_mqtt_codec::Qos;
use serde_json::{Value as Json, json};
use tokio::sync::oneshot;

use super::call::Call;
use super::{Answer, Problem};
use crate::iot::errands::{Description, Errand, subscriptions_of};

/// A connection answers at once, unless its thread is overwhelmed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Subscriptions of one page, and without a wish.
const PAGE_MAX: u32 = 200;
const PAGE: u32 = 20;

fn unknown() -> Problem {
    Problem::not_found("There is no connection or session of this client")
}

/// Asks the client's connection; `None` when it has none.
pub(super) async fn ask<T>(
    call: &Call,
    client_id: &str,
    errand: impl FnOnce(oneshot::Sender<T>) -> Errand,
) -> Result<Option<T>, Problem> {
    let Some(connection) = call.hub.registry.connection(client_id) else { return Ok(None) };
    let (sender, answer) = oneshot::channel();
    call.hub.gateway().tell(connection, Box::new(errand(sender)));
    let late = |_| Problem::new(DataPlaneError::ServiceUnavailable, "The connection does not answer");
    Ok(tokio::time::timeout(ANSWER_TIMEOUT, answer).await.map_err(late)?.ok())
}

pub(super) async fn get(call: &Call, id: &str) -> Answer {
    let id = call.client_id(id)?;
    call.require(Operation::GetConnection(&id))?;
    call.count();
    let with_socket = call.flag("includeSocketInformation")?;
    let description = match ask(call, &id, Errand::Describe).await? {
        Some(description) => description,
        None => call.hub.registry.with_away(&id, Description::of_away).ok_or_else(unknown)?,
    };
    let is_connected = description.connected_since.is_some();
    let mut fields = json!({
        "connected": is_connected,
        "clientId": &*id,
        "cleanSession": description.session_expiry == 0,
        "sessionExpiry": description.session_expiry,
    });
    let mut set = |name: &str, value: Option<Json>| {
        if let Some(value) = value {
            fields[name] = value;
        }
    };
    set("keepAliveDuration", description.keep_alive.map(Json::from));
    set("connectedSince", description.connected_since.map(Json::from));
    set("disconnectedSince", description.left.map(|(at, _)| at.into()));
    set("disconnectReason", description.left.map(|(_, ending)| ending.name().into()));
    if let Some(peer) = description.peer.filter(|_| with_socket) {
        set("sourceIp", Some(peer.ip().to_string().into()));
        set("sourcePort", Some(peer.port().into()));
    }
    Ok(Some(fields))
}

pub(super) async fn subscriptions(call: &Call, id: &str) -> Answer {
    let id = call.client_id(id)?;
    call.require(Operation::ListSubscriptions(&id))?;
    call.count();
    let limit = call.number("maxResults", 1..=PAGE_MAX)?.unwrap_or(PAGE) as usize;
    let after = match call.parameter("nextToken").filter(|token| !token.is_empty()) {
        Some(token) => Some(place(token).ok_or_else(|| Problem::invalid("nextToken is not one"))?),
        None => None,
    };
    let all = match ask(call, &id, Errand::ListSubscriptions).await? {
        Some(all) => all,
        None => call.hub.registry.with_away(&id, subscriptions_of).ok_or_else(unknown)?,
    };
    Ok(Some(page(&all, after.as_deref(), limit)))
}

fn page(all: &[(Box<str>, Qos)], after: Option<&str>, limit: usize) -> Json {
    let begin = after.map_or(0, |after| all.partition_point(|(filter, _)| &**filter <= after));
    let rest = &all[begin..];
    let shown = &rest[..limit.min(rest.len())];
    let rows = shown.iter().map(|(filter, qos)| json!({ "topicFilter": &**filter, "qos": *qos as u8 }));
    let mut fields = json!({ "subscriptions": rows.collect::<Json>() });
    if let Some((last, _)) = shown.last().filter(|_| rest.len() > limit) {
        fields["nextToken"] = TOKEN.encode(last.as_bytes()).into();
    }
    fields
}

fn place(token: &str) -> Option<String> {
    String::from_utf8(TOKEN.decode(token).ok()?).ok()
}

pub(super) async fn delete(call: &Call, id: &str) -> Answer {
    let id = call.client_id(id)?;
    call.require(Operation::DeleteConnection(&id))?;
    call.count();
    let (ends_session, without_will) = (call.flag("cleanSession")?, call.flag("preventWillMessage")?);
    if dismiss(call, &id, ends_session, without_will).await? {
        return Ok(None);
    }
    // A session whose client is away can only be ended.
    if !ends_session {
        return Err(unknown());
    }
    let (is_found, effects) = call.hub.registry.end_away(&id, !without_will);
    call.hub.carry_out(effects);
    if is_found { Ok(None) } else { Err(unknown()) }
}

/// Whether there was a connection, which is gone now.
async fn dismiss(call: &Call, id: &Arc<str>, ends_session: bool, without_will: bool) -> Result<bool, Problem> {
    let Some(connection) = call.hub.registry.connection(id) else { return Ok(false) };
    let (gone, is_gone) = oneshot::channel();
    call.hub.gateway().tell(connection, Box::new(Errand::Dismiss { ends_session, without_will, gone }));
    let late = |_| Problem::new(DataPlaneError::ServiceUnavailable, "The connection does not answer");
    Ok(tokio::time::timeout(ANSWER_TIMEOUT, is_gone).await.map_err(late)?.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_are_shown_page_by_page() {
        let all: Vec<(Box<str>, Qos)> = ["a", "b/#", "c"].map(|filter| (filter.into(), Qos::AtLeastOnce)).into();
        let first = page(&all, None, 2);
        assert_eq!(first["subscriptions"][1], json!({ "topicFilter": "b/#", "qos": 1 }));
        let next = place(first["nextToken"].as_str().unwrap());
        assert_eq!(next.as_deref(), Some("b/#"));
        assert_eq!(page(&all, next.as_deref(), 2), json!({ "subscriptions": [{ "topicFilter": "c", "qos": 1 }] }));
        assert_eq!(page(&[], None, 2), json!({ "subscriptions": [] }));
    }
}
