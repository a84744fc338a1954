//! Passwords: hashing, and checking against hashes without letting time tell who exists.
//!
//! Argon2id costs tens of milliseconds and megabytes on purpose. Checks therefore run beside the
//! event loops, few at once, and what was right lately is remembered: as a keyed digest, under a key
//! that this process drew and tells nobody, so that the memory holds no password.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use argon2::password_hash::{self, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::hmac;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::random::{RandomnessUnavailable, id_bytes};

/// The longest password that is looked at, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 1_024;
/// The most memory that one check may take, in KiB.
const MEMORY_KIB_MAX: u32 = 256 << 10;
/// The most passes over that memory.
const PASSES_MAX: u32 = 16;
/// Checks that run at once, at most: each takes a processor and its memory.
const CHECKS_MAX: usize = 4;
/// Checks that wait for their turn; who comes then is told to come back.
const WAITING_MAX: usize = 1_024;
/// Right answers that are remembered.
const REMEMBERED_MAX: usize = 10_000;
/// For how long.
const REMEMBERED_FOR: Duration = Duration::from_secs(5 * 60);

type Tag = [u8; 32];

/// A hash that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// Not the text of a hash.
    #[error("not a password hash; make one with `fanfare passwd`, it begins with $argon2id$")]
    Form,
    /// Another algorithm, or an old version of it.
    #[error("not an argon2id hash of version 19; make one with `fanfare passwd`")]
    Algorithm,
    /// Checking it would take too long or too much memory.
    #[error("the hash asks for more than {} MiB or {PASSES_MAX} passes; make one with `fanfare passwd`", MEMORY_KIB_MAX >> 10)]
    Cost,
}

/// The hash of a password, as text in PHC form. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    text: Arc<str>,
    params: Params,
}

impl PasswordHash {
    /// Reads `$argon2id$v=19$m=...,t=...,p=...$salt$hash`.
    ///
    /// # Errors
    /// [`HashError`].
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let hash = password_hash::PasswordHash::new(text).map_err(|_| HashError::Form)?;
        let is_known = hash.algorithm == Algorithm::Argon2id.ident() && hash.version == Some(Version::V0x13.into());
        if !is_known {
            return Err(HashError::Algorithm);
        }
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(HashError::Form);
        }
        let params = Params::try_from(&hash).map_err(|_| HashError::Form)?;
        if params.m_cost() > MEMORY_KIB_MAX || params.t_cost() > PASSES_MAX || params.p_cost() > PASSES_MAX {
            return Err(HashError::Cost);
        }
        Ok(Self { text: text.into(), params })
    }

    fn is_of(&self, password: &[u8]) -> bool {
        password_hash::PasswordHash::new(&self.text)
            .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
    }

    /// A hash of the same cost that belongs to nobody.
    fn decoy(&self) -> Result<Self, RandomnessUnavailable> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        let text = hashed(&argon2, &id_bytes()?)?;
        Ok(Self { text: text.into(), params: self.params.clone() })
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

/// Hashes a password with argon2id at the library's recommended cost (19 MiB, two passes), for
/// [`PasswordHash::parse`].
///
/// # Errors
/// [`RandomnessUnavailable`].
pub fn hash_password(password: &str) -> Result<String, RandomnessUnavailable> {
    hashed(&Argon2::default(), password.as_bytes())
}

fn hashed(argon2: &Argon2<'_>, password: &[u8]) -> Result<String, RandomnessUnavailable> {
    let salt = SaltString::encode_b64(&id_bytes()?).map_err(|_| RandomnessUnavailable)?;
    argon2.hash_password(password, &salt).map(|hash| hash.to_string()).map_err(|_| RandomnessUnavailable)
}

/// Why a password does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not the one, or there is no such user.
    #[error("user name or password are wrong")]
    Wrong,
    /// Too many are being checked.
    #[error("too many passwords are being checked; come back later")]
    Busy,
}

/// Checks passwords. One for the whole process; cheap to share.
pub struct Passwords {
    key: hmac::Key,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    remembered: Mutex<HashMap<Tag, Instant, RandomState>>,
    /// Held against the passwords of users that do not exist.
    decoy: Mutex<Option<PasswordHash>>,
}

impl Passwords {
    /// Remembers nothing yet.
    ///
    /// # Errors
    /// [`RandomnessUnavailable`].
    pub fn new() -> Result<Self, RandomnessUnavailable> {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| RandomnessUnavailable)?;
        let checks = std::thread::available_parallelism().map_or(1, usize::from).min(CHECKS_MAX);
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            turns: Arc::new(Semaphore::new(checks)),
            waiting: AtomicUsize::new(0),
            remembered: Mutex::default(),
            decoy: Mutex::default(),
        })
    }

    /// Whether the password was right within the last minutes. Quick, for event loops.
    pub fn remembers(&self, hash: &PasswordHash, password: &[u8]) -> bool {
        let tag = self.tag(hash, password);
        self.remembered.lock().get(&tag).is_some_and(|until| *until > Instant::now())
    }

    /// Checks a password; `hash` is `None` when there is no such user, and `like` any hash of the same
    /// store, so that the answer takes as long. Must run on tokio.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn check(
        &self,
        hash: Option<PasswordHash>,
        like: &PasswordHash,
        password: Vec<u8>,
    ) -> Result<(), Refused> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(Refused::Wrong);
        }
        let _turn = self.turn().await?;
        let is_known = hash.is_some();
        let against = match hash {
            Some(hash) => hash,
            None => self.decoy_like(like.clone()).await?,
        };
        let tag = self.tag(&against, &password);
        let checking = tokio::task::spawn_blocking(move || against.is_of(&password));
        match checking.await {
            Ok(true) if is_known => {
                self.remember(tag);
                Ok(())
            }
            Ok(_) => Err(Refused::Wrong),
            Err(_) => Err(Refused::Busy),
        }
    }

    /// Makes now what is held against passwords of users that do not exist, so that not even the first
    /// such answer takes longer. Takes as long as one check.
    ///
    /// # Errors
    /// [`RandomnessUnavailable`]; it is made when it is needed then.
    pub fn prepare(&self, like: &PasswordHash) -> Result<(), RandomnessUnavailable> {
        if self.decoy.lock().as_ref().is_none_or(|decoy| decoy.params != like.params) {
            let made = like.decoy()?;
            *self.decoy.lock() = Some(made);
        }
        Ok(())
    }

    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Refused> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::Busy);
        }
        let _waiting = Waiting(&self.waiting);
        self.turns.acquire().await.map_err(|_| Refused::Busy)
    }

    /// Made once; made again when hashes of another cost are in use.
    async fn decoy_like(&self, like: PasswordHash) -> Result<PasswordHash, Refused> {
        let found = self.decoy.lock().clone().filter(|decoy| decoy.params == like.params);
        if let Some(found) = found {
            return Ok(found);
        }
        let made = tokio::task::spawn_blocking(move || like.decoy()).await;
        let made = made.ok().and_then(Result::ok).ok_or(Refused::Busy)?;
        *self.decoy.lock() = Some(made.clone());
        Ok(made)
    }

    fn remember(&self, tag: Tag) {
        let now = Instant::now();
        let mut remembered = self.remembered.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, until| *until > now);
        }
        if remembered.len() < REMEMBERED_MAX {
            remembered.insert(tag, now + REMEMBERED_FOR);
        }
    }

    /// Of the hash too: after a change of the password the old one is not remembered.
    fn tag(&self, hash: &PasswordHash, password: &[u8]) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&(hash.text.len() as u64).to_be_bytes());
        context.update(hash.text.as_bytes());
        context.update(password);
        let mut tag = Tag::default();
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Passwords").field("remembered", &self.remembered.lock().len()).finish_non_exhaustive()
    }
}

/// Counts one less when it goes, also when nobody waits for the answer any more.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap(password: &str) -> PasswordHash {
        let params = Params::new(8, 1, 1, None).unwrap();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        PasswordHash::parse(&hashed(&argon2, password.as_bytes()).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn the_right_password_counts_and_is_remembered() {
        let (passwords, hash) = (Passwords::new().unwrap(), cheap("open sesame"));
        assert!(!passwords.remembers(&hash, b"open sesame"));
        assert_eq!(passwords.check(Some(hash.clone()), &hash, b"open".to_vec()).await, Err(Refused::Wrong));
        assert_eq!(passwords.check(Some(hash.clone()), &hash, b"open sesame".to_vec()).await, Ok(()));
        assert!(passwords.remembers(&hash, b"open sesame") && !passwords.remembers(&hash, b"open"));
        assert!(!passwords.remembers(&cheap("open sesame"), b"open sesame"), "the hash has changed");
        let shown = format!("{passwords:?} {hash:?}");
        assert!(!shown.contains("sesame") && !shown.contains("argon"), "{shown}");
    }

    #[tokio::test]
    async fn nobody_has_no_password() {
        let (passwords, like) = (Passwords::new().unwrap(), cheap("x"));
        passwords.prepare(&like).unwrap();
        assert_eq!(passwords.check(None, &like, b"x".to_vec()).await, Err(Refused::Wrong));
        let decoy = passwords.decoy.lock().clone().unwrap();
        assert_eq!(decoy.params, like.params);
        assert!(!decoy.is_of(b"x"));
    }

    #[tokio::test]
    async fn who_comes_when_many_wait_comes_back_later() {
        let (passwords, hash) = (Passwords::new().unwrap(), cheap("x"));
        passwords.waiting.store(WAITING_MAX, Ordering::Relaxed);
        assert_eq!(passwords.check(Some(hash.clone()), &hash, b"x".to_vec()).await, Err(Refused::Busy));
        passwords.waiting.store(0, Ordering::Relaxed);
        let long = vec![b'x'; PASSWORD_BYTES_MAX + 1];
        assert_eq!(passwords.check(Some(hash.clone()), &hash, long).await, Err(Refused::Wrong));
    }

    #[test]
    fn only_argon2id_of_bounded_cost_is_taken() {
        let text = hash_password("x").unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        assert!(PasswordHash::parse(&text).unwrap().is_of(b"x"));
        assert_eq!(PasswordHash::parse("x"), Err(HashError::Form));
        assert_eq!(PasswordHash::parse(&text.replace("argon2id", "argon2i")), Err(HashError::Algorithm));
        assert_eq!(PasswordHash::parse(&text.replace("m=19456", "m=1000000")), Err(HashError::Cost));
    }
}
