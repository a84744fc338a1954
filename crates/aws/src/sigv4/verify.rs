//! Checks a signature, form by form.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::Key;

use super::canonical::{Canonical, header_value, payload_text, without_port};
use super::encoding::join_pairs;
use super::presented::{Presented, parameter};
use super::{PathForm, PayloadHash, Request, SignatureError, UNSIGNED_PAYLOAD};
use crate::credentials::Credential;

/// The most signatures that are computed for one request. When the accepted forms make more
/// combinations, those which differ least from the usual form are tried.
pub const ATTEMPTS_MAX: usize = 5;

/// What is accepted.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    /// The services that the address offers, such as `iotdevicegateway`.
    pub services: &'a [&'a str],
    /// The time here, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// How far a clock may be off, and how long a signature without `X-Amz-Expires` lasts.
    pub window: Duration,
    /// The most that `X-Amz-Expires` may ask for. More is refused, not shortened.
    pub expires_max: Duration,
    /// Forms of the path, the likeliest first.
    pub paths: &'a [PathForm],
    /// Also tries `host` without its port.
    pub allows_host_without_port: bool,
    /// Also tries the query without the session token. The token is still compared.
    pub allows_unsigned_token: bool,
}

impl<'a> Rules<'a> {
    /// The usual rules: five minutes, seven days, every form that SDKs use.
    #[must_use]
    pub const fn new(services: &'a [&'a str], now_ms: u64) -> Self {
        Self {
            services,
            now_ms,
            window: Duration::from_secs(5 * 60),
            expires_max: Duration::from_secs(7 * 24 * 60 * 60),
            paths: &[PathForm::Twice, PathForm::Once],
            allows_host_without_port: true,
            allows_unsigned_token: true,
        }
    }
}

/// A request whose signature is right.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The region in the scope. Whether it is one of ours is for the caller to say.
    pub region: String,
    /// One of [`Rules::services`].
    pub service: String,
    /// When it was signed, in milliseconds since the Unix epoch.
    pub signed_at_ms: u64,
    /// Whose key it is.
    pub credential: Credential,
    /// Names of the headers that the signature covers, lower case, joined by `;`.
    pub signed_headers: String,
    /// How many signatures were computed, at most [`ATTEMPTS_MAX`].
    pub attempts: usize,
}

impl Verified {
    /// The signature covers that header, named in lower case. Headers it does not cover can be
    /// added by anybody on the way.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        self.signed_headers.split(';').any(|signed| signed == name)
    }
}

/// Checks the signature in the headers or the query of a request.
///
/// `find` gives the credential of an access key. The signature is compared before the session token
/// and the end of the session, so that only the owner of the secret learns about those.
///
/// # Errors
///
/// [`SignatureError`] says which part is wrong.
pub fn verify(
    request: &Request<'_>,
    find: &dyn Fn(&str) -> Option<Credential>,
    rules: &Rules<'_>,
) -> Result<Verified, SignatureError> {
    let presented = Presented::find(request)?;
    if !rules.services.contains(&presented.scope.service.as_str()) {
        return Err(SignatureError::ServiceNotAccepted { service: presented.scope.service });
    }
    check_time(&presented, rules)?;
    let payload = signed_payload(&presented, request.payload)?;
    let headers = signed_headers(&presented, request)?;
    let credential = find(&presented.access_key).ok_or(SignatureError::UnknownKey)?;

    let key = presented.scope.key(&credential.secret);
    let forms = forms(&presented, request, &headers, rules);
    let wanted = forms.iter().position(|form| form.matches(request, &presented, &headers, &payload, &key));
    let Some(at) = wanted else { return Err(SignatureError::Mismatch { attempts: forms.len() }) };
    check_session(&presented, &credential, rules)?;
    Ok(Verified {
        region: presented.scope.region,
        service: presented.scope.service,
        signed_at_ms: presented.signed_at_ms,
        credential,
        signed_headers: presented.signed_headers,
        attempts: at + 1,
    })
}

fn check_time(presented: &Presented, rules: &Rules<'_>) -> Result<(), SignatureError> {
    let (signed_at_ms, now_ms) = (presented.signed_at_ms, rules.now_ms);
    let valid = match presented.expires_s.map(Duration::from_secs) {
        None => rules.window,
        Some(asked) if asked <= rules.expires_max => asked,
        Some(_) => return Err(SignatureError::malformed(parameter::EXPIRES, "asks for more than is allowed")),
    };
    if signed_at_ms > now_ms.saturating_add(milliseconds(rules.window)) {
        return Err(SignatureError::NotYetValid { signed_at_ms, now_ms });
    }
    let valid_until_ms = signed_at_ms.saturating_add(milliseconds(valid));
    if now_ms > valid_until_ms {
        return Err(SignatureError::Expired { signed_at_ms, valid_until_ms, now_ms });
    }
    Ok(())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn check_session(presented: &Presented, credential: &Credential, rules: &Rules<'_>) -> Result<(), SignatureError> {
    let is_right = match (&presented.session_token, &credential.session_token) {
        (None, None) => true,
        (Some(sent), Some(own)) => verify_slices_are_equal(sent.as_bytes(), own.expose().as_bytes()).is_ok(),
        _ => false,
    };
    if !is_right {
        return Err(SignatureError::TokenWrong);
    }
    match credential.expires_at_ms {
        Some(expired_at_ms) if expired_at_ms <= rules.now_ms => {
            Err(SignatureError::SessionExpired { expired_at_ms, now_ms: rules.now_ms })
        }
        _ => Ok(()),
    }
}

/// What stands for the body in the signature. A declared hash must be that of the body: otherwise
/// the signature would say nothing about the bytes which we act on.
fn signed_payload(presented: &Presented, payload: PayloadHash<'_>) -> Result<String, SignatureError> {
    let own = || payload_text(payload);
    match presented.declared_hash.as_deref() {
        None => Ok(own()),
        Some(UNSIGNED_PAYLOAD) => Ok(UNSIGNED_PAYLOAD.to_owned()),
        Some(hash) if hash.starts_with("STREAMING-") => {
            Err(SignatureError::malformed("x-amz-content-sha256", "announces signed chunks, which are not read here"))
        }
        Some(hash) => Some(own()).filter(|own| own == hash).ok_or(SignatureError::PayloadMismatch),
    }
}

/// Values of the signed headers, in their order.
fn signed_headers<'a>(
    presented: &'a Presented,
    request: &Request<'_>,
) -> Result<Vec<(&'a str, String)>, SignatureError> {
    let value = |name| header_value(request.headers, name).map(|value| (name, value));
    let all: Option<_> = presented.signed_headers.split(';').map(value).collect();
    all.ok_or(SignatureError::malformed("a signed header", "is not in the request"))
}

/// One way in which the signer may have written the request down.
struct Form<'a> {
    path: String,
    /// Instead of the host as it was sent.
    host: Option<&'a str>,
    has_token: bool,
}

/// All ways that the rules accept, the likeliest first.
fn forms<'a>(
    presented: &Presented,
    request: &Request<'_>,
    headers: &'a [(&str, String)],
    rules: &Rules<'_>,
) -> Vec<Form<'a>> {
    let mut paths: Vec<String> = Vec::new();
    for path in rules.paths.iter().filter_map(|form| form.apply(request.raw_path)) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let host = headers.iter().find(|(name, _)| *name == "host").and_then(|(_, host)| without_port(host));
    let hosts = [None, host.filter(|_| rules.allows_host_without_port)];
    let hosts = if hosts[1].is_some() { &hosts[..] } else { &hosts[..1] };
    let may_lack_token = presented.has_token_parameter && rules.allows_unsigned_token;
    let tokens = if may_lack_token { &[true, false][..] } else { &[true] };

    let mut forms = Vec::new();
    for (p, path) in paths.iter().enumerate() {
        for (h, &host) in hosts.iter().enumerate() {
            for (t, &has_token) in tokens.iter().enumerate() {
                forms.push((p + h + t, Form { path: path.clone(), host, has_token }));
            }
        }
    }
    forms.sort_by_key(|(differences, _)| *differences);
    forms.into_iter().map(|(_, form)| form).take(ATTEMPTS_MAX).collect()
}

impl Form<'_> {
    fn matches(
        &self,
        request: &Request<'_>,
        presented: &Presented,
        headers: &[(&str, String)],
        payload: &str,
        key: &Key,
    ) -> bool {
        let is_left_out = |name: &str| {
            name == parameter::SIGNATURE && presented.is_in_query || name == parameter::TOKEN && !self.has_token
        };
        let changed: Vec<_>;
        let headers = match self.host {
            None => headers,
            Some(host) => {
                let value = |name: &str, sent: &String| if name == "host" { host.to_owned() } else { sent.clone() };
                changed = headers.iter().map(|(name, sent)| (*name, value(name, sent))).collect();
                &changed
            }
        };
        let canonical = Canonical {
            method: request.method,
            path: &self.path,
            query: &join_pairs(&presented.query, is_left_out),
            headers,
            signed_headers: &presented.signed_headers,
            payload,
        };
        let tag = canonical.sign(&presented.timestamp, &presented.scope, key);
        verify_slices_are_equal(tag.as_ref(), &presented.signature).is_ok()
    }
}
