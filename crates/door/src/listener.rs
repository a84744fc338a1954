//! Listening, and the threads of a server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fanfare_core::{Core, CoreLimits, Inbox, Log, LogError, SpaceSettings};
use mio::{Interest, Poll, Token, Waker};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc;

use crate::gateway::{Gateway, GatewayParts, Handoff};
use crate::http::{self, HttpContext, Prefixed};
use crate::inbox::{Command, ShardInbox};
use crate::link::Link;
use crate::shard::{Shard, WAKER};
use crate::streams::Streams;
use crate::tls;

/// Sockets on their way to the tasks, at most.
const HANDOFFS_MAX: usize = 16_384;
/// Connections the kernel may hold for us before they are accepted.
const BACKLOG: i32 = 4_096;

/// How long tasks may take to end what they serve, after the shards are done.
const TASKS_TIMEOUT: Duration = Duration::from_secs(2);

/// What a server is started with.
pub struct ServerOptions {
    /// Addresses to listen on; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Event loops; at least 1, at most 63.
    pub shards: usize,
    /// Certificate and key, if links may be encrypted.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The log.
    pub log: Arc<dyn Log>,
    /// Bounds of the core.
    pub core_limits: CoreLimits,
    /// Settings of spaces by name.
    pub spaces: Vec<(Arc<str>, SpaceSettings)>,
    /// Settings of all other spaces.
    pub default_space: SpaceSettings,
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The port is taken.
    #[error("{0} is already in use; choose another address with --listen, such as --listen 127.0.0.1:8081")]
    Taken(SocketAddr),
    /// The address cannot be used.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Something that the system refuses.
    #[error("{what}: {source}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

/// A running server.
pub struct Server {
    /// For whoever acts on it.
    pub gateway: Arc<Gateway>,
    /// Addresses it listens on, with the ports that were chosen.
    pub addresses: Vec<SocketAddr>,
    shards: Vec<JoinHandle<()>>,
    acceptor: Option<JoinHandle<()>>,
    stop_accepting: Arc<Waker>,
}

const STOP: Token = Token(usize::MAX);

impl Server {
    /// Listens and starts its threads. Must be called inside the runtime whose handle is in `parts`.
    ///
    /// # Errors
    /// [`ListenError`] says what could not be had.
    pub fn start(parts: GatewayParts, options: ServerOptions) -> Result<Self, ListenError> {
        let system = |what| move |source| ListenError::System { what, source };
        let mut listeners = Vec::new();
        for address in &options.listen {
            listeners.push(listen(*address)?);
        }
        let addresses = listeners.iter().filter_map(|l| l.local_addr().ok()).collect();
        let mut polls = Vec::new();
        let mut inboxes = Vec::new();
        for _ in 0..options.shards.clamp(1, 63) {
            let poll = Poll::new().map_err(system("an event loop cannot be made"))?;
            let waker = Waker::new(poll.registry(), WAKER).map_err(system("an event loop cannot be made"))?;
            inboxes.push(Arc::new(ShardInbox::new(waker)));
            polls.push(poll);
        }
        let streams = Arc::new(Streams::new());
        let towards: Vec<Arc<dyn Inbox>> = inboxes
            .iter()
            .map(|inbox| inbox.clone() as Arc<dyn Inbox>)
            .chain([streams.clone() as Arc<dyn Inbox>])
            .collect();
        let core = Core::open(options.log, towards, options.core_limits, options.spaces, options.default_space)?;
        let book = parts.book.clone();
        let gateway = Arc::new(Gateway::new(parts, Arc::new(core), inboxes.clone(), streams.clone()));
        let mut shards = Vec::new();
        for (id, (poll, inbox)) in polls.into_iter().zip(inboxes).enumerate() {
            let shard = Shard::new(id as u8, gateway.clone(), poll, inbox, book.desk());
            let thread = std::thread::Builder::new().name(format!("shard-{id}")).spawn(move || shard.run());
            shards.push(thread.map_err(system("a thread cannot be started"))?);
        }
        let tls = options.tls.map(|config| tls::with_protocols(&config, gateway.routes.alpn()));
        spawn_tasks(&gateway, streams, tls);
        for door in &gateway.doors {
            door.start(&gateway)?;
        }
        gateway.core.apply_counts();
        // A tick trims what no session holds: not before the doors have taken back theirs.
        spawn_ticks(&gateway);
        let poll = Poll::new().map_err(system("an event loop cannot be made"))?;
        let stop_accepting =
            Arc::new(Waker::new(poll.registry(), STOP).map_err(system("an event loop cannot be made"))?);
        let accepting = gateway.clone();
        let acceptor =
            std::thread::Builder::new().name("accept".into()).spawn(move || accept(poll, listeners, &accepting));
        let acceptor = Some(acceptor.map_err(system("a thread cannot be started"))?);
        Ok(Self { gateway, addresses, shards, acceptor, stop_accepting })
    }

    /// Says goodbye to everybody within so many milliseconds and waits until they are gone. Blocks.
    pub fn drain(mut self, within_ms: u64) {
        self.gateway.set_draining();
        for inbox in &self.gateway.inboxes {
            inbox.command(Command::Drain { within_ms });
        }
        self.finish();
        self.await_tasks();
    }

    /// What tasks serve ends by itself when the server drains; what a peer does not take in time
    /// is cut.
    fn await_tasks(&self) {
        let deadline = Instant::now() + TASKS_TIMEOUT;
        while self.gateway.connections_open.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends at once, without goodbyes.
    pub fn stop(mut self) {
        self.gateway.set_draining();
        for inbox in &self.gateway.inboxes {
            inbox.command(Command::Stop);
        }
        self.finish();
    }

    fn finish(&mut self) {
        let _ = self.stop_accepting.wake();
        let threads = self.shards.drain(..).chain(self.acceptor.take());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the server panicked");
            }
        }
        self.gateway.meter.post();
    }
}

/// Tells at once what is still running when a server is dropped without an end.
impl Drop for Server {
    fn drop(&mut self) {
        if !self.shards.is_empty() {
            for inbox in &self.gateway.inboxes {
                inbox.command(Command::Stop);
            }
            self.finish();
        }
    }
}

fn listen(address: SocketAddr) -> Result<mio::net::TcpListener, ListenError> {
    let fail = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken(address),
        _ => ListenError::Address { address, source },
    };
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)).map_err(fail)?;
    socket.set_nonblocking(true).map_err(fail)?;
    // Connections of an earlier run may linger; a second listener is refused all the same.
    socket.set_reuse_address(true).map_err(fail)?;
    socket.bind(&address.into()).map_err(fail)?;
    socket.listen(BACKLOG).map_err(fail)?;
    Ok(mio::net::TcpListener::from_std(socket.into()))
}

/// Accepts connections and deals them out to the shards.
fn accept(mut poll: Poll, mut listeners: Vec<mio::net::TcpListener>, gateway: &Gateway) {
    for (index, listener) in listeners.iter_mut().enumerate() {
        if let Err(error) = poll.registry().register(listener, Token(index), Interest::READABLE) {
            tracing::error!(%error, "a listening socket cannot be watched");
            return;
        }
    }
    let mut events = mio::Events::with_capacity(64);
    let mut retry = None;
    loop {
        if poll.poll(&mut events, retry).is_err_and(|error| error.kind() != io::ErrorKind::Interrupted) {
            return;
        }
        if events.iter().any(|event| event.token() == STOP) {
            return;
        }
        retry = None;
        for listener in &listeners {
            if let Err(error) = accept_all(listener, gateway) {
                // Out of files or memory: try again when some may have become free.
                tracing::warn!(%error, "accepting a connection failed");
                gateway.metrics.limit("accept");
                retry = Some(Duration::from_millis(50));
            }
        }
    }
}

fn accept_all(listener: &mio::net::TcpListener, gateway: &Gateway) -> io::Result<()> {
    loop {
        let (socket, peer) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(()),
                io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => continue,
                _ => return Err(error),
            },
        };
        if let Err(limit) = gateway.arrived(peer.ip()) {
            gateway.metrics.limit(limit);
            tracing::debug!(%peer, limit, "a connection was refused");
            continue;
        }
        // A message must not wait for the acknowledgement of the one before.
        let _ = socket.set_nodelay(true);
        let adopt = Command::Adopt { link: Link::Plain(socket), peer, prefix: Vec::new(), is_secure: false };
        gateway.least_loaded().command(adopt);
    }
}

/// What runs on the tasks beside the shards.
fn spawn_tasks(gateway: &Arc<Gateway>, streams: Arc<Streams>, tls: Option<Arc<rustls::ServerConfig>>) {
    let (tx, rx) = mpsc::channel(HANDOFFS_MAX);
    gateway.take_handoffs(tx);
    gateway.tasks.spawn(streams.run());
    gateway.tasks.spawn(receive(gateway.clone(), rx, tls));
}

/// The housekeeping of core and meter, twice a second.
fn spawn_ticks(gateway: &Arc<Gateway>) {
    let ticking = gateway.clone();
    gateway.tasks.spawn(async move {
        let mut interval = tokio::time::interval(Duration::from_millis(500));
        loop {
            interval.tick().await;
            let gateway = ticking.clone();
            // A tick may trim much history; it keeps no task waiting.
            let _ = ticking.tasks.spawn_blocking(move || gateway.core.tick(gateway.clock.now())).await;
            ticking.meter.post();
        }
    });
}

/// Serves the sockets that shards hand off.
async fn receive(gateway: Arc<Gateway>, mut handoffs: mpsc::Receiver<Handoff>, tls: Option<Arc<rustls::ServerConfig>>) {
    while let Some(Handoff { socket, prefix, peer }) = handoffs.recv().await {
        let Ok(stream) = tokio::net::TcpStream::from_std(socket) else {
            gateway.released(peer.ip());
            continue;
        };
        let (gateway, tls) = (gateway.clone(), tls.clone());
        tokio::spawn(async move {
            let is_ours = serve_handoff(&gateway, Prefixed::new(prefix, stream), peer, tls).await;
            if is_ours {
                gateway.released(peer.ip());
            }
        });
    }
}

/// `false` when the connection went on to a shard, which then counts it.
async fn serve_handoff(
    gateway: &Arc<Gateway>,
    stream: Prefixed<tokio::net::TcpStream>,
    peer: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
) -> bool {
    let context = |is_secure| HttpContext { gateway: gateway.clone(), peer, is_secure, tls: None };
    if !stream.starts_with_tls() {
        http::serve(stream, context(false)).await;
        return true;
    }
    let Some(config) = tls else {
        tracing::debug!(%peer, "a client asked for TLS, which is not configured (tls.cert, tls.key)");
        return true;
    };
    let timeout = Duration::from_millis(gateway.limits().handshake_timeout_ms);
    // Only handshake and first request are bounded here; what is served goes on in its own time.
    match tls::receive(stream, config, context(true), timeout).await {
        Ok(is_ours) => is_ours,
        Err(error) => {
            tracing::debug!(%peer, %error, "a TLS connection ended early");
            true
        }
    }
}
