//! What is served beside the doors: functions that run here, and WebSocket APIs. Both come from the configuration and
//! from an application.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use fanfare_apigateway::Api;
use fanfare_apigateway::compiled::Compiled;
use fanfare_apigateway::model::{ConnectionsAuth, Options};
use fanfare_descriptors::Note;
use fanfare_functions::{Answer, Call, Function, Functions, LaterOptions, function_name};
use fanfare_runtime::{ChildCredential, HandlerConfig, Host, HostOptions, HostedFunction, sdk_packages};
use fanfare_telemetry::{FunctionFigures, Metrics};

use crate::access::ChildCredentials;
use crate::app;
use crate::config::Config;
use crate::endpoints::{self, Endpoints};
use crate::exit::Misuse;

/// The folder of runtimes in the data folder.
const RUNTIMES_FOLDER: &str = "runtimes";
/// Where the region of an application is not said.
const APP_REGION: &str = "us-east-1";
/// As descriptors have it where nothing is said; then `runtime.idle_timeout_s` counts.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// What is to be served.
#[derive(Debug, Default)]
pub(crate) struct Hosted {
    /// Functions that run here.
    pub(crate) handlers: Vec<HandlerConfig>,
    /// WebSocket APIs, those of the configuration first.
    pub(crate) apis: Vec<Api>,
    /// What has no effect here.
    pub(crate) notes: Vec<Note>,
    code: Option<fanfare_descriptors::Application>,
}

impl Hosted {
    /// Everything that `config` and the application that it names describe. The region of the application becomes the
    /// server's, unless one is configured.
    ///
    /// # Errors
    /// Mistakes of the application, or something that is described twice.
    pub(crate) fn gather(config: &mut Config) -> anyhow::Result<Self> {
        let mut hosted = Self { handlers: config.handlers(), apis: config.apigateway.apis.clone(), ..Self::default() };
        if let Some(file) = config.app.clone() {
            hosted.add_app(&file, config)?;
        }
        hosted.refuse_twins(config)?;
        hosted.refuse_strangers(config)?;
        hosted.refuse_open_doors(config)?;
        Ok(hosted)
    }

    /// Whoever comes through a proxy on this machine comes from this machine: only where everybody may do everything
    /// anyway may a signature be left out.
    fn refuse_open_doors(&self, config: &Config) -> Result<(), Misuse> {
        let is_open = |api: &&Api| api.options.connections_auth == ConnectionsAuth::None;
        match self.apis.iter().find(is_open).filter(|_| !config.is_development()) {
            None => Ok(()),
            Some(api) => Err(Misuse(format!(
                "{}: connections_auth = \"none\" is for development mode; remove it, and give senders a key with `fanfare \
                 credentials create NAME --policy manage-connections`",
                api.origin
            ))),
        }
    }

    fn add_app(&mut self, file: &Path, config: &mut Config) -> Result<(), Misuse> {
        let mut app = app::read(file, config, &Endpoints::of(config).host)?;
        if !config.aws.has_region() {
            config.aws.region = app.region.clone().unwrap_or_else(|| APP_REGION.to_owned());
        }
        for mut handler in std::mem::take(&mut app.functions) {
            handler.freeze_after = handler.freeze_after.or(config.runtime.freeze_after());
            if handler.idle_timeout == IDLE_TIMEOUT {
                handler.idle_timeout = config.runtime.idle_timeout();
            }
            self.handlers.push(handler);
        }
        for mut api in std::mem::take(&mut app.apis) {
            if api.options == Options::default() {
                api.options = config.apigateway.options();
            }
            Compiled::new(api.clone()).map_err(|mistakes| {
                Misuse(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")) //
            })?;
            self.apis.push(api);
        }
        self.notes = std::mem::take(&mut app.notes);
        self.code = Some(app);
        Ok(())
    }

    fn refuse_twins(&self, config: &Config) -> Result<(), Misuse> {
        let elsewhere = config.functions.iter().filter(|(_, function)| function.handler.is_none());
        let mut names: BTreeSet<&str> = elsewhere.map(|(name, _)| name.as_str()).collect();
        for handler in &self.handlers {
            if !names.insert(&handler.name) {
                let (origin, name) = (&handler.origin, &handler.name);
                return Err(Misuse(format!("{origin}: there is another function {name:?}; rename one of them")));
            }
        }
        let mut ids = BTreeSet::new();
        for api in &self.apis {
            if !ids.insert(&api.id) {
                let (origin, id) = (&api.origin, &api.id);
                return Err(Misuse(format!("{origin}: there is another API with the id {id:?}; rename one of them")));
            }
        }
        Ok(())
    }

    /// APIs and authorizers of the configuration may name functions of an application, which were not known when it
    /// was read.
    fn refuse_strangers(&self, config: &Config) -> Result<(), Misuse> {
        let is_known = |name: &str| {
            let is_its = |handler: &HandlerConfig| handler.name == name || handler.alias.as_deref() == Some(name);
            config.functions.contains_key(name) || name.contains("${") || self.handlers.iter().any(is_its)
        };
        for (index, authorizer) in config.iot.authorizers.iter().enumerate() {
            if !is_known(function_name(&authorizer.function)) {
                let (name, at) = (&authorizer.function, format!("iot.authorizers[{index}]"));
                return Err(Misuse(format!("{at}: no function {name:?} is in the configuration or the application")));
            }
        }
        for api in &config.apigateway.apis {
            let integrations = api.routes.values().filter_map(|route| route.integration.as_ref());
            let integrations = integrations.filter_map(|one| Some((one.function.as_deref()?, &one.origin)));
            let authorizers = api.authorizers.values().map(|one| (one.function.as_str(), &one.origin));
            for (name, origin) in integrations.chain(authorizers) {
                if !is_known(function_name(name)) {
                    return Err(Misuse(format!(
                        "{origin}: no function {name:?} is in the configuration or the application"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Host names that a certificate is to stand for beside the server's own.
    pub(crate) fn domains(&self) -> Vec<String> {
        self.apis.iter().flat_map(|api| &api.domains).map(|domain| domain.name.clone()).collect()
    }

    /// The names of the functions that run here.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.handlers.iter().map(|handler| handler.name.as_str())
    }

    /// Makes a host of the functions and registers them; processes begin with the first call or with
    /// [`Host::start`]. `None` where nothing runs here. To be called on a task.
    ///
    /// # Errors
    /// The host or a function cannot be set up.
    pub(crate) fn host(
        &self,
        config: &Config,
        children: &ChildCredentials,
        bundle: Option<&Path>,
        functions: &Functions,
        metrics: &Arc<Metrics>,
    ) -> anyhow::Result<Option<Arc<Host>>> {
        if self.handlers.is_empty() {
            return Ok(None);
        }
        if let Some(app) = &self.code {
            app.write_code().context("the code of the application cannot be written")?;
        }
        let variables = variables(&self.apis, &Endpoints::of(config));
        let node_packages = if config.runtime.node_sdk { sdk_packages(&self.handlers) } else { Vec::new() };
        let options = HostOptions { node_packages, ..host_options(config, children.clone(), bundle, variables) };
        let host = Host::new(options)?;
        for handler in &self.handlers {
            let hosted = host.add(handler.clone()).map_err(|error| Misuse(error.to_string()))?;
            let measured = Arc::new(Measured { hosted, metrics: metrics.clone(), name: handler.name.as_str().into() });
            let is_free = |alias: &&String| functions.get(alias).is_none();
            for name in handler.alias.iter().filter(is_free).chain([&handler.name]) {
                functions.insert(name, measured.clone());
            }
        }
        let host = Arc::new(host);
        let watched = Arc::downgrade(&host);
        metrics.observe(Box::new(move |gauges| {
            let stats = watched.upgrade().map(|host| host.stats()).unwrap_or_default();
            gauges.functions.extend(stats.into_iter().map(figures));
        }));
        Ok(Some(host))
    }
}

fn host_options(
    config: &Config,
    children: ChildCredentials,
    bundle: Option<&Path>,
    variables: BTreeMap<String, String>,
) -> HostOptions {
    let runtime = &config.runtime;
    let folder = runtime.folder.clone().unwrap_or_else(|| config.data.join(RUNTIMES_FOLDER));
    let credential = move |function: &str| match children.of(function) {
        None => ChildCredential::default(),
        Some(key) => ChildCredential {
            access_key_id: key.access_key_id.clone(),
            secret_access_key: key.secret.expose().to_owned(),
            session_token: key.session_token.as_ref().map(|token| token.expose().to_owned()).unwrap_or_default(),
        },
    };
    HostOptions {
        account: config.aws.account.clone(),
        region: config.aws.region.clone(),
        concurrency_max: runtime.concurrency_max,
        variables,
        ca_bundle: bundle.map(absolute),
        credential: Arc::new(credential),
        python: runtime.python.as_deref().map(absolute),
        node: runtime.node.as_deref().map(absolute),
        use_official_node_client: runtime.official_node_client,
        node_path: runtime.node_path.as_deref().map(absolute),
        reload: runtime.reload.unwrap_or(config.is_development()),
        ..HostOptions::new(absolute(&folder))
    }
}

/// Processes have working folders of their own.
fn absolute(path: &Path) -> std::path::PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What SDKs in functions find this server by.
fn variables(apis: &[Api], endpoints: &Endpoints) -> BTreeMap<String, String> {
    let callback = endpoints::only_callback(apis, endpoints);
    let server = ("AWS_ENDPOINT_URL".to_owned(), endpoints.inside.clone());
    let callback = callback.map(|url| ("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI".to_owned(), url));
    [server].into_iter().chain(callback).collect()
}

fn figures(stats: fanfare_runtime::FunctionStats) -> FunctionFigures {
    let errors = [
        ("failed", stats.failures),
        ("timeout", stats.timeouts),
        ("exit", stats.exits),
        ("refused", stats.refusals),
        ("start", stats.start_failures),
    ];
    let awake = stats.idle.saturating_sub(stats.frozen);
    let processes = [
        ("starting", stats.starting),
        ("idle", awake),
        ("frozen", stats.frozen),
        ("busy", stats.busy),
        ("ending", stats.ending),
    ];
    FunctionFigures {
        function: stats.function,
        calls: stats.calls,
        errors: errors.to_vec(),
        cold_starts: stats.cold_starts,
        processes: processes.map(|(state, count)| (state, count as u64)).to_vec(),
        waiting: stats.waiting as u64,
    }
}

/// A function whose calls are timed.
struct Measured {
    hosted: Arc<HostedFunction>,
    metrics: Arc<Metrics>,
    name: Arc<str>,
}

impl Function for Measured {
    fn invoke(&self, event: Bytes, call: Call) -> Answer {
        let (answer, metrics, name) = (self.hosted.invoke(event, call), self.metrics.clone(), self.name.clone());
        let since = Instant::now();
        Box::pin(async move {
            let answer = answer.await;
            metrics.observe_call(&name, since.elapsed().as_secs_f64());
            answer
        })
    }

    fn timeout(&self) -> Duration {
        self.hosted.timeout()
    }

    fn later(&self) -> LaterOptions {
        self.hosted.later()
    }
}
