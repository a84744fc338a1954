//! How a connection ends, and what it leaves behind.

use fanfare_door::{Goodbye, Turn};
use fanfare_mqtt_codec::{Disconnect, ReasonCode};

use super::{MqttSession, Phase};
use crate::iot::lifecycle::{self, Ending};
use crate::registry::Leaving;

/// Told to a connection whose client has connected again.
pub(crate) struct LetGo;

impl MqttSession {
    pub(super) fn on_disconnect(&mut self, disconnect: &Disconnect<'_>, turn: &mut Turn<'_>) {
        let max = self.hub.options.session_expiry_max_s;
        let Some(live) = &mut self.live else { return };
        if let Some(expiry_s) = disconnect.session_expiry {
            if live.state.expiry_s == 0 && expiry_s > 0 {
                return self.fail(ReasonCode::ProtocolError, "a session that ends now cannot be made to last", turn);
            }
            live.state.expiry_s = expiry_s.min(max);
        }
        if disconnect.reason == ReasonCode::NORMAL_DISCONNECTION || !self.level.is_v5() {
            live.will = None;
        }
        self.phase = Phase::Ended;
        self.ending.get_or_insert(Ending::ByClient);
        turn.close(Goodbye::PeerClosed { code: None, reason: String::new() });
    }

    /// The driver is about to close the link.
    pub(super) fn on_goodbye(&mut self, goodbye: &Goodbye, turn: &mut Turn<'_>) {
        self.ending.get_or_insert(Ending::of_goodbye(goodbye));
        // Whoever sends text messages is no client of MQTT, and is told in WebSocket's words alone.
        let is_foreign = matches!(goodbye, Goodbye::ProtocolError { code: 1003, .. });
        if self.phase == Phase::Connected
            && !is_foreign
            && let Some(reason) = reason_of(goodbye)
        {
            self.say_disconnect(reason, turn);
        }
        let has_said_goodbye = self.phase == Phase::Ended;
        if matches!(goodbye, Goodbye::PeerClosed { .. })
            && !has_said_goodbye
            && self.hub.options.is_aws()
            && let Some(live) = &mut self.live
        {
            // AWS takes the closing of a WebSocket for a goodbye of the client's.
            live.will = None;
        }
        self.leave(turn);
    }

    pub(super) fn on_gone(&mut self, turn: &mut Turn<'_>) {
        self.leave(turn);
    }

    /// Lets go of the client id, once.
    fn leave(&mut self, turn: &mut Turn<'_>) {
        self.phase = Phase::Ended;
        self.stop_asking(turn);
        let Some(live) = self.live.take() else { return };
        let mut state = Box::new(live.state);
        let ending = self.ending.unwrap_or_default();
        state.left = Some((turn.now(), ending));
        if let Some(life) = &live.life {
            lifecycle::disconnected(&self.hub, &state.client_id, life, ending);
        }
        for (share, message) in state.outbound.disconnect() {
            share.give_back(&state.client_id, vec![message]);
        }
        for subscription in &mut state.subscriptions {
            subscription.number = None;
            if let Some(share) = &subscription.share {
                share.depart(&state.client_id);
            }
        }
        let will = live.will;
        if state.is_durable() {
            let later = will.as_deref().filter(|will| will.delay_s > 0);
            self.hub.record_leaving(&state, later);
        }
        let leaving = Leaving { state, will, now: turn.now() };
        let mut parting = self.hub.registry.leave(turn.connection(), leaving, self.hub.options.sessions_max);
        self.hub.carry_out(std::mem::take(&mut parting.effects));
        if let Some(waiting) = self.on_left.take() {
            // Whoever waited may have given up.
            let _ = waiting.send(());
        }
    }
}

/// What MQTT 5 calls it. Nothing where the client left first, or has been told.
fn reason_of(goodbye: &Goodbye) -> Option<ReasonCode> {
    Some(match goodbye {
        Goodbye::ShuttingDown { .. } => ReasonCode::ServerShuttingDown,
        Goodbye::SlowConsumer => ReasonCode::QuotaExceeded,
        Goodbye::Overloaded { .. } => ReasonCode::ServerBusy,
        Goodbye::TokenExpired => ReasonCode::MaximumConnectTime,
        Goodbye::Revoked => ReasonCode::NotAuthorized,
        Goodbye::Kicked { .. } => ReasonCode::AdministrativeAction,
        Goodbye::PingTimeout => ReasonCode::KeepAliveTimeout,
        Goodbye::ProtocolError { code: 1009, .. } => ReasonCode::PacketTooLarge,
        Goodbye::ProtocolError { .. } => ReasonCode::ProtocolError,
        Goodbye::HandshakeTimeout | Goodbye::Session { .. } | Goodbye::PeerClosed { .. } => return None,
    })
}
