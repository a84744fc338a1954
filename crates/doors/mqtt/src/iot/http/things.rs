//! Device shadows over HTTP.

use ::http::Method;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as TOKEN;
use fanfare_aws::errors::DataPlaneError;
use fanfare_iam::Operation;
use fanfare_iot::shadow::{self, Rejection, ShadowName, ShadowTopic};
use serde_json::json;
use tokio::sync::oneshot;

use super::call::{Call, decode};
use super::{Answer, Problem};
use crate::iot::shadows::Asker;

/// Names of one page, and without a wish.
const PAGE_MAX: u32 = 100;
const PAGE: u32 = 25;

pub(super) async fn shadow(call: &Call, thing: &str, method: &Method) -> Answer {
    let thing = decode(thing)?;
    let name = ShadowName::new(&thing, call.parameter("name"));
    let name = name.ok_or_else(|| Problem::invalid("The name of the thing or of the shadow is not one"))?;
    let (operation, right) = match *method {
        Method::POST => (shadow::Operation::Update, Operation::UpdateThingShadow(&thing)),
        Method::DELETE => (shadow::Operation::Delete, Operation::DeleteThingShadow(&thing)),
        _ => (shadow::Operation::Get, Operation::GetThingShadow(&thing)),
    };
    call.require(right)?;
    call.count();
    let (sender, answer) = oneshot::channel();
    let topic = ShadowTopic { name, operation };
    let request = if operation == shadow::Operation::Update { &call.body[..] } else { b"" };
    call.hub.shadows().request(topic, request, call.hub.now() / 1_000, Asker::Caller(sender))?;
    match answer.await {
        Ok(Ok(document)) => Ok(Some(document)),
        Ok(Err(rejection)) => Err(rejected(rejection)),
        Err(_) => Err(Problem::new(DataPlaneError::ServiceUnavailable, "The server stops")),
    }
}

fn rejected(rejection: Rejection) -> Problem {
    let kind = DataPlaneError::ALL.into_iter().find(|error| error.status() == rejection.code);
    Problem::new(kind.unwrap_or(DataPlaneError::InternalFailure), rejection.message)
}

pub(super) fn named(call: &Call, thing: &str) -> Answer {
    let thing = decode(thing)?;
    if ShadowName::new(&thing, None).is_none() {
        return Err(Problem::invalid("The name of the thing is not one"));
    }
    call.require(Operation::ListNamedShadowsForThing(&thing))?;
    call.count();
    let limit = call.number("pageSize", 1..=PAGE_MAX)?.unwrap_or(PAGE) as usize;
    let after = match call.parameter("nextToken").filter(|token| !token.is_empty()) {
        Some(token) => Some(place(&thing, token).ok_or_else(|| Problem::invalid("nextToken is not one"))?),
        None => None,
    };
    // One more than asked for tells whether there are more.
    let mut names = call.hub.shadows().named(&thing, after.as_deref(), limit + 1);
    let has_more = names.len() > limit;
    names.truncate(limit);
    let mut fields = json!({ "results": names, "timestamp": call.hub.now() / 1_000 });
    if let Some(last) = names.last().filter(|_| has_more) {
        fields["nextToken"] = TOKEN.encode(last).into();
    }
    Ok(Some(fields))
}

fn place(thing: &str, token: &str) -> Option<String> {
    let name = String::from_utf8(TOKEN.decode(token).ok()?).ok()?;
    ShadowName::new(thing, Some(&name)).map(|_| name)
}
