//! Custom authorizers: a function of the operator's decides, and is asked again from time to time.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_aws::authorizer::{self as protocol, Event, MqttPart, TlsPart, verify_token};
use fanfare_aws::username::{AUTHORIZER_NAME, AUTHORIZER_SIGNATURE, UserName};
use fanfare_core::Principal;
use fanfare_iam::Permissions;
use fanfare_mqtt_codec::ReasonCode;
use fanfare_policy::Context;

use super::authority::{Authority, Authorizer};
use super::{Admitted, Authorization, Credentials, Denied, Judgement, Term, trace_id};
use crate::hub::Hub;

/// How long the function may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What it takes to ask an authorizer again. Its `Debug` shows no event: that holds the password.
pub(crate) struct Renewal {
    authorizer: Arc<Authorizer>,
    event: Bytes,
    context: Context,
    /// When, after the last time; 0 before the first.
    pub(crate) after_ms: u64,
}

impl fmt::Debug for Renewal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Renewal").field("authorizer", &self.authorizer.name).finish_non_exhaustive()
    }
}

/// A parameter wherever clients can put it: a header, the query, the user name.
fn parameter<'a>(shown: &'a Credentials, name: &str) -> Option<Cow<'a, str>> {
    let http = shown.arrived.http.as_ref();
    let header = || {
        let (_, value) = http?.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(Cow::Borrowed(value.as_str()))
    };
    let query = || UserName { name: "", raw_query: Some(&http?.query) }.get(name);
    header().or_else(query).or_else(|| shown.user().get(name))
}

/// The authorizer that the client names, or the default one.
///
/// # Errors
/// It names one that does not exist.
pub(crate) fn choose(authority: &Authority, shown: &Credentials) -> Result<Option<Arc<Authorizer>>, Denied> {
    if authority.authorizers.is_empty() {
        return Ok(None);
    }
    match parameter(shown, AUTHORIZER_NAME) {
        None => Ok(authority.authorizers.fallback().cloned()),
        Some(name) => match authority.authorizers.get(&name) {
            Some(authorizer) => Ok(Some(authorizer.clone())),
            None => Err(refused("authorizer_unknown")),
        },
    }
}

/// Checks the token's signature and writes the event.
///
/// # Errors
/// There is no signature, or it is wrong; nothing is called then.
pub(crate) fn prepare(authorizer: &Arc<Authorizer>, shown: &Credentials, context: Context) -> Result<Renewal, Denied> {
    let token = authorizer.token_key.as_deref().and_then(|name| parameter(shown, name));
    let is_signed = !authorizer.token_keys.is_empty();
    if is_signed {
        let signature = parameter(shown, AUTHORIZER_SIGNATURE);
        let (Some(token), Some(signature)) = (&token, &signature) else {
            return Err(refused("authorizer_token_missing"));
        };
        verify_token(&authorizer.token_keys, token, signature).map_err(|_| refused("authorizer_token"))?;
    }
    let id = trace_id();
    let mut event = Event::new(&id).with_mqtt(MqttPart {
        username: shown.user_name.as_deref(),
        password: shown.password.as_deref(),
        client_id: &shown.client_id,
    });
    event.token = token.as_deref();
    event.signature_verified = is_signed;
    if let Some(server_name) = &shown.arrived.tls {
        event = event.with_tls(TlsPart { server_name: server_name.as_deref() });
    }
    let http = shown.arrived.http.as_ref();
    let headers: Vec<_> =
        http.iter().flat_map(|http| &http.headers).map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let query = http.map(|http| if http.query.is_empty() { String::new() } else { format!("?{}", http.query) });
    if let Some(query) = &query {
        event = event.with_http(protocol::HttpPart { headers: &headers, query_string: query });
    }
    Ok(Renewal { authorizer: authorizer.clone(), event: event.to_json().into(), context, after_ms: 0 })
}

/// Asks the function, for the first time or again.
///
/// # Errors
/// It says no, fails, does not answer in time, or answers with something else.
pub(crate) async fn renew(hub: &Hub, renewal: Renewal) -> Judgement {
    let authority = hub.authority.load_full();
    let name = &renewal.authorizer.name;
    let called = authority.functions.call(&renewal.authorizer.function, renewal.event.clone(), Some(TIMEOUT));
    let answer = match tokio::time::timeout(TIMEOUT, called).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            tracing::warn!(authorizer = name, %error, "an authorizer failed; the client is refused");
            return Err(refused("authorizer_failed"));
        }
        Err(_) => {
            tracing::warn!(authorizer = name, "an authorizer did not answer in time; the client is refused");
            return Err(refused("authorizer_timeout"));
        }
    };
    let granted = match protocol::Decision::parse(&answer) {
        Ok(protocol::Decision::Granted(granted)) => granted,
        Ok(protocol::Decision::Refused) => return Err(refused("authorizer")),
        Err(error) => {
            tracing::warn!(authorizer = name, %error, "an authorizer's answer cannot be used; the client is refused");
            return Err(refused("authorizer_answer"));
        }
    };
    let policies = match authority.access.policies().foreign(&granted.policy_documents) {
        Ok(policies) => policies,
        Err(error) => {
            tracing::warn!(authorizer = name, %error, "an authorizer's policy cannot be used; the client is refused");
            return Err(refused("authorizer_policy"));
        }
    };
    let now = hub.now();
    let context = renewal.context.clone().at(now);
    let principal = Principal { subject: Some(granted.principal_id.into()), ..Principal::default() };
    let mut admitted =
        Admitted::with_permissions(principal, &Permissions::Policies(policies), &authority.access, &context);
    let at = now + u64::from(granted.disconnect_after_s) * 1_000;
    let renewal = Renewal { after_ms: u64::from(granted.refresh_after_s) * 1_000, ..renewal };
    admitted.authorization = Some(Box::new(Authorization {
        term: Some(Term { at, why: "CUSTOMAUTH_TTL_EXPIRATION" }),
        renewal: Some(renewal),
    }));
    Ok(admitted)
}

fn refused(code: &'static str) -> Denied {
    Denied { reason: ReasonCode::NotAuthorized, code }
}
