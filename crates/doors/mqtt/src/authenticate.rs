//! Who a client is: from what it shows to a principal with its grant.
//!
//! Proofs are tried in this order, and the first that is there decides:
//!
//! 1. a signature (SigV4) on the upgrade to WebSocket, judged before there is a session;
//! 2. a client certificate that a rule speaks about;
//! 3. a custom authorizer, if one is named in a header, the query or the user name, or is the default;
//! 4. a user of the users file with the password;
//! 5. a token as the password;
//! 6. nothing at all, in development mode or where anonymous clients may do something.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use fanfare_aws::username::UserName;
use fanfare_core::{Grant, Millis, Principal};
use fanfare_iam::{Access, Caller, Permissions, admit};
use fanfare_identity::{Refused, TokenError, Verdict as Judged};
use fanfare_mqtt_codec::{Connect, ReasonCode};
use fanfare_policy::{ConnectionPolicy, Context};

use crate::hub::Hub;

mod arrived;
mod authority;
mod authorizer;

pub(crate) use arrived::{Arrived, forbidden, trace_id};
pub use authority::{Authority, Authorizer, Authorizers, CertificateMatch, CertificateRule, Users};
pub(crate) use authorizer::{Renewal, renew};

/// What a client shows. It has no `Debug`: it holds secrets.
pub(crate) struct Credentials {
    user_name: Option<String>,
    password: Option<Vec<u8>>,
    client_id: Arc<str>,
    address: IpAddr,
    arrived: Box<Arrived>,
}

/// Why a client is not let in.
#[derive(Debug)]
pub(crate) struct Denied {
    pub(crate) reason: ReasonCode,
    /// For metrics and logs.
    pub(crate) code: &'static str,
}

/// A client that is let in, as far as its policies let it connect.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) principal: Arc<Principal>,
    /// To be asked about CONNECT, where there are policies.
    pub(crate) policy: Option<Box<ConnectionPolicy>>,
    /// `None` counts for as long as the principal does.
    pub(crate) authorization: Option<Box<Authorization>>,
}

/// How long an admission counts.
#[derive(Debug, Default)]
pub(crate) struct Authorization {
    pub(crate) term: Option<Term>,
    pub(crate) renewal: Option<Renewal>,
}

/// The end of a connection that is known beforehand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    pub(crate) at: Millis,
    /// The name of the reason, as AWS has it.
    pub(crate) why: &'static str,
}

type Judgement = Result<Admitted, Denied>;

/// The judgement, now or after somebody was asked.
pub(crate) enum Verdict {
    Now(Judgement),
    Later(Pin<Box<dyn Future<Output = Judgement> + Send>>),
}

impl Credentials {
    pub(crate) fn of(
        connect: &Connect<'_>,
        client_id: &Arc<str>,
        address: IpAddr,
        arrived: Option<Box<Arrived>>,
    ) -> Self {
        Self {
            user_name: connect.user_name.map(str::to_owned),
            password: connect.password.map(<[u8]>::to_vec),
            client_id: client_id.clone(),
            address,
            arrived: arrived.unwrap_or_default(),
        }
    }

    fn user(&self) -> UserName<'_> {
        UserName::parse(self.user_name.as_deref().unwrap_or_default())
    }

    /// What policies can know about the connection, except the time.
    fn context(&self, hub: &Hub) -> Context {
        let context = Context::new().client_id(&self.client_id).source_ip(self.address);
        let context = match hub.options.has_things {
            true => context
                .with("iot:Connection.Thing.ThingName", &self.client_id)
                .with("iot:Connection.Thing.IsAttached", "true"),
            false => context,
        };
        self.arrived.certificate.iter().fold(context, |context, certificate| certificate.describe(context))
    }
}

impl Admitted {
    /// With a principal that is complete.
    fn plain(principal: Arc<Principal>) -> Self {
        Self { principal, policy: None, authorization: None }
    }

    /// With a principal whose grant the permissions make.
    fn with_permissions(principal: Principal, permissions: &Permissions, access: &Access, context: &Context) -> Self {
        let (grant, policy) = match permissions {
            Permissions::Grant(grant) => (grant.clone(), None),
            Permissions::Policies(policies) => {
                let (grant, policy) = admit(policies, context, &access.realm().scope());
                (grant, Some(Box::new(policy)))
            }
        };
        Self { principal: Arc::new(Principal { grant, ..principal }), policy, authorization: None }
    }
}

/// Judges what a client shows.
pub(crate) fn judge(hub: &Arc<Hub>, mut shown: Credentials, now: Millis) -> Verdict {
    let authority = hub.authority.load_full();
    let context = shown.context(hub).at(now);
    if let Some(caller) = shown.arrived.caller.take() {
        return Verdict::Now(Ok(by_signature(hub, &authority, &caller, &context, now)));
    }
    if let Some(judgement) = by_certificate(&authority, &shown, &context) {
        return Verdict::Now(judgement);
    }
    match authorizer::choose(&authority, &shown) {
        Ok(None) => by_password(hub, authority, shown, context, now),
        Ok(Some(chosen)) => match authorizer::prepare(&chosen, &shown, shown.context(hub)) {
            Ok(renewal) => {
                let hub = hub.clone();
                Verdict::Later(Box::pin(async move { renew(&hub, renewal).await }))
            }
            Err(denied) => Verdict::Now(Err(denied)),
        },
        Err(denied) => Verdict::Now(Err(denied)),
    }
}

fn by_signature(hub: &Hub, authority: &Authority, caller: &Caller, context: &Context, now: Millis) -> Admitted {
    let mut admitted = match &caller.policies {
        None => Admitted::plain(caller.principal.clone()),
        Some(policies) => {
            let permissions = Permissions::Policies(policies.clone());
            Admitted::with_permissions((*caller.principal).clone(), &permissions, &authority.access, context)
        }
    };
    if hub.options.sigv4_session_max_s > 0 {
        let at = now + u64::from(hub.options.sigv4_session_max_s) * 1_000;
        let term = Some(Term { at, why: "WEBSOCKET_TTL_EXPIRATION" });
        admitted.authorization = Some(Box::new(Authorization { term, renewal: None }));
    }
    admitted
}

/// `None` where there is no certificate, or no rule speaks about it.
fn by_certificate(authority: &Authority, shown: &Credentials, context: &Context) -> Option<Judgement> {
    let certificate = shown.arrived.certificate.as_ref()?;
    let rule = authority.certificates.iter().find(|rule| rule.is.covers(certificate))?;
    let subject = rule.principal_of(certificate);
    let nothing = Grant::nothing();
    // Attached things were tried when the rule was made; only the subject is new.
    let Ok(permissions) = Permissions::read(&rule.attached, authority.access.policies(), subject, &nothing) else {
        return Some(Err(Denied { reason: ReasonCode::NotAuthorized, code: "certificate_rule" }));
    };
    let principal = Principal {
        subject: Some(subject.into()),
        // By which it can be revoked.
        token_id: Some(certificate.fingerprint().into()),
        ..Principal::default()
    };
    Some(Ok(Admitted::with_permissions(principal, &permissions, &authority.access, context)))
}

fn by_password(
    hub: &Arc<Hub>,
    authority: Arc<Authority>,
    shown: Credentials,
    context: Context,
    now: Millis,
) -> Verdict {
    let name = shown.user().name.to_owned();
    let has_users = authority.users.is_some() && !name.is_empty();
    let (Some(users), Some(password), true) = (&authority.users, &shown.password, has_users) else {
        if shown.password.is_none()
            && let Some(permissions) = &authority.anonymous
        {
            let nobody = Principal::default();
            return Verdict::Now(Ok(Admitted::with_permissions(nobody, permissions, &authority.access, &context)));
        }
        return by_token(hub, shown.password, now);
    };
    let known = users.get(&name);
    if let Some((hash, permissions)) = known
        && users.passwords().remembers(hash, password)
    {
        return Verdict::Now(Ok(user(&name, permissions, &authority.access, &context)));
    }
    if known.is_none()
        && let Some(verdict) = by_token_of_nobody(hub, password, now)
    {
        return verdict;
    }
    let password = password.clone();
    Verdict::Later(Box::pin(async move {
        let Some(users) = &authority.users else { return Err(wrong_password()) };
        let known = users.get(&name);
        let hash = known.map(|(hash, _)| hash.clone());
        let checked = users.passwords().check(hash, users.any_hash(), password).await;
        checked.map_err(|refused| match refused {
            Refused::Wrong => wrong_password(),
            Refused::Busy => Denied { reason: ReasonCode::ServerBusy, code: "passwords_busy" },
        })?;
        let (_, permissions) = known.ok_or_else(wrong_password)?;
        Ok(user(&name, permissions, &authority.access, &context))
    }))
}

fn wrong_password() -> Denied {
    Denied { reason: ReasonCode::BadUserNameOrPassword, code: "password" }
}

fn user(name: &str, permissions: &Permissions, access: &Access, context: &Context) -> Admitted {
    let principal = Principal { subject: Some(name.into()), ..Principal::default() };
    Admitted::with_permissions(principal, permissions, access, context)
}

/// Clients with a token may have any user name. A token that does not count is treated as the wrong
/// password that it also is, so that the answer takes as long.
fn by_token_of_nobody(hub: &Arc<Hub>, password: &[u8], now: Millis) -> Option<Verdict> {
    let token = std::str::from_utf8(password).ok().filter(|text| text.split('.').count() == 3)?;
    match hub.gateway().gate.verify(token, now) {
        Judged::Principal(principal) => Some(Verdict::Now(Ok(Admitted::plain(principal)))),
        Judged::Refused(_) => None,
        Judged::NeedsKeys => Some(later_by_token(hub, token.to_owned(), now)),
    }
}

fn by_token(hub: &Arc<Hub>, password: Option<Vec<u8>>, now: Millis) -> Verdict {
    let gate = &hub.gateway().gate;
    // Where everybody may do everything, clients that insist on a password may have any.
    let is_token = |password: &Vec<u8>| password.split(|byte| *byte == b'.').count() == 3;
    let password = password.filter(|password| !hub.gateway().policy().is_development || is_token(password));
    let token = match password.map(String::from_utf8) {
        None => return Verdict::Now(gate.anonymous(now).map(Admitted::plain).map_err(|error| denied(&error))),
        Some(Ok(token)) => token,
        Some(Err(_)) => return Verdict::Now(Err(denied(&TokenError::Malformed("it is not text")))),
    };
    match gate.verify(&token, now) {
        Judged::Principal(principal) => Verdict::Now(Ok(Admitted::plain(principal))),
        Judged::Refused(error) => Verdict::Now(Err(denied(&error))),
        Judged::NeedsKeys => later_by_token(hub, token, now),
    }
}

fn later_by_token(hub: &Arc<Hub>, token: String, now: Millis) -> Verdict {
    let gateway = hub.gateway().clone();
    Verdict::Later(Box::pin(async move {
        let judgement = gateway.gate.verify_with_fetch(&token, now).await;
        judgement.map(Admitted::plain).map_err(|error| denied(&error))
    }))
}

fn denied(error: &TokenError) -> Denied {
    let reason = match error {
        TokenError::Missing | TokenError::Revoked => ReasonCode::NotAuthorized,
        TokenError::KeysUnavailable => ReasonCode::ServerUnavailable,
        _ => ReasonCode::BadUserNameOrPassword,
    };
    Denied { reason, code: error.code() }
}

#[cfg(test)]
mod tests;
