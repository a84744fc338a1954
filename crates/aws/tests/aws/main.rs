//! What real signers send is accepted, and nothing else is. Time is always handed in.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod properties;
mod sdk;
mod tokens;
mod vectors;
mod wrong;

use fanfare_aws::credentials::{Credential, Secret};
use fanfare_aws::sigv4::{PayloadHash, Request, Rules, SignatureError, Verified, verify};

/// 2026-01-02T03:04:05Z.
const NOW_MS: u64 = 1_767_323_045_000;
const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "IQoJb3JpZ2luX2VjE//ex+mple==";

fn credential(has_token: bool) -> Credential {
    let mut credential = Credential::new(KEY, SECRET, "someone");
    credential.session_token = has_token.then(|| Secret::new(TOKEN));
    credential
}

/// A request that tests may change, with everything owned.
#[derive(Clone, Debug)]
struct Sent {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Sent {
    fn new(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
        Self { method, path, query, headers, body: body.as_bytes().to_vec() }
    }

    fn with<T>(&self, look: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        look(&Request {
            method: &self.method,
            raw_path: &self.path,
            raw_query: &self.query,
            headers: &headers,
            payload: PayloadHash::Bytes(&self.body),
        })
    }

    fn verify(&self, credential: &Credential, rules: &Rules<'_>) -> Result<Verified, SignatureError> {
        self.with(|request| verify(request, &|key| (key == KEY).then(|| credential.clone()), rules))
    }

    fn header(&mut self, name: &str) -> &mut String {
        let header = self.headers.iter_mut().find(|(sent, _)| sent.eq_ignore_ascii_case(name));
        &mut header.unwrap_or_else(|| panic!("no header {name}")).1
    }
}
