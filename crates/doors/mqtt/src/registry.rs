//! Which client is where: connected, or away with a session that waits for it.
//!
//! A client id belongs to one connection at a time. Whoever comes second waits until the first has
//! let go of everything, so that nothing is sent or published twice.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use fanfare_core::Millis;
use fanfare_door::ConnectionId;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::state::State;
use crate::will::Will;

/// Connections that may wait for one client id.
const WAITERS_MAX: usize = 1_024;

/// What a new connection of a client finds.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing: a session begins.
    Nothing,
    /// The session that was left.
    Session(Box<State>),
}

/// An answer to a connection that claims a client id.
pub(crate) enum Claim {
    /// It has it.
    Now(Found),
    /// Another connection has it and must be told to let go; this is its id.
    Later(ConnectionId, oneshot::Receiver<Handover>),
    /// The session belongs to somebody else.
    Foreign,
    /// Too many connections wait for it already.
    Crowded,
}

/// What is to be done because a client came, left, or stayed away.
#[derive(Debug)]
pub(crate) enum Effect {
    /// The will is due.
    Publish(Arc<str>, Box<Will>),
    /// The session is over.
    End(Box<State>),
    /// So is this one, though it was to last: there are too many.
    Crowd(Box<State>),
}

/// A session on its way from one connection to the next. If nobody takes it, it is put away.
pub(crate) struct Handover {
    inner: Arc<Mutex<Inner>>,
    client_id: Arc<str>,
    connection: ConnectionId,
    now: Millis,
    found: Option<Found>,
}

impl Handover {
    pub(crate) fn take(mut self) -> Found {
        self.found.take().unwrap_or(Found::Nothing)
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        let Some(found) = self.found.take() else { return };
        let mut inner = self.inner.lock();
        let is_mine = matches!(inner.clients.get(&self.client_id), Some(Entry::Live { connection, .. }) if *connection == self.connection);
        if !is_mine {
            return;
        }
        if let Some(Entry::Live { waiters, connection, .. }) = inner.clients.get_mut(&self.client_id)
            && let Some(next) = waiters.pop_front()
        {
            *connection = next.connection;
            drop(inner);
            let (inner, client_id, now) = (self.inner.clone(), self.client_id.clone(), self.now);
            let found = match found {
                Found::Session(state) if next.is_clean => {
                    self.inner.lock().put_aside(Effect::End(state));
                    Found::Nothing
                }
                found => found,
            };
            let _ =
                next.sender.send(Handover { inner, client_id, connection: next.connection, now, found: Some(found) });
            return;
        }
        inner.clients.remove(&self.client_id);
        if let Found::Session(state) = found {
            inner.put_away(state, None, self.now, &mut Vec::new());
            inner.changed.notify_one();
        }
    }
}

struct Waiter {
    connection: ConnectionId,
    is_clean: bool,
    sender: oneshot::Sender<Handover>,
}

struct Away {
    state: Box<State>,
    /// `u64::MAX` is never.
    ends_at: Millis,
    will: Option<(Millis, Box<Will>)>,
}

enum Entry {
    /// Those who wait have it one after the other.
    Live {
        connection: ConnectionId,
        subject: Option<Arc<str>>,
        waiters: VecDeque<Waiter>,
    },
    Away(Away),
}

#[derive(Default)]
struct Inner {
    clients: HashMap<Arc<str>, Entry, foldhash::fast::RandomState>,
    /// When somebody who is away has to be looked at.
    deadlines: BTreeSet<(Millis, Arc<str>)>,
    away: usize,
    /// What is to be done for sessions that nobody took.
    aside: Vec<Effect>,
    /// A deadline may have come nearer, or something was put aside.
    changed: Arc<Notify>,
}

/// All clients of the door.
pub(crate) struct Registry {
    inner: Arc<Mutex<Inner>>,
    /// A deadline may have come nearer.
    pub(crate) changed: Arc<Notify>,
}

impl Default for Registry {
    fn default() -> Self {
        let inner = Inner::default();
        let changed = inner.changed.clone();
        Self { inner: Arc::new(Mutex::new(inner)), changed }
    }
}

/// How a connection leaves.
pub(crate) struct Leaving {
    pub(crate) state: Box<State>,
    /// What has to be said because of it.
    pub(crate) will: Option<Box<Will>>,
    pub(crate) now: Millis,
}

/// What follows from a leaving. Nobody else has the client id before it is dropped: what an ended
/// session held and had written down must be gone before the next one begins.
#[derive(Default)]
#[must_use = "the effects are to be carried out before it is dropped"]
pub(crate) struct Parting {
    pub(crate) effects: Vec<Effect>,
    next: Option<(Option<oneshot::Sender<Handover>>, Handover)>,
}

impl Drop for Parting {
    fn drop(&mut self) {
        // Should the other have gone meanwhile, the handover finds its way back by itself.
        if let Some((Some(sender), handover)) = self.next.take() {
            let _ = sender.send(handover);
        }
    }
}

impl Registry {
    /// A connection wants to speak for a client.
    pub(crate) fn claim(
        &self,
        client_id: &Arc<str>,
        subject: &Option<Arc<str>>,
        is_clean: bool,
        connection: ConnectionId,
    ) -> (Claim, Vec<Effect>) {
        let mut inner = self.inner.lock();
        let live = Entry::Live { connection, subject: subject.clone(), waiters: VecDeque::new() };
        match inner.clients.get_mut(client_id) {
            None => {
                inner.clients.insert(client_id.clone(), live);
                (Claim::Now(Found::Nothing), Vec::new())
            }
            Some(Entry::Live { subject: owner, .. }) if owner != subject => (Claim::Foreign, Vec::new()),
            Some(Entry::Away(away)) if away.state.subject != *subject => (Claim::Foreign, Vec::new()),
            Some(Entry::Live { waiters, .. }) if waiters.len() >= WAITERS_MAX => (Claim::Crowded, Vec::new()),
            Some(Entry::Live { connection: other, waiters, .. }) => {
                let (sender, receiver) = oneshot::channel();
                waiters.push_back(Waiter { connection, is_clean, sender });
                (Claim::Later(*other, receiver), Vec::new())
            }
            Some(_) => {
                let away = inner.take_away(client_id, live);
                let mut effects = Vec::new();
                let found = away.map_or(Found::Nothing, |away| meet(away, is_clean, &mut effects));
                (Claim::Now(found), effects)
            }
        }
    }

    /// A connection that has a client id lets go of it: to the one that waits for it, to be away
    /// for a while, or for good.
    pub(crate) fn leave(&self, connection: ConnectionId, leaving: Leaving, away_max: usize) -> Parting {
        let Leaving { state, will, now } = leaving;
        let client_id = state.client_id.clone();
        let mut inner = self.inner.lock();
        let mut effects = Vec::new();
        let waiters = match inner.clients.get_mut(&client_id) {
            Some(Entry::Live { connection: owner, waiters, .. }) if *owner == connection => waiters,
            _ => return Parting::default(),
        };
        let lasts = state.expiry_s > 0;
        let pass_on = |client_id, connection, found| {
            let (inner, found) = (self.inner.clone(), Some(found));
            Handover { inner, client_id, connection, now, found }
        };
        if let Some(Waiter { connection: next, is_clean, sender }) = waiters.pop_front() {
            if let Some(Entry::Live { connection, .. }) = inner.clients.get_mut(&client_id) {
                *connection = next;
            }
            let will_at = will.map(|will| (now + delay_ms(&will), will));
            let away = Away { state, ends_at: Millis::MAX, will: will_at };
            let found = hand_over(away, lasts && !is_clean, now, &mut effects);
            return Parting { effects, next: Some((Some(sender), pass_on(client_id, next, found))) };
        }
        if !lasts || inner.away >= away_max {
            effects.extend(will.map(|will| Effect::Publish(client_id.clone(), will)));
            effects.push(if lasts { Effect::Crowd(state) } else { Effect::End(state) });
            return Parting { effects, next: Some((None, pass_on(client_id, connection, Found::Nothing))) };
        }
        inner.put_away(state, will, now, &mut effects);
        drop(inner);
        self.changed.notify_one();
        Parting { effects, next: None }
    }

    /// A connection that waits for a client id ends before it has it.
    pub(crate) fn give_up(&self, client_id: &Arc<str>, connection: ConnectionId) {
        let mut inner = self.inner.lock();
        if let Some(Entry::Live { waiters, .. }) = inner.clients.get_mut(client_id) {
            waiters.retain(|waiter| waiter.connection != connection);
        }
    }

    /// Whether others wait for the session that this connection has.
    pub(crate) fn is_wanted_elsewhere(&self, connection: ConnectionId, state: Option<&State>) -> bool {
        let inner = self.inner.lock();
        match state.and_then(|state| inner.clients.get(&state.client_id)) {
            Some(Entry::Live { connection: owner, waiters, .. }) => *owner == connection && !waiters.is_empty(),
            _ => false,
        }
    }

    /// A session that was found in the ledger at start.
    pub(crate) fn restore(&self, state: Box<State>, will: Option<Box<Will>>, left_at: Millis) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.inner.lock().put_away(state, will, left_at, &mut effects);
        effects
    }

    /// What has become due, and when to ask again.
    pub(crate) fn due(&self, now: Millis) -> (Vec<Effect>, Option<Millis>) {
        let mut inner = self.inner.lock();
        let mut effects = std::mem::take(&mut inner.aside);
        while let Some((at, client_id)) = inner.deadlines.first().cloned()
            && at <= now
        {
            inner.deadlines.pop_first();
            let Some(Entry::Away(away)) = inner.clients.get_mut(&client_id) else { continue };
            if away.will.as_ref().is_some_and(|(due, _)| *due <= now || away.ends_at <= now)
                && let Some((_, will)) = away.will.take()
            {
                effects.push(Effect::Publish(client_id.clone(), will));
            }
            if away.ends_at <= now
                && let Some(Entry::Away(away)) = inner.clients.remove(&client_id)
            {
                inner.away -= 1;
                effects.push(Effect::End(away.state));
            }
        }
        (effects, inner.deadlines.first().map(|(at, _)| *at))
    }

    /// The connection that speaks for a client now.
    pub(crate) fn connection(&self, client_id: &str) -> Option<ConnectionId> {
        match self.inner.lock().clients.get(client_id) {
            Some(Entry::Live { connection, .. }) => Some(*connection),
            _ => None,
        }
    }

    /// Ends the session of a client that is away. `false` when there is none.
    pub(crate) fn end_away(&self, client_id: &str, with_will: bool) -> (bool, Vec<Effect>) {
        let mut inner = self.inner.lock();
        if !matches!(inner.clients.get(client_id), Some(Entry::Away(_))) {
            return (false, Vec::new());
        }
        let mut effects = Vec::new();
        if let Some((client_id, Entry::Away(away))) = inner.clients.remove_entry(client_id) {
            inner.forget_deadlines(&client_id, &away);
            inner.away -= 1;
            if let Some((_, will)) = away.will.filter(|_| with_will) {
                effects.push(Effect::Publish(client_id, will));
            }
            effects.push(Effect::End(away.state));
        }
        (true, effects)
    }

    /// Clients that are connected, and sessions that wait.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let inner = self.inner.lock();
        (inner.clients.len() - inner.away, inner.away)
    }

    /// What is known of a client that is away, for operators.
    pub(crate) fn with_away<T>(&self, client_id: &str, look: impl FnOnce(&State) -> T) -> Option<T> {
        match self.inner.lock().clients.get(client_id) {
            Some(Entry::Away(away)) => Some(look(&away.state)),
            _ => None,
        }
    }
}

impl Inner {
    fn put_aside(&mut self, effect: Effect) {
        self.aside.push(effect);
        self.changed.notify_one();
    }

    fn take_away(&mut self, client_id: &Arc<str>, instead: Entry) -> Option<Away> {
        let Some(Entry::Away(away)) = self.clients.insert(client_id.clone(), instead) else { return None };
        self.forget_deadlines(client_id, &away);
        self.away -= 1;
        Some(away)
    }

    fn forget_deadlines(&mut self, client_id: &Arc<str>, away: &Away) {
        self.deadlines.remove(&(away.ends_at, client_id.clone()));
        if let Some((at, _)) = &away.will {
            self.deadlines.remove(&(*at, client_id.clone()));
        }
    }

    fn put_away(&mut self, state: Box<State>, will: Option<Box<Will>>, left_at: Millis, effects: &mut Vec<Effect>) {
        let client_id = state.client_id.clone();
        let ends_at = match state.expiry_s {
            u32::MAX => Millis::MAX,
            seconds => left_at + u64::from(seconds) * 1_000,
        };
        let mut later = None;
        if let Some(will) = will {
            match delay_ms(&will) {
                0 => effects.push(Effect::Publish(client_id.clone(), will)),
                delay => later = Some(((left_at + delay).min(ends_at), will)),
            }
        }
        if let Some((at, _)) = &later {
            self.deadlines.insert((*at, client_id.clone()));
        }
        if ends_at < Millis::MAX {
            self.deadlines.insert((ends_at, client_id.clone()));
        }
        let before = self.clients.insert(client_id, Entry::Away(Away { state, ends_at, will: later }));
        self.away += usize::from(!matches!(before, Some(Entry::Away(_))));
    }
}

fn delay_ms(will: &Will) -> u64 {
    u64::from(will.delay_s) * 1_000
}

/// The client is back: it goes on with its session, or begins a new one.
fn meet(away: Away, is_clean: bool, effects: &mut Vec<Effect>) -> Found {
    let client_id = away.state.client_id.clone();
    if is_clean {
        effects.extend(away.will.map(|(_, will)| Effect::Publish(client_id, will)));
        effects.push(Effect::End(away.state));
        return Found::Nothing;
    }
    // Back in time: the will is not spoken.
    Found::Session(away.state)
}

/// Another connection of the client takes over. A will without delay is due: that connection has ended.
fn hand_over(away: Away, goes_on: bool, now: Millis, effects: &mut Vec<Effect>) -> Found {
    let is_due = away.will.as_ref().is_some_and(|(at, _)| *at <= now);
    let client_id = away.state.client_id.clone();
    let Away { state, will, ends_at } = away;
    if !goes_on {
        effects.extend(will.map(|(_, will)| Effect::Publish(client_id, will)));
        effects.push(Effect::End(state));
        return Found::Nothing;
    }
    if is_due {
        effects.extend(will.map(|(_, will)| Effect::Publish(client_id, will)));
        return Found::Session(state);
    }
    meet(Away { state, will, ends_at }, false, effects)
}

#[cfg(test)]
mod tests;
