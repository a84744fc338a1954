//! Keys for Momento's SDKs: the secret that signs them, and what `fanfare key` made. A file in the data
//! folder, which a server reads. The keys themselves stand nowhere: who has the secret knows them.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use arc_swap::ArcSwap;
use fanfare_door::Gateway;
use fanfare_identity::{Revocation, Secret};
use fanfare_momento::credential::Authority;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::exit::Misuse;
use crate::files::{self, Readers};

/// Its name in the data folder.
pub(crate) const FILE: &str = "momento-keys.toml";
/// Held while the file is changed.
const LOCK_FILE: &str = "momento-keys.lock";
/// Keys in the file, at most; as many revoked ones.
const KEYS_MAX: usize = 10_000;
/// How often a server looks at the file.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is kept of a key that was made.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MadeKey {
    /// What people call it.
    pub(crate) name: String,
    /// By what it is revoked.
    pub(crate) id: String,
    /// How it looks: v1, v2, legacy or disposable.
    pub(crate) form: String,
    /// What it allows, for people.
    pub(crate) allows: String,
    /// When it was made, as RFC 3339 has it.
    pub(crate) created: String,
    /// When it ends, in seconds since 1970; 0 never.
    #[serde(default)]
    pub(crate) valid_until: u64,
}

/// A key that does not count any more.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
struct RevokedKey {
    id: String,
    /// When it would have ended, in seconds since 1970; 0 never.
    valid_until: u64,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    /// Signs keys; 64 hexadecimal digits.
    #[serde(serialize_with = "exposed")]
    secret: Secret,
    #[serde(default)]
    keys: Vec<MadeKey>,
    #[serde(default)]
    revoked: Vec<RevokedKey>,
}

fn exposed<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose())
}

/// Tells one state of the file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp(u64, u64, i64, i64);

/// The file. Nothing needs to be there.
#[derive(Clone, Debug)]
pub(crate) struct KeysFile {
    folder: PathBuf,
}

impl KeysFile {
    /// That of a data folder.
    pub(crate) fn of(data: &Path) -> Self {
        Self { folder: data.to_owned() }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    fn stamp(&self) -> Option<Stamp> {
        let known = fs::metadata(self.path()).ok()?;
        Some(Stamp(known.ino(), known.size(), known.mtime(), known.mtime_nsec()))
    }

    fn read(&self) -> anyhow::Result<Option<Contents>> {
        let path = self.path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let contents: Contents = toml::from_str(&text).map_err(|error| {
            let problem = error.message();
            Misuse(format!("{}: {problem}; mend it, or remove it and make the keys again", path.display()))
        })?;
        Ok(Some(contents))
    }

    /// The keys that were made and not revoked.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub(crate) fn keys(&self) -> anyhow::Result<Vec<MadeKey>> {
        Ok(self.read()?.map(|contents| contents.keys).unwrap_or_default())
    }

    /// Makes the file with a new secret, unless it is there.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn make(&self) -> anyhow::Result<()> {
        if self.stamp().is_some() {
            return Ok(());
        }
        let _lock = self.lock()?;
        if self.stamp().is_some() { Ok(()) } else { self.write(&new_contents()?) }
    }

    /// Makes a key: `mint` gets what signs it, and its id, and yields the key with the time of its end in
    /// seconds since 1970.
    ///
    /// # Errors
    /// The name is taken or cannot be one, there is no room, `mint` failed, or the file cannot be changed.
    pub(crate) fn create(
        &self,
        name: &str,
        form: &str,
        allows: &str,
        mint: impl FnOnce(&Authority, &str) -> anyhow::Result<(String, u64)>,
    ) -> anyhow::Result<String> {
        let is_dull = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@');
        if !(1..=64).contains(&name.len()) || !name.bytes().all(is_dull) {
            return Err(Misuse("a name has 1 to 64 letters, digits and any of - _ . @".to_owned()).into());
        }
        let _lock = self.lock()?;
        let mut contents = self.read()?.map_or_else(new_contents, Ok)?;
        contents.forget_ended();
        if contents.keys.iter().any(|known| known.name == name) {
            let message = format!(
                "{} holds a key {name:?} already; revoke it first, or choose another name",
                self.path().display()
            );
            return Err(Misuse(message).into());
        }
        if contents.keys.len() >= KEYS_MAX {
            return Err(Misuse(format!("there are {KEYS_MAX} keys already; revoke some")).into());
        }
        let id: String = files::random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let (key, valid_until) = mint(&authority(&[contents.secret.expose()])?, &id)?;
        contents.keys.push(MadeKey {
            name: name.to_owned(),
            id,
            form: form.to_owned(),
            allows: allows.to_owned(),
            created: OffsetDateTime::now_utc().replace_nanosecond(0)?.format(&Rfc3339)?,
            valid_until,
        });
        self.write(&contents)?;
        Ok(key)
    }

    /// Revokes a key by its name; `false` when there is none of that name.
    ///
    /// # Errors
    /// The file cannot be changed, or there are too many revoked keys that never end.
    pub(crate) fn revoke(&self, name: &str) -> anyhow::Result<bool> {
        if self.stamp().is_none() {
            return Ok(false);
        }
        let _lock = self.lock()?;
        let Some(mut contents) = self.read()? else { return Ok(false) };
        let Some(at) = contents.keys.iter().position(|known| known.name == name) else { return Ok(false) };
        let MadeKey { id, valid_until, .. } = contents.keys.remove(at);
        contents.forget_ended();
        if contents.revoked.len() >= KEYS_MAX {
            let path = self.path();
            let message = format!("{KEYS_MAX} keys are revoked already; remove {} to begin anew", path.display());
            return Err(Misuse(message).into());
        }
        contents.revoked.push(RevokedKey { id, valid_until });
        self.write(&contents)?;
        Ok(true)
    }

    fn write(&self, contents: &Contents) -> anyhow::Result<()> {
        let text = toml::to_string(contents)?;
        let about = "# What signs keys for Momento's SDKs, and which keys `fanfare key` made. Servers notice changes within\n\
                     # a second.\n";
        let path = self.path();
        let written = files::write(&path, &format!("{about}{text}"), Readers::Owner);
        written.with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Makes the folder if need be, and waits until nobody else changes the file.
    fn lock(&self) -> anyhow::Result<File> {
        let path = self.folder.join(LOCK_FILE);
        let take = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            let file = File::create(&path)?;
            file.lock()?;
            Ok::<_, std::io::Error>(file)
        };
        take().with_context(|| format!("{} cannot be locked", path.display()))
    }
}

impl Contents {
    /// What has ended by itself is not worth a line any more.
    fn forget_ended(&mut self) {
        let now = now_s();
        let counts = |valid_until: u64| valid_until == 0 || valid_until > now;
        self.keys.retain(|key| counts(key.valid_until));
        self.revoked.retain(|key| counts(key.valid_until));
    }
}

fn new_contents() -> anyhow::Result<Contents> {
    Ok(Contents { secret: new_secret()?, keys: Vec::new(), revoked: Vec::new() })
}

fn new_secret() -> std::io::Result<Secret> {
    let text: String = files::random::<32>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Secret::from(text.as_str()))
}

fn authority(secrets: &[&str]) -> anyhow::Result<Authority> {
    let bytes = secrets.iter().map(|secret| secret.as_bytes());
    Authority::new(bytes).with_context(|| format!("the secret in {FILE} cannot be used"))
}

/// Now, in seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The keys of a server that runs.
pub(crate) struct MomentoKeys {
    /// Makes keys and knows them.
    pub(crate) authority: Arc<ArcSwap<Authority>>,
    file: KeysFile,
    /// Of a server that keeps nothing and found no file.
    own: Option<Secret>,
    stamp: Mutex<Option<Stamp>>,
}

impl MomentoKeys {
    /// Reads the file, and makes it if need be. A server that keeps nothing makes none.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn open(data: &Path, in_memory: bool) -> anyhow::Result<Self> {
        let file = KeysFile::of(data);
        if !in_memory {
            file.make()?;
        }
        let contents = file.read()?;
        let own = if contents.is_none() { Some(new_secret()?) } else { None };
        let secrets: Vec<&str> =
            contents.iter().map(|contents| &contents.secret).chain(&own).map(Secret::expose).collect();
        let authority = Arc::new(ArcSwap::from_pointee(authority(&secrets)?));
        // The first look finds it changed, and so takes what is revoked into force.
        Ok(Self { authority, file, own, stamp: Mutex::new(None) })
    }

    /// Takes the file into use again if it has changed, and yields what it revokes.
    fn look(&self) -> anyhow::Result<Vec<RevokedKey>> {
        let stamp = self.file.stamp();
        let mut known = self.stamp.lock();
        if stamp == *known {
            return Ok(Vec::new());
        }
        // What is wrong with a file is said once.
        *known = stamp;
        let Some(contents) = self.file.read()? else { return Ok(Vec::new()) };
        let secrets: Vec<&str> = [&contents.secret].into_iter().chain(&self.own).map(Secret::expose).collect();
        self.authority.store(Arc::new(authority(&secrets)?));
        Ok(contents.revoked)
    }

    /// Watches the file for ever.
    pub(crate) async fn keep_fresh(self: Arc<Self>, gateway: Arc<Gateway>) {
        let mut interval = tokio::time::interval(LOOK_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut in_force = std::collections::HashSet::new();
        loop {
            interval.tick().await;
            let keys = self.clone();
            let revoked = match tokio::task::spawn_blocking(move || keys.look()).await {
                Ok(Ok(revoked)) => revoked,
                Ok(Err(error)) => {
                    tracing::error!("the keys for Momento's SDKs stay as they were: {error:#}");
                    continue;
                }
                Err(_) => continue,
            };
            for RevokedKey { id, valid_until } in revoked {
                if !in_force.insert(id.clone()) {
                    continue;
                }
                let until = (valid_until > 0).then(|| valid_until.saturating_mul(1_000));
                if let Err(error) = gateway.revoke(Revocation::Token { token_id: id.clone() }, until).await {
                    tracing::error!(id, %error, "a key could not be revoked; it is tried again with the next change");
                    in_force.remove(&id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use fanfare_momento::credential::{CredentialError, Form, Order};
    use fanfare_momento::permission::Permissions;

    use super::*;

    fn make(file: &KeysFile, name: &str) -> anyhow::Result<String> {
        file.create(name, "v2", "everything", |authority, id| {
            let order = Order {
                form: Form::V2,
                permissions: Permissions::SuperUser,
                token_id: String::new(),
                lifetime_s: None,
                id: id.to_owned(),
            };
            Ok((authority.mint(&order, now_s())?.api_key, 0))
        })
    }

    #[test]
    fn servers_know_keys_that_are_made_before_and_after_their_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeysFile::of(&folder.path().join("data"));
        let before = make(&file, "a").unwrap();
        let server = MomentoKeys::open(&folder.path().join("data"), false).unwrap();
        let after = make(&file, "b").unwrap();
        for key in [before, after] {
            assert_eq!(server.authority.load().verify(&key, now_s()).unwrap().permissions, Permissions::SuperUser);
        }
        let text = fs::read_to_string(file.path()).unwrap();
        assert!(!text.contains("eyJ"), "keys stand nowhere");
        assert!(make(&file, "a").unwrap_err().is::<Misuse>());
    }

    #[test]
    fn a_server_without_a_folder_knows_keys_that_are_made_later() {
        let folder = tempfile::tempdir().unwrap();
        let server = MomentoKeys::open(folder.path(), true).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let key = make(&KeysFile::of(folder.path()), "a").unwrap();
        assert_eq!(server.authority.load().verify(&key, now_s()), Err(CredentialError::Unknown));
        assert!(server.look().unwrap().is_empty());
        assert!(server.authority.load().verify(&key, now_s()).is_ok());
    }

    #[test]
    fn revoked_keys_are_told_once_for_each_change() {
        let folder = tempfile::tempdir().unwrap();
        let (file, server) = (KeysFile::of(folder.path()), MomentoKeys::open(folder.path(), false).unwrap());
        make(&file, "a").unwrap();
        let id = file.keys().unwrap()[0].id.clone();
        assert!(file.revoke("a").unwrap() && !file.revoke("a").unwrap());
        assert_eq!(server.look().unwrap(), [RevokedKey { id, valid_until: 0 }]);
        assert!(server.look().unwrap().is_empty() && file.keys().unwrap().is_empty());
    }
}
