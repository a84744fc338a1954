//! Fetching a key set over HTTP and keeping it.

use std::time::Duration;

use fanfare_core::Millis;
use http::header::{ACCEPT, CACHE_CONTROL, USER_AGENT};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;

use crate::error::ConfigError;
use crate::jwk::read_key_set;
use crate::keys::Keys;

/// A fetch that takes longer has failed, unless configured otherwise.
pub const JWKS_FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// A key set that is longer is refused.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;

/// Without any keys a fetch is worth repeating sooner than for one unknown key.
const UNLOADED_INTERVAL_MS: Millis = 1_000;
const RETRY_MS_MAX: Millis = 60_000;

/// Where a key set is published and how often it is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksConfig {
    /// `https://` or `http://`.
    pub url: String,
    /// A token with an unknown key causes a fetch at most this often.
    pub refetch_interval_ms: Millis,
    /// How long a set is kept when `Cache-Control` says nothing.
    pub ttl_default_ms: Millis,
    /// A shorter `max-age` is taken as this.
    pub ttl_min_ms: Millis,
    /// A longer `max-age` is taken as this.
    pub ttl_max_ms: Millis,
    /// A fetch that takes longer has failed.
    pub fetch_timeout: Duration,
}

impl JwksConfig {
    /// With the default times.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            refetch_interval_ms: 30_000,
            ttl_default_ms: 600_000,
            ttl_min_ms: 60_000,
            ttl_max_ms: 86_400_000,
            fetch_timeout: JWKS_FETCH_TIMEOUT,
        }
    }
}

#[derive(Default)]
struct State {
    keys: Option<Keys>,
    /// Counts finished fetches, so that who waited for one knows that it happened.
    fetches: u64,
    /// When a token last caused a fetch.
    asked_at: Option<Millis>,
    failures: u32,
    ttl_ms: Millis,
}

/// One published key set.
pub(crate) struct Source {
    pub(crate) config: JwksConfig,
    uri: Uri,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    /// Held during a fetch: there is never more than one.
    flight: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

impl Source {
    pub(crate) fn new(config: &JwksConfig) -> Result<Self, ConfigError> {
        let wrong = |problem| ConfigError::JwksUrl {
            url: config.url.split(['?', '#']).next().unwrap_or("").to_owned(),
            problem,
        };
        let uri: Uri = config.url.parse().map_err(|_| wrong("is not a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(wrong("expected https://host/path"));
        }
        if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err(ConfigError::JwksUrl {
                url: "[with a password]".into(),
                problem: "a user or password in the URL is not supported",
            });
        }
        let connector =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().enable_http2().build();
        let client = Client::builder(TokioExecutor::new())
            // Minutes pass between fetches: a kept connection would only be found dead.
            .pool_max_idle_per_host(0)
            .build(connector);
        Ok(Self { config: config.clone(), uri, client, flight: tokio::sync::Mutex::new(()), state: Mutex::default() })
    }

    pub(crate) fn keys(&self) -> Option<Keys> {
        self.state.lock().keys.clone()
    }

    pub(crate) fn is_loaded(&self) -> bool {
        self.state.lock().keys.is_some()
    }

    /// Whether the last fetch failed or none has been made: what is known may be out of date.
    pub(crate) fn is_doubtful(&self) -> bool {
        let state = self.state.lock();
        state.keys.is_none() || state.failures > 0
    }

    /// Whether waiting for [`Source::ask`] can bring new keys now.
    pub(crate) fn may_help(&self, now: Millis) -> bool {
        self.flight.try_lock().is_err() || self.is_due(now)
    }

    fn is_due(&self, now: Millis) -> bool {
        let state = self.state.lock();
        let interval = match state.keys {
            Some(_) => self.config.refetch_interval_ms,
            None => self.config.refetch_interval_ms.min(UNLOADED_INTERVAL_MS),
        };
        state.asked_at.is_none_or(|at| now.saturating_sub(at) >= interval)
    }

    /// Fetches because a token asks for it: not too often, and never twice at a time. `publish`
    /// runs before those who wait go on.
    pub(crate) async fn ask(&self, now: Millis, publish: impl Fn()) {
        let seen = self.state.lock().fetches;
        let _flight = self.flight.lock().await;
        if self.state.lock().fetches != seen || !self.is_due(now) {
            return;
        }
        self.state.lock().asked_at = Some(now);
        self.fetch_and_keep(&publish).await;
    }

    /// Fetches because it is time to.
    pub(crate) async fn refresh(&self, publish: impl Fn()) {
        let _flight = self.flight.lock().await;
        self.fetch_and_keep(&publish).await;
    }

    /// How long to wait before the next [`Source::refresh`]: most of the time to live, so that keys
    /// are renewed before they end.
    pub(crate) fn refresh_in(&self) -> Duration {
        let state = self.state.lock();
        let ms = match (state.failures, &state.keys) {
            (0, None) => 0,
            (0, Some(_)) => state.ttl_ms / 5 * 4,
            (failures, _) => (500 << failures.min(10)).min(RETRY_MS_MAX),
        };
        Duration::from_millis(ms.max(1))
    }

    async fn fetch_and_keep(&self, publish: &impl Fn()) {
        let fetched =
            tokio::time::timeout(self.config.fetch_timeout, self.fetch()).await.unwrap_or(Err("no answer in time"));
        let mut state = self.state.lock();
        state.fetches += 1;
        match fetched {
            Ok((keys, ttl_ms)) => {
                if state.failures > 0 || state.keys.is_none() {
                    tracing::info!(host = self.uri.host(), keys = keys.len(), "key set fetched");
                }
                state.failures = 0;
                state.ttl_ms = ttl_ms;
                state.keys = Some(keys);
            }
            Err(problem) => {
                if state.failures == 0 {
                    tracing::warn!(host = self.uri.host(), problem, "key set not fetched; earlier keys stay in use");
                }
                state.failures = state.failures.saturating_add(1);
                return;
            }
        }
        drop(state);
        publish();
    }

    async fn fetch(&self) -> Result<(Keys, Millis), &'static str> {
        let request = Request::get(self.uri.clone())
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(USER_AGENT, concat!("fanfare/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|_| "the request cannot be made")?;
        let response = self.client.request(request).await.map_err(|_| "the server cannot be reached")?;
        if response.status() != StatusCode::OK {
            return Err("the server did not answer with status 200");
        }
        let ttl_ms = self.ttl_ms(response.headers());
        let body = Limited::new(response.into_body(), JWKS_BYTES_MAX)
            .collect()
            .await
            .map_err(|_| "the answer broke off or is longer than 256 KiB")?;
        let keys = read_key_set(&body.to_bytes()).ok_or("the answer is not a JSON Web Key Set")?;
        Ok((keys, ttl_ms))
    }

    fn ttl_ms(&self, headers: &HeaderMap) -> Millis {
        let config = &self.config;
        cache_ms(headers).unwrap_or(config.ttl_default_ms).min(config.ttl_max_ms).max(config.ttl_min_ms)
    }
}

/// RFC 9111 5.2.2: how long the answer may be kept, where it says so.
fn cache_ms(headers: &HeaderMap) -> Option<Millis> {
    let directives = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase());
    let mut max_age = None;
    for directive in directives {
        if directive == "no-store" || directive == "no-cache" {
            return Some(0);
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            let seconds: Option<Millis> = seconds.trim_matches('"').parse().ok();
            max_age = seconds.map(|s| s.saturating_mul(1_000));
        }
    }
    max_age
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_live_stays_between_its_bounds() {
        let source = Source::new(&JwksConfig::new("https://issuer.example/keys")).unwrap();
        for (value, expected) in [
            (None, 600_000),
            (Some("public, max-age=300"), 300_000),
            (Some("max-age=1"), 60_000),
            (Some("Max-Age=99999999999"), 86_400_000),
            (Some("no-store"), 60_000),
            (Some("max-age=soon"), 600_000),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(CACHE_CONTROL, value.parse().unwrap());
            }
            assert_eq!(source.ttl_ms(&headers), expected, "{value:?}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_fetched_is_refused() {
        for url in ["", "keys.json", "ftp://host/keys", "https://me:pass@host/keys"] {
            let error = Source::new(&JwksConfig::new(url)).err().unwrap();
            assert!(!error.to_string().contains("pass@"), "{error}");
        }
    }
}
