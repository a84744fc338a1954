//! What the table of keys cannot say: keys that do not go together.

use std::collections::BTreeMap;

use super::keys::{Algorithm, Config, SigningKey};
use super::mistake::{Mistake, Origin, Problem};

/// RFC 7518, 3.2: an HMAC key is at least as long as the hash. We ask for that of the shortest.
const SECRET_BYTES_MIN: usize = 32;

/// Every way in which the keys of `config` contradict one another.
///
/// `written` holds the places of all values, `accepted` only of those that passed by themselves: a
/// value that did not pass was told already and contradicts nothing.
pub(super) fn contradictions(
    config: &Config,
    written: &BTreeMap<String, Origin>,
    accepted: &BTreeMap<String, Origin>,
) -> Vec<Mistake> {
    let mut findings = Findings {
        written,
        accepted,
        mistakes: Vec::new(),
    };
    tls(config, &mut findings);
    limits(config, &mut findings);
    for (index, key) in config.auth.keys.iter().enumerate() {
        signing_key(key, &format!("auth.keys[{index}]"), &mut findings);
    }
    repeated_ids(config, &mut findings);
    if config.app.is_some() {
        findings.push("app", Problem::AppUnsupported);
    }
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
        self.mistakes.push(Mistake {
            origin,
            key: key.to_owned(),
            problem,
        });
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
    let was_refused = ["listen", "mqtt_listen"].iter().any(|key| {
        let entries = format!("{key}[");
        let mut written = findings.written.keys();
        written.any(|k| (k == key || k.starts_with(&entries)) && findings.was_refused(k))
    });
    if config.listen.is_empty() && config.mqtt_listen.is_empty() && !was_refused {
        findings.conflict("listen", "there is no address to listen on");
    }
}

fn limits(config: &Config, findings: &mut Findings<'_>) {
    let limits = &config.limits;
    if limits.frame_bytes < limits.message_bytes {
        let key = match findings.is_written("limits.frame_bytes") {
            true => "limits.frame_bytes",
            false => "limits.message_bytes",
        };
        findings.conflict(
            key,
            "a frame must hold a message: `frame_bytes` is below `message_bytes`",
        );
    }
    for (name, space) in &config.spaces {
        if space
            .message_bytes
            .is_some_and(|bytes| bytes > limits.frame_bytes)
        {
            findings.conflict(
                &format!("spaces.{name}.message_bytes"),
                "a frame must hold a message: it is above `limits.frame_bytes`",
            );
        }
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
    let wanted = match key.algorithm.is_shared_secret() {
        true => ["secret", "secret_file"],
        false => ["public_key", "public_key_file"],
    };
    let algorithm = key.algorithm.word();
    match given[..] {
        [one] if wanted.contains(&one) => secret_length(key, path, findings),
        [one] => findings.conflict(
            &format!("{path}.{one}"),
            format!("{algorithm} takes `{}` or `{}`", wanted[0], wanted[1]),
        ),
        [] => findings.conflict(
            path,
            format!(
                "{algorithm} takes `{}` or `{}`; neither is set",
                wanted[0], wanted[1]
            ),
        ),
        _ => findings.conflict(path, format!("only one of {} can be set", given.join(", "))),
    }
}

fn secret_length(key: &SigningKey, path: &str, findings: &mut Findings<'_>) {
    let secret = match key
        .algorithm
        .is_shared_secret()
        .then(|| key.shared_secret())
    {
        Some(Ok(secret)) => secret,
        _ => return,
    };
    if secret.reveal().len() < SECRET_BYTES_MIN {
        let problem = format!(
            "the secret has {} bytes, at least {SECRET_BYTES_MIN} are needed; \
             `openssl rand -hex 32` makes one",
            secret.reveal().len()
        );
        findings.conflict(path, problem);
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

impl Algorithm {
    /// Whether whoever checks can also sign (HMAC).
    pub fn is_shared_secret(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }
}
