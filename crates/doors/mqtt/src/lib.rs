//! The MQTT door: MQTT 3.1.1 with quality of service 0, over TCP and inside WebSocket.
//!
//! `README.md` says what is compatible and what is not yet. [`codec`] is the wire, `session` the
//! conversation of one connection.

pub mod codec;
mod session;

use fanfare_door::{Arrival, Door, Mounts, Opening, Outgoing, Shape, StreamMount, Turn, WebSocketMount};
use fanfare_websocket::MessageKind;

/// Name of the door in metrics and logs.
pub const NAME: &str = "mqtt";

/// Nothing is sent: the client has not been let in, and CONNACK comes before everything else.
const SILENT: Shape = Shape(0);
/// PUBLISH packets of MQTT 3.1.1 with quality of service 0.
const V3_QOS_0: Shape = Shape(1);

/// The MQTT door.
#[derive(Clone, Copy, Debug, Default)]
pub struct MqttDoor;

impl Door for MqttDoor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mounts(&self) -> Mounts {
        // Clients of AWS offer "mqttv3.1" and then speak 3.1.1.
        let subprotocols = &["mqtt", "mqttv3.1"];
        let tunnel = WebSocketMount { path: "/mqtt", subprotocols, sends: MessageKind::Binary };
        let stream = StreamMount { first_byte: codec::CONNECT_BYTE };
        Mounts { tunnels: vec![tunnel], streams: vec![stream], ..Mounts::default() }
    }

    fn open(&self, _arrival: &Arrival<'_>, turn: &mut Turn<'_>) -> Opening {
        turn.set_shape(SILENT);
        Opening::Accept(Box::new(session::MqttSession::new(turn)))
    }

    fn encode(&self, outgoing: Outgoing<'_>, shape: Shape, _now: fanfare_core::Millis, out: &mut Vec<u8>) {
        match outgoing {
            _ if shape == SILENT => {}
            Outgoing::Message(message) => codec::encode_publish(out, &message.topic, &message.payload, false),
            Outgoing::Retained(message) => codec::encode_publish(out, &message.topic, &message.payload, true),
            Outgoing::Presence(_) => {}
        }
    }
}
