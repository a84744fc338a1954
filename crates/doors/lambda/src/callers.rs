//! Who may ask.

use fanfare_aws::sigv4::{PayloadHash, Request};
use fanfare_core::{Action, Filter, Grant};
use fanfare_door::Gateway;
use fanfare_iam::Access;
use http::header::HOST;
use http::request::Parts;

use crate::problem::{Kind, Problem};
use crate::target::Operation;

/// The service that requests are signed for.
const SERVICE: &str = "lambda";

/// Whether whoever signed a request may do what it asks for. Policies are asked for
/// `lambda:OPERATION` on the function's ARN, with the qualifier if one is given. Where a grant says
/// what somebody may do, a call takes the right to publish everywhere, and all else that of an operator.
///
/// # Errors
/// The answer to send otherwise.
pub(crate) fn admit(
    access: &Access,
    gateway: &Gateway,
    head: &Parts,
    body: &[u8],
    operation: &Operation,
) -> Result<(), Problem> {
    let now = gateway.clock.now();
    let unproved = |exception, message: &str| Problem::new(Kind::Unproved(exception), message);
    let caller = access
        .verify(&signed(head, &headers(head), body), &[SERVICE], now)
        .map_err(|error| unproved(error.exception(), &error.to_string()))?;
    if gateway.gate.revocations().is_revoked(&caller.principal, now) {
        return Err(unproved("UnrecognizedClientException", "the access key was revoked"));
    }
    let resource = operation.target().map_or_else(|| "*".to_owned(), |target| arn(access, &target.qualified()));
    let needed = if matches!(operation, Operation::Invoke(_)) { Action::Publish } else { Action::Admin };
    let by_grant = |grant: &Grant| {
        let everything = Filter::new("#");
        everything.is_ok_and(|everything| grant.allows_filter(needed, access.realm().space(), &everything))
    };
    let action = operation.action();
    if caller.decide(action, &resource, by_grant).is_allowed() {
        return Ok(());
    }
    let who = caller.principal.subject.as_deref().unwrap_or("anonymous");
    let message = format!("User: {who} is not authorized to perform: {action} on resource: {resource}");
    Err(Problem::new(Kind::Denied, message))
}

/// The ARN of a function; `qualified` is its name, perhaps with a qualifier.
pub(crate) fn arn(access: &Access, qualified: &str) -> String {
    let scope = access.realm().scope();
    format!("arn:aws:lambda:{}:{}:function:{qualified}", scope.region, scope.account)
}

/// What may have been signed of the headers. HTTP/2 says the host elsewhere.
fn headers(head: &Parts) -> Vec<(&str, &str)> {
    let texts = head.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let authority = head.uri.authority().filter(|_| !head.headers.contains_key(HOST));
    texts.chain(authority.map(|authority| ("host", authority.as_str()))).collect()
}

fn signed<'a>(head: &'a Parts, headers: &'a [(&'a str, &'a str)], body: &'a [u8]) -> Request<'a> {
    Request {
        method: head.method.as_str(),
        raw_path: head.uri.path(),
        raw_query: head.uri.query().unwrap_or_default(),
        headers,
        payload: PayloadHash::Bytes(body),
    }
}
