//! What a client has proved may count for a time only, or may have to be confirmed now and then.

use fanfare_core::Action;
use fanfare_door::{Reply, Turn};
use fanfare_mqtt_codec::ReasonCode;

use super::connecting::Admission;
use super::{MqttSession, RENEWAL_TIMER, RENEWED, TERM_TIMER};
use crate::authenticate::renew;
use crate::iot::lifecycle::Ending;

impl MqttSession {
    /// The client is in: from now on the clock runs.
    pub(super) fn watch_authorization(&mut self, turn: &mut Turn<'_>) {
        let Some(authorization) = &self.authorization else { return };
        if let Some(term) = authorization.term {
            turn.set_timer(TERM_TIMER, term.at.saturating_sub(turn.now()));
        }
        if let Some(renewal) = &authorization.renewal {
            turn.set_timer(RENEWAL_TIMER, renewal.after_ms);
        }
    }

    pub(super) fn end_term(&mut self, turn: &mut Turn<'_>) {
        if let Some(term) = self.authorization.as_ref().and_then(|authorization| authorization.term) {
            let is_of_socket = term.why == Ending::SocketTimeOver.name();
            self.ending.get_or_insert(if is_of_socket { Ending::SocketTimeOver } else { Ending::TimeOver });
            self.fail(ReasonCode::MaximumConnectTime, term.why, turn);
        }
    }

    pub(super) fn renew(&mut self, turn: &mut Turn<'_>) {
        let Some(authorization) = &mut self.authorization else { return };
        let Some(renewal) = authorization.renewal.take() else { return };
        let hub = self.hub.clone();
        if turn.ask::<Admission>(RENEWED, async move { renew(&hub, renewal).await }).is_err() {
            self.fail(ReasonCode::ServerBusy, "too much is under way", turn);
        }
    }

    pub(super) fn on_renewed(&mut self, reply: Reply, turn: &mut Turn<'_>) {
        let admission = match reply {
            Reply::Value(value) => value.downcast::<Admission>().ok(),
            _ => None,
        };
        let (Some(Ok(admitted)), Some(live)) = (admission.map(|admission| *admission), &mut self.live) else {
            return self.fail(ReasonCode::NotAuthorized, "the authorizer does not confirm the client", turn);
        };
        live.checks_receiving = admitted.principal.grant.speaks_of(Action::Receive);
        live.principal = admitted.principal.clone();
        if let Some(will) = &mut live.will {
            will.principal = admitted.principal.clone();
        }
        turn.set_principal(admitted.principal);
        let renewal = admitted.authorization.and_then(|authorization| authorization.renewal);
        if let (Some(own), Some(renewal)) = (&mut self.authorization, renewal) {
            turn.set_timer(RENEWAL_TIMER, renewal.after_ms);
            own.renewal = Some(renewal);
        }
    }
}
