//! Opening all connections of a run before anything is measured, and checking at the end of a quiet
//! one that they still work.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::args::Common;
use crate::dialect::{Heard, Publisher, Reader};
use crate::fleet::{Fleet, Listener};
use crate::link::{Gone, Plan, Welcome};
use crate::measure::Patience;
use crate::output::Progress;
use crate::payload::{Filling, Head, head};

/// Handshakes under way at once: below any server's accept queue.
const OPENING_MAX: usize = 256;

/// How long nothing may happen before a run is given up.
pub(crate) const STALL: Duration = Duration::from_secs(15);

const TURN: Duration = Duration::from_millis(100);

/// Payload bytes of the messages that only check.
const CHECK_BYTES: u32 = 64;

/// A name that no other run uses.
pub(crate) fn run_topic(name: &str) -> Rc<str> {
    format!("bench/{:08x}/{name}", fastrand::u32(..)).into()
}

struct Opening {
    ready: usize,
    welcome: Welcome,
}

impl Listener for Opening {
    fn ready(&mut self, _: usize, welcome: Welcome, _: u64) -> anyhow::Result<()> {
        self.ready += 1;
        self.welcome = welcome;
        Ok(())
    }

    fn text(&mut self, link: usize, text: &[u8], _: u64) -> anyhow::Result<()> {
        bail!("connection {link} heard before anything was published: {}", String::from_utf8_lossy(text))
    }

    fn gone(&mut self, link: usize, why: Gone, _: u64) -> anyhow::Result<()> {
        bail!("connection {link} of the opening ones was {why} ({} were open)", self.ready)
    }
}

/// Opens `plans`, the first one at place `first`, and returns when all are ready.
pub(crate) fn open(
    fleet: &mut Fleet,
    first: usize,
    plans: impl ExactSizeIterator<Item = Plan>,
    common: &Common,
) -> anyhow::Result<Welcome> {
    let total = plans.len();
    let progress = Progress::new(common, "connecting", total as u64);
    let mut opening = Opening { ready: 0, welcome: Welcome::default() };
    let mut patience = Patience::new(STALL);
    let mut waiting: VecDeque<(usize, Plan)> = plans.enumerate().collect();
    while opening.ready < total {
        while total - waiting.len() - opening.ready < OPENING_MAX {
            let Some((offset, plan)) = waiting.pop_front() else {
                break;
            };
            let opened = fleet.open(first + offset, plan);
            opened.with_context(|| format!("no connection to {}", fleet.target.address))?;
        }
        fleet.turn(TURN, &mut opening)?;
        progress.at(opening.ready as u64);
        if patience.is_over(opening.ready as u64) {
            bail!("only {} of {total} connections opened, nothing happens any more", opening.ready);
        }
    }
    Ok(opening.welcome)
}

/// Listens for one check message per topic.
struct Check {
    reader: Reader,
    filling: Filling,
    /// What each connection is to hear, and whether it has.
    expected: Vec<Option<(Head, bool)>>,
    heard: u64,
}

impl Listener for Check {
    fn ready(&mut self, link: usize, _: Welcome, _: u64) -> anyhow::Result<()> {
        bail!("connection {link} opened twice")
    }

    fn text(&mut self, link: usize, text: &[u8], _: u64) -> anyhow::Result<()> {
        let payload = match self.reader.read(text) {
            Heard::Message(payload) => payload,
            other => bail!("connection {link} heard {other:?} instead of the check message"),
        };
        match self.expected.get_mut(link).and_then(Option::as_mut) {
            Some((head, heard)) if !*heard && self.filling.matches(head, payload) => *heard = true,
            _ => bail!("connection {link} heard a message that is not for it, or heard it twice"),
        }
        self.heard += 1;
        Ok(())
    }

    fn acknowledged(&mut self, _: usize, _: u64) -> anyhow::Result<()> {
        Ok(())
    }

    fn gone(&mut self, link: usize, why: Gone, _: u64) -> anyhow::Result<()> {
        bail!("connection {link} was {why}")
    }
}

/// Publishes one message to each of `topics` through the open connections `publishers`; the
/// subscriber at place `i` listens to `topic_of(i)`, if that is one of them. Returns the deliveries.
pub(crate) fn check(
    fleet: &mut Fleet,
    topics: &[Rc<str>],
    publishers: std::ops::Range<usize>,
    subscribers: usize,
    topic_of: impl Fn(usize) -> usize,
) -> anyhow::Result<u64> {
    let filling = Filling::new(CHECK_BYTES);
    let checked = topics.len().min(publishers.len());
    let heads: Vec<Head> = (0..checked).map(|topic| head(topic as u64, fleet.now())).collect();
    let expect = |link| heads.get(topic_of(link)).map(|head| (*head, false));
    let expected: Vec<_> = (0..subscribers).map(expect).collect();
    let total = expected.iter().flatten().count() as u64;
    let reader = Reader::new(fleet.target.dialect, filling.size());
    let mut check = Check { reader, filling, expected, heard: 0 };
    let (mut payload, mut bytes) = (Vec::new(), Vec::new());
    for ((head, topic), publisher) in heads.iter().zip(topics).zip(publishers) {
        check.filling.write(head, &mut payload);
        bytes.clear();
        Publisher::new(&fleet.target, topic).put(&mut bytes, &payload);
        fleet.send(publisher, &bytes)?;
    }
    let mut patience = Patience::new(STALL);
    while check.heard < total {
        fleet.turn(TURN, &mut check)?;
        if patience.is_over(check.heard) {
            bail!("only {} of {total} deliveries arrived", check.heard);
        }
    }
    linger(fleet, &mut check)?;
    Ok(check.heard)
}

/// Listens a moment longer: what arrives now was delivered twice, and the listener says so.
pub(crate) fn linger(fleet: &mut Fleet, listener: &mut impl Listener) -> anyhow::Result<()> {
    let end = fleet.now() + u64::try_from(TURN.as_nanos()).unwrap_or(0);
    while fleet.now() < end {
        fleet.turn(TURN, listener)?;
    }
    Ok(())
}
