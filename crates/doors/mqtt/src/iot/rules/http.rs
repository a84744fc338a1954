//! The action that posts to web servers.
//!
//! Messages come from strangers and rules may be made by people who do not own this machine, so that
//! requests reach only the public internet, and beyond that the hosts that the operator has named.

use std::time::Duration;

use ::http::{HeaderName, HeaderValue, Request, Uri, header};
use bytes::Bytes;
use fanfare_functions::{CallerError, HttpCaller, Reach};

/// How long one try may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How often a request is tried while the answer is 429 or 5xx.
const TRIES: u32 = 3;
/// The pause before the second try; doubled for the third.
const PAUSE: Duration = Duration::from_millis(200);
/// The part of an answer that is read, in bytes; nobody looks at it.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Headers that the request has anyway, or that would change where it ends.
const NOT_FOR_RULES: [HeaderName; 5] =
    [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE];

/// Posts what rules send.
pub(super) struct Http {
    public: HttpCaller,
    anywhere: HttpCaller,
    allow: Vec<String>,
}

impl Http {
    pub(super) fn new(allow: Vec<String>) -> Result<Self, CallerError> {
        let (public, anywhere) = (HttpCaller::new(Reach::Public, None)?, HttpCaller::new(Reach::Anywhere, None)?);
        Ok(Self { public, anywhere, allow })
    }

    /// Posts `body`; done when a status of 200 to 299 comes.
    ///
    /// # Errors
    /// What happened at the last try, in words.
    pub(super) async fn post(
        &self,
        url: &str,
        headers: &[(String, String)],
        body: Bytes,
        is_json: bool,
    ) -> Result<(), String> {
        let uri: Uri = url.parse().map_err(|_| format!("{url:?} is no address"))?;
        let caller = if self.is_named(&uri) { &self.anywhere } else { &self.public };
        let mut pause = PAUSE;
        let mut tries = 1..=TRIES;
        loop {
            let request = request(&uri, headers, body.clone(), is_json)?;
            tries.next();
            let status = match caller.send(request, TIMEOUT, ANSWER_BYTES_MAX).await {
                Ok(response) => response.status(),
                Err(CallerError::TooLarge(_)) => return Ok(()),
                Err(error) => return Err(error.to_string()),
            };
            if status.is_success() {
                return Ok(());
            }
            if tries.is_empty() || !(status.as_u16() == 429 || status.is_server_error()) {
                return Err(format!("the answer was HTTP status {}", status.as_u16()));
            }
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause *= 2;
        }
    }

    /// The operator has named the host, perhaps with its port.
    fn is_named(&self, uri: &Uri) -> bool {
        let Some(host) = uri.host() else { return false };
        let with_port = uri.port_u16().map(|port| format!("{host}:{port}"));
        let is_it = |name: &String| {
            name.eq_ignore_ascii_case(host) || with_port.as_ref().is_some_and(|host| name.eq_ignore_ascii_case(host))
        };
        self.allow.iter().any(is_it)
    }
}

fn request(uri: &Uri, headers: &[(String, String)], body: Bytes, is_json: bool) -> Result<Request<Bytes>, String> {
    let mut request = Request::new(body);
    *request.method_mut() = ::http::Method::POST;
    *request.uri_mut() = uri.clone();
    let kind = if is_json { "application/json" } else { "application/octet-stream" };
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in headers {
        let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) else {
            return Err(format!("the header {name:?} is none"));
        };
        if NOT_FOR_RULES.contains(&name) {
            return Err(format!("the header {name} cannot be set"));
        }
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_with_or_without_their_port() {
        let http = Http::new(vec!["hooks.local:9000".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let is_named = |url: &str| http.is_named(&url.parse().unwrap());
        assert!(is_named("http://hooks.local:9000/x") && is_named("http://HOOKS.local:9000/"));
        assert!(!is_named("http://hooks.local/x") && !is_named("http://hooks.local:9001/x"));
        assert!(is_named("http://127.0.0.1:1/") && !is_named("http://127.0.0.2/"));
    }

    #[test]
    fn rules_do_not_set_the_headers_of_the_connection() {
        let uri: Uri = "http://a/".parse().unwrap();
        let header = |name: &str, value: &str| [(name.to_owned(), value.to_owned())];
        assert!(request(&uri, &header("x-mine", "1"), Bytes::new(), true).is_ok());
        for (name, value) in [("Host", "b"), ("content-length", "9"), ("a b", "1"), ("x", "1\r\ny: 2")] {
            assert!(request(&uri, &header(name, value), Bytes::new(), true).is_err(), "{name}");
        }
    }

    #[tokio::test]
    async fn this_machine_is_posted_to_only_where_it_is_named() {
        let http = Http::new(Vec::new()).unwrap();
        let refused = http.post("http://127.0.0.1:9/", &[], Bytes::new(), true).await;
        assert!(refused.as_ref().is_err_and(|reason| reason.contains("not allowed")), "{refused:?}");
        let http = Http::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let gone = http.post("http://127.0.0.1:9/", &[], Bytes::new(), true).await;
        assert!(gone.as_ref().is_err_and(|reason| !reason.contains("not allowed")), "{gone:?}");
    }
}
