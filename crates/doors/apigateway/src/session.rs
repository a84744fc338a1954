//! A connection: from the upgrade, over its messages, to its end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fanfare_apigateway::compiled::{CompiledRoute, IntegrationRequest, MessageText, Scope};
use fanfare_apigateway::facts::Facts;
use fanfare_apigateway::frame::{Ending, FrameError, Refused, disconnect_of, error_frame};
use fanfare_apigateway::id::Id;
use fanfare_apigateway::model::{Binary, IntegrationKind};
use fanfare_core::{Filter, Grant, Millis, Principal};
use fanfare_door::{Goodbye, Happening, Reply, Session, Ticket, Turn};
use fanfare_iam::Caller;

use crate::apis::{ServedApi, Shared, new_id};
use crate::calling::{Answered, CallError, Request, What};
use crate::counts::count;
use crate::opening::{Opened, Rejected};
use crate::orders::Order;
use crate::resume::Resume;
use crate::table::Connected;

/// The answer to the upgrade; messages have other tickets.
pub(crate) const OPENING: Ticket = 0;
/// Messages of one connection that are dealt with at once; what comes beyond is not read yet.
const MESSAGES_AT_ONCE: usize = 200;
/// Bytes of them, so that many large messages to a slow function do not fill the memory.
const BYTES_AT_ONCE: usize = 1 << 20;
const IDLE: u32 = 1;
const TOO_OLD: u32 = 2;
const GOING_AWAY: (u16, &str) = disconnect_of(Ending::Stopping);
const NOT_BINARY: (u16, &str) = disconnect_of(Ending::Binary);
const TOO_LONG: (u16, &str) = disconnect_of(Ending::TooLarge);
const NO_STATUS: (u16, &str) = disconnect_of(Ending::Client { code: None, reason: "" });
const ABNORMAL: (u16, &str) = disconnect_of(Ending::Lost);

/// One connection's state.
pub(crate) struct ApiSession {
    pub(crate) shared: Arc<Shared>,
    pub(crate) api: usize,
    pub(crate) id: Id,
    /// Absent until it is let in.
    pub(crate) open: Option<Open>,
    /// What results have subscribed it to.
    pub(crate) topics: Vec<Filter>,
    /// It is told positions.
    pub(crate) resume: Option<Resume>,
    /// Messages that wait for others to be done.
    waiting: VecDeque<Came>,
    /// Tickets of messages that are dealt with, and the bytes of each.
    under_way: Vec<(Ticket, usize)>,
    next_ticket: Ticket,
    /// The server stops, and the connection ends once what is under way is answered.
    is_leaving: bool,
    /// When the last message came.
    pub(crate) heard_at: Millis,
}

/// What an open connection has.
pub(crate) struct Open {
    pub(crate) facts: Arc<Facts>,
    caller: Option<Arc<Caller>>,
    key: Option<usize>,
    /// To be subscribed to once the link is up.
    subscribe: Vec<String>,
}

/// A message, as it came.
struct Came {
    text: String,
    is_base64: bool,
}

/// What became of a message.
struct Done {
    result: Result<Answered, CallError>,
    is_two_way: bool,
    request_id: String,
}

impl ApiSession {
    pub(crate) fn new(shared: Arc<Shared>, api: usize, id: Id, resume: Option<Resume>, now: Millis) -> Self {
        Self {
            shared,
            api,
            id,
            open: None,
            topics: Vec::new(),
            resume,
            waiting: VecDeque::new(),
            under_way: Vec::new(),
            next_ticket: OPENING + 1,
            is_leaving: false,
            heard_at: now,
        }
    }
}

impl Session for ApiSession {
    fn handle(&mut self, happening: Happening<'_>, turn: &mut Turn<'_>) {
        match happening {
            Happening::Answer(OPENING, Reply::Value(value)) => match value.downcast::<Result<Opened, Rejected>>() {
                Ok(decided) => self.decided(*decided, turn),
                Err(_) => self.refuse(&Refused::ConnectFailed, &new_id().to_string(), turn),
            },
            Happening::Answer(OPENING, _) => self.refuse(&Refused::ConnectFailed, &new_id().to_string(), turn),
            Happening::Opened => self.opened(turn),
            Happening::Text(text) => self.came(text, turn),
            Happening::Binary(bytes) => self.came_binary(bytes, turn),
            Happening::Answer(ticket, Reply::Value(value)) => {
                if let Ok(done) = value.downcast::<Done>() {
                    self.done(*done, turn);
                }
                self.one_less(ticket, turn);
            }
            Happening::Answer(ticket, Reply::Lost) => {
                if self.open.is_some() {
                    self.error(FrameError::Internal, &new_id().to_string(), turn);
                }
                self.one_less(ticket, turn);
            }
            Happening::Told(order) => {
                if let Ok(order) = order.downcast::<Order>() {
                    self.obey(*order, turn);
                }
            }
            Happening::Timer(IDLE) => self.check_idle(turn),
            Happening::Timer(TOO_OLD) => self.close(GOING_AWAY, turn),
            Happening::Goodbye(goodbye) => self.goodbye(goodbye, turn),
            Happening::Gone => self.end(ABNORMAL.0, ABNORMAL.1.to_owned()),
            Happening::Gap { .. } => tracing::debug!(connection = %self.id, "a slow client has missed messages"),
            _ => {}
        }
    }
}

/// How it begins and ends.
impl ApiSession {
    pub(crate) fn served(&self) -> &ServedApi {
        &self.shared.apis[self.api]
    }

    fn decided(&mut self, decided: Result<Opened, Rejected>, turn: &mut Turn<'_>) {
        let opened = match decided {
            Ok(opened) => opened,
            Err(Rejected { refused, request_id }) => return self.refuse(&refused, &request_id, turn),
        };
        let Opened { facts, caller, key, subprotocol, subscribe } = opened;
        turn.set_principal(Arc::new(principal(&facts)));
        if let Some(stage) = self.served().stage(&facts.stage) {
            turn.set_group(stage.group);
        }
        // From here on it exists for everybody, also for who asks before the client has read the 101.
        let connected = Connected { connection: turn.connection(), api: self.api, facts: facts.clone() };
        self.shared.table.insert(self.id, connected);
        self.shared.remember(self.served(), self.id, &facts);
        self.open = Some(Open { facts, caller, key, subscribe });
        turn.accept_as(subprotocol);
    }

    fn refuse(&mut self, refused: &Refused, request_id: &str, turn: &mut Turn<'_>) {
        self.served().throttle.refused(turn.peer().ip(), turn.now());
        let (status, headers, body) = refused.response(&self.id.to_string(), request_id);
        turn.count_refusal(refused.name());
        turn.refuse(status, &headers, &body);
    }

    fn opened(&mut self, turn: &mut Turn<'_>) {
        let options = self.served().options();
        let (idle_s, duration_s) = (options.idle_timeout_s, options.max_duration_s);
        self.heard_at = turn.now();
        if idle_s > 0 {
            turn.set_timer(IDLE, idle_s * 1_000);
        }
        if duration_s > 0 {
            turn.set_timer(TOO_OLD, duration_s * 1_000);
        }
        let subscribe = self.open.as_mut().map(|open| std::mem::take(&mut open.subscribe)).unwrap_or_default();
        self.begin(&subscribe, turn);
    }

    /// Data in either direction keeps a connection, and pings if they count.
    fn check_idle(&mut self, turn: &mut Turn<'_>) {
        let options = self.served().options();
        let heard_at = if options.idle_counts_pings { turn.heard_at() } else { self.heard_at };
        let due = heard_at.max(turn.sent_at()) + options.idle_timeout_s * 1_000;
        match due.checked_sub(turn.now()).filter(|left| *left > 0) {
            Some(left) => turn.set_timer(IDLE, left),
            None => self.close(GOING_AWAY, turn),
        }
    }

    pub(crate) fn close(&mut self, (code, reason): (u16, &str), turn: &mut Turn<'_>) {
        turn.close(Goodbye::Session { code, reason: reason.to_owned() });
    }

    fn goodbye(&mut self, goodbye: &Goodbye, turn: &mut Turn<'_>) {
        if matches!(goodbye, Goodbye::ShuttingDown { .. }) && !self.under_way.is_empty() && !self.is_leaving {
            self.is_leaving = true;
            turn.hold_input();
            return turn.stay();
        }
        let (code, reason) = match goodbye {
            Goodbye::PeerClosed { code: None, .. } => (NO_STATUS.0, NO_STATUS.1.to_owned()),
            Goodbye::PeerClosed { code: Some(code), reason } => (*code, reason.clone()),
            Goodbye::ShuttingDown { .. } => {
                turn.say_close(GOING_AWAY.0, GOING_AWAY.1);
                (GOING_AWAY.0, GOING_AWAY.1.to_owned())
            }
            Goodbye::ProtocolError { code: 1009, .. } => (TOO_LONG.0, TOO_LONG.1.to_owned()),
            Goodbye::ProtocolError { code, reason } | Goodbye::Session { code, reason } => (*code, reason.clone()),
            Goodbye::Kicked { reason } => (1008, reason.clone()),
            Goodbye::PingTimeout => (ABNORMAL.0, ABNORMAL.1.to_owned()),
            other => (other.close_code(), other.name().replace('_', " ")),
        };
        self.end(code, reason);
    }

    /// It exists no more, and `$disconnect` is told: once, whatever else follows.
    fn end(&mut self, code: u16, reason: String) {
        let Some(open) = self.open.take() else { return };
        self.shared.table.remove(self.id);
        self.waiting.clear();
        self.shared.told_end(self.api, self.id, open.facts, code, reason);
    }
}

/// What comes from the client.
impl ApiSession {
    fn came(&mut self, text: &str, turn: &mut Turn<'_>) {
        self.heard_at = turn.now();
        count(&self.served().counts.messages);
        self.take(Came { text: text.to_owned(), is_base64: false }, turn);
    }

    fn came_binary(&mut self, bytes: &[u8], turn: &mut Turn<'_>) {
        self.heard_at = turn.now();
        match self.served().options().binary {
            Binary::Reject => self.close(NOT_BINARY, turn),
            Binary::Base64 => {
                count(&self.served().counts.messages);
                let text = STANDARD.encode(bytes);
                self.take(Came { text, is_base64: true }, turn);
            }
        }
    }

    /// Deals with a message, or lets it wait: then nothing more is read.
    fn take(&mut self, came: Came, turn: &mut Turn<'_>) {
        if !self.has_room() || !self.waiting.is_empty() {
            self.waiting.push_back(came);
            return turn.hold_input();
        }
        self.route(came, turn);
    }

    /// Whether one more message may be dealt with.
    fn has_room(&self) -> bool {
        let at_once = if self.served().options().ordered { 1 } else { MESSAGES_AT_ONCE };
        let bytes: usize = self.under_way.iter().map(|(_, bytes)| bytes).sum();
        self.under_way.len() < at_once && bytes < BYTES_AT_ONCE
    }

    fn one_less(&mut self, ticket: Ticket, turn: &mut Turn<'_>) {
        self.under_way.retain(|(other, _)| *other != ticket);
        while self.open.is_some() && self.has_room() {
            let Some(came) = self.waiting.pop_front() else { break };
            self.route(came, turn);
        }
        match self.waiting.is_empty() {
            true if self.open.is_none() => {}
            true if self.is_leaving && self.under_way.is_empty() => self.close(GOING_AWAY, turn),
            true if !self.is_leaving => turn.take_input(),
            _ => {}
        }
    }

    /// Picks the route, and asks its integration.
    fn route(&mut self, came: Came, turn: &mut Turn<'_>) {
        let shared = self.shared.clone();
        let Some(open) = &self.open else { return };
        let (facts, caller, key) = (open.facts.clone(), open.caller.clone(), open.key);
        let api = &shared.apis[self.api];
        let moment = shared.moment();
        let message = MessageText::new(&came.text);
        let route = if came.is_base64 { api.compiled.route("$default") } else { api.compiled.select(&message) };
        let route_key = route.map_or("$default", CompiledRoute::key);
        if !api.admits(&facts.stage, route_key, key, turn.now()) {
            return self.error(FrameError::TooManyRequests, &moment.request_id, turn);
        }
        let Some(route) = route else {
            return self.error(FrameError::Forbidden, &moment.request_id, turn);
        };
        if caller.is_some_and(|caller| !shared.may_invoke(&caller, &facts, route.key())) {
            return self.error(FrameError::Forbidden, &moment.request_id, turn);
        }
        let is_topic = route.route().integration.as_ref().is_some_and(|i| i.kind == IntegrationKind::Topic);
        let what = What::Message { id: new_id().to_string(), text: came.text.clone(), is_base64: came.is_base64 };
        let request = Request { facts, moment, what };
        if is_topic {
            if !accepts(api, route, &request) {
                return self.error(FrameError::InvalidBody, &request.moment.request_id, turn);
            }
            return self.publish_here(route, &request, &message, turn);
        }
        self.ask(route, request, came.text.len(), turn);
    }

    fn ask(&mut self, route: &CompiledRoute, request: Request, bytes: usize, turn: &mut Turn<'_>) {
        let (shared, api, key) = (self.shared.clone(), self.api, route.key().to_owned());
        let (is_two_way, request_id) = (route.route().two_way, request.moment.request_id.clone());
        let id = request_id.clone();
        let work = async move {
            let api = &shared.apis[api];
            let result = match api.compiled.route(&key) {
                // Here, since a large message and a schema keep a thread busy for a while.
                Some(route) if !accepts(api, route, &request) => Err(CallError::InvalidBody),
                Some(route) => shared.call(api, route, &request).await,
                None => Ok(Answered::default()),
            };
            let status = result.as_ref().map_or_else(CallError::status, |answered| answered.status.unwrap_or(200));
            shared.log_access(api, &key, &request, status);
            Done { result, is_two_way, request_id }
        };
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        match turn.ask(ticket, work) {
            Ok(()) => self.under_way.push((ticket, bytes)),
            Err(_) => self.error(FrameError::TooManyRequests, &id, turn),
        }
    }

    fn done(&mut self, done: Done, turn: &mut Turn<'_>) {
        if self.open.is_none() {
            return;
        }
        match done.result {
            Ok(answered) => {
                if let Some(body) = answered.body.filter(|body| done.is_two_way && !body.is_empty()) {
                    self.send(&body, turn);
                }
                self.unsubscribe(&answered.unsubscribe, turn);
                self.subscribe(&answered.subscribe, turn);
            }
            Err(CallError::InvalidBody) => self.error(FrameError::InvalidBody, &done.request_id, turn),
            Err(error) if error.is_timeout() => self.error(FrameError::TimedOut, &done.request_id, turn),
            Err(error) if error.is_unsupported_media() => {
                self.error(FrameError::UnsupportedMediaType, &done.request_id, turn);
            }
            Err(_) => self.error(FrameError::Internal, &done.request_id, turn),
        }
    }

    /// A topic integration needs nobody else.
    fn publish_here(
        &mut self,
        route: &CompiledRoute,
        request: &Request,
        message: &MessageText<'_>,
        turn: &mut Turn<'_>,
    ) {
        let began = Instant::now();
        let context = request.context(route.key());
        let scope = Scope {
            message: Some(message),
            headers: &[],
            query: &[],
            context: &context,
            stage_variables: &request.facts.stage_variables,
        };
        let request_id = &request.moment.request_id;
        let published = match route.integration_request(&scope) {
            Ok(IntegrationRequest::Topic(topic)) => {
                let publication = self.shared.publication(&topic);
                publication.and_then(|publication| turn.publish(publication, None)).map_err(|error| error.to_string())
            }
            Ok(_) => return,
            Err(error) => Err(error.to_string()),
        };
        self.served().counts.integration(began.elapsed(), published.is_err());
        let status = if published.is_ok() { 200 } else { 500 };
        self.shared.log_access(self.served(), route.key(), request, status);
        match published {
            Ok(published) if route.route().two_way => {
                self.send(format!("{{\"position\":\"{}\"}}", published.position).as_bytes(), turn);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(at = %route.route().origin, route = %route.key(), request = %request_id, error, "a topic integration failed");
                self.error(FrameError::Internal, request_id, turn);
            }
        }
    }

    pub(crate) fn send(&mut self, body: &[u8], turn: &mut Turn<'_>) {
        count(&self.served().counts.messages);
        turn.send_as(crate::kind_of_bytes(body), |out| out.extend_from_slice(body));
    }

    fn error(&mut self, error: FrameError, request_id: &str, turn: &mut Turn<'_>) {
        if error.is_the_clients() {
            count(&self.served().counts.client_errors);
        }
        turn.count_refusal(error.name());
        let frame = error_frame(error, &self.id.to_string(), request_id);
        turn.send(|out| out.extend_from_slice(frame.as_bytes()));
    }
}

/// Whether a message is as the models of its route want it.
fn accepts(api: &ServedApi, route: &CompiledRoute, request: &Request) -> bool {
    match &request.what {
        What::Message { text, .. } if !api.api().disable_schema_validation => route.accepts(&MessageText::new(text)),
        _ => true,
    }
}

/// Whom a connection speaks for: what it may do is for routes to say, and topics are what results
/// have subscribed it to.
fn principal(facts: &Facts) -> Principal {
    let id = facts.authorizer.as_ref().and_then(|authorizer| authorizer.get("principalId"));
    let user = id.or_else(|| facts.identity.get("user")).and_then(|user| user.as_str());
    Principal { subject: user.map(Into::into), ..Principal::anonymous(Grant::everything()) }
}
