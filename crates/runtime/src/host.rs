//! The host of all functions: what they share, and what is done for all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::check;
use crate::config::HandlerConfig;
use crate::environment::ChildCredential;
use crate::error::HostError;
use crate::function::{FunctionStats, HostedFunction, ProcessRow, Shared};
use crate::reload;
use crate::runtimes::{Runtimes, RuntimesOptions};
use crate::slots::Slots;
use crate::watchdog;

/// The keys of a function's processes, by its name.
pub type CredentialOf = Arc<dyn Fn(&str) -> ChildCredential + Send + Sync>;

/// Settings of a [`Host`].
#[derive(Clone)]
pub struct HostOptions {
    /// Where runtimes are created on first use: virtual environments, and the client for Node.
    pub runtimes_dir: PathBuf,
    /// Twelve digits, for ARNs.
    pub account: String,
    /// For ARNs, and what the processes are told.
    pub region: String,
    /// Processes of all functions together, at least 1. Reserved concurrency is taken from it.
    pub concurrency_max: usize,
    /// Processes of one function that begin at once, at least 1. Further calls wait for these, or for those that end
    /// their calls meanwhile.
    pub starts_max: usize,
    /// Variables of all processes, such as `AWS_ENDPOINT_URL`. A function's own win.
    pub variables: BTreeMap<String, String>,
    /// Certificates that the processes trust, in PEM. It replaces their own store, so it holds the system's too.
    pub ca_bundle: Option<PathBuf>,
    /// Keys that processes sign with.
    pub credential: CredentialOf,
    /// The Python to use, whatever version a function asks for. Otherwise `python3.12` and the like, or `python3`.
    pub python: Option<PathBuf>,
    /// The Node.js to use; otherwise `node`.
    pub node: Option<PathBuf>,
    /// Whether an application's own `node_modules/aws-lambda-ric` runs its handlers, where there is one.
    pub use_official_node_client: bool,
    /// A `node_modules` folder for what applications do not bring, such as the AWS SDK.
    pub node_path: Option<PathBuf>,
    /// What npm installs on first use for applications that lack one of them, such as
    /// `@aws-sdk/client-apigatewaymanagementapi@3`; Lambda has the AWS SDK for all. Empty for nothing.
    pub node_packages: Vec<String>,
    /// Whether a change of the code begins new processes. Folders are looked at every [`RELOAD_PERIOD`](crate::RELOAD_PERIOD).
    pub reload: bool,
}

impl HostOptions {
    /// Account 000000000000 in us-east-1, 1,000 processes of which two for each processor (at least 4) begin together,
    /// no variables, no keys, no reloading.
    #[must_use]
    pub fn new(runtimes_dir: impl Into<PathBuf>) -> Self {
        Self {
            runtimes_dir: runtimes_dir.into(),
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            concurrency_max: 1_000,
            starts_max: 2 * available_parallelism().map_or(2, NonZeroUsize::get).max(2),
            variables: BTreeMap::new(),
            ca_bundle: None,
            credential: Arc::new(|_| ChildCredential::default()),
            python: None,
            node: None,
            use_official_node_client: false,
            node_path: None,
            node_packages: Vec::new(),
            reload: false,
        }
    }
}

impl fmt::Debug for HostOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostOptions").field("runtimes_dir", &self.runtimes_dir).finish_non_exhaustive()
    }
}

/// Runs functions as child processes. Ends them all when it is dropped, at once; [`stop`](Self::stop) is politer.
pub struct Host {
    common: Arc<Common>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What all functions share.
pub(crate) struct Common {
    pub(crate) options: HostOptions,
    pub(crate) runtime: Handle,
    pub(crate) runtimes: Runtimes,
    slots: Slots,
    functions: Mutex<Vec<Arc<HostedFunction>>>,
    /// Some function waits for a place that another one has.
    is_lacking: AtomicBool,
}

impl Host {
    /// A host without functions. To be called on a task.
    ///
    /// # Errors
    /// [`HostError::NoRuntime`].
    pub fn new(options: HostOptions) -> Result<Self, HostError> {
        let runtime = Handle::try_current().map_err(|_| HostError::NoRuntime)?;
        let runtimes = Runtimes::new(RuntimesOptions {
            folder: options.runtimes_dir.clone(),
            python: options.python.clone(),
            node: options.node.clone(),
            use_official_node_client: options.use_official_node_client,
            node_path: options.node_path.clone(),
            node_packages: options.node_packages.clone(),
        });
        let slots = Slots::new(options.concurrency_max.max(1));
        let common = Arc::new(Common {
            options,
            runtime,
            runtimes,
            slots,
            functions: Mutex::default(),
            is_lacking: AtomicBool::new(false),
        });
        let watchdog = tokio::spawn(watchdog::watch(Arc::downgrade(&common)));
        Ok(Self { common, tasks: Mutex::new(vec![watchdog]) })
    }

    /// Adds a function. It can be called at once; processes begin with the first call, or with [`start`](Self::start)
    /// where some are provisioned.
    ///
    /// # Errors
    /// Its name, its folder or a setting is not as it must be, or its reserved concurrency leaves nothing to the others.
    pub fn add(&self, config: HandlerConfig) -> Result<Arc<HostedFunction>, HostError> {
        let config = check::checked(config)?;
        let mut functions = self.common.functions.lock();
        if functions.iter().any(|other| other.config().name == config.name) {
            return Err(HostError::Duplicate { name: config.name, origin: config.origin });
        }
        let slots = self.slots_for(&config)?;
        let _on_runtime = self.common.runtime.enter();
        let function = Arc::new(HostedFunction { shared: Shared::new(config, self.common.clone(), slots) });
        functions.push(function.clone());
        Ok(function)
    }

    fn slots_for(&self, config: &HandlerConfig) -> Result<Slots, HostError> {
        let Some(reserved) = config.reserved_concurrency.map(|reserved| reserved as usize) else {
            return Ok(self.common.slots.clone());
        };
        if !self.common.slots.shrink(reserved) {
            let left = self.common.slots.limit();
            let reason = format!("a reserved concurrency of {reserved} leaves nothing to other functions of {left}");
            return Err(check::setting(config, reason));
        }
        Ok(Slots::new(reserved))
    }

    /// Creates what the functions' runtimes need and is not there yet, which can take minutes the first time.
    /// What cannot be created is in the log, and told to whoever calls the function; it is tried again then.
    pub async fn prepare(&self) {
        for function in self.common.functions() {
            if let Err(error) = self.common.runtimes.prepare(function.config()).await {
                let config = function.config();
                tracing::error!(function = %config.name, at = %config.origin, %error, "a runtime cannot be created");
            }
        }
    }

    /// Begins provisioned processes, creates the runtimes that functions will need, and looks for changes of the code.
    pub fn start(&self) {
        for function in self.common.functions() {
            function.shared.with_pool(|pool| pool.start(Instant::now()));
        }
        let mut tasks = self.tasks.lock();
        if self.common.options.reload {
            tasks.push(self.common.runtime.spawn(reload::poll(Arc::downgrade(&self.common))));
        }
    }

    /// Takes no more calls, lets those that run end within `grace`, and then ends all processes: by SIGTERM, and two
    /// seconds later by SIGKILL.
    pub async fn stop(&self, grace: Duration) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
        let end = Instant::now() + grace;
        self.common.each(|pool| pool.stop(Instant::now()));
        self.gone_before(end).await;
        self.common.each(|pool| pool.stop_busy(Instant::now()));
        if !self.gone_before(Instant::now() + Duration::from_millis(2_500)).await {
            self.common.each(|pool| pool.kill_all());
            self.gone_before(Instant::now() + Duration::from_secs(1)).await;
        }
    }

    /// Whether no process is left at that time, or earlier.
    async fn gone_before(&self, end: Instant) -> bool {
        loop {
            if self.common.functions().iter().all(|function| function.shared.with_pool(|pool| pool.processes() == 0)) {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// All functions, in the order in which they were added.
    #[must_use]
    pub fn functions(&self) -> Vec<Arc<HostedFunction>> {
        self.common.functions()
    }

    /// All processes.
    #[must_use]
    pub fn processes(&self) -> Vec<ProcessRow> {
        self.common.functions().iter().flat_map(|function| function.processes()).collect()
    }

    /// What each function did so far.
    #[must_use]
    pub fn stats(&self) -> Vec<FunctionStats> {
        self.common.functions().iter().map(|function| function.stats()).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
        self.common.each(|pool| {
            pool.stop(Instant::now());
            pool.kill_all();
        });
        // Functions know the host, and the host its functions.
        self.common.functions.lock().clear();
    }
}

impl Common {
    pub(crate) fn functions(&self) -> Vec<Arc<HostedFunction>> {
        self.functions.lock().clone()
    }

    fn each(&self, mut change: impl FnMut(&mut crate::pool::Pool)) {
        for function in self.functions() {
            function.shared.with_pool(&mut change);
        }
    }

    fn sharing(&self) -> Vec<Arc<HostedFunction>> {
        self.functions().into_iter().filter(|function| !function.shared.is_reserved).collect()
    }

    /// Ends processes that wait for calls of other functions, those first that wait for longest. Says whether that
    /// makes enough room.
    pub(crate) fn make_room(&self, lacking: usize) -> bool {
        self.is_lacking.store(true, Release);
        let sharing = self.sharing();
        let mut ending: usize = sharing.iter().map(|function| function.shared.stats().ending).sum();
        while ending < lacking {
            let spare = |function: &Arc<HostedFunction>| {
                let (since, id) = function.shared.with_pool(|pool| pool.spare())?;
                Some((since, id, function.clone()))
            };
            let Some((_, id, owner)) = sharing.iter().filter_map(spare).min_by_key(|(since, ..)| *since) else {
                return false;
            };
            owner.shared.with_pool(|pool| pool.evict(id, Instant::now()));
            ending += 1;
        }
        true
    }

    /// A place is free: whoever waits for one may have it.
    pub(crate) fn place_free(&self) {
        if self.is_lacking.swap(false, AcqRel) {
            for function in self.sharing() {
                function.shared.with_pool(|pool| pool.balance(Instant::now()));
            }
        }
    }
}
