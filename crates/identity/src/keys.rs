//! The keys that a token may be held against.

use crate::error::ConfigError;
use crate::key::{Key, KeyAlgorithm, KeyConfig};

/// Keys that are configured, and likewise keys of one fetched set, at most.
pub const KEYS_MAX: usize = 100;

/// Keys that are tried for one token, at most. Bounds what a forged token costs.
pub const CANDIDATES_MAX: usize = 8;

/// A set of verification keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keys {
    keys: Vec<Key>,
}

impl Keys {
    /// Reads configured keys.
    ///
    /// # Errors
    /// [`ConfigError`] names the key and says what is wrong; it never holds the key itself.
    pub fn new(configs: &[KeyConfig]) -> Result<Self, ConfigError> {
        if configs.len() > KEYS_MAX {
            return Err(ConfigError::TooManyKeys);
        }
        let mut keys: Vec<Key> = Vec::with_capacity(configs.len());
        for (place, config) in configs.iter().enumerate() {
            let key = Key::from_config(config, place)?;
            let same = |k: &&Key| k.id == key.id && k.algorithm == key.algorithm;
            match &key.id {
                Some(id) if keys.iter().any(|k| same(&k)) => {
                    return Err(ConfigError::DuplicateId(id.to_string()));
                }
                None if keys.iter().filter(same).count() >= CANDIDATES_MAX => {
                    return Err(ConfigError::TooManyKeys);
                }
                _ => keys.push(key),
            }
        }
        Ok(Self { keys })
    }

    pub(crate) fn from_fetched(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.keys.extend(other.keys.iter().cloned());
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(crate) fn has_algorithm(&self, algorithm: KeyAlgorithm) -> bool {
        self.keys.iter().any(|key| key.algorithm == algorithm)
    }

    /// The keys to try for a token: those with its `kid`, then those without an id; all of its
    /// algorithm when it names none.
    pub(crate) fn candidates<'a>(
        &'a self,
        algorithm: KeyAlgorithm,
        id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Key> {
        let of_algorithm = move |key: &&Key| key.algorithm == algorithm;
        let named = self.keys.iter().filter(of_algorithm).filter(move |key| id.is_none() || key.id.as_deref() == id);
        let unnamed = self.keys.iter().filter(of_algorithm).filter(move |key| id.is_some() && key.id.is_none());
        named.chain(unnamed).take(CANDIDATES_MAX)
    }

    /// Whether some key answers to this `kid`.
    pub(crate) fn knows(&self, algorithm: KeyAlgorithm, id: &str) -> bool {
        self.keys.iter().any(|key| key.algorithm == algorithm && key.id.as_deref() == Some(id))
    }
}
