//! A whole server on free ports of the loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_core::{CoreLimits, Log, MemoryLog, SpaceSettings};
use fanfare_door::{Door, DriverLimits, Gateway, GatewayParts, Policy, Server, ServerOptions};
use fanfare_identity::{Gate, GateConfig, KeyAlgorithm, KeyConfig, KeyMaterial, Revocations};
use fanfare_telemetry::{MeterBook, Metrics};
use tokio::runtime::Runtime;

/// The secret of the development key that tests sign with.
pub const TEST_SECRET: &str = "a secret that is long enough for HS256, for tests only";

/// What a test wants of its server. The default is a development server without doors that keeps
/// everything in memory.
pub struct TestServerOptions {
    /// The doors.
    pub doors: Vec<Arc<dyn Door>>,
    /// Event loops.
    pub shards: usize,
    /// Bounds.
    pub limits: DriverLimits,
    /// Rules.
    pub policy: Policy,
    /// Settings of all spaces.
    pub space: SpaceSettings,
    /// The log; in memory when absent.
    pub log: Option<Arc<dyn Log>>,
    /// Who may come in; development mode with [`TEST_SECRET`] when absent.
    pub gate: Option<GateConfig>,
    /// TLS, if the test wants it.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

impl Default for TestServerOptions {
    fn default() -> Self {
        Self {
            doors: Vec::new(),
            shards: 1,
            limits: DriverLimits::default(),
            policy: Policy { is_development: true, ..Policy::default() },
            space: SpaceSettings::default(),
            log: None,
            gate: None,
            tls: None,
        }
    }
}

/// A running server; it stops when dropped.
pub struct TestServer {
    server: Option<Server>,
    runtime: Option<Runtime>,
    /// Where it listens.
    pub address: SocketAddr,
    /// For acting on it from outside.
    pub gateway: Arc<Gateway>,
}

impl TestServer {
    /// Starts it.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn start(options: TestServerOptions) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let log = options.log.unwrap_or_else(|| Arc::new(MemoryLog::new(fastrand::u64(1..=u64::from(u32::MAX)))));
        let material = KeyMaterial::Secret(TEST_SECRET.to_owned().into());
        let key = KeyConfig { id: None, algorithm: KeyAlgorithm::HS256, material };
        let gate_config = options.gate.unwrap_or_else(|| GateConfig::development(key));
        let revocations = Arc::new(Revocations::load(log.clone(), 0)?);
        let book = MeterBook::new();
        let parts = GatewayParts {
            node: "test".into(),
            gate: Arc::new(Gate::new(&gate_config, revocations)?),
            doors: options.doors,
            limits: options.limits,
            policy: options.policy,
            metrics: Metrics::new(book.clone()),
            book,
            tasks: runtime.handle().clone(),
        };
        let server_options = ServerOptions {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            shards: options.shards,
            tls: options.tls,
            log,
            core_limits: CoreLimits::default(),
            spaces: Vec::new(),
            default_space: options.space,
        };
        let server = {
            let _inside = runtime.enter();
            Server::start(parts, server_options)?
        };
        let address = server.addresses.first().copied().ok_or_else(|| anyhow::anyhow!("the server listens nowhere"))?;
        Ok(Self { gateway: server.gateway.clone(), server: Some(server), runtime: Some(runtime), address })
    }

    /// Says goodbye to everybody within so many milliseconds, and stops.
    pub fn drain(mut self, within_ms: u64) {
        if let Some(server) = self.server.take() {
            server.drain(within_ms);
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits until `condition` yields something, at most ten seconds; `None` when it never does.
pub fn eventually<T>(mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
