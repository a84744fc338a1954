//! The contract between doors and the core, and the driver that moves bytes for every door.
//!
//! A [`Door`] says where it is mounted, how a message looks to its subscribers, and opens a
//! [`Session`] for each connection. Everything else is the driver's: listening, TLS, the HTTP
//! upgrade, reading and writing, keep-alive, outboxes, limits, metering, draining.
//!
//! The path of a message reads top to bottom in [`shard`]: a socket becomes readable, the session
//! is told, it publishes through its [`Turn`], the core gives the message its place, the shard
//! encodes it once per shape, and at the end of the turn writes once to every touched connection.

mod address;
mod connection;
mod contract;
mod fanout;
mod gateway;
mod greeting;
mod head;
mod http;
mod inbox;
mod limits;
mod link;
mod listener;
mod listening;
mod outbox;
mod rate;
mod shard;
mod streams;
mod tls;
mod turn;
mod wheel;

pub use address::ConnectionId;
pub use contract::{
    Arrival, Door, Goodbye, Happening, HttpMount, HttpResponse, HttpService, Mounts, Opening, Outgoing, Reply, Session,
    Shape, StreamMount, Ticket, TlsPeer, UpgradeRules, WebSocketMount,
};
pub use gateway::{Clock, Gateway, GatewayParts};
pub use head::Head;
pub use http::{Body, HttpContext, full_body};
pub use limits::{DriverLimits, Policy};
pub use listener::{ListenError, Server, ServerOptions};
pub use listening::{Listening, StreamItem};
pub use shard::ConnectionSummary;
pub use tls::{ClientCertificates, TlsError, server_config};
pub use turn::{Replay, SubscribeRequest, Subscribed, Turn};
