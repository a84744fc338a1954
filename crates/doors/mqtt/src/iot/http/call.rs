//! A request, and who makes it.

use std::sync::Arc;
use std::time::Duration;

use ::http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST};
use ::http::request::Parts;
use ::http::{HeaderMap, Request};
use bytes::Bytes;
use fanfare_aws::errors::DataPlaneError;
use fanfare_aws::sigv4::{self, PayloadHash, SignatureError};
use fanfare_core::{Principal, TopicName};
use fanfare_door::{Gateway, HttpContext};
use fanfare_iam::{Access, Caller, Operation};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use super::Problem;
use crate::NAME;
use crate::hub::Hub;

/// A body must be there within this.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// What SDKs sign their requests for.
const SERVICES: [&str; 2] = ["iotdata", "iotdevicegateway"];

/// A request whose sender is known.
pub(super) struct Call {
    pub(super) hub: Arc<Hub>,
    pub(super) caller: Caller,
    pub(super) body: Bytes,
    head: Parts,
    query: Vec<(String, String)>,
}

impl Call {
    pub(super) async fn new(hub: Arc<Hub>, request: Request<Incoming>, context: HttpContext) -> Result<Self, Problem> {
        let (head, mut body) = request.into_parts();
        let query = parse_query(head.uri.query().unwrap_or_default())?;
        let body = read_body(&context.gateway, &head.headers, &mut body).await?;
        let caller = who(&hub, &head, &body, &context).await?;
        Ok(Self { hub, caller: caller.from_ip(context.peer.ip()), body, head, query })
    }

    /// Refuses what the caller may not do.
    pub(super) fn require(&self, operation: Operation<'_>) -> Result<(), Problem> {
        if self.caller.may(operation).is_allowed() { Ok(()) } else { Err(Problem::forbidden()) }
    }

    /// The value of a parameter; the last one counts.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(given, _)| given == name).map(|(_, value)| &**value)
    }

    /// A parameter that is `true` or `false`, in any case; `false` when absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.parameter(name) {
            None => Ok(false),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(Problem::invalid(format!("{name} must be true or false"))),
        }
    }

    /// A parameter that is a whole number in this range.
    pub(super) fn number(&self, name: &str, range: std::ops::RangeInclusive<u32>) -> Result<Option<u32>, Problem> {
        let Some(text) = self.parameter(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        let (least, most) = range.into_inner();
        number.map(Some).ok_or_else(|| Problem::invalid(format!("{name} must be a number from {least} to {most}")))
    }

    /// A header's text.
    pub(super) fn header(&self, name: &'static str) -> Option<&str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// By which name the client reached us.
    pub(super) fn host(&self) -> &str {
        host(&self.head).unwrap_or("localhost")
    }

    /// A topic as it stands in a path.
    pub(super) fn topic(&self, encoded: &str) -> Result<TopicName, Problem> {
        self.check_topic(&decode(encoded)?)
    }

    pub(super) fn check_topic(&self, text: &str) -> Result<TopicName, Problem> {
        if text.len() > self.hub.gateway().limits().topic_bytes {
            return Err(Problem::invalid("The topic is longer than limits.topic_bytes allows"));
        }
        Ok(TopicName::new(text)?)
    }

    /// A client id as it stands in a path.
    pub(super) fn client_id(&self, encoded: &str) -> Result<Arc<str>, Problem> {
        let id = decode(encoded)?;
        if id.is_empty() || id.starts_with('$') || id.len() > self.hub.options.client_id_bytes {
            return Err(Problem::invalid("The client id is not one"));
        }
        Ok(id.into())
    }

    /// Counts a request that publishes nothing.
    pub(super) fn count(&self) {
        self.hub.gateway().meter.row(self.hub.space(), NAME, |row| row.operations += 1);
    }
}

/// Names are encoded once, whatever else their characters look like.
pub(super) fn decode(encoded: &str) -> Result<String, Problem> {
    let text = percent_decode_str(encoded).decode_utf8();
    text.map(std::borrow::Cow::into_owned).map_err(|_| Problem::invalid("The path is not percent-encoded UTF-8"))
}

fn parse_query(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let decoded = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
    });
    decoded.collect()
}

async fn read_body(gateway: &Gateway, headers: &HeaderMap, body: &mut Incoming) -> Result<Bytes, Problem> {
    let limit = gateway.limits().body_bytes;
    let too_large = || {
        gateway.metrics.limit("frame_bytes");
        let message = format!("The body is larger than the {limit} bytes that limits.frame_bytes allows");
        Problem::new(DataPlaneError::RequestEntityTooLarge, message)
    };
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::invalid("The body cannot be read")),
        Err(_) => Err(Problem::invalid("The body did not come within 30 seconds")),
    }
}

/// A token of the gateway's, a signature, or nobody where that is allowed.
async fn who(hub: &Hub, head: &Parts, body: &[u8], context: &HttpContext) -> Result<Caller, Problem> {
    let gateway = &context.gateway;
    let authority = hub.authority.load_full();
    let access = &authority.access;
    if let Some(token) = bearer(head) {
        let principal = gateway.authenticate(Some(token), None).await;
        let principal = principal.map_err(|error| Problem::new(DataPlaneError::Unauthorized, error.to_string()))?;
        return Ok(Caller::of_principal(principal, access.realm()));
    }
    let now = gateway.clock.now();
    match signed(access, head, body, now) {
        Ok(caller) if is_revoked(gateway, &caller.principal, now) => Err(Problem::forbidden()),
        Ok(caller) => Ok(caller),
        Err(error @ (SignatureError::Missing | SignatureError::UnknownKey)) => match gateway.gate.anonymous(now) {
            // Development mode: SDKs sign with whatever keys they find.
            Ok(principal) => Ok(Caller::of_principal(principal, access.realm())),
            Err(_) if error == SignatureError::Missing => {
                Err(Problem::new(DataPlaneError::Unauthorized, error.to_string()))
            }
            Err(_) => refuse_signature(&error),
        },
        Err(error) => refuse_signature(&error),
    }
}

fn refuse_signature(error: &SignatureError) -> Result<Caller, Problem> {
    tracing::info!(%error, "a signed request was refused");
    Err(Problem::forbidden())
}

fn is_revoked(gateway: &Gateway, principal: &Principal, now: u64) -> bool {
    gateway.gate.revocations().is_revoked(principal, now)
}

fn bearer(head: &Parts) -> Option<&str> {
    let (scheme, token) = head.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn host(head: &Parts) -> Option<&str> {
    let header = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    header.or_else(|| head.uri.authority().map(|authority| authority.as_str()))
}

fn signed(access: &Access, head: &Parts, body: &[u8], now: u64) -> Result<Caller, SignatureError> {
    let mut headers: Vec<(&str, &str)> =
        head.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    if !head.headers.contains_key(HOST) {
        headers.extend(host(head).map(|host| ("host", host)));
    }
    let request = sigv4::Request {
        method: head.method.as_str(),
        raw_path: head.uri.path(),
        raw_query: head.uri.query().unwrap_or_default(),
        headers: &headers,
        payload: PayloadHash::Bytes(body),
    };
    access.verify(&request, &SERVICES, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded_once() {
        assert_eq!(decode("a%2Fb%20c/d").unwrap(), "a/b c/d");
        assert_eq!(decode("a%252Fb").unwrap(), "a%2Fb");
        assert!(decode("%ff").is_err());
        let query = parse_query("qos=1&responseTopic=r%2Ft&retain&x=a+b").unwrap();
        let pairs: Vec<_> = query.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(pairs, [("qos", "1"), ("responseTopic", "r/t"), ("retain", ""), ("x", "a b")]);
    }
}
