//! Runs the server: puts the rooms together, then waits for signals.

use std::fs;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use fanfare_admin::{Operations, StartPage};
use fanfare_core::{Log, MemoryLog, SpaceSettings};
use fanfare_door::{DriverLimits, Gateway, GatewayParts, ListenError, Policy, Server, ServerOptions};
use fanfare_identity::{AdminKeys, Gate, GateConfig, KeyAlgorithm, KeyConfig, KeyMaterial, Revocations};
use fanfare_runtime::Host;
use fanfare_store::{EmbeddedLog, StoreOptions};
use fanfare_telemetry::{LogFormat, LogGuard, LogOptions, MeterBook, Metrics, UsageBook};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use parking_lot::Mutex;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::access::{ChildCredentials, SharedAccess};
use crate::cli::ServeArgs;
use crate::config::{self, Config};
use crate::endpoints::{self, Endpoints};
use crate::exit::Misuse;
use crate::hosting::Hosted;
use crate::letters::Letters;
use crate::momento_keys::MomentoKeys;
use crate::trust::Trust;
use crate::{development_key, doors, output, start_page};

/// What else this program keeps in the data folder, perhaps before it has served for the first time.
const NEIGHBOURS: [&str; 8] = [
    "ca",
    "code",
    "credentials.toml",
    "credentials.lock",
    "development.key",
    "momento-keys.toml",
    "momento-keys.lock",
    "runtimes",
];

/// Files that the server needs beside its connections: log, event loops, listeners.
const FILES_RESERVED: u64 = 256;

/// Runs the server until it is told to stop.
///
/// # Errors
/// It could not start, or it failed.
pub fn serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let mut config = args.clone().load()?;
    refuse_what_cannot_be(&config)?;
    let _logging = start_logging(&config)?;
    // Nothing else may choose another provider first: one for TLS, tokens and key sets.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let files_max = raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("task").build()?;
    let hosted = gather(&mut config)?;
    let log = open_log(&config)?;
    let usage = Arc::new(Mutex::new(UsageBook::restore(&*log)?));
    let trust = Trust::open(&config, &hosted.domains())?;
    let running = begin(&config, &hosted, &trust, &log, &usage, files_max, runtime.handle())?;
    let Running { server, access, .. } = &running;
    let limits = server.gateway.limits();
    let places = endpoints::places(&hosted.apis, &Endpoints::of(&config));
    let page =
        start_page::render(&config, &server.addresses, limits.connections, files_max, trust.ca.as_deref(), &places);
    output::write_to_reader(page.as_bytes())?;
    runtime.spawn(access.clone().keep_fresh());
    runtime.spawn(running.momento.clone().keep_fresh(server.gateway.clone()));
    runtime.spawn(server.gateway.gate.keep_keys_fresh());
    runtime.spawn(keep_books(server.gateway.clone(), usage.clone()));
    runtime.block_on(run(&args, &config, &server.gateway, access, files_max))?;
    let gateway = server.gateway.clone();
    end(running, &config, &runtime)?;
    post_usage(&gateway, &usage);
    gateway.core.tell_heads();
    log.flush().context("what was published last could not be written")?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// A server, and what it serves with.
struct Running {
    server: Server,
    access: Arc<SharedAccess>,
    /// Keys for Momento's SDKs.
    momento: Arc<MomentoKeys>,
    /// Runs functions; `None` where none run here.
    host: Option<Arc<Host>>,
}

/// Functions first: they can be called as soon as the server listens.
fn begin(
    config: &Config,
    hosted: &Hosted,
    trust: &Trust,
    log: &Arc<dyn Log>,
    usage: &Arc<Mutex<UsageBook>>,
    files_max: u64,
    tasks: &tokio::runtime::Handle,
) -> anyhow::Result<Running> {
    let _inside = tasks.enter();
    let children = ChildCredentials::issue(hosted.names())?;
    let functions = config.functions(log.clone())?;
    let book = MeterBook::new();
    let metrics = Metrics::new(book.clone());
    let host = hosted.host(config, &children, trust.bundle.as_deref(), &functions, &metrics)?;
    if let Some(host) = &host {
        // Whoever connects first is not to wait for what is made once.
        tasks.block_on(host.prepare());
    }
    let access = Arc::new(SharedAccess::new(config, functions, children)?);
    let momento = Arc::new(MomentoKeys::open(&config.data, config.in_memory)?);
    let made = Made { hosted, shared: &access, momento: &momento, trust, metrics, book };
    let server = start(config, log.clone(), usage.clone(), files_max, made, tasks)?;
    let letters = Letters::new(server.gateway.clone(), &config.aws);
    access.functions.start(tasks, Some(Arc::new(letters)));
    if let Some(host) = &host {
        host.start();
    }
    Ok(Running { server, access, momento, host })
}

/// Connections end, then what doors and functions have under way, then the processes of functions.
fn end(running: Running, config: &Config, runtime: &tokio::runtime::Runtime) -> anyhow::Result<()> {
    let Running { server, access, host, .. } = running;
    let drain_ms = config.limits.drain_timeout_ms;
    tracing::info!(connections = server.gateway.connection_count(), within_ms = drain_ms, "draining");
    runtime.spawn(exit_at_second_signal());
    let (gateway, bound) = (server.gateway.clone(), Duration::from_millis(drain_ms));
    let calls_end = runtime.spawn(async move { access.functions.drain(bound).await });
    gateway.announce_drain();
    std::thread::sleep(Duration::from_millis(config.limits.drain_grace_ms));
    server.drain(drain_ms);
    runtime.block_on(calls_end)?;
    runtime.block_on(finish(&gateway, host.as_deref(), bound));
    Ok(())
}

/// What is hosted, and a port by which it finds this server.
fn gather(config: &mut Config) -> anyhow::Result<Hosted> {
    let is_hosting = config.app.is_some() || !(config.handlers().is_empty() && config.apigateway.apis.is_empty());
    if is_hosting {
        endpoints::choose_port(config).context("no port could be chosen to listen on")?;
    }
    let hosted = Hosted::gather(config)?;
    for note in &hosted.notes {
        tracing::info!(at = note.origin, "{}", note.text);
    }
    Ok(hosted)
}

/// Lets doors finish what they have under way, and then ends the processes of functions; each within `bound`.
async fn finish(gateway: &Arc<Gateway>, host: Option<&Host>, bound: Duration) {
    if tokio::time::timeout(bound, gateway.finish()).await.is_err() {
        tracing::warn!(within_ms = bound.as_millis(), "what doors had under way was not finished in time");
    }
    if let Some(host) = host {
        host.stop(bound).await;
    }
}

fn refuse_what_cannot_be(config: &Config) -> anyhow::Result<()> {
    if config.is_development() {
        let everywhere = config.listen.iter().chain(&config.mqtt_listen).find(|address| !address.ip().is_loopback());
        if let Some(address) = everywhere {
            let message = "without keys everybody may do everything, so only addresses of this machine can be listened on; \
                           set auth.keys (fanfare.toml) to listen on";
            return Err(Misuse(format!("{message} {address}")).into());
        }
    }
    if config.tls.cert.is_some() != config.tls.key.is_some() {
        return Err(Misuse("tls.cert and tls.key go together; one of them is missing".to_owned()).into());
    }
    Ok(())
}

fn start_logging(config: &Config) -> anyhow::Result<LogGuard> {
    let format = match config.log.format {
        config::LogFormat::Text => LogFormat::Text,
        config::LogFormat::Json => LogFormat::Json,
    };
    let level = config.log.level.word();
    // The storage engine tells of its own housekeeping at info.
    let filter = format!("{level},fjall=warn,lsm_tree=warn,hyper=warn,rustls=warn");
    let options = LogOptions { format, filter: &filter, otlp_endpoint: config.otlp.endpoint.clone() };
    Ok(fanfare_telemetry::init(&options)?)
}

/// Raises the soft limit of open files to the hard one, and tells what it is now.
fn raise_file_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1_024 };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

fn open_log(config: &Config) -> anyhow::Result<Arc<dyn Log>> {
    if config.in_memory {
        return Ok(Arc::new(MemoryLog::new(fastrand::u64(1..=u64::from(u32::MAX)))));
    }
    fs::create_dir_all(&config.data)
        .with_context(|| format!("the data folder {} cannot be made", config.data.display()))?;
    let (log, report) =
        EmbeddedLog::open(&config.data, StoreOptions { neighbours: &NEIGHBOURS, ..StoreOptions::default() })?;
    if report.cut_bytes > 0 {
        tracing::warn!(
            bytes = report.cut_bytes,
            "an unfinished last write was cut off; nothing in it had been acknowledged"
        );
    }
    tracing::info!(spaces = report.spaces, messages = report.messages_estimate, data = %config.data.display(), "log opened");
    Ok(log)
}

/// What was made before the server.
struct Made<'a> {
    hosted: &'a Hosted,
    shared: &'a SharedAccess,
    momento: &'a MomentoKeys,
    trust: &'a Trust,
    metrics: Arc<Metrics>,
    book: MeterBook,
}

fn start(
    config: &Config,
    log: Arc<dyn Log>,
    usage: Arc<Mutex<UsageBook>>,
    files_max: u64,
    made: Made<'_>,
    tasks: &tokio::runtime::Handle,
) -> anyhow::Result<Server> {
    let revocations = Arc::new(Revocations::load(log.clone(), fanfare_door::Clock::start().now())?);
    let gate = Arc::new(Gate::new(&gate_config(config)?, revocations)?);
    let parts = GatewayParts {
        node: format!("{:06x}", fastrand::u32(..1 << 24)).into(),
        gate,
        doors: doors::all(config, operations(config, usage)?, made.shared, made.hosted, made.momento)?,
        limits: driver_limits(config, files_max),
        policy: policy(config),
        metrics: made.metrics,
        book: made.book,
        tasks: tasks.clone(),
    };
    let shards = match config.shards {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        shards => shards,
    };
    let options = ServerOptions {
        listen: config.listen.iter().chain(&config.mqtt_listen).copied().collect(),
        shards,
        tls: made.trust.tls.clone(),
        log,
        core_limits: config.core_limits(),
        spaces: spaces(config),
        default_space: config.space_settings(""),
    };
    Server::start(parts, options).map_err(|error| explain(error, config))
}

fn operations(config: &Config, usage: Arc<Mutex<UsageBook>>) -> anyhow::Result<Operations> {
    Ok(Operations {
        admin_keys: AdminKeys::new(&config.auth.admin_keys)?,
        is_development: config.is_development(),
        metrics_open: config.auth.metrics_open,
        usage,
        version: env!("CARGO_PKG_VERSION"),
        start_page: StartPage::Plain,
    })
}

/// Keeps what must not be lost of the counts, and forgets revocations that are over.
async fn keep_books(gateway: Arc<Gateway>, usage: Arc<Mutex<UsageBook>>) {
    let mut interval = tokio::time::interval(Duration::from_secs(10));
    loop {
        interval.tick().await;
        let (gateway, usage) = (gateway.clone(), usage.clone());
        // Both may wait for the disk.
        let _ = tokio::task::spawn_blocking(move || {
            post_usage(&gateway, &usage);
            gateway.gate.revocations().prune(gateway.clock.now());
        })
        .await;
    }
}

fn post_usage(gateway: &Gateway, usage: &Mutex<UsageBook>) {
    gateway.meter.post();
    let mut usage = usage.lock();
    usage.take(&gateway.book.totals(), gateway.clock.now());
    if let Err(error) = usage.persist(&**gateway.core.log()) {
        tracing::warn!(%error, "usage could not be kept; it is tried again");
    }
}

fn explain(error: ListenError, config: &Config) -> anyhow::Error {
    match error {
        ListenError::Taken(address) => {
            let flag = if config.mqtt_listen.contains(&address) { "--mqtt-listen" } else { "--listen" };
            let other = SocketAddr::new(address.ip(), address.port().wrapping_add(1));
            Misuse(format!("{address} is already in use; choose another address with {flag}, such as {flag} {other}"))
                .into()
        }
        ListenError::Address { .. } => Misuse(error.to_string()).into(),
        error => error.into(),
    }
}

fn gate_config(config: &Config) -> anyhow::Result<GateConfig> {
    if !config.is_development() {
        return config.auth.gate_config().context("a key of auth.keys cannot be read");
    }
    let secret = match config.in_memory {
        true => config::Secret::from(format!("{:032x}{:032x}", fastrand::u128(..), fastrand::u128(..))),
        false => development_key::read_or_create(&config.data)
            .with_context(|| format!("the development key in {} cannot be used", config.data.display()))?,
    };
    let id = Some(development_key::ID.to_owned());
    Ok(GateConfig::development(KeyConfig { id, algorithm: KeyAlgorithm::HS256, material: KeyMaterial::Secret(secret) }))
}

fn driver_limits(config: &Config, files_max: u64) -> DriverLimits {
    let limits = &config.limits;
    DriverLimits {
        connections_per_address: u32::try_from(limits.connections_per_address).unwrap_or(u32::MAX),
        connections: u32::try_from(files_max.saturating_sub(FILES_RESERVED).max(16)).unwrap_or(u32::MAX),
        handshakes_per_second: limits.handshakes_per_second,
        handshake_timeout_ms: limits.handshake_timeout_ms,
        head_bytes: limits.head_bytes,
        frame_bytes: limits.frame_bytes,
        message_bytes: limits.frame_bytes,
        body_bytes: limits.frame_bytes,
        topic_bytes: limits.topic_bytes,
        subscriptions: limits.subscriptions,
        publish_per_second: limits.publish_per_second,
        publish_burst: limits.publish_burst,
        outbox_bytes: limits.outbox_bytes,
        outbox_age_ms: limits.outbox_age_ms,
        ping_interval_ms: limits.ping_interval_ms,
        reconnect_spread_ms: limits.reconnect_spread_ms,
        ..DriverLimits::default()
    }
}

fn policy(config: &Config) -> Policy {
    Policy {
        is_development: config.is_development(),
        allowed_origins: config.auth.allowed_origins.clone(),
        deflate: config.websocket.deflate,
    }
}

fn spaces(config: &Config) -> Vec<(Arc<str>, SpaceSettings)> {
    config.spaces.keys().map(|name| (name.as_str().into(), config.space_settings(name))).collect()
}

/// Waits for the signal to stop; reloads at SIGHUP.
async fn run(
    args: &ServeArgs,
    first: &Config,
    gateway: &Gateway,
    access: &SharedAccess,
    files_max: u64,
) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = stop_signals()?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => match reload(args, first, gateway, access, files_max) {
                Ok(()) => tracing::info!("keys, limits and spaces were read again"),
                Err(error) => tracing::error!("the configuration stays as it was: {error:#}"),
            },
        }
    }
}

fn stop_signals() -> std::io::Result<(Signal, Signal)> {
    Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
}

/// Takes keys, users, policies, limits and spaces of a changed configuration into use. Addresses, data folder,
/// shards and certificates need a restart.
fn reload(
    args: &ServeArgs,
    first: &Config,
    gateway: &Gateway,
    access: &SharedAccess,
    files_max: u64,
) -> anyhow::Result<()> {
    let mut config = args.clone().load()?;
    // An application may have named it.
    config.aws.region.clone_from(&first.aws.region);
    let is_elsewhere = first.listen.iter().chain(&first.mqtt_listen).any(|address| !address.ip().is_loopback());
    if config.is_development() && is_elsewhere {
        anyhow::bail!("there are no keys any more, and the server is reachable from other machines");
    }
    let authority = access.read(&config)?;
    gateway.gate.replace(&gate_config(&config)?)?;
    access.store(authority)?;
    gateway.core.configure(spaces(&config), Some(config.space_settings("")));
    gateway.replace(driver_limits(&config, files_max), policy(&config));
    Ok(())
}

#[expect(clippy::exit, reason = "a second signal says that nobody wants to wait any longer")]
async fn exit_at_second_signal() {
    if let Ok((mut terminate, mut interrupt)) = stop_signals() {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(1);
    }
}
