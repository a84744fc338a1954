//! The MQTT door: MQTT 3.1, 3.1.1 and 5.0, over TCP and inside WebSocket.
//!
//! `session` is the conversation of one connection, `state` what of it outlives the connection,
//! `outbound` its sending half. `registry` knows which client is where, `ledger` writes sessions
//! down, `groups` are shared subscriptions, and `hub` is what all connections share. `iot` is what
//! AWS IoT Core has beside the broker, and `sys` the counters of `$SYS`.

mod authenticate;
mod groups;
mod hub;
mod iot;
mod ledger;
mod options;
mod outbound;
mod profile;
mod registry;
mod session;
mod state;
mod sys;
#[cfg(test)]
mod testing;
mod translate;
mod will;

use std::sync::Arc;

use arc_swap::ArcSwap;
use fanfare_core::{LogError, Millis};
use fanfare_door::{Arrival, Door, Gateway, Mounts, Opening, Outgoing, Shape, StreamMount, Turn, WebSocketMount};
use fanfare_websocket::MessageKind;

pub use authenticate::{Authority, Authorizer, Authorizers, CertificateMatch, CertificateRule, Users};
pub use iot::rules::{RuleEntry, RuleOptions};
pub use options::{DenyCode, MqttOptions, Profile};

use authenticate::Arrived;
use hub::Hub;
use iot::http::DataPlane;
use session::{MqttSession, SILENT, encode_plain};

/// Name of the door in metrics and logs.
pub const NAME: &str = "mqtt";

/// The first byte of every MQTT connection: CONNECT.
const CONNECT_BYTE: u8 = 0x10;

/// The MQTT door.
pub struct MqttDoor {
    hub: Arc<Hub>,
}

impl MqttDoor {
    /// A door with these settings. Clients prove with tokens who they are, or are anonymous.
    pub fn new(options: MqttOptions) -> Self {
        Self::with_authority(options, Arc::new(ArcSwap::from_pointee(Authority::default())))
    }

    /// The same with whatever else clients may prove it by. What is stored there later counts for
    /// clients that come later, and for decisions that are renewed.
    pub fn with_authority(options: MqttOptions, authority: Arc<ArcSwap<Authority>>) -> Self {
        Self { hub: Arc::new(Hub::new(options.within_profile(), authority)) }
    }

    /// The same with rules that act on messages.
    ///
    /// # Errors
    /// When no HTTP client can be made for them.
    pub fn with_rules(self, rules: RuleOptions) -> Result<Self, fanfare_functions::CallerError> {
        let _ = self.hub.rules.set(iot::rules::Rules::new(rules)?);
        Ok(self)
    }
}

impl Door for MqttDoor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mounts(&self) -> Mounts {
        // Clients of AWS offer "mqttv3.1" and then speak 3.1.1.
        let subprotocols = &["mqtt", "mqttv3.1"];
        let tunnel = WebSocketMount { path: "/mqtt", subprotocols, sends: MessageKind::Binary };
        let stream = StreamMount { first_byte: CONNECT_BYTE };
        // The names by which devices of AWS ask for MQTT, and for requests over HTTP, on one port.
        let alpn = vec!["mqtt", "x-amzn-mqtt-ca", "x-amzn-http-ca"];
        let (tunnels, streams, http) = (vec![tunnel], vec![stream], DataPlane::mounts(&self.hub));
        Mounts { tunnels, streams, http, alpn, ..Mounts::default() }
    }

    fn start(&self, gateway: &Arc<Gateway>) -> Result<(), LogError> {
        self.hub.start(gateway)?;
        self.hub.rules.get().map_or(Ok(()), |rules| rules.start(&self.hub))
    }

    fn open(&self, arrival: &Arrival<'_>, turn: &mut Turn<'_>) -> Opening {
        let arrived = match Arrived::of(arrival, &self.hub.authority.load(), turn.now()) {
            Ok(arrived) => arrived,
            Err(error) => {
                let trace_id = authenticate::trace_id();
                tracing::info!(peer = %turn.peer(), %error, trace_id, "a signed MQTT client was not let in");
                turn.count_refusal("signature");
                return authenticate::forbidden(&trace_id);
            }
        };
        turn.set_shape(SILENT);
        Opening::Accept(Box::new(MqttSession::new(self.hub.clone(), arrived, turn)))
    }

    fn encode(&self, outgoing: Outgoing<'_>, shape: Shape, now: Millis, out: &mut Vec<u8>) {
        encode_plain(outgoing, shape, now, out);
    }
}
