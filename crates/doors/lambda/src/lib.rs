//! The Lambda door: calls of functions by AWS SDKs.
//!
//! It serves `POST /2015-03-31/functions/NAME/invocations` (Invoke), so that a handler which calls
//! another by its SDK finds it here, and as much of the catalogue as tools ask for: ListFunctions,
//! GetFunction and GetFunctionConfiguration. Functions are made by the configuration, not by requests.
//!
//! | module       | story                                                        |
//! |--------------|--------------------------------------------------------------|
//! | `service`    | a request: what it wants, who asks, how the answer looks      |
//! | `target`     | operations and functions in paths                            |
//! | `callers`    | who may ask                                                  |
//! | `invocation` | one call: its headers, its outcome                           |
//! | `catalogue`  | what is told of functions                                    |
//! | `problem`    | errors in Lambda's words                                     |
//!
//! A call with `X-Amz-Invocation-Type: Event` is on disk before it is acknowledged, and is then the
//! business of [`Functions`]. There is one version of each function; every qualifier means it.

mod callers;
mod catalogue;
mod invocation;
mod problem;
mod service;
mod target;

use std::sync::Arc;

use arc_swap::ArcSwap;
use fanfare_core::Millis;
use fanfare_door::{Arrival, Door, HttpMount, Mounts, Opening, Outgoing, Shape, Turn};
use fanfare_functions::Functions;
use fanfare_iam::Access;

pub use invocation::{EVENT_BYTES_MAX, REQUEST_BYTES_MAX};

use service::LambdaService;

/// Name of the door in metrics and logs.
pub const NAME: &str = "lambda";

/// What the door is made of; the binary hands it in.
pub struct LambdaOptions {
    /// What can be called.
    pub functions: Functions,
    /// Who may ask; replaced by its owner when the configuration is read again.
    pub access: Arc<ArcSwap<Access>>,
}

/// The Lambda door.
pub struct LambdaDoor {
    service: Arc<LambdaService>,
}

impl LambdaDoor {
    /// A door to these functions.
    #[must_use]
    pub fn new(options: LambdaOptions) -> Self {
        Self { service: Arc::new(LambdaService::new(options.functions, options.access)) }
    }
}

impl Door for LambdaDoor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mounts(&self) -> Mounts {
        let service = self.service.clone();
        Mounts { http: vec![HttpMount { prefix: target::ROOT, service }], ..Mounts::default() }
    }

    /// Never called: there is no mount for it.
    fn open(&self, _arrival: &Arrival<'_>, _turn: &mut Turn<'_>) -> Opening {
        Opening::Refuse { status: 404, headers: Vec::new(), body: Vec::new() }
    }

    fn encode(&self, _outgoing: Outgoing<'_>, _shape: Shape, _now: Millis, _out: &mut Vec<u8>) {}
}
