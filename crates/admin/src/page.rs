//! The page a browser sees first.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fanfare_door::{Body, full_body};
use http::{HeaderValue, Response, header};

const PAGE: &str = include_str!("page.html");

/// The page, and what a browser may do for it: run its one script, use its one style sheet, and
/// talk to the server it came from.
pub(crate) struct ConsolePage {
    policy: HeaderValue,
}

impl ConsolePage {
    pub(crate) fn new() -> Self {
        let (script, style) = (hash_of("script"), hash_of("style"));
        let policy = format!(
            "default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        Self { policy }
    }

    pub(crate) fn response(&self) -> Response<Body> {
        let mut response = Response::new(full_body(Bytes::from_static(PAGE.as_bytes())));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}

/// The source expression for the contents of the page's one element of this name.
fn hash_of(element: &str) -> String {
    let inside =
        PAGE.split_once(&format!("<{element}>")).and_then(|(_, rest)| rest.split_once(&format!("</{element}>")));
    let contents = inside.map_or("", |(contents, _)| contents);
    format!("'sha256-{}'", STANDARD.encode(digest(&SHA256, contents.as_bytes())))
}
