//! Access keys that `fanfare credentials` makes: a file in the data folder, which a server reads.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use fanfare_aws::credentials::{Credential, KeyPair};
use fanfare_iam::Access;
use fanfare_identity::Secret;
use serde::{Deserialize, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::exit::Misuse;
use crate::files::{self, Readers};

/// Its name in the data folder.
pub(crate) const FILE: &str = "credentials.toml";
/// Held while the file is changed.
const LOCK_FILE: &str = "credentials.lock";
/// Keys in the file, at most.
const KEYS_MAX: usize = 1_000;
/// Bytes of a policy document, at most.
const DOCUMENT_BYTES_MAX: usize = 64 << 10;

/// What a key may be made for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Send to clients of WebSocket APIs (execute-api:ManageConnections).
    ManageConnections,
    /// Call functions (lambda:InvokeFunction).
    Invoke,
    /// Put events on buses (events:PutEvents).
    Events,
    /// All of these.
    All,
}

impl Purpose {
    /// The policy document, in JSON.
    #[must_use]
    pub fn document(self) -> String {
        let connections = "arn:aws:execute-api:*:*:*/@";
        let connections =
            ["connections", "connections/*", "topics/*", "users/*"].map(|path| format!("{connections}{path}"));
        let statements = [
            (Self::ManageConnections, "execute-api:ManageConnections", serde_json::json!(connections)),
            (Self::Invoke, "lambda:InvokeFunction", serde_json::json!("*")),
            (Self::Events, "events:PutEvents", serde_json::json!("*")),
        ];
        let statements = statements.into_iter().filter(|(purpose, ..)| matches!(self, Self::All) || self == *purpose);
        let statements = statements.map(|(_, action, resource)| {
            serde_json::json!({ "Effect": "Allow", "Action": action, "Resource": resource }) //
        });
        serde_json::json!({ "Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>() }).to_string()
    }
}

/// A key and what it may do.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MadeKey {
    /// What people call it, and whom it speaks for.
    pub(crate) name: String,
    /// Its public name.
    pub(crate) access_key_id: String,
    /// Signs requests.
    #[serde(serialize_with = "exposed")]
    pub(crate) secret_access_key: Secret,
    /// When it was made, as RFC 3339 has it.
    pub(crate) created: String,
    /// What it is for.
    #[serde(default)]
    pub(crate) purposes: Vec<Purpose>,
    /// A policy document of its own, JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) document: Option<String>,
}

fn exposed<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose())
}

impl MadeKey {
    /// Lets it be known to `access`.
    ///
    /// # Errors
    /// The document is none, or another credential has that key.
    pub(crate) fn add_to(&self, access: &mut Access) -> anyhow::Result<()> {
        let credential = Credential::new(&self.access_key_id, self.secret_access_key.expose(), &self.name);
        let documents = self.purposes.iter().map(|purpose| purpose.document()).chain(self.document.clone());
        let added = access.add_with_documents(credential, &documents.collect::<Vec<_>>());
        added.with_context(|| format!("credential {:?}", self.name))
    }
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    #[serde(default)]
    credentials: Vec<MadeKey>,
}

/// Tells one state of the file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64, u64, i64, i64);

/// The file. Nothing needs to be there.
#[derive(Clone, Debug)]
pub(crate) struct CredentialsFile {
    folder: PathBuf,
}

impl CredentialsFile {
    /// That of a data folder.
    pub(crate) fn of(data: &Path) -> Self {
        Self { folder: data.to_owned() }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// In which state the file is; `None` when there is none.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        let known = fs::metadata(self.path()).ok()?;
        Some(Stamp(known.ino(), known.size(), known.mtime(), known.mtime_nsec()))
    }

    /// All keys.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else. What stands in it is not repeated.
    pub(crate) fn read(&self) -> anyhow::Result<Vec<MadeKey>> {
        let path = self.path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let wrong = |problem: &str| {
            Misuse(format!("{}: {problem}; mend it, or remove it and make the keys again", path.display()))
        };
        let contents: Contents = toml::from_str(&text).map_err(|error| wrong(error.message()))?;
        if contents.credentials.len() > KEYS_MAX {
            return Err(wrong(&format!("it holds more than {KEYS_MAX} keys")).into());
        }
        Ok(contents.credentials)
    }

    /// Makes a key.
    ///
    /// # Errors
    /// The name is taken or cannot be one, there is no room, or the file cannot be changed.
    pub(crate) fn create(
        &self,
        name: &str,
        purposes: Vec<Purpose>,
        document: Option<String>,
    ) -> anyhow::Result<MadeKey> {
        let is_dull = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@');
        if !(1..=64).contains(&name.len()) || !name.bytes().all(is_dull) {
            return Err(Misuse("a name has 1 to 64 letters, digits and any of - _ . @".to_owned()).into());
        }
        if document.as_ref().is_some_and(|document| document.len() > DOCUMENT_BYTES_MAX) {
            return Err(Misuse(format!("a policy has at most {DOCUMENT_BYTES_MAX} bytes")).into());
        }
        let _lock = self.lock()?;
        let mut credentials = self.read()?;
        if credentials.iter().any(|known| known.name == name) {
            let path = self.path();
            return Err(Misuse(format!(
                "{} holds a credential {name:?} already; revoke it first, or choose another name",
                path.display()
            ))
            .into());
        }
        if credentials.len() >= KEYS_MAX {
            return Err(Misuse(format!("there are {KEYS_MAX} keys already; revoke some")).into());
        }
        let pair = KeyPair::from_random(&files::random()?);
        let made = MadeKey {
            name: name.to_owned(),
            access_key_id: pair.access_key_id,
            secret_access_key: pair.secret.expose().into(),
            created: OffsetDateTime::now_utc().replace_nanosecond(0)?.format(&Rfc3339)?,
            purposes,
            document,
        };
        credentials.push(made.clone());
        self.write(credentials)?;
        Ok(made)
    }

    /// Removes a key by its name; `false` when there is none of that name.
    ///
    /// # Errors
    /// The file cannot be changed.
    pub(crate) fn revoke(&self, name: &str) -> anyhow::Result<bool> {
        if self.stamp().is_none() {
            return Ok(false);
        }
        let _lock = self.lock()?;
        let mut credentials = self.read()?;
        let before = credentials.len();
        credentials.retain(|known| known.name != name);
        let is_gone = credentials.len() < before;
        if is_gone {
            self.write(credentials)?;
        }
        Ok(is_gone)
    }

    fn write(&self, credentials: Vec<MadeKey>) -> anyhow::Result<()> {
        let text = toml::to_string(&Contents { credentials })?;
        let about = "# Access keys that `fanfare credentials` made. Servers notice changes within a second.\n";
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use fanfare_iam::{Policies, Realm};

    use super::*;

    #[test]
    fn keys_are_made_kept_and_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let file = CredentialsFile::of(&folder.path().join("data"));
        assert_eq!((file.read().unwrap().len(), file.stamp()), (0, None));
        let made = file.create("sender", vec![Purpose::ManageConnections], None).unwrap();
        assert!(made.access_key_id.starts_with("AKIA") && made.secret_access_key.expose().len() == 40);
        let first = file.stamp();
        file.create("other", vec![Purpose::All], None).unwrap();
        assert_ne!(file.stamp(), first);
        let mode = fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = file.read().unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].secret_access_key, made.secret_access_key);
        assert_eq!(read[0].purposes, [Purpose::ManageConnections]);
        assert!(!format!("{read:?}").contains(made.secret_access_key.expose()));
        assert!(file.revoke("sender").unwrap() && !file.revoke("sender").unwrap());
        assert_eq!(file.read().unwrap().len(), 1);
    }

    #[test]
    fn what_cannot_be_is_refused_and_shows_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = CredentialsFile::of(folder.path());
        file.create("a", vec![Purpose::All], None).unwrap();
        for name in ["a", "", "with space", "ü", &"x".repeat(65)] {
            assert!(file.create(name, vec![Purpose::All], None).unwrap_err().is::<Misuse>(), "{name}");
        }
        fs::write(file.path(), "[[credentials]]\nname = 'a'\nsecret_access_key = 'hush' oops\n").unwrap();
        let error = format!("{:#}", file.read().unwrap_err());
        assert!(error.contains("credentials.toml") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn makers_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = CredentialsFile::of(folder.path());
        std::thread::scope(|scope| {
            for number in 0..8 {
                let file = &file;
                scope.spawn(move || file.create(&format!("k{number}"), vec![Purpose::Invoke], None).unwrap());
            }
        });
        assert_eq!(file.read().unwrap().len(), 8);
    }

    #[test]
    fn every_purpose_is_a_policy() {
        for purpose in [Purpose::ManageConnections, Purpose::Invoke, Purpose::Events, Purpose::All] {
            let folder = tempfile::tempdir().unwrap();
            let made = CredentialsFile::of(folder.path()).create("a", vec![purpose], None).unwrap();
            let mut access = Access::new(Realm::new("local", "000000000000", "default"), Policies::default());
            made.add_to(&mut access).unwrap();
            assert!(made.add_to(&mut access).is_err());
        }
        assert_eq!(Purpose::All.document().matches("Effect").count(), 3);
        assert!(!Purpose::Events.document().contains("execute-api"));
    }
}
