//! What a connection's bytes are: WebSocket frames, MQTT packets or gRPC.

use crate::args::DialectName;
use crate::link::{Event, Gone, Plan};
use crate::momento;
use crate::mqtt;
use crate::target::Target;
use crate::websocket;

/// The protocol of a connection, and how far it has come.
pub(crate) enum Wire {
    WebSocket(websocket::Conversation),
    Mqtt(mqtt::Conversation),
    Momento(momento::Conversation),
}

impl Wire {
    pub(crate) fn new(target: &Target) -> Self {
        match target.dialect {
            DialectName::Native | DialectName::Bun => Self::WebSocket(websocket::Conversation::new()),
            DialectName::Mqtt => Self::Mqtt(mqtt::Conversation::new()),
            DialectName::Momento => Self::Momento(momento::Conversation::new()),
        }
    }

    /// What to say first; the transport of connection `index` is there.
    pub(crate) fn open(&mut self, target: &Target, plan: &Plan, index: usize, out: &mut Vec<u8>) -> Result<(), Gone> {
        match self {
            Self::WebSocket(_) => websocket::put_request(target, plan, out),
            Self::Mqtt(_) => mqtt::put_connect(target, plan, index, out),
            Self::Momento(conversation) => {
                conversation.open(target, plan, out);
                Ok(())
            }
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
            Self::Momento(conversation) => conversation.read(plan, bytes, out, tell),
        }
    }
}
