//! From configuration to who is who: access keys, users, certificates and authorizers.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use fanfare_aws::authorizer::{TokenKey, is_authorizer_name};
use fanfare_aws::credentials::{Credential, Secret as AwsSecret};
use fanfare_core::Grant;
use fanfare_functions::Functions;
use fanfare_iam::{Access, Attached, Permissions, Policies, Realm};
use fanfare_identity::{PasswordHash, Passwords};
use fanfare_mqtt::{Authority, Authorizer, Authorizers, CertificateMatch, CertificateRule, Users};
use serde::Deserialize;

use super::access::{AwsCredential, IotAuthorizer, MqttCertificate};
use super::keys::Config;

/// The space whose topics the policies mean.
const SPACE: &str = "default";
/// Users of one file, at most.
const USERS_MAX: usize = 100_000;

type UsersByName = BTreeMap<String, (PasswordHash, Permissions)>;

/// Something in the configuration of access that cannot be.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct AccessMistake {
    /// The key that it is about.
    pub key: String,
    /// What is wrong.
    pub problem: String,
}

fn mistake(key: impl Into<String>, problem: impl Display) -> AccessMistake {
    AccessMistake { key: key.into(), problem: problem.to_string() }
}

/// The file that `mqtt.users_file` names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersFile {
    #[serde(default)]
    users: Vec<User>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    name: String,
    password_hash: String,
    #[serde(default)]
    policies: Vec<String>,
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    deny: Vec<String>,
}

impl Config {
    /// Access keys and policies; reads the files that hold them.
    ///
    /// # Errors
    /// [`AccessMistake`] names the key.
    pub fn access(&self) -> Result<Access, AccessMistake> {
        let mut policies = Policies::default().strict_connect_attributes(self.iot.strict_connect_attributes);
        for (index, policy) in self.iot.policies.iter().enumerate() {
            let key = format!("iot.policies[{index}]");
            let json = one_of(&policy.document, &policy.file, &key, "document")?;
            policies.add(&policy.name, &json).map_err(|error| mistake(key, error))?;
        }
        let realm = Realm::new(&self.aws.region, &self.aws.account, SPACE);
        let access = Access::new(realm, policies);
        let mut access = if self.is_development() { access.development() } else { access };
        for (index, credential) in self.aws.credentials.iter().enumerate() {
            let key = format!("aws.credentials[{index}]");
            let attached = attached(&credential.policies, &credential.allow, &credential.deny);
            access.add(credential.read(&key)?, &attached).map_err(|error| mistake(key, error))?;
        }
        Ok(access)
    }

    /// Everything by which MQTT clients prove who they are; reads the files that hold it.
    ///
    /// # Errors
    /// [`AccessMistake`] names the key.
    pub fn authority(&self, passwords: &Arc<Passwords>, functions: &Functions) -> Result<Authority, AccessMistake> {
        let access = self.access()?;
        let certificates = self.mqtt.certificates.iter().enumerate();
        let certificates = certificates.map(|(index, rule)| rule.read(index, access.policies()));
        let certificates = certificates.collect::<Result<_, _>>()?;
        let mut authorizers = Authorizers::default();
        for (index, authorizer) in self.iot.authorizers.iter().enumerate() {
            authorizers.insert(authorizer.read(index, self)?, authorizer.default);
        }
        let anonymous = match self.mqtt.anonymous_policies.is_empty() {
            true => None,
            false => {
                let attached = attached(&self.mqtt.anonymous_policies, &[], &[]);
                let permissions = Permissions::read(&attached, access.policies(), "", &Grant::nothing());
                Some(permissions.map_err(|error| mistake("mqtt.anonymous_policies", error))?)
            }
        };
        let users = self.users(access.policies())?;
        let users = users.and_then(|users| Users::new(passwords.clone(), users));
        let (access, functions) = (Arc::new(access), functions.clone());
        Ok(Authority { access, users, certificates, anonymous, authorizers, functions })
    }

    fn users(&self, policies: &Policies) -> Result<Option<UsersByName>, AccessMistake> {
        let key = "mqtt.users_file";
        let Some(file) = &self.mqtt.users_file else { return Ok(None) };
        let text = std::fs::read_to_string(file).map_err(|error| mistake(key, error))?;
        // What stands in the file is not repeated: it may be a password in the wrong place.
        let read = toml::from_str::<UsersFile>(&text).map_err(|error| mistake(key, error.message()))?;
        if read.users.len() > USERS_MAX {
            return Err(mistake(key, format!("more than {USERS_MAX} users")));
        }
        let mut users = BTreeMap::new();
        for user in read.users {
            let wrong = |problem: &dyn Display| mistake(key, format!("user {:?}: {problem}", user.name));
            if user.name.is_empty() || user.name.contains('?') {
                return Err(wrong(&"a name is not empty and holds no '?', after which SDKs tell about themselves"));
            }
            let hash = PasswordHash::parse(&user.password_hash).map_err(|error| wrong(&error))?;
            let attached = attached(&user.policies, &user.allow, &user.deny);
            let permissions = Permissions::read(&attached, policies, &user.name, &Grant::nothing());
            let permissions = permissions.map_err(|error| wrong(&error))?;
            if users.insert(user.name.clone(), (hash, permissions)).is_some() {
                return Err(wrong(&"is there twice"));
            }
        }
        Ok(Some(users))
    }
}

impl AwsCredential {
    fn read(&self, key: &str) -> Result<Credential, AccessMistake> {
        if self.access_key_id.is_empty() {
            return Err(mistake(key, "`access_key_id` is missing"));
        }
        let secret = self.secret.as_ref().map(|secret| secret.expose().to_owned());
        let secret = one_of(&secret, &self.secret_file, key, "secret")?;
        let principal = self.principal.as_ref().unwrap_or(&self.access_key_id);
        let mut credential = Credential::new(&self.access_key_id, secret.trim(), principal);
        credential.session_token = self.session_token.as_ref().map(|token| AwsSecret::new(token.expose()));
        Ok(credential)
    }
}

impl MqttCertificate {
    fn read(&self, index: usize, policies: &Policies) -> Result<CertificateRule, AccessMistake> {
        let key = format!("mqtt.certificates[{index}]");
        let is = match (&self.fingerprint, &self.common_name, self.any) {
            (Some(fingerprint), None, false) => {
                let plain = fingerprint.replace(':', "").to_ascii_lowercase();
                if plain.len() != 64 || !plain.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(mistake(key, "`fingerprint` is not a SHA-256 of 64 hexadecimal digits"));
                }
                CertificateMatch::Fingerprint(plain)
            }
            (None, Some(name), false) => CertificateMatch::CommonName(name.clone()),
            (None, None, true) => CertificateMatch::Any,
            _ => {
                return Err(mistake(
                    key,
                    "exactly one of `fingerprint`, `common_name` and `any` says which it is about",
                ));
            }
        };
        let attached = attached(&self.policies, &self.allow, &self.deny);
        CertificateRule::new(is, self.principal.clone(), attached, policies).map_err(|error| mistake(key, error))
    }
}

impl IotAuthorizer {
    fn read(&self, index: usize, config: &Config) -> Result<Authorizer, AccessMistake> {
        let key = format!("iot.authorizers[{index}]");
        if !is_authorizer_name(&self.name) {
            return Err(mistake(key, "`name` must be 1 to 128 letters, digits and any of _=,@-"));
        }
        let others = &config.iot.authorizers[..index];
        if others.iter().any(|other| other.name == self.name) {
            return Err(mistake(key, format!("\"{}\" names another authorizer already", self.name)));
        }
        if self.default && others.iter().any(|other| other.default) {
            return Err(mistake(key, "another authorizer is the default one already"));
        }
        // What an application brings is not known here.
        let is_known = config.functions.contains_key(fanfare_functions::function_name(&self.function));
        if !is_known && config.app.is_none() {
            return Err(mistake(key, format!("there is no [functions.{}]", self.function)));
        }
        let mut token_keys = Vec::new();
        if self.signing {
            let files = self.token_key_files.iter().map(std::fs::read_to_string);
            for pem in self.token_keys.iter().cloned().map(Ok).chain(files) {
                let pem = pem.map_err(|error| mistake(&key, error))?;
                token_keys.push(TokenKey::from_pem(&pem).map_err(|error| mistake(&key, error))?);
            }
            if token_keys.is_empty() || self.token_key.is_none() {
                let needed = "signed tokens need `token_key` and one of `token_keys` or `token_key_files`; or set `signing = false`";
                return Err(mistake(key, needed));
            }
        }
        Ok(Authorizer {
            name: self.name.clone(),
            function: self.function.clone(),
            token_key: self.token_key.clone(),
            token_keys,
        })
    }
}

fn attached(policies: &[String], allow: &[String], deny: &[String]) -> Attached {
    Attached { policies: policies.to_vec(), allow: allow.to_vec(), deny: deny.to_vec() }
}

/// A text that stands here or in a file, in exactly one of the two.
fn one_of(text: &Option<String>, file: &Option<PathBuf>, key: &str, name: &str) -> Result<String, AccessMistake> {
    let other = if name == "document" { "file" } else { "secret_file" };
    match (text, file) {
        (Some(text), None) => Ok(text.clone()),
        (None, Some(file)) => std::fs::read_to_string(file).map_err(|error| mistake(key, error)),
        _ => Err(mistake(key, format!("set either `{name}` or `{other}`"))),
    }
}
