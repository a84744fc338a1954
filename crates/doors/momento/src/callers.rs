//! Who asks, and what they may do.

use std::sync::Arc;

use fanfare_core::{Action, Grant, Principal};
use fanfare_door::Gateway;
use fanfare_momento::Problem;
use fanfare_momento::credential::{Authority, CredentialError, Holder};
use fanfare_momento::permission::{Management, Permissions};
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::shared::Shared;

/// Keys that are remembered, so that one that comes with each publish is verified once.
const KEYS_REMEMBERED: usize = 4_096;

/// Whoever sent a request.
#[derive(Debug)]
pub(crate) struct Caller {
    /// As the core knows them: caches are spaces.
    pub(crate) principal: Arc<Principal>,
    /// What their key says; of nobody where there was none.
    pub(crate) holder: Arc<Holder>,
}

impl Caller {
    /// Whether they may do what is for super users.
    pub(crate) fn require(&self, what: Management) -> Result<(), Problem> {
        if self.holder.permissions.may_manage(what) { Ok(()) } else { Err(Problem::Denied(what.name().to_owned())) }
    }
}

/// Callers by key.
#[derive(Debug, Default)]
pub(crate) struct Callers(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    /// What knew the keys below.
    authority: Option<Arc<Authority>>,
    callers: HashMap<Box<str>, Arc<Caller>, foldhash::fast::RandomState>,
}

impl Callers {
    fn find(&self, key: &str, authority: &Arc<Authority>) -> Option<Arc<Caller>> {
        let mut remembered = self.0.lock();
        if remembered.authority.as_ref().is_none_or(|own| !Arc::ptr_eq(own, authority)) {
            *remembered = Remembered { authority: Some(authority.clone()), ..Remembered::default() };
        }
        remembered.callers.get(key).cloned()
    }

    fn remember(&self, key: &str, authority: &Arc<Authority>, caller: &Arc<Caller>) {
        let mut remembered = self.0.lock();
        if remembered.callers.len() >= KEYS_REMEMBERED {
            remembered.callers.clear();
        }
        if remembered.authority.as_ref().is_some_and(|own| Arc::ptr_eq(own, authority)) {
            remembered.callers.insert(key.into(), caller.clone());
        }
    }

    fn forget(&self, key: &str) {
        self.0.lock().callers.remove(key);
    }
}

impl Shared {
    /// Whom a key speaks for, or nobody where there is none.
    ///
    /// # Errors
    /// The key does not count, or there is none and one is needed.
    pub(crate) fn caller(&self, key: Option<&str>, gateway: &Gateway) -> Result<Arc<Caller>, Problem> {
        let Some(key) = key else { return anonymous(gateway) };
        let now = gateway.clock.now();
        let authority = self.options.authority.load_full();
        let known = self.callers.find(key, &authority);
        let caller = match known {
            Some(caller) if !caller.holder.is_expired(now / 1_000) => caller,
            _ => {
                self.callers.forget(key);
                let holder = authority.verify(key, now / 1_000)?;
                let permissions = self.caches.on_spaces(&holder.permissions);
                let principal = Holder { permissions, ..(*holder).clone() }.principal();
                let caller = Arc::new(Caller { principal: Arc::new(principal), holder });
                self.callers.remember(key, &authority, &caller);
                caller
            }
        };
        if gateway.gate.revocations().is_revoked(&caller.principal, now) {
            return Err(CredentialError::Revoked.into());
        }
        Ok(caller)
    }
}

/// Nobody in particular: in development mode they may do everything, otherwise what
/// `auth.anonymous_allow` says, if it says anything.
fn anonymous(gateway: &Gateway) -> Result<Arc<Caller>, Problem> {
    let now = gateway.clock.now();
    let principal = gateway.gate.anonymous(now).map_err(|_| CredentialError::Missing)?;
    if principal.grant == Grant::nothing() {
        return Err(CredentialError::Missing.into());
    }
    let is_super = principal.grant.allows_everywhere(Action::Admin);
    let permissions = if is_super { Permissions::SuperUser } else { Permissions::Listed(Vec::new()) };
    let holder = Holder { id: "".into(), token_id: "".into(), issued_at: now / 1_000, expires_at: None, permissions };
    Ok(Arc::new(Caller { principal, holder: Arc::new(holder) }))
}
