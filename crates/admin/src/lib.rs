//! Operations over HTTP: health, metrics, administration, and a first page to try a server with.
//!
//! [`OperationsDoor`] is a door without sessions. `router` finds what is asked for, `auth` says
//! whether the caller may, and one file for each subject answers. `docs/admin.md` lists every call.

mod auth;
mod connections;
mod info;
mod messages;
mod page;
mod payload;
mod plain;
mod problem;
mod request;
mod revocations;
mod router;
mod topics;
mod usage;

use std::sync::Arc;
use std::time::Instant;

use fanfare_core::Millis;
use fanfare_door::{Arrival, Door, HttpMount, HttpService, Mounts, Opening, Outgoing, Shape, Turn};
use fanfare_identity::AdminKeys;
use fanfare_telemetry::UsageBook;
use parking_lot::Mutex;

use crate::router::{Router, Service};

/// Name of the door in metrics and logs.
pub const NAME: &str = "operations";

/// What operations are made of; the binary hands it in.
pub struct Operations {
    /// Keys of operators.
    pub admin_keys: AdminKeys,
    /// No key is asked for. Only for servers that nobody but this machine reaches; requests that
    /// name another host are refused all the same.
    pub is_development: bool,
    /// `/metrics` asks for no key.
    pub metrics_open: bool,
    /// Usage by day, which the binary persists.
    pub usage: Arc<Mutex<UsageBook>>,
    /// Version of the server.
    pub version: &'static str,
    /// What a browser sees first.
    pub start_page: StartPage,
}

/// What a browser sees at `/` and `/console/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartPage {
    /// A plain page to publish and subscribe with.
    #[default]
    Plain,
    /// Nothing; both paths are not found, or another door's.
    Off,
}

/// The door of operations.
pub struct OperationsDoor {
    service: Arc<Service>,
    start_page: StartPage,
}

impl OperationsDoor {
    /// Begins the uptime that it tells.
    pub fn new(operations: Operations) -> Self {
        let start_page = operations.start_page;
        Self { service: Arc::new(Service::new(operations, Instant::now())), start_page }
    }
}

impl Door for OperationsDoor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mounts(&self) -> Mounts {
        let service: Arc<dyn HttpService> = Arc::new(Router::new(self.service.clone()));
        let pages: &[&'static str] = match self.start_page {
            StartPage::Plain => &["/console", "/"],
            StartPage::Off => &[],
        };
        let prefixes = ["/healthz", "/readyz", "/metrics", "/admin/v1"].into_iter().chain(pages.iter().copied());
        let http = prefixes.map(|prefix| HttpMount { prefix, service: service.clone() }).collect();
        Mounts { http, ..Mounts::default() }
    }

    /// Never called: there is no mount for it.
    fn open(&self, _arrival: &Arrival<'_>, _turn: &mut Turn<'_>) -> Opening {
        Opening::Refuse { status: 404, headers: Vec::new(), body: Vec::new() }
    }

    fn encode(&self, _outgoing: Outgoing<'_>, _shape: Shape, _now: Millis, _out: &mut Vec<u8>) {}
}
