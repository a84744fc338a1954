//! Signs requests, in headers or in the query, also as the SDKs' odder variants do.

use std::time::Duration;

use super::canonical::{Canonical, Scope, header_value, hex, payload_text, without_port};
use super::clock::format_basic;
use super::encoding::{escape, join_pairs, query_pairs};
use super::presented::{SIGNED_HEADERS_MAX, parameter};
use super::{ALGORITHM, PathForm, Request};
use crate::credentials::Credential;

/// Headers which proxies and clients add or change after signing.
const NEVER_SIGNED: [&str; 6] =
    ["authorization", "connection", "expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"];

/// With what, for what and when a request is signed.
#[derive(Clone, Copy, Debug)]
pub struct Signing<'a> {
    /// Whose key signs.
    pub credential: &'a Credential,
    /// Such as `eu-central-1`.
    pub region: &'a str,
    /// Such as `events`.
    pub service: &'a str,
    /// The time, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Which of the SDKs' forms to use.
    pub style: Style,
}

impl<'a> Signing<'a> {
    /// Signs in the usual form.
    #[must_use]
    pub fn new(credential: &'a Credential, region: &'a str, service: &'a str, now_ms: u64) -> Self {
        Self { credential, region, service, now_ms, style: Style::default() }
    }
}

/// Where SDKs differ. The default is what most of them do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Which form of the path is signed.
    pub path: PathForm,
    /// The session token is added after signing, as SDKs for MQTT over WebSocket do.
    pub adds_token_after_signing: bool,
    /// `host` is signed without its port, as in the browser.
    pub signs_host_without_port: bool,
    /// Sends and signs `x-amz-content-sha256` (in headers only).
    pub sends_content_hash: bool,
}

/// Why a request cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// Every signature covers `host`.
    #[error("the request to sign has no host header; add one")]
    HostMissing,
    /// More than [`SIGNED_HEADERS_MAX`] headers.
    #[error("the request to sign has more than {SIGNED_HEADERS_MAX} headers; send fewer")]
    TooManyHeaders,
    /// A time that has no spelling.
    #[error("the time of signing is beyond the year 9999; check the clock")]
    Time,
    /// Region, service or access key are empty or hold a character that would end them.
    #[error("region, service and access key must not be empty nor hold a slash, comma or space; check the settings")]
    Scope,
    /// [`PathForm::Once`] has no form for a path that holds `%25`.
    #[error("a path that holds %25 cannot be signed with one layer of escapes; sign it escaped twice")]
    Path,
    /// The request already has headers or parameters that signing adds.
    #[error("the request to sign already carries a signature, a signing date or a session token; take it out")]
    AlreadySigned,
}

/// The headers to add to a request so that it is signed: `x-amz-date`, the session token if there
/// is one, `authorization`. Covers every header of the request that nobody changes on the way.
///
/// # Errors
///
/// See [`SigningError`].
pub fn sign_headers(request: &Request<'_>, signing: &Signing<'_>) -> Result<Vec<(&'static str, String)>, SigningError> {
    let payload = payload_text(request.payload);
    let (timestamp, scope) = scope(signing)?;
    let mut added = vec![("x-amz-date", timestamp.clone())];
    if signing.style.sends_content_hash {
        added.push(("x-amz-content-sha256", payload.clone()));
    }
    let token = signing.credential.session_token.as_ref();
    let token = token.map(|token| ("x-amz-security-token", token.expose().to_owned()));
    let (early, late) = if signing.style.adds_token_after_signing { (None, token) } else { (token, None) };
    added.extend(early);
    let has = |name: &str| request.headers.iter().any(|(sent, _)| sent.eq_ignore_ascii_case(name));
    if ["authorization", "x-amz-security-token"].into_iter().any(has) || added.iter().any(|(name, _)| has(name)) {
        return Err(SigningError::AlreadySigned);
    }
    let headers: Vec<_> = request.headers.iter().copied().chain(added.iter().map(|(n, v)| (*n, v.as_str()))).collect();
    let covered = Covered::new(&headers, signing.style)?;
    let query = join_pairs(&query_pairs(request.raw_query), |_| false);
    let signature = covered.sign(request, &query, &payload, &timestamp, &scope, signing)?;
    let (key, scope) = (&signing.credential.access_key_id, scope.text());
    added.extend(late);
    added.push((
        "authorization",
        format!("{ALGORITHM} Credential={key}/{scope}, SignedHeaders={}, Signature={signature}", covered.names),
    ));
    Ok(added)
}

/// Path and query of a signed request that needs no headers but its own. `expires` is rounded down to
/// seconds; without it the signature lasts as long as the other side's window.
///
/// # Errors
///
/// See [`SigningError`].
pub fn presign_url(
    request: &Request<'_>,
    signing: &Signing<'_>,
    expires: Option<Duration>,
) -> Result<String, SigningError> {
    let (timestamp, scope) = scope(signing)?;
    let covered = Covered::new(request.headers, signing.style)?;
    let mut pairs = query_pairs(request.raw_query);
    let mut add = |name: &str, value: &str| pairs.push((name.to_owned(), escape(value.as_bytes())));
    add(parameter::ALGORITHM, ALGORITHM);
    add(parameter::CREDENTIAL, &format!("{}/{}", signing.credential.access_key_id, scope.text()));
    add(parameter::DATE, &timestamp);
    if let Some(expires) = expires {
        add(parameter::EXPIRES, &expires.as_secs().to_string());
    }
    add(parameter::SIGNED_HEADERS, &covered.names);
    let token = signing.credential.session_token.as_ref();
    let is_late = signing.style.adds_token_after_signing;
    if let Some(token) = token.filter(|_| !is_late) {
        add(parameter::TOKEN, token.expose());
    }
    pairs.sort_unstable();
    let is_twice = |two: &[(String, String)]| two[0].0 == two[1].0 && two[0].0.starts_with("X-Amz-");
    if pairs.windows(2).any(is_twice) || pairs.iter().any(|(name, _)| name == parameter::SIGNATURE) {
        return Err(SigningError::AlreadySigned);
    }
    let query = join_pairs(&pairs, |_| false);
    let signature = covered.sign(request, &query, &payload_text(request.payload), &timestamp, &scope, signing)?;
    let path = if request.raw_path.is_empty() { "/" } else { request.raw_path };
    let mut url = format!("{path}?{query}&{}={signature}", parameter::SIGNATURE);
    if let Some(token) = token.filter(|_| is_late) {
        url.extend(["&", parameter::TOKEN, "=", &escape(token.expose().as_bytes())]);
    }
    Ok(url)
}

fn scope(signing: &Signing<'_>) -> Result<(String, Scope), SigningError> {
    let is_plain =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b',');
    if ![signing.region, signing.service, &signing.credential.access_key_id].into_iter().all(is_plain) {
        return Err(SigningError::Scope);
    }
    let timestamp = format_basic(signing.now_ms).ok_or(SigningError::Time)?;
    let day = timestamp[..8].to_owned();
    Ok((timestamp, Scope { day, region: signing.region.to_owned(), service: signing.service.to_owned() }))
}

/// The headers that a signature covers.
struct Covered {
    /// Joined by `;`.
    names: String,
    /// Sorted by name.
    values: Vec<(String, String)>,
}

impl Covered {
    fn new(headers: &[(&str, &str)], style: Style) -> Result<Self, SigningError> {
        let mut names: Vec<String> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.retain(|name| !NEVER_SIGNED.contains(&name.as_str()));
        names.sort_unstable();
        names.dedup();
        if names.len() > SIGNED_HEADERS_MAX {
            return Err(SigningError::TooManyHeaders);
        }
        if !names.iter().any(|name| name == "host") {
            return Err(SigningError::HostMissing);
        }
        let value = |name: String| {
            let sent = header_value(headers, &name).unwrap_or_default();
            match without_port(&sent).filter(|_| name == "host" && style.signs_host_without_port) {
                Some(host) => (name, host.to_owned()),
                None => (name, sent),
            }
        };
        Ok(Self { names: names.join(";"), values: names.into_iter().map(value).collect() })
    }

    fn sign(
        &self,
        request: &Request<'_>,
        query: &str,
        payload: &str,
        timestamp: &str,
        scope: &Scope,
        signing: &Signing<'_>,
    ) -> Result<String, SigningError> {
        let headers: Vec<_> = self.values.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let canonical = Canonical {
            method: request.method,
            path: &signing.style.path.apply(request.raw_path).ok_or(SigningError::Path)?,
            query,
            headers: &headers,
            signed_headers: &self.names,
            payload,
        };
        Ok(hex(canonical.sign(timestamp, scope, &scope.key(&signing.credential.secret)).as_ref()))
    }
}
