//! The Momento Topics door: the SDKs of Momento, unmodified, on the topics of the core.
//!
//! gRPC over HTTP/2, the dialects of browsers, and the HTTP interface, all on the port of every other
//! door. A **cache is a space**; one that is not known is refused, so caches are durable records.
//!
//! | module        | story                                                                  |
//! |---------------|------------------------------------------------------------------------|
//! | `options`     | what the door is made of, and its bounds                                |
//! | `shared`      | what all calls have in common                                           |
//! | `service`     | a request: gRPC, or plain HTTP                                          |
//! | `grpc`        | one message in, one out, in the dialect of the client                    |
//! | `unary`       | calls that are answered once                                            |
//! | `control`     | caches: made, listed, emptied, removed                                  |
//! | `tokens`      | keys and tokens for those who ask by SDK                                |
//! | `subscribing` | how a subscription begins, and how long a refused one waits             |
//! | `stream`      | a subscription that runs, until its end                                 |
//! | `encodings`   | a message is encoded once, however many read it                         |
//! | `http`        | publish and long polls without gRPC                                     |
//! | `caches`      | which caches there are                                                  |
//! | `callers`     | who asks, and what they may do                                          |
//! | `rates`       | how often something may happen                                          |
//! | `webhooks`    | who is told of what is published                                        |
//! | `deliveries`  | one delivery: tries, pauses, and the end                                |

mod caches;
mod callers;
mod control;
mod deliveries;
mod encodings;
mod grpc;
mod http;
mod options;
mod rates;
mod service;
mod shared;
mod stream;
mod subscribing;
mod tokens;
mod unary;
mod webhooks;

use std::sync::Arc;

use fanfare_core::{LogError, Millis};
use fanfare_door::{Arrival, Door, Gateway, HttpMount, Mounts, Opening, Outgoing, Shape, Turn};

pub use deliveries::{DELIVERIES_WAITING_MAX, DELIVERY_BYTES_MAX};
pub use options::{MomentoLimits, MomentoOptions};

use service::{CallService, TopicService};
use shared::Shared;

/// Name of the door in metrics and logs.
pub const NAME: &str = "momento";

/// The door cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A cache of the configuration cannot be one.
    #[error("momento.caches: {0}")]
    Cache(String),
    /// No HTTP client can be made.
    #[error("momento: {0}")]
    Http(#[from] fanfare_functions::CallerError),
}

/// The Momento Topics door.
pub struct MomentoDoor {
    shared: Arc<Shared>,
}

impl MomentoDoor {
    /// A door with what the configuration says.
    ///
    /// # Errors
    /// A cache of the configuration cannot be one, or there is no HTTP client for webhooks.
    pub fn new(options: MomentoOptions) -> Result<Self, SetupError> {
        Ok(Self { shared: Arc::new(Shared::new(options)?) })
    }
}

impl Door for MomentoDoor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mounts(&self) -> Mounts {
        let calls = HttpMount { prefix: "/", service: Arc::new(CallService(self.shared.clone())) };
        let topics = HttpMount { prefix: "/topics", service: Arc::new(TopicService(self.shared.clone())) };
        Mounts { http: vec![calls, topics], ..Mounts::default() }
    }

    fn start(&self, gateway: &Arc<Gateway>) -> Result<(), LogError> {
        self.shared.start(gateway)
    }

    /// Never called: there is no mount for it.
    fn open(&self, _arrival: &Arrival<'_>, _turn: &mut Turn<'_>) -> Opening {
        Opening::Refuse { status: 404, headers: Vec::new(), body: Vec::new() }
    }

    fn encode(&self, _outgoing: Outgoing<'_>, _shape: Shape, _now: Millis, _out: &mut Vec<u8>) {}
}
