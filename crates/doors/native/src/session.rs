//! The WebSocket side of the protocol: one `match` over what happens.

use fanfare_door::{Arrival, Opening, Turn};

pub(crate) fn open(_arrival: &Arrival<'_>, _turn: &mut Turn<'_>) -> Opening {
    Opening::Refuse { status: 503, headers: Vec::new(), body: Vec::new() }
}
