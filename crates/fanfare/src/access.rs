//! Who is who beside tokens, for all doors: what the configuration says, keys of the credentials file,
//! and keys of the functions that run here.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use fanfare_aws::credentials::{Credential, KeyPair, Secret};
use fanfare_functions::Functions;
use fanfare_iam::{Access, AccessError};
use fanfare_identity::Passwords;
use fanfare_mqtt::Authority;
use parking_lot::Mutex;

use crate::config::Config;
use crate::credentials::{CredentialsFile, MadeKey, Purpose, Stamp};
use crate::files;

/// How often the credentials file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Who is who, and what outlives a change of it.
pub(crate) struct SharedAccess {
    pub(crate) authority: Arc<ArcSwap<Authority>>,
    /// The access keys and policies of `authority`, for doors that need no more.
    pub(crate) access: Arc<ArcSwap<Access>>,
    pub(crate) functions: Functions,
    passwords: Arc<Passwords>,
    file: CredentialsFile,
    children: ChildCredentials,
    parts: Mutex<Parts>,
}

/// What `authority` was made of, since its parts change at different times.
struct Parts {
    configured: Authority,
    made: Vec<MadeKey>,
    stamp: Option<Stamp>,
}

impl SharedAccess {
    /// Everybody whom the configuration, the credentials file and `children` name.
    ///
    /// # Errors
    /// A part of the configuration or the credentials file cannot be used.
    pub(crate) fn new(config: &Config, functions: Functions, children: ChildCredentials) -> anyhow::Result<Self> {
        let passwords = Arc::new(Passwords::new()?);
        let configured = config.authority(&passwords, &functions)?;
        let file = CredentialsFile::of(&config.data);
        // The stamp comes first: a change in between is then read twice, not never.
        let (stamp, made) = (file.stamp(), file.read()?);
        let authority = put_together(&configured, &made, &children)?;
        Ok(Self {
            access: Arc::new(ArcSwap::new(authority.access.clone())),
            authority: Arc::new(ArcSwap::from_pointee(authority)),
            functions,
            passwords,
            file,
            children,
            parts: Mutex::new(Parts { configured, made, stamp }),
        })
    }

    /// What the configuration says now.
    ///
    /// # Errors
    /// Something in it cannot be used.
    pub(crate) fn read(&self, config: &Config) -> anyhow::Result<Authority> {
        Ok(config.authority(&self.passwords, &self.functions)?)
    }

    /// What was read anew counts from now on.
    ///
    /// # Errors
    /// It does not go together with the other keys; then everything stays as it was.
    pub(crate) fn store(&self, configured: Authority) -> anyhow::Result<()> {
        let mut parts = self.parts.lock();
        self.publish(put_together(&configured, &parts.made, &self.children)?);
        parts.configured = configured;
        Ok(())
    }

    fn publish(&self, authority: Authority) {
        self.access.store(authority.access.clone());
        self.authority.store(Arc::new(authority));
    }

    /// Takes the credentials file into use again if it has changed; says whether it had.
    fn look(&self) -> anyhow::Result<bool> {
        let stamp = self.file.stamp();
        let mut parts = self.parts.lock();
        if stamp == parts.stamp {
            return Ok(false);
        }
        // What is wrong with a file is said once.
        parts.stamp = stamp;
        let made = self.file.read()?;
        self.publish(put_together(&parts.configured, &made, &self.children)?);
        parts.made = made;
        Ok(true)
    }

    /// Watches the credentials file for ever.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        let mut interval = tokio::time::interval(LOOK_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let shared = self.clone();
            match tokio::task::spawn_blocking(move || shared.look()).await {
                Ok(Ok(true)) => tracing::info!("the credentials file was read again"),
                Ok(Err(error)) => tracing::error!("the access keys stay as they were: {error:#}"),
                Ok(Ok(false)) | Err(_) => {}
            }
        }
    }
}

fn put_together(configured: &Authority, made: &[MadeKey], children: &ChildCredentials) -> anyhow::Result<Authority> {
    let mut access = (*configured.access).clone();
    for key in made {
        key.add_to(&mut access)?;
    }
    children.add_to(&mut access)?;
    Ok(Authority { access: Arc::new(access), ..configured.clone() })
}

/// The access keys of functions that run here, by which they call back. They are made at start and
/// kept nowhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChildCredentials {
    by_function: BTreeMap<String, Credential>,
}

impl ChildCredentials {
    /// A key with a session token for each function.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub(crate) fn issue<'a>(functions: impl IntoIterator<Item = &'a str>) -> io::Result<Self> {
        let make = |function: &str| {
            let pair = KeyPair::session_from_random(&files::random()?);
            let token: String = files::random::<32>()?.iter().map(|byte| format!("{byte:02x}")).collect();
            let principal = format!("function:{function}");
            let mut credential = Credential::new(pair.access_key_id, pair.secret.expose(), principal);
            credential.session_token = Some(Secret::new(token));
            Ok((function.to_owned(), credential))
        };
        Ok(Self { by_function: functions.into_iter().map(make).collect::<io::Result<_>>()? })
    }

    /// The key of a function.
    pub(crate) fn of(&self, function: &str) -> Option<&Credential> {
        self.by_function.get(function)
    }

    fn add_to(&self, access: &mut Access) -> Result<(), AccessError> {
        let document = [Purpose::All.document()];
        self.by_function.values().try_for_each(|key| access.add_with_documents(key.clone(), &document))
    }
}

#[cfg(test)]
mod tests {
    use fanfare_aws::sigv4::{PayloadHash, Request, SignatureError, Signing, sign_headers};
    use fanfare_iam::Caller;

    use super::*;

    const NOW: u64 = 1_767_323_045_000;

    fn ask(access: &Access, credential: &Credential) -> Result<Caller, SignatureError> {
        let plain = [("host", "localhost")];
        let payload = PayloadHash::Bytes(b"");
        let request = Request { method: "POST", raw_path: "/", raw_query: "", headers: &plain, payload };
        let added = sign_headers(&request, &Signing::new(credential, "local", "events", NOW)).unwrap();
        let mut headers = plain.to_vec();
        headers.extend(added.iter().map(|(name, value)| (*name, value.as_ref())));
        access.verify(&Request { headers: &headers, ..request }, &["events"], NOW)
    }

    fn production(data: &std::path::Path) -> Config {
        let mut config = Config { data: data.to_owned(), ..Config::default() };
        config.auth.anonymous_allow = vec!["subscribe:default/a".to_owned()];
        config
    }

    #[test]
    fn children_are_known_also_after_a_reload_and_only_with_their_token() {
        let folder = tempfile::tempdir().unwrap();
        let config = production(folder.path());
        let children = ChildCredentials::issue(["hello", "other"]).unwrap();
        let hello = children.of("hello").unwrap().clone();
        assert!(hello.access_key_id.starts_with("ASIA") && children.of("none").is_none());
        let shared = SharedAccess::new(&config, Functions::new(), children).unwrap();
        shared.store(shared.read(&config).unwrap()).unwrap();
        for access in [shared.access.load_full(), shared.authority.load().access.clone()] {
            let caller = ask(&access, &hello).unwrap();
            let may = |action: &str, resource: &str| caller.decide(action, resource, |_| false).is_allowed();
            let api = "arn:aws:execute-api:local:000000000000:abc/dev";
            assert!(may("execute-api:ManageConnections", &format!("{api}/POST/@connections/x=")));
            assert!(may("execute-api:ManageConnections", &format!("{api}/POST/@topics/room/1")));
            assert!(may("lambda:InvokeFunction", "arn:aws:lambda:local:000000000000:function:other"));
            assert!(may("events:PutEvents", "arn:aws:events:local:000000000000:event-bus/default"));
            assert!(!may("execute-api:Invoke", &format!("{api}/$connect")));
            let tokenless = Credential { session_token: None, ..hello.clone() };
            assert!(ask(&access, &tokenless).is_err());
        }
    }

    #[test]
    fn keys_come_and_go_with_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let config = production(folder.path());
        let shared = SharedAccess::new(&config, Functions::new(), ChildCredentials::default()).unwrap();
        let file = CredentialsFile::of(folder.path());
        let made = file.create("sender", vec![Purpose::Events], None).unwrap();
        let credential = Credential::new(&made.access_key_id, made.secret_access_key.expose(), "sender");
        assert!(matches!(ask(&shared.access.load(), &credential), Err(SignatureError::UnknownKey)));
        assert!(shared.look().unwrap() && !shared.look().unwrap());
        let caller = ask(&shared.access.load(), &credential).unwrap();
        assert_eq!(caller.principal.subject.as_deref(), Some("sender"));
        shared.store(shared.read(&config).unwrap()).unwrap();
        assert!(ask(&shared.access.load(), &credential).is_ok());

        std::fs::write(folder.path().join(crate::credentials::FILE), "broken").unwrap();
        assert!(shared.look().is_err() && !shared.look().unwrap());
        assert!(ask(&shared.access.load(), &credential).is_ok(), "a broken file changes nothing");
        std::fs::remove_file(folder.path().join(crate::credentials::FILE)).unwrap();
        assert!(shared.look().unwrap());
        assert!(ask(&shared.access.load(), &credential).is_err());
    }

    #[test]
    fn made_keys_do_not_end_development_mode() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { data: folder.path().to_owned(), ..Config::default() };
        CredentialsFile::of(folder.path()).create("sender", vec![Purpose::All], None).unwrap();
        let shared = SharedAccess::new(&config, Functions::new(), ChildCredentials::default()).unwrap();
        assert!(config.is_development() && shared.access.load().is_development());
        assert!(ask(&shared.access.load(), &Credential::new("AKIDSTRANGER", "any", "any")).is_ok());
    }
}
