//! The configuration: defaults, then `fanfare.toml`, then `FANFARE_*` variables, then flags; each
//! layer replaces single values of the one before. This is the only place that reads them.
//!
//! ```text
//! sources ──▶ tree ──▶ accept (table of keys) ──▶ overlay ──▶ Config ──▶ rules
//! ```

mod accept;
mod access;
mod apigateway;
mod apis;
mod authority;
mod environment;
mod events;
mod functions;
mod identity;
mod iot;
mod keys;
mod layers;
mod mistake;
mod momento;
mod mqtt;
mod nearest;
mod reference;
mod rules;
mod runtime;
mod schema;
#[cfg(test)]
mod tests;
mod tree;

use std::path::{Path, PathBuf};

use fanfare_core::{CoreLimits, HistorySettings, SpaceSettings};
use layers::Layers;

pub use access::{Aws, AwsCredential, Iot, IotAuthorizer, IotPolicy, MqttCertificate};
pub use apigateway::{Apigateway, BinaryMessages, ConnectionsAuth, ServiceEndpoint};
pub use authority::AccessMistake;
pub use fanfare_identity::Secret;
pub use keys::{
    Auth, ClientCertificates, Config, Destination, Events, History, Limits, Log, LogFormat, LogLevel, Otlp, SigningKey,
    SlowConsumer, Space, Tls, Websocket,
};
pub use mistake::{ConfigError, Mistake, Origin, Problem};
pub use momento::Momento;
pub use nearest::nearest;
pub use reference::reference;
pub use runtime::{Function, Runtime};

/// The file that counts when none is named.
pub const DEFAULT_FILE: &str = "fanfare.toml";

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`: this file must exist. Without it `./fanfare.toml` counts if it is there.
    pub file: Option<PathBuf>,
    /// The environment.
    pub variables: Vec<(String, String)>,
    /// Flags as paths of keys and values.
    pub flags: Vec<Flag>,
}

/// A flag that was given.
#[derive(Clone, Debug)]
pub struct Flag {
    /// Its name, for messages.
    pub name: &'static str,
    /// The key that it stands for, with dots.
    pub key: &'static str,
    /// Its value.
    pub value: toml::Value,
}

impl Sources {
    /// The environment of this process and nothing else. Variables that are not Unicode count
    /// with replacement characters, so that they show up as mistakes.
    pub fn from_environment() -> Self {
        let variables = std::env::vars_os().map(|(name, value)| {
            let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
            (text(name), text(value))
        });
        Self { variables: variables.collect(), ..Self::default() }
    }
}

impl Config {
    /// Puts the layers together.
    ///
    /// # Errors
    /// All mistakes of all layers.
    pub fn load(sources: Sources) -> Result<Self, ConfigError> {
        let mut layers = Layers::default();
        let named = sources.file.as_deref();
        let is_there = Path::new(DEFAULT_FILE).exists();
        if let Some(file) = named.or_else(|| is_there.then(|| Path::new(DEFAULT_FILE))) {
            layers.add_file(file);
        }
        layers.add_variables(sources.variables);
        layers.add_flags(sources.flags);
        layers.finish()
    }

    /// One file alone, or none, and flags, as `fanfare check` sees them.
    ///
    /// # Errors
    /// All their mistakes.
    pub fn check(file: Option<&Path>, flags: Vec<Flag>) -> Result<Self, ConfigError> {
        let mut layers = Layers::default();
        if let Some(file) = file {
            layers.add_file(file);
        }
        layers.add_flags(flags);
        layers.finish()
    }

    /// Whether nothing says who may do what: then everyone on this machine may do everything.
    pub fn is_development(&self) -> bool {
        let auth = &self.auth;
        let has_tokens = !(auth.keys.is_empty() && auth.jwks.is_empty() && auth.anonymous_allow.is_empty());
        let has_clients = self.mqtt.users_file.is_some()
            || !(self.mqtt.anonymous_policies.is_empty()
                && self.mqtt.certificates.is_empty()
                && self.iot.authorizers.is_empty()
                && self.aws.credentials.is_empty());
        !has_tokens && !has_clients
    }

    /// The settings of a space, whether it is configured or not.
    pub fn space_settings(&self, name: &str) -> SpaceSettings {
        let unset = Space::default();
        let space = self.spaces.get(name).unwrap_or(&unset);
        let history = &space.history;
        let bytes = space.message_bytes.unwrap_or(self.limits.message_bytes);
        SpaceSettings {
            history: HistorySettings {
                count: history.count,
                age_ms: history.age_ms,
                bytes: history.bytes,
                memory_bytes: history.memory_bytes,
                held_count: history.held_count,
                ..HistorySettings::default()
            },
            message_bytes_max: bytes,
            slow_consumer: match space.slow_consumer {
                SlowConsumer::Disconnect => fanfare_core::SlowConsumer::Disconnect,
                SlowConsumer::DropOldest => fanfare_core::SlowConsumer::DropOldest,
                SlowConsumer::KeepLatest => fanfare_core::SlowConsumer::KeepLatest,
            },
            presence_lease_ms: space.presence_lease_ms,
            idempotency_window_ms: space.idempotency_window_ms,
            ..SpaceSettings::default()
        }
    }

    /// The bounds of the core.
    pub fn core_limits(&self) -> CoreLimits {
        CoreLimits { spaces_max: self.limits.spaces, ..CoreLimits::default() }
    }
}
