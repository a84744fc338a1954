//! A door that sends back what it gets: the smallest there is, and what RFC 6455 suites talk to.

use fanfare_core::Millis;
use fanfare_door::{Arrival, Door, Happening, Mounts, Opening, Outgoing, Session, Shape, Turn, WebSocketMount};
use fanfare_websocket::MessageKind;

/// Echoes WebSocket messages: text as text, binary as binary, at `/echo`.
#[derive(Clone, Copy, Debug, Default)]
pub struct EchoDoor;

struct EchoSession;

impl Door for EchoDoor {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn mounts(&self) -> Mounts {
        let mount = |path, sends| WebSocketMount { path, subprotocols: &[], sends };
        let websockets = vec![mount("/echo", MessageKind::Text)];
        Mounts { websockets, ..Mounts::default() }
    }

    fn open(&self, _arrival: &Arrival<'_>, _turn: &mut Turn<'_>) -> Opening {
        Opening::Accept(Box::new(EchoSession))
    }

    fn encode(&self, _outgoing: Outgoing<'_>, _shape: Shape, _now: Millis, _out: &mut Vec<u8>) {}
}

impl Session for EchoSession {
    fn handle(&mut self, happening: Happening<'_>, turn: &mut Turn<'_>) {
        match happening {
            Happening::Text(text) => turn.send_as(MessageKind::Text, |out| out.extend_from_slice(text.as_bytes())),
            Happening::Binary(bytes) => turn.send_as(MessageKind::Binary, |out| out.extend_from_slice(bytes)),
            _ => {}
        }
    }
}
