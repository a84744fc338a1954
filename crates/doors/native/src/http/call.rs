//! A request, and what endpoints want to know of it.

use std::sync::Arc;
use std::time::Duration;

use ::http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderName};
use ::http::request::Parts;
use bytes::Bytes;
use fanfare_core::{Principal, TopicName};
use fanfare_door::{Gateway, HttpContext};
use fanfare_identity::TokenError;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::query::{Query, decode};
use crate::NAME;
use crate::errors::Problem;
use crate::requests::Spaces;

/// A body must be there within this.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Parameters under which others take a token. Here they are refused.
const TOKENS_IN_QUERY: [&str; 4] = ["token", "access_token", "authorization", "jwt"];

/// A request on its way to an answer.
pub(super) struct Call {
    pub(super) gateway: Arc<Gateway>,
    pub(super) head: Parts,
    pub(super) query: Query,
    /// What stands for `{topic}` in the path; empty where the path has none.
    pub(super) topic: String,
    body: Incoming,
}

impl Call {
    pub(super) fn new(request: ::http::Request<Incoming>, topic: &str, context: HttpContext) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        let query = Query::parse(head.uri.query().unwrap_or_default())?;
        if let Some(name) = TOKENS_IN_QUERY.iter().find(|name| query.has(name)) {
            return Err(Problem::bad_request(format!(
                "{name}: a token in a URL ends up in logs; send it as Authorization: Bearer, or get a one-time ticket from POST /v1/tickets and pass that as ?ticket="
            )));
        }
        let topic = decode(topic).ok_or_else(|| Problem::bad_request("topic: not percent-encoded UTF-8"))?;
        Ok(Self { gateway: context.gateway, head, query, topic, body })
    }

    /// A header's text; `None` also where it is not text.
    pub(super) fn header(&self, name: impl Into<HeaderName>) -> Option<&str> {
        self.head.headers.get(name.into()).and_then(|value| value.to_str().ok())
    }

    /// Whom the request speaks for.
    pub(super) async fn authenticate(&self) -> Result<Arc<Principal>, Problem> {
        let bearer = self.bearer()?;
        let ticket = self.query.one("ticket")?;
        Ok(self.gateway.authenticate(bearer, ticket).await?)
    }

    fn bearer(&self) -> Result<Option<&str>, TokenError> {
        let Some(value) = self.head.headers.get(AUTHORIZATION) else { return Ok(None) };
        let is_bearer = |scheme: &str| scheme.eq_ignore_ascii_case("bearer");
        let token = value.to_str().ok().and_then(|text| text.split_once(' ')).filter(|(scheme, _)| is_bearer(scheme));
        let (_, token) = token.ok_or(TokenError::Malformed("expected Authorization: Bearer and the token"))?;
        Ok(Some(token.trim()))
    }

    /// The space that the query names.
    pub(super) fn space(&self) -> Result<Arc<str>, Problem> {
        self.spaces().get(self.query.one("space")?)
    }

    pub(super) fn spaces(&self) -> Spaces {
        Spaces::new(self.gateway.default_space().clone())
    }

    /// The topic that the path names.
    pub(super) fn topic(&self) -> Result<TopicName, Problem> {
        Ok(TopicName::new(&self.topic)?)
    }

    /// A whole number of the query. What is beyond `range` is taken as the nearest in it.
    pub(super) fn number(&self, name: &str, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>, Problem> {
        let Some(text) = self.query.one(name)? else { return Ok(None) };
        let number: Result<u64, _> = text.parse();
        let number = number.map_err(|_| Problem::bad_request(format!("{name}: a whole number is needed")))?;
        Ok(Some(number.clamp(*range.start(), *range.end())))
    }

    /// Counts one operation that is neither a publish nor a delivery.
    pub(super) fn count_operation(&self, space: &Arc<str>) {
        self.gateway.meter.row(space, NAME, |row| row.operations += 1);
    }

    /// The whole body, within `limits.body_bytes`.
    pub(super) async fn read_body(&mut self) -> Result<Bytes, Problem> {
        let limit = self.gateway.limits().body_bytes;
        let too_large = || {
            let message = format!("the body is larger than the {limit} bytes that limits.body_bytes allows");
            Problem::final_one("message_too_large", 413, message)
        };
        let declared = self.header(CONTENT_LENGTH).and_then(|text| text.parse::<usize>().ok());
        if declared.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let body = Limited::new(&mut self.body, limit).collect();
        match tokio::time::timeout(BODY_TIMEOUT, body).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(error)) => Err(Problem::bad_request(format!("the body cannot be read: {error}"))),
            Err(_) => Err(Problem::final_one("bad_request", 408, "the body did not come within 30 seconds")),
        }
    }
}
