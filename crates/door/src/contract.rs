//! What a door is: mounts, encode, session.

use std::any::Any;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use fanfare_core::{LogError, Message, Millis, PresenceEvent};
use fanfare_websocket::MessageKind;

use crate::gateway::Gateway;
use crate::head::Head;
use crate::http::{Body, HttpContext};
use crate::turn::Turn;

/// A protocol, spoken towards the core. It translates and decides nothing.
pub trait Door: Send + Sync + 'static {
    /// Its name in configuration, metrics and logs.
    fn name(&self) -> &'static str;

    /// Where it wants to be reached.
    fn mounts(&self) -> Mounts;

    /// The server is about to take connections: the moment to begin what the door does beside them.
    ///
    /// # Errors
    /// Why the door cannot work; the server does not start then.
    fn start(&self, gateway: &Arc<Gateway>) -> Result<(), LogError> {
        let _ = gateway;
        Ok(())
    }

    /// Somebody arrived at one of its WebSocket or stream mounts. The connection's id is known
    /// already; an upgrade is answered when the door accepts it, which may be later.
    fn open(&self, arrival: &Arrival<'_>, turn: &mut Turn<'_>) -> Opening;

    /// Whether it takes an upgrade to WebSocket that no exact path is mounted for, and by which
    /// rules. Asked in the order of the doors; the first that says so is asked to [`Door::open`].
    fn claims_upgrade(&self, head: &Head) -> Option<Arc<UpgradeRules>> {
        let _ = head;
        None
    }

    /// Appends to `out` what a subscriber of `shape` is sent. Pure, and called once per shape and
    /// message however many subscribers there are. For a WebSocket mount it is the payload of one
    /// WebSocket message; for a stream mount, bytes of the stream. Appending nothing sends nothing,
    /// as is right for what has expired `now`.
    fn encode(&self, outgoing: Outgoing<'_>, shape: Shape, now: Millis, out: &mut Vec<u8>);

    /// The kind of the WebSocket message that [`Door::encode`] makes, where it is not the one that
    /// the mount sends otherwise.
    fn kind_of(&self, outgoing: Outgoing<'_>, shape: Shape) -> Option<MessageKind> {
        let _ = (outgoing, shape);
        None
    }

    /// The server stops: all connections have ended, and what the door still has under way may be
    /// finished, within the time that the binary allows.
    fn finish(&self, gateway: &Arc<Gateway>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let _ = gateway;
        Box::pin(std::future::ready(()))
    }
}

/// Where a door is reached.
#[derive(Default)]
pub struct Mounts {
    /// Paths whose upgrade to WebSocket it takes.
    pub websockets: Vec<WebSocketMount>,
    /// The same for a byte protocol that is carried by binary messages, whose borders mean
    /// nothing to it: its sessions are told [`Happening::Bytes`], as on a stream.
    pub tunnels: Vec<WebSocketMount>,
    /// Byte protocols that begin without HTTP.
    pub streams: Vec<StreamMount>,
    /// Plain HTTP requests.
    pub http: Vec<HttpMount>,
    /// Names by which TLS clients ask for its protocols (ALPN, RFC 7301), beside `h2` and `http/1.1`.
    /// What is spoken then is told by the first bytes all the same.
    pub alpn: Vec<&'static str>,
}

/// An upgrade path.
#[derive(Clone)]
pub struct WebSocketMount {
    /// The exact path.
    pub path: &'static str,
    /// Subprotocols it speaks, the preferred one first. One is chosen when the client offers it.
    pub subprotocols: &'static [&'static str],
    /// Kind of the WebSocket messages that it sends.
    pub sends: MessageKind,
}

/// How an upgrade that a door claims is served, where that differs from what is configured for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeRules {
    /// Kind of the WebSocket messages that the session sends.
    pub sends: MessageKind,
    /// One frame, in bytes; larger ones end the connection with 1009.
    pub frame_bytes: usize,
    /// One message, in bytes; larger ones end the connection with 1009.
    pub message_bytes: usize,
    /// Longer messages leave in frames of so many bytes.
    pub fragment_bytes: Option<u32>,
    /// How often a silent link is pinged; 0 never.
    pub ping_interval_ms: u64,
    /// permessage-deflate is agreed to when the client offers it.
    pub deflate: bool,
    /// Pages of all origins and under all host names are let in, in development mode too: the door
    /// decides by other means who may come.
    pub any_origin: bool,
    /// The upgrade must be decided within this.
    pub upgrade_timeout_ms: u64,
}

/// A byte protocol that is recognised by its first byte.
#[derive(Clone)]
pub struct StreamMount {
    /// The first byte of every connection of this protocol (0x10 for MQTT's CONNECT).
    pub first_byte: u8,
}

/// A path prefix for plain HTTP.
#[derive(Clone)]
pub struct HttpMount {
    /// Paths that equal this, or begin with it and go on with `/`. The longest prefix wins; of
    /// services with the same one, the first that claims the request.
    pub prefix: &'static str,
    /// Who answers.
    pub service: Arc<dyn HttpService>,
}

/// A future that yields an HTTP response.
pub type HttpResponse = Pin<Box<dyn Future<Output = ::http::Response<Body>> + Send>>;

/// Answers plain HTTP requests. Runs on the tasks beside the shards and may wait.
pub trait HttpService: Send + Sync + 'static {
    /// Whether a request under its prefix is for it, so that several doors can share a path.
    fn claims(&self, head: &::http::request::Parts) -> bool {
        let _ = head;
        true
    }

    /// Whether pages of every origin may send it this request, where the server is not in development
    /// mode. Right where nothing counts but a key in the request itself: no browser adds that for a
    /// stranger's page.
    fn takes_any_origin(&self, head: &::http::request::Parts) -> bool {
        let _ = head;
        false
    }

    /// Answers one request.
    fn call(&self, request: ::http::Request<hyper::body::Incoming>, context: HttpContext) -> HttpResponse;
}

/// Who arrived, and how.
pub struct Arrival<'a> {
    /// The upgrade request; `None` on a stream mount.
    pub head: Option<&'a Head>,
    /// The subprotocol that client and mount agree on.
    pub subprotocol: Option<&'static str>,
    /// The peer's address.
    pub peer: SocketAddr,
    /// The link is encrypted.
    pub is_secure: bool,
    /// What TLS says about the peer; `None` where the link is not encrypted.
    pub tls: Option<&'a TlsPeer>,
}

/// What a TLS handshake said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsPeer {
    /// The server's name that the client asked for (SNI).
    pub server_name: Option<String>,
    /// The protocol that both agreed on (ALPN).
    pub alpn: Option<String>,
    /// The client's certificates in DER, its own first. The chain is verified; empty when the client
    /// showed none.
    pub certificates: Vec<Vec<u8>>,
}

impl TlsPeer {
    pub(crate) fn of(tls: &rustls::ServerConnection) -> Self {
        let certificates = tls.peer_certificates().unwrap_or_default();
        Self {
            server_name: tls.server_name().map(str::to_owned),
            alpn: tls.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            certificates: certificates.iter().map(|certificate| certificate.to_vec()).collect(),
        }
    }
}

/// A door's answer to an arrival.
pub enum Opening {
    /// Go on; the upgrade is answered with 101.
    Accept(Box<dyn Session>),
    /// The session decides later, with [`Turn::accept`] or [`Turn::refuse`]. It holds no thread.
    Pending(Box<dyn Session>),
    /// No. On a stream mount the connection is closed after `body` was sent.
    Refuse {
        /// HTTP status.
        status: u16,
        /// Further header lines.
        headers: Vec<(&'static str, String)>,
        /// Body; JSON when it begins with `{`.
        body: Vec<u8>,
    },
}

/// One connection's side of a protocol: a state machine that is told what happens and answers
/// through its turn. It never blocks, spawns or touches a socket.
pub trait Session: Send {
    /// Something happened.
    fn handle(&mut self, happening: Happening<'_>, turn: &mut Turn<'_>);
}

/// Everything that can happen to a session.
pub enum Happening<'a> {
    /// The link is up: the upgrade was answered, or the stream has begun.
    Opened,
    /// A WebSocket text message; valid UTF-8.
    Text(&'a str),
    /// A WebSocket binary message.
    Binary(&'a [u8]),
    /// Bytes of a stream or tunnel. The session says with [`Turn::consumed`] how many it has used;
    /// the rest comes again with what follows.
    Bytes(&'a [u8]),
    /// A message for tracked subscriptions; it comes once, whichever of them match.
    Delivery {
        /// Which subscriptions of the connection.
        subscriptions: &'a [u16],
        /// The message.
        message: &'a Arc<Message>,
        /// It is the topic's retained message, sent because somebody subscribed.
        is_retained: bool,
    },
    /// What was sent has left, and nothing waits: asked for with [`Turn::tell_when_clear`].
    Clear,
    /// Another thread has something for this session, by [`Gateway::tell`].
    Told(Box<dyn Any + Send>),
    /// Something that was asked for is there.
    Answer(Ticket, Reply),
    /// A timer that the session set.
    Timer(u32),
    /// A subscription fell so far behind that messages are lost to it; it goes on from here.
    Gap {
        /// Which subscription.
        subscription: u16,
    },
    /// The principal's grant was narrowed or replaced and no longer covers this subscription,
    /// which has ended.
    Unsubscribed {
        /// Which subscription.
        subscription: u16,
    },
    /// The connection is about to end: say so in the protocol's own words. It is closed after
    /// what the session sends now has left.
    Goodbye(&'a Goodbye),
    /// The connection is gone. Nothing can be sent any more.
    Gone,
}

/// A number that a session gives to what it asks for.
pub type Ticket = u64;

/// An answer to something asked for.
pub enum Reply {
    /// A publish is on disk, or could not be put there.
    Committed(Result<(), LogError>),
    /// What the session's own future returned.
    Value(Box<dyn Any + Send>),
    /// The future panicked or was dropped.
    Lost,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Committed(result) => f.debug_tuple("Committed").field(result).finish(),
            Self::Value(_) => f.write_str("Value"),
            Self::Lost => f.write_str("Lost"),
        }
    }
}

/// Why the server ends a connection. Each door says it in its protocol's words
/// (scale-to-zero table: planned restart, later, final refusal).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goodbye {
    /// The server drains; the client should come back after this many milliseconds.
    ShuttingDown {
        /// Drawn at random for each client.
        retry_ms: u64,
    },
    /// The client reads too slowly.
    SlowConsumer,
    /// Too much at once; come back later.
    Overloaded {
        /// After how many milliseconds.
        retry_ms: u64,
    },
    /// The credential's time is over.
    TokenExpired,
    /// The credential was revoked.
    Revoked,
    /// An operator, or the application, closed it.
    Kicked {
        /// What to tell the client.
        reason: String,
    },
    /// The protocol's first packet did not come in time.
    HandshakeTimeout,
    /// Nothing was heard for too long.
    PingTimeout,
    /// The peer broke the framing (WebSocket); the driver closes with this code.
    ProtocolError {
        /// WebSocket close code.
        code: u16,
        /// What was wrong.
        reason: String,
    },
    /// The session wants to end: it has said, or says now, what there is to say.
    Session {
        /// WebSocket close code.
        code: u16,
        /// WebSocket close reason.
        reason: String,
    },
    /// The peer closed first, in order.
    PeerClosed {
        /// WebSocket close code, if it gave one.
        code: Option<u16>,
        /// WebSocket close reason, which may be empty.
        reason: String,
    },
}

impl Goodbye {
    /// The WebSocket close code that goes with it.
    pub fn close_code(&self) -> u16 {
        match self {
            Self::ShuttingDown { .. } => 1012,
            Self::SlowConsumer | Self::Overloaded { .. } => 1013,
            Self::TokenExpired | Self::Revoked | Self::Kicked { .. } | Self::HandshakeTimeout => 1008,
            Self::PingTimeout => 1001,
            Self::ProtocolError { code, .. } | Self::Session { code, .. } => *code,
            Self::PeerClosed { code, .. } => code.unwrap_or(1000),
        }
    }

    /// Code and reason of the WebSocket close frame that goes with it.
    pub(crate) fn close_words(&self) -> (u16, String) {
        let reason = match self {
            Self::ProtocolError { reason, .. } | Self::Session { reason, .. } | Self::Kicked { reason } => reason,
            _ => "",
        };
        (self.close_code(), reason.to_owned())
    }

    /// One word for metrics and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ShuttingDown { .. } => "shutting_down",
            Self::SlowConsumer => "slow_consumer",
            Self::Overloaded { .. } => "overloaded",
            Self::TokenExpired => "token_expired",
            Self::Revoked => "revoked",
            Self::Kicked { .. } => "kicked",
            Self::HandshakeTimeout => "connect_timeout",
            Self::PingTimeout => "ping_timeout",
            Self::ProtocolError { .. } => "protocol_error",
            Self::Session { .. } => "session",
            Self::PeerClosed { .. } => "peer_closed",
        }
    }
}

/// How one kind of a door's subscribers wants messages encoded; the door gives the numbers their
/// meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape(pub u8);

/// What is encoded for subscribers.
#[derive(Clone, Copy, Debug)]
pub enum Outgoing<'a> {
    /// A message, live or from history.
    Message(&'a Message),
    /// The topic's retained message, sent because somebody subscribed.
    Retained(&'a Message),
    /// A change of presence.
    Presence(&'a PresenceEvent),
}

impl Outgoing<'_> {
    /// Bytes of payload, for the meter.
    pub fn payload_len(&self) -> usize {
        match self {
            Self::Message(message) | Self::Retained(message) => message.payload.len(),
            Self::Presence(event) => event.member.data.len(),
        }
    }
}
