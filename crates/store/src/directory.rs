//! The directory: who holds it, whose it is, and its first creation.
//!
//! `lock` is held as long as the store is open. `store/` holds the engine's files and `FANFARE`,
//! which names the format. It is prepared as `store.new` and renamed, so a crash during creation
//! leaves nothing that looks like a store.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::engine::Engine;
use crate::error::StoreError;
use crate::layout::FORMAT;
use crate::options::StoreOptions;

const LOCK: &str = "lock";
const STORE: &str = "store";
const STORE_NEW: &str = "store.new";
const MARK: &str = "FANFARE";
/// Ours are numbered from 1; 0 is the engine's own.
const KEYSPACES: u32 = 4;
const PROBE: &str = "probe";
/// More than a journal's buffer, less than anything that matters.
const PROBE_BYTES: usize = 256 << 10;

/// A locked directory with a store in it.
pub(crate) struct Directory {
    /// Where the engine lives.
    pub(crate) store: PathBuf,
    /// What seals carry; see [`crate::layout::Seal`].
    pub(crate) secret: [u8; 16],
    /// The store was created just now.
    pub(crate) is_new: bool,
    dir: PathBuf,
    // Unlocks when dropped, also by a crash.
    _lock: File,
}

impl Directory {
    /// Locks `dir` and makes sure that it holds a store of our format, creating one if it is empty.
    pub(crate) fn open(dir: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(StoreError::io("create", dir))?;
        let store = dir.join(STORE);
        if !store.is_dir() {
            refuse_foreign(dir, options.neighbours)?;
        }
        let lock = lock(dir)?;
        let is_new = !store.is_dir();
        if is_new {
            create(dir, &store, options)?;
        }
        let secret = read_mark(&store)?;
        refuse_incomplete(&store)?;
        Ok(Self { store, secret, is_new, dir: dir.to_path_buf(), _lock: lock })
    }

    /// Writes and syncs a small file, to learn whether the disk takes anything at all.
    pub(crate) fn probe(&self) -> Result<(), StoreError> {
        let path = self.dir.join(PROBE);
        let written = write_synced(&path, &[0x55; PROBE_BYTES]);
        // A full disk leaves a part of it behind.
        let removed = fs::remove_file(&path);
        written.map_err(StoreError::io("write", &path))?;
        removed.map_err(StoreError::io("remove", &path))
    }
}

/// A number that nobody guesses and that is not given twice.
pub(crate) fn random() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    hasher.write_u128(now.map_or(0, |time| time.as_nanos()));
    hasher.write_u32(std::process::id());
    hasher.finish()
}

fn refuse_foreign(dir: &Path, neighbours: &[&str]) -> Result<(), StoreError> {
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let name = entry.map_err(StoreError::io("list", dir))?.file_name();
        let found = name.to_string_lossy();
        if ![LOCK, STORE_NEW, PROBE, "lost+found"].iter().chain(neighbours).any(|known| *known == found) {
            return Err(StoreError::Foreign { dir: dir.to_path_buf(), found: found.into_owned() });
        }
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(StoreError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { dir: dir.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(StoreError::io("lock", &path)(source)),
    }
}

fn create(dir: &Path, store: &Path, options: &StoreOptions) -> Result<(), StoreError> {
    let new = dir.join(STORE_NEW);
    if new.exists() {
        fs::remove_dir_all(&new).map_err(StoreError::io("remove", &new))?;
    }
    drop(Engine::open(&new, options)?);
    let mark = new.join(MARK);
    let text = format!("fanfare store format {FORMAT}\nsecret {:016x}{:016x}\n", random(), random());
    write_synced(&mark, text.as_bytes()).map_err(StoreError::io("write", &mark))?;
    sync_dir(&new)?;
    fs::rename(&new, store).map_err(StoreError::io("create", store))?;
    sync_dir(dir)
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A new name is on disk when its directory is.
fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    if cfg!(windows) {
        return Ok(());
    }
    File::open(dir).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", dir))
}

fn read_mark(store: &Path) -> Result<[u8; 16], StoreError> {
    let path = store.join(MARK);
    let text = fs::read_to_string(&path).map_err(StoreError::io("read", &path))?;
    let mut lines = text.lines();
    let version = lines.next().and_then(|line| line.strip_prefix("fanfare store format "));
    let Some(version) = version else {
        return Err(StoreError::Damaged { path, what: "it does not name a storage format".into() });
    };
    if version != FORMAT.to_string() {
        return Err(StoreError::Version {
            dir: store.parent().unwrap_or(store).to_path_buf(),
            found: version.to_owned(),
            supported: FORMAT,
        });
    }
    lines
        .next()
        .and_then(|line| parse_secret(line.strip_prefix("secret ")?))
        .ok_or(StoreError::Damaged { path, what: "the line 'secret' is not as it was written".into() })
}

/// The engine takes a keyspace without its manifest for one whose creation was interrupted, and
/// deletes it. Ours are complete before the directory has its name.
fn refuse_incomplete(store: &Path) -> Result<(), StoreError> {
    for keyspace in 0..=KEYSPACES {
        let manifest = format!("keyspaces/{keyspace}/current");
        let path = store.join(manifest);
        if !path.is_file() {
            return Err(StoreError::Damaged { path, what: "it is missing".into() });
        }
    }
    Ok(())
}

fn parse_secret(hex: &str) -> Option<[u8; 16]> {
    let number = u128::from_str_radix(hex, 16).ok()?;
    (hex.len() == 32).then_some(number.to_be_bytes())
}
