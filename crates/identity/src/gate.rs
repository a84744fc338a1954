//! The one place where a credential becomes a principal.

use std::sync::Arc;

use arc_swap::ArcSwap;
use fanfare_core::{Grant, Millis, Principal};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::cache::{Cache, Digest, Entry, digest_of};
use crate::claims::{ClaimRules, GrantRules};
use crate::error::{ConfigError, TokenError, quoted};
use crate::jwks::{JwksConfig, Source};
use crate::key::{KeyAlgorithm, KeyConfig};
use crate::keys::Keys;
use crate::revocation::Revocations;
use crate::token::{TOKEN_BYTES_MAX, Token};

/// Verified tokens that are remembered, at most.
pub const CACHE_ENTRIES_MAX: usize = 10_000;

/// Everything that decides who is let in and with which grant.
#[derive(Clone, Debug, Default)]
pub struct GateConfig {
    /// Keys that are known beforehand.
    pub keys: Vec<KeyConfig>,
    /// Keys that are published elsewhere.
    pub jwks: Vec<JwksConfig>,
    /// What claims must say.
    pub claims: ClaimRules,
    /// The grant of connections without a token; nothing by default.
    pub anonymous: GrantRules,
    /// Refuse connections without a token instead.
    pub is_token_required: bool,
    /// Connections without a token may do everything. Set by [`GateConfig::development`].
    pub is_development: bool,
}

impl GateConfig {
    /// Development mode: no token, no limits; a token that is presented all the same is verified
    /// against `key` and keeps its own, narrower grant.
    pub fn development(key: KeyConfig) -> Self {
        Self { keys: vec![key], is_development: true, ..Self::default() }
    }
}

/// What [`Gate::verify`] says.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The token counts, for this principal.
    Principal(Arc<Principal>),
    /// The token does not count.
    Refused(TokenError),
    /// No key at hand verifies the token, but a published one may: await
    /// [`Gate::verify_with_fetch`].
    NeedsKeys,
}

/// A configuration that was read.
struct Settings {
    keys: Keys,
    sources: Vec<Arc<Source>>,
    claims: ClaimRules,
    anonymous: Option<Arc<Principal>>,
}

/// What verification reads: settings, all keys merged, and the cache. It is replaced as a whole,
/// so that nothing verified with a key that is gone can stay in a cache or get into the next one.
struct Active {
    settings: Arc<Settings>,
    keys: Keys,
    cache: Cache,
}

struct Inner {
    active: ArcSwap<Active>,
    /// Held while `active` is rebuilt from settings and fetched keys.
    rebuilding: Mutex<()>,
    revocations: Arc<Revocations>,
    replaced: Notify,
}

/// Verifies tokens.
pub struct Gate {
    inner: Arc<Inner>,
}

enum Judgement {
    Refused(TokenError),
    NeedsKeys,
}

impl From<TokenError> for Judgement {
    fn from(error: TokenError) -> Self {
        Self::Refused(error)
    }
}

impl Gate {
    /// Fetches nothing yet: spawn [`Gate::keep_keys_fresh`] for that.
    ///
    /// # Errors
    /// [`ConfigError`] says which setting is wrong.
    pub fn new(config: &GateConfig, revocations: Arc<Revocations>) -> Result<Self, ConfigError> {
        let settings = Arc::new(Settings::read(config, &[])?);
        Ok(Self {
            inner: Arc::new(Inner {
                active: ArcSwap::from_pointee(Active::new(settings)),
                rebuilding: Mutex::new(()),
                revocations,
                replaced: Notify::new(),
            }),
        })
    }

    /// A gate in development mode; see [`GateConfig::development`].
    ///
    /// # Errors
    /// [`ConfigError`] when the key cannot be used.
    pub fn development(key: KeyConfig, revocations: Arc<Revocations>) -> Result<Self, ConfigError> {
        Self::new(&GateConfig::development(key), revocations)
    }

    /// Takes another configuration into use at once and forgets all verified tokens. Sets fetched
    /// from a URL that stays are kept. On an error the earlier configuration stays.
    ///
    /// # Errors
    /// [`ConfigError`] says which setting is wrong.
    pub fn replace(&self, config: &GateConfig) -> Result<(), ConfigError> {
        let _rebuilding = self.inner.rebuilding.lock();
        let known = self.inner.active.load().settings.sources.clone();
        let settings = Arc::new(Settings::read(config, &known)?);
        self.inner.active.store(Arc::new(Active::new(settings)));
        self.inner.replaced.notify_one();
        Ok(())
    }

    /// Judges a token without waiting for anything.
    pub fn verify(&self, token: &str, now: Millis) -> Verdict {
        match self.inner.judge(token, now, true) {
            Ok(principal) => Verdict::Principal(principal),
            Err(Judgement::Refused(error)) => Verdict::Refused(error),
            Err(Judgement::NeedsKeys) => Verdict::NeedsKeys,
        }
    }

    /// Judges a token and fetches key sets where that may help; takes at most a little over
    /// [`JWKS_FETCH_TIMEOUT`](crate::JWKS_FETCH_TIMEOUT). Must run on tokio.
    ///
    /// # Errors
    /// [`TokenError`] says why the token does not count.
    pub async fn verify_with_fetch(&self, token: &str, now: Millis) -> Result<Arc<Principal>, TokenError> {
        match self.inner.judge(token, now, true) {
            Ok(principal) => return Ok(principal),
            Err(Judgement::Refused(error)) => return Err(error),
            Err(Judgement::NeedsKeys) => {}
        }
        self.ask_sources(now).await;
        match self.inner.judge(token, now, false) {
            Ok(principal) => Ok(principal),
            Err(Judgement::Refused(error)) => Err(error),
            Err(Judgement::NeedsKeys) => Err(TokenError::KeysUnavailable),
        }
    }

    /// The principal of a connection without a token.
    ///
    /// # Errors
    /// [`TokenError::Missing`] where a token is required.
    pub fn anonymous(&self, _now: Millis) -> Result<Arc<Principal>, TokenError> {
        let active = self.inner.active.load();
        active.settings.anonymous.clone().ok_or(TokenError::Missing)
    }

    /// The revocations that tokens are held against.
    pub fn revocations(&self) -> &Arc<Revocations> {
        &self.inner.revocations
    }

    /// Verified tokens that are remembered now, for metrics.
    pub fn cached_tokens(&self) -> usize {
        self.inner.active.load().cache.len()
    }

    /// Keys in use now, configured and fetched, for metrics.
    pub fn key_count(&self) -> usize {
        self.inner.active.load().keys.len()
    }

    /// Whether every key set has been fetched at least once, for readiness.
    pub fn is_ready(&self) -> bool {
        let active = self.inner.active.load();
        active.settings.sources.iter().all(|s| s.is_loaded())
    }

    /// Fetches the key sets now and then again before each of them ends, for as long as it is
    /// polled; follows [`Gate::replace`]. Spawn it once on tokio.
    pub fn keep_keys_fresh(&self) -> impl Future<Output = ()> + Send + 'static {
        keep_keys_fresh(self.inner.clone())
    }

    /// Each fetch is a task of its own: it goes on when the connection that asked is gone, and
    /// whoever asks next finds its result.
    async fn ask_sources(&self, now: Millis) {
        let sources = self.inner.active.load().settings.sources.clone();
        let fetches: Vec<_> = sources
            .into_iter()
            .map(|source| {
                let inner = self.inner.clone();
                tokio::spawn(async move { source.ask(now, || inner.take_fetched_keys()).await })
            })
            .collect();
        for fetch in fetches {
            // A panic in there is reported by tokio; the token is then judged by earlier keys.
            let _ = fetch.await;
        }
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let active = self.inner.active.load();
        f.debug_struct("Gate").field("keys", &active.keys).finish_non_exhaustive()
    }
}

async fn keep_keys_fresh(inner: Arc<Inner>) {
    loop {
        let sources = inner.active.load().settings.sources.clone();
        let mut due: Vec<_> = sources.iter().map(|source| (Instant::now() + source.refresh_in(), source)).collect();
        loop {
            let Some((at, source)) = due.iter_mut().min_by_key(|(at, _)| *at) else {
                inner.replaced.notified().await;
                break;
            };
            tokio::select! {
                () = tokio::time::sleep_until(*at) => {
                    source.refresh(|| inner.take_fetched_keys()).await;
                    *at = Instant::now() + source.refresh_in();
                }
                () = inner.replaced.notified() => break,
            }
        }
    }
}

impl Settings {
    /// `known` are sources that may be kept.
    fn read(config: &GateConfig, known: &[Arc<Source>]) -> Result<Self, ConfigError> {
        let keys = Keys::new(&config.keys)?;
        let mut sources = Vec::with_capacity(config.jwks.len());
        for jwks in &config.jwks {
            sources.push(match known.iter().find(|s| s.config == *jwks) {
                Some(source) => source.clone(),
                None => Arc::new(Source::new(jwks)?),
            });
        }
        config.claims.default_grant.check("default grant")?;
        config.anonymous.check("anonymous grant")?;
        let anonymous = match (config.is_development, config.is_token_required) {
            (true, _) => Some(Grant::everything()),
            (false, true) => None,
            (false, false) => config.anonymous.compile(None).ok(),
        };
        Ok(Self {
            keys,
            sources,
            claims: config.claims.clone(),
            anonymous: anonymous.map(|grant| Arc::new(Principal::anonymous(grant))),
        })
    }
}

impl Inner {
    /// Brings fetched keys into use. Where they are the same as before, verified tokens stay
    /// remembered.
    fn take_fetched_keys(&self) {
        let _rebuilding = self.rebuilding.lock();
        let active = self.active.load();
        let next = Active::new(active.settings.clone());
        if next.keys != active.keys {
            self.active.store(Arc::new(next));
        }
    }

    fn judge(&self, token: &str, now: Millis, may_fetch: bool) -> Result<Arc<Principal>, Judgement> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLarge { bytes: token.len() }.into());
        }
        let active = self.active.load();
        let digest = digest_of(token);
        let entry = match active.remembered(&digest, now)? {
            Some(entry) => entry,
            None => active.admit(token, digest, now, may_fetch)?,
        };
        if self.revocations.is_revoked(&entry.principal, now) {
            return Err(TokenError::Revoked.into());
        }
        Ok(entry.principal)
    }
}

impl Active {
    fn new(settings: Arc<Settings>) -> Self {
        let mut keys = settings.keys.clone();
        for fetched in settings.sources.iter().filter_map(|s| s.keys()) {
            keys.extend(&fetched);
        }
        Self { settings, keys, cache: Cache::new(CACHE_ENTRIES_MAX) }
    }

    fn remembered(&self, digest: &Digest, now: Millis) -> Result<Option<Entry>, TokenError> {
        let Some(entry) = self.cache.get(digest) else {
            return Ok(None);
        };
        let leeway_ms = self.settings.claims.leeway_ms;
        match entry.principal.expires_at {
            Some(end) if end <= now => {
                self.cache.remove(digest);
                let at = end.saturating_sub(leeway_ms);
                Err(TokenError::Expired { at })
            }
            // Only a clock that was set back leads here.
            _ if now < entry.valid_from => {
                Err(TokenError::NotYetValid { from: entry.valid_from.saturating_add(leeway_ms) })
            }
            _ => Ok(Some(entry)),
        }
    }

    fn admit(&self, text: &str, digest: Digest, now: Millis, may_fetch: bool) -> Result<Entry, Judgement> {
        let token = Token::read(text)?;
        let is_signed = self
            .keys
            .candidates(token.algorithm, token.key_id.as_deref())
            .any(|key| key.verifies(token.message, token.signature));
        if !is_signed {
            return Err(self.without_key(&token, now, may_fetch));
        }
        let admitted = self.settings.claims.admit(&token.claims()?, now)?;
        let entry = Entry { principal: admitted.principal, valid_from: admitted.valid_from };
        self.cache.put(digest, entry.clone());
        Ok(entry)
    }

    /// What to say of a token that no key at hand verifies.
    fn without_key(&self, token: &Token<'_>, now: Millis, may_fetch: bool) -> Judgement {
        let algorithm = token.algorithm;
        let id = token.key_id.as_deref();
        if id.is_some_and(|id| self.keys.knows(algorithm, id)) {
            return TokenError::Signature.into();
        }
        // Published sets give no shared secrets.
        let is_published = algorithm != KeyAlgorithm::HS256 && !self.settings.sources.is_empty();
        if is_published {
            let mut sources = self.settings.sources.iter();
            if may_fetch && sources.any(|source| source.may_help(now)) {
                return Judgement::NeedsKeys;
            }
            if self.settings.sources.iter().any(|s| s.is_doubtful()) {
                return TokenError::KeysUnavailable.into();
            }
        } else if !self.keys.has_algorithm(algorithm) {
            return TokenError::Algorithm(algorithm.name().to_owned()).into();
        }
        match id {
            Some(id) if self.keys.candidates(algorithm, Some(id)).next().is_none() => {
                TokenError::KeyUnknown(quoted(id)).into()
            }
            _ => TokenError::Signature.into(),
        }
    }
}
