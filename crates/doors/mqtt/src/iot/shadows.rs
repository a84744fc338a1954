//! Device shadows: documents in memory and on disk, and one line of answers.
//!
//! A request changes the document in memory at once, in the order of arrival, and hands the row to
//! the log. Its answer stands in one queue behind those of earlier requests and leaves when the row
//! is on disk, so that nobody hears of a change that a crash could take back.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_core::{Core, Done, Grant, Kind, LogError, Principal, Publication, RecordTable, Refusal, TopicName};
use fanfare_iot::shadow::{Operation, Rejection, Shadow, ShadowName, ShadowTopic};
use hashbrown::HashMap;
use parking_lot::Mutex;
use serde_json::Value as Json;
use tokio::sync::{mpsc, oneshot};

use crate::NAME;
use crate::hub::Hub;

/// Requests of one thing that are under way at a time; more are answered with 429.
const THING_REQUESTS_MAX: usize = 10;
/// Requests under way in all.
const REQUESTS_MAX: usize = 8_192;
/// In keys of rows, between the names of thing and shadow. It stands in no name.
const SEPARATOR: u8 = 0;

/// What a request is answered.
pub(crate) type Answer = Result<Json, Rejection>;

/// Who hears of a request's end.
pub(crate) enum Asker {
    /// A client of MQTT: its acknowledgement may leave. The answer is published.
    Client(Option<Done>),
    /// A caller over HTTP. Only what changes the document is published.
    Caller(oneshot::Sender<Answer>),
}

/// All shadows.
pub(crate) struct Shadows {
    documents_max: usize,
    core: Arc<Core>,
    inner: Mutex<Inner>,
    jobs: mpsc::Sender<Job>,
}

#[derive(Default)]
struct Inner {
    /// In order of thing and name.
    documents: BTreeMap<ShadowName, Document>,
    /// Requests under way, of things that have any.
    under_way: HashMap<Box<str>, usize, foldhash::fast::RandomState>,
}

/// A shadow as its row has it. Deleted ones stay: their versions must not come back.
#[derive(Clone, Default)]
struct Document {
    current: Bytes,
    exists: bool,
    version: u64,
    /// What is known to be on disk, while `current` is not.
    committed: Option<Box<Document>>,
}

/// A request that was carried out and is not answered yet.
pub(crate) struct Job {
    name: ShadowName,
    operation: Operation,
    outcome: Result<Outcome, Rejection>,
    change: Option<(Document, oneshot::Receiver<Result<(), LogError>>)>,
    is_counted: bool,
    asker: Asker,
    token: Option<String>,
}

struct Outcome {
    accepted: Json,
    delta: Option<Json>,
    documents: Option<Json>,
}

impl Shadows {
    /// Reads what is stored. The receiver belongs to [`answer_all`].
    ///
    /// # Errors
    /// The store cannot be read, or holds something else.
    pub(crate) fn open(core: Arc<Core>, documents_max: usize) -> Result<(Self, mpsc::Receiver<Job>), LogError> {
        let mut documents = BTreeMap::new();
        for (key, row) in core.log().records(RecordTable::Shadows)? {
            let damaged = |what: &str| LogError::Damaged(format!("a device shadow: {what}").into());
            let name = name_of(&key).ok_or_else(|| damaged("its key is not a name"))?;
            let shadow = Shadow::from_bytes(&row).map_err(|error| damaged(&error.to_string()))?;
            documents.insert(name, Document::new(row, &shadow));
        }
        let (jobs, receiver) = mpsc::channel(REQUESTS_MAX);
        let inner = Mutex::new(Inner { documents, ..Inner::default() });
        Ok((Self { documents_max, core, inner, jobs }, receiver))
    }

    /// Carries out a request. Its asker hears of it when everything that it changed is on disk.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`] with more than 8,192 requests under way; nothing was done then.
    pub(crate) fn request(&self, topic: ShadowTopic, request: &[u8], now_s: u64, asker: Asker) -> Result<(), Refusal> {
        let ShadowTopic { name, operation } = topic;
        let token = fanfare_iot::shadow::client_token(request);
        // Answers stand in the queue in the order in which documents change.
        let mut inner = self.inner.lock();
        let place = self.jobs.try_reserve().map_err(|_| Refusal::Overloaded)?;
        let under_way = inner.under_way.get(name.thing()).copied().unwrap_or_default();
        if under_way >= THING_REQUESTS_MAX {
            let outcome = Err(Rejection::new(429, "Too many requests of this thing are under way", request));
            place.send(Job { name, operation, outcome, change: None, is_counted: false, asker, token });
            return Ok(());
        }
        inner.under_way.insert(name.thing().into(), under_way + 1);
        let (outcome, change) = match self.carry_out(&mut inner, &name, operation, request, now_s) {
            Ok((outcome, change)) => (Ok(outcome), change),
            Err(rejection) => (Err(rejection), None),
        };
        place.send(Job { name, operation, outcome, change, is_counted: true, asker, token });
        Ok(())
    }

    #[expect(clippy::type_complexity, reason = "what is awaited stands beside what is answered, once")]
    fn carry_out(
        &self,
        inner: &mut Inner,
        name: &ShadowName,
        operation: Operation,
        request: &[u8],
        now_s: u64,
    ) -> Result<(Outcome, Option<(Document, oneshot::Receiver<Result<(), LogError>>)>), Rejection> {
        let failed = |_| Rejection::new(500, "Internal service failure", request);
        let known = inner.documents.get(name);
        let mut shadow = match known {
            Some(document) => Shadow::from_bytes(&document.current).map_err(|error| failed(error.to_string()))?,
            None => Shadow::default(),
        };
        let plain = |accepted| Outcome { accepted, delta: None, documents: None };
        let outcome = match operation {
            Operation::Get => return Ok((plain(shadow.get(name, request, now_s)?), None)),
            Operation::Delete => plain(shadow.delete(name, request, now_s)?),
            Operation::Update if known.is_none() && inner.documents.len() >= self.documents_max => {
                let message = "There are as many shadows as the server keeps; see iot.shadows";
                return Err(Rejection::new(429, message, request));
            }
            Operation::Update => {
                let updated = shadow.update(request, now_s)?;
                Outcome { accepted: updated.accepted, delta: updated.delta, documents: Some(updated.documents) }
            }
        };
        let mut document = Document::new(shadow.to_bytes().into(), &shadow);
        let (sender, committed) = oneshot::channel();
        let done: Done = Box::new(move |result| drop(sender.send(result)));
        let row = Some(document.current.clone());
        let put = self.core.log().put_record(RecordTable::Shadows, &key_of(name), row, Some(done));
        put.map_err(|error| failed(error.to_string()))?;
        let change = document.clone();
        document.committed = Some(match known.cloned() {
            Some(mut before) => before.committed.take().unwrap_or_else(|| Box::new(before)),
            None => Box::default(),
        });
        inner.documents.insert(name.clone(), document);
        Ok((outcome, Some((change, committed))))
    }

    /// Names of a thing's named shadows after `after`, at most `limit`, in order.
    pub(crate) fn named(&self, thing: &str, after: Option<&str>, limit: usize) -> Vec<String> {
        let Some(after) = ShadowName::new(thing, after) else { return Vec::new() };
        let inner = self.inner.lock();
        let later = inner.documents.range((Bound::Excluded(after), Bound::Unbounded));
        let own = later.take_while(|(name, _)| name.thing() == thing);
        let present = own.filter(|(_, document)| document.exists);
        present.filter_map(|(name, _)| name.shadow().map(str::to_owned)).take(limit).collect()
    }

    /// The present document of a shadow as [`Shadow::to_bytes`] writes it; `None` where there is none.
    pub(crate) fn document(&self, name: &ShadowName) -> Option<Bytes> {
        let inner = self.inner.lock();
        inner.documents.get(name).filter(|document| document.exists).map(|document| document.current.clone())
    }

    /// The disk has the document, or has not.
    fn settle(&self, name: &ShadowName, change: Document, result: &Result<(), LogError>) {
        let mut inner = self.inner.lock();
        let Some(document) = inner.documents.get_mut(name) else {
            // The first request failed and took the shadow away; a later one went well.
            if result.is_ok() {
                inner.documents.insert(name.clone(), change);
            }
            return;
        };
        match result {
            // Another request has changed it since.
            Ok(()) if document.current != change.current => {
                if document.committed.is_some() {
                    document.committed = Some(Box::new(change));
                } else {
                    // That other one failed, and went back further than it had to.
                    *document = change;
                }
            }
            Ok(()) => document.committed = None,
            Err(_) => match document.committed.take() {
                Some(before) if before.version > 0 => *document = *before,
                Some(_) => drop(inner.documents.remove(name)),
                None => {}
            },
        }
    }

    fn release(&self, thing: &str) {
        let mut inner = self.inner.lock();
        if let Some(count) = inner.under_way.get_mut(thing) {
            *count -= 1;
            if *count == 0 {
                inner.under_way.remove(thing);
            }
        }
    }
}

impl Document {
    fn new(current: Bytes, shadow: &Shadow) -> Self {
        Self { current, exists: shadow.exists(), version: shadow.version(), committed: None }
    }
}

/// Answers requests in their order, for as long as the server runs.
pub(crate) async fn answer_all(hub: Arc<Hub>, mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.recv().await {
        answer(&hub, job).await;
    }
}

async fn answer(hub: &Hub, job: Job) {
    let Job { name, operation, mut outcome, change, is_counted, asker, token } = job;
    let mut committed = Ok(());
    if let Some((change, awaited)) = change {
        committed = awaited.await.unwrap_or_else(|_| Err(LogError::Failing("the server stops".into())));
        hub.shadows().settle(&name, change, &committed);
    }
    if let Err(error) = &committed {
        tracing::warn!(%error, thing = name.thing(), "a device shadow could not be kept");
        let message = "Internal service failure".to_owned();
        outcome = Err(Rejection { code: 500, message, client_token: token });
    }
    if is_counted {
        hub.shadows().release(name.thing());
    }
    if matches!(&outcome, Err(rejection) if rejection.code == 429) {
        hub.count_limit(if is_counted { "iot.shadows" } else { "iot.shadow_requests" });
    }
    let is_client = matches!(asker, Asker::Client(_));
    if is_client || (operation != Operation::Get && outcome.is_ok()) {
        tell(hub, &name, operation, &outcome);
    }
    match asker {
        Asker::Client(done) => done.into_iter().for_each(|done| done(committed.clone())),
        Asker::Caller(caller) => drop(caller.send(outcome.map(|outcome| outcome.accepted))),
    }
}

/// Publishes what a request leads to.
fn tell(hub: &Hub, name: &ShadowName, operation: Operation, outcome: &Result<Outcome, Rejection>) {
    let mut said = Vec::new();
    match outcome {
        Err(rejection) => said.push((name.rejected(operation), rejection.to_json().to_string())),
        Ok(outcome) => {
            said.push((name.accepted(operation), outcome.accepted.to_string()));
            said.extend(outcome.delta.as_ref().map(|delta| (name.delta(), delta.to_string())));
            said.extend(outcome.documents.as_ref().map(|documents| (name.documents(), documents.to_string())));
        }
    }
    let gateway = hub.gateway();
    let server = Principal::anonymous(Grant::everything());
    for (topic, text) in said {
        let Ok(topic) = TopicName::new(&topic) else { continue };
        let bytes = text.len();
        let publication = Publication::new(hub.space().clone(), topic, Kind::Json, text.into());
        match gateway.core.publish(&server, publication, None, hub.now(), None) {
            Ok(_) => gateway.meter.row(hub.space(), NAME, |row| row.published(bytes)),
            Err(refusal) => {
                tracing::debug!(%refusal, "the answer of a device shadow was not published");
                gateway.metrics.refusal(NAME, refusal.code());
            }
        }
    }
}

/// The key of a shadow's row.
fn key_of(name: &ShadowName) -> Vec<u8> {
    let mut key = name.thing().as_bytes().to_vec();
    if let Some(shadow) = name.shadow() {
        key.push(SEPARATOR);
        key.extend_from_slice(shadow.as_bytes());
    }
    key
}

fn name_of(key: &[u8]) -> Option<ShadowName> {
    let text = std::str::from_utf8(key).ok()?;
    match text.split_once(char::from(SEPARATOR)) {
        Some((thing, shadow)) => ShadowName::new(thing, Some(shadow)),
        None => ShadowName::new(text, None),
    }
}

#[cfg(test)]
mod tests;
