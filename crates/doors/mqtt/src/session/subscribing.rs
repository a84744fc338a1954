//! SUBSCRIBE and UNSUBSCRIBE.

use fanfare_core::{Filter, Refusal, Since};
use fanfare_door::{Replay, SubscribeRequest, Turn};
use fanfare_mqtt_codec::{Qos, ReasonCode, RetainHandling, Subscribe, Subscription as Wish, Unsubscribe, check_filter};

use super::{Live, MqttSession};
use crate::profile;
use crate::session::sending::{PLAIN_V3, PLAIN_V5, PLAIN_V5_AS_PUBLISHED};
use crate::state::Subscription;
use crate::sys::Counted;

/// Why a filter was not granted.
enum NoGrant {
    /// The code says it.
    Code(ReasonCode),
    /// MQTT 3 has no word for it.
    Broken(&'static str),
}

/// Topics that only the server publishes to.
pub(crate) fn is_reserved(topic: &str) -> bool {
    topic.starts_with('$')
        && ["$SYS", "$aws", "$share", "$queue", "$delayed"]
            .iter()
            .any(|name| topic.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Topics of Basic Ingest, which nobody can read.
fn is_for_rules(filter: &str) -> bool {
    filter.strip_prefix("$aws/rules").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl MqttSession {
    pub(super) fn on_subscribe(&mut self, packet: &Subscribe<'_>, turn: &mut Turn<'_>) {
        if packet.subscriptions.len() > turn.gateway().limits().subscriptions {
            return self.fail(ReasonCode::QuotaExceeded, "more filters than one connection may have", turn);
        }
        if self.hub.options.is_aws() {
            if packet.subscriptions.len() > profile::FILTERS_PER_PACKET {
                return self.fail(ReasonCode::QuotaExceeded, "the profile aws-iot takes 8 filters at once", turn);
            }
            if packet.subscription_id.is_some() {
                let reason = ReasonCode::SubscriptionIdentifiersNotSupported;
                return self.fail(reason, "the profile aws-iot has no subscription identifiers", turn);
            }
        }
        let (mut codes, mut replays) = (Vec::new(), Vec::new());
        for wish in packet.subscriptions.iter() {
            match self.subscribe(&wish, packet.subscription_id, turn) {
                Ok((code, replay)) => {
                    codes.push(code);
                    replays.extend(replay);
                }
                Err(NoGrant::Code(code)) => codes.push(code),
                Err(NoGrant::Broken(why)) => return self.fail(ReasonCode::TopicFilterInvalid, why, turn),
            }
        }
        let granted = packet.subscriptions.iter().zip(&codes).filter(|(_, code)| !code.is_error());
        let granted: Vec<_> = granted.map(|(wish, _)| wish.filter).collect();
        self.tell_subscribed(&granted, false);
        self.owe_suback(packet.packet_id, codes.into(), false, turn);
        replays.into_iter().for_each(|replay| turn.begin(replay));
    }

    fn subscribe(
        &mut self,
        wish: &Wish<'_>,
        id: Option<u32>,
        turn: &mut Turn<'_>,
    ) -> Result<(ReasonCode, Option<Replay>), NoGrant> {
        let parts = match check_filter(wish.filter) {
            Ok(parts) => parts,
            Err(_) if wish.filter.is_empty() => return Err(NoGrant::Broken("a filter without a character")),
            Err(_) if self.level.is_v5() => return Err(NoGrant::Code(ReasonCode::TopicFilterInvalid)),
            Err(_) => return Err(NoGrant::Broken("a filter breaks the rules of filters")),
        };
        if is_for_rules(parts.filter) {
            return Err(NoGrant::Code(self.hub.options.denied()));
        }
        if self.hub.options.is_aws()
            && let Some(code) = profile::refuses(wish).or_else(|| self.has_too_many(wish.filter))
        {
            return Err(NoGrant::Code(code));
        }
        let filter = Filter::new(parts.filter).map_err(|refusal| self.no_grant(wish.filter, &refusal, turn))?;
        let qos = if self.hub.options.is_aws() { wish.options.qos.min(Qos::AtLeastOnce) } else { wish.options.qos };
        let Some(live) = &mut self.live else { return Err(NoGrant::Code(ReasonCode::UnspecifiedError)) };
        let known = live.state.find(wish.filter);
        let subscription = Subscription {
            text: wish.filter.into(),
            filter,
            share: None,
            qos,
            no_local: wish.options.no_local,
            retain_as_published: wish.options.retain_as_published,
            id,
            since: self.hub.head().offset,
            number: None,
            is_held: false,
            counted: Some(Counted::new(&self.hub.subscriptions)),
        };
        let granted = match qos {
            Qos::AtMostOnce => ReasonCode::GRANTED_QOS_0,
            Qos::AtLeastOnce => ReasonCode::GrantedQos1,
            Qos::ExactlyOnce => ReasonCode::GrantedQos2,
        };
        let replay = match parts.group {
            Some(group) => self.join_group(group, subscription, known, turn).map(|()| None),
            None => {
                let wants_retained = match wish.options.retain_handling {
                    RetainHandling::Send => true,
                    RetainHandling::SendIfNew => known.is_none(),
                    RetainHandling::DoNotSend => false,
                };
                self.join_topics(subscription, known, wants_retained, turn).map(Some)
            }
        };
        let replay = replay.map_err(|refusal| self.no_grant(wish.filter, &refusal, turn))?;
        Ok((granted, replay))
    }

    /// AWS's bound on subscriptions.
    fn has_too_many(&self, text: &str) -> Option<ReasonCode> {
        let state = self.live.as_ref().map(|live| &live.state)?;
        let is_over = state.find(text).is_none() && state.subscriptions.len() >= profile::SUBSCRIPTIONS;
        is_over.then_some(ReasonCode::QuotaExceeded)
    }

    fn join_topics(
        &mut self,
        mut subscription: Subscription,
        known: Option<usize>,
        wants_retained: bool,
        turn: &mut Turn<'_>,
    ) -> Result<Replay, Refusal> {
        let Some(live) = &mut self.live else { return Err(Refusal::ShuttingDown) };
        if !live.is_plain(&subscription) {
            live.track_all(turn);
        }
        let request = SubscribeRequest {
            space: self.hub.space().clone(),
            filter: subscription.filter.clone(),
            since: Since::Now,
            wants_presence: false,
            is_tracked: live.is_tracked,
        };
        let subscribed = turn.subscribe(request)?;
        if !live.is_tracked {
            turn.set_shape(match (self.level.is_v5(), subscription.retain_as_published) {
                (false, _) => PLAIN_V3,
                (true, false) => PLAIN_V5,
                (true, true) => PLAIN_V5_AS_PUBLISHED,
            });
        }
        subscription.number = Some(subscribed.id);
        let needs_hold = live.state.is_durable() && subscription.qos > Qos::AtMostOnce;
        let before = known.map(|place| &mut live.state.subscriptions[place]);
        let was_held = before.as_ref().is_some_and(|before| before.is_held);
        subscription.is_held = was_held;
        if needs_hold && !was_held {
            subscription.is_held = turn.gateway().core.hold(self.hub.space(), &subscription.filter).is_ok();
        }
        match before {
            Some(before) => {
                // What was published since the first one is owed to it still.
                subscription.since = before.since;
                *before = subscription;
            }
            None => live.state.subscriptions.push(subscription),
        }
        Ok(if wants_retained { subscribed.replay } else { subscribed.replay.without_retained() })
    }

    /// Takes up the subscriptions of an earlier connection again, as far as they are still allowed.
    pub(super) fn subscribe_again(&mut self, turn: &mut Turn<'_>) {
        let hub = self.hub.clone();
        let Some(live) = &mut self.live else { return };
        let (connection, client_id) = (turn.connection(), live.state.client_id.clone());
        let is_durable = live.state.is_durable();
        live.state.subscriptions.retain_mut(|subscription| {
            if let Some(share) = &subscription.share {
                share.join(&client_id, Some(connection), is_durable);
                return true;
            }
            let request = SubscribeRequest {
                space: hub.space().clone(),
                filter: subscription.filter.clone(),
                since: Since::Now,
                wants_presence: false,
                is_tracked: true,
            };
            match turn.subscribe(request) {
                Ok(subscribed) => {
                    subscription.number = Some(subscribed.id);
                    turn.begin(subscribed.replay.without_retained());
                    true
                }
                Err(refusal) => {
                    tracing::info!(?connection, filter = %subscription.text, %refusal, "a subscription was not resumed");
                    if subscription.is_held {
                        hub.gateway().core.release(hub.space(), &subscription.filter);
                    }
                    false
                }
            }
        });
    }

    fn join_group(
        &mut self,
        group: &str,
        mut subscription: Subscription,
        known: Option<usize>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refusal> {
        let limit = turn.gateway().limits().subscriptions;
        let hub = self.hub.clone();
        let Some(live) = &mut self.live else { return Err(Refusal::ShuttingDown) };
        if known.is_none() && live.state.subscriptions.len() >= limit {
            return Err(Refusal::TooManySubscriptions { limit });
        }
        let grant = &live.principal.grant;
        grant.require_filter(fanfare_core::Action::Subscribe, hub.space(), &subscription.filter)?;
        live.track_all(turn);
        let (client_id, is_durable) = (&live.state.client_id, live.state.is_durable());
        let connection = Some(turn.connection());
        let share = hub.groups.join(&hub, (group, &subscription.filter), None, client_id, connection, is_durable);
        let is_held = known.is_some_and(|place| live.state.subscriptions[place].is_held);
        subscription.is_held = is_held;
        if live.state.is_durable() && subscription.qos > Qos::AtMostOnce && !is_held {
            subscription.is_held = hub.gateway().core.hold(hub.space(), &subscription.filter).is_ok();
        }
        subscription.share = Some(share);
        match known {
            Some(place) => live.state.subscriptions[place] = subscription,
            None => live.state.subscriptions.push(subscription),
        }
        Ok(())
    }

    fn no_grant(&self, filter: &str, refusal: &Refusal, turn: &mut Turn<'_>) -> NoGrant {
        tracing::debug!(connection = ?turn.connection(), filter, %refusal, "a filter was refused");
        turn.count_refusal(refusal.code());
        NoGrant::Code(match refusal {
            Refusal::Denied { .. } => self.hub.options.denied(),
            Refusal::InvalidFilter { .. } => ReasonCode::TopicFilterInvalid,
            Refusal::TooManySubscriptions { .. } | Refusal::Overloaded => ReasonCode::QuotaExceeded,
            _ => ReasonCode::UnspecifiedError,
        })
    }

    pub(super) fn on_unsubscribe(&mut self, packet: &Unsubscribe<'_>, turn: &mut Turn<'_>) {
        let mut codes = Vec::new();
        for text in packet.filters.iter() {
            let code = match check_filter(text) {
                Err(_) if self.level.is_v5() => ReasonCode::TopicFilterInvalid,
                Err(_) => {
                    return self.fail(ReasonCode::TopicFilterInvalid, "a filter breaks the rules of filters", turn);
                }
                Ok(_) if self.unsubscribe(text, turn) => ReasonCode::Success,
                Ok(_) => ReasonCode::NoSubscriptionExisted,
            };
            codes.push(code);
        }
        let removed = packet.filters.iter().zip(&codes).filter(|(_, code)| **code == ReasonCode::Success);
        let removed: Vec<_> = removed.map(|(text, _)| text).collect();
        self.tell_subscribed(&removed, true);
        self.owe_suback(packet.packet_id, codes.into(), true, turn);
    }

    fn unsubscribe(&mut self, text: &str, turn: &mut Turn<'_>) -> bool {
        let hub = self.hub.clone();
        let Some(live) = &mut self.live else { return false };
        let Some(place) = live.state.find(text) else { return false };
        let subscription = live.state.subscriptions.swap_remove(place);
        match &subscription.share {
            Some(share) => hub.groups.leave(&hub, share, &live.state.client_id),
            None => drop(turn.unsubscribe(hub.space(), &subscription.filter)),
        }
        if subscription.is_held {
            hub.gateway().core.release(hub.space(), &subscription.filter);
        }
        true
    }

    /// The grant has become narrower and covers a subscription no more.
    pub(super) fn on_revoked(&mut self, number: u16, turn: &mut Turn<'_>) {
        let hub = self.hub.clone();
        let Some(live) = &mut self.live else { return };
        live.state.subscriptions.retain(|subscription| {
            let is_it = subscription.number == Some(number);
            if is_it && subscription.is_held {
                hub.gateway().core.release(hub.space(), &subscription.filter);
            }
            !is_it
        });
        // No packet tells a client that a subscription has ended: it must come again.
        self.fail(ReasonCode::NotAuthorized, "a subscription is not allowed any more", turn);
    }
}

impl Live {
    /// It asks for nothing of its own, and everything so far is encoded the same way.
    fn is_plain(&self, subscription: &Subscription) -> bool {
        if subscription.qos > Qos::AtMostOnce || subscription.id.is_some() || subscription.no_local {
            return false;
        }
        let as_published = subscription.retain_as_published;
        self.state.subscriptions.iter().all(|other| other.retain_as_published == as_published)
    }

    /// From now on every message is brought to the session.
    pub(super) fn track_all(&mut self, turn: &mut Turn<'_>) {
        if self.is_tracked {
            return;
        }
        self.is_tracked = true;
        for number in self.state.subscriptions.iter().filter_map(|subscription| subscription.number) {
            turn.track(number);
        }
    }
}
