//! The embedded store as this crate uses it: four keyspaces, sealed atomic commits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fanfare_core::LogError;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Slice};

use crate::error::StoreError;
use crate::journal::add_item;
use crate::layout::{SEAL_KEY, Seal, Sum};
use crate::options::StoreOptions;

/// The engine's journals are kept until every keyspace has its part in tables, at most this much.
/// A restart checks and replays them, about 100 MB a second.
const JOURNALS_BYTES_MAX: u64 = 128 << 20;
/// Tables of small things fill slowly and hold journals back; a small memtable frees them.
const SMALL_MEMTABLE_BYTES: u64 = 1 << 20;

/// An open store.
pub(crate) struct Engine {
    db: Database,
    path: PathBuf,
    /// The next sync fails, as a broken disk would have it.
    #[cfg(test)]
    pub(crate) has_broken_disk: std::sync::atomic::AtomicBool,
    pub(crate) log: Keyspace,
    pub(crate) retained: Keyspace,
    pub(crate) records: Keyspace,
    pub(crate) meta: Keyspace,
}

/// In which keyspace an operation works. The order is that of [`Engine::keyspace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Room {
    Log,
    Retained,
    Records,
    Meta,
}

/// One change; `None` removes.
pub(crate) struct Change {
    pub(crate) room: Room,
    pub(crate) key: Slice,
    pub(crate) value: Option<Slice>,
}

impl Engine {
    /// Opens the store in `path`, or creates it.
    pub(crate) fn open(path: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        // The engine asserts here and there on files that are not as it left them.
        let opened = catch_unwind(AssertUnwindSafe(|| Self::open_rooms(path, options)));
        let what = match opened {
            Ok(Ok(engine)) => return Ok(engine),
            Ok(Err(fjall::Error::Locked)) => {
                let dir = path.parent().unwrap_or(path).to_path_buf();
                return Err(StoreError::Locked { dir });
            }
            Ok(Err(error)) => match io_error(error) {
                Ok(source) => return Err(StoreError::io("open", path)(source)),
                Err(error) => error.to_string(),
            },
            Err(_) => "the engine stumbled over it".to_owned(),
        };
        Err(StoreError::Damaged { path: path.to_path_buf(), what })
    }

    fn open_rooms(path: &Path, options: &StoreOptions) -> fjall::Result<Self> {
        let db = Database::builder(path)
            .cache_size(options.cache_bytes)
            .worker_threads(1)
            // The journal is walked by us too, and short-lived.
            .journal_compression(CompressionType::None)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .open()?;
        let small = || KeyspaceCreateOptions::default().max_memtable_size(SMALL_MEMTABLE_BYTES);
        let large =
            || KeyspaceCreateOptions::default().max_memtable_size(options.memtable_bytes).expect_point_read_hits(true);
        Ok(Self {
            log: db.keyspace("log", large)?,
            retained: db.keyspace("retained", small)?,
            records: db.keyspace("records", small)?,
            meta: db.keyspace("meta", small)?,
            path: path.to_path_buf(),
            #[cfg(test)]
            has_broken_disk: false.into(),
            db,
        })
    }

    fn keyspace(&self, room: Room) -> &Keyspace {
        match room {
            Room::Log => &self.log,
            Room::Retained => &self.retained,
            Room::Records => &self.records,
            Room::Meta => &self.meta,
        }
    }

    /// Writes all changes as one atomic commit that ends with a seal. Not synced yet.
    ///
    /// Where a key is changed twice the later change wins: the engine cannot order two changes of
    /// one commit.
    pub(crate) fn commit(&self, changes: &mut Vec<Change>, seal: Seal) -> fjall::Result<()> {
        changes.sort_by(|a, b| (a.room, &a.key).cmp(&(b.room, &b.key)));
        let mut batch = self.db.batch();
        let mut sum = Sum::default();
        let mut rest = changes.drain(..).peekable();
        while let Some(change) = rest.next() {
            let is_later = |next: &Change| next.room == change.room && next.key == change.key;
            if rest.peek().is_some_and(is_later) {
                continue;
            }
            let keyspace = self.keyspace(change.room);
            match change.value {
                Some(value) => {
                    add_item(&mut sum, keyspace.id(), 0, &change.key, &value);
                    batch.insert(keyspace, change.key, value);
                }
                None => {
                    add_item(&mut sum, keyspace.id(), 1, &change.key, &[]);
                    batch.remove(keyspace, change.key);
                }
            }
        }
        let sum = sum.finish();
        batch.insert(&self.meta, SEAL_KEY, Seal { sum, ..seal }.encode());
        batch.commit()
    }

    /// Makes all commits so far durable.
    pub(crate) fn sync(&self) -> fjall::Result<()> {
        #[cfg(test)]
        if self.has_broken_disk.load(std::sync::atomic::Ordering::Acquire) {
            return Err(std::io::Error::other("the disk is broken").into());
        }
        self.db.persist(PersistMode::SyncData)
    }

    /// An error when the engine has given up, for example because it could not write a table.
    pub(crate) fn alive(&self) -> fjall::Result<()> {
        self.db.persist(PersistMode::Buffer)
    }

    /// The engine blocks inside a commit while this holds, and goes on blocking for ever when its
    /// worker has died of a full disk. So we wait outside of it, where we can look.
    pub(crate) fn is_behind(&self) -> bool {
        [&self.log, &self.retained, &self.records, &self.meta]
            .iter()
            .any(|keyspace| keyspace.sealed_memtable_count() >= 3)
    }

    /// The seal of the newest commit that is neither lost nor cut.
    pub(crate) fn seal(&self, secret: &[u8; 16]) -> fjall::Result<Option<Seal>> {
        let value = self.meta.get(SEAL_KEY)?;
        Ok(value.and_then(|bytes| Seal::decode(&bytes, secret)))
    }

    /// Bytes allocated on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        let journals = std::fs::read_dir(&self.path).map_or(0, |entries| {
            let files = entries.filter_map(|entry| entry.ok()?.metadata().ok());
            files.filter(|file| file.is_file()).map(|file| allocated(&file)).sum()
        });
        let tables: u64 =
            [&self.log, &self.retained, &self.records, &self.meta].iter().map(|keyspace| keyspace.disk_space()).sum();
        journals + tables
    }
}

/// A journal is 64 MiB long from the start, but holds what was written.
#[cfg(unix)]
fn allocated(file: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(file) * 512
}

#[cfg(not(unix))]
fn allocated(file: &std::fs::Metadata) -> u64 {
    file.len()
}

fn io_error(error: fjall::Error) -> Result<std::io::Error, fjall::Error> {
    match error {
        fjall::Error::Io(source) | fjall::Error::Storage(fjall::LsmError::Io(source)) => Ok(source),
        other => Err(other),
    }
}

/// The system's own words where there are any.
pub(crate) fn reason(error: fjall::Error) -> Arc<str> {
    match io_error(error) {
        Ok(source) => source.to_string().into(),
        Err(fjall::Error::Poisoned) => "writing tables in the background failed".into(),
        Err(other) => other.to_string().into(),
    }
}

/// What a failed read means to the core.
pub(crate) fn read_error(error: fjall::Error) -> LogError {
    match io_error(error) {
        Ok(source) => LogError::Failing(source.to_string().into()),
        Err(fjall::Error::Poisoned) => LogError::Failing("storage is being reopened".into()),
        Err(other) => LogError::Damaged(other.to_string().into()),
    }
}
