//! The MQTT door: MQTT 3.1, 3.1.1 and 5.0, over TCP and inside WebSocket.
//!
//! `session` is the conversation of one connection, `state` what of it outlives the connection,
//! `outbound` its sending half. `registry` knows which client is where, `ledger` writes sessions
//! down, `groups` are shared subscriptions, and `hub` is what all connections share.

mod authenticate;
mod groups;
mod hub;
mod ledger;
mod options;
mod outbound;
mod profile;
mod registry;
mod session;
mod state;
mod translate;
mod will;

use std::sync::Arc;

use fanfare_core::{LogError, Millis};
use fanfare_door::{Arrival, Door, Gateway, Mounts, Opening, Outgoing, Shape, StreamMount, Turn, WebSocketMount};
use fanfare_websocket::MessageKind;

pub use options::{DenyCode, MqttOptions, Profile};

use hub::Hub;
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
    /// A door with these settings.
    pub fn new(options: MqttOptions) -> Self {
        Self { hub: Arc::new(Hub::new(options.within_profile())) }
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
        Mounts { tunnels: vec![tunnel], streams: vec![stream], ..Mounts::default() }
    }

    fn start(&self, gateway: &Arc<Gateway>) -> Result<(), LogError> {
        self.hub.start(gateway)
    }

    fn open(&self, _arrival: &Arrival<'_>, turn: &mut Turn<'_>) -> Opening {
        turn.set_shape(SILENT);
        Opening::Accept(Box::new(MqttSession::new(self.hub.clone(), turn)))
    }

    fn encode(&self, outgoing: Outgoing<'_>, shape: Shape, now: Millis, out: &mut Vec<u8>) {
        encode_plain(outgoing, shape, now, out);
    }
}
