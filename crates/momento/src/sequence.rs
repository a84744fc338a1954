//! The numbers of one subscription: where it begins, what it is told of losses, when it hears that
//! it is still there.
//!
//! A **number** is the offset of the message in the space, a **page** is the epoch. Numbers of a topic
//! therefore ascend and may have holes where other topics of the cache were published to; every SDK
//! goes by order alone. `n` in a request means: from `n` on, itself included. SDKs that send the last
//! number they had get that one message twice; those that send one more do not.
//!
//! ```text
//! Opening::plan   what to ask of the core: now, after a position, or from the beginning
//! Opening::begin  what the client gets first: a heartbeat always, and perhaps a discontinuity
//! Sequence::item  whether a message is to be sent, and what comes before it
//! Sequence::lose  messages were dropped; the next one, or settle, says so
//! Sequence::tick  a heartbeat, where nothing was sent for some time
//! ```

use fanfare_core::{Millis, Position, Since};

use crate::wire::{Discontinuity, Heartbeat, SubscriptionItem, SubscriptionRequest};

/// Largest page: what JavaScript holds exactly, so that it comes back as it was sent.
pub const PAGE_MAX: u64 = (1 << 53) - 1;

/// The page of an epoch, from 1 to [`PAGE_MAX`]: 0 means unknown in requests. Epochs of our logs are
/// less; of greater ones the upper bits do not count.
#[must_use]
pub fn page_of(epoch: u64) -> u64 {
    (epoch & PAGE_MAX).max(1)
}

/// How subscriptions behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A fresh subscription is told where it begins, by a discontinuity after the first heartbeat.
    /// Without it the Node SDK loses what is published while it reconnects, which it does by itself
    /// some seconds after its start. The price: a handler for discontinuities is called once.
    pub tells_beginning: bool,
    /// After so many milliseconds without anything else comes a heartbeat. Proxies often give up a
    /// connection after 30 seconds.
    pub heartbeat_ms: Millis,
}

impl Default for Settings {
    fn default() -> Self {
        Self { tells_beginning: true, heartbeat_ms: 12_000 }
    }
}

impl Settings {
    /// For polls over HTTP, which wait for something that is worth an answer.
    #[must_use]
    pub fn poll() -> Self {
        Self { tells_beginning: false, ..Self::default() }
    }
}

/// Where a client wants to begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// The number from which on it wants messages; 0 for new ones alone.
    pub number: u64,
    /// The page of that number; 0 when it does not know.
    pub page: u64,
}

impl From<&SubscriptionRequest> for Resume {
    fn from(request: &SubscriptionRequest) -> Self {
        Self { number: request.resume_at_topic_sequence_number, page: request.sequence_page }
    }
}

/// A subscription that is about to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    resume: Resume,
    start: Start,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// With what comes.
    Fresh,
    /// It was further than the log is: with what comes.
    Ahead,
    /// Its numbering is gone: with all that is kept of this one.
    OtherPage,
    /// Where it was.
    Within,
}

impl Opening {
    /// Decides how to begin. `head` is where the log of the cache stands.
    #[must_use]
    pub fn plan(resume: Resume, head: Position) -> Self {
        let start = match resume {
            Resume { number: 0, .. } => Start::Fresh,
            Resume { page, .. } if page != 0 && page != page_of(head.epoch) => Start::OtherPage,
            // One more than the head is what comes next.
            Resume { number, .. } if number - 1 > head.offset => Start::Ahead,
            Resume { .. } => Start::Within,
        };
        Self { resume, start }
    }

    /// What to ask of the core.
    #[must_use]
    pub fn since(&self, head: Position) -> Since {
        match self.start {
            Start::Fresh | Start::Ahead => Since::Now,
            Start::OtherPage => Since::Beginning,
            Start::Within => Since::After(Position { epoch: head.epoch, offset: self.last() }),
        }
    }

    /// What to ask of it next, when it says that not everything since then is there any more: what
    /// is kept is still worth having. `None` when there is nothing else to ask.
    #[must_use]
    pub fn fallback(&self, recovered: Option<bool>) -> Option<Since> {
        (self.start == Start::Within && recovered == Some(false)).then_some(Since::Beginning)
    }

    /// The last number that the client had, as far as it says; 0 when it does not.
    fn last(&self) -> u64 {
        self.resume.number.saturating_sub(1)
    }

    /// Begins. `head` is where the log stood when the core was joined: a fresh subscription gets what
    /// is after it. `recovered` is what the core said first, to [`Opening::since`]. The client gets the
    /// items at once, in this order, before anything else.
    #[must_use]
    pub fn begin(
        self,
        head: Position,
        recovered: Option<bool>,
        settings: Settings,
        now: Millis,
    ) -> (Sequence, Vec<SubscriptionItem>) {
        let page = page_of(head.epoch);
        let (floor, lost) = match self.start {
            Start::Fresh | Start::Ahead => (head.offset, None),
            Start::OtherPage => (0, Some(self.last())),
            Start::Within if recovered == Some(false) => (self.last(), Some(self.last())),
            Start::Within => (self.last(), None),
        };
        let mut first = vec![SubscriptionItem::from(Heartbeat {})];
        if self.start == Start::Ahead || self.start == Start::Fresh && settings.tells_beginning {
            first.push(discontinuity(self.last(), head.offset, page).into());
        }
        let heartbeat_at = now.saturating_add(settings.heartbeat_ms);
        let sequence = Sequence { page, told: floor, floor, lost, settings, heartbeat_at };
        (sequence, first)
    }
}

fn discontinuity(last: u64, new: u64, page: u64) -> Discontinuity {
    Discontinuity { last_topic_sequence: last, new_topic_sequence: new, new_sequence_page: page }
}

/// A subscription that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    page: u64,
    /// The last number that the client knows of.
    told: u64,
    /// Nothing up to here is sent any more.
    floor: u64,
    /// Something is lost that the client does not know of yet: since this number.
    lost: Option<u64>,
    settings: Settings,
    heartbeat_at: Millis,
}

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: the client had it, or it was before its time.
    Skip,
    /// Send it, after the discontinuity if there is one.
    Send(Option<Discontinuity>),
}

impl Sequence {
    /// The page that the client knows of.
    #[must_use]
    pub fn page(&self) -> u64 {
        self.page
    }

    /// The next message, in the order of the log. When the answer is to send it, it is taken as sent.
    pub fn item(&mut self, at: Position, now: Millis) -> Step {
        self.turn_page(at.epoch);
        if at.offset <= self.floor {
            return Step::Skip;
        }
        let before = self.lost.take().map(|last| discontinuity(last, at.offset - 1, self.page));
        self.floor = at.offset;
        self.told = at.offset;
        self.postpone(now);
        Step::Send(before)
    }

    /// Messages up to and including this place are dropped, because the client is too slow or they are
    /// gone. The subscription goes on. Several losses in a row are told as one.
    pub fn lose(&mut self, through: Position) {
        self.turn_page(through.epoch);
        if through.offset > self.floor {
            self.lost.get_or_insert(self.told);
            self.floor = through.offset;
        }
    }

    /// The client has been given everything up to `head` that is to be given, and has room: what is
    /// still to be said of losses. To be asked when a replay is over, and when a slow client has caught
    /// up; never with messages before `head` still waiting, which would be skipped.
    pub fn settle(&mut self, head: Position, now: Millis) -> Option<Discontinuity> {
        self.turn_page(head.epoch);
        let last = self.lost.take()?;
        self.floor = self.floor.max(head.offset);
        self.told = self.floor;
        self.postpone(now);
        Some(discontinuity(last, self.told, self.page))
    }

    /// Where the client is, as a discontinuity that leaves nothing out. For a poll that began fresh
    /// and ends with nothing: without a number, the next one would miss what is published between.
    #[must_use]
    pub fn here(&self) -> Discontinuity {
        discontinuity(self.told, self.floor, self.page)
    }

    /// When [`Sequence::tick`] has something to say, unless something else is sent before.
    #[must_use]
    pub fn heartbeat_at(&self) -> Millis {
        self.heartbeat_at
    }

    /// A heartbeat, if it is time.
    pub fn tick(&mut self, now: Millis) -> Option<Heartbeat> {
        if now < self.heartbeat_at {
            return None;
        }
        self.postpone(now);
        Some(Heartbeat {})
    }

    fn postpone(&mut self, now: Millis) {
        self.heartbeat_at = now.saturating_add(self.settings.heartbeat_ms);
    }

    /// A new numbering begins with a loss: nobody knows what was in the old one.
    fn turn_page(&mut self, epoch: u64) {
        let page = page_of(epoch);
        if page != self.page {
            self.lost.get_or_insert(self.told);
            self.page = page;
            self.floor = 0;
            self.told = 0;
        }
    }
}

#[cfg(test)]
mod tests;
