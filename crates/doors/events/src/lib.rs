//! The EventBridge door: events in, topics, users, functions and web servers out.
//!
//! Requests are those of the AWS SDKs: `POST /` with `X-Amz-Target: AWSEvents.OPERATION`.
//!
//! | module         | story                                                              |
//! |----------------|--------------------------------------------------------------------|
//! | `service`      | a request: who asks, for what, and how the answer looks             |
//! | `callers`      | who may ask                                                        |
//! | `board`        | the buses in memory and on disk, and the way from event to delivery |
//! | `delivery`     | one delivery: tries, pauses, and the dead letter                   |
//! | `destinations` | API destinations: web servers by name                              |
//!
//! At most [`DELIVERIES_WAITING_MAX`] deliveries wait: PutEvents is refused with
//! `ThrottlingException` when there is no room. They are on disk before PutEvents is answered, and
//! outlive the process; one may be made twice, when the server ends before its end is on disk.

mod board;
mod callers;
mod delivery;
mod destinations;
mod service;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use fanfare_core::{LogError, Millis};
use fanfare_door::{Arrival, Door, Gateway, HttpMount, Mounts, Opening, Outgoing, Shape, Turn};
use fanfare_events::{EventSink, RuleConfig};
use fanfare_functions::Functions;
use fanfare_iam::Access;

pub use board::SetupError;
pub use delivery::{DELIVERIES_WAITING_MAX, DELIVERY_BYTES_MAX};
pub use destinations::ApiDestination;

use board::{Board, Sink};
use service::EventsService;

/// Name of the door in metrics and logs.
pub const NAME: &str = "events";

/// What the door is made of; the binary hands it in.
pub struct EventsOptions {
    /// The account in ARNs and events, twelve digits.
    pub account: String,
    /// The region in ARNs and events.
    pub region: String,
    /// Rules of the configuration, which requests cannot change.
    pub rules: Vec<RuleConfig>,
    /// Web servers that rules name as API destinations.
    pub destinations: BTreeMap<String, ApiDestination>,
    /// What rules call.
    pub functions: Functions,
    /// Who may ask; replaced by its owner when the configuration is read again.
    pub access: Arc<ArcSwap<Access>>,
}

/// The EventBridge door.
pub struct EventsDoor {
    board: Arc<Board>,
    access: Arc<ArcSwap<Access>>,
}

impl EventsDoor {
    /// A door with the rules of the configuration.
    ///
    /// # Errors
    /// A rule that cannot be used, or one too many.
    pub fn new(options: EventsOptions) -> Result<Self, SetupError> {
        let access = options.access.clone();
        Ok(Self { board: Arc::new(Board::new(options)?), access })
    }

    /// Where other doors put events.
    #[must_use]
    pub fn sink(&self) -> Arc<dyn EventSink> {
        Arc::new(Sink(self.board.clone()))
    }
}

impl Door for EventsDoor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mounts(&self) -> Mounts {
        let service = Arc::new(EventsService::new(self.board.clone(), self.access.clone()));
        Mounts { http: vec![HttpMount { prefix: "/", service }], ..Mounts::default() }
    }

    fn start(&self, gateway: &Arc<Gateway>) -> Result<(), LogError> {
        self.board.start(gateway)
    }

    /// Never called: there is no mount for it.
    fn open(&self, _arrival: &Arrival<'_>, _turn: &mut Turn<'_>) -> Opening {
        Opening::Refuse { status: 404, headers: Vec::new(), body: Vec::new() }
    }

    fn encode(&self, _outgoing: Outgoing<'_>, _shape: Shape, _now: Millis, _out: &mut Vec<u8>) {}
}
