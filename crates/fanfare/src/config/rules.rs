//! What the table of keys cannot say: keys that do not go together.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfare_functions::Functions;
use fanfare_identity::{AdminKeys, KeyAlgorithm, Keys, Passwords};

use super::apis;
use super::functions::KINDS;
use super::keys::{ClientCertificates, Config, SigningKey};
use super::mistake::{Mistake, Origin, Problem};
use super::runtime::Function;
use crate::trust::is_name;

/// Every way in which the keys of `config` contradict one another.
///
/// `written` holds the places of all values, `accepted` only of those that passed by themselves: a
/// value that did not pass was told already and contradicts nothing.
pub(super) fn contradictions(
    config: &Config,
    written: &BTreeMap<String, Origin>,
    accepted: &BTreeMap<String, Origin>,
) -> Vec<Mistake> {
    let mut findings = Findings { written, accepted, mistakes: Vec::new() };
    tls(config, &mut findings);
    access(config, &mut findings);
    limits(config, &mut findings);
    for (index, key) in config.auth.keys.iter().enumerate() {
        signing_key(key, &format!("auth.keys[{index}]"), &mut findings);
    }
    repeated_ids(config, &mut findings);
    admin_keys(config, &mut findings);
    services(config, &mut findings);
    apigateway(config, &mut findings);
    findings.mistakes
}

struct Findings<'a> {
    written: &'a BTreeMap<String, Origin>,
    accepted: &'a BTreeMap<String, Origin>,
    mistakes: Vec<Mistake>,
}

impl Findings<'_> {
    fn conflict(&mut self, key: &str, problem: impl Into<String>) {
        self.push(key, Problem::Conflict(problem.into()));
    }

    fn push(&mut self, key: &str, problem: Problem) {
        let origin = self.written.get(key).cloned().unwrap_or(Origin::Default);
        self.mistakes.push(Mistake { origin, key: key.to_owned(), problem });
    }

    /// Where a key was written, or what holds it.
    fn nearest_place(&self, key: &str) -> Origin {
        let mut key = key;
        loop {
            match (self.written.get(key), key.rfind(['.', '['])) {
                (Some(origin), _) => return origin.clone(),
                (None, Some(end)) => key = &key[..end],
                (None, None) => return Origin::Default,
            }
        }
    }

    fn is_written(&self, key: &str) -> bool {
        self.written.contains_key(key)
    }

    fn was_refused(&self, key: &str) -> bool {
        self.written.contains_key(key) && !self.accepted.contains_key(key)
    }
}

fn tls(config: &Config, findings: &mut Findings<'_>) {
    match (&config.tls.cert, &config.tls.key) {
        (Some(_), None) if !findings.is_written("tls.key") => {
            findings.conflict("tls.cert", "`tls.key` is missing; both go together");
        }
        (None, Some(_)) if !findings.is_written("tls.cert") => {
            findings.conflict("tls.key", "`tls.cert` is missing; both go together");
        }
        _ => {}
    }
    if config.tls.cert.is_some() && config.tls.local_ca == Some(true) {
        findings.conflict("tls.local_ca", "`tls.cert` is configured, so no certificate is made; leave one of them out");
    }
    for (index, name) in config.tls.local_names.iter().enumerate() {
        if !is_name(name) {
            findings.conflict(
                &format!("tls.local_names[{index}]"),
                "a name is an address, or letters, digits and '-' between dots, perhaps with a first \"*.\"",
            );
        }
    }
    let was_refused = ["listen", "mqtt_listen"].iter().any(|key| {
        let entries = format!("{key}[");
        let mut written = findings.written.keys();
        written.any(|k| (k == key || k.starts_with(&entries)) && findings.was_refused(k))
    });
    if config.listen.is_empty() && config.mqtt_listen.is_empty() && !was_refused {
        findings.conflict("listen", "there is no address to listen on");
    }
}

/// What the conversions of access find; their first finding, since others may follow from it.
fn access(config: &Config, findings: &mut Findings<'_>) {
    let tls = &config.tls;
    let asks = tls.client_certificates != ClientCertificates::Off;
    if asks && tls.client_ca.is_none() && !findings.is_written("tls.client_ca") {
        findings.conflict("tls.client_certificates", "`tls.client_ca` is missing: somebody must vouch for clients");
    }
    if !asks && (tls.client_ca.is_some() || tls.client_crl.is_some()) {
        let key = if tls.client_ca.is_some() { "tls.client_ca" } else { "tls.client_crl" };
        findings.conflict(key, "nobody is asked for a certificate; set `tls.client_certificates`");
    }
    // A hash or key of a refused value would be told twice.
    if findings.accepted.len() < findings.written.len() {
        return;
    }
    let Ok(passwords) = Passwords::new() else { return };
    if let Err(mistake) = config.authority(&Arc::new(passwords), &Functions::new()) {
        findings.conflict(&mistake.key, mistake.problem);
    }
}

fn limits(config: &Config, findings: &mut Findings<'_>) {
    let limits = &config.limits;
    if limits.frame_bytes < limits.message_bytes {
        let key = match findings.is_written("limits.frame_bytes") {
            true => "limits.frame_bytes",
            false => "limits.message_bytes",
        };
        findings.conflict(key, "a frame must hold a message: `frame_bytes` is below `message_bytes`");
    }
    for (name, space) in &config.spaces {
        if space.message_bytes.is_some_and(|bytes| bytes > limits.frame_bytes) {
            findings.conflict(
                &format!("spaces.{name}.message_bytes"),
                "a frame must hold a message: it is above `limits.frame_bytes`",
            );
        }
    }
}

/// Rules, functions and what else is read by other rooms.
fn services(config: &Config, findings: &mut Findings<'_>) {
    for (index, problem) in config.iot.mistakes() {
        findings.conflict(&index.map_or("iot.rules".to_owned(), |index| format!("iot.rules[{index}]")), problem);
    }
    for (key, problem) in config.momento.mistakes() {
        findings.conflict(&key, problem);
    }
    for (key, problem) in config.events.mistakes(&config.aws) {
        findings.conflict(&key, problem);
    }
    for (name, function) in &config.functions {
        functions(name, function, findings);
    }
    if config.aws.account.len() != 12 || !config.aws.account.bytes().all(|byte| byte.is_ascii_digit()) {
        findings.conflict("aws.account", "an account has twelve digits");
    }
}

/// One function: what it is, and that its keys belong to that.
fn functions(name: &str, function: &Function, findings: &mut Findings<'_>) {
    let path = format!("functions.{name}");
    let was_refused = KINDS.iter().any(|kind| findings.was_refused(&format!("{path}.{}", kind.key)));
    if let Some(problem) = function.mistake(name).filter(|_| !was_refused) {
        findings.conflict(&path, problem);
        return;
    }
    for (key, problem) in function.mistakes_at() {
        let key = format!("{path}.{key}");
        let key = if findings.is_written(&key) { key } else { path.clone() };
        findings.conflict(&key, problem);
    }
    for (key, kinds) in function.strangers() {
        let key = format!("{path}.{key}");
        if findings.is_written(&key) {
            findings.conflict(&key, format!("it is for functions with {kinds}"));
        }
    }
}

fn apigateway(config: &Config, findings: &mut Findings<'_>) {
    // What was refused is not there, and others may follow from that.
    let is_api = |key: &&String| key.starts_with("apigateway");
    let count = |origins: &BTreeMap<String, Origin>| origins.keys().filter(is_api).count();
    if count(findings.accepted) < count(findings.written) {
        return;
    }
    for (key, problem) in apis::mistakes(config) {
        let origin = findings.nearest_place(&key);
        findings.mistakes.push(Mistake { origin, key, problem: Problem::Conflict(problem) });
    }
}

fn signing_key(key: &SigningKey, path: &str, findings: &mut Findings<'_>) {
    if !findings.is_written(&format!("{path}.id")) {
        findings.conflict(path, "`id` is missing; tokens carry it as `kid`");
    }
    if findings.was_refused(&format!("{path}.algorithm")) {
        return;
    }
    let given = ["secret", "secret_file", "public_key", "public_key_file"]
        .into_iter()
        .filter(|name| findings.is_written(&format!("{path}.{name}")))
        .collect::<Vec<_>>();
    let wanted = match key.algorithm {
        KeyAlgorithm::HS256 => ["secret", "secret_file"],
        _ => ["public_key", "public_key_file"],
    };
    let takes = format!("{} takes `{}` or `{}`", key.algorithm, wanted[0], wanted[1]);
    match given[..] {
        [one] if wanted.contains(&one) => {
            let path = format!("{path}.{one}");
            if !findings.was_refused(&path) {
                material(key, &path, findings);
            }
        }
        [one] => findings.conflict(&format!("{path}.{one}"), takes),
        [] => findings.conflict(path, format!("{takes}; neither is set")),
        _ => findings.conflict(path, format!("only one of {} can be set", given.join(", "))),
    }
}

/// Whether a gate could verify with the key.
fn material(key: &SigningKey, path: &str, findings: &mut Findings<'_>) {
    match key.verification() {
        Ok(config) => {
            if let Err(error) = Keys::new(&[config]) {
                findings.conflict(path, error.to_string());
            }
        }
        Err(error) => findings.conflict(path, error.to_string()),
    }
}

fn admin_keys(config: &Config, findings: &mut Findings<'_>) {
    for (index, key) in config.auth.admin_keys.iter().enumerate() {
        if let Err(error) = AdminKeys::new(std::slice::from_ref(key)) {
            findings.conflict(&format!("auth.admin_keys[{index}]"), error.to_string());
        }
    }
}

fn repeated_ids(config: &Config, findings: &mut Findings<'_>) {
    let keys = &config.auth.keys;
    for (index, key) in keys.iter().enumerate() {
        if !key.id.is_empty() && keys[..index].iter().any(|other| other.id == key.id) {
            let path = format!("auth.keys[{index}].id");
            findings.conflict(&path, format!("\"{}\" names another key already", key.id));
        }
    }
}
