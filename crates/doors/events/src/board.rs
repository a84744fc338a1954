//! The buses in memory and on disk, and the way from an event to its deliveries.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use fanfare_aws::errors::ErrorAnswer;
use fanfare_core::{Grant, LogError, Principal, RecordTable};
use fanfare_door::Gateway;
use fanfare_events::{ApiError, Bus, ConfigError, EntryFailure, EventParts, EventSink, Reply, Routed};
use fanfare_functions::{CallerError, Functions, HttpCaller, Reach, request_id};
use fanfare_queue::{PutError, Queue};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::delivery::{self, BOUNDS, Parcel};
use crate::destinations::ApiDestination;
use crate::{EventsOptions, NAME};

/// The record that holds all buses.
const RECORD: &[u8] = b"buses";

/// The door cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A rule of the configuration.
    #[error("events: {0}")]
    Rule(#[from] ConfigError),
    /// A limit.
    #[error("events: {0}")]
    Limit(#[from] ApiError),
    /// No HTTP client can be made.
    #[error("events: {0}")]
    Http(#[from] CallerError),
}

/// Is over when something that an answer depends on is on disk.
type Kept = Pin<Box<dyn Future<Output = Result<(), LogError>> + Send>>;

/// The buses, and what deliveries need.
pub(crate) struct Board {
    /// Taken before any other lock; deliveries begin while it is held, in the order of events.
    bus: Mutex<Bus>,
    /// Rules of the configuration by bus.
    configured: Vec<(String, fanfare_events::Rule)>,
    account: String,
    region: String,
    gateway: OnceLock<Arc<Gateway>>,
    /// Deliveries that are not made yet.
    waiting: OnceLock<Queue<Parcel>>,
    pub(crate) principal: Principal,
    pub(crate) functions: Functions,
    pub(crate) destinations: BTreeMap<String, ApiDestination>,
    pub(crate) http: HttpCaller,
}

impl Board {
    pub(crate) fn new(options: EventsOptions) -> Result<Self, SetupError> {
        let EventsOptions { account, region, rules, destinations, functions, .. } = options;
        let configured = rules.iter().map(|rule| Ok((rule.bus.clone(), rule.to_rule(&account, &region)?)));
        let configured: Vec<_> = configured.collect::<Result<_, ConfigError>>()?;
        let mut bus = Bus::new(&account, &region);
        install(&mut bus, &configured)?;
        Ok(Self {
            bus: Mutex::new(bus),
            configured,
            account,
            region,
            gateway: OnceLock::new(),
            waiting: OnceLock::new(),
            principal: Principal::anonymous(Grant::everything()),
            functions,
            destinations,
            http: HttpCaller::new(Reach::Anywhere, None)?,
        })
    }

    /// Takes up the state of earlier runs, and the deliveries that they did not make.
    pub(crate) fn start(self: &Arc<Self>, gateway: &Arc<Gateway>) -> Result<(), LogError> {
        let _ = self.gateway.set(gateway.clone());
        let (waiting, restored) = Queue::open(gateway.core.log().clone(), RecordTable::Deliveries, BOUNDS)?;
        let _ = self.waiting.set(waiting);
        for item in restored {
            gateway.tasks.spawn(delivery::deliver(self.clone(), item));
        }
        let damaged = |reason: String| LogError::Damaged(format!("the event buses: {reason}").into());
        let records = gateway.core.log().records(RecordTable::Events)?;
        let Some((_, value)) = records.iter().find(|(key, _)| &key[..] == RECORD) else { return Ok(()) };
        let mut bus = moved(value, &self.account, &self.region).map_err(|error| damaged(error.to_string()))?;
        install(&mut bus, &self.configured).map_err(|error| damaged(error.to_string()))?;
        *self.bus.lock() = bus;
        Ok(())
    }

    pub(crate) fn gateway(&self) -> &Arc<Gateway> {
        self.gateway.get().expect("a door is started before requests come")
    }

    fn waiting(&self) -> &Queue<Parcel> {
        self.waiting.get().expect("a door is started before requests come")
    }

    /// Carries out an operation. What it changes, and the deliveries that it causes, are on disk when
    /// this answers.
    pub(crate) async fn call(self: &Arc<Self>, operation: &str, body: &[u8]) -> Result<String, ErrorAnswer> {
        let (answer, kept) = self.apply(operation, body)?;
        for kept in kept {
            kept.await.map_err(|error| failed(&error))?;
        }
        Ok(answer.to_string())
    }

    /// The answer, and what it has to wait for.
    fn apply(self: &Arc<Self>, operation: &str, body: &[u8]) -> Result<(Value, Vec<Kept>), ErrorAnswer> {
        let gateway = self.gateway();
        if operation == "PutEvents" && !self.waiting().has_room() {
            gateway.metrics.limit("event_deliveries");
            let message = "Too many deliveries wait; send slower.";
            return Err(ErrorAnswer::json_1_1("ThrottlingException", message));
        }
        let mut bus = self.bus.lock();
        let mut new_id = || request_id().to_string();
        let reply = bus.call(operation, body, gateway.clock.now(), &mut new_id);
        let Reply { body, routed, changed, .. } = reply.map_err(|error| ErrorAnswer {
            status: error.status(),
            content_type: fanfare_aws::errors::JSON_1_1,
            error_type: None,
            body: error.body().to_string(),
        })?;
        gateway.meter.row(gateway.default_space(), NAME, |row| row.operations += 1);
        let mut kept = self.send(routed).map_err(|error| failed(&error))?;
        if changed {
            kept.extend(self.keep(&bus)?);
        }
        Ok((body, kept))
    }

    /// Queues the state for the disk, in the order of changes because the buses are locked.
    fn keep(&self, bus: &Bus) -> Result<Option<Kept>, ErrorAnswer> {
        let log = self.gateway().core.log();
        if !log.is_durable() {
            return Ok(None);
        }
        let state = bus.to_json().map_err(|error| failed(&error))?;
        let (tx, kept) = oneshot::channel();
        let done: fanfare_core::Done = Box::new(move |result| drop(tx.send(result)));
        log.put_record(RecordTable::Events, RECORD, Some(Bytes::from(state)), Some(done))
            .map_err(|error| failed(&error))?;
        let stopping = |_| Err(LogError::Failing("the server is stopping".into()));
        Ok(Some(Box::pin(async move { kept.await.unwrap_or_else(stopping) })))
    }

    /// Begins the deliveries; they go on whether or not they can be kept.
    fn send(self: &Arc<Self>, routed: Routed) -> Result<Vec<Kept>, LogError> {
        let gateway = self.gateway();
        for lost in &routed.undeliverable {
            let (rule, target, event, why) = (&lost.rule, &lost.target, &lost.event, &lost.why);
            tracing::warn!(bus = lost.bus, rule, target, event, %why, "an event has no way to its target");
            gateway.metrics.refusal(NAME, "undeliverable");
        }
        if routed.left_out > 0 {
            tracing::warn!(targets = routed.left_out, "an event has more targets than one request may reach");
        }
        let mut kept: Vec<Kept> = Vec::new();
        for due in routed.deliveries {
            let (rule, target) = (due.rule.clone(), due.target.clone());
            let (parcel, input) = Parcel::pack(due);
            match self.waiting().put(parcel, input) {
                Ok((item, committed)) => {
                    kept.push(Box::pin(committed));
                    gateway.begin(delivery::deliver(self.clone(), item));
                }
                Err(PutError::Full) => {
                    tracing::warn!(rule, target, "too many deliveries wait; one is dropped");
                    gateway.metrics.limit("event_deliveries");
                }
                Err(PutError::Log(error)) => return Err(error),
            }
        }
        Ok(kept)
    }
}

fn failed(reason: &impl ToString) -> ErrorAnswer {
    ErrorAnswer::json_1_1("InternalException", &reason.to_string())
}

/// The way in for other doors.
pub(crate) struct Sink(pub(crate) Arc<Board>);

impl EventSink for Sink {
    fn put(&self, bus: &str, parts: EventParts) -> Result<String, EntryFailure> {
        let failed = |message: String| EntryFailure { code: "InternalFailure", message };
        let entry = json!({
            "EventBusName": bus,
            "Source": parts.source,
            "DetailType": parts.detail_type,
            "Detail": Value::Object(parts.detail).to_string(),
            "Resources": parts.resources,
            "Time": parts.time_s,
        });
        let request = json!({ "Entries": [entry] }).to_string();
        let (answer, _) = self.0.apply("PutEvents", request.as_bytes()).map_err(|error| failed(error.body))?;
        let outcome = &answer["Entries"][0];
        match outcome["EventId"].as_str() {
            Some(id) => Ok(id.to_owned()),
            None => Err(failed(format!("{}: {}", outcome["ErrorCode"], outcome["ErrorMessage"]))),
        }
    }
}

fn install(bus: &mut Bus, configured: &[(String, fanfare_events::Rule)]) -> Result<(), ApiError> {
    bus.uninstall();
    configured.iter().try_for_each(|(name, rule)| bus.install(name, rule.clone()))
}

/// The state that was kept, under the account and region that count now.
fn moved(state: &[u8], account: &str, region: &str) -> Result<Bus, serde_json::Error> {
    let mut state: Value = serde_json::from_slice(state)?;
    state["account"] = account.into();
    state["region"] = region.into();
    Bus::from_json(&serde_json::to_vec(&state)?)
}
