//! What a connection's bytes are: WebSocket frames or MQTT packets.

use crate::args::DialectName;
use crate::link::{Event, Gone, Plan};
use crate::mqtt;
use crate::target::Target;
use crate::websocket;

/// The protocol of a connection, and how far it has come.
pub(crate) enum Wire {
    WebSocket(websocket::Conversation),
    Mqtt(mqtt::Conversation),
}

impl Wire {
    pub(crate) fn new(target: &Target) -> Self {
        match target.dialect {
            DialectName::Native | DialectName::Bun => Self::WebSocket(websocket::Conversation::new()),
            DialectName::Mqtt => Self::Mqtt(mqtt::Conversation::new()),
        }
    }

    /// What to say first; the transport of connection `index` is there.
    pub(crate) fn open(&self, target: &Target, plan: &Plan, index: usize, out: &mut Vec<u8>) -> Result<(), Gone> {
        match self {
            Self::WebSocket(_) => websocket::put_request(target, plan, out),
            Self::Mqtt(_) => mqtt::put_connect(target, plan, index, out),
        }
    }

    /// Reads everything complete in `bytes` and returns its length; answers go to `out`.
    pub(crate) fn read<E: From<Gone>>(
        &mut self,
        target: &Target,
        plan: &Plan,
        bytes: &[u8],
        out: &mut Vec<u8>,
        tell: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        match self {
            Self::WebSocket(conversation) => conversation.read(target, plan, bytes, out, tell),
            Self::Mqtt(conversation) => conversation.read(target, plan, bytes, out, tell),
        }
    }
}
