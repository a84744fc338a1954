//! What a request brings: parameters of the query, a page to cut, a body.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_door::Gateway;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::auth::Caller;
use crate::problem::Problem;
use crate::router::Service;

/// Longest list in one answer.
const PAGE_MAX: usize = 1_000;
/// Length of a list when the caller does not say.
const PAGE_DEFAULT: usize = 100;
/// Within which a body must have come.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// One request of a caller who was let in.
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) query: Query,
    pub(crate) body: Incoming,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) service: Arc<Service>,
}

/// The JSON of an answer.
pub(crate) type Answer = Result<Vec<u8>, Problem>;

/// An answer with status 200.
pub(crate) fn answer(value: &impl Serialize) -> Answer {
    serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written as JSON");
        Problem::internal()
    })
}

impl Call {
    /// The body, within the bounds in force.
    pub(crate) async fn read_body(&mut self) -> Result<Bytes, Problem> {
        let limit = self.gateway.limits().body_bytes;
        let body = Limited::new(&mut self.body, limit).collect();
        match tokio::time::timeout(BODY_TIMEOUT, body).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::body_too_large(limit)),
            Ok(Err(_)) => Err(Problem::bad_request("the body broke off")),
            Err(_) => Err(Problem::body_timeout()),
        }
    }

    /// Runs what may wait for a lock or the disk beside the tasks.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Gateway) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let gateway = self.gateway.clone();
        // A panic in there is reported by tokio.
        self.gateway.tasks.spawn_blocking(move || work(&gateway)).await.map_err(|_| Problem::internal())
    }
}

/// Parameters behind the `?`, decoded.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

/// Which part of a list is asked for.
#[derive(Debug)]
pub(crate) struct Page {
    /// What the page before ended with.
    pub(crate) after: Option<String>,
    /// At most so many.
    pub(crate) limit: usize,
}

impl Query {
    pub(crate) fn read(text: Option<&str>) -> Result<Self, Problem> {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// The first value of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// `after` and `limit`.
    pub(crate) fn page(&self) -> Result<Page, Problem> {
        let limit = match self.get("limit") {
            None => PAGE_DEFAULT,
            Some(text) => match text.parse() {
                Ok(limit @ 1..=PAGE_MAX) => limit,
                _ => return Err(Problem::bad_request("limit: a number from 1 to 1000 is needed")),
            },
        };
        Ok(Page { after: self.get("after").map(str::to_owned), limit })
    }
}

/// Percent-decodes a segment of a path or a parameter.
pub(crate) fn decode(text: &str) -> Result<String, Problem> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| Problem::bad_request("the URL is not UTF-8 when it is decoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_pages_bounded() {
        let query = Query::read(Some("after=a%2Fb+c&limit=1000&x&y=%26")).unwrap();
        let page = query.page().unwrap();
        assert_eq!((page.after.as_deref(), page.limit), (Some("a/b c"), 1_000));
        assert_eq!((query.get("x"), query.get("y"), query.get("z")), (Some(""), Some("&"), None));
        assert_eq!(Query::read(None).unwrap().page().unwrap().limit, 100);
        for text in ["limit=0", "limit=1001", "limit=", "limit=-1", "limit=99999999999999999999"] {
            assert!(Query::read(Some(text)).unwrap().page().is_err(), "{text}");
        }
        assert!(Query::read(Some("a=%FF")).is_err());
    }
}
