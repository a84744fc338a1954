//! One-time tickets, for clients that cannot send a header.
//!
//! `EventSource` and, in browsers, `WebSocket` can put a credential only into the URL, where proxies
//! log it and histories keep it. A ticket is worth nothing after its first use or half a minute.

use std::collections::VecDeque;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfare_core::{Millis, Principal};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::random::{RandomnessUnavailable, id_bytes, id_text};
use crate::revocation::Revocations;

/// How long a ticket can be used.
pub const TICKET_TTL_MS: Millis = 30_000;
/// Tickets that are issued and neither used nor ended, at most; the oldest gives way.
pub const TICKETS_MAX: usize = 100_000;

type TicketId = [u8; 16];

#[derive(Default)]
struct State {
    principals: HashMap<TicketId, (Arc<Principal>, Millis), RandomState>,
    /// In order of issue. Used tickets stay until they reach the front, at most as many again.
    order: VecDeque<(TicketId, Millis)>,
}

/// The outstanding tickets of this node.
pub struct Tickets {
    revocations: Arc<Revocations>,
    tickets_max: usize,
    state: Mutex<State>,
}

impl Tickets {
    /// Tickets of principals that are revoked meanwhile are worth nothing.
    pub fn new(revocations: Arc<Revocations>) -> Self {
        Self::bounded(revocations, TICKETS_MAX)
    }

    /// [`Tickets::new`] with another bound, at least 1.
    pub fn bounded(revocations: Arc<Revocations>, tickets_max: usize) -> Self {
        Self { revocations, tickets_max: tickets_max.max(1), state: Mutex::default() }
    }

    /// A ticket for `principal`: 22 characters that need no escaping in a URL.
    ///
    /// # Errors
    /// [`RandomnessUnavailable`].
    pub fn issue(&self, principal: Arc<Principal>, now: Millis) -> Result<String, RandomnessUnavailable> {
        let id = id_bytes()?;
        let ends = now.saturating_add(TICKET_TTL_MS);
        let mut state = self.state.lock();
        state.make_room(now, self.tickets_max);
        state.principals.insert(id, (principal, ends));
        state.order.push_back((id, ends));
        drop(state);
        Ok(id_text(&id))
    }

    /// Takes a ticket: the second attempt finds nothing.
    pub fn redeem(&self, ticket: &str, now: Millis) -> Option<Arc<Principal>> {
        let mut id = TicketId::default();
        match URL_SAFE_NO_PAD.decode_slice(ticket, &mut id) {
            Ok(16) => {}
            _ => return None,
        }
        let (principal, ends) = self.state.lock().principals.remove(&id)?;
        let is_good = now < ends
            && principal.expires_at.is_none_or(|end| now < end)
            && !self.revocations.is_revoked(&principal, now);
        is_good.then_some(principal)
    }

    /// How many tickets can still be used or have not been cleared away yet.
    pub fn len(&self) -> usize {
        self.state.lock().principals.len()
    }

    /// Whether no ticket is outstanding.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl State {
    fn make_room(&mut self, now: Millis, tickets_max: usize) {
        while let Some((id, ends)) = self.order.front() {
            if *ends > now && self.principals.len() < tickets_max {
                break;
            }
            self.principals.remove(id);
            self.order.pop_front();
        }
        if self.order.len() >= tickets_max.saturating_mul(2) {
            let principals = &self.principals;
            self.order.retain(|(id, _)| principals.contains_key(id));
        }
    }
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tickets({})", self.len())
    }
}
