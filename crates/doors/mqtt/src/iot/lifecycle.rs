//! Events of clients that come, go and subscribe, on `$aws/events/`.
//!
//! They reach whoever subscribes at that moment and are kept nowhere. An event that nobody listens
//! to costs one look at the subscriptions.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use fanfare_core::{Guarantee, Kind, Millis, Principal, Publication, TopicName};
use fanfare_door::Goodbye;
use fanfare_mqtt_codec::ReasonCode;
use hashbrown::HashMap;
use parking_lot::Mutex;
use serde_json::{Map, Value as Json, json};

use super::uuid;
use crate::hub::Hub;

/// Version numbers begin anew for a client that was away for longer.
const VERSIONS_LAST_MS: u64 = 60 * 60 * 1_000;
/// Most clients whose version numbers are remembered after they left; the longest away go first.
const VERSIONS_MAX: usize = 1_000_000;

/// Why a connection ended, in AWS's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The network, without a word.
    #[default]
    Lost,
    ByClient,
    ByApi,
    ByServer,
    Duplicate,
    KeepAlive,
    ClientError,
    ServerError,
    Throttled,
    AuthError,
    Forbidden,
    TimeOver,
    /// Of a connection whose upgrade was signed.
    SocketTimeOver,
}

impl Ending {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lost => "CONNECTION_LOST",
            Self::ByClient => "CLIENT_INITIATED_DISCONNECT",
            Self::ByApi => "API_INITIATED_DISCONNECT",
            Self::ByServer => "SERVER_INITIATED_DISCONNECT",
            Self::Duplicate => "DUPLICATE_CLIENTID",
            Self::KeepAlive => "MQTT_KEEP_ALIVE_TIMEOUT",
            Self::ClientError => "CLIENT_ERROR",
            Self::ServerError => "SERVER_ERROR",
            Self::Throttled => "THROTTLED",
            Self::AuthError => "AUTH_ERROR",
            Self::Forbidden => "FORBIDDEN_ACCESS",
            Self::TimeOver => "CUSTOMAUTH_TTL_EXPIRATION",
            Self::SocketTimeOver => "WEBSOCKET_TTL_EXPIRATION",
        }
    }

    /// What a session that ends its connection means by its reason.
    pub(crate) fn of_reason(reason: ReasonCode) -> Self {
        match reason {
            ReasonCode::SessionTakenOver => Self::Duplicate,
            ReasonCode::KeepAliveTimeout => Self::KeepAlive,
            ReasonCode::NotAuthorized => Self::Forbidden,
            ReasonCode::BadUserNameOrPassword => Self::AuthError,
            ReasonCode::AdministrativeAction | ReasonCode::ServerShuttingDown => Self::ByServer,
            ReasonCode::MaximumConnectTime => Self::TimeOver,
            ReasonCode::QuotaExceeded | ReasonCode::MessageRateTooHigh => Self::Throttled,
            ReasonCode::UnspecifiedError | ReasonCode::ImplementationSpecificError | ReasonCode::ServerBusy => {
                Self::ServerError
            }
            _ => Self::ClientError,
        }
    }

    /// What the driver means, where the session has not ended the connection itself.
    pub(crate) fn of_goodbye(goodbye: &Goodbye) -> Self {
        match goodbye {
            Goodbye::PeerClosed { .. } => Self::ByClient,
            Goodbye::PingTimeout => Self::KeepAlive,
            Goodbye::SlowConsumer | Goodbye::Overloaded { .. } => Self::Throttled,
            Goodbye::TokenExpired => Self::TimeOver,
            Goodbye::Revoked => Self::AuthError,
            Goodbye::ShuttingDown { .. } | Goodbye::Kicked { .. } => Self::ByServer,
            Goodbye::ProtocolError { .. } | Goodbye::HandshakeTimeout => Self::ClientError,
            Goodbye::Session { .. } => Self::ServerError,
        }
    }
}

/// What the events of one connection have in common.
#[derive(Debug)]
pub(crate) struct Life {
    session: String,
    principal: Box<str>,
    version: u64,
}

/// Counts the connections of each client.
#[derive(Default)]
pub(crate) struct Versions {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    clients: HashMap<Arc<str>, Version, foldhash::fast::RandomState>,
    /// When clients left, in order; some are back.
    left: VecDeque<(Millis, Arc<str>)>,
}

struct Version {
    number: u64,
    left_at: Option<Millis>,
}

impl Versions {
    fn begin(&self, client_id: &Arc<str>, now: Millis) -> u64 {
        let mut inner = self.inner.lock();
        inner.forget_before(now.saturating_sub(VERSIONS_LAST_MS), VERSIONS_MAX);
        match inner.clients.get_mut(client_id) {
            Some(version) => {
                version.number += 1;
                version.left_at = None;
                version.number
            }
            None => {
                inner.clients.insert(client_id.clone(), Version { number: 0, left_at: None });
                0
            }
        }
    }

    fn end(&self, client_id: &Arc<str>, number: u64, now: Millis) {
        let mut inner = self.inner.lock();
        // Of a client that is connected again already, the other connection will tell.
        if let Some(version) = inner.clients.get_mut(client_id).filter(|version| version.number == number) {
            version.left_at = Some(now);
            inner.left.push_back((now, client_id.clone()));
        }
        inner.forget_before(now.saturating_sub(VERSIONS_LAST_MS), VERSIONS_MAX);
    }
}

impl Inner {
    fn forget_before(&mut self, time: Millis, max: usize) {
        while self.left.len() > max || self.left.front().is_some_and(|(at, _)| *at <= time) {
            let Some((at, client_id)) = self.left.pop_front() else { return };
            if self.clients.get(&client_id).is_some_and(|version| version.left_at == Some(at)) {
                self.clients.remove(&client_id);
            }
        }
    }
}

/// Whoever is named so cannot have topics of its own.
fn has_events(hub: &Hub, client_id: &str) -> bool {
    hub.options.has_lifecycle_events() && !client_id.contains(['+', '#'])
}

fn identifier(principal: &Principal) -> &str {
    principal.token_id.as_deref().or(principal.subject.as_deref()).unwrap_or("anonymous")
}

/// A client is in.
pub(crate) fn connected(hub: &Hub, client_id: &Arc<str>, principal: &Principal, ip: IpAddr) -> Option<Box<Life>> {
    if !has_events(hub, client_id) {
        return None;
    }
    let version = hub.versions.begin(client_id, hub.now());
    let life = Life { session: uuid(), principal: identifier(principal).into(), version };
    say(
        hub,
        "presence/connected",
        client_id,
        Some(&life),
        || json!({"ipAddress": ip.to_string(), "versionNumber": version}),
    );
    Some(Box::new(life))
}

/// It is gone.
pub(crate) fn disconnected(hub: &Hub, client_id: &Arc<str>, life: &Life, ending: Ending) {
    hub.versions.end(client_id, life.version, hub.now());
    say(hub, "presence/disconnected", client_id, Some(life), || {
        json!({
            "clientInitiatedDisconnect": ending == Ending::ByClient,
            "disconnectReason": ending.name(),
            "versionNumber": life.version,
        })
    });
}

/// Somebody was not let in under that client id.
pub(crate) fn connect_failed(hub: &Hub, client_id: &str, principal: Option<&Principal>, ip: IpAddr) {
    if !has_events(hub, client_id) {
        return;
    }
    say(hub, "presence/connect_failed", client_id, None, || {
        let mut fields = json!({
            "sessionIdentifier": uuid(),
            "connectFailureReason": "AUTHORIZATION_FAILED",
            "ipAddress": ip.to_string(),
        });
        if let Some(principal) = principal {
            fields["principalIdentifier"] = identifier(principal).into();
        }
        fields
    });
}

/// A client subscribes to these filters, or does so no more.
pub(crate) fn subscribed(hub: &Hub, client_id: &str, life: Option<&Life>, filters: &[&str], is_removal: bool) {
    if filters.is_empty() || life.is_none() {
        return;
    }
    let name = if is_removal { "subscriptions/unsubscribed" } else { "subscriptions/subscribed" };
    say(hub, name, client_id, life, || json!({ "topics": filters }));
}

/// Publishes an event, if somebody hears it.
fn say(hub: &Hub, name: &str, client_id: &str, life: Option<&Life>, fields: impl FnOnce() -> Json) {
    let topic = format!("$aws/events/{name}/{client_id}");
    let core = &hub.gateway().core;
    if !core.is_wanted(hub.space(), &topic) {
        return;
    }
    // A client id may be longer than a topic.
    let Ok(topic) = TopicName::new(&topic) else { return };
    let event = name.rsplit('/').next().unwrap_or(name);
    let mut body = Map::new();
    body.insert("clientId".to_owned(), client_id.into());
    body.insert("timestamp".to_owned(), hub.now().into());
    body.insert("eventType".to_owned(), event.into());
    if let Some(life) = life {
        body.insert("sessionIdentifier".to_owned(), life.session.as_str().into());
        body.insert("principalIdentifier".to_owned(), (&*life.principal).into());
    }
    if let Json::Object(fields) = fields() {
        body.extend(fields);
    }
    let text = Json::Object(body).to_string();
    let mut publication = Publication::new(hub.space().clone(), topic, Kind::Json, text.into());
    publication.guarantee = Guarantee::AtMostOnce;
    if let Err(refusal) = core.pass(publication, hub.now()) {
        tracing::debug!(%refusal, "a lifecycle event was dropped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_rise_and_are_forgotten_after_an_hour_away() {
        let (versions, id) = (Versions::default(), Arc::from("dev1"));
        assert_eq!(versions.begin(&id, 0), 0);
        versions.end(&id, 0, 10);
        assert_eq!(versions.begin(&id, 20), 1);
        // The old connection of a take-over is late: the client is still there.
        versions.end(&id, 0, 30);
        assert_eq!(versions.begin(&id, 30 + 2 * VERSIONS_LAST_MS), 2, "it never left");
        let left = 3 * VERSIONS_LAST_MS;
        versions.end(&id, 2, left);
        assert_eq!(versions.begin(&id, left + VERSIONS_LAST_MS - 1), 3);
        versions.end(&id, 3, 2 * left);
        assert_eq!(versions.begin(&id, 2 * left + VERSIONS_LAST_MS), 0);
    }

    #[test]
    fn memory_is_bounded_by_forgetting_who_left_first() {
        let versions = Versions::default();
        let ids: Vec<Arc<str>> = (0..4).map(|n| format!("c{n}").into()).collect();
        for (at, id) in ids.iter().enumerate() {
            versions.begin(id, at as u64);
            versions.end(id, 0, at as u64);
        }
        versions.inner.lock().forget_before(0, 2);
        assert_eq!(versions.inner.lock().clients.len(), 2);
        assert_eq!((versions.begin(&ids[0], 9), versions.begin(&ids[3], 9)), (0, 1));
    }

    #[test]
    fn endings_have_their_words() {
        assert_eq!(Ending::of_reason(ReasonCode::SessionTakenOver).name(), "DUPLICATE_CLIENTID");
        assert_eq!(Ending::of_reason(ReasonCode::KeepAliveTimeout).name(), "MQTT_KEEP_ALIVE_TIMEOUT");
        assert_eq!(Ending::of_reason(ReasonCode::ProtocolError).name(), "CLIENT_ERROR");
        assert_eq!(
            Ending::of_goodbye(&Goodbye::PeerClosed { code: None, reason: String::new() }).name(),
            "CLIENT_INITIATED_DISCONNECT"
        );
        assert_eq!(Ending::default().name(), "CONNECTION_LOST");
    }
}
