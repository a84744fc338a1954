//! Opening: lock, format, journal, engine, spaces, in this order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use fanfare_core::LogError;

use crate::committer::Committer;
use crate::directory::Directory;
use crate::engine::{Engine, reason};
use crate::error::StoreError;
use crate::journal;
use crate::layout;
use crate::log::{EmbeddedLog, Shared};
use crate::options::{OpenReport, StoreOptions};
use crate::space::{Space, Spaces};

/// See [`EmbeddedLog::open`].
pub(crate) fn open(dir: &Path, options: StoreOptions) -> Result<(Arc<EmbeddedLog>, OpenReport), StoreError> {
    let directory = Directory::open(dir, &options)?;
    let survey = journal::check(&directory.store, &directory.secret, None)?;
    if let Some((file, bytes)) = &survey.cut {
        tracing::warn!(
            file = %file.display(),
            bytes,
            "a crash left an unfinished last commit; it was cut off, nothing acknowledged was in it"
        );
    }
    let engine = Engine::open(&directory.store, &options)?;
    let spaces = load(&engine, dir)?;
    let (cut_file, cut_bytes) = survey.cut.unzip();
    let report = OpenReport {
        is_new: directory.is_new,
        cut_bytes: cut_bytes.unwrap_or(0),
        cut_file,
        journal_bytes: survey.bytes,
        spaces: spaces.all().len(),
        messages_estimate: engine.log.approximate_len() as u64,
    };
    let written = match survey.last_commit {
        Some(last) => last,
        None => engine.seal(&directory.secret).map_err(|error| unreadable(dir, error))?.map_or(0, |seal| seal.commit),
    };
    // What a process before us left unsynced is read back from memory; make it true first.
    engine.sync().map_err(|error| unreadable(dir, error))?;
    let shared = Arc::new(Shared::new(engine, spaces, &options));
    let committer = Committer {
        shared: shared.clone(),
        directory,
        options,
        written,
        synced: written,
        unsynced_since: None,
        measured: None,
        changes: Vec::new(),
        scratch: Vec::new(),
    };
    let thread = std::thread::Builder::new()
        .name("store".into())
        .spawn(move || run(committer))
        .map_err(StoreError::io("start a thread for", dir))?;
    Ok((Arc::new(EmbeddedLog::new(shared, thread)), report))
}

/// A panic in the commit thread is a bug of ours; whoever waits must still hear of it.
fn run(committer: Committer) {
    let shared = committer.shared.clone();
    if catch_unwind(AssertUnwindSafe(|| committer.run())).is_err() {
        tracing::error!("the commit thread panicked; nothing is kept until a restart");
        let error = LogError::Failing("the commit thread panicked; restart the server".into());
        for entry in shared.fail(error.clone()) {
            if let Some(done) = entry.done {
                done(Err(error.clone()));
            }
        }
    }
}

fn load(engine: &Engine, dir: &Path) -> Result<Spaces, StoreError> {
    let damaged = |what: &str| StoreError::Damaged { path: dir.to_path_buf(), what: what.to_owned() };
    let spaces = Spaces::default();
    for item in engine.meta.prefix([layout::NAME_PREFIX]) {
        let (key, value) = item.into_inner().map_err(|error| unreadable(dir, error))?;
        let name = std::str::from_utf8(key.get(1..).unwrap_or_default())
            .map_err(|_| damaged("the name of a space is not UTF-8"))?;
        let (id, epoch) =
            layout::parse_name_value(&value).ok_or_else(|| damaged("the entry of a space has an unknown form"))?;
        let reserved =
            number(engine, dir, &layout::reserved_key(id))?.ok_or_else(|| damaged("a space has no reservation"))?;
        let trimmed = number(engine, dir, &layout::trimmed_key(id))?.unwrap_or(0);
        spaces.insert(Arc::new(Space::new(name.into(), id, epoch, reserved, trimmed)));
    }
    Ok(spaces)
}

fn number(engine: &Engine, dir: &Path, key: &[u8]) -> Result<Option<u64>, StoreError> {
    let value = engine.meta.get(key).map_err(|error| unreadable(dir, error))?;
    let Some(value) = value else { return Ok(None) };
    let bytes = value[..].try_into().map_err(|_| StoreError::Damaged {
        path: dir.to_path_buf(),
        what: "a number in it has the wrong length".into(),
    })?;
    Ok(Some(u64::from_be_bytes(bytes)))
}

fn unreadable(dir: &Path, error: fjall::Error) -> StoreError {
    StoreError::Damaged { path: dir.to_path_buf(), what: reason(error).to_string() }
}
