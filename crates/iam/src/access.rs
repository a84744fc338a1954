//! Access keys, and who signs with them.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use fanfare_aws::credentials::{Credential, Credentials};
use fanfare_aws::sigv4::{Request, Rules, SignatureError, Verified, verify};
use fanfare_core::{Grant, Millis, Principal};
use fanfare_policy::Context;

use crate::caller::Caller;
use crate::error::AccessError;
use crate::permissions::{Attached, Permissions, Policies};
use crate::realm::Realm;

/// Who may call AWS-style interfaces: access keys, what each may do, and the policies by name.
///
/// It never changes while requests are verified. Its owner builds another and swaps the two.
/// Nothing secret is in its `Debug`.
#[derive(Clone, Debug)]
pub struct Access {
    credentials: Credentials,
    permissions: HashMap<String, Permissions>,
    policies: Policies,
    realm: Arc<Realm>,
    is_development: bool,
}

impl Access {
    /// Without access keys: nobody can call.
    #[must_use]
    pub fn new(realm: Realm, policies: Policies) -> Self {
        Self {
            credentials: Credentials::new(),
            permissions: HashMap::new(),
            policies,
            realm: Arc::new(realm),
            is_development: false,
        }
    }

    /// Lets in everybody who is not refuted: unsigned requests, and requests signed with an unknown
    /// key, may do everything; so may credentials, added after this, to which nothing is attached. A
    /// wrong signature of a known key is refused all the same.
    #[must_use]
    pub fn development(mut self) -> Self {
        self.is_development = true;
        self
    }

    /// Adds a credential and what it may do. The names of policies in the credential itself are
    /// disregarded.
    ///
    /// # Errors
    /// [`AccessError`] says what is wrong with what is attached.
    pub fn add(&mut self, credential: Credential, attached: &Attached) -> Result<(), AccessError> {
        let otherwise = if self.is_development { Grant::everything() } else { Grant::nothing() };
        let permissions = Permissions::read(attached, &self.policies, &credential.principal, &otherwise)?;
        self.insert(credential, permissions)
    }

    /// Adds a credential with policy documents of its own, in JSON, at least one. It may do what they
    /// say and no more, in development mode too.
    ///
    /// # Errors
    /// [`AccessError`] says what is wrong with a document, or that the key is there already.
    pub fn add_with_documents(&mut self, credential: Credential, documents: &[String]) -> Result<(), AccessError> {
        let permissions = Permissions::Policies(self.policies.foreign(documents)?);
        self.insert(credential, permissions)
    }

    fn insert(&mut self, credential: Credential, permissions: Permissions) -> Result<(), AccessError> {
        let key = credential.access_key_id.clone();
        if self.permissions.contains_key(&key) {
            return Err(AccessError::KeyTwice(key));
        }
        self.credentials.insert(credential).map_err(|_| AccessError::CredentialsFull)?;
        self.permissions.insert(key, permissions);
        Ok(())
    }

    /// The policies by name.
    #[must_use]
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// What ARNs say here.
    #[must_use]
    pub fn realm(&self) -> &Arc<Realm> {
        &self.realm
    }

    /// Whether it is [`Access::development`].
    #[must_use]
    pub fn is_development(&self) -> bool {
        self.is_development
    }

    /// Who signed a request. `services` are those that the address offers, such as `iotdata`; `now`
    /// is in milliseconds since 1970. Any region is taken: it is part of what is signed, and clients
    /// must name one.
    ///
    /// A caller with policies has the grant that these make without a client id; a connection makes
    /// its own with [`admit`](crate::admit()).
    ///
    /// # Errors
    /// [`SignatureError`], which says nothing secret.
    pub fn verify(&self, request: &Request<'_>, services: &[&str], now: Millis) -> Result<Caller, SignatureError> {
        let is_unknown = Cell::new(false);
        let find = |key: &str| {
            let found = self.credentials.get(key).cloned();
            is_unknown.set(found.is_none());
            found
        };
        match verify(request, &find, &Rules::new(services, now)) {
            Ok(verified) => Ok(self.caller(&verified, now)),
            Err(SignatureError::Missing) if self.is_development => Ok(self.anybody(now)),
            Err(SignatureError::UnknownKey) if self.is_development && is_unknown.get() => {
                tracing::debug!("a request signed with an unknown access key is let in: this is development mode");
                Ok(self.anybody(now))
            }
            Err(error) => Err(error),
        }
    }

    fn caller(&self, verified: &Verified, now: Millis) -> Caller {
        let credential = &verified.credential;
        let key: Arc<str> = credential.access_key_id.as_str().into();
        let nothing = Permissions::Grant(Grant::nothing());
        let permissions = self.permissions.get(&*key).unwrap_or(&nothing);
        let context = Context::new().at(now);
        let principal = Principal {
            subject: Some(credential.principal.as_str().into()),
            // By which it can be revoked.
            token_id: Some(key.clone()),
            issued_at: None,
            expires_at: credential.expires_at_ms,
            grant: permissions.grant(&context, &self.realm.scope()),
        };
        let policies = permissions.policies().cloned();
        Caller::new(Arc::new(principal), policies, Some(key), self.realm.clone(), context)
    }

    /// In development mode: who did not say who it is.
    fn anybody(&self, now: Millis) -> Caller {
        let principal = Arc::new(Principal::anonymous(Grant::everything()));
        Caller::new(principal, None, None, self.realm.clone(), Context::new().at(now))
    }
}

#[cfg(test)]
mod tests {
    use fanfare_aws::credentials::Secret;
    use fanfare_aws::sigv4::{PayloadHash, Signing, sign_headers};
    use fanfare_core::{Action, TopicName};
    use fanfare_policy::Operation;

    use super::*;

    const NOW: Millis = 1_767_323_045_000;
    const LAMPS: &str = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/lamps/*"}]}"#;

    fn key() -> Credential {
        Credential::new("AKIDEXAMPLE", "hush-hush", "ann")
    }

    fn access() -> Access {
        let mut policies = Policies::default();
        policies.add("lamps", LAMPS).unwrap();
        Access::new(Realm::new("local", "000000000000", "default"), policies)
    }

    fn lamps() -> Attached {
        Attached { policies: vec!["lamps".to_owned()], ..Attached::default() }
    }

    fn ask(access: &Access, credential: Option<&Credential>) -> Result<Caller, SignatureError> {
        let plain = [("host", "gw.example")];
        let payload = PayloadHash::Bytes(b"{}");
        let request = Request { method: "POST", raw_path: "/topics/a", raw_query: "", headers: &plain, payload };
        let Some(credential) = credential else { return access.verify(&request, &["iotdata"], NOW) };
        let added = sign_headers(&request, &Signing::new(credential, "eu-west-1", "iotdata", NOW)).unwrap();
        let mut headers = plain.to_vec();
        headers.extend(added.iter().map(|(name, value)| (*name, value.as_ref())));
        access.verify(&Request { headers: &headers, ..request }, &["iotdata"], NOW)
    }

    #[test]
    fn a_signature_names_the_caller_and_what_it_may_do() {
        let mut access = access();
        access.add(key(), &lamps()).unwrap();
        let caller = ask(&access, Some(&key())).unwrap();
        assert_eq!(caller.principal.subject.as_deref(), Some("ann"));
        assert_eq!(caller.access_key.as_deref(), Some("AKIDEXAMPLE"));
        assert!(caller.policies.is_some());
        let topic = |name| TopicName::new(name).unwrap();
        assert!(caller.principal.grant.allows(Action::Publish, "default", &topic("lamps/1")));
        assert!(!caller.principal.grant.allows(Action::Publish, "default", &topic("doors/1")));
        assert!(caller.may(Operation::Publish("lamps/1")).is_allowed());
        assert!(!caller.may(Operation::RetainPublish("lamps/1")).is_allowed());
    }

    #[test]
    fn the_wrong_secret_is_refused_also_in_development_mode() {
        let wrong = Credential { secret: Secret::new("other"), ..key() };
        for mut access in [access(), access().development()] {
            access.add(key(), &Attached::default()).unwrap();
            assert!(matches!(ask(&access, Some(&wrong)), Err(SignatureError::Mismatch { .. })));
        }
    }

    #[test]
    fn strangers_are_let_in_by_development_mode_only() {
        let open = access().development();
        for signed in [None, Some(key())] {
            let refused = ask(&access(), signed.as_ref()).unwrap_err();
            assert!(matches!(refused, SignatureError::Missing | SignatureError::UnknownKey));
            let caller = ask(&open, signed.as_ref()).unwrap();
            assert_eq!((caller.access_key.as_deref(), caller.principal.subject.as_deref()), (None, None));
            assert!(caller.may(Operation::DeleteConnection("c")).is_allowed());
        }
    }

    #[test]
    fn a_key_with_nothing_attached_may_do_nothing_except_in_development_mode() {
        for (mut access, may) in [(access(), false), (access().development(), true)] {
            access.add(key(), &Attached::default()).unwrap();
            assert_eq!(ask(&access, Some(&key())).unwrap().may(Operation::Publish("a")).is_allowed(), may);
        }
    }

    #[test]
    fn documents_of_a_key_bind_it_also_in_development_mode() {
        let connections = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
            "Action": "execute-api:ManageConnections", "Resource": "arn:aws:execute-api:*:*:*/@connections/*"}]}"#;
        for mut access in [access(), access().development()] {
            access.add_with_documents(key(), &[connections.to_owned()]).unwrap();
            let caller = ask(&access, Some(&key())).unwrap();
            let arn = "arn:aws:execute-api:local:000000000000:abc/dev/POST/@connections/x=";
            assert!(caller.decide("execute-api:ManageConnections", arn, |_| false).is_allowed());
            assert!(!caller.decide("events:PutEvents", "*", |_| true).is_allowed());
            assert!(!caller.may(Operation::Publish("lamps/1")).is_allowed());
            let again = access.add_with_documents(key(), &[connections.to_owned()]);
            assert_eq!(again, Err(AccessError::KeyTwice("AKIDEXAMPLE".to_owned())));
        }
        assert!(matches!(access().add_with_documents(key(), &["{}".to_owned()]), Err(AccessError::Policy { .. })));
    }

    #[test]
    fn sessions_end_and_nothing_secret_is_shown() {
        let mut access = access();
        let ending = Credential { expires_at_ms: Some(NOW + 1), session_token: Some(Secret::new("quiet")), ..key() };
        access.add(ending.clone(), &lamps()).unwrap();
        let caller = ask(&access, Some(&ending)).unwrap();
        assert_eq!(caller.principal.expires_at, Some(NOW + 1));
        let shown = format!("{access:?} {caller:?}");
        assert!(shown.contains("AKIDEXAMPLE") && !shown.contains("hush") && !shown.contains("quiet"), "{shown}");
        assert_eq!(access.add(key(), &lamps()), Err(AccessError::KeyTwice("AKIDEXAMPLE".to_owned())));
    }
}
