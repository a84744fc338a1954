//! Who may ask.

use fanfare_aws::errors::ErrorAnswer;
use fanfare_aws::sigv4::Request;
use fanfare_core::{Action, Filter, Grant, Millis};
use fanfare_iam::Access;

/// The service that requests are signed for.
const SERVICE: &str = "events";

/// Whether whoever signed `request` may carry out `operation`. Policies are asked for
/// `events:OPERATION` on the default event bus, whichever bus is meant; where a grant says what
/// somebody may do, PutEvents takes the right to publish everywhere, and all else that of an operator.
///
/// # Errors
/// The answer to send otherwise.
pub(crate) fn admit(access: &Access, request: &Request<'_>, operation: &str, now: Millis) -> Result<(), ErrorAnswer> {
    let caller = access
        .verify(request, &[SERVICE], now)
        .map_err(|error| ErrorAnswer::json_1_1(error.exception(), &error.to_string()))?;
    let realm = access.realm();
    let scope = realm.scope();
    let resource = format!("arn:aws:events:{}:{}:event-bus/default", scope.region, scope.account);
    let needed = if operation == "PutEvents" { Action::Publish } else { Action::Admin };
    let by_grant = |grant: &Grant| {
        let everything = Filter::new("#");
        everything.is_ok_and(|everything| grant.allows_filter(needed, realm.space(), &everything))
    };
    if caller.decide(&format!("events:{operation}"), &resource, by_grant).is_allowed() {
        return Ok(());
    }
    let message = format!("the caller is not allowed to do events:{operation}");
    Err(ErrorAnswer::json_1_1("AccessDeniedException", &message))
}
