//! What can be set when opening, and what opening found.

use std::path::PathBuf;
use std::time::Duration;

/// Bounds and times of a store. The defaults suit a gateway on a small machine.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Most messages and records that may wait for the disk; over it `append` is refused.
    pub queue_count_max: usize,
    /// Most bytes (by [`fanfare_core::Message::weight`]) that may wait for the disk.
    pub queue_bytes_max: usize,
    /// Most queued entries that go into one commit.
    pub group_count_max: usize,
    /// Most bytes that go into one commit, unless a single entry is larger.
    pub group_bytes_max: usize,
    /// How long an entry that nobody waits for may stay unsynced; that much a power loss can take.
    pub sync_interval: Duration,
    /// How long entries that nobody waits for may gather before they are written.
    pub gather_interval: Duration,
    /// Pause between attempts to write again after storage failed.
    pub retry_interval: Duration,
    /// Memory for blocks read back from disk.
    pub cache_bytes: u64,
    /// Messages in memory before they are sorted into a table. Small keeps stalls short: 29 ms
    /// worst commit with 8 MiB against 169 ms and more with 64. Taken when a store is created; an
    /// existing one keeps its own.
    pub memtable_bytes: u64,
    /// Names of what others keep in the store's folder. A folder without a store that holds anything
    /// else is refused.
    pub neighbours: &'static [&'static str],
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            queue_count_max: 100_000,
            queue_bytes_max: 64 << 20,
            group_count_max: 4_096,
            group_bytes_max: 4 << 20,
            sync_interval: Duration::from_millis(100),
            gather_interval: Duration::from_millis(5),
            retry_interval: Duration::from_secs(1),
            cache_bytes: 32 << 20,
            memtable_bytes: 8 << 20,
            neighbours: &[],
        }
    }
}

/// What opening found in the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The directory held no store before.
    pub is_new: bool,
    /// Bytes of an unfinished last commit that a crash left behind and that were cut off. None of
    /// them had been acknowledged.
    pub cut_bytes: u64,
    /// The file they were cut from.
    pub cut_file: Option<PathBuf>,
    /// Bytes of the journal that were checked and replayed.
    pub journal_bytes: u64,
    /// Number of spaces.
    pub spaces: usize,
    /// Upper estimate of the messages kept: trimmed ones count until they are compacted away.
    pub messages_estimate: u64,
}
