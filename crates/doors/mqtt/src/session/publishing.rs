//! What the client publishes, and the answers it is owed in the order of its questions.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::{Action, LogError, Publication, Refusal, TopicName};
use fanfare_door::{Ticket, Turn};
use fanfare_iot::rules::basic_ingest;
use fanfare_iot::shadow::ShadowTopic;
use fanfare_mqtt_codec::{
    Ack, AckKind, Diagnostics, PacketId, Publish, Qos, ReasonCode, ReasonCodes, Suback, Unsuback,
};

use super::subscribing::is_reserved;
use super::{Live, MqttSession, Phase};
use crate::ledger::Ledger;
use crate::profile;
use crate::translate;

/// Answers that may wait for the disk before the client is read no further.
const ANSWERS_MAX: usize = 1_024;

/// An answer that is owed. It leaves when it is ready and all before it have left.
pub(crate) struct Answer {
    ticket: Ticket,
    is_ready: bool,
    what: What,
}

enum What {
    Ack(AckKind, PacketId, ReasonCode),
    Suback(PacketId, Box<[ReasonCode]>),
    Unsuback(PacketId, Box<[ReasonCode]>),
}

impl MqttSession {
    pub(super) fn on_publish(&mut self, publish: &Publish<'_>, turn: &mut Turn<'_>) {
        let topic = match self.topic_of(publish) {
            Ok(topic) => topic,
            Err((reason, why)) => return self.fail(reason, why, turn),
        };
        if self.hub.options.is_aws() {
            if publish.qos > profile::MAXIMUM_QOS {
                return self.fail(ReasonCode::QosNotSupported, "the profile aws-iot has no quality 2", turn);
            }
            if !profile::takes_topic(&topic) {
                return self.fail(ReasonCode::TopicNameInvalid, "the profile aws-iot takes no such topic", turn);
            }
        }
        let Some(live) = &mut self.live else { return };
        let id = publish.packet_id.filter(|_| publish.qos > Qos::AtMostOnce);
        let Some(id) = id else { return self.publish_unanswered(topic, publish, turn) };
        let kind = if publish.qos == Qos::ExactlyOnce { AckKind::Pubrec } else { AckKind::Puback };
        if kind == AckKind::Pubrec && live.state.received.contains(&id) {
            return self.answer_now(What::Ack(kind, id, ReasonCode::Success), turn);
        }
        // A PUBACK that is late is the disk's doing, and some clients (mqtt.js) do not count: they are
        // read no further while many wait. What only the client can end is counted.
        let is_exact = kind == AckKind::Pubrec;
        let open = live.state.received.len();
        if self.level.is_v5() && is_exact && open >= usize::from(self.hub.options.receive_maximum) {
            return self.fail(ReasonCode::ReceiveMaximumExceeded, "more messages under way than allowed", turn);
        }
        if live.state.received.len() >= usize::from(u16::MAX) {
            return self.fail(ReasonCode::QuotaExceeded, "too many messages without an end", turn);
        }
        let ticket = live.next_answer;
        live.next_answer += 1;
        let mut publication = publication(&self.hub.space().clone(), topic, publish, &live.state.client_id, turn);
        if kind == AckKind::Pubrec && live.state.is_durable() {
            publication.beside = Some(Ledger::received(&live.state.client_id, id));
        }
        let answer = match self.try_publish(publication, Some(ticket), turn) {
            Ok((reason, awaits_commit)) => {
                if let Some(live) = self.live.as_mut().filter(|_| kind == AckKind::Pubrec) {
                    live.state.received.insert(id);
                }
                Answer { ticket, is_ready: !awaits_commit, what: What::Ack(kind, id, reason) }
            }
            Err(refusal) => match self.refused(&refusal, turn) {
                Some(reason) => Answer { ticket, is_ready: true, what: What::Ack(kind, id, reason) },
                None => return,
            },
        };
        self.owe(answer, turn);
    }

    /// There is no answer to quality 0: what is refused is dropped, and counted.
    fn publish_unanswered(&mut self, topic: TopicName, publish: &Publish<'_>, turn: &mut Turn<'_>) {
        let Some(live) = &self.live else { return };
        let publication = publication(&self.hub.space().clone(), topic, publish, &live.state.client_id, turn);
        if let Err(refusal) = self.try_publish(publication, None, turn) {
            tracing::debug!(connection = ?turn.connection(), %refusal, "a publish was dropped");
            turn.count_refusal(refusal.code());
        }
    }

    /// The reason for the answer, and whether it has to wait for the disk.
    fn try_publish(
        &self,
        publication: Publication,
        ticket: Option<Ticket>,
        turn: &mut Turn<'_>,
    ) -> Result<(ReasonCode, bool), Refusal> {
        if let Some(request) = ShadowTopic::parse(&publication.topic) {
            return self.ask_shadow(request, publication, ticket, turn);
        }
        if basic_ingest(&publication.topic).is_some() {
            return self.ingest(publication, ticket, turn);
        }
        if is_reserved(&publication.topic) {
            return Err(Refusal::InvalidTopic {
                reason: "topics that begin with $SYS, $aws or $share are the server's own",
            });
        }
        let published = turn.publish(publication, ticket)?;
        let reason = if published.has_receivers { ReasonCode::Success } else { ReasonCode::NoMatchingSubscribers };
        Ok((reason, published.awaits_commit))
    }

    /// A message for one rule alone: no subscriber sees it, and no history keeps it.
    fn ingest(
        &self,
        publication: Publication,
        ticket: Option<Ticket>,
        turn: &mut Turn<'_>,
    ) -> Result<(ReasonCode, bool), Refusal> {
        let principal = turn.principal();
        principal.grant.require(Action::Publish, &publication.space, &publication.topic)?;
        let Some(rules) = self.hub.rules.get() else {
            self.hub.count_limit("rule_unknown");
            return Ok((ReasonCode::Success, false));
        };
        let done = ticket.map(|ticket| turn.on_commit(ticket));
        let is_taken = rules.ingest(publication, principal.subject.clone(), done)?;
        Ok((ReasonCode::Success, is_taken))
    }

    /// What the client is told of a refusal; `None` when the connection ends because of it.
    fn refused(&mut self, refusal: &Refusal, turn: &mut Turn<'_>) -> Option<ReasonCode> {
        tracing::debug!(connection = ?turn.connection(), %refusal, "a publish was refused");
        turn.count_refusal(refusal.code());
        let reason = match refusal {
            Refusal::Denied { .. } => ReasonCode::NotAuthorized,
            Refusal::InvalidTopic { .. } => ReasonCode::TopicNameInvalid,
            Refusal::MessageTooLarge { .. } | Refusal::RateLimited { .. } | Refusal::Overloaded => {
                ReasonCode::QuotaExceeded
            }
            Refusal::Log(_) => ReasonCode::ImplementationSpecificError,
            _ => ReasonCode::UnspecifiedError,
        };
        if self.level.is_v5() {
            return Some(reason);
        }
        // MQTT 3 cannot say no. What may succeed later must not be acknowledged, nor what is not
        // a topic; what is forbidden would be sent again for ever, so it is taken and dropped.
        match refusal {
            Refusal::Denied { .. } if !self.hub.options.is_aws() => Some(ReasonCode::Success),
            _ => {
                self.fail(reason, "a publish was refused, which MQTT 3 cannot be told", turn);
                None
            }
        }
    }

    /// The topic of a PUBLISH, with the aliases that the client has given out.
    fn topic_of(&mut self, publish: &Publish<'_>) -> Result<TopicName, (ReasonCode, &'static str)> {
        let invalid = |_| (ReasonCode::TopicNameInvalid, "the topic is none");
        let Some(live) = self.live.as_mut().filter(|_| publish.topic_alias.is_some()) else {
            return TopicName::new(publish.topic).map_err(invalid);
        };
        let alias = usize::from(publish.topic_alias.map_or(0, |alias| alias.get()));
        if alias > usize::from(self.hub.options.topic_alias_maximum) {
            return Err((ReasonCode::TopicAliasInvalid, "the topic alias is higher than the server's maximum"));
        }
        if publish.topic.is_empty() {
            let known = live.aliases_in.get(alias - 1).cloned().flatten();
            return known.ok_or((ReasonCode::ProtocolError, "the topic alias is not known"));
        }
        let topic = TopicName::new(publish.topic).map_err(invalid)?;
        if live.aliases_in.len() < alias {
            live.aliases_in.resize(alias, None);
        }
        live.aliases_in[alias - 1] = Some(topic.clone());
        Ok(topic)
    }

    pub(super) fn on_pubrel(&mut self, ack: &Ack<'_>, turn: &mut Turn<'_>) {
        let Some(live) = &mut self.live else { return };
        let id = ack.packet_id;
        if !live.state.received.remove(&id) {
            let reason = ReasonCode::PacketIdentifierNotFound;
            return self.answer_now(What::Ack(AckKind::Pubcomp, id, reason), turn);
        }
        let what = What::Ack(AckKind::Pubcomp, id, ReasonCode::Success);
        if !live.state.is_durable() {
            return self.answer_now(what, turn);
        }
        // Should the id count as taken after a crash, the next message under it would be lost.
        let ticket = live.next_answer;
        live.next_answer += 1;
        let done = turn.on_commit(ticket);
        let is_ready = !self.hub.ledger().forget_received(&live.state.client_id, id, Some(done));
        self.owe(Answer { ticket, is_ready, what }, turn);
    }

    /// SUBACK, once the subscriptions are in the ledger.
    pub(super) fn owe_suback(&mut self, id: PacketId, codes: Box<[ReasonCode]>, is_removal: bool, turn: &mut Turn<'_>) {
        let Some(live) = &mut self.live else { return };
        let what = if is_removal { What::Unsuback(id, codes) } else { What::Suback(id, codes) };
        if !live.state.is_durable() {
            return self.answer_now(what, turn);
        }
        let ticket = live.next_answer;
        live.next_answer += 1;
        live.waits += 1;
        let done = turn.on_commit(ticket);
        let is_taken = self.hub.ledger().put_main(&live.state, live.will.as_deref(), None, Some(done));
        if !is_taken {
            return self.fail(ReasonCode::ImplementationSpecificError, "the subscription cannot be kept", turn);
        }
        self.owe(Answer { ticket, is_ready: false, what }, turn);
    }

    fn answer_now(&mut self, what: What, turn: &mut Turn<'_>) {
        self.owe(Answer { ticket: 0, is_ready: true, what }, turn);
    }

    fn owe(&mut self, answer: Answer, turn: &mut Turn<'_>) {
        let Some(live) = &mut self.live else { return };
        live.answers.push_back(answer);
        self.send_answers(turn);
        let Some(live) = &mut self.live else { return };
        if live.answers.len() >= ANSWERS_MAX && !live.holds_input {
            live.holds_input = true;
            turn.hold_input();
        }
    }

    /// The disk has what was asked of it, or not.
    pub(super) fn on_committed(&mut self, ticket: Ticket, result: Result<(), LogError>, turn: &mut Turn<'_>) {
        let Some(live) = &mut self.live else { return };
        let Some(answer) = live.answers.iter_mut().find(|answer| answer.ticket == ticket) else { return };
        answer.is_ready = true;
        let is_list = matches!(answer.what, What::Suback(..) | What::Unsuback(..));
        if let Err(error) = result {
            tracing::warn!(connection = ?turn.connection(), %error, "what a client sent could not be kept");
            match &mut answer.what {
                What::Ack(AckKind::Puback | AckKind::Pubrec, id, reason) if self.level.is_v5() => {
                    *reason = ReasonCode::ImplementationSpecificError;
                    live.state.received.remove(id);
                }
                _ => return self.fail(ReasonCode::ImplementationSpecificError, "storage is failing", turn),
            }
        }
        if is_list {
            live.waits -= 1;
        }
        self.send_answers(turn);
        if is_list {
            self.pump(turn);
        }
    }

    fn send_answers(&mut self, turn: &mut Turn<'_>) {
        let level = self.level;
        let Some(live) = &mut self.live else { return };
        while live.answers.front().is_some_and(|answer| answer.is_ready) {
            let Some(answer) = live.answers.pop_front() else { break };
            live.say(&answer.what, level, turn);
        }
        if live.holds_input && live.answers.len() <= ANSWERS_MAX / 2 && self.phase == Phase::Connected {
            live.holds_input = false;
            self.heard_at = turn.now();
            turn.take_input();
        }
    }
}

impl Live {
    fn say(&self, what: &What, level: fanfare_mqtt_codec::Level, turn: &mut Turn<'_>) {
        let packet_max = self.packet_max;
        let diagnostics = Diagnostics::default();
        turn.send(|out| {
            // What does not fit the client's smallest packet cannot be said to it.
            let _ = match what {
                What::Ack(kind, id, reason) => Ack::new(*kind, *id, *reason).encode(level, packet_max, out),
                What::Suback(id, codes) => {
                    let codes = ReasonCodes::new(codes);
                    Suback { packet_id: *id, codes, diagnostics }.encode(level, packet_max, out)
                }
                What::Unsuback(id, codes) => {
                    let codes = ReasonCodes::new(codes);
                    Unsuback { packet_id: *id, codes, diagnostics }.encode(level, packet_max, out)
                }
            };
        });
    }
}

fn publication(
    space: &Arc<str>,
    topic: TopicName,
    publish: &Publish<'_>,
    client_id: &Arc<str>,
    turn: &Turn<'_>,
) -> Publication {
    let properties = &publish.properties;
    let kind = translate::kind(publish.payload, properties);
    let publication = Publication::new(space.clone(), topic, kind, Bytes::copy_from_slice(publish.payload));
    Publication {
        origin: Some(client_id.clone()),
        properties: translate::user_properties(properties),
        headers: translate::headers(properties),
        guarantee: translate::guarantee(publish.qos),
        expires_at: translate::expires_at(properties, turn.now()),
        retain: publish.retain,
        ..publication
    }
}
