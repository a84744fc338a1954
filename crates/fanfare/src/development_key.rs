//! The signing key of development mode, so that tokens work before any key is configured.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::config::Secret;
use crate::files;

/// Its file in the data folder.
pub const FILE: &str = "development.key";
/// Its name in tokens (`kid`).
pub const ID: &str = "development";

const KEY_BYTES: usize = 32;

/// The key in `data`: 32 random bytes as 64 hexadecimal digits. Made when there is none yet,
/// readable by its owner alone; of several processes that start at once all get the same.
///
/// # Errors
/// The folder or file cannot be read or written, or the file holds something else.
pub fn read_or_create(data: &Path) -> io::Result<Secret> {
    let file = data.join(FILE);
    match fs::read_to_string(&file) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == ErrorKind::NotFound => create(data, &file),
        Err(error) => Err(error),
    }
}

fn parse(text: &str) -> io::Result<Secret> {
    let key = text.trim();
    let is_key = key.len() == 2 * KEY_BYTES && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_key {
        true => Ok(Secret::from(key)),
        false => Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("expected {} hexadecimal digits; remove the file to get a new key", 2 * KEY_BYTES),
        )),
    }
}

fn create(data: &Path, file: &Path) -> io::Result<Secret> {
    DirBuilder::new().recursive(true).mode(0o700).create(data)?;
    let key = random_key()?;
    // Written aside and linked into place: no other process ever reads half a key, and the first
    // one wins.
    let aside = data.join(format!("{FILE}.{:016x}", fastrand::u64(..)));
    let written = write_aside(&aside, &key).and_then(|()| fs::hard_link(&aside, file));
    let removed = fs::remove_file(&aside);
    match written {
        Ok(()) => removed.map(|()| Secret::from(key)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => parse(&fs::read_to_string(file)?),
        Err(error) => Err(error),
    }
}

fn write_aside(aside: &Path, key: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(aside)?;
    writeln!(file, "{key}")?;
    file.sync_all()
}

fn random_key() -> io::Result<String> {
    Ok(files::random::<KEY_BYTES>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("new/data");
        let first = read_or_create(&data).unwrap();
        assert_eq!(first.expose().len(), 64);
        assert_eq!(read_or_create(&data).unwrap(), first);
        let mode = fs::metadata(data.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1);
    }

    #[test]
    fn starting_together_gives_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let data = folder.path().to_owned();
                std::thread::spawn(move || read_or_create(&data).unwrap())
            })
            .collect();
        let keys: Vec<Secret> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn another_content_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "short").unwrap();
        let error = read_or_create(folder.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
