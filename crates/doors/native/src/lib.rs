//! The native door: a small JSON protocol over WebSocket, SSE, streams and long poll.
//!
//! `docs/protocol.md` describes it frame by frame. `session` is the WebSocket side, `http` the
//! other transports, `frames` what both write and `requests` what both read; `headers` is what
//! a message has beside its payload.

mod errors;
mod frames;
mod headers;
mod http;
mod requests;
mod session;

use std::sync::Arc;

use fanfare_core::Millis;
use fanfare_door::{Arrival, Door, HttpMount, Mounts, Opening, Outgoing, Shape, Turn, WebSocketMount};
use fanfare_websocket::MessageKind;

/// Name of the door in metrics and logs.
pub const NAME: &str = "native";

/// The native door.
#[derive(Clone, Copy, Debug, Default)]
pub struct NativeDoor;

impl Door for NativeDoor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mounts(&self) -> Mounts {
        let connect = WebSocketMount { path: "/v1/connect", subprotocols: &["fanfare.v1"], sends: MessageKind::Text };
        let http = HttpMount { prefix: "/v1", service: Arc::new(http::NativeHttp) };
        Mounts { websockets: vec![connect], http: vec![http], ..Mounts::default() }
    }

    fn open(&self, arrival: &Arrival<'_>, turn: &mut Turn<'_>) -> Opening {
        session::open(arrival, turn)
    }

    fn encode(&self, outgoing: Outgoing<'_>, _shape: Shape, now: Millis, out: &mut Vec<u8>) {
        match outgoing {
            Outgoing::Message(message) | Outgoing::Retained(message) if message.is_expired(now) => {}
            Outgoing::Message(message) => frames::message(out, message, false, true),
            Outgoing::Retained(message) => frames::message(out, message, true, true),
            Outgoing::Presence(event) => frames::presence(out, event),
        }
    }
}
