//! All connections of a run, in one thread over one poll.

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use mio::{Events, Interest, Poll, Token};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::link::{Event, Gone, Link, Plan, Welcome};
use crate::target::Target;

const EVENTS_MAX: usize = 4_096;

/// Bytes read at once: a large burst for one subscriber.
const SCRATCH_BYTES: usize = 256 << 10;

/// Descriptors for everything that is not a connection.
const FILES_SPARE: u64 = 64;

/// Who is told what the connections hear. Times are nanoseconds since the fleet was made.
pub(crate) trait Listener {
    /// A connection is open, and subscribed where it should be.
    fn ready(&mut self, link: usize, welcome: Welcome, at: u64) -> anyhow::Result<()>;
    /// A text message. Subscriptions count through where a connection has several of them.
    fn text(&mut self, link: usize, text: &[u8], at: u64) -> anyhow::Result<()>;
    /// A message that is marked as sent before.
    fn repeated(&mut self, link: usize, _: &[u8], _: u64) -> anyhow::Result<()> {
        bail!("connection {link} received a message that is marked as sent before")
    }
    /// The server took over the next one of the messages that were published on the connection.
    fn acknowledged(&mut self, link: usize, _: u64) -> anyhow::Result<()> {
        bail!("connection {link} was thanked for a message that it did not publish")
    }
    /// A connection ended; its place is free.
    fn gone(&mut self, link: usize, why: Gone, at: u64) -> anyhow::Result<()>;
}

/// An end of the connection or the end of the run.
enum Stop {
    Gone(Gone),
    Fatal(anyhow::Error),
}

impl From<Gone> for Stop {
    fn from(gone: Gone) -> Self {
        Self::Gone(gone)
    }
}

/// All connections of a run.
pub(crate) struct Fleet {
    pub(crate) target: Target,
    poll: Poll,
    events: Events,
    links: Vec<Option<Link>>,
    scratch: Vec<u8>,
    epoch: Instant,
}

impl Fleet {
    /// Makes room for `size` connections.
    pub(crate) fn new(target: Target, size: usize) -> anyhow::Result<Self> {
        allow_files(size as u64)?;
        Ok(Self {
            target,
            poll: Poll::new().context("no poll")?,
            events: Events::with_capacity(EVENTS_MAX),
            links: (0..size).map(|_| None).collect(),
            scratch: vec![0; SCRATCH_BYTES],
            epoch: Instant::now(),
        })
    }

    /// Adds places; only as many as [`new`](Self::new) made room for may be taken at once.
    pub(crate) fn widen(&mut self, places: usize) {
        self.links.resize_with(places.max(self.links.len()), || None);
    }

    /// Nanoseconds since the fleet was made.
    pub(crate) fn now(&self) -> u64 {
        nanos_since(self.epoch)
    }

    /// Begins to open a connection at a free place.
    pub(crate) fn open(&mut self, index: usize, plan: Plan) -> io::Result<()> {
        let mut link = Link::start(&self.target, index, plan)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut link.stream, Token(index), interest)?;
        self.links[index] = Some(link);
        Ok(())
    }

    /// Closes a connection without a word.
    pub(crate) fn cut(&mut self, index: usize) {
        self.links[index] = None;
    }

    /// Sends bytes on an open connection.
    pub(crate) fn send(&mut self, index: usize, bytes: &[u8]) -> anyhow::Result<()> {
        let Some(link) = &mut self.links[index] else {
            bail!("connection {index} is not there to send on");
        };
        link.send(bytes).map_err(|gone| anyhow::anyhow!("connection {index}: {gone}"))
    }

    /// Whether all bytes of a connection are on their way.
    pub(crate) fn is_flushed(&self, index: usize) -> bool {
        self.links[index].as_ref().is_none_or(Link::is_flushed)
    }

    /// Waits for something to happen, at most `timeout`, and tells it all.
    pub(crate) fn turn(&mut self, timeout: Duration, listener: &mut impl Listener) -> anyhow::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other.context("the poll failed")?,
        }
        for event in &self.events {
            let index = event.token().0;
            let Some(link) = self.links.get_mut(index).and_then(Option::as_mut) else {
                continue;
            };
            let mut result = Ok(());
            if event.is_writable() && !(link.is_connected() && link.is_flushed()) {
                result = link.on_writable(&self.target).map_err(Stop::Gone);
            }
            let ends = event.is_read_closed() || event.is_error();
            if result.is_ok() && (event.is_readable() || ends) {
                result = drain(link, &self.target, &mut self.scratch, ends, self.epoch, index, listener);
            }
            match result {
                Ok(()) => {}
                Err(Stop::Fatal(error)) => return Err(error),
                Err(Stop::Gone(why)) => {
                    self.links[index] = None;
                    listener.gone(index, why, nanos_since(self.epoch))?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a connection until nothing is left.
fn drain(
    link: &mut Link,
    target: &Target,
    scratch: &mut [u8],
    ends: bool,
    epoch: Instant,
    index: usize,
    listener: &mut impl Listener,
) -> Result<(), Stop> {
    while let Some(count) = link.receive(scratch)? {
        let at = nanos_since(epoch);
        link.digest(target, &scratch[..count], &mut |event| {
            let told = match event {
                Event::Ready(welcome) => listener.ready(index, welcome, at),
                Event::Text(text) => listener.text(index, text, at),
                Event::Subscribed(stream, text) => listener.text(index * target.streams + stream, text, at),
                Event::Repeated(text) => listener.repeated(index, text, at),
                Event::Acknowledged => listener.acknowledged(index, at),
            };
            told.map_err(Stop::Fatal)
        })?;
        // A short read emptied the socket; what comes later is a new event. An end comes only once.
        if count < scratch.len() && !ends {
            break;
        }
    }
    Ok(())
}

fn nanos_since(epoch: Instant) -> u64 {
    u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Raises the soft limit of open files as far as the connections need.
fn allow_files(connections: u64) -> anyhow::Result<()> {
    let needed = connections + FILES_SPARE;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("the limit of open files is unknown")?;
    if needed > hard {
        let most = hard.saturating_sub(FILES_SPARE);
        bail!(
            "{connections} connections need {needed} open files, this process may have {hard}: \
             at most {most} connections; run several generators or raise the limit (ulimit -Hn)"
        );
    }
    if needed > soft {
        setrlimit(Resource::RLIMIT_NOFILE, needed, hard).context("the limit of open files stays")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_connections_than_files_are_refused_with_the_way_out() {
        let error = allow_files(u64::MAX / 2).unwrap_err().to_string();
        assert!(error.contains("run several generators"), "{error}");
        assert!(allow_files(1).is_ok());
    }
}
