//! `[functions.NAME]` in the words of `fanfare-functions`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use fanfare_aws::credentials::Credential;
use fanfare_core::{Log, TopicName};
use fanfare_functions::{
    Function as Callable, Functions, HttpCaller, LaterOptions, Pauses, Reach, RemoteLambda, RemoteLambdaOptions,
    Webhook, WebhookOptions,
};

use fanfare_runtime::{HandlerConfig, RuntimeKind};

use super::Config;
use super::runtime::{Function, Runtime};

/// How long a call may take where nothing is said: as Lambda has it where the function runs here, and as
/// API Gateway waits where it is somewhere else.
const HANDLER_TIMEOUT_MS: u64 = 3_000;
const REMOTE_TIMEOUT_MS: u64 = 29_000;
/// What a function that runs here may be given, in milliseconds.
const HANDLER_TIMEOUTS_MS: std::ops::RangeInclusive<u64> = 1_000..=900_000;
const MEMORY_MB: u32 = 1_024;
/// The only name that the Runtime Interface Emulator knows.
const EMULATED: &str = "function";

/// What a function can be: the key that says so, and those that go with it alone.
pub(super) struct FunctionKind {
    pub(super) key: &'static str,
    keys: &'static [&'static str],
}

pub(super) const KINDS: [FunctionKind; 3] = [
    FunctionKind {
        key: "handler",
        keys: &[
            "runtime",
            "code",
            "environment",
            "memory_mb",
            "reserved_concurrency",
            "provisioned_concurrency",
            "idle_timeout_s",
        ],
    },
    FunctionKind { key: "url", keys: &["ca", "concurrency"] },
    FunctionKind {
        key: "endpoint",
        keys: &["remote_name", "region", "access_key_id", "secret_access_key", "ca", "concurrency", "emulator"],
    },
];

impl Config {
    /// All functions that run elsewhere, ready to be called, and the calls that wait in `log`.
    ///
    /// # Errors
    /// A file or the log cannot be read, or an address or certificate cannot be used.
    pub fn functions(&self, log: Arc<dyn Log>) -> anyhow::Result<Functions> {
        let functions = Functions::durable(log, Pauses::default()).context("the calls that wait")?;
        for (name, function) in self.functions.iter().filter(|(_, function)| function.handler.is_none()) {
            let callable = function.callable(name, &self.aws.region);
            functions.insert(name, callable.with_context(|| format!("functions.{name}"))?);
        }
        Ok(functions)
    }

    /// All functions that run here.
    pub fn handlers(&self) -> Vec<HandlerConfig> {
        let handlers = self.functions.iter().filter_map(|(name, function)| function.hosted(name, &self.runtime));
        handlers.collect()
    }
}

impl Runtime {
    /// When a process without work is stopped.
    pub fn freeze_after(&self) -> Option<Duration> {
        self.freeze.then(|| Duration::from_millis(self.freeze_after_ms))
    }

    /// When it ends.
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_s)
    }
}

impl Function {
    fn hosted(&self, name: &str, runtime: &Runtime) -> Option<HandlerConfig> {
        Some(HandlerConfig {
            name: name.to_owned(),
            alias: None,
            runtime: self.runtime_kind()?,
            handler: self.handler.clone()?,
            root: self.root(),
            environment: self.environment.clone(),
            timeout: Duration::from_millis(self.timeout_ms.unwrap_or(HANDLER_TIMEOUT_MS)),
            memory_mb: self.memory_mb.unwrap_or(MEMORY_MB),
            reserved_concurrency: self.reserved_concurrency,
            provisioned_concurrency: self.provisioned_concurrency.unwrap_or(0),
            idle_timeout: self.idle_timeout_s.map_or(runtime.idle_timeout(), Duration::from_secs),
            freeze_after: runtime.freeze_after(),
            retries: self.retries,
            event_age_max: Duration::from_millis(self.event_age_ms),
            dead_letter_topic: self.dead_letter_topic.clone(),
            origin: format!("functions.{name}"),
        })
    }

    fn runtime_kind(&self) -> Option<RuntimeKind> {
        RuntimeKind::parse(self.runtime.as_deref()?)
    }

    fn root(&self) -> PathBuf {
        self.code.clone().unwrap_or_else(|| PathBuf::from("."))
    }

    fn callable(&self, name: &str, region: &str) -> anyhow::Result<Arc<dyn Callable>> {
        let ca = self.ca.as_ref().map(|file| std::fs::read(file).with_context(|| file.display().to_string()));
        let caller = HttpCaller::new(Reach::Anywhere, ca.transpose()?.as_deref())?;
        let (timeout, concurrency) =
            (Duration::from_millis(self.timeout_ms.unwrap_or(REMOTE_TIMEOUT_MS)), self.concurrency);
        if let Some(url) = &self.url {
            let url = url.parse().context("url")?;
            let webhook = Webhook::new(caller, WebhookOptions { url, timeout, concurrency });
            return Ok(Arc::new(webhook.with_later(self.later())));
        }
        let endpoint = self.endpoint.as_deref().context("neither url nor endpoint is set")?;
        let credential = match (&self.access_key_id, &self.secret_access_key) {
            (Some(id), Some(secret)) => Some(Credential::new(id, secret.expose(), name)),
            _ => None,
        };
        let options = RemoteLambdaOptions {
            endpoint: endpoint.parse().context("endpoint")?,
            name: self.remote_name.clone().unwrap_or_else(|| if self.emulator { EMULATED } else { name }.to_owned()),
            region: self.region.clone().unwrap_or_else(|| region.to_owned()),
            credential,
            timeout,
            concurrency: if self.emulator { 1 } else { concurrency },
            is_emulator: self.emulator,
        };
        Ok(Arc::new(RemoteLambda::new(caller, options).with_later(self.later())))
    }

    fn later(&self) -> LaterOptions {
        LaterOptions {
            retries: self.retries,
            age_max: Duration::from_millis(self.event_age_ms),
            dead_letter_topic: self.dead_letter_topic.as_deref().map(Arc::from),
        }
    }

    /// Keys that contradict one another.
    pub(super) fn mistake(&self, name: &str) -> Option<String> {
        let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let remote = self.remote_name.as_deref().map_or("", |name| name.trim_end_matches(':'));
        if !is_name(name) || name.len() > 64 || !remote.split(':').all(is_name) {
            return Some("a function's name has 1 to 64 letters, digits, '-' and '_'".to_owned());
        }
        match self.kinds().count() {
            1 => {}
            0 => return Some("`handler`, `url` or `endpoint` is missing".to_owned()),
            _ => return Some("give only one of `handler`, `url` and `endpoint`".to_owned()),
        }
        let is_topic = |topic: &String| !topic.starts_with('$') && TopicName::new(topic).is_ok();
        if self.dead_letter_topic.as_ref().is_some_and(|topic| !is_topic(topic)) {
            return Some("`dead_letter_topic` is no topic that can be published to".to_owned());
        }
        let is_half = self.access_key_id.is_some() != self.secret_access_key.is_some();
        is_half.then(|| "`access_key_id` and `secret_access_key` go together".to_owned())
    }

    /// What it is; more than one thing if somebody wrote so.
    fn kinds(&self) -> impl Iterator<Item = &'static FunctionKind> {
        let given = [self.handler.is_some(), self.url.is_some(), self.endpoint.is_some()];
        KINDS.iter().zip(given).filter(|(_, is_given)| *is_given).map(|(kind, _)| kind)
    }

    /// Keys that do not go with what it is, each with the kinds that it is for.
    pub(super) fn strangers(&self) -> Vec<(&'static str, String)> {
        let Some(own) = self.kinds().next() else { return Vec::new() };
        let mut strangers: Vec<(&'static str, String)> = Vec::new();
        for kind in KINDS.iter().filter(|kind| kind.key != own.key) {
            for key in kind.keys.iter().filter(|key| !own.keys.contains(key)) {
                match strangers.iter_mut().find(|(known, _)| known == key) {
                    Some((_, kinds)) => *kinds += &format!(" or `{}`", kind.key),
                    None => strangers.push((key, format!("`{}`", kind.key))),
                }
            }
        }
        strangers
    }

    /// What is wrong with single keys of a function that runs here.
    pub(super) fn mistakes_at(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.handler.is_none() {
            return found;
        }
        let runtimes = "such as python3.12, nodejs20.x or provided.al2023";
        match &self.runtime {
            None => found.push(("runtime", format!("`runtime` is missing, {runtimes}"))),
            Some(name) if self.runtime_kind().is_none() => {
                found.push(("runtime", format!("\"{}\" is no runtime that is known, {runtimes}", name.escape_debug())));
            }
            Some(_) => {}
        }
        if !self.root().is_dir() {
            found.push(("code", format!("there is no folder {}", self.root().display())));
        }
        if self.timeout_ms.is_some_and(|timeout| !HANDLER_TIMEOUTS_MS.contains(&timeout)) {
            found.push(("timeout_ms", "a function that runs here may take 1,000 to 900,000 ms".to_owned()));
        }
        let (reserved, provisioned) = (self.reserved_concurrency, self.provisioned_concurrency.unwrap_or(0));
        if reserved.is_some_and(|reserved| provisioned > reserved) {
            found.push(("provisioned_concurrency", "it is above `reserved_concurrency`".to_owned()));
        }
        found
    }
}
