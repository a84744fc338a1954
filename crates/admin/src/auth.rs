//! Who calls, and what they may operate.

use std::sync::Arc;

use fanfare_core::{Action, Filter, Grant, Principal, Refusal, TopicName};
use fanfare_door::Gateway;
use http::header;
use http::request::Parts;

use crate::Operations;
use crate::problem::Problem;

/// An operator: the holder of an admin key, or of a token that allows `admin` somewhere.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    principal: Arc<Principal>,
    by: By,
}

/// What let a caller in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    AdminKey,
    Development,
    Token,
}

impl Caller {
    fn new(principal: Arc<Principal>, by: By) -> Self {
        Self { principal, by }
    }

    fn of_everything(by: By) -> Self {
        Self::new(Arc::new(Principal::anonymous(Grant::everything())), by)
    }

    /// For the server's log: who did it.
    pub(crate) fn name(&self) -> &str {
        match (self.by, &self.principal.subject) {
            (By::AdminKey, _) => "admin key",
            (By::Development, _) => "development mode",
            (By::Token, Some(subject)) => subject,
            (By::Token, None) => "a token without subject",
        }
    }

    /// Acts with every right in the core, under the caller's own subject. What the caller may was
    /// asked before.
    pub(crate) fn operator(&self) -> Principal {
        Principal { subject: self.principal.subject.clone(), ..Principal::anonymous(Grant::everything()) }
    }

    /// May operate the server as a whole.
    pub(crate) fn has_server(&self) -> bool {
        self.principal.grant.allows_everywhere(Action::Admin)
    }

    /// May operate all of a space.
    pub(crate) fn has_space(&self, space: &str) -> bool {
        Filter::new("#").is_ok_and(|all| self.principal.grant.allows_filter(Action::Admin, space, &all))
    }

    /// Refuses a caller that may not operate the server as a whole.
    pub(crate) fn require_server(&self) -> Result<(), Problem> {
        let message = "this concerns the whole server: an admin key is needed, or a token that allows admin:*/#";
        self.has_server().then_some(()).ok_or_else(|| Problem::denied(message))
    }

    /// Refuses a caller that may not operate all of a space.
    pub(crate) fn require_space(&self, space: &str) -> Result<(), Problem> {
        let message = || format!("an admin key is needed, or a token that allows admin:{space}/#");
        self.has_space(space).then_some(()).ok_or_else(|| Problem::denied(message()))
    }

    /// Refuses a caller that may not operate a topic.
    pub(crate) fn require_topic(&self, space: &str, topic: &TopicName) -> Result<(), Refusal> {
        self.principal.grant.require(Action::Admin, space, topic)
    }
}

/// Lets a caller in, or says why not.
pub(crate) async fn admit(operations: &Operations, parts: &Parts, gateway: &Gateway) -> Result<Caller, Problem> {
    let Some(credential) = bearer(parts)? else {
        if !operations.is_development {
            return Err(Problem::unauthorized("an admin key is needed: Authorization: Bearer <key>"));
        }
        return Ok(Caller::of_everything(By::Development));
    };
    if operations.admin_keys.admits(credential) {
        return Ok(Caller::of_everything(By::AdminKey));
    }
    if !looks_like_token(credential) {
        return Err(Problem::unauthorized("this is no admin key of this server; see auth.admin_keys"));
    }
    let principal = gateway.authenticate(Some(credential), None).await?;
    Ok(Caller::new(principal, By::Token))
}

fn bearer(parts: &Parts) -> Result<Option<&str>, Problem> {
    let Some(value) = parts.headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let credential = value.to_str().ok().and_then(|text| text.split_once(' '));
    match credential {
        Some((scheme, credential)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(credential.trim())),
        _ => Err(Problem::unauthorized("Authorization must be: Bearer <admin key or token>")),
    }
}

/// Three parts with a dot between: what is said of anything else would only confuse.
fn looks_like_token(credential: &str) -> bool {
    credential.split('.').count() == 3
}
