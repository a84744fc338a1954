//! Publish and long polls without gRPC.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_core::{Action, Message, Publication};
use fanfare_door::{Body, HttpContext, Listening, StreamItem, full_body};
use fanfare_momento::Problem;
use fanfare_momento::credential::CredentialError;
use fanfare_momento::http::{CONTENT_TYPE as JSON, PUBLISHED, Query, TopicPath, items_json, key, published, refusal};
use fanfare_momento::limits::POLL_ITEMS_MAX;
use fanfare_momento::sequence::{Sequence, Settings, Step};
use fanfare_momento::wire::{SubscriptionItem, TopicItem};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::NAME;
use crate::callers::Caller;
use crate::shared::Shared;
use crate::subscribing::Begun;

/// A body must be there within this.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// One answer holds about so many bytes of messages.
const ANSWER_BYTES: usize = 4 << 20;
/// When something is replayed and nothing comes for so long, the replay is over.
const REPLAY_PAUSE: Duration = Duration::from_millis(50);

/// Answers a publish or a poll.
pub(crate) async fn answer(shared: Arc<Shared>, request: Request<Incoming>, context: HttpContext) -> Response<Body> {
    let (head, body) = request.into_parts();
    let answered = match head.method {
        Method::POST => publish(&shared, &head, body).await.map(|()| (PUBLISHED, String::new())),
        _ => poll(&shared, &head).await.map(|body| (200, body)),
    };
    let (status, body) = answered.unwrap_or_else(|problem| {
        context.gateway.metrics.refusal(NAME, problem.name());
        refusal(&problem)
    });
    let mut response = Response::new(full_body(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status != PUBLISHED {
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Who asks for what.
fn read_head(shared: &Shared, head: &Parts) -> Result<(TopicPath, Query, Arc<Caller>), Problem> {
    let malformed = || Problem::InvalidArgument("the path is not /topics/{cache}/{topic}".to_owned());
    let path = TopicPath::parse(head.uri.path()).ok_or_else(malformed)?;
    let query = Query::parse(head.uri.query().unwrap_or_default())?;
    let authorization = header(head, AUTHORIZATION);
    let caller = shared.caller(key(authorization, query.token.as_deref())?.as_deref(), shared.gateway())?;
    Ok((path, query, caller))
}

fn header(head: &Parts, name: http::HeaderName) -> Option<&str> {
    head.headers.get(name).and_then(|value| value.to_str().ok())
}

async fn publish(shared: &Shared, head: &Parts, body: Incoming) -> Result<(), Problem> {
    let (path, _, caller) = read_head(shared, head)?;
    let (cache, topic) = shared.admit(&caller, Action::Publish, &path.cache, &path.topic).await?;
    let body = read_body(head, body, shared.options.limits.message_bytes).await?;
    let (kind, payload) = published(header(head, CONTENT_TYPE), body)?;
    shared.put(&caller, &cache, Publication::new(cache.space.clone(), topic, kind, payload)).await
}

async fn read_body(head: &Parts, body: Incoming, limit: usize) -> Result<Bytes, Problem> {
    let told = header(head, CONTENT_LENGTH).and_then(|length| length.parse().ok());
    if let Some(bytes) = told.filter(|bytes| *bytes > limit) {
        return Err(Problem::MessageTooLarge { bytes, limit });
    }
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Problem::MessageTooLarge { bytes: limit + 1, limit })
        }
        Ok(Err(_)) => Err(Problem::InvalidArgument("the body ended early".to_owned())),
        Err(_) => Err(Problem::TimedOut),
    }
}

async fn poll(shared: &Shared, head: &Parts) -> Result<String, Problem> {
    let (path, query, caller) = read_head(shared, head)?;
    let (cache, topic) = shared.admit(&caller, Action::Subscribe, &path.cache, &path.topic).await?;
    let begun = shared.listen(&caller, &cache, &topic, query.resume, Settings::poll())?;
    let is_fresh = query.resume.number == 0;
    let mut poll = Poll::new(shared, begun);
    let mut gone = cache.watch();
    tokio::select! {
        collected = poll.collect(shared.options.poll_hold) => collected?,
        _ = gone.wait_for(|gone| *gone) => return Err(Problem::CacheNotFound(path.cache)),
    }
    if poll.items.is_empty() && is_fresh {
        // Without a number the next poll would miss what is published between the two.
        poll.items.push(poll.sequence.here().into());
    }
    shared.gateway().meter.row(&cache.space, NAME, |row| {
        poll.delivered.iter().for_each(|bytes| row.delivered(*bytes, 1));
    });
    Ok(items_json(&poll.items))
}

/// What one poll has found so far.
struct Poll<'a> {
    shared: &'a Shared,
    _place: crate::caches::Place,
    listening: Listening,
    sequence: Sequence,
    items: Vec<SubscriptionItem>,
    bytes: usize,
    delivered: Vec<usize>,
    is_unsettled: bool,
    is_over: bool,
}

impl<'a> Poll<'a> {
    fn new(shared: &'a Shared, begun: Begun) -> Self {
        let Begun { place, listening, sequence, first, is_replay } = begun;
        let is_news = |item: &SubscriptionItem| {
            !matches!(item.kind, Some(fanfare_momento::wire::subscription_item::Kind::Heartbeat(_)))
        };
        Self {
            shared,
            _place: place,
            listening,
            sequence,
            items: first.into_iter().filter(is_news).collect(),
            bytes: 0,
            delivered: Vec::new(),
            is_unsettled: is_replay,
            is_over: false,
        }
    }

    /// Waits for the first news, and takes what is there with it.
    async fn collect(&mut self, hold: Duration) -> Result<(), Problem> {
        let end = Instant::now() + hold;
        while self.items.is_empty() && !self.is_over && Instant::now() < end {
            let deadline = if self.is_unsettled { end.min(Instant::now() + REPLAY_PAUSE) } else { end };
            match self.listening.next_before(deadline).await {
                Some(item) => self.take(item)?,
                None => self.settle(),
            }
        }
        while self.items.len() < POLL_ITEMS_MAX && self.bytes < ANSWER_BYTES && !self.is_over {
            match self.listening.next_now() {
                Some(item) => self.take(item)?,
                None => break,
            }
        }
        Ok(())
    }

    fn settle(&mut self) {
        if !self.is_unsettled || self.listening.is_item_waiting() {
            return;
        }
        self.is_unsettled = false;
        let now = self.shared.gateway().clock.now();
        self.items.extend(self.sequence.settle(self.listening.seen(), now).map(Into::into));
    }

    fn take(&mut self, item: StreamItem) -> Result<(), Problem> {
        match item {
            StreamItem::Message(message) => self.take_message(&message),
            StreamItem::Retained(_) => {}
            StreamItem::Gap(position) => {
                self.sequence.lose(position);
                self.is_unsettled = true;
            }
            StreamItem::End("token_expired") => return Err(CredentialError::Expired { at: 0 }.into()),
            StreamItem::End("revoked") => return Err(CredentialError::Revoked.into()),
            StreamItem::End("shutting_down") => self.is_over = true,
            StreamItem::End(_) => return Err(Problem::Unavailable("history cannot be read".to_owned())),
        }
        Ok(())
    }

    fn take_message(&mut self, message: &Message) {
        let now = self.shared.gateway().clock.now();
        if message.expires_at.is_some_and(|at| at <= now) {
            return;
        }
        let Step::Send(lost) = self.sequence.item(message.position(), now) else { return };
        self.items.extend(lost.map(SubscriptionItem::from));
        self.items.push(TopicItem::of(message).into());
        self.bytes += message.payload.len();
        self.delivered.push(message.payload.len());
    }
}
