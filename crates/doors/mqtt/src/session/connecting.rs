//! From CONNECT to CONNACK: who is it, whose session is it, and where did it stop?

use std::collections::VecDeque;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use fanfare_core::{Action, Done, LogError, Principal};
use fanfare_door::Turn;
use fanfare_mqtt_codec::{Connack, ConnackProperties, Connect, Frame, Level, ReasonCode, decode_connect};
use fanfare_policy::{ConnectRequest, ConnectionPolicy, Decision};
use hashbrown::HashMap;

use super::leaving::LetGo;
use super::sending::Recalled;
use super::{ADMITTED, ANSWERS, CLAIMED, KEEP_ALIVE_TIMER, Live, MqttSession, Phase, RECALLED, WELCOME, session_end};
use crate::authenticate::{self, Admitted, Credentials, Denied};
use crate::iot::lifecycle;
use crate::profile;
use crate::registry::{Claim, Found, Handover};
use crate::session::subscribing::is_reserved;
use crate::state::State;
use crate::will::Will;

/// Who the client is, or why it is not let in.
pub(crate) type Admission = Result<Admitted, Denied>;

/// A CONNECT that is being worked on.
pub(crate) struct Asking {
    client_id: Arc<str>,
    is_assigned: bool,
    clean_start: bool,
    /// As asked for, and as granted.
    session_expiry: Option<u32>,
    expiry_s: u32,
    wished_keep_alive: u16,
    keep_alive: u16,
    will: Option<Box<Will>>,
    window: u16,
    packet_max: u32,
    alias_max: u16,
    wants_response_information: bool,
    principal: Option<Arc<Principal>>,
}

impl Asking {
    /// Whether policies let the client connect as it asks to; where there are none they do.
    fn permitted_by(&self, policy: Option<&ConnectionPolicy>) -> Result<(), Decision> {
        let Some(policy) = policy else { return Ok(()) };
        let will = self.will.as_deref();
        let decision = policy.connect(&ConnectRequest {
            client_id: &self.client_id,
            is_persistent: self.expiry_s > 0,
            will: will.map(|will| fanfare_policy::Will { topic: &will.topic, is_retained: will.retain }),
        });
        if decision.is_allowed() { Ok(()) } else { Err(decision) }
    }
}

impl MqttSession {
    /// The first packet, which must be CONNECT.
    pub(super) fn on_first(&mut self, frame: &Frame<'_>, turn: &mut Turn<'_>) {
        match decode_connect(frame) {
            Ok(connect) => {
                self.level = connect.level;
                self.on_connect(&connect, turn);
            }
            Err(error) => {
                tracing::info!(connection = ?turn.connection(), peer = %turn.peer(), %error, "a CONNECT was refused");
                turn.count_refusal("malformed_connect");
                turn.send(|out| error.encode_answer(out));
                self.phase = Phase::Ended;
                turn.close(session_end(1002, "malformed CONNECT"));
            }
        }
    }

    fn on_connect(&mut self, connect: &Connect<'_>, turn: &mut Turn<'_>) {
        let asking = match self.understand(connect, turn) {
            Ok(asking) => asking,
            Err((reason, why)) => return self.turn_away(reason, why, turn),
        };
        let credentials = Credentials::of(connect, &asking.client_id, turn.peer().ip(), self.arrived.take());
        self.asking = Some(Box::new(asking));
        self.phase = Phase::Waiting;
        match authenticate::judge(&self.hub, credentials, turn.now()) {
            authenticate::Verdict::Now(admission) => self.on_admission(admission, turn),
            authenticate::Verdict::Later(judging) => {
                if turn.ask::<Admission>(ADMITTED, judging).is_err() {
                    self.turn_away(ReasonCode::ServerBusy, "overloaded", turn);
                }
            }
        }
    }

    /// What the client wants, within what is allowed.
    fn understand(&self, connect: &Connect<'_>, turn: &Turn<'_>) -> Result<Asking, (ReasonCode, &'static str)> {
        let (options, wishes) = (&self.hub.options, &connect.properties);
        let id = connect.client_id;
        if id.len() > options.client_id_bytes || (id.is_empty() && !connect.level.is_v5() && !connect.clean_start) {
            return Err((ReasonCode::ClientIdentifierNotValid, "client_id"));
        }
        if wishes.auth_method.is_some() {
            return Err((ReasonCode::BadAuthenticationMethod, "auth_method"));
        }
        let session_expiry = match connect.level {
            Level::V5 => wishes.session_expiry,
            _ => Some(if connect.clean_start { 0 } else { options.session_expiry_max_s }),
        };
        let keep_alive = match (connect.keep_alive, options.max_keepalive_s) {
            (asked, 0) => asked,
            (0, max) => max,
            (asked, max) => asked.min(max),
        };
        let keep_alive = if options.is_aws() { keep_alive.max(profile::KEEP_ALIVE_MIN_S) } else { keep_alive };
        if options.is_aws() && connect.will.is_some_and(|will| will.qos > profile::MAXIMUM_QOS) {
            return Err((ReasonCode::QosNotSupported, "will_qos"));
        }
        Ok(Asking {
            client_id: if id.is_empty() { assigned_id(turn) } else { id.into() },
            is_assigned: id.is_empty(),
            clean_start: connect.clean_start,
            session_expiry,
            expiry_s: session_expiry.unwrap_or(0).min(options.session_expiry_max_s),
            wished_keep_alive: connect.keep_alive,
            keep_alive,
            will: will(connect)?,
            window: wishes.receive_maximum.map_or(u16::MAX, NonZeroU16::get).min(options.inflight_messages),
            packet_max: wishes.maximum_packet_size.map_or(u32::MAX, NonZeroU32::get),
            alias_max: wishes.topic_alias_maximum.unwrap_or(0),
            wants_response_information: wishes.request_response_information.unwrap_or(false),
            principal: None,
        })
    }

    pub(super) fn on_admission(&mut self, admission: Admission, turn: &mut Turn<'_>) {
        let Some(asking) = &mut self.asking else { return };
        let admitted = match admission {
            Ok(admitted) => admitted,
            Err(denied) => {
                let (peer, reason) = (turn.peer(), denied.code);
                tracing::info!(connection = ?turn.connection(), %peer, reason, "an MQTT client was not let in");
                return self.turn_away(denied.reason, denied.code, turn);
            }
        };
        if let Err(decision) = asking.permitted_by(admitted.policy.as_deref()) {
            tracing::info!(connection = ?turn.connection(), peer = %turn.peer(), %decision, "an MQTT client may not connect");
            return self.turn_away(ReasonCode::NotAuthorized, "connect_denied", turn);
        }
        let principal = admitted.principal;
        self.authorization = admitted.authorization;
        if let Some(will) = &mut asking.will {
            will.principal = principal.clone();
            if !may_speak(&principal, self.hub.space(), will) {
                return self.turn_away(ReasonCode::NotAuthorized, "will_denied", turn);
            }
        }
        asking.principal = Some(principal.clone());
        turn.set_principal(principal.clone());
        let (client_id, is_clean) = (asking.client_id.clone(), asking.clean_start);
        let (claim, effects) = self.hub.registry.claim(&client_id, &principal.subject, is_clean, turn.connection());
        self.hub.carry_out(effects);
        match claim {
            Claim::Now(found) => self.establish(found, turn),
            Claim::Crowded => self.turn_away(ReasonCode::ServerBusy, "takeovers", turn),
            Claim::Foreign => self.turn_away(ReasonCode::ClientIdentifierNotValid, "client_id_of_another", turn),
            Claim::Later(other, receiver) => {
                self.hub.gateway().tell(other, Box::new(LetGo));
                if turn.ask::<Option<Handover>>(CLAIMED, async move { receiver.await.ok() }).is_err() {
                    self.turn_away(ReasonCode::ServerBusy, "overloaded", turn);
                }
            }
        }
    }

    pub(super) fn on_handover(&mut self, handover: Option<Handover>, turn: &mut Turn<'_>) {
        match handover {
            Some(handover) => self.establish(handover.take(), turn),
            // Whoever had the session is gone without a trace.
            None => self.turn_away(ReasonCode::ServerBusy, "taken_over", turn),
        }
    }

    /// The client is in: the session begins, or goes on.
    fn establish(&mut self, found: Found, turn: &mut Turn<'_>) {
        let Some(asking) = self.asking.take() else { return };
        let Some(principal) = asking.principal.clone() else { return };
        let is_resumed = matches!(found, Found::Session(_));
        let mut state = match found {
            Found::Session(state) => *state,
            Found::Nothing => {
                let mut state = State::new(asking.client_id.clone(), principal.subject.clone(), asking.expiry_s);
                state.outbound.cursor = self.hub.head().offset;
                state
            }
        };
        state.expiry_s = asking.expiry_s;
        state.outbound.connect(asking.window);
        state.left = None;
        state.is_recorded |= state.is_durable() || asking.will.is_some();
        let (is_recorded, is_durable) = (state.is_recorded, state.is_durable());
        self.live = Some(Box::new(live(&asking, state, principal, is_resumed)));
        let done = is_durable.then(|| turn.on_commit(WELCOME));
        let is_kept = !is_recorded || self.record_session(done);
        self.asking = Some(asking);
        match (is_durable, is_kept) {
            // A session that is promised must outlast a crash.
            (true, true) => {}
            (true, false) => self.turn_away(ReasonCode::ServerUnavailable, "storage_unavailable", turn),
            (false, _) => self.welcome(turn),
        }
    }

    pub(super) fn on_kept(&mut self, result: Result<(), LogError>, turn: &mut Turn<'_>) {
        match result {
            Ok(()) => self.welcome(turn),
            Err(_) => self.turn_away(ReasonCode::ServerUnavailable, "storage_unavailable", turn),
        }
    }

    fn welcome(&mut self, turn: &mut Turn<'_>) {
        let Some(asking) = self.asking.take() else { return };
        self.phase = Phase::Connected;
        self.heard_at = turn.now();
        self.silence_ms = u64::from(asking.keep_alive) * 1_500;
        if self.silence_ms > 0 {
            turn.set_timer(KEEP_ALIVE_TIMER, self.silence_ms);
        }
        let is_resumed = self.live.as_ref().is_some_and(|live| live.is_resumed);
        self.say_welcome(&asking, is_resumed, turn);
        if let Some(live) = &mut self.live {
            live.connected_at = turn.now();
            live.life = lifecycle::connected(&self.hub, &live.state.client_id, &live.principal, turn.peer().ip());
        }
        self.watch_authorization(turn);
        if self.hub.registry.is_wanted_elsewhere(turn.connection(), self.live.as_ref().map(|live| &live.state)) {
            return self.fail(ReasonCode::SessionTakenOver, "the client has connected again", turn);
        }
        if is_resumed {
            self.resume(turn);
        }
        turn.read_again();
    }

    fn record_session(&self, done: Option<Done>) -> bool {
        let Some(live) = &self.live else { return false };
        self.hub.ledger().put_main(&live.state, live.will.as_deref(), None, done)
    }

    fn say_welcome(&self, asking: &Asking, session_present: bool, turn: &mut Turn<'_>) {
        let options = &self.hub.options;
        let response_information = format!("responses/{}/", asking.client_id);
        let is_lowered = asking.session_expiry.unwrap_or(0) != asking.expiry_s;
        let properties = ConnackProperties {
            session_expiry: is_lowered.then_some(asking.expiry_s),
            receive_maximum: NonZeroU16::new(options.receive_maximum),
            topic_alias_maximum: Some(options.topic_alias_maximum),
            maximum_packet_size: u32::try_from(options.packet_bytes).ok().and_then(NonZeroU32::new),
            assigned_client_id: asking.is_assigned.then_some(&*asking.client_id),
            server_keep_alive: (asking.keep_alive != asking.wished_keep_alive).then_some(asking.keep_alive),
            maximum_qos: options.is_aws().then_some(profile::MAXIMUM_QOS),
            subscription_ids_available: options.is_aws().then_some(false),
            response_information: asking.wants_response_information.then_some(&*response_information),
            ..ConnackProperties::default()
        };
        let connack = Connack { properties, ..Connack::new(session_present, ReasonCode::Success) };
        turn.send(|out| {
            // Fits every client that can take a packet at all.
            let _ = connack.encode(self.level, asking.packet_max, out);
        });
    }

    /// Goes on where an earlier connection stopped.
    fn resume(&mut self, turn: &mut Turn<'_>) {
        self.subscribe_again(turn);
        let Some(live) = &mut self.live else { return };
        live.state.outbound.is_behind = true;
        // What an earlier connection had begun and not seen on disk.
        live.needs_commit = live.state.is_durable() && live.state.outbound.has_unrecorded();
        let wanted = live.state.outbound.wanted();
        if wanted.is_empty() {
            return self.pump(turn);
        }
        live.waits += 1;
        let hub = self.hub.clone();
        let recalling = async move {
            let places = wanted.iter().map(|(_, topic, offset)| (topic.clone(), *offset)).collect();
            let found = hub.recall(places).await?;
            Some(wanted.into_iter().map(|(id, ..)| id).zip(found).collect::<Recalled>())
        };
        if turn.ask::<Option<Recalled>>(RECALLED, recalling).is_err() {
            self.fail(ReasonCode::ServerBusy, "too much is under way", turn);
        }
    }

    /// Answers CONNECT with anything but a welcome.
    pub(super) fn turn_away(&mut self, reason: ReasonCode, why: &'static str, turn: &mut Turn<'_>) {
        turn.count_refusal(why);
        let packet_max = self.asking.as_ref().map_or(u32::MAX, |asking| asking.packet_max);
        if let Some(asking) = &self.asking
            && matches!(reason, ReasonCode::NotAuthorized | ReasonCode::BadUserNameOrPassword)
        {
            lifecycle::connect_failed(&self.hub, &asking.client_id, asking.principal.as_deref(), turn.peer().ip());
        }
        if self.level.is_v5() || reason.to_v3_connack().is_some() {
            turn.send(|out| {
                let _ = Connack::new(false, reason).encode(self.level, packet_max, out);
            });
        }
        self.stop_asking(turn);
        if let Some(live) = &mut self.live {
            // Whoever was not welcome has no will.
            live.will = None;
        }
        self.phase = Phase::Ended;
        turn.close(session_end(1008, why));
    }

    /// The connection ends before it had CONNACK.
    pub(super) fn stop_asking(&mut self, turn: &Turn<'_>) {
        if let Some(asking) = self.asking.take() {
            self.hub.registry.give_up(&asking.client_id, turn.connection());
        }
    }
}

fn live(asking: &Asking, state: State, principal: Arc<Principal>, is_resumed: bool) -> Live {
    let needs_own_packets = asking.alias_max > 0 || asking.packet_max < u32::MAX;
    let checks_receiving = principal.grant.speaks_of(Action::Receive);
    Live {
        is_tracked: state.is_durable() || is_resumed || needs_own_packets || checks_receiving,
        state,
        will: asking.will.clone(),
        checks_receiving,
        principal,
        packet_max: asking.packet_max,
        aliases_in: Vec::new(),
        aliases_out: HashMap::default(),
        alias_max_out: asking.alias_max,
        answers: VecDeque::new(),
        next_answer: ANSWERS,
        waits: 0,
        is_reading: false,
        is_resumed,
        is_flight_due: false,
        needs_commit: false,
        is_committing: false,
        is_timer_set: false,
        holds_input: false,
        connected_at: 0,
        keep_alive: asking.keep_alive,
        life: None,
        receipts: Vec::new(),
    }
}

fn will(connect: &Connect<'_>) -> Result<Option<Box<Will>>, (ReasonCode, &'static str)> {
    // Who it is that speaks is known later.
    let nobody = Arc::new(Principal::default());
    let invalid = (ReasonCode::TopicNameInvalid, "will_topic");
    let will = connect.will.map(|will| Will::new(&will, nobody)).transpose().map_err(|_| invalid)?;
    match will {
        Some(will) if is_reserved(&will.topic) => Err(invalid),
        will => Ok(will.map(Box::new)),
    }
}

fn may_speak(principal: &Principal, space: &str, will: &Will) -> bool {
    let grant = &principal.grant;
    let may_retain = || !grant.speaks_of(Action::Retain) || grant.allows(Action::Retain, space, &will.topic);
    grant.allows(Action::Publish, space, &will.topic) && (!will.retain || may_retain())
}

/// An id for a client that has none, which no other has.
fn assigned_id(turn: &Turn<'_>) -> Arc<str> {
    let node = &turn.gateway().node;
    format!("auto-{node}-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)).into()
}
