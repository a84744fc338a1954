//! The commit thread: gathers, writes, syncs, tells. And what it does while the disk refuses.
//!
//! A group is what was queued while the one before was synced. After a failure nothing of the
//! engine is trusted: it is dropped, its journal is cut to what is known to be on disk, and it is
//! opened anew, every second until that succeeds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_core::{LogBatch, LogError, Message, Offset};
use fjall::Slice;

use crate::directory::Directory;
use crate::engine::{Change, Engine, Room, reason};
use crate::journal;
use crate::layout::{self, RESERVE, Seal};
use crate::log::Shared;
use crate::options::StoreOptions;
use crate::queue::{Entry, Next, Work};
use crate::record;
use crate::space::Space;

/// Between looks at the size on disk.
const MEASURE_INTERVAL: Duration = Duration::from_secs(1);
/// Between looks whether the engine has caught up.
const BEHIND_PAUSE: Duration = Duration::from_millis(2);

pub(crate) struct Committer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) directory: Directory,
    pub(crate) options: StoreOptions,
    /// Number of the newest commit that was written.
    pub(crate) written: u64,
    /// Number of the newest commit that was synced.
    pub(crate) synced: u64,
    pub(crate) unsynced_since: Option<Instant>,
    pub(crate) measured: Option<Instant>,
    pub(crate) changes: Vec<Change>,
    pub(crate) scratch: Vec<u8>,
}

/// What a failed attempt leaves behind.
struct Failure {
    reason: Arc<str>,
    /// Commits above this may be on disk or not; they are cut before anything is written.
    keep_max: u64,
}

impl Committer {
    /// Works until the queue is closed, then writes exact reservations.
    pub(crate) fn run(mut self) {
        loop {
            let deadline = self.unsynced_since.map(|since| since + self.options.sync_interval);
            let outcome = match self.shared.queue.next(deadline) {
                Next::Commit(group) => self.handle(group),
                Next::Timeout => self.sync(),
                Next::Closed => break,
            };
            if let Err(failure) = outcome
                && self.outlast(failure)
            {
                return;
            }
            self.measure();
        }
        if let Err(failure) = self.finish() {
            let reason = failure.reason;
            tracing::error!(%reason, "closing the store failed; offsets will skip ahead");
            self.shared.fail(LogError::Failing(reason));
        }
        self.shared.engine.write().take();
    }

    fn handle(&mut self, mut group: Vec<Entry>) -> Result<(), Failure> {
        let result = self.commit(&group);
        let answer = match &result {
            Ok(()) => Ok(()),
            Err(failure) => {
                let error = LogError::Failing(failure.reason.clone());
                // Refused first, told then: nobody who is told can slip a retry in between.
                group.extend(self.shared.fail(error.clone()));
                let entries = group.len();
                tracing::error!(entries, "what waited for the disk is not kept");
                Err(error)
            }
        };
        tell(group, &answer);
        result
    }

    /// Writes the group as one commit, and syncs if somebody waits or it is time.
    fn commit(&mut self, group: &[Entry]) -> Result<(), Failure> {
        let mut reserving = Vec::new();
        for entry in group {
            match &entry.work {
                Work::Batch(space, batch) => {
                    self.add_batch(space, batch);
                    let last = batch.messages.last().map_or(0, |message| message.offset).max(batch.head);
                    space.handed_out(last);
                    extend(&mut reserving, space, last);
                }
                Work::Record(key, value) => {
                    self.push(Room::Records, key.as_slice().into(), value.as_deref().map(Slice::from))
                }
                Work::Open(space, reserve) => {
                    let value = layout::name_value(space.id, space.epoch);
                    let key = layout::name_key(&space.name);
                    self.push(Room::Meta, key.into(), Some(value.into()));
                    reserving.push((space.clone(), *reserve));
                }
                Work::Barrier => {}
            }
        }
        self.add_reservations(&reserving);
        if !self.changes.is_empty() {
            self.write()?;
        }
        let is_due = self.unsynced_since.is_some_and(|since| since.elapsed() >= self.options.sync_interval);
        let has_waiting = group.iter().any(|entry| entry.done.is_some());
        if has_waiting || is_due || !reserving.is_empty() {
            self.sync()?;
        }
        for (space, reserved) in reserving {
            space.reserve(reserved);
        }
        Ok(())
    }

    fn push(&mut self, room: Room, key: Slice, value: Option<Slice>) {
        self.changes.push(Change { room, key, value });
    }

    fn add_batch(&mut self, space: &Arc<Space>, batch: &LogBatch) {
        for message in &batch.messages {
            let value = self.encode(message, space.epoch);
            let key = layout::log_key(space.id, message.offset);
            self.push(Room::Log, key.into(), Some(value));
        }
        for &offset in &batch.trimmed {
            self.push(Room::Log, layout::log_key(space.id, offset).into(), None);
        }
        if let Some(&highest) = batch.trimmed.iter().max() {
            space.trim(highest);
            // Written even if it is no higher: the commit that was to write it may have failed.
            let value = space.trimmed().to_be_bytes();
            let key = layout::trimmed_key(space.id);
            self.push(Room::Meta, key.into(), Some(value.into()));
        }
        for (topic, message) in &batch.retained {
            let value = message.as_ref().map(|message| {
                self.scratch.clear();
                self.scratch.extend_from_slice(&message.offset.to_be_bytes());
                record::encode(message, space.epoch, &mut self.scratch);
                Slice::from(&self.scratch)
            });
            let key = layout::retained_key(space.id, topic);
            self.push(Room::Retained, key.into(), value);
        }
        for record in &batch.records {
            let key = layout::record_key(record.table, &record.key);
            self.push(Room::Records, key.into(), record.value.as_deref().map(Slice::from));
        }
    }

    fn encode(&mut self, message: &Message, epoch: u64) -> Slice {
        self.scratch.clear();
        record::encode(message, epoch, &mut self.scratch);
        Slice::from(&self.scratch)
    }

    fn add_reservations(&mut self, reserving: &[(Arc<Space>, Offset)]) {
        for (space, reserved) in reserving {
            let key = layout::reserved_key(space.id);
            self.push(Room::Meta, key.into(), Some(reserved.to_be_bytes().into()));
        }
    }

    /// Writes the gathered changes as the next commit.
    fn write(&mut self) -> Result<(), Failure> {
        let seal = Seal { secret: self.directory.secret, commit: self.written + 1, synced: self.synced, sum: 0 };
        let result = self.with_engine(|engine, changes| {
            while engine.is_behind() {
                engine.alive()?;
                std::thread::sleep(BEHIND_PAUSE);
            }
            engine.commit(changes, seal)
        });
        self.changes.clear();
        let keep_max = self.written;
        result.map_err(|reason| Failure { reason, keep_max })?;
        self.written += 1;
        self.unsynced_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Failure> {
        if self.unsynced_since.is_none() {
            return Ok(());
        }
        // Which pages reached the disk before a sync failed is not known, and reading them back
        // shows the memory's copy: nothing above the last good sync is kept.
        let keep_max = self.synced;
        self.with_engine(|engine, _| engine.sync()).map_err(|reason| Failure { reason, keep_max })?;
        self.synced = self.written;
        self.unsynced_since = None;
        Ok(())
    }

    fn with_engine(
        &mut self,
        work: impl FnOnce(&Engine, &mut Vec<Change>) -> fjall::Result<()>,
    ) -> Result<(), Arc<str>> {
        let engine = self.shared.engine.read();
        let engine = engine.as_ref().ok_or("the store is closed")?;
        work(engine, &mut self.changes).map_err(reason)
    }

    /// Tries again until storage works. `true` when the store is being closed instead.
    fn outlast(&mut self, mut failure: Failure) -> bool {
        // The engine says only that its background work failed; the system says why.
        let reason = self.directory.probe().err().map(|error| error.reason());
        let reason = reason.map_or(failure.reason.clone(), Arc::from);
        tell(self.shared.fail(LogError::Failing(reason.clone())), &Err(LogError::Failing(reason.clone())));
        tracing::error!(%reason, "storage is failing; messages are refused until it works again");
        let since = Instant::now();
        loop {
            if self.shared.queue.pause(self.options.retry_interval) {
                tracing::error!(%reason, "closed while storage was failing");
                self.shared.engine.write().take();
                return true;
            }
            match self.recover(failure.keep_max) {
                Ok(()) => break,
                Err(next) => {
                    if next.reason != failure.reason {
                        tracing::warn!(reason = %next.reason, "storage is still failing");
                    }
                    let error = LogError::Failing(next.reason.clone());
                    tell(self.shared.fail(error.clone()), &Err(error));
                    failure = next;
                }
            }
        }
        self.shared.recovered();
        tracing::info!(seconds = since.elapsed().as_secs(), "storage works again");
        false
    }

    /// One attempt to get a working store again.
    fn recover(&mut self, keep_max: u64) -> Result<(), Failure> {
        let failed = |error: crate::StoreError| Failure { reason: error.reason().into(), keep_max };
        self.directory.probe().map_err(failed)?;
        {
            let mut engine = self.shared.engine.write();
            // Its lock on the files ends when the last handle goes; readers hold none, as they
            // work under the lock that we have.
            engine.take();
            let store = &self.directory.store;
            let secret = &self.directory.secret;
            let survey = journal::check(store, secret, Some(keep_max)).map_err(failed)?;
            *engine = Some(Engine::open(store, &self.options).map_err(failed)?);
            self.written = survey.last_commit.unwrap_or(keep_max);
        }
        self.synced = self.synced.min(self.written);
        self.unsynced_since = Some(Instant::now());
        // A commit of every reservation, to see that writing works; they are on disk already.
        self.changes.clear();
        let spaces = self.shared.spaces.all();
        let reserved: Vec<_> = spaces.into_iter().map(|s| (s.clone(), s.reserved())).collect();
        self.add_reservations(&reserved);
        self.write()?;
        self.sync()
    }

    /// Everything to disk, and where each space's numbering really ended.
    fn finish(&mut self) -> Result<(), Failure> {
        let spaces = self.shared.spaces.all();
        let open = spaces.into_iter().filter(|space| space.is_open());
        let exact: Vec<_> = open.map(|space| (space.clone(), space.next())).collect();
        self.add_reservations(&exact);
        if !self.changes.is_empty() {
            self.write()?;
        }
        self.sync()
    }

    fn measure(&mut self) {
        let is_due = self.measured.is_none_or(|at| at.elapsed() >= MEASURE_INTERVAL);
        if is_due && let Some(engine) = &*self.shared.engine.read() {
            self.shared.set_disk_bytes(engine.disk_bytes());
            self.measured = Some(Instant::now());
        }
    }
}

/// Renews a reservation of which less than half remains. The queue is bounded far below that, so
/// no offset beyond a reservation can be queued before the next one is on disk.
fn extend(reserving: &mut Vec<(Arc<Space>, Offset)>, space: &Arc<Space>, last: Offset) {
    let known = reserving.iter().rev().find(|(s, _)| s.id == space.id);
    let reserved = known.map_or(space.reserved(), |(_, reserved)| *reserved);
    if reserved.saturating_sub(last) < RESERVE / 2 {
        reserving.push((space.clone(), last.saturating_add(RESERVE)));
    }
}

fn tell(group: Vec<Entry>, answer: &Result<(), LogError>) {
    for entry in group {
        let Some(done) = entry.done else { continue };
        let answer = answer.clone();
        // A caller's mistake must not stop everybody's commits.
        if catch_unwind(AssertUnwindSafe(|| done(answer))).is_err() {
            tracing::error!("whoever waited for a commit panicked");
        }
    }
}
