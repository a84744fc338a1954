//! What other threads ask of a connection, and its answers.

use std::sync::Arc;

use fanfare_core::{Message, Millis};
use fanfare_mqtt_codec::Qos;
use tokio::sync::oneshot;

use super::lifecycle::Ending;
use crate::state::State;

/// Told to a session. One that is not connected drops it, which its asker takes for a client that
/// is not there.
pub(crate) enum Errand {
    /// What is known of the connection?
    Describe(oneshot::Sender<Description>),
    /// What does it subscribe to?
    ListSubscriptions(oneshot::Sender<Vec<(Box<str>, Qos)>>),
    /// It shall end. The channel tells when the client has been let go, and closes where there is none.
    Dismiss { ends_session: bool, without_will: bool, gone: oneshot::Sender<()> },
    /// A message for this client alone.
    Deliver(Direct),
}

/// A message for one client, which need not subscribe to its topic.
pub(crate) struct Direct {
    pub(crate) message: Arc<Message>,
    /// Whether it was taken.
    pub(crate) taken: oneshot::Sender<Result<(), Undelivered>>,
    /// Hears of the client's acknowledgement; without it quality 0 will do.
    pub(crate) receipt: Option<oneshot::Sender<()>>,
}

/// Why a direct message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undelivered {
    /// The client may not receive the topic.
    Denied,
    /// Other messages wait for it already.
    Busy,
    /// The client takes only smaller packets.
    TooLarge,
}

/// A connection, or what is left of one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Description {
    pub(crate) peer: Option<std::net::SocketAddr>,
    pub(crate) connected_since: Option<Millis>,
    pub(crate) left: Option<(Millis, Ending)>,
    /// Seconds.
    pub(crate) keep_alive: Option<u16>,
    /// Seconds; `u32::MAX` is for ever.
    pub(crate) session_expiry: u32,
}

impl Description {
    /// Of a session whose client is away.
    pub(crate) fn of_away(state: &State) -> Self {
        Self { session_expiry: state.expiry_s, left: state.left, ..Self::default() }
    }
}

/// What a session subscribes to, in order of filter.
pub(crate) fn subscriptions_of(state: &State) -> Vec<(Box<str>, Qos)> {
    let mut all: Vec<_> = state.subscriptions.iter().map(|s| (s.text.clone(), s.qos)).collect();
    all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    all
}
