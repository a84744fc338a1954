//! Who is told of what is published.
//!
//! A webhook reads its topic as a subscriber does, so that publishers through all doors are told of and
//! none of them waits. What it reads it puts into a durable queue, and then writes down how far it has
//! read: after a crash it goes on from there, and some deliveries are made twice, but none is lost as
//! long as history has it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use fanfare_core::{Filter, Grant, LogError, Message, Position, Principal, RecordTable, Since, TopicName};
use fanfare_door::{Gateway, Listening, StreamItem};
use fanfare_momento::grpc::frame;
use fanfare_momento::method::Method;
use fanfare_momento::wire::{
    self, DeleteWebhookRequest, Empty, GetWebhookSecretRequest, GetWebhookSecretResponse, ListWebhooksRequest,
    ListWebhooksResponse, PutWebhookRequest, SecretResponse, WebhookDestination, WebhookId, webhook_destination,
};
use fanfare_momento::{Problem, name};
use fanfare_queue::{PutError, Queue};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, oneshot, watch};

use crate::deliveries::{self, BOUNDS, Parcel};
use crate::grpc::parse;
use crate::rates::Rate;
use crate::shared::Shared;

/// Deliveries of one webhook under way at once.
const UNDER_WAY_MAX: usize = 16;
/// When the queue is full, a webhook waits so long before it reads on.
const FULL_PAUSE: Duration = Duration::from_millis(250);
/// Of a secret, in bytes before it is written as text.
const SECRET_BYTES: usize = 32;

/// What stands before the keys of records: the webhook itself, and how far it has read.
const HOOK: u8 = b'h';
const CURSOR: u8 = b'c';

/// A webhook by cache and name.
type HookId = (String, String);

/// What is kept of a webhook.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    topic: String,
    url: String,
    secret: String,
}

/// A webhook.
pub(crate) struct Hook {
    id: HookId,
    kept: Kept,
    stop: watch::Sender<bool>,
    pub(crate) rate: Arc<Rate>,
    pub(crate) under_way: Arc<Semaphore>,
}

impl Hook {
    fn new(id: HookId, kept: Kept) -> Arc<Self> {
        let (rate, under_way) = (Arc::default(), Arc::new(Semaphore::new(UNDER_WAY_MAX)));
        Arc::new(Self { id, kept, stop: watch::Sender::new(false), rate, under_way })
    }

    pub(crate) fn url(&self) -> &str {
        &self.kept.url
    }

    pub(crate) fn secret(&self) -> &str {
        &self.kept.secret
    }

    fn to_wire(&self) -> wire::Webhook {
        let (cache_name, webhook_name) = self.id.clone();
        wire::Webhook {
            webhook_id: Some(WebhookId { cache_name, webhook_name }),
            topic_name: self.kept.topic.clone(),
            destination: Some(WebhookDestination {
                kind: Some(webhook_destination::Kind::PostUrl(self.kept.url.clone())),
            }),
        }
    }
}

/// All webhooks.
#[derive(Default)]
pub(crate) struct Webhooks {
    known: Mutex<BTreeMap<HookId, Arc<Hook>>>,
    queue: OnceLock<Queue<Parcel>>,
    pub(crate) delivered: AtomicU64,
    pub(crate) given_up: AtomicU64,
}

impl Webhooks {
    pub(crate) fn get(&self, cache: &str, name: &str) -> Option<Arc<Hook>> {
        self.known.lock().get(&(cache.to_owned(), name.to_owned())).cloned()
    }

    /// Deliveries that were made, and that were given up.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.delivered.load(Ordering::Relaxed), self.given_up.load(Ordering::Relaxed))
    }
}

impl Shared {
    /// Takes up webhooks and deliveries of earlier runs.
    pub(crate) fn start_webhooks(self: &Arc<Self>, gateway: &Arc<Gateway>) -> Result<(), LogError> {
        let log = gateway.core.log().clone();
        let (queue, restored) = Queue::open(log.clone(), RecordTable::WebhookDeliveries, BOUNDS)?;
        let _ = self.webhooks.queue.set(queue);
        let mut cursors = BTreeMap::new();
        for (key, value) in log.records(RecordTable::Webhooks)? {
            let Some((kind, id)) = read_key(&key) else { continue };
            if kind == CURSOR {
                cursors.extend(read_cursor(&value).map(|cursor| (id, cursor)));
                continue;
            }
            match serde_json::from_slice(&value) {
                Ok(kept) => drop(self.webhooks.known.lock().insert(id.clone(), Hook::new(id, kept))),
                Err(error) => {
                    return Err(LogError::Damaged(format!("the webhook {} of {}: {error}", id.1, id.0).into()));
                }
            }
        }
        let hooks: Vec<_> = self.webhooks.known.lock().values().cloned().collect();
        for hook in hooks {
            let since = cursors.get(&hook.id).map_or(Since::Now, |cursor| Since::After(*cursor));
            self.start_hook(gateway, &hook, since);
        }
        for item in restored {
            gateway.tasks.spawn(deliveries::deliver(self.clone(), item));
        }
        Ok(())
    }

    /// Begins to read. What is published after this call is told.
    fn start_hook(self: &Arc<Self>, gateway: &Arc<Gateway>, hook: &Arc<Hook>, since: Since) {
        let listening = match self.listen_for(gateway, hook, since) {
            Ok(listening) => listening,
            Err(problem) => {
                let (cache, name) = &hook.id;
                tracing::error!(cache, name, %problem, "a webhook cannot read its topic");
                return;
            }
        };
        gateway.tasks.spawn(read_on(self.clone(), hook.clone(), listening));
    }

    fn listen_for(&self, gateway: &Arc<Gateway>, hook: &Hook, since: Since) -> Result<Listening, Problem> {
        let refused = |refusal| Problem::from(&refusal);
        let filter = Filter::new(&hook.kept.topic).map_err(refused)?;
        let principal = Arc::new(Principal::anonymous(Grant::everything()));
        let space: Arc<str> = self.caches.space_of(&hook.id.0).into();
        let listen = |since| gateway.listen(&principal, &space, vec![filter.clone()], since).map_err(refused);
        let listening = listen(since)?;
        // What is kept of a past that is gone in part is all new to the webhook.
        if listening.recovered == Some(false) { listen(Since::Beginning) } else { Ok(listening) }
    }

    /// Carries out a call about webhooks.
    ///
    /// # Errors
    /// There is no such cache or webhook, or what is asked for cannot be.
    pub(crate) async fn manage_webhooks(self: &Arc<Self>, method: Method, message: Bytes) -> Result<Bytes, Problem> {
        match method {
            Method::PutWebhook => {
                let request: PutWebhookRequest = parse(message)?;
                Ok(frame(&SecretResponse { secret_string: self.put_webhook(request).await? }))
            }
            Method::DeleteWebhook => {
                let id: DeleteWebhookRequest = parse(message)?;
                let id = hook_id(id.webhook_id)?;
                self.remove_webhook(&id).await?;
                Ok(frame(&Empty {}))
            }
            Method::ListWebhooks => {
                let request: ListWebhooksRequest = parse(message)?;
                self.require_cache(&request.cache_name)?;
                let known = self.webhooks.known.lock();
                let own = known.values().filter(|hook| hook.id.0 == request.cache_name);
                Ok(frame(&ListWebhooksResponse { webhook: own.map(|hook| hook.to_wire()).collect() }))
            }
            Method::GetWebhookSecret => {
                let GetWebhookSecretRequest { cache_name, webhook_name } = parse(message)?;
                let hook = self.find(&(cache_name.clone(), webhook_name.clone()))?;
                let secret_string = hook.kept.secret.clone();
                Ok(frame(&GetWebhookSecretResponse { cache_name, webhook_name, secret_string }))
            }
            Method::RotateWebhookSecret => {
                let request: DeleteWebhookRequest = parse(message)?;
                let hook = self.find(&hook_id(request.webhook_id)?)?;
                let kept = Kept { secret: new_secret()?, ..hook.kept.clone() };
                Ok(frame(&SecretResponse { secret_string: self.replace(&hook.id, kept).await? }))
            }
            _ => Err(Problem::Unserved(method.path().unwrap_or_default().to_owned())),
        }
    }

    fn require_cache(&self, name: &str) -> Result<(), Problem> {
        name::cache(name)?;
        self.caches.get(name).map(drop).ok_or_else(|| Problem::CacheNotFound(name.to_owned()))
    }

    fn find(&self, id: &HookId) -> Result<Arc<Hook>, Problem> {
        self.require_cache(&id.0)?;
        let unknown = || Problem::WebhookNotFound { cache: id.0.clone(), name: id.1.clone() };
        self.webhooks.get(&id.0, &id.1).ok_or_else(unknown)
    }

    async fn put_webhook(self: &Arc<Self>, request: PutWebhookRequest) -> Result<String, Problem> {
        let missing = |what: &str| Problem::InvalidArgument(format!("the webhook's {what} is missing"));
        let webhook = request.webhook.ok_or_else(|| missing("description"))?;
        let id = hook_id(webhook.webhook_id)?;
        let topic: TopicName = name::topic(&webhook.topic_name)?;
        let destination = webhook.destination.and_then(|destination| destination.kind);
        let Some(webhook_destination::Kind::PostUrl(url)) = destination else { return Err(missing("destination")) };
        name::webhook_url(&url)?;
        self.require_cache(&id.0)?;
        let (before, others) = {
            let known = self.webhooks.known.lock();
            (known.get(&id).cloned(), known.keys().filter(|known| known.0 == id.0).count())
        };
        let limit = self.options.limits.webhooks;
        if before.is_none() && others >= limit {
            self.gateway().metrics.limit("momento_webhooks");
            return Err(Problem::TooMany { what: "webhooks", limit });
        }
        let secret = before.map_or_else(new_secret, |before| Ok(before.kept.secret.clone()))?;
        self.replace(&id, Kept { topic: topic.to_string(), url, secret }).await
    }

    /// Makes a webhook, or another of one that is there; what was published before its call and is not
    /// told yet goes to the new one. Yields its secret.
    async fn replace(self: &Arc<Self>, id: &HookId, kept: Kept) -> Result<String, Problem> {
        let gateway = self.gateway().clone();
        let value = serde_json::to_vec(&kept).map_err(|_| Problem::Internal)?;
        let secret = kept.secret.clone();
        let hook = Hook::new(id.clone(), kept);
        let (done, before) = {
            let mut known = self.webhooks.known.lock();
            let done = keep(&gateway, HOOK, id, Some(value.into()))?;
            (done, known.insert(id.clone(), hook.clone()))
        };
        let since = match before {
            Some(before) if before.kept.topic == hook.kept.topic => {
                before.stop.send_replace(true);
                read_back(&gateway, id)
            }
            Some(before) => {
                before.stop.send_replace(true);
                None
            }
            None => None,
        };
        self.start_hook(&gateway, &hook, since.map_or(Since::Now, Since::After));
        kept_well(done).await?;
        Ok(secret)
    }

    async fn remove_webhook(&self, id: &HookId) -> Result<(), Problem> {
        let hook = self.find(id)?;
        hook.stop.send_replace(true);
        let gateway = self.gateway();
        let done = {
            let mut known = self.webhooks.known.lock();
            known.remove(id);
            drop(keep(gateway, CURSOR, id, None)?);
            keep(gateway, HOOK, id, None)?
        };
        kept_well(done).await
    }

    /// Those of a cache that was removed end with it.
    pub(crate) async fn remove_webhooks_of(&self, cache: &str) -> Result<(), Problem> {
        let own: Vec<_> = self.webhooks.known.lock().keys().filter(|id| id.0 == cache).cloned().collect();
        for id in own {
            let hook = self.webhooks.known.lock().remove(&id);
            if let Some(hook) = hook {
                hook.stop.send_replace(true);
            }
            let gateway = self.gateway();
            drop(keep(gateway, CURSOR, &id, None)?);
            kept_well(keep(gateway, HOOK, &id, None)?).await?;
        }
        Ok(())
    }

    /// Puts a message into the queue, and waits as long as that is full.
    async fn enqueue(self: &Arc<Self>, hook: &Hook, message: &Message) {
        let gateway = self.gateway();
        let Some(queue) = self.webhooks.queue.get() else { return };
        let body: Bytes = fanfare_momento::webhook::payload(message, gateway.clock.now()).into();
        loop {
            let parcel = Parcel { cache: hook.id.0.clone(), name: hook.id.1.clone() };
            match queue.put(parcel, body.clone()) {
                Ok((item, _)) => return drop(gateway.tasks.spawn(deliveries::deliver(self.clone(), item))),
                Err(PutError::Full) => gateway.metrics.limit("momento_webhook_deliveries"),
                Err(PutError::Log(error)) => tracing::warn!(%error, "a webhook's delivery cannot be kept now"),
            }
            tokio::time::sleep(FULL_PAUSE).await;
        }
    }
}

/// Reads a webhook's topic until it is replaced, removed, or the server drains.
async fn read_on(shared: Arc<Shared>, hook: Arc<Hook>, mut listening: Listening) {
    let mut stop = hook.stop.subscribe();
    loop {
        let item = tokio::select! {
            item = listening.next() => item,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match item {
            StreamItem::Message(message) => shared.enqueue(&hook, &message).await,
            StreamItem::Retained(_) => continue,
            StreamItem::Gap(_) => shared.gateway().metrics.limit("momento_webhook_gap"),
            StreamItem::End(_) => return,
        }
        if *stop.borrow() {
            return;
        }
        if !listening.is_item_waiting() {
            let cursor = listening.seen().to_string();
            // Nobody waits for it: what a crash takes of it is delivered twice.
            drop(keep(shared.gateway(), CURSOR, &hook.id, Some(cursor.into())));
        }
    }
}

fn hook_id(id: Option<WebhookId>) -> Result<HookId, Problem> {
    let missing = || Problem::InvalidArgument("the webhook's id is missing".to_owned());
    let WebhookId { cache_name, webhook_name } = id.ok_or_else(missing)?;
    name::cache(&cache_name)?;
    name::webhook(&webhook_name)?;
    Ok((cache_name, webhook_name))
}

fn new_secret() -> Result<String, Problem> {
    let mut bytes = [0; SECRET_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Problem::Internal)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

type Done = oneshot::Receiver<Result<(), LogError>>;

fn keep(gateway: &Gateway, kind: u8, id: &HookId, value: Option<Bytes>) -> Result<Done, Problem> {
    let (tx, rx) = oneshot::channel();
    let done: fanfare_core::Done = Box::new(move |result| drop(tx.send(result)));
    let put = gateway.core.log().put_record(RecordTable::Webhooks, &record_key(kind, id), value, Some(done));
    put.map(|()| rx).map_err(|error| Problem::Unavailable(error.to_string()))
}

async fn kept_well(done: Done) -> Result<(), Problem> {
    let stopping = |_| Err(LogError::Failing("the server is stopping".into()));
    done.await.unwrap_or_else(stopping).map_err(|error| Problem::Unavailable(error.to_string()))
}

/// How far a webhook had read, as far as the disk knows.
fn read_back(gateway: &Gateway, id: &HookId) -> Option<Position> {
    let key = record_key(CURSOR, id);
    let records = gateway.core.log().records(RecordTable::Webhooks).ok()?;
    records.iter().find(|(known, _)| **known == *key).and_then(|(_, value)| read_cursor(value))
}

/// Names of caches hold no control character.
fn record_key(kind: u8, (cache, name): &HookId) -> Vec<u8> {
    [&[kind], cache.as_bytes(), &[0], name.as_bytes()].concat()
}

fn read_key(key: &[u8]) -> Option<(u8, HookId)> {
    let (kind, id) = key.split_first()?;
    let (cache, name) = std::str::from_utf8(id).ok()?.split_once('\0')?;
    Some((*kind, (cache.to_owned(), name.to_owned())))
}

fn read_cursor(value: &[u8]) -> Option<Position> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_by_their_keys() {
        let id = ("chat".to_owned(), "a\u{e9} b".to_owned());
        for kind in [HOOK, CURSOR] {
            assert_eq!(read_key(&record_key(kind, &id)), Some((kind, id.clone())));
        }
        assert_eq!(read_key(b""), None);
        assert_eq!(read_key(b"hchat"), None);
        let cursor = Position { epoch: 7, offset: 12 };
        assert_eq!(read_cursor(cursor.to_string().as_bytes()), Some(cursor));
    }

    #[test]
    fn secrets_differ() {
        let (one, other) = (new_secret().unwrap(), new_secret().unwrap());
        assert!(one != other && one.len() == 2 * SECRET_BYTES);
    }
}
