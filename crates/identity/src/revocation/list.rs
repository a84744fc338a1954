//! The revocations in memory: what is in force, and what one more makes superfluous.

use std::sync::Arc;

use fanfare_core::{Millis, Principal};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::{Revocation, Revoked};

/// Tokens issued before `before` (all where `None`) count no more, until `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    before: Option<Millis>,
    until: Option<Millis>,
}

impl Cut {
    fn covers(self, issued_at: Option<Millis>, now: Millis) -> bool {
        let is_before = match (self.before, issued_at) {
            (None, _) | (_, None) => true,
            (Some(before), Some(at)) => at < before,
        };
        is_before && is_in_force(self.until, now)
    }

    /// Whether `other` adds nothing to this one.
    fn includes(self, other: Self) -> bool {
        later(self.before, other.before) == self.before && later(self.until, other.until) == self.until
    }
}

pub(super) fn is_in_force(until: Option<Millis>, now: Millis) -> bool {
    until.is_none_or(|end| now < end)
}

/// The later of two times, where none is later than any.
fn later(a: Option<Millis>, b: Option<Millis>) -> Option<Millis> {
    Some(a?.max(b?))
}

#[derive(Default)]
struct Cuts(Vec<Cut>);

impl Cuts {
    /// Adds and tells what is left to be said about it, and which entries it makes superfluous.
    /// The same cut twice keeps the longer life: a revocation is never weakened by another.
    fn add(&mut self, mut cut: Cut) -> (Cut, Vec<Cut>) {
        let mut superseded = Vec::new();
        if let Some(same) = self.0.iter_mut().find(|c| c.before == cut.before) {
            cut.until = later(cut.until, same.until);
            *same = cut;
        } else {
            self.0.push(cut);
        }
        self.0.retain(|old| {
            let is_superseded = *old != cut && cut.includes(*old);
            if is_superseded {
                superseded.push(*old);
            }
            !is_superseded
        });
        (cut, superseded)
    }

    fn covers(&self, issued_at: Option<Millis>, now: Millis) -> bool {
        self.0.iter().any(|cut| cut.covers(issued_at, now))
    }

    fn prune(&mut self, now: Millis, mut dropped: impl FnMut(Cut)) {
        self.0.retain(|cut| {
            let keep = is_in_force(cut.until, now);
            if !keep {
                dropped(*cut);
            }
            keep
        });
    }
}

#[derive(Default)]
pub(super) struct State {
    subjects: HashMap<Box<str>, Cuts, RandomState>,
    tokens: HashMap<Box<str>, Option<Millis>, RandomState>,
    everyone: Cuts,
    pub(super) count: usize,
}

impl State {
    pub(super) fn covers(&self, principal: &Principal, now: Millis) -> bool {
        let issued_at = principal.issued_at;
        let by_token = |id: &Arc<str>| {
            let until = self.tokens.get(id.as_ref());
            until.is_some_and(|until| is_in_force(*until, now))
        };
        let by_subject = |subject: &Arc<str>| {
            let cuts = self.subjects.get(subject.as_ref());
            cuts.is_some_and(|cuts| cuts.covers(issued_at, now))
        };
        self.everyone.covers(issued_at, now)
            || principal.token_id.as_ref().is_some_and(by_token)
            || principal.subject.as_ref().is_some_and(by_subject)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Revoked> {
        let everyone = self.everyone.0.iter().filter_map(|cut| everyone(*cut));
        let subjects = self.subjects.iter().flat_map(|(name, cuts)| cuts.0.iter().map(|cut| of_subject(name, *cut)));
        let tokens = self.tokens.iter().map(|(id, until)| of_token(id, *until));
        everyone.chain(subjects).chain(tokens)
    }

    pub(super) fn holds(&self, revocation: &Revocation) -> bool {
        let has = |cuts: &Cuts, before| cuts.0.iter().any(|cut| cut.before == before);
        match revocation {
            Revocation::Subject { subject, issued_before } => {
                let cuts = self.subjects.get(subject.as_str());
                cuts.is_some_and(|cuts| has(cuts, *issued_before))
            }
            Revocation::Token { token_id } => self.tokens.contains_key(token_id.as_str()),
            Revocation::IssuedBefore { issued_before } => has(&self.everyone, Some(*issued_before)),
        }
    }

    pub(super) fn add(&mut self, entry: &Revoked) -> (Revoked, Vec<Revocation>) {
        let is_new = !self.holds(&entry.revocation);
        let until = entry.until;
        let (kept, superseded) = match &entry.revocation {
            Revocation::Subject { subject, issued_before: before } => {
                let cuts = self.subjects.entry(subject.as_str().into()).or_default();
                let (cut, old) = cuts.add(Cut { before: *before, until });
                let old = old.iter().map(|cut| of_subject(subject, *cut).revocation);
                (cut.until, old.collect())
            }
            Revocation::IssuedBefore { issued_before } => {
                let (cut, old) = self.everyone.add(Cut { before: Some(*issued_before), until });
                let old = old.iter().filter_map(|cut| everyone(*cut));
                (cut.until, old.map(|entry| entry.revocation).collect())
            }
            Revocation::Token { token_id } => {
                let kept = self.tokens.entry(token_id.as_str().into()).or_insert(until);
                *kept = later(*kept, until);
                (*kept, Vec::new())
            }
        };
        self.count += usize::from(is_new);
        self.count -= superseded.len();
        let kept = Revoked { revocation: entry.revocation.clone(), until: kept };
        (kept, superseded)
    }

    pub(super) fn prune(&mut self, now: Millis) -> Vec<Revocation> {
        let mut ended = Vec::new();
        self.subjects.retain(|name, cuts| {
            cuts.prune(now, |cut| ended.push(of_subject(name, cut).revocation));
            !cuts.0.is_empty()
        });
        self.tokens.retain(|id, until| {
            let keep = is_in_force(*until, now);
            if !keep {
                ended.push(of_token(id, *until).revocation);
            }
            keep
        });
        self.everyone.prune(now, |cut| {
            ended.extend(everyone(cut).map(|entry| entry.revocation));
        });
        self.count -= ended.len();
        ended
    }
}

fn of_subject(subject: &str, cut: Cut) -> Revoked {
    Revoked {
        revocation: Revocation::Subject { subject: subject.to_owned(), issued_before: cut.before },
        until: cut.until,
    }
}

fn of_token(token_id: &str, until: Option<Millis>) -> Revoked {
    Revoked { revocation: Revocation::Token { token_id: token_id.to_owned() }, until }
}

/// A cut of everybody always has a time.
fn everyone(cut: Cut) -> Option<Revoked> {
    cut.before.map(|issued_before| Revoked { revocation: Revocation::IssuedBefore { issued_before }, until: cut.until })
}
