//! `[functions.NAME]` in the words of `fanfare-functions`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use fanfare_aws::credentials::Credential;
use fanfare_core::{Log, TopicName};
use fanfare_functions::{
    Function as Callable, Functions, HttpCaller, LaterOptions, Pauses, Reach, RemoteLambda, RemoteLambdaOptions,
    Webhook, WebhookOptions,
};

use super::Config;
use super::keys::Function;

impl Config {
    /// All functions, ready to be called, and the calls that wait in `log`.
    ///
    /// # Errors
    /// A file or the log cannot be read, or an address or certificate cannot be used.
    pub fn functions(&self, log: Arc<dyn Log>) -> anyhow::Result<Functions> {
        let functions = Functions::durable(log, Pauses::default()).context("the calls that wait")?;
        for (name, function) in &self.functions {
            let callable = function.callable(name, &self.aws.region);
            functions.insert(name, callable.with_context(|| format!("functions.{name}"))?);
        }
        Ok(functions)
    }
}

impl Function {
    fn callable(&self, name: &str, region: &str) -> anyhow::Result<Arc<dyn Callable>> {
        let ca = self.ca.as_ref().map(|file| std::fs::read(file).with_context(|| file.display().to_string()));
        let caller = HttpCaller::new(Reach::Anywhere, ca.transpose()?.as_deref())?;
        let (timeout, concurrency) = (Duration::from_millis(self.timeout_ms), self.concurrency);
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
            name: self.remote_name.clone().unwrap_or_else(|| name.to_owned()),
            region: self.region.clone().unwrap_or_else(|| region.to_owned()),
            credential,
            timeout,
            concurrency,
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
        if !is_name(name) || !remote.split(':').all(is_name) {
            return Some("a function\'s name has letters, digits, \'-\' and \'_\'".to_owned());
        }
        match (&self.url, &self.endpoint) {
            (Some(_), Some(_)) => return Some("give either `url` or `endpoint`".to_owned()),
            (None, None) => return Some("`url` or `endpoint` is missing".to_owned()),
            _ => {}
        }
        let is_topic = |topic: &String| !topic.starts_with('$') && TopicName::new(topic).is_ok();
        if self.dead_letter_topic.as_ref().is_some_and(|topic| !is_topic(topic)) {
            return Some("`dead_letter_topic` is no topic that can be published to".to_owned());
        }
        let is_half = self.access_key_id.is_some() != self.secret_access_key.is_some();
        is_half.then(|| "`access_key_id` and `secret_access_key` go together".to_owned())
    }
}
