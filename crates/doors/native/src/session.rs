//! The WebSocket side of the protocol: one `match` over what happens.

use std::sync::Arc;

use fanfare_core::{Filter, HistoryPage, Position, Principal, Refusal, TopicName};
use fanfare_door::{Arrival, Goodbye, Happening, Opening, Reply, Session, SubscribeRequest, Ticket, Turn};
use fanfare_identity::{TokenError, Verdict};
use hashbrown::HashMap;
use serde_json::{Value, json};

use crate::errors::Problem;
use crate::frames::{self, DEFAULT_SPACE};
use crate::requests::{self, Frame, Resume, Spaces};

/// The timer by which `connect` must have come.
const CONNECT: u32 = 1;
/// Frames that may wait while a token's keys are fetched.
const WAITING_FRAMES_MAX: usize = 64;
/// Messages in one `history` answer, at most and when the client does not say.
pub(crate) const HISTORY_MAX: usize = 1_000;
pub(crate) const HISTORY_DEFAULT: usize = 100;
/// Members in one `members` answer, at most and when the client does not say.
pub(crate) const MEMBERS_MAX: usize = 1_000;

/// Answers an upgrade to `/v1/connect`.
pub(crate) fn open(arrival: &Arrival<'_>, turn: &mut Turn<'_>) -> Opening {
    let spaces = Spaces::new(turn.gateway().default_space().clone());
    let mut session = NativeSession { phase: Phase::New, spaces, open: None, next_ticket: 0 };
    let Some(head) = arrival.head else { return Opening::Accept(Box::new(session)) };
    if head.query_value("token").is_some() || head.query_value("access_token").is_some() {
        return refuse(&Problem::bad_request(
            "tokens are not accepted in a URL, where they end up in logs; send one in the connect frame, or use a ticket",
        ));
    }
    let now = turn.now();
    if let Some(token) = head.bearer() {
        match turn.gateway().gate.verify(token, now) {
            Verdict::Principal(principal) => session.phase = Phase::Known(principal),
            Verdict::Refused(error) => return refuse(&error.into()),
            Verdict::NeedsKeys => session.phase = Phase::Bearer(token.into()),
        }
    } else if let Some(ticket) = head.query_value("ticket") {
        match turn.gateway().tickets.redeem(&ticket, now) {
            Some(principal) => session.phase = Phase::Known(principal),
            None => return refuse(&TokenError::Ticket.into()),
        }
    }
    Opening::Accept(Box::new(session))
}

fn refuse(problem: &Problem) -> Opening {
    Opening::Refuse { status: problem.status, headers: Vec::new(), body: problem.fields().to_string().into_bytes() }
}

struct NativeSession {
    phase: Phase,
    spaces: Spaces,
    /// What was asked for and is not answered yet.
    open: Option<Box<HashMap<Ticket, Pending, foldhash::fast::RandomState>>>,
    next_ticket: Ticket,
}

enum Phase {
    /// `connect` has not come, and the upgrade had no credential.
    New,
    /// The upgrade had a bearer token whose key must be fetched.
    Bearer(Box<str>),
    /// The upgrade had a credential that counts.
    Known(Arc<Principal>),
    /// The keys for the token are being fetched; later frames wait.
    Authenticating(Vec<String>),
    /// `connect` was answered.
    Connected,
}

enum Pending {
    Publish { id: u64, position: Position, is_duplicate: bool },
    Connect { id: Option<u64>, resume: Vec<Resume> },
    Refresh { id: Option<u64> },
    History { id: Option<u64> },
}

type HistoryAnswer = Result<(HistoryPage, Position, bool), Refusal>;

impl Session for NativeSession {
    fn handle(&mut self, happening: Happening<'_>, turn: &mut Turn<'_>) {
        match happening {
            Happening::Opened => turn.set_timer(CONNECT, turn.gateway().limits().handshake_timeout_ms),
            Happening::Text(text) => self.on_text(text, turn),
            Happening::Binary(_) => {
                turn.close(Goodbye::ProtocolError { code: 1003, reason: "frames of this protocol are text".into() })
            }
            Happening::Answer(ticket, reply) => self.on_answer(ticket, reply, turn),
            Happening::Timer(CONNECT) if !matches!(self.phase, Phase::Connected) => {
                turn.close(Goodbye::HandshakeTimeout)
            }
            Happening::Gap { subscription } => on_gap(subscription, turn),
            Happening::Unsubscribed { subscription } => on_unsubscribed(subscription, turn),
            Happening::Goodbye(goodbye) => say_goodbye(goodbye, turn),
            Happening::Timer(_)
            | Happening::Bytes(_)
            | Happening::Delivery { .. }
            | Happening::Clear
            | Happening::Told(_)
            | Happening::Gone => {}
        }
    }
}

impl NativeSession {
    fn on_text(&mut self, text: &str, turn: &mut Turn<'_>) {
        if let Phase::Authenticating(waiting) = &mut self.phase {
            if waiting.len() < WAITING_FRAMES_MAX {
                waiting.push(text.to_owned());
            } else {
                send_problem(turn, None, &Refusal::Overloaded.into());
            }
            return;
        }
        let frame: Frame<'_> = match serde_json::from_str(text) {
            Ok(frame) => frame,
            Err(error) => {
                let (id, message) = requests::diagnose(text, &error);
                return send_problem(turn, id, &Problem::bad_request(message));
            }
        };
        let id = frame.id;
        if let Err(problem) = self.on_frame(frame, turn) {
            turn.count_refusal(problem.code);
            send_problem(turn, id, &problem);
        }
    }

    fn on_frame(&mut self, frame: Frame<'_>, turn: &mut Turn<'_>) -> Result<(), Problem> {
        let is_connected = matches!(self.phase, Phase::Connected);
        match &*frame.kind {
            "ping" => {
                pong(frame.id, turn);
                Ok(())
            }
            "connect" if !is_connected => self.connect(&frame, turn),
            "connect" => Err(Problem::bad_request("already connected")),
            _ if !is_connected => {
                let problem = Problem::final_one("not_connected", 401, "the first frame must be connect");
                Err(problem)
            }
            "publish" => self.publish(frame, turn),
            "subscribe" => self.subscribe(&frame, turn),
            "unsubscribe" => self.unsubscribe(&frame, turn),
            "presence" => self.presence(&frame, turn),
            "history" => self.history(&frame, turn),
            "refresh" => self.refresh(&frame, turn),
            other => Err(Problem::final_one("unknown_type", 400, format!("there is no frame of type {other:?}"))),
        }
    }

    fn pend(&mut self, pending: Pending) -> Ticket {
        self.next_ticket += 1;
        self.open.get_or_insert_default().insert(self.next_ticket, pending);
        self.next_ticket
    }

    fn take_pending(&mut self, ticket: Ticket) -> Option<Pending> {
        let open = self.open.as_mut()?;
        let pending = open.remove(&ticket);
        if open.is_empty() {
            self.open = None;
        }
        pending
    }

    fn connect(&mut self, frame: &Frame<'_>, turn: &mut Turn<'_>) -> Result<(), Problem> {
        let resume = frame.resume()?;
        let limit = turn.gateway().limits().subscriptions;
        if resume.len() > limit {
            return Err(Refusal::TooManySubscriptions { limit }.into());
        }
        let now = turn.now();
        let token: Box<str> = match (&frame.token, &self.phase) {
            (Some(token), _) => (**token).into(),
            (None, Phase::Bearer(token)) => token.clone(),
            (None, Phase::Known(principal)) => {
                let principal = principal.clone();
                self.welcome(frame.id, principal, resume, turn);
                return Ok(());
            }
            (None, _) => {
                let principal = turn.gateway().gate.anonymous(now)?;
                self.welcome(frame.id, principal, resume, turn);
                return Ok(());
            }
        };
        match turn.gateway().gate.verify(&token, now) {
            Verdict::Principal(principal) => self.welcome(frame.id, principal, resume, turn),
            Verdict::Refused(error) => return Err(error.into()),
            Verdict::NeedsKeys => {
                let ticket = self.pend(Pending::Connect { id: frame.id, resume });
                fetch_keys(ticket, token, turn)?;
                self.phase = Phase::Authenticating(Vec::new());
            }
        }
        Ok(())
    }

    /// The connection stands: tells limits and what became of earlier subscriptions, whose
    /// messages follow.
    fn welcome(&mut self, id: Option<u64>, principal: Arc<Principal>, resume: Vec<Resume>, turn: &mut Turn<'_>) {
        let waiting = match std::mem::replace(&mut self.phase, Phase::Connected) {
            Phase::Authenticating(waiting) => waiting,
            _ => Vec::new(),
        };
        turn.set_principal(principal.clone());
        let mut replays = Vec::new();
        let mut resumed = Vec::new();
        for entry in resume {
            resumed.push(match self.resume(&entry, turn) {
                Ok((reply, replay)) => {
                    replays.push(replay);
                    reply
                }
                Err(problem) => problem.fields(),
            });
        }
        let gateway = turn.gateway().clone();
        let limits = gateway.limits();
        let mut frame = json!({
            "type": "welcome",
            "connection": turn.connection().text(&gateway.node),
            "node": &*gateway.node,
            "ping_ms": limits.ping_interval_ms,
            "reconnect_spread_ms": limits.reconnect_spread_ms,
            "limits": {
                "message_bytes": gateway.core.space_settings(DEFAULT_SPACE).message_bytes_max,
                "frame_bytes": limits.frame_bytes,
                "topic_bytes": limits.topic_bytes,
                "subscriptions": limits.subscriptions,
                "publish_per_second": limits.publish_per_second,
            },
            "resumed": resumed,
        });
        describe(&mut frame, &principal);
        send(turn, id, frame);
        for replay in replays {
            turn.begin(replay);
        }
        for text in waiting {
            self.on_text(&text, turn);
        }
    }

    fn resume(&mut self, entry: &Resume, turn: &mut Turn<'_>) -> Result<(Value, fanfare_door::Replay), Problem> {
        let space = self.spaces.get(entry.space.as_deref())?;
        let filter = requests::filter(entry.topic.as_deref(), entry.pattern.as_deref())?;
        let since = requests::since(entry.since.as_deref())?;
        let request =
            SubscribeRequest { space: space.clone(), filter, since, wants_presence: entry.presence, is_tracked: false };
        let filter = request.filter.clone();
        let subscribed = turn.subscribe(request)?;
        let mut reply = json!({ "position": subscribed.position.to_string() });
        name(&mut reply, &space, &filter);
        if let Some(recovered) = subscribed.recovered {
            reply["recovered"] = recovered.into();
        }
        Ok((reply, subscribed.replay))
    }

    fn subscribe(&mut self, frame: &Frame<'_>, turn: &mut Turn<'_>) -> Result<(), Problem> {
        let entry = Resume {
            topic: frame.topic.as_deref().map(str::to_owned),
            pattern: frame.pattern.as_deref().map(str::to_owned),
            space: frame.space.as_deref().map(str::to_owned),
            since: frame.since.as_deref().map(str::to_owned),
            presence: frame.presence,
        };
        let (mut reply, replay) = self.resume(&entry, turn)?;
        reply["type"] = "subscribed".into();
        send(turn, frame.id, reply);
        turn.begin(replay);
        Ok(())
    }

    fn unsubscribe(&mut self, frame: &Frame<'_>, turn: &mut Turn<'_>) -> Result<(), Problem> {
        let space = self.spaces.get(frame.space.as_deref())?;
        let filter = requests::filter(frame.topic.as_deref(), frame.pattern.as_deref())?;
        if !turn.unsubscribe(&space, &filter) {
            return Err(Problem::final_one("not_subscribed", 404, format!("there is no subscription to {filter}")));
        }
        let mut reply = json!({ "type": "unsubscribed" });
        name(&mut reply, &space, &filter);
        send(turn, frame.id, reply);
        Ok(())
    }

    fn publish(&mut self, frame: Frame<'_>, turn: &mut Turn<'_>) -> Result<(), Problem> {
        let id = frame.id;
        let publication = frame.into_publish()?.into_publication(&mut self.spaces, turn.now())?;
        let ticket = id.map(|_| self.next_ticket + 1);
        let published = turn.publish(publication, ticket)?;
        let Some(id) = id else { return Ok(()) };
        let (position, is_duplicate) = (published.position, published.is_duplicate);
        if published.awaits_commit {
            self.pend(Pending::Publish { id, position, is_duplicate });
        } else {
            acknowledge(id, position, is_duplicate, turn);
        }
        Ok(())
    }

    fn presence(&mut self, frame: &Frame<'_>, turn: &mut Turn<'_>) -> Result<(), Problem> {
        let space = self.spaces.get(frame.space.as_deref())?;
        let topic = TopicName::new(frame.topic.as_deref().ok_or_else(|| Problem::bad_request("topic is needed"))?)?;
        let data = frame.data.map(|data| bytes::Bytes::copy_from_slice(data.get().as_bytes())).unwrap_or_default();
        let mut reply = json!({ "type": "members", "topic": &*topic });
        match frame.action.as_deref() {
            Some("enter") => turn.enter(&space, &topic, data)?,
            Some("update") => turn.update_presence(&space, &topic, data)?,
            Some("leave") => {
                if !turn.exit(&space, &topic) {
                    return Err(Problem::final_one(
                        "not_present",
                        404,
                        format!("this connection is not present on {topic}"),
                    ));
                }
            }
            Some("list") => {
                let limit = frame.limit.unwrap_or(HISTORY_DEFAULT).clamp(1, MEMBERS_MAX);
                let (members, has_more) =
                    turn.gateway().core.members(&turn.principal(), &space, &topic, frame.after.as_deref(), limit)?;
                reply["members"] = members.iter().map(frames::member).collect();
                if let Some(last) = members.last().filter(|_| has_more) {
                    reply["after"] = Value::from(&*last.id);
                }
            }
            _ => return Err(Problem::bad_request("action is needed: enter, update, leave or list")),
        }
        send(turn, frame.id, reply);
        Ok(())
    }

    fn history(&mut self, frame: &Frame<'_>, turn: &mut Turn<'_>) -> Result<(), Problem> {
        let space = self.spaces.get(frame.space.as_deref())?;
        let filter = requests::filter(frame.topic.as_deref(), frame.pattern.as_deref())?;
        let since = requests::since(Some(frame.since.as_deref().unwrap_or("all")))?;
        let limit = frame.limit.unwrap_or(HISTORY_DEFAULT).clamp(1, HISTORY_MAX);
        let (gateway, principal) = (turn.gateway().clone(), turn.principal());
        let ticket = self.pend(Pending::History { id: frame.id });
        let asked = turn.ask(ticket, async move {
            let tasks = gateway.tasks.clone();
            let read = tasks.spawn_blocking(move || gateway.core.history(&principal, &space, &filter, since, limit));
            let answer: HistoryAnswer = read.await.unwrap_or(Err(Refusal::ShuttingDown));
            answer
        });
        if asked.is_err() {
            self.take_pending(ticket);
        }
        Ok(asked?)
    }

    fn refresh(&mut self, frame: &Frame<'_>, turn: &mut Turn<'_>) -> Result<(), Problem> {
        let token = frame.token.as_deref().ok_or_else(|| Problem::bad_request("token is needed"))?;
        match turn.gateway().gate.verify(token, turn.now()) {
            Verdict::Principal(principal) => refreshed(frame.id, principal, turn),
            Verdict::Refused(error) => return Err(error.into()),
            Verdict::NeedsKeys => {
                let ticket = self.pend(Pending::Refresh { id: frame.id });
                fetch_keys(ticket, token.into(), turn)?;
            }
        }
        Ok(())
    }

    fn on_answer(&mut self, ticket: Ticket, reply: Reply, turn: &mut Turn<'_>) {
        match (self.take_pending(ticket), reply) {
            (Some(Pending::Publish { id, position, is_duplicate }), Reply::Committed(Ok(()))) => {
                acknowledge(id, position, is_duplicate, turn);
            }
            (Some(Pending::Publish { id, .. }), Reply::Committed(Err(error))) => {
                send_problem(turn, Some(id), &Refusal::from(error).into());
            }
            (Some(Pending::History { id }), Reply::Value(value)) => {
                if let Ok(answer) = value.downcast::<HistoryAnswer>() {
                    send_history(turn, id, *answer);
                }
            }
            (Some(Pending::Connect { id, resume }), Reply::Value(value)) => match verified(value) {
                Ok(principal) => self.welcome(id, principal, resume, turn),
                Err(error) => {
                    self.phase = Phase::New;
                    send_problem(turn, id, &error.into());
                }
            },
            (Some(Pending::Refresh { id }), Reply::Value(value)) => match verified(value) {
                Ok(principal) => refreshed(id, principal, turn),
                Err(error) => send_problem(turn, id, &error.into()),
            },
            (Some(Pending::Connect { id, .. } | Pending::Refresh { id } | Pending::History { id }), Reply::Lost) => {
                send_problem(turn, id, &Refusal::Overloaded.into());
            }
            _ => {}
        }
    }
}

type Verified = Result<Arc<Principal>, TokenError>;

fn fetch_keys(ticket: Ticket, token: Box<str>, turn: &mut Turn<'_>) -> Result<(), Refusal> {
    let (gateway, now) = (turn.gateway().clone(), turn.now());
    turn.ask(ticket, async move {
        let verified: Verified = gateway.gate.verify_with_fetch(&token, now).await;
        verified
    })
}

fn verified(value: Box<dyn std::any::Any + Send>) -> Verified {
    value.downcast::<Verified>().map_or(Err(TokenError::KeysUnavailable), |verified| *verified)
}

fn refreshed(id: Option<u64>, principal: Arc<Principal>, turn: &mut Turn<'_>) {
    turn.set_principal(principal.clone());
    let mut frame = json!({ "type": "refreshed" });
    describe(&mut frame, &principal);
    send(turn, id, frame);
}

fn describe(frame: &mut Value, principal: &Principal) {
    if let Some(subject) = &principal.subject {
        frame["subject"] = Value::from(&**subject);
    }
    if let Some(expires_at) = principal.expires_at {
        frame["expires"] = expires_at.into();
    }
}

/// Adds `topic` or `pattern`, and `space` where it is not the default.
fn name(frame: &mut Value, space: &str, filter: &Filter) {
    frame[if filter.is_exact() { "topic" } else { "pattern" }] = Value::from(filter.as_str());
    if space != DEFAULT_SPACE {
        frame["space"] = Value::from(space);
    }
}

fn send(turn: &mut Turn<'_>, id: Option<u64>, mut frame: Value) {
    if let Some(id) = id {
        frame["id"] = id.into();
    }
    // Writing JSON to a vector cannot fail.
    turn.send(|out| drop(serde_json::to_writer(out, &frame)));
}

fn send_problem(turn: &mut Turn<'_>, id: Option<u64>, problem: &Problem) {
    let mut frame = problem.fields();
    frame["type"] = "error".into();
    send(turn, id, frame);
}

fn acknowledge(id: u64, position: Position, is_duplicate: bool, turn: &mut Turn<'_>) {
    turn.send(|out| {
        out.extend_from_slice(b"{\"type\":\"published\",\"id\":");
        out.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
        out.extend_from_slice(b",\"position\":\"");
        frames::position(out, position);
        out.extend_from_slice(if is_duplicate { b"\",\"duplicate\":true}" } else { b"\"}" });
    });
}

fn pong(id: Option<u64>, turn: &mut Turn<'_>) {
    let time = turn.now();
    send(turn, id, json!({ "type": "pong", "time": time }));
}

fn send_history(turn: &mut Turn<'_>, id: Option<u64>, answer: HistoryAnswer) {
    let (page, position, recovered) = match answer {
        Ok(answer) => answer,
        Err(refusal) => return send_problem(turn, id, &refusal.into()),
    };
    turn.send(|out| {
        out.extend_from_slice(b"{\"type\":\"history\",");
        if let Some(id) = id {
            out.extend_from_slice(format!("\"id\":{id},").as_bytes());
        }
        frames::history_fields(out, &page, position, recovered);
        out.push(b'}');
    });
}

fn on_gap(subscription: u16, turn: &mut Turn<'_>) {
    let Some((space, filter)) = turn.subscription(subscription) else { return };
    let mut frame = json!({ "type": "gap" });
    name(&mut frame, &space, &filter);
    if let Ok(head) = turn.gateway().core.head(&space) {
        frame["position"] = head.to_string().into();
    }
    send(turn, None, frame);
}

fn on_unsubscribed(subscription: u16, turn: &mut Turn<'_>) {
    let Some((space, filter)) = turn.subscription(subscription) else { return };
    let mut frame = json!({ "type": "unsubscribed", "code": "denied", "message": "the credential does not allow this subscription any more" });
    name(&mut frame, &space, &filter);
    send(turn, None, frame);
}

fn say_goodbye(goodbye: &Goodbye, turn: &mut Turn<'_>) {
    let (message, retry, retry_ms) = match goodbye {
        Goodbye::PeerClosed { .. } | Goodbye::Session { .. } => return,
        Goodbye::ShuttingDown { retry_ms } => ("the server is shutting down".to_owned(), true, Some(*retry_ms)),
        Goodbye::Overloaded { retry_ms } => ("too much at once".to_owned(), true, Some(*retry_ms)),
        Goodbye::SlowConsumer => {
            let message = "the client reads too slowly; resume from the last position it holds";
            (message.to_owned(), true, Some(1_000))
        }
        Goodbye::TokenExpired => ("the token expired; come back with a new one".to_owned(), true, Some(0)),
        Goodbye::Revoked => ("the token was revoked".to_owned(), false, None),
        Goodbye::Kicked { reason } => (reason.clone(), false, None),
        Goodbye::HandshakeTimeout => ("no connect frame came in time".to_owned(), true, Some(1_000)),
        Goodbye::PingTimeout => ("nothing was heard for two ping intervals".to_owned(), true, Some(0)),
        Goodbye::ProtocolError { reason, .. } => (reason.clone(), false, None),
    };
    let mut frame = json!({ "type": "bye", "code": goodbye.name(), "message": message, "retry": retry });
    if let Some(retry_ms) = retry_ms {
        frame["retry_ms"] = retry_ms.into();
    }
    send(turn, None, frame);
}
