//! Device shadows of the client, and what others ask of its connection.

use std::sync::Arc;

use fanfare_core::{Message, Publication, Refusal};
use fanfare_door::{Ticket, Turn};
use fanfare_iot::shadow::ShadowTopic;
use fanfare_mqtt_codec::{PacketId, Qos, ReasonCode};
use tokio::sync::oneshot;

use super::{Live, MqttSession};
use crate::iot::errands::{Description, Direct, Errand, Undelivered, subscriptions_of};
use crate::iot::lifecycle::{self, Ending};
use crate::iot::shadows::Asker;
use crate::outbound::{Outgoing, Source};

impl MqttSession {
    /// A request to a shadow: it goes to its subscribers as any message, and to the service. The
    /// acknowledgement waits until the service is done with it.
    pub(super) fn ask_shadow(
        &self,
        topic: ShadowTopic,
        publication: Publication,
        ticket: Option<Ticket>,
        turn: &mut Turn<'_>,
    ) -> Result<(ReasonCode, bool), Refusal> {
        let request = publication.payload.clone();
        turn.publish(Publication { retain: false, ..publication }, None)?;
        let done = ticket.map(|ticket| turn.on_commit(ticket));
        let is_awaited = done.is_some();
        self.hub.shadows().request(topic, &request, turn.now() / 1_000, Asker::Client(done))?;
        Ok((ReasonCode::Success, is_awaited))
    }

    pub(super) fn on_errand(&mut self, errand: Errand, turn: &mut Turn<'_>) {
        let Some(live) = &mut self.live else { return };
        // Whoever asked and waits no more is not answered.
        match errand {
            Errand::Describe(answer) => drop(answer.send(live.describe(turn))),
            Errand::ListSubscriptions(answer) => drop(answer.send(subscriptions_of(&live.state))),
            Errand::Deliver(direct) => self.on_direct(direct, turn),
            Errand::Dismiss { ends_session, without_will, gone } => {
                if without_will {
                    live.will = None;
                }
                if ends_session {
                    live.state.expiry_s = 0;
                }
                self.on_left = Some(gone);
                self.ending = Some(Ending::ByApi);
                self.fail(ReasonCode::AdministrativeAction, "its connection was deleted by request", turn);
            }
        }
    }

    fn on_direct(&mut self, direct: Direct, turn: &mut Turn<'_>) {
        let Direct { message, taken, receipt } = direct;
        let _ = taken.send(self.deliver_direct(message, receipt, turn));
    }

    fn deliver_direct(
        &mut self,
        message: Arc<Message>,
        receipt: Option<oneshot::Sender<()>>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Undelivered> {
        let Some(live) = &mut self.live else { return Err(Undelivered::Busy) };
        if live.checks_receiving && !self.hub.may_receive(&live.principal, &message) {
            return Err(Undelivered::Denied);
        }
        let outbound = &live.state.outbound;
        if !outbound.is_clear() || outbound.room() == 0 || live.waits > 0 || turn.has_backlog() {
            return Err(Undelivered::Busy);
        }
        let qos = if receipt.is_some() { Qos::AtLeastOnce } else { Qos::AtMostOnce };
        let own = message.clone();
        self.queue(Outgoing { message, qos, retain: false, ids: Box::default(), source: Source::Retained }, turn);
        let Some(receipt) = receipt else { return Ok(()) };
        let Some(live) = &mut self.live else { return Err(Undelivered::Busy) };
        let is_own = |message: &Arc<Message>| Arc::ptr_eq(message, &own);
        let sent = live.state.outbound.inflight().find(|inflight| inflight.message.as_ref().is_some_and(is_own));
        let id = sent.ok_or(Undelivered::TooLarge)?.id;
        live.receipts.push((id, receipt));
        Ok(())
    }

    /// Tells of filters that were granted, or given up.
    pub(super) fn tell_subscribed(&self, filters: &[&str], is_removal: bool) {
        if let Some(live) = &self.live {
            lifecycle::subscribed(&self.hub, &live.state.client_id, live.life.as_deref(), filters, is_removal);
        }
    }
}

impl Live {
    fn describe(&self, turn: &Turn<'_>) -> Description {
        Description {
            peer: Some(turn.peer()),
            connected_since: Some(self.connected_at),
            left: None,
            keep_alive: Some(self.keep_alive),
            session_expiry: self.state.expiry_s,
        }
    }

    /// The client has acknowledged a message; somebody may wait for that.
    pub(super) fn hand_receipt(&mut self, id: PacketId) {
        if let Some(place) = self.receipts.iter().position(|(of, _)| *of == id) {
            let _ = self.receipts.swap_remove(place).1.send(());
        }
    }
}
