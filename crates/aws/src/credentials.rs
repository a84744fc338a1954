//! Access keys, their secrets and whom they speak for.

use std::collections::HashMap;
use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The most credentials that one store holds.
pub const CREDENTIALS_MAX: usize = 100_000;

/// A text that must not be shown. It has no `Display`, its `Debug` shows nothing, and comparing two
/// takes the same time whatever they hold.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Keeps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself. Never pass it on to a log or a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

impl Eq for Secret {}

/// An access key and whom it speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The public name of the key.
    pub access_key_id: String,
    /// The key that signs.
    pub secret: Secret,
    /// Must come with every request, if the key has one.
    pub session_token: Option<Secret>,
    /// The end of the session, in milliseconds since the Unix epoch.
    pub expires_at_ms: Option<u64>,
    /// Whom it speaks for.
    pub principal: String,
    /// Names of the policies that hold for the principal.
    pub policies: Vec<String>,
}

impl Credential {
    /// A lasting key without session or policies.
    #[must_use]
    pub fn new(access_key_id: impl Into<String>, secret: impl Into<String>, principal: impl Into<String>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret: Secret::new(secret),
            session_token: None,
            expires_at_ms: None,
            principal: principal.into(),
            policies: Vec::new(),
        }
    }
}

/// The store has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {CREDENTIALS_MAX} credentials already; remove some first")]
pub struct CredentialsFull;

/// Credentials by access key, at most [`CREDENTIALS_MAX`].
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    by_key: HashMap<String, Credential>,
}

impl Credentials {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a credential and gives the one that had its access key before.
    ///
    /// # Errors
    ///
    /// [`CredentialsFull`]; replacing one always works.
    pub fn insert(&mut self, credential: Credential) -> Result<Option<Credential>, CredentialsFull> {
        if self.by_key.len() >= CREDENTIALS_MAX && !self.by_key.contains_key(&credential.access_key_id) {
            return Err(CredentialsFull);
        }
        Ok(self.by_key.insert(credential.access_key_id.clone(), credential))
    }

    /// Removes and gives the credential of an access key.
    pub fn remove(&mut self, access_key_id: &str) -> Option<Credential> {
        self.by_key.remove(access_key_id)
    }

    /// The credential of an access key, also when its session is over.
    #[must_use]
    pub fn get(&self, access_key_id: &str) -> Option<&Credential> {
        self.by_key.get(access_key_id)
    }

    /// Removes every credential whose session is over; says how many.
    pub fn remove_expired(&mut self, now_ms: u64) -> usize {
        let before = self.by_key.len();
        self.by_key.retain(|_, credential| credential.expires_at_ms.is_none_or(|end| end > now_ms));
        before - self.by_key.len()
    }

    /// How many credentials there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

/// A new access key in the form that AWS gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// `AKIA` (`ASIA` for sessions) and sixteen of `A` to `Z`, `2` to `7`.
    pub access_key_id: String,
    /// Forty characters of base64, 240 bits.
    pub secret: Secret,
}

impl KeyPair {
    /// Makes a key from random bytes, which must be unguessable and not used elsewhere.
    #[must_use]
    pub fn from_random(bytes: &[u8; 40]) -> Self {
        Self::with_prefix("AKIA", bytes)
    }

    /// The same for a session, which has a token too: its name begins with `ASIA`.
    #[must_use]
    pub fn session_from_random(bytes: &[u8; 40]) -> Self {
        Self::with_prefix("ASIA", bytes)
    }

    fn with_prefix(prefix: &str, bytes: &[u8; 40]) -> Self {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let (name, secret) = bytes.split_at(10);
        let number = name.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        let letter = |at: u32| char::from(LETTERS[(number >> (5 * at) & 31) as usize]);
        Self {
            access_key_id: prefix.chars().chain((0..16).rev().map(letter)).collect(),
            secret: Secret::new(STANDARD.encode(secret)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown() {
        let mut credential = Credential::new("AKIDEXAMPLE", "hush-hush", "someone");
        credential.session_token = Some(Secret::new("quiet"));
        let mut store = Credentials::new();
        store.insert(credential.clone()).unwrap();
        let shown = format!("{credential:?} {credential:#?} {store:?}");
        assert!(shown.contains("AKIDEXAMPLE") && !shown.contains("hush") && !shown.contains("quiet"), "{shown}");
    }

    #[test]
    fn new_keys_have_the_usual_form() {
        let low = KeyPair::from_random(&[0; 40]);
        assert_eq!(
            (low.access_key_id.as_str(), low.secret.expose()),
            ("AKIAAAAAAAAAAAAAAAAA", "A".repeat(40).as_str())
        );
        let high = KeyPair::from_random(&[255; 40]);
        assert_eq!(high.access_key_id, "AKIA7777777777777777");
        let mut bytes = [0; 40];
        bytes[9] = 1;
        assert_eq!(KeyPair::from_random(&bytes).access_key_id, "AKIAAAAAAAAAAAAAAAAB");
        assert_eq!(KeyPair::session_from_random(&bytes).access_key_id, "ASIAAAAAAAAAAAAAAAAB");
        assert!(!format!("{high:?}").contains("////"));
    }

    #[test]
    fn keys_come_and_go() {
        let mut store = Credentials::new();
        let mut credential = Credential::new("A", "s", "one");
        credential.expires_at_ms = Some(10);
        store.insert(credential.clone()).unwrap();
        store.insert(Credential::new("B", "s", "two")).unwrap();
        assert_eq!(store.insert(credential.clone()), Ok(Some(credential)));
        assert_eq!(store.get("A").map(|found| found.principal.as_str()), Some("one"));
        assert_eq!((store.remove_expired(9), store.remove_expired(10), store.len()), (0, 1, 1));
        assert!(store.remove("B").is_some() && store.is_empty());
    }
}
