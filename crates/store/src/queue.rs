//! What waits for the commit thread, bounded by count and bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_core::{Done, LogBatch, LogError, Offset};
use parking_lot::{Condvar, Mutex};

use crate::options::StoreOptions;
use crate::space::Space;

/// One thing to commit.
pub(crate) struct Entry {
    pub(crate) work: Work,
    /// A group with at least one of these is synced at once.
    pub(crate) done: Option<Done>,
    /// Messages and records in it, at least 1.
    pub(crate) count: usize,
    pub(crate) bytes: usize,
}

pub(crate) enum Work {
    Batch(Arc<Space>, LogBatch),
    /// A key of the keyspace `records`.
    Record(Vec<u8>, Option<Bytes>),
    /// Creates the space if need be and reserves offsets below the second.
    Open(Arc<Space>, Offset),
    /// Nothing; its `done` tells that everything before it is on disk.
    Barrier,
}

pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    count_max: usize,
    bytes_max: usize,
    group_count_max: usize,
    group_bytes_max: usize,
    gather: Duration,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    count: usize,
    bytes: usize,
    /// How many entries have somebody waiting for them.
    waiting: usize,
    /// Why nothing is taken now.
    refusal: Option<LogError>,
    is_closed: bool,
}

/// What the commit thread is to do next.
pub(crate) enum Next {
    Commit(Vec<Entry>),
    /// The time until which to wait has come.
    Timeout,
    /// Closed, and everything queued before was handed out.
    Closed,
}

impl Queue {
    pub(crate) fn new(options: &StoreOptions) -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            count_max: options.queue_count_max,
            bytes_max: options.queue_bytes_max,
            group_count_max: options.group_count_max,
            group_bytes_max: options.group_bytes_max,
            gather: options.gather_interval,
        }
    }

    /// Queues `entry`, or says why not. Wakes the commit thread only when that has a reason to
    /// hurry: a wake costs more than all the rest.
    pub(crate) fn push(&self, entry: Entry) -> Result<(), LogError> {
        let mut state = self.state.lock();
        if let Some(refusal) = &state.refusal {
            return Err(refusal.clone());
        }
        if state.is_closed {
            return Err(LogError::Failing("the store is closed".into()));
        }
        // An entry larger than the bound passes when nothing else waits.
        let is_over = state.count + entry.count > self.count_max || state.bytes + entry.bytes > self.bytes_max;
        if is_over && !state.entries.is_empty() && !matches!(entry.work, Work::Barrier) {
            return Err(LogError::QueueFull);
        }
        if let Work::Batch(space, batch) = &entry.work
            && let Some(last) = batch.messages.last()
        {
            space.handed_out(last.offset);
        }
        let was_waiting = state.waiting > 0;
        let had_group = self.is_group(&state);
        let was_empty = state.entries.is_empty();
        state.count += entry.count;
        state.bytes += entry.bytes;
        state.waiting += usize::from(entry.done.is_some());
        state.entries.push_back(entry);
        let has_hurry = !was_waiting && state.waiting > 0;
        if was_empty || has_hurry || (!had_group && self.is_group(&state)) {
            self.wake.notify_one();
        }
        Ok(())
    }

    fn is_group(&self, state: &State) -> bool {
        state.bytes >= self.group_bytes_max || state.entries.len() >= self.group_count_max
    }

    /// Waits for a group to commit, at most until `deadline`.
    pub(crate) fn next(&self, deadline: Option<Instant>) -> Next {
        let mut state = self.state.lock();
        let mut gather_until = None;
        loop {
            let now = Instant::now();
            if !state.entries.is_empty() {
                let until = *gather_until.get_or_insert(now + self.gather);
                let is_ready = state.waiting > 0 || state.is_closed || self.is_group(&state);
                if is_ready || now >= until {
                    return Next::Commit(self.take(&mut state));
                }
            } else if state.is_closed {
                return Next::Closed;
            }
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Next::Timeout;
            }
            match [gather_until, deadline].into_iter().flatten().min() {
                Some(until) => {
                    self.wake.wait_until(&mut state, until);
                }
                None => self.wake.wait(&mut state),
            }
        }
    }

    fn take(&self, state: &mut State) -> Vec<Entry> {
        let mut group = Vec::with_capacity(state.entries.len().min(self.group_count_max));
        let mut bytes = 0;
        while group.len() < self.group_count_max
            && let Some(entry) = state.entries.front()
            && (group.is_empty() || bytes + entry.bytes <= self.group_bytes_max)
            && let Some(entry) = state.entries.pop_front()
        {
            bytes += entry.bytes;
            state.count -= entry.count;
            state.bytes -= entry.bytes;
            state.waiting -= usize::from(entry.done.is_some());
            group.push(entry);
        }
        group
    }

    /// Refuses everything from now on and gives back what waited.
    pub(crate) fn refuse(&self, error: LogError) -> Vec<Entry> {
        let mut state = self.state.lock();
        state.refusal = Some(error);
        state.count = 0;
        state.bytes = 0;
        state.waiting = 0;
        state.entries.drain(..).collect()
    }

    /// Takes entries again after [`Queue::refuse`].
    pub(crate) fn accept(&self) {
        self.state.lock().refusal = None;
    }

    /// Takes nothing more; what waits is still committed.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.wake.notify_all();
    }

    /// Waits for `pause`, shorter when the queue is closed. Whether it is closed.
    pub(crate) fn pause(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut state = self.state.lock();
        while !state.is_closed && !self.wake.wait_until(&mut state, until).timed_out() {}
        state.is_closed
    }
}
