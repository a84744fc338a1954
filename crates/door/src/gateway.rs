//! What all shards, doors and tasks share.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Waker};

use arc_swap::ArcSwap;
use fanfare_core::{Core, Filter, Kind, Message, Millis, Principal, Publication, Published, Refusal, TopicName};
use fanfare_identity::{Gate, Revocation, RevocationError, Tickets, TokenError, Verdict};
use fanfare_telemetry::{MeterBook, Metrics, SharedMeter};
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::address::ConnectionId;
use crate::contract::{Door, Goodbye, HttpMount, WebSocketMount};
use crate::inbox::{Command, ShardInbox, Target};
use crate::limits::{DriverLimits, Policy};
use crate::rate::Bucket;
use crate::shard::ConnectionSummary;
use crate::streams::Streams;

/// The parts a gateway is made of; the binary brings them together.
pub struct GatewayParts {
    /// Name of this node inside ids.
    pub node: Arc<str>,
    /// Who may come in.
    pub gate: Arc<Gate>,
    /// The doors, in the order in which their numbers are given.
    pub doors: Vec<Arc<dyn Door>>,
    /// Bounds.
    pub limits: DriverLimits,
    /// Rules.
    pub policy: Policy,
    /// Counts of all threads.
    pub book: MeterBook,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Where what waits on the world runs.
    pub tasks: Handle,
}

/// Core, doors and shards of a running server, for whoever acts on it from outside a session.
pub struct Gateway {
    /// Name of this node inside ids.
    pub node: Arc<str>,
    /// The realtime core.
    pub core: Arc<Core>,
    /// Who may come in.
    pub gate: Arc<Gate>,
    /// One-time stand-ins for tokens in URLs.
    pub tickets: Tickets,
    /// The doors.
    pub doors: Vec<Arc<dyn Door>>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Counts of all threads.
    pub book: MeterBook,
    /// Counts of what tasks do.
    pub meter: SharedMeter,
    /// The clock.
    pub clock: Clock,
    /// Where what waits on the world runs.
    pub tasks: Handle,
    pub(crate) routes: Routes,
    pub(crate) nobody: Arc<Principal>,
    pub(crate) default_space: Arc<str>,
    pub(crate) inboxes: Vec<Arc<ShardInbox>>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) connections_open: AtomicU32,
    limits: ArcSwap<DriverLimits>,
    policy: ArcSwap<Policy>,
    handshakes: Mutex<Bucket>,
    addresses: Mutex<HashMap<IpAddr, u32, foldhash::fast::RandomState>>,
    draining: AtomicBool,
    handoffs: OnceLock<mpsc::Sender<Handoff>>,
}

/// A socket on its way from a shard to the tasks.
pub(crate) struct Handoff {
    pub(crate) socket: std::net::TcpStream,
    pub(crate) prefix: Vec<u8>,
    pub(crate) peer: SocketAddr,
}

/// Milliseconds since the Unix epoch, never going back while the process runs.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: std::time::Instant,
    started_at: Millis,
}

impl Clock {
    /// Reads the system's clock once; from then on time passes evenly.
    pub fn start() -> Self {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { started: std::time::Instant::now(), started_at: since_epoch.as_millis() as Millis }
    }

    /// Now.
    pub fn now(&self) -> Millis {
        self.started_at + self.started.elapsed().as_millis() as Millis
    }
}

impl Gateway {
    pub(crate) fn new(
        parts: GatewayParts,
        core: Arc<Core>,
        inboxes: Vec<Arc<ShardInbox>>,
        streams: Arc<Streams>,
    ) -> Self {
        let clock = Clock::start();
        let now = clock.now();
        Self {
            routes: Routes::new(&parts.doors),
            tickets: Tickets::new(parts.gate.revocations().clone()),
            meter: SharedMeter::new(&parts.book),
            handshakes: Mutex::new(Bucket::full(parts.limits.handshakes_per_second, now)),
            limits: ArcSwap::from_pointee(parts.limits),
            policy: ArcSwap::from_pointee(parts.policy),
            node: parts.node,
            gate: parts.gate,
            doors: parts.doors,
            metrics: parts.metrics,
            book: parts.book,
            tasks: parts.tasks,
            core,
            inboxes,
            streams,
            clock,
            nobody: Arc::new(Principal::default()),
            default_space: "default".into(),
            connections_open: AtomicU32::new(0),
            addresses: Mutex::default(),
            draining: AtomicBool::new(false),
            handoffs: OnceLock::new(),
        }
    }

    /// Bounds in force.
    pub fn limits(&self) -> Arc<DriverLimits> {
        self.limits.load_full()
    }

    /// Rules in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Replaces bounds and rules, also for connections that are open.
    pub fn replace(&self, limits: DriverLimits, policy: Policy) {
        self.limits.store(Arc::new(limits));
        self.policy.store(Arc::new(policy));
        self.inboxes.iter().for_each(|inbox| inbox.command(Command::Reload));
    }

    /// The server is going away: not ready for new clients.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Not ready for new clients from now on; whoever is connected stays, and plain requests are
    /// answered. For the time that load balancers need to look elsewhere, before
    /// [`crate::Server::drain`], which takes no connection any more.
    pub fn announce_drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
        self.streams.close_all();
    }

    /// Connections on all shards.
    pub fn connection_count(&self) -> usize {
        self.inboxes.iter().map(|inbox| inbox.connections.load(Ordering::Relaxed)).sum()
    }

    /// Name of the space that exists always.
    pub fn default_space(&self) -> &Arc<str> {
        &self.default_space
    }

    /// Whom a request without a session speaks for: the bearer of a token or ticket, or nobody.
    ///
    /// # Errors
    /// Why the credential does not count.
    pub async fn authenticate(&self, bearer: Option<&str>, ticket: Option<&str>) -> Result<Arc<Principal>, TokenError> {
        let now = self.clock.now();
        match (bearer, ticket) {
            (Some(token), _) => match self.gate.verify(token, now) {
                Verdict::Principal(principal) => Ok(principal),
                Verdict::Refused(error) => Err(error),
                Verdict::NeedsKeys => self.gate.verify_with_fetch(token, now).await,
            },
            (None, Some(ticket)) => self.tickets.redeem(ticket, now).ok_or(TokenError::Ticket),
            (None, None) => self.gate.anonymous(now),
        }
    }

    /// Publishes from a task and waits for the commit where the space is durable.
    ///
    /// # Errors
    /// As [`Core::publish`], and what the log says.
    pub async fn publish(
        &self,
        principal: &Principal,
        publication: Publication,
        door: &'static str,
    ) -> Result<Published, Refusal> {
        let (space, bytes) = (publication.space.clone(), publication.payload.len());
        let (tx, rx) = oneshot::channel();
        let done: fanfare_core::Done = Box::new(move |result| drop(tx.send(result)));
        let published = self.core.publish(principal, publication, None, self.clock.now(), Some(done));
        self.meter.row(&space, door, |row| match &published {
            Ok(_) => row.published(bytes),
            Err(_) => row.refused += 1,
        });
        let published = published?;
        if published.awaits_commit {
            self.await_commit(rx, &space, door).await?;
        }
        Ok(published)
    }

    /// [`Core::publish_batch`] from a task, waiting for the commit.
    ///
    /// # Errors
    /// As [`Core::publish_batch`], and what the log says.
    pub async fn publish_batch(
        &self,
        principal: &Principal,
        publications: Vec<Publication>,
        door: &'static str,
    ) -> Result<Vec<Published>, Refusal> {
        let sizes: Vec<_> = publications.iter().map(|p| (p.space.clone(), p.payload.len())).collect();
        let (tx, rx) = oneshot::channel();
        let done: fanfare_core::Done = Box::new(move |result| drop(tx.send(result)));
        let published = self.core.publish_batch(principal, publications, self.clock.now(), Some(done));
        for (space, bytes) in &sizes {
            self.meter.row(space, door, |row| match &published {
                Ok(_) => row.published(*bytes),
                Err(_) => row.refused += 1,
            });
        }
        let published = published?;
        if published.iter().any(|p| p.awaits_commit) {
            let space = sizes.first().map_or(&self.default_space, |(space, _)| space);
            self.await_commit(rx, space, door).await?;
        }
        Ok(published)
    }

    async fn await_commit(
        &self,
        rx: oneshot::Receiver<Result<(), fanfare_core::LogError>>,
        space: &Arc<str>,
        door: &'static str,
    ) -> Result<(), Refusal> {
        let began = std::time::Instant::now();
        let committed = rx.await.map_err(|_| Refusal::ShuttingDown)?;
        self.metrics.observe_commit(space, door, began.elapsed().as_secs_f64());
        Ok(committed?)
    }

    /// Begins `work` at once, and lets the rest of it run as a task: what it does before it first
    /// waits is done in the order of these calls. To be called on a task.
    pub fn begin(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut work = Box::pin(work);
        if work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            // The task asks again, so that no wake-up is missed.
            self.tasks.spawn(work);
        }
    }

    /// Tells a session [`crate::Happening::Told`]. What is told to a connection that is gone is dropped.
    pub fn tell(&self, connection: ConnectionId, what: Box<dyn std::any::Any + Send>) {
        if let Some(inbox) = self.inboxes.get(connection.shard() as usize) {
            inbox.command(Command::Tell { connection, what });
        }
    }

    /// Closes one connection. `false` when it does not exist here.
    pub async fn kick(&self, connection: ConnectionId, reason: &str) -> bool {
        let Some(inbox) = self.inboxes.get(connection.shard() as usize) else { return false };
        let (found, answer) = oneshot::channel();
        let goodbye = Goodbye::Kicked { reason: reason.to_owned() };
        inbox.command(Command::Close { connection, goodbye, found: Some(found) });
        answer.await.unwrap_or(false)
    }

    /// Closes every connection of a subject; says how many.
    pub async fn kick_subject(&self, subject: &Arc<str>, reason: &str) -> usize {
        let goodbye = Goodbye::Kicked { reason: reason.to_owned() };
        let ask = |count| Command::CloseSubject { subject: subject.clone(), goodbye: goodbye.clone(), count };
        self.ask_all(ask).await.into_iter().sum()
    }

    /// Sends a message to one connection, outside of any topic's history. `false` when it does not exist here.
    pub async fn send_to_connection(&self, connection: ConnectionId, publication: Publication) -> bool {
        let Some(inbox) = self.inboxes.get(connection.shard() as usize) else { return false };
        let (count, answer) = oneshot::channel();
        let message = self.direct(publication);
        inbox.command(Command::SendTo { target: Target::Connection(connection), message, count: Some(count) });
        answer.await.is_ok_and(|count| count > 0)
    }

    /// Sends a message to every connection of a subject, outside of any topic's history; says to how many.
    pub async fn send_to_subject(&self, subject: &Arc<str>, publication: Publication) -> usize {
        self.send_to_all(Target::Subject(subject.clone()), publication).await
    }

    /// Sends a message to every connection that subscribes to something in the publication's
    /// space; says to how many.
    pub async fn send_to_space(&self, publication: Publication) -> usize {
        self.send_to_all(Target::Space(publication.space.clone()), publication).await
    }

    /// Sends a message to every connection in a group of the door of this name, outside of any
    /// topic's history; says to how many.
    pub async fn send_to_group(&self, door: &str, group: u16, publication: Publication) -> usize {
        self.send_within_group(door, group, None, publication).await
    }

    /// Sends a message to every connection of a subject that is in a group of the door of this name,
    /// outside of any topic's history; says to how many.
    pub async fn send_to_subject_of_group(
        &self,
        door: &str,
        group: u16,
        subject: &Arc<str>,
        publication: Publication,
    ) -> usize {
        self.send_within_group(door, group, Some(subject.clone()), publication).await
    }

    async fn send_within_group(
        &self,
        door: &str,
        group: u16,
        subject: Option<Arc<str>>,
        publication: Publication,
    ) -> usize {
        let Some(door) = self.doors.iter().position(|d| d.name() == door) else { return 0 };
        self.send_to_all(Target::Group { door: door as u8, group, subject }, publication).await
    }

    async fn send_to_all(&self, target: Target, publication: Publication) -> usize {
        let message = self.direct(publication);
        let ask = |count| Command::SendTo { target: target.clone(), message: message.clone(), count: Some(count) };
        self.ask_all(ask).await.into_iter().sum()
    }

    /// A message that stands in no log: its position is that of nothing.
    fn direct(&self, publication: Publication) -> Arc<Message> {
        Arc::new(Message {
            space: publication.space,
            topic: publication.topic,
            payload: publication.payload,
            kind: publication.kind,
            publisher: None,
            origin: publication.origin,
            properties: publication.properties,
            headers: publication.headers,
            guarantee: publication.guarantee,
            expires_at: publication.expires_at,
            idempotency_key: None,
            time: self.clock.now(),
            epoch: 0,
            offset: 0,
            previous: 0,
            is_retained: false,
        })
    }

    async fn ask_all<T>(&self, ask: impl Fn(oneshot::Sender<T>) -> Command) -> Vec<T> {
        let mut answers = Vec::new();
        for inbox in &self.inboxes {
            let (tx, rx) = oneshot::channel();
            inbox.command(ask(tx));
            answers.push(rx);
        }
        let mut values = Vec::new();
        for answer in answers {
            values.extend(answer.await.ok());
        }
        values
    }

    /// A page of connections after `after`, at most `limit`, in order of id.
    pub async fn connections(&self, after: Option<ConnectionId>, limit: usize) -> Vec<ConnectionSummary> {
        let mut page = Vec::new();
        for (shard, inbox) in self.inboxes.iter().enumerate() {
            let after_here = match after {
                Some(id) if (shard as u8) < id.shard() => continue,
                Some(id) if shard as u8 == id.shard() => Some(id),
                _ => None,
            };
            if page.len() >= limit {
                break;
            }
            let (answer, rx) = oneshot::channel();
            inbox.command(Command::List { after: after_here, limit: limit - page.len(), answer });
            page.extend(rx.await.unwrap_or_default());
        }
        page
    }

    /// One connection, if it is open here.
    pub async fn connection(&self, connection: ConnectionId) -> Option<ConnectionSummary> {
        let inbox = self.inboxes.get(connection.shard() as usize)?;
        let (answer, summary) = oneshot::channel();
        inbox.command(Command::Show { connection, answer });
        summary.await.ok().flatten()
    }

    /// Revokes, in force at once for every later check and within a second on live connections.
    ///
    /// # Errors
    /// The revocation is malformed, one too many, or could not be kept.
    pub async fn revoke(&self, revocation: Revocation, until: Option<Millis>) -> Result<(), RevocationError> {
        let (tx, rx) = oneshot::channel();
        let done = Box::new(move |result| drop(tx.send(result)));
        self.gate.revocations().revoke(revocation, until, self.clock.now(), Some(done))?;
        self.enforce_revocations();
        match rx.await {
            Ok(Err(error)) => Err(RevocationError::NotKept(error)),
            _ => Ok(()),
        }
    }

    fn enforce_revocations(&self) {
        let revocations = self.gate.revocations().clone();
        let clock = self.clock;
        let is_revoked = Arc::new(move |principal: &Principal| revocations.is_revoked(principal, clock.now()));
        for inbox in &self.inboxes {
            inbox.command(Command::Revoke { is_revoked: is_revoked.clone() });
        }
        self.streams.revoke(&*is_revoked);
    }

    /// Lets all doors finish what they have under way; for when the last connection has ended.
    pub async fn finish(self: &Arc<Self>) {
        for finished in self.doors.iter().map(|door| tokio::spawn(door.finish(self))).collect::<Vec<_>>() {
            if let Err(error) = finished.await {
                tracing::error!(%error, "a door did not finish");
            }
        }
    }

    /// A socket goes to the tasks.
    pub(crate) fn hand_off(&self, handoff: Handoff) {
        let peer = handoff.peer;
        let is_taken = self.handoffs.get().is_some_and(|handoffs| handoffs.try_send(handoff).is_ok());
        if !is_taken {
            self.metrics.limit("handoffs");
            self.released(peer.ip());
        }
    }

    pub(crate) fn take_handoffs(&self, sender: mpsc::Sender<Handoff>) {
        let _ = self.handoffs.set(sender);
    }

    /// One more handshake, if the rate allows; otherwise after how many milliseconds.
    pub(crate) fn admit(&self, now: Millis) -> Result<(), u64> {
        let rate = self.limits.load().handshakes_per_second;
        self.handshakes.lock().take(rate, rate, now)
    }

    /// Counts a connection of an address. `false` when it has too many, or all have.
    pub(crate) fn arrived(&self, address: IpAddr) -> Result<(), &'static str> {
        let limits = self.limits.load();
        if self.connections_open.load(Ordering::Relaxed) >= limits.connections {
            return Err("connections");
        }
        let mut addresses = self.addresses.lock();
        let count = addresses.entry(address).or_insert(0);
        if limits.connections_per_address > 0 && *count >= limits.connections_per_address {
            return Err("connections_per_address");
        }
        *count += 1;
        self.connections_open.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// A connection of an address has ended.
    pub(crate) fn released(&self, address: IpAddr) {
        self.connections_open.fetch_sub(1, Ordering::Relaxed);
        let mut addresses = self.addresses.lock();
        if let Some(count) = addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&address);
            }
        }
    }

    /// A publication to a topic of the default space, for callers that have nothing more to say.
    ///
    /// # Errors
    /// The topic is not one.
    pub fn text(&self, topic: &str, text: String) -> Result<Publication, Refusal> {
        Ok(Publication::new(self.default_space.clone(), TopicName::new(topic)?, Kind::Text, text.into()))
    }

    /// The shard with the fewest connections.
    pub(crate) fn least_loaded(&self) -> &Arc<ShardInbox> {
        let by_load = self.inboxes.iter().min_by_key(|inbox| inbox.connections.load(Ordering::Relaxed));
        by_load.expect("there is at least one shard")
    }

    /// Whether a filter text is one, within the bounds in force.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn filter(&self, text: &str) -> Result<Filter, Refusal> {
        if text.len() > self.limits.load().topic_bytes {
            return Err(Refusal::InvalidFilter { reason: "it is longer than limits.topic_bytes" });
        }
        Filter::new(text)
    }
}

/// Which door is reached where.
pub(crate) struct Routes {
    websockets: Vec<(u8, WebSocketMount)>,
    tunnels: Vec<(u8, WebSocketMount)>,
    streams: [Option<u8>; 256],
    http: Vec<(u8, HttpMount)>,
    alpn: Vec<&'static str>,
}

impl Routes {
    fn new(doors: &[Arc<dyn Door>]) -> Self {
        let mut routes = Self {
            websockets: Vec::new(),
            tunnels: Vec::new(),
            streams: [None; 256],
            http: Vec::new(),
            alpn: Vec::new(),
        };
        for (number, door) in doors.iter().enumerate() {
            let number = number as u8;
            let mounts = door.mounts();
            routes.websockets.extend(mounts.websockets.into_iter().map(|mount| (number, mount)));
            routes.tunnels.extend(mounts.tunnels.into_iter().map(|mount| (number, mount)));
            routes.http.extend(mounts.http.into_iter().map(|mount| (number, mount)));
            routes.alpn.extend(mounts.alpn);
            for mount in mounts.streams {
                routes.streams[mount.first_byte as usize] = Some(number);
            }
        }
        routes.http.sort_by_key(|(_, mount)| std::cmp::Reverse(mount.prefix.len()));
        routes
    }

    /// Protocols that doors have names for in TLS.
    pub(crate) fn alpn(&self) -> &[&'static str] {
        &self.alpn
    }

    pub(crate) fn stream(&self, first_byte: u8) -> Option<u8> {
        self.streams[first_byte as usize]
    }

    /// The door and mount of an upgrade path, and whether it is a tunnel.
    pub(crate) fn websocket(&self, path: &str) -> Option<(u8, &WebSocketMount, bool)> {
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        let messages = self.websockets.iter().map(|(door, mount)| (*door, mount, false));
        let tunnels = self.tunnels.iter().map(|(door, mount)| (*door, mount, true));
        messages.chain(tunnels).find(|(_, mount, _)| mount.path == path)
    }

    /// The mount whose prefix fits best, and which claims the request.
    pub(crate) fn http(&self, head: &http::request::Parts) -> Option<(u8, &HttpMount)> {
        let path = head.uri.path();
        let is_for = |prefix: &str| {
            let rest = path.strip_prefix(prefix.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mut fitting = self.http.iter().filter(|(_, mount)| is_for(mount.prefix));
        fitting.find(|(_, mount)| mount.service.claims(head)).map(|(door, mount)| (*door, mount))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{HttpResponse, HttpService};
    use crate::http::HttpContext;

    /// Claims what carries a header, or everything.
    struct Service(Option<&'static str>);

    impl HttpService for Service {
        fn claims(&self, head: &http::request::Parts) -> bool {
            self.0.is_none_or(|header| head.headers.contains_key(header))
        }

        fn call(&self, _: http::Request<hyper::body::Incoming>, _: HttpContext) -> HttpResponse {
            Box::pin(std::future::pending())
        }
    }

    #[test]
    fn doors_share_a_path_by_what_they_claim() {
        let mount = |prefix, header| HttpMount { prefix, service: Arc::new(Service(header)) };
        let mut routes = Routes::new(&[]);
        routes.http = vec![(0, mount("/a", Some("x-a"))), (1, mount("/", Some("x-target"))), (2, mount("/", None))];
        let found = |path: &str, header: &str| {
            let request = http::Request::get(path).header(header, "1").body(()).expect("it is a request");
            routes.http(&request.into_parts().0).map(|(door, _)| door)
        };
        assert_eq!(found("/", "x-target"), Some(1));
        assert_eq!(found("/", "x-other"), Some(2));
        assert_eq!(found("/a/b", "x-a"), Some(0));
        assert_eq!(found("/a/b", "x-other"), Some(2), "who does not claim leaves it to the next");
    }
}
