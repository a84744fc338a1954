//! What stopped counting before its time, kept across restarts.

mod list;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use fanfare_core::{Done, Log, LogError, Millis, Principal, RecordTable};
use hyper::body::Bytes;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use self::list::{State, is_in_force};
use crate::claims::{SUBJECT_BYTES_MAX, TOKEN_ID_BYTES_MAX};

/// Entries that are kept, at most.
pub const REVOCATIONS_MAX: usize = 1_000_000;

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Revocation {
    /// Tokens of one subject: those issued before a time, so that the subject can sign in anew, or
    /// all of them where there is no time. A token that does not say when it was issued counts as
    /// issued before.
    Subject {
        /// The `sub`.
        subject: String,
        /// Tokens issued at or after this time stay good.
        issued_before: Option<Millis>,
    },
    /// One token. It needs to be kept only until the token expires.
    Token {
        /// The `jti`.
        token_id: String,
    },
    /// Everybody's tokens issued before a time, after a key has leaked.
    IssuedBefore {
        /// Tokens issued at or after this time stay good.
        issued_before: Millis,
    },
}

/// An entry of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// What is revoked.
    #[serde(flatten)]
    pub revocation: Revocation,
    /// When it may be forgotten; never where absent.
    pub until: Option<Millis>,
}

/// A revocation that could not be taken or read back.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    /// [`REVOCATIONS_MAX`] is reached and nothing has expired.
    #[error("the list of revocations is full ({max}); revoke with issued_before or give each an end")]
    Full {
        /// The bound.
        max: usize,
    },
    /// The subject or token id is empty or longer than any that a token may have.
    #[error("a subject or token id to revoke has 1 to {SUBJECT_BYTES_MAX} bytes")]
    Name,
    /// In force on this node, but not on disk: a restart would forget it.
    #[error("revoked, but a restart would forget it: {0}; mend the storage and revoke again")]
    NotKept(#[source] LogError),
    /// The stored list cannot be read.
    #[error("the stored revocations cannot be read: {0}")]
    Unreadable(#[source] LogError),
    /// One stored entry is no revocation. Starting without it could let a revoked token in.
    #[error("the stored revocation {0:?} is damaged; restore the data directory from a backup")]
    Damaged(String),
}

/// The list of revocations: in memory for every verification, and on disk through the [`Log`].
pub struct Revocations {
    log: Arc<dyn Log>,
    entries_max: usize,
    state: RwLock<State>,
    /// Held while memory and disk are changed one after the other, so that both see one order.
    writing: Mutex<()>,
    count: AtomicUsize,
    generation: AtomicU64,
}

impl Revocations {
    /// Reads the list back and forgets what has ended meanwhile.
    ///
    /// # Errors
    /// [`RevocationError`] when the list cannot be read in full.
    pub fn load(log: Arc<dyn Log>, now: Millis) -> Result<Self, RevocationError> {
        Self::load_bounded(log, now, REVOCATIONS_MAX)
    }

    /// [`Revocations::load`] with another bound.
    ///
    /// # Errors
    /// [`RevocationError`] when the list cannot be read in full.
    pub fn load_bounded(log: Arc<dyn Log>, now: Millis, entries_max: usize) -> Result<Self, RevocationError> {
        let records = log.records(RecordTable::Revocations).map_err(RevocationError::Unreadable)?;
        let revocations = Self {
            log,
            entries_max,
            state: RwLock::default(),
            writing: Mutex::new(()),
            count: AtomicUsize::new(0),
            generation: AtomicU64::new(0),
        };
        for (key, value) in records {
            let entry = read_record(&key, &value)?;
            if is_in_force(entry.until, now) {
                let superseded = revocations.apply(&entry, now)?.1;
                revocations.forget(superseded);
            } else {
                revocations.forget(vec![entry.revocation]);
            }
        }
        Ok(revocations)
    }

    /// Revokes. In force on this node when this returns; `done` tells when it is on disk. `done`
    /// must not revoke in turn.
    ///
    /// # Errors
    /// [`RevocationError::Full`] and [`RevocationError::Name`]: nothing changed.
    /// [`RevocationError::NotKept`]: in force, but not on disk; `done` is not called.
    pub fn revoke(
        &self,
        revocation: Revocation,
        until: Option<Millis>,
        now: Millis,
        done: Option<Done>,
    ) -> Result<(), RevocationError> {
        require_name(&revocation)?;
        let _writing = self.writing.lock();
        let entry = Revoked { revocation, until };
        let (kept, superseded) = self.apply(&entry, now)?;
        self.generation.fetch_add(1, Ordering::Release);
        let (key, value) = write_record(&kept);
        self.log.put_record(RecordTable::Revocations, &key, Some(value), done).map_err(RevocationError::NotKept)?;
        self.forget(superseded);
        Ok(())
    }

    /// Whether a principal counts no more. Anonymous principals come from no credential and are
    /// never revoked.
    pub fn is_revoked(&self, principal: &Principal, now: Millis) -> bool {
        // Nearly every server has no entry nearly always.
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let is_anonymous = principal.subject.is_none()
            && principal.token_id.is_none()
            && principal.issued_at.is_none()
            && principal.expires_at.is_none();
        if is_anonymous {
            return false;
        }
        self.state.read().covers(principal, now)
    }

    /// Grows with every revocation. Whoever holds live connections looks through them with
    /// [`Revocations::is_revoked`] when it has changed.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At most `limit` entries: for everybody first, then subjects, then tokens.
    pub fn list(&self, limit: usize) -> Vec<Revoked> {
        self.state.read().entries().take(limit).collect()
    }

    /// Forgets what has ended, in memory and on disk; to be called every few minutes. Tells how
    /// many entries that were.
    pub fn prune(&self, now: Millis) -> usize {
        let _writing = self.writing.lock();
        let ended = self.prune_state(&mut self.state.write(), now);
        let count = ended.len();
        self.forget(ended);
        count
    }

    /// Takes an entry into memory. Gives the entry as it is to be kept and the entries that it
    /// makes superfluous.
    fn apply(&self, entry: &Revoked, now: Millis) -> Result<(Revoked, Vec<Revocation>), RevocationError> {
        let mut state = self.state.write();
        let mut superfluous = Vec::new();
        if state.count >= self.entries_max {
            superfluous = self.prune_state(&mut state, now);
        }
        if state.count >= self.entries_max && !state.holds(&entry.revocation) {
            self.forget(superfluous);
            return Err(RevocationError::Full { max: self.entries_max });
        }
        let (kept, superseded) = state.add(entry);
        superfluous.extend(superseded);
        self.count.store(state.count, Ordering::Release);
        Ok((kept, superfluous))
    }

    fn prune_state(&self, state: &mut State, now: Millis) -> Vec<Revocation> {
        let ended = state.prune(now);
        self.count.store(state.count, Ordering::Release);
        ended
    }

    /// Removes records. A failure leaves a superfluous record, which the next start removes.
    fn forget(&self, entries: Vec<Revocation>) {
        for revocation in entries {
            let (key, _) = write_record(&Revoked { revocation, until: None });
            let removed = self.log.put_record(RecordTable::Revocations, &key, None, None);
            if let Err(error) = removed {
                tracing::debug!(%error, "an ended revocation stays on disk until the next start");
            }
        }
    }
}

impl std::fmt::Debug for Revocations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revocations")
            .field("len", &self.len())
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}

fn require_name(revocation: &Revocation) -> Result<(), RevocationError> {
    let is_named = match revocation {
        Revocation::Subject { subject, .. } => (1..=SUBJECT_BYTES_MAX).contains(&subject.len()),
        Revocation::Token { token_id } => (1..=TOKEN_ID_BYTES_MAX).contains(&token_id.len()),
        Revocation::IssuedBefore { .. } => true,
    };
    is_named.then_some(()).ok_or(RevocationError::Name)
}

/// The key is the revocation, so that repeating it finds its record; the value is its end.
fn write_record(entry: &Revoked) -> (Bytes, Bytes) {
    let key = serde_json::json!(entry.revocation).to_string();
    let value = serde_json::json!({ "until": entry.until }).to_string();
    (key.into(), value.into())
}

fn read_record(key: &[u8], value: &[u8]) -> Result<Revoked, RevocationError> {
    #[derive(Deserialize)]
    struct Value {
        until: Option<Millis>,
    }
    let damaged = |_| RevocationError::Damaged(String::from_utf8_lossy(key).into_owned());
    let revocation = serde_json::from_slice(key).map_err(damaged)?;
    let Value { until } = serde_json::from_slice(value).map_err(damaged)?;
    Ok(Revoked { revocation, until })
}
