//! The API Gateway WebSocket door: an application that was written for it runs here as it is.
//!
//! | module       | story                                                                        |
//! |--------------|------------------------------------------------------------------------------|
//! | `apis`       | the APIs that are served, and what all parts of the door share                |
//! | `opening`    | an upgrade: key, authorizer or signature, `$connect`                           |
//! | `session`    | a connection: its messages, its end                                           |
//! | `calling`    | one request to an integration, and its answer                                 |
//! | `endpoints`  | services of AWS to which integrations send                                    |
//! | `closing`    | `$disconnect`, once, also after a crash                                        |
//! | `topics`     | topics that results subscribe to, and what is published                       |
//! | `resume`     | clients that are told positions                                               |
//! | `management` | `@connections`, and what the original has not: `@topics`, `@users`, all at once |
//! | `orders`     | what `@connections` wants of a session                                        |
//! | `table`      | who is connected, by the id that applications know                            |
//! | `throttle`   | how many requests are let through                                             |
//! | `logging`    | access logs                                                                   |
//! | `counts`     | what is counted for each API                                                  |

mod apis;
mod calling;
mod closing;
mod counts;
mod endpoints;
mod logging;
mod management;
mod opening;
mod orders;
mod resume;
mod session;
mod table;
mod throttle;
mod topics;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use fanfare_apigateway::Api;
use fanfare_apigateway::address::URL_CHARS_MAX;
use fanfare_apigateway::check::Mistake;
use fanfare_apigateway::compiled::Compiled;
use fanfare_apigateway::facts::Facts;
use fanfare_apigateway::frame::Refused;
use fanfare_core::{LogError, Millis};
use fanfare_door::{Arrival, Door, Gateway, Head, HttpMount, Mounts, Opening, Outgoing, Shape, Turn, UpgradeRules};
use fanfare_functions::{Functions, HttpCaller};
use fanfare_iam::Access;
use fanfare_websocket::MessageKind;
use serde_json::Map;

use crate::apis::{Parts, Shared, new_id};
use crate::calling::Upgrade;
use crate::endpoints::Endpoints;
use crate::management::Management;
use crate::opening::{Attempt, CONNECT};
use crate::resume::Resume;
use crate::session::{ApiSession, OPENING};

pub use endpoints::Endpoint;

/// Name of the door in metrics and logs.
pub const NAME: &str = "apigateway";

/// What the door is made of; the binary hands it in.
pub struct ApiGatewayOptions {
    /// The APIs.
    pub apis: Vec<Api>,
    /// The region in ARNs.
    pub region: String,
    /// The account in ARNs, twelve digits.
    pub account: String,
    /// What integrations and authorizers call.
    pub functions: Functions,
    /// Who may connect and send; replaced by its owner when the configuration is read again.
    pub access: Arc<ArcSwap<Access>>,
    /// Asks web servers.
    pub http: HttpCaller,
    /// Services of AWS by name, such as `sqs`.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Host, and port unless it is 443, at which clients reach the server. It stands as `domainName` in events where a
    /// client names a host that is nobody's; without it every client's word is taken.
    pub host: Option<String>,
}

/// The API Gateway WebSocket door.
pub struct ApiGatewayDoor {
    shared: Arc<Shared>,
}

impl ApiGatewayDoor {
    /// A door with these APIs.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(options: ApiGatewayOptions) -> Result<Self, Vec<Mistake>> {
        let (mut compiled, mut mistakes) = (Vec::new(), Vec::new());
        for api in options.apis {
            match Compiled::new(api) {
                Ok(api) => compiled.push(api),
                Err(more) => mistakes.extend(more),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let parts = Parts {
            region: options.region,
            account: options.account,
            functions: options.functions,
            access: options.access,
            http: options.http,
            endpoints: Endpoints(options.endpoints),
            host: options.host,
        };
        Ok(Self { shared: Arc::new(Shared::new(compiled, parts)) })
    }
}

impl Door for ApiGatewayDoor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mounts(&self) -> Mounts {
        let service = Arc::new(Management::new(self.shared.clone()));
        Mounts { http: vec![HttpMount { prefix: "/", service }], ..Mounts::default() }
    }

    /// Every path that no other door has, once there is an API: who means one that is not there is refused as
    /// the original refuses.
    fn claims_upgrade(&self, head: &Head) -> Option<Arc<UpgradeRules>> {
        let located = self.shared.locate(head.header("host"), &head.path);
        let api = self.shared.apis.get(located.map_or(0, |located| located.api))?;
        Some(api.rules.clone())
    }

    fn start(&self, gateway: &Arc<Gateway>) -> Result<(), LogError> {
        self.shared.set_gateway(gateway);
        let shared = self.shared.clone();
        let ids: Vec<Arc<str>> = shared.apis.iter().map(|api| api.api().id.as_str().into()).collect();
        gateway.metrics.observe(Box::new(move |gauges| {
            let counters = shared.apis.iter().zip(&ids).flat_map(|(api, id)| api.counts.read(id));
            gauges.door_counters.extend(counters);
        }));
        self.shared.tell_what_crashed(&**gateway.core.log())
    }

    fn open(&self, arrival: &Arrival<'_>, turn: &mut Turn<'_>) -> Opening {
        let id = new_id();
        let moment = self.shared.moment();
        let refused = |refused: Refused, turn: &mut Turn<'_>| {
            turn.count_refusal(refused.name());
            let (status, headers, body) = refused.response(&id.to_string(), &moment.request_id);
            Opening::Refuse { status, headers, body }
        };
        let Some(head) = arrival.head else { return refused(Refused::NotFound, turn) };
        if head.path.len() + head.query.len() >= URL_CHARS_MAX {
            return refused(Refused::TooLongUrl, turn);
        }
        let host = head.header("host");
        // Extra segments mean nothing here; one slash at the end does no harm.
        let located = self.shared.locate(host, &head.path).filter(|located| matches!(located.rest, "" | "/"));
        let Some(located) = located else { return refused(Refused::NotFound, turn) };
        let (api, stage) = (located.api, located.stage.to_owned());
        let served = &self.shared.apis[api];
        let address = arrival.peer.ip();
        if !self.shared.closings.has_room() {
            turn.gateway().metrics.limit("apigateway_closings");
            return refused(Refused::Throttled, turn);
        }
        if !served.admits_connection(address, turn.now()) || !served.admits(&stage, CONNECT, None, turn.now()) {
            return refused(Refused::Throttled, turn);
        }
        let upgrade = Upgrade {
            headers: head.headers.clone(),
            query: head.query.clone(),
            is_secure: arrival.is_secure,
            port: port_of(host, arrival.is_secure),
            trace_id: trace_id(turn.now()),
        };
        let resume = served.options().resume.then(|| Resume::asked(&upgrade.query_pairs())).flatten();
        let variables = served.api().stages.get(&stage).map(|stage| stage.variables.clone());
        let facts = Facts {
            connection_id: id.to_string(),
            connected_at: turn.now(),
            source_ip: address.to_canonical().to_string(),
            user_agent: head.header("user-agent").map(str::to_owned),
            domain_name: self.shared.domain_name(host.unwrap_or_default()).to_owned(),
            stage,
            api_id: served.api().id.clone(),
            authorizer: None,
            identity: Map::new(),
            stage_variables: variables.unwrap_or_default(),
        };
        let (upgrade, raw_path) = (Arc::new(upgrade), head.path.clone());
        let attempt = Attempt { api, facts, upgrade, moment: moment.clone(), raw_path, address };
        let shared = self.shared.clone();
        let session = ApiSession::new(shared.clone(), api, id, resume, turn.now());
        match turn.ask(OPENING, async move { shared.open(attempt).await }) {
            Ok(()) => Opening::Pending(Box::new(session)),
            Err(_) => refused(Refused::Throttled, turn),
        }
    }

    fn encode(&self, outgoing: Outgoing<'_>, shape: Shape, now: Millis, out: &mut Vec<u8>) {
        match outgoing {
            Outgoing::Message(message) | Outgoing::Retained(message) if message.is_expired(now) => {}
            Outgoing::Message(_) | Outgoing::Retained(_) if shape == resume::WITH_POSITION => {
                resume::encode(outgoing, out);
            }
            Outgoing::Message(message) | Outgoing::Retained(message) => out.extend_from_slice(&message.payload),
            Outgoing::Presence(_) => {}
        }
    }

    fn kind_of(&self, outgoing: Outgoing<'_>, shape: Shape) -> Option<MessageKind> {
        match outgoing {
            Outgoing::Message(message) | Outgoing::Retained(message) if shape != resume::WITH_POSITION => {
                Some(kind_of_bytes(&message.payload))
            }
            _ => None,
        }
    }

    fn finish(&self, _gateway: &Arc<Gateway>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let shared = self.shared.clone();
        Box::pin(async move { shared.closings.finish().await })
    }
}

/// Text where it can be: SDKs say nothing of use about what they send.
pub(crate) fn kind_of_bytes(bytes: &[u8]) -> MessageKind {
    if std::str::from_utf8(bytes).is_ok() { MessageKind::Text } else { MessageKind::Binary }
}

/// The port that the client has named, or the usual one.
fn port_of(host: Option<&str>, is_secure: bool) -> u16 {
    let named = host.and_then(|host| host.rsplit_once(':')?.1.parse().ok());
    named.unwrap_or(if is_secure { 443 } else { 80 })
}

/// An id for following a request, in the form of X-Ray.
fn trace_id(now: Millis) -> String {
    format!("Root=1-{:08x}-{:024x}", now / 1_000, fastrand::u128(..) >> 32)
}
