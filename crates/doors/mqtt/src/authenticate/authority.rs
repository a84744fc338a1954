//! Who is who, as configured: users, certificates, authorizers, and the access keys of `fanfare-iam`.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfare_aws::authorizer::TokenKey;
use fanfare_core::Grant;
use fanfare_functions::Functions;
use fanfare_iam::{Access, AccessError, Attached, Certificate, Permissions, Policies, Realm};
use fanfare_identity::{PasswordHash, Passwords};

/// Everything by which clients prove who they are, except tokens. It never changes; its owner
/// replaces it as a whole.
#[derive(Clone)]
pub struct Authority {
    /// Access keys, and the policies that everybody's names refer to.
    pub access: Arc<Access>,
    /// Users with passwords; `None` where there is no list of them.
    pub users: Option<Users>,
    /// What client certificates stand for; the first rule that covers one counts.
    pub certificates: Vec<CertificateRule>,
    /// What clients may do that prove nothing; `None` leaves them to the gate.
    pub anonymous: Option<Permissions>,
    /// Functions that decide about clients.
    pub authorizers: Authorizers,
    /// The functions themselves.
    pub functions: Functions,
}

/// Nobody can prove anything.
impl Default for Authority {
    fn default() -> Self {
        let realm = Realm::new("local", "000000000000", "default");
        Self {
            access: Arc::new(Access::new(realm, Policies::default())),
            users: None,
            certificates: Vec::new(),
            anonymous: None,
            authorizers: Authorizers::default(),
            functions: Functions::new(),
        }
    }
}

/// Users with passwords.
#[derive(Clone)]
pub struct Users {
    passwords: Arc<Passwords>,
    by_name: BTreeMap<String, (PasswordHash, Permissions)>,
    /// Of which a decoy is made.
    sample: PasswordHash,
}

impl Users {
    /// Users by name; `None` when there are none. `passwords` stays the same when users are replaced,
    /// so that what it remembers and bounds goes on. Takes as long as the check of a password.
    #[must_use]
    pub fn new(passwords: Arc<Passwords>, by_name: BTreeMap<String, (PasswordHash, Permissions)>) -> Option<Self> {
        let sample = by_name.values().next().map(|(hash, _)| hash.clone())?;
        // Without randomness it is tried again when a client comes, and refuses that one.
        let _ = passwords.prepare(&sample);
        Some(Self { passwords, by_name, sample })
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    pub(crate) fn get(&self, name: &str) -> Option<&(PasswordHash, Permissions)> {
        self.by_name.get(name)
    }

    pub(crate) fn any_hash(&self) -> &PasswordHash {
        &self.sample
    }
}

/// Which certificates a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateMatch {
    /// The one with this SHA-256, in hexadecimal.
    Fingerprint(String),
    /// Those with this common name.
    CommonName(String),
    /// Every one that TLS verified.
    Any,
}

impl CertificateMatch {
    /// Whether the rule is about this one.
    #[must_use]
    pub fn covers(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Fingerprint(fingerprint) => fingerprint.eq_ignore_ascii_case(certificate.fingerprint()),
            Self::CommonName(name) => certificate.common_name() == Some(name),
            Self::Any => true,
        }
    }
}

/// What a client certificate stands for.
#[derive(Clone, Debug)]
pub struct CertificateRule {
    pub(crate) is: CertificateMatch,
    pub(crate) principal: Option<String>,
    pub(crate) attached: Attached,
}

impl CertificateRule {
    /// Without a principal it is the certificate's common name, or else its fingerprint.
    ///
    /// # Errors
    /// What is wrong with what is attached.
    pub fn new(
        is: CertificateMatch,
        principal: Option<String>,
        attached: Attached,
        policies: &Policies,
    ) -> Result<Self, AccessError> {
        Permissions::read(&attached, policies, "somebody", &Grant::nothing())?;
        Ok(Self { is, principal, attached })
    }

    pub(crate) fn principal_of<'a>(&'a self, certificate: &'a Certificate) -> &'a str {
        let own = || certificate.common_name().unwrap_or(certificate.fingerprint());
        self.principal.as_deref().unwrap_or_else(own)
    }
}

/// A function that decides about clients.
#[derive(Clone, Debug)]
pub struct Authorizer {
    /// Its name, by which clients choose it.
    pub name: String,
    /// The function that is called, by name or ARN.
    pub function: String,
    /// Under which name clients send their token.
    pub token_key: Option<String>,
    /// Keys that sign tokens. Without any, signatures are neither asked for nor looked at.
    pub token_keys: Vec<TokenKey>,
}

/// Authorizers by name.
#[derive(Clone, Debug, Default)]
pub struct Authorizers {
    by_name: BTreeMap<String, Arc<Authorizer>>,
    fallback: Option<String>,
}

impl Authorizers {
    /// Adds one, or replaces the one of that name. The default one decides about every client that
    /// neither names another, nor has signed, nor shows a certificate that stands for something.
    pub fn insert(&mut self, authorizer: Authorizer, is_default: bool) {
        if is_default {
            self.fallback = Some(authorizer.name.clone());
        }
        self.by_name.insert(authorizer.name.clone(), Arc::new(authorizer));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Authorizer>> {
        self.by_name.get(name)
    }

    pub(crate) fn fallback(&self) -> Option<&Arc<Authorizer>> {
        self.get(self.fallback.as_deref()?)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}
